"""The principal branch of logit equilibria, from the centroid towards a Nash equilibrium, for any number of players."""

import functools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from solver.algorithms.logit import Path, begin, follow, mixtures, span
from solver.finite.lanes import joined
from solver.game import midpoint
from solver.normal_form import NormalForm
from solver.regret import best_deviations
from solver.solution import EquilibriumSet

LIMIT = 1e9  # the precision, times the payoffs' range, at which the limit is taken to be reached
NEAR = 5e-9  # or the regret, over the range
STRIDE = 4  # steps between two points kept


def logit_path(game: NormalForm, precision: float | Array | None = None, *, capacity: int = 100) -> EquilibriumSet:
    """Logit equilibria along the branch from the centroid, the last one at ``precision`` or at the Nash limit.

    Predictor and corrector in (log p, precision), so the branch is followed through folds (Turocy 2005). In a generic game
    its limit is the logit solution of the game (McKelvey and Palfrey 1995). ``jax.vmap`` runs batches.

    :param precision: where to end, in 1/payoff units; default: the limit, where the regret is within 5e-9 of the payoffs'
        range (single precision: 1e-4).
    :param capacity: points kept, one every fourth step; a path that is not at its end by then has an empty set.
    :return: an :class:`EquilibriumSet` with ``precision``; its first entries are on the way, its last is the end.
        ``max_regret`` is that of Nash, so large on the way. ``complete`` is false.
    :raises ValueError: if ``precision`` is negative.
    """
    if isinstance(precision, (int, float)) and precision < 0:
        raise ValueError(f"precision = {precision}: it must be 0 or more")
    return _trace(game, precision, capacity)


@eqx.filter_jit
def _trace(game: NormalForm, precision, capacity: int) -> EquilibriumSet:
    widest = span(game)
    target = jnp.asarray(LIMIT, widest.dtype) if precision is None else precision * widest
    near = (NEAR if widest.dtype == jnp.float64 else 1e-4) if precision is None else -1.0  # no regret is below 0
    arguments = game.payoff_array, target, near * widest
    outs = joined(functools.partial(_paths, capacity))(*(jnp.asarray(a)[None] for a in arguments))
    points, new, ended = (jnp.squeeze(v, 0) for v in outs)
    regrets = jax.vmap(lambda z: _regret(game, z))(points)
    # a game whose centroid is an equilibrium takes no step: its path is that point
    mask = new.at[0].set(True) & ended
    strategies = jax.vmap(lambda z: mixtures(game, z))(points)
    strategies = tuple(jnp.where(mask[:, None], s, 0) for s in strategies)
    at = jnp.where(mask, points[:, -1] / widest, jnp.nan)
    regrets = jnp.where(mask, regrets, jnp.nan)
    return EquilibriumSet(game, strategies, mask, mask.sum(), jnp.asarray(False), regrets, at)


def _regret(game: NormalForm, z: Array) -> Array:
    return best_deviations(game, mixtures(game, z)).gain.max()


class _State(NamedTuple):
    path: Path
    count: Array  # points kept
    points: Array  # (capacity, actions of all players and the precision)
    new: Array  # (capacity,): whether a point differs from the one before
    ended: Array


def _paths(capacity: int, payoffs: Array, target: Array, near: Array):
    """The points of many games' paths, which of them are new, and whether each path is at its end."""

    def start(table, target, near) -> _State:
        game = NormalForm(table)
        path = begin(game, midpoint(game))
        points = jnp.broadcast_to(path.z, (capacity, len(path.z)))
        ended = _regret(game, path.z) <= near
        return _State(path, jnp.asarray(0, jnp.int32), points, jnp.zeros(capacity, bool), ended)

    state = _advance(payoffs, target, near, jax.vmap(start)(payoffs, target, near), capacity)
    return state.points, state.new, state.ended


@jax.vmap
def _onward(table: Array, target: Array, near: Array, state: _State) -> _State:
    game = NormalForm(table)

    def step(_, walk):
        path, ended = walk
        moved = follow(game, path, target)
        path = jax.tree.map(lambda new, old: jnp.where(ended, old, new), moved, path)
        return path, path.arrived | (_regret(game, path.z) <= near)

    path, ended = jax.lax.fori_loop(0, STRIDE, step, (state.path, state.ended))
    at = jnp.where(state.ended, len(state.new), state.count)  # outside: nothing is written
    moved = path.num_steps > state.path.num_steps
    points, new = state.points.at[at].set(path.z), state.new.at[at].set(moved)
    return _State(path, state.count + ~state.ended, points, new, ended)


def _advance(payoffs: Array, target: Array, near: Array, state: _State, capacity: int) -> _State:
    """To the end, or until three paths in four have ended; the others go on by themselves."""
    few = len(payoffs) // 4 if len(payoffs) >= 16 else 0

    def running(state: _State) -> Array:
        return ~state.ended & (state.count < capacity)

    def more(state: _State) -> Array:
        return running(state).sum() > few

    state = jax.lax.while_loop(more, lambda state: _onward(payoffs, target, near, state), state)
    if not few:
        return state
    rest = jnp.argsort(~running(state), stable=True)[:few]
    later = _advance(payoffs[rest], target[rest], near[rest], jax.tree.map(lambda a: a[rest], state), capacity)
    return jax.tree.map(lambda all_, some: all_.at[rest].set(some), state, later)
