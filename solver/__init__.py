"""Certified equilibria of games, in JAX: the whole public API."""

from solver.algorithms.best_response import BestResponse
from solver.algorithms.extragradient import Extragradient
from solver.algorithms.fictitious_play import FictitiousPlay
from solver.algorithms.logit import LogitResponse
from solver.algorithms.newton import Newton
from solver.algorithms.regret_matching import RegretMatching
from solver.algorithms.replicator import LogitDynamics, Replicator, is_evolutionarily_stable, trajectory
from solver.certify import certify
from solver.continuous.comparative_statics import comparative_statics
from solver.continuous.find_equilibria import find_equilibria
from solver.continuous.leader_follower import LeaderFollowerGame
from solver.continuous.no_equilibrium import Supremum, best_reply_cycle, supremum
from solver.continuous.trace import Branch, SpecialPoint, trace
from solver.finite.components import Component, components
from solver.finite.convex import coarse_correlated_equilibrium, correlated_equilibrium, zero_sum
from solver.finite.estimation import LogitFit, fit_logit
from solver.finite.exact import extreme_equilibria
from solver.finite.lemke_howson import lemke_howson
from solver.finite.logit_path import logit_path
from solver.finite.pure import pure_equilibria
from solver.finite.support import support_enumeration
from solver.finite.vertex import vertex_enumeration
from solver.fixed_point import FixedPoint, fixed_point
from solver.game import AbstractGame, LeaderFollower
from solver.normal_form import NormalForm
from solver.plot.best_reply import best_reply_curves
from solver.plot.lines import curves
from solver.plot.phase import phase_diagram
from solver.regret import best_response, regret
from solver.solution import Certificate, EquilibriumSet, Solution, Status
from solver.solve import EquilibriumError, solve
from solver.spaces import Box, Simplex
from solver.sweep import sweep

__all__ = [
    "AbstractGame",
    "BestResponse",
    "Box",
    "Branch",
    "Certificate",
    "Component",
    "EquilibriumError",
    "EquilibriumSet",
    "Extragradient",
    "FictitiousPlay",
    "FixedPoint",
    "LeaderFollower",
    "LeaderFollowerGame",
    "LogitDynamics",
    "LogitFit",
    "LogitResponse",
    "Newton",
    "NormalForm",
    "RegretMatching",
    "Replicator",
    "Simplex",
    "Solution",
    "SpecialPoint",
    "Status",
    "Supremum",
    "best_reply_curves",
    "best_reply_cycle",
    "best_response",
    "certify",
    "coarse_correlated_equilibrium",
    "comparative_statics",
    "components",
    "correlated_equilibrium",
    "curves",
    "extreme_equilibria",
    "find_equilibria",
    "fit_logit",
    "fixed_point",
    "is_evolutionarily_stable",
    "lemke_howson",
    "logit_path",
    "phase_diagram",
    "pure_equilibria",
    "regret",
    "solve",
    "support_enumeration",
    "supremum",
    "sweep",
    "trace",
    "trajectory",
    "vertex_enumeration",
    "zero_sum",
]
