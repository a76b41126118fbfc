"""Pure equilibria of a finite game of any number of players, by comparing every profile with its deviations."""

import functools
import math

import jax
import jax.numpy as jnp
from jax import Array

from solver.normal_form import NormalForm
from solver.solution import EquilibriumSet


def pure_equilibria(game: NormalForm, *, capacity: int | None = None) -> EquilibriumSet:
    r"""All equilibria in pure strategies, in the order of the payoff array.

    .. math:: u_i(a) \ge \max_{a_i'} u_i(a_i', a_{-i}) - 64\,\epsilon\,(\max u_i - \min u_i)\quad\text{for all } i

    :param capacity: most equilibria kept; default: all profiles, at most 64.
    :return: an :class:`EquilibriumSet`. ``complete`` means all *pure* ones are kept; mixed ones are not looked for.
    """
    capacity = min(math.prod(game.payoff_array.shape[1:]), 64) if capacity is None else capacity
    return EquilibriumSet(game, *_find(game.payoff_array, capacity))


@functools.partial(jax.jit, static_argnums=1)
def _find(payoffs: Array, capacity: int):
    shape = payoffs.shape[1:]
    gains = jnp.stack([u.max(axis=i, keepdims=True) - u for i, u in enumerate(payoffs)]).reshape(len(shape), -1)
    table = payoffs.reshape(len(shape), -1)
    span = table.max(axis=1) - table.min(axis=1)
    # ties are equilibria; only rounding is forgiven
    fits = (gains <= 64 * jnp.finfo(payoffs.dtype).eps * span[:, None]).all(axis=0)
    at = jnp.nonzero(fits, size=capacity, fill_value=0)[0]
    mask = jnp.arange(capacity) < fits.sum()
    actions = jnp.unravel_index(at, shape)
    strategies = tuple(
        jax.nn.one_hot(a, n, dtype=payoffs.dtype) * mask[:, None] for a, n in zip(actions, shape, strict=True)
    )
    regret = jnp.where(mask, gains.max(axis=0)[at], jnp.nan)
    return strategies, mask, mask.sum(), fits.sum() <= capacity, regret
