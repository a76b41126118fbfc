"""What a solver returns: strategies with their measured regret, a status and a certificate."""

import enum

import equinox as eqx
import jax.numpy as jnp
from jax import Array


class Status(enum.IntEnum):
    """How a solve ended. Only ``converged`` means an equilibrium: the measured regret is within tolerance."""

    converged = 0
    cycle = 1
    max_steps = 2
    non_finite = 3
    uncertified = 4

    @property
    def advice(self) -> str:
        return _ADVICE[self]


_ADVICE = {
    Status.converged: "the measured regret is within tolerance",
    Status.cycle: "best replies repeat themselves without an equilibrium; try damping=0.5, other starts, or report the cycle",
    Status.max_steps: "the steps did not settle within max_steps; raise max_steps, or damp, or start elsewhere",
    Status.non_finite: "a payoff or strategy was not finite; check the parameters, that payoffs are defined everywhere, and "
    "that the followers' equilibrium was found at every deviation",
    Status.uncertified: "the steps settled where a player still gains by deviating: payoffs may jump, or the tolerance is "
    "below what the precision or the followers' solver allows",
}

KINDS = ("exact", "global", "interpolated", "local", "proved", "refuted")


class Certificate(eqx.Module):
    """No player gains more than ``epsilon`` (payoff units) by deviating, as far as ``kind`` reaches.

    "exact": finite actions, all compared. "interpolated": a Box of one dimension, its payoff interpolated on ``nodes``
    Chebyshev nodes, epsilon including the error estimated from the coefficients' decay. "local": a Box of more
    dimensions, searched along lines only. ``payoff_range`` (per player) scales relative tolerances.
    """

    kind: str = eqx.field(static=True)
    nodes: int = eqx.field(static=True)
    epsilon: Array
    payoff_range: Array


class Solution(eqx.Module):
    """A profile with its evidence; under ``vmap`` every array leads with the batch.

    ``strategies``: a tuple of 1-D arrays. ``payoffs``, ``regret``: (players,), in payoff units; ``max_regret`` the largest.
    ``status``: a :class:`Status` as an integer. ``cycle_length``: steps in the cycle, 0 where there is none.
    """

    strategies: tuple[Array, ...]
    payoffs: Array
    regret: Array
    max_regret: Array
    status: Array
    num_steps: Array
    certificate: Certificate
    cycle_length: Array

    @property
    def converged(self) -> Array:
        return jnp.asarray(self.status == Status.converged)
