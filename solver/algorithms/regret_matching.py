r"""Regret matching and regret matching +."""

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from solver.algorithms.fictitious_play import Learning, action_payoffs, begin, gap
from solver.game import AbstractGame, Profile


class RegretMatching(eqx.Module):
    r"""Actions are played in proportion to the regret for not having played them (Hart and Mas-Colell 2000).

    .. math:: R_{t+1} = R_t + u(\cdot, s_{-i}) - s_i \cdot u,\qquad s_i \propto \max(R, 0)

    With ``plus`` the sums are cut off at zero as they grow and later play weighs more in the average (Tammelin 2014). The
    profile is the average of play: it approaches equilibrium in zero-sum games; elsewhere the joint play approaches the coarse
    correlated equilibria, and the regret says how far the average is from Nash.
    """

    plus: bool = eqx.field(static=True, default=True)

    def init(self, game: AbstractGame, profile: Profile, tolerance: Array) -> Learning:
        return begin(profile)

    def step(self, game: AbstractGame, state: Learning, tolerance: Array) -> Learning:
        sums, mixtures = [], []
        for p, total, u in zip(state.mixtures, state.sums, action_payoffs(game, state.mixtures), strict=True):
            total = total + u - p @ u
            sums.append(jnp.maximum(total, 0) if self.plus else total)
            wanted = jnp.maximum(total, 0)
            some = wanted.sum() > 0
            mixtures.append(jnp.where(some, wanted / jnp.where(some, wanted.sum(), 1), 1 / len(p)))
        weight = 2 / (state.num_steps + 2) if self.plus else 1 / (state.num_steps + 1)
        averages = tuple(a + weight * (p - a) for a, p in zip(state.averages, state.mixtures, strict=True))
        distance = gap(game, averages)
        return Learning(tuple(mixtures), tuple(sums), averages, distance, state.num_steps + 1, state.cycle)

    def terminated(self, state: Learning, tolerance: Array) -> Array:
        return state.gap <= tolerance

    def profile(self, game: AbstractGame, state: Learning) -> Profile:
        return state.averages
