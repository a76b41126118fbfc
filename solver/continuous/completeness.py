r"""Proofs that the first-order points of a game on boxes are all known, by interval arithmetic over the whole set.

With marginal payoffs g and bounds [J] of their Jacobian over a set, two arguments show that the set holds at most one point
where the first-order conditions hold. Where

.. math:: M d > 0 \text{ for some } d > 0,\qquad M_{kk} = -\sup J_{kk},\quad M_{kl} = -\sup |J_{kl}|

-g is a P-function (generalised diagonal dominance; Gale and Nikaido 1965, Moré and Rheinboldt 1973). Away from bounds it is
enough that :math:`\|1 - C[J]\|_\infty < 1` for some matrix C (Krawczyk 1969). If the first argument does not hold on the
whole, the second or the first is shown near every known point, and boxes elsewhere are halved until a marginal payoff of
one sign rules each out.
"""

from fractions import Fraction

import jax
import numpy as np

from solver.continuous.conditions import flat, marginal_payoffs, split
from solver.continuous.interval_arithmetic import Interval, UnsupportedPrimitiveError, multiply, point, subtract, total
from solver.continuous.proof import BATCH, Traced, doubled
from solver.game import AbstractGame
from solver.spaces import Box

MOST_BOXES = 4_000
SMALLEST = 12  # halvings of the set within which a known point must be alone


def completeness(game: AbstractGame, points: np.ndarray) -> str:
    """Why there are no first-order points but ``points`` (count, n); empty if that could not be shown."""
    if not all(isinstance(space, Box) for space in game.actions()):
        return ""
    with jax.enable_x64(True), np.errstate(all="ignore"):
        game = doubled(game)
        low = np.asarray(flat(tuple(s.lower for s in game.actions())))  # pyright: ignore[reportAttributeAccessIssue]
        high = np.asarray(flat(tuple(s.upper for s in game.actions())))  # pyright: ignore[reportAttributeAccessIssue]
        everything = Interval(low, high)
        try:
            conditions = Conditions(game, len(low))
            if len(points) == 1 and conditions.dominant(everything):
                return "diagonal dominance of the marginal payoffs (a P-function)"
            known = conditions.neighbourhoods(np.clip(points, low, high), everything)
            if known is not None and conditions.rules_out_the_rest(everything, known):
                return "an interval search of the whole set"
        except UnsupportedPrimitiveError:
            return ""
    return ""


class Conditions:
    """Bounds of marginal payoffs and of their Jacobian over boxes of flat profiles."""

    def __init__(self, game: AbstractGame, size: int):
        functions = (
            lambda g, x: g.payoffs(split(g, x)),
            marginal_payoffs,
            lambda g, x: jax.jacfwd(lambda y: marginal_payoffs(g, y))(x),
        )
        self.traced = Traced(game, functions, size)

    def jacobian(self, y: Interval) -> Interval | None:
        """Bounds of the Jacobian over one box, from the pieces it is cut into; None where payoffs may not be smooth."""
        pieces = _pieces(y)
        smooth, slopes = self.traced(pieces, 0, smooth=True), self.traced(pieces, 2, smooth=True)
        if np.isnan(smooth.low).any() or not (np.isfinite(slopes.low) & np.isfinite(slopes.high)).all():
            return None
        return Interval(slopes.low.min(axis=0), slopes.high.max(axis=0))

    def dominant(self, y: Interval) -> bool:
        slopes = self.jacobian(y)
        return slopes is not None and _is_dominant(slopes, np.arange(len(y.low)))

    def neighbourhoods(self, points: np.ndarray, whole: Interval) -> list[Interval] | None:
        """One for every point, None as soon as one is missing: a continuum has many points and no neighbourhood."""
        found = []
        for x in points:
            near = self.neighbourhood(x, whole)
            if near is None:
                return None
            found.append(near)
        return found

    def neighbourhood(self, x: np.ndarray, whole: Interval) -> Interval | None:
        """A box around ``x``, as large as can be shown, in which no other first-order point lies."""
        for halvings in range(1, SMALLEST + 1):
            reach = (whole.high - whole.low) / 2**halvings
            y = Interval(np.maximum(x - reach, whole.low), np.minimum(x + reach, whole.high))
            slopes = self.jacobian(y)
            if slopes is not None and self._alone(y, whole, slopes):
                return y
        return None

    def _alone(self, y: Interval, whole: Interval, slopes: Interval) -> bool:
        g = self.traced(_pieces(y), 1)
        up, down = (g.low > 0).all(axis=0), (g.high < 0).all(axis=0)
        free = np.flatnonzero(~(up & (y.high == whole.high)) & ~(down & (y.low == whole.low)))
        if _is_dominant(slopes, free):
            return True
        inside = (y.low[free] > whole.low[free]) & (y.high[free] < whole.high[free])
        return bool(inside.all()) and _is_regular(slopes, free)

    def rules_out_the_rest(self, whole: Interval, known: list[Interval]) -> bool:
        lows, highs, count = whole.low[None], whole.high[None], 0
        while len(lows):
            now = Interval(lows[-BATCH:], highs[-BATCH:])
            lows, highs = lows[:-BATCH], highs[:-BATCH]
            count += len(now.low)
            if count > MOST_BOXES or not (smooth := ~np.isnan(self.traced(now, 0, smooth=True).low)).any():
                return False
            open_ = ~self._empty(now, whole, np.asarray(smooth.all(axis=1))) & ~_covered(now, known)
            left, right = _halved(Interval(now.low[open_], now.high[open_]), whole)
            lows, highs = np.concatenate([lows, left.low, right.low]), np.concatenate([highs, left.high, right.high])
        return True

    def _empty(self, y: Interval, whole: Interval, smooth: np.ndarray) -> np.ndarray:
        """Where a marginal payoff of one sign would drive a strategy out of the box."""
        g = self.traced(y, 1, smooth=True)
        out = ((g.low > 0) & (y.high < whole.high)) | ((g.high < 0) & (y.low > whole.low))
        return smooth & out.any(axis=1)


