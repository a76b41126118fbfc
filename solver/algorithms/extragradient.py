r"""Extragradient steps for monotone games, for any mix of Box and Simplex players.

With strategies s as shares of their sets, marginal payoffs :math:`g_i = \partial u_i/\partial s_i` and the projection Π on the
sets, a step looks ahead and moves by what it sees there (Korpelevich 1976):

.. math:: m = \Pi(s + \gamma\,g(s)),\qquad s' = \Pi(s + \gamma\,g(m)),\qquad
    \gamma\,\|g(m) - g(s)\| \le \nu\,\|m - s\|

A step that breaks the last condition is taken again with half its length (Khobotov 1987; Marcotte 1991). It converges
where :math:`(g(s) - g(s'))\cdot(s - s') \le 0` for all profiles: zero-sum games with concave payoffs, most oligopolies.
"""

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from solver.algorithms.newton import marginal_scale
from solver.continuous.conditions import bounds, flat, marginal_payoffs, split
from solver.game import AbstractGame, Profile
from solver.spaces import Box, Simplex

CONTRACTION = 0.7  # ν
GROWTH = 1.2  # of γ after a step that was taken


class Extragradient(eqx.Module):
    """Steps along marginal payoffs with a look ahead, until no player gains by its linearised payoff.

    Converges for monotone games, if slowly: give it a larger ``max_steps`` where the status is ``max_steps``.
    """

    def init(self, game: AbstractGame, profile: Profile, tolerance: Array) -> "State":
        del tolerance
        low, high = bounds(game)
        share = (flat(profile) - low) / jnp.where(high > low, high - low, 1)
        scale = marginal_scale(game, flat(profile))
        zero = jnp.asarray(0, jnp.int32)
        return State(_project(game, share), 1 / scale.max(), scale, jnp.asarray(jnp.inf, share.dtype), zero, zero)

    def step(self, game: AbstractGame, state: "State", tolerance: Array) -> "State":
        low, high = bounds(game)

        def slopes(share):
            return marginal_payoffs(game, low + (high - low) * share) * (high - low)

        here = slopes(state.share)
        gap = (_gains(game, state.share, here) / state.scale).max()
        ahead = _project(game, state.share + state.length * here)
        there = slopes(ahead)
        bend, move = jnp.linalg.norm(there - here), jnp.linalg.norm(ahead - state.share)
        short = state.length * bend <= CONTRACTION * move
        share = jnp.where(short & ~(gap <= tolerance), _project(game, state.share + state.length * there), state.share)
        length = state.length * jnp.where(short, GROWTH, 0.5)
        return State(share, length, state.scale, gap, state.num_steps + 1, state.cycle)

    def terminated(self, state: "State", tolerance: Array) -> Array:
        return (state.gap <= tolerance) | jnp.isnan(state.gap)

    def profile(self, game: AbstractGame, state: "State") -> Profile:
        low, high = bounds(game)
        return split(game, low + (high - low) * state.share)


class State(eqx.Module):
    share: Array  # of all players' sets
    length: Array  # γ
    scale: Array  # (players,), what gains are measured in
    gap: Array  # the largest gain by linearised payoffs, where the last step began
    num_steps: Array
    cycle: Array


def _project(game: AbstractGame, share: Array) -> Array:
    parts = zip(game.actions(), split(game, share), strict=True)
    return jnp.concatenate([s.project(x) if isinstance(s, Simplex) else jnp.clip(x, 0, 1) for s, x in parts])


def _gains(game: AbstractGame, share: Array, slopes: Array) -> Array:
    """What each player gains at most if its payoff is linear in its own strategy (players,)."""
    gains = []
    for space, s, g in zip(game.actions(), split(game, share), split(game, slopes), strict=True):
        if isinstance(space, Box):
            gains.append(jnp.maximum(g * (1 - s), -g * s).sum())
        else:
            gains.append(g.max() - (g * s).sum())
    return jnp.stack(gains)
