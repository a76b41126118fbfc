r"""One curve of first-order points in a parameter, through folds, by pseudo-arclength (Keller 1977).

With A the coordinates that a bound holds, λ the parameter and both measured as shares of their intervals,

.. math:: H(x, \lambda) = \begin{cases} g_i(x, \lambda) & i \notin A\\ x_i - \mathrm{bound}_i(\lambda) & i \in A\end{cases}
    = 0,\qquad \dot H = 0,\quad |(\dot x, \dot\lambda)| = 1

A step goes along the tangent and is corrected across it. A curve goes on where a bound becomes active or slack, in the
direction in which complementarity holds. Between two points are located: a fold, where :math:`\dot\lambda` changes sign; a
branch point, where :math:`\det(DH; \dot x, \dot\lambda)` does (Allgower and Georg 1990, §8.1); and where the spectral
radius of the best replies' Jacobian passes 1.
"""

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from solver.continuous.conditions import bounds, marginal_payoffs, owners
from solver.game import AbstractGame

FIRST, LONGEST, SHORTEST = 1e-3, 2e-2, 1e-8  # steps, as shares of the sets and of the parameter's interval
TURN = 0.98  # least cosine between two tangents
MOST = 4000  # points of a curve
CORRECTIONS = 8
NEAR = 0.1  # share of the sets within which a start must be


@dataclasses.dataclass(frozen=True)
class Point:
    """A first-order point: ``y`` holds strategies and the parameter as shares, ``held`` -1 or 1 where a bound is active."""

    y: np.ndarray
    held: np.ndarray
    tangent: np.ndarray


@dataclasses.dataclass(frozen=True)
class Event:
    """What happens at a point, and whether stability changes there."""

    point: Point
    kind: str
    exchange: bool = False


@eqx.filter_jit
def _conditions(game: AbstractGame, moves, x) -> tuple[Array, Array, Array]:
    """Marginal payoffs and bounds, (3, n), and their derivatives in ``x`` and along ``moves``, a tangent of the game.

    Compiled once for games of one kind, however they are made.
    """

    def at(game, x):
        return jnp.stack([marginal_payoffs(game, x), *bounds(game)])

    values, by_value = eqx.filter_jvp(lambda game: at(game, x), (game,), (moves,))
    return values, jax.jacfwd(lambda x: at(game, x))(x), by_value


