r"""Fictitious play and its smooth relative."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from solver.game import AbstractGame, Profile
from solver.regret import certify_profile


class Learning(eqx.Module):
    """What learning rules remember: mixtures, two sums per player and action, counts."""

    mixtures: Profile
    sums: Profile
    averages: Profile
    gap: Array  # regret of the mixtures, over the payoffs' range
    num_steps: Array
    cycle: Array


def begin(profile: Profile) -> Learning:
    zeros = tuple(jnp.zeros_like(p) for p in profile)
    zero = jnp.asarray(0, jnp.int32)
    return Learning(profile, zeros, profile, jnp.asarray(jnp.inf, profile[0].dtype), zero, zero)


def action_payoffs(game: AbstractGame, profile: Profile) -> list[Array]:
    """Each player's payoff from each action against the others' mixtures; any game of Simplex players."""
    return [game.deviation_payoffs(profile, i, jnp.eye(len(p), dtype=p.dtype)) for i, p in enumerate(profile)]


def gap(game: AbstractGame, profile: Profile) -> Array:
    _, gain, certificate = certify_profile(game, profile)
    return (gain / jnp.where(certificate.payoff_range > 0, certificate.payoff_range, 1)).max()


class FictitiousPlay(eqx.Module):
    r"""Each player answers the empirical mixture of the others' past play (Brown 1951).

    .. math:: \bar s_{t+1} = \bar s_t + \frac{b(\bar s_t) - \bar s_t}{t + 2},\qquad b \text{ the first best action}

    The mixtures approach equilibrium in zero-sum, 2 x n and potential games, at a rate of about t^{-1/2}: ask for a tolerance
    to match. In others they may cycle (Shapley 1964).
    """

    def init(self, game: AbstractGame, profile: Profile, tolerance: Array) -> Learning:
        return begin(profile)

    def step(self, game: AbstractGame, state: Learning, tolerance: Array) -> Learning:
        now = state.mixtures
        replies = [jax.nn.one_hot(u.argmax(), len(u), dtype=u.dtype) for u in action_payoffs(game, now)]
        new = tuple(p + (reply - p) / (state.num_steps + 2) for p, reply in zip(now, replies, strict=True))
        return Learning(new, state.sums, new, gap(game, new), state.num_steps + 1, state.cycle)

    def terminated(self, state: Learning, tolerance: Array) -> Array:
        return state.gap <= tolerance

    def profile(self, game: AbstractGame, state: Learning) -> Profile:
        return state.mixtures
