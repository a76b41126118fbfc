r"""A proof that no deviation gains more than ε, by interval arithmetic and branch and bound (Hansen and Walster 2004).

On a box of own strategies Y around c, with the gradient g at c and bounds H of the second derivatives over Y, a payoff is at
most the least of

.. math::
    \sup u(Y),\qquad u(c) + \sup \nabla u(Y)\cdot(Y - c),\qquad
    u(c) + \sum_k \max_{d_k \in Y_k - c_k} \Bigl(g_k d_k + \tfrac12 \lambda_k d_k^2\Bigr),\quad
    \lambda_k = \sup H_{kk} + \sum_{l \ne k} |H_{kl}|

of which the last two need payoffs to be smooth on Y. A ``stop_gradient``, as in ``jax.nn.logsumexp``, counts as a kink, since
nothing says that what it holds still does not matter: the first bound is left, and many more boxes are needed. Boxes that
could still gain more than ε are halved. Where a payoff is concave in the own strategy, the set itself is often box enough.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from solver.continuous.interval_arithmetic import Interval, add, multiply, point, subtract, total
from solver.continuous.intervals import evaluate
from solver.game import AbstractGame, Profile
from solver.spaces import Box

BATCH = 64  # boxes bounded at once
MOST_BOXES = 10_000  # of a player
NARROW = 1e-13  # share of a set; a box that narrow without a bound will not get one


class Bound(NamedTuple):
    """A player's gain from deviating is at most ``high``, and at least ``low`` (of some deviation)."""

    low: float
    high: float
    num_boxes: int


class Traced:
    """Functions of (tree, x), with bounds over BATCH boxes of x at once; numbers in ``tree`` are exact."""

    def __init__(self, tree: Any, functions: Sequence[Callable], size: int):
        arrays, static = eqx.partition(tree, eqx.is_array)
        leaves, treedef = jax.tree.flatten(arrays)

        def traced(function: Callable):
            def of_leaves(leaves, x):
                return function(eqx.combine(jax.tree.unflatten(treedef, leaves), static), x)

            return jax.make_jaxpr(jax.vmap(of_leaves, (None, 0)))(leaves, jnp.zeros((BATCH, size)))

        self.jaxprs = [traced(function) for function in functions]
        arrays = [np.asarray(leaf) for leaf in leaves]
        self.leaves = [point(x) if np.issubdtype(x.dtype, np.floating) else x for x in arrays]

    def __call__(self, y: Interval, which: int, smooth: bool = False) -> Interval:
        """Bounds of one of the functions over the boxes (up to BATCH, size)."""
        count = len(y.low)
        out = evaluate(self.jaxprs[which], *self.leaves, Interval(*map(_filled, y)), smooth=smooth)[0]
        return Interval(out.low[:count], out.high[:count])


def own_payoff(player: int) -> list[Callable]:
    """A player's payoff in its own strategy, of (game, profile), its gradient and its second derivatives."""

    def own(tree, y):
        game, profile = tree
        return game.committed_payoffs(profile, (*profile[:player], y, *profile[player + 1 :]))[player]

    return [own, jax.jacfwd(own, 1), jax.jacfwd(jax.jacfwd(own, 1), 1)]


