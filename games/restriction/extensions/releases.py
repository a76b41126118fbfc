r"""Open releases that refill the commons (model.md §9).

.. math::
    \lambda_{0b} = \min\bigl(1,\ \lambda_{00b} + o\,\mathrm{E}\bigl[\max_{j\ \text{sovereign}} e^{-z_j}\bigr]\bigr)

The best model that a sovereign challenger has, whose weights it opens, adds to what is known without distillation; the mean is
over who goes sovereign, 0 where nobody does. Own lags depend on λ0, so releases and the challengers' stage are one
fixed point, and the released quality is the link. ``lost_knowledge`` still compares with the pool at r = 0 without
releases.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from games.oligopoly import checked
from games.restriction.challengers import Stage
from games.restriction.demand import SOVEREIGN, Market, market
from games.restriction.extensions.linked import Link, LinkedGame
from games.restriction.incumbents import RestrictionGame
from games.restriction.parameters import Parameters


class Releases(Link):
    """Weights are opened; the link is the quality released, E max e^-z ()."""

    openness: Array  # o: what a release at the frontier adds to λ0

    def opening(self, p: Parameters) -> Array:
        return jnp.zeros_like(p.theta)

    def market(self, p: Parameters, restriction: Array, link: Array) -> Market:
        known = jnp.minimum(p.outside_knowledge + self.openness * link, 1)
        return market(eqx.tree_at(lambda q: q.outside_knowledge, p, known), restriction, jnp.ones(()))

    def answer(self, p: Parameters, m: Market, stage: Stage) -> Array:
        effort = jnp.clip(stage.effort, 0, m.effort_bound)
        return released(stage.mix[:, SOVEREIGN], m.lag_at_rest - m.lag_slope * effort)


def released(chance: Array, lag: Array) -> Array:
    r"""E max_j e^-z_j over those who are sovereign: Σ_k P_(k) e^-z_(k) Π_{i<k}(1 - P_(i)), the smallest lag first."""
    order = jnp.argsort(lag)
    p, quality = chance[order], jnp.exp(-lag[order])
    before = jnp.concatenate([jnp.ones(1), jnp.cumprod(1 - p)[:-1]])
    return (p * quality * before[: p.shape[0]]).sum()


def open_release_game(game: RestrictionGame, openness: Any) -> LinkedGame:
    """The restriction game in which sovereign challengers release their weights.

    :param openness: o, at least 0: what a release at the frontier's quality adds to λ0 (0: the base game).
    :raises ValueError: if it is negative, or for a game in another mode than "fast".
    """
    return LinkedGame(game, Releases(checked("openness", openness)))