def _is_dominant(slopes: Interval, free: np.ndarray) -> bool:
    """M d > 0 of the module's docstring on some coordinates, verified in fractions."""
    size = np.maximum(np.abs(slopes.low), np.abs(slopes.high))[np.ix_(free, free)]
    compared = -size
    np.fill_diagonal(compared, -slopes.high[free, free])
    if not len(free):
        return True
    try:
        weights = np.linalg.solve(compared, np.ones(len(free)))
    except np.linalg.LinAlgError:
        return False
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        return False
    d = [Fraction(w) for w in weights]
    return all(sum(Fraction(m) * w for m, w in zip(row, d, strict=True)) > 0 for row in compared)


def _is_regular(slopes: Interval, free: np.ndarray) -> bool:
    part = Interval(*(e[np.ix_(free, free)] for e in slopes))
    try:
        inverse = np.linalg.inv((part.low + part.high) / 2)
    except np.linalg.LinAlgError:
        return False
    turned = total(multiply(point(inverse[:, :, None]), Interval(part.low[None], part.high[None])), (1,))
    rest = subtract(point(np.eye(len(free))), turned)
    size = np.maximum(np.abs(rest.low), np.abs(rest.high))
    return bool((total(point(size), (1,)).high < 1).all())


def _pieces(y: Interval) -> Interval:
    """The box in BATCH pieces or fewer, cut evenly along as many coordinates as there are cuts for."""
    lows, highs, axis = y.low[None], y.high[None], 0
    while 2 * len(lows) <= BATCH:
        middle = (lows[:, axis] + highs[:, axis]) / 2
        left, right = highs.copy(), lows.copy()
        left[:, axis], right[:, axis] = middle, middle
        lows, highs, axis = np.concatenate([lows, right]), np.concatenate([left, highs]), (axis + 1) % len(y.low)
    return Interval(lows, highs)


def _halved(y: Interval, whole: Interval) -> tuple[Interval, Interval]:
    width = whole.high - whole.low
    rows = np.arange(len(y.low))
    at = np.argmax((y.high - y.low) / np.where(width > 0, width, 1), axis=1)
    left, right = y.high.copy(), y.low.copy()
    left[rows, at] = right[rows, at] = ((y.low + y.high) / 2)[rows, at]
    return Interval(y.low, left), Interval(right, y.high)


def _covered(y: Interval, known: list[Interval]) -> np.ndarray:
    inside = [((y.low >= n.low) & (y.high <= n.high)).all(axis=1) for n in known]
    return np.any(inside, axis=0) if inside else np.zeros(len(y.low), bool)