def bound_gain(game: AbstractGame, profile: Profile, player: int, epsilon: float) -> Bound:
    """Bounds of the player's largest gain, the upper one at most ``epsilon`` if that could be shown.

    :raises UnsupportedPrimitiveError: if the payoffs use an operation without an interval rule.
    """
    with jax.enable_x64(True), np.errstate(all="ignore"):
        game, profile = doubled((game, profile))
        space = game.actions()[player]
        profile = tuple(s.project(x) for s, x in zip(game.actions(), profile, strict=True))
        own = np.asarray(profile[player])
        payoff = Traced((game, profile), own_payoff(player), len(own))
        base = payoff(point(own[None]), 0)
        if isinstance(space, Box):
            return _branch(payoff, own, np.asarray(space.lower), np.asarray(space.upper), base, epsilon)
        low, high = -np.inf, -np.inf
        for corners in np.array_split(np.eye(len(own)), -(-len(own) // BATCH)):
            gain = subtract(payoff(point(corners), 0), base)
            low, high = max(low, _number(gain.low, -np.inf).max()), max(high, _number(gain.high, np.inf).max())
        return Bound(low, high, len(own))


def _branch(payoff: Traced, own, lower, upper, base: Interval, epsilon: float) -> Bound:
    lows, highs, tops = lower[None], upper[None], np.array([np.inf])
    proved, best, count = 0.0, -np.inf, 0
    while len(lows) and count < MOST_BOXES:
        order = np.argsort(-tops, kind="stable")
        now, rest = order[:BATCH], order[BATCH:]
        gain, seen, steep = _bound(payoff, Interval(lows[now], highs[now]), own, base)
        count, best = count + len(now), max(best, seen)
        if best > epsilon:
            break
        done = gain <= epsilon
        narrow = (highs[now] - lows[now] <= NARROW * (upper - lower)).all(axis=1)
        if (narrow & ~done).any():
            tops = np.append(tops, gain[narrow].max())
            break
        proved = max(proved, gain[done].max(initial=0.0))
        open_ = now[~done]
        left, right = _halved(lows[open_], highs[open_], steep[~done], upper - lower)
        lows = np.concatenate([lows[rest], left[0], right[0]])
        highs = np.concatenate([highs[rest], left[1], right[1]])
        tops = np.concatenate([tops[rest], gain[~done], gain[~done]])
    return Bound(best, max(proved, tops.max(initial=0.0)), count)


def _bound(payoff: Traced, y: Interval, own, base: Interval) -> tuple[np.ndarray, float, np.ndarray]:
    """The most that is gained on each box, what is surely gained somewhere, and how steep payoffs are by coordinate."""
    at = point(np.clip(own, y.low, y.high))
    middle = payoff(point((y.low + y.high) / 2), 0)
    here, slope = payoff(at, 0), payoff(at, 1)
    plain, smooth = payoff(y, 0), payoff(y, 0, smooth=True)
    slopes, bends = payoff(y, 1, smooth=True), payoff(y, 2, smooth=True)
    move = subtract(y, at)
    first = add(here, total(multiply(slopes, move), (1,)))
    own_bend = np.arange(bends.shape[1])
    off = np.maximum(np.abs(bends.low), np.abs(bends.high))
    off[:, own_bend, own_bend] = 0
    curve = add(Interval(*(e[:, own_bend, own_bend] for e in bends)), total(point(off), (2,)))
    second = add(here, total(_highest(slope, curve.high, move), (1,)))
    sure = ~np.isnan(smooth.low)
    highs = [_number(plain.high, np.inf), *(np.where(sure, _number(x.high, np.inf), np.inf) for x in (first, second))]
    gain = subtract(Interval(plain.low, np.minimum.reduce(highs)), base).high
    seen = [subtract(x, base).low for x in (middle, here)]
    steep = np.nan_to_num(np.maximum(np.abs(slopes.low), np.abs(slopes.high)), nan=1.0, posinf=1.0)
    return gain, float(_number(np.stack(seen), -np.inf).max()), steep


def _highest(slope: Interval, curve: np.ndarray, move: Interval) -> Interval:
    """An upper bound of max g d + curve d²/2 over the move d, coordinate by coordinate (its lower end is not used)."""
    bend = point(curve)
    square = np.maximum(move.low**2, move.high**2) * (1 + 1e-15)
    lift = multiply(bend, point(0.5 * square))
    linear = multiply(slope, move)
    rising = add(linear, point(np.maximum(lift.high, 0)))
    size = np.maximum(np.abs(slope.low), np.abs(slope.high))
    falling = curve < 0
    vertex = size**2 / np.where(falling, -2 * curve, 1) * (1 + 1e-14) + np.finfo(float).tiny
    return Interval(linear.low, np.where(falling, np.fmin(rising.high, vertex), rising.high))


def _halved(low, high, steep, width):
    """Each box cut where the payoff varies most."""
    share = (high - low) / np.where(width > 0, width, 1)
    at = np.argmax(np.where(steep > 0, steep, 1e-300) * (high - low) + 1e-300 * share, axis=1)
    rows, cut = np.arange(len(low)), (low + high) / 2
    left, right = high.copy(), low.copy()
    left[rows, at], right[rows, at] = cut[rows, at], cut[rows, at]
    return (low, left), (right, high)


def doubled(tree: Any) -> Any:
    """The same numbers in double precision."""
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float64) if eqx.is_inexact_array(x) else x, tree)


def _filled(rows: np.ndarray) -> np.ndarray:
    return np.concatenate([rows, np.repeat(rows[:1], BATCH - len(rows), axis=0)])


def _number(x: np.ndarray, otherwise: float) -> np.ndarray:
    return np.where(np.isnan(x), otherwise, x)
