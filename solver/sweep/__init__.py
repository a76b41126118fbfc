"""Equilibria across a grid of parameters, as a labelled Dataset."""

from solver.sweep.run import sweep

__all__ = ["sweep"]