class Curves:
    """The first-order conditions of ``make_game(value)`` for values of an interval, and the curves they make."""

    def __init__(self, make_game: Callable[..., AbstractGame], interval: tuple[float, float]):
        self.start, self.end = interval
        game = make_game(jnp.asarray(self.start, jnp.result_type(float)))
        self.owners = owners(game)
        low, high = (np.asarray(b, float) for b in bounds(game))
        self.low, self.width = low, np.where(high > low, high - low, 1.0)
        self.tolerance = float(np.sqrt(jnp.finfo(jnp.result_type(float)).eps)) / 10

        self._seen: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}  # a step's tests come back to its ends
        self._game = eqx.filter_jit(lambda value: eqx.filter_jvp(make_game, (value,), (jnp.ones_like(value),)))

    def x(self, y: np.ndarray) -> np.ndarray:
        return self.low + self.width * y[:-1]

    def value(self, y: np.ndarray) -> float:
        return self.start + (self.end - self.start) * y[-1]

    def place(self, x: np.ndarray, value: float) -> np.ndarray:
        return np.append((x - self.low) / self.width, (value - self.start) / (self.end - self.start))

    def at(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """g and the slacks of the two bounds, (3, n), and their derivatives by y, (3, n, n + 1)."""
        key = y.tobytes()
        if key not in self._seen:
            self._seen[key] = self._at(y)
        return self._seen[key]

    def _at(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        dtype = jnp.result_type(float)
        game, moves = self._game(jnp.asarray(self.value(y), dtype))
        parts = _conditions(game, moves, self.x(y).astype(dtype))
        (g, low, high), by_x, by_value = (np.asarray(part, float) for part in parts)
        x, own = self.x(y), np.eye(len(g))
        values = np.stack([g, x - low, high - x])
        slopes = np.stack([by_x[0], own - by_x[1], by_x[2] - own]) * self.width
        last = np.stack([by_value[0], -by_value[1], by_value[2]]) * (self.end - self.start)
        return values, np.concatenate([slopes, last[..., None]], axis=2)

    def system(self, y: np.ndarray, held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """H and DH, every row divided by its length, which moves neither zeros nor signs of determinants."""
        values, slopes = self.at(y)
        row, all_ = np.where(held == 0, 0, np.where(held < 0, 1, 2)), np.arange(len(held))
        value, slope = values[row, all_], slopes[row, all_]
        length = np.linalg.norm(slope, axis=1)
        length = np.where(length > 0, length, 1)
        return value / length, slope / length[:, None]

    def tangent(self, y: np.ndarray, held: np.ndarray, along: np.ndarray) -> np.ndarray:
        t = np.linalg.svd(self.system(y, held)[1])[2][-1]
        return t if t @ along >= 0 else -t

    def correct(self, y: np.ndarray, held: np.ndarray, across: np.ndarray) -> np.ndarray | None:
        """Newton's method on H = 0 in the plane through ``y`` that is perpendicular to ``across``."""
        for _ in range(CORRECTIONS):
            value, slope = self.system(y, held)
            matrix = np.vstack([slope, across])
            if not (np.isfinite(matrix).all() and np.isfinite(value).all()):
                return None
            try:
                move = np.linalg.solve(matrix, np.append(value, 0.0))
            except np.linalg.LinAlgError:
                return None
            y = y - move
            if np.abs(move).max() <= self.tolerance:
                return y
        return None

    def begin(self, x: np.ndarray, value: float) -> Point | None:
        """The first-order point next to an equilibrium at a value; None if there is none (payoffs may have a kink)."""
        y = self.place(np.asarray(x, float), value)
        (g, below, above), _ = self.at(y)
        near = 1e-5 * self.width
        held = np.where((below <= near) & (g < 0), -1, np.where((above <= near) & (g > 0), 1, 0))
        held = np.where(below + above <= 0, -1, held)
        up = np.append(np.zeros(len(x)), 1.0)
        corrected = self.correct(y, held, up)
        if corrected is None or np.abs(corrected - y).max() > NEAR:
            return None
        return Point(corrected, held, self.tangent(corrected, held, up))

    def slack(self, y: np.ndarray, held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What must not be negative: (2, n), the room to each bound, or minus the pull away from the one that holds."""
        values, slopes = self.at(y)
        size = np.linalg.norm(slopes[0], axis=1)
        g, dg = values[0] / np.where(size > 0, size, 1), slopes[0] / np.where(size > 0, size, 1)[:, None]
        fixed = values[1] + values[2] <= 0
        pull = np.where(fixed, 1.0, g * held)
        room = np.where(held == 0, values[1:] / self.width, pull)
        moves = np.where((held == 0)[:, None], slopes[1:] / self.width[:, None], dg * held[:, None])
        return room, moves

    def follow(self, begin: Point) -> Iterator[Point | Event]:
        """The points from ``begin`` along its tangent, and the events between them in order, until the curve leaves.

        Ends after an event "end" (of the interval), "closed" (back at ``begin``), "lost" or "unfinished".
        """
        point, length = begin, FIRST
        for count in range(MOST):
            new = self._step(point, length)
            if new is None:
                length /= 2
                if length < SHORTEST:
                    yield Event(point, "lost")
                    return
                continue
            room, _ = self.slack(new.y, new.held)
            if not 0 <= new.y[-1] <= 1:
                new, length = self._end(point, new, length)
                room, _ = self.slack(new.y, new.held)
                if room.min() >= -self.tolerance:
                    yield from self.smooth_events(point, new, length)
                    yield new
                    yield Event(new, "end")
                    return
            if room.min() < -self.tolerance:
                event = self._switch(point, length, room)
                if event is None:
                    yield Event(point, "lost")
                    return
                yield from self.smooth_events(point, dataclasses.replace(event.point, held=point.held), length)
                yield event.point
                yield event
                point, length = event.point, FIRST
                continue
            yield from self.smooth_events(point, new, length)
            yield new
            if count > 3 and np.linalg.norm(new.y - begin.y) < length and new.tangent @ begin.tangent > TURN:
                yield Event(new, "closed")
                return
            point, length = new, min(LONGEST, 1.5 * length)
        yield Event(point, "unfinished")

    def _end(self, point: Point, new: Point, length: float) -> tuple[Point, float]:
        """The point at the end of the interval that the step from ``point`` to ``new`` leaves, and the step to it."""
        end = float(new.y[-1] > 1)
        length = self._locate(point, length, lambda p: p.y[-1] - end)
        new = self._step(point, length) or new
        y = self.correct(np.append(new.y[:-1], end), new.held, np.append(np.zeros(len(new.held)), 1.0))
        return (new if y is None else dataclasses.replace(new, y=y)), length

    def _step(self, point: Point, length: float) -> Point | None:
        if length == 0:
            return point
        y = self.correct(point.y + length * point.tangent, point.held, point.tangent)
        if y is None or np.linalg.norm(y - point.y) > 1.5 * abs(length):
            return None
        tangent = self.tangent(y, point.held, point.tangent)
        return Point(y, point.held, tangent) if tangent @ point.tangent >= TURN else None

    def _locate(self, point: Point, length: float, test: Callable[[Point], float]) -> float:
        """Where on the step a function of the point changes its sign; the step's end if it does not."""
        low, high = 0.0, length

        def at(part):
            there = self._step(point, part)
            return np.nan if there is None else test(there)

        first = at(low)
        if not first * at(high) < 0:
            return low if abs(first) <= self.tolerance else high
        while high - low > 1e-12:
            middle = (low + high) / 2
            value = at(middle)
            if np.isnan(value):
                return middle  # next to a branch point the tangent is not determined
            low, high = (middle, high) if first * value > 0 else (low, middle)
        return (low + high) / 2

    def _switch(self, point: Point, length: float, room: np.ndarray) -> Event | None:
        """The first place on the step where a bound becomes active or slack, and the direction from there on."""
        found = []
        for which, i in zip(*np.nonzero(room < -self.tolerance), strict=True):
            found.append((self._locate(point, length, partial(self._room, which, i)), which, i))
        at, which, i = min(found)
        there = self._step(point, at)
        if there is None:
            return None
        held = there.held.copy()
        held[i] = 0 if held[i] else (-1, 1)[which]
        tangent = self.tangent(there.y, held, there.tangent)
        side = 0 if there.held[i] <= 0 and held[i] <= 0 else 1
        inward = self.slack(there.y, held)[1][side, i] @ tangent
        if abs(inward) < 1e-9:
            return None
        tangent = tangent if inward > 0 else -tangent
        turned = tangent[-1] * there.tangent[-1] < 0
        kind = "bound active" if held[i] else "bound slack"
        return Event(Point(there.y, held, tangent), "fold at a bound" if turned else kind)

    def _room(self, which: int, i: int, point: Point) -> float:
        return float(self.slack(point.y, point.held)[0][which, i])

    def smooth_events(self, old: Point, new: Point, length: float) -> list[Event]:
        """Folds, branch points and changes of stability between two points, in order."""
        tests = {"branch point": self._determinant, "fold": lambda p: p.tangent[-1], "stability": self._unstable}
        found: list[list] = []
        for kind, test in tests.items():
            if not test(old) * test(new) < 0:
                continue
            at = self._locate(old, length, test)
            same = [event for event in found if abs(event[0] - at) < 1e-2 * length]
            if same:
                same[0][2] |= kind == "stability"
            else:
                between = dataclasses.replace(old, y=old.y + at / length * (new.y - old.y))
                found.append([at, Event(self._step(old, at) or between, kind), kind == "stability"])
        return [
            dataclasses.replace(event, exchange=exchange) for _, event, exchange in sorted(found, key=lambda f: f[0])
        ]

    def _determinant(self, point: Point) -> float:
        slope = self.system(point.y, point.held)[1]
        return float(np.linalg.det(np.vstack([slope, point.tangent])))

    def _unstable(self, point: Point) -> float:
        return min(self.spectral_radius(point), 1e6) - 1

    def spectral_radius(self, point: Point) -> float:
        """ρ of the Jacobian of simultaneous best replies, of the coordinates that no bound holds; inf if one is not single."""
        _, slopes = self.at(point.y)
        bend, reply = slopes[0][:, :-1], np.zeros((len(point.held),) * 2)
        for player in np.unique(self.owners):
            mine = np.flatnonzero((self.owners == player) & (point.held == 0))
            if not len(mine):
                continue
            own = bend[np.ix_(mine, mine)]
            if not np.linalg.eigvalsh((own + own.T) / 2).max() < 0:
                return float("inf")
            reply[mine] = -np.linalg.solve(own, np.where(self.owners == player, 0, bend[mine]))
        return float(np.abs(np.linalg.eigvals(reply)).max())
