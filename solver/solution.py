"""What a solver returns: strategies with their measured regret, a status and a certificate."""

import enum
from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

if TYPE_CHECKING:
    from solver.game import AbstractGame


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
    Status.cycle: "best replies repeat themselves without an equilibrium; try damping=0.5, other starts, or report "
    "the cycle with best_reply_cycle",
    Status.max_steps: "the steps did not settle within max_steps; raise max_steps, or damp, or start elsewhere",
    Status.non_finite: "a payoff or strategy was not finite; check the parameters, that payoffs are defined everywhere, and "
    "that the followers' equilibrium was found at every deviation",
    Status.uncertified: "the steps settled where a player still gains by deviating: payoffs may jump (see supremum), or the "
    "tolerance is below what the precision or the followers' solver allows",
}

KINDS = ("exact", "global", "interpolated", "local", "proved", "refuted")


class Certificate(eqx.Module):
    """No player gains more than ``epsilon`` (payoff units) by deviating, as far as ``kind`` reaches.

    "exact": finite actions, all compared. "interpolated": a Box of one dimension, its payoff interpolated on ``nodes``
    Chebyshev nodes, epsilon including the error estimated from the coefficients' decay. "local": a Box of more
    dimensions, searched along lines only. "proved": by interval arithmetic over all deviations, on ``nodes`` boxes of them;
    "refuted": some deviation gains ``epsilon`` or more. ``fractions``: the equilibrium without rounding, where it was proved
    so. ``payoff_range`` (per player) scales relative tolerances.
    """

    kind: str = eqx.field(static=True)
    nodes: int = eqx.field(static=True)
    epsilon: Array
    payoff_range: Array
    fractions: tuple | None = eqx.field(static=True, default=None)


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


class EquilibriumSet(eqx.Module):
    """Equilibria of one game, in a fixed number of places so that ``vmap`` can stack the sets of many games.

    ``strategies``: one array (capacity, actions) per player. ``mask`` (capacity,): which places hold an equilibrium; the
    rest is zero. ``count``: how many. ``complete``: proved to be all. ``max_regret`` (capacity,): as measured, in payoff
    units. ``precision`` (capacity,): of the logit equilibria along a path, else None.

    Of :func:`find_equilibria` alone: ``spectral_radius`` (capacity,) of the best-reply map's Jacobian; ``component``
    (capacity,): the number of the connected set it belongs to; ``intervals``: of each connected set that is a line, one array
    (2, size) per player with its ends, between which every profile measured was an equilibrium; ``num_starts``;
    ``num_stationary``: how many first-order points were found that are no equilibria; ``proof``: why ``complete``.
    """

    game: "AbstractGame"
    strategies: tuple[Array, ...]
    mask: Array
    count: Array
    complete: Array
    max_regret: Array
    precision: Array | None = None
    spectral_radius: Array | None = None
    component: Array | None = None
    intervals: tuple[tuple[Array, ...], ...] = ()
    num_stationary: Array | None = None
    num_starts: Array | None = None
    proof: str = eqx.field(static=True, default="")

    @property
    def stable(self) -> Array:
        """Which equilibria best replies return to after a small disturbance: a spectral radius below 1."""
        if self.spectral_radius is None:
            raise AttributeError("stable: only the equilibria of find_equilibria are classified")
        return self.mask & (self.spectral_radius < 1)

    @property
    def statement(self) -> str:
        """What may be said of the number of equilibria, in one sentence."""
        if bool(self.complete):
            return f"complete: {int(self.count)}" + (f", by {self.proof}" if self.proof else "")
        if self.num_starts is None:
            return f"{int(self.count)} found, not proved to be all"
        sets = 0 if self.component is None else len(np.unique(self.component))
        joined = f", in {sets} connected set{'s' * (sets > 1)}" if sets < int(self.count) else ""
        ends = [[f"({', '.join(f'{x:.4g}' for x in end)})" for end in np.hstack(one)] for one in self.intervals]
        lines = "".join(f"; an interval of them, as measured, from {low} to {high}" for low, high in ends)
        return f"{int(self.count)} found from {int(self.num_starts)} starts{joined}, not proved to be all{lines}"

    def __getitem__(self, index: int) -> "EquilibriumSet":
        """The set of one game of a batch."""
        if self.mask.ndim < 2:
            raise IndexError("this set is of one game: use to_list(), or strategies and mask")
        return jax.tree.map(lambda leaf: leaf[index], self)

    def to_list(self) -> list[Solution]:
        """The equilibria as Solutions, each with payoffs, regret and certificate measured anew on the game.

        :raises ValueError: for a batch of games.
        """
        if self.mask.ndim != 1:
            raise ValueError(
                f"to_list: mask has shape {self.mask.shape}, a batch; take one game's set by its index first"
            )
        solutions = _certify_all(self.game, self.strategies)
        return [jax.tree.map(lambda leaf, at=at: leaf[at], solutions) for at in np.flatnonzero(self.mask)]


@eqx.filter_jit
def _certify_all(game, strategies) -> Solution:
    from solver.solve import judge

    return jax.vmap(lambda profile: judge(game, profile))(strategies)
