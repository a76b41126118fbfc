"""Certified equilibria of games, in JAX: the whole public API."""

from solver.algorithms.best_response import BestResponse
from solver.fixed_point import FixedPoint, fixed_point
from solver.game import AbstractGame, LeaderFollower
from solver.normal_form import NormalForm
from solver.regret import best_response, regret
from solver.solution import Certificate, Solution, Status
from solver.solve import EquilibriumError, solve
from solver.spaces import Box, Simplex
from solver.sweep import sweep

__all__ = [
    "AbstractGame",
    "BestResponse",
    "Box",
    "Certificate",
    "EquilibriumError",
    "FixedPoint",
    "LeaderFollower",
    "NormalForm",
    "Simplex",
    "Solution",
    "Status",
    "best_response",
    "fixed_point",
    "regret",
    "solve",
    "sweep",
]
