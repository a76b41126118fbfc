"""The principal branch of logit equilibria, from the centroid towards a Nash equilibrium, for any number of players."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from solver.algorithms.logit import begin, follow, mixtures, span
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
    near = NEAR if widest.dtype == jnp.float64 else 1e-4

    def regret(path) -> Array:
        return best_deviations(game, mixtures(game, path.z)).gain.max()

    def ended(path) -> Array:
        return path.arrived | ((regret(path) <= near * widest) if precision is None else False)

    def onward(state):
        count, path, points, new = state
        steps = path.num_steps
        for _ in range(STRIDE):
            done = ended(path)
            path = jax.tree.map(lambda new, old, e=done: jnp.where(e, old, new), follow(game, path, target), path)
        return count + 1, path, points.at[count].set(path.z), new.at[count].set(path.num_steps > steps)

    def running(state) -> Array:
        return (state[0] < capacity) & ~ended(state[1])

    start = begin(game, midpoint(game))
    points = jnp.broadcast_to(start.z, (capacity, len(start.z)))
    state = jnp.asarray(0, jnp.int32), start, points, jnp.zeros(capacity, bool)
    _, last, points, new = jax.lax.while_loop(running, onward, state)
    regrets = jax.vmap(lambda z: best_deviations(game, mixtures(game, z)).gain.max())(points)
    # a game whose centroid is an equilibrium takes no step: its path is that point
    mask = new.at[0].set(True) & ended(last)
    strategies = jax.vmap(lambda z: mixtures(game, z))(points)
    strategies = tuple(jnp.where(mask[:, None], s, 0) for s in strategies)
    at = jnp.where(mask, points[:, -1] / widest, jnp.nan)
    regrets = jnp.where(mask, regrets, jnp.nan)
    return EquilibriumSet(game, strategies, mask, mask.sum(), jnp.asarray(False), regrets, at)
