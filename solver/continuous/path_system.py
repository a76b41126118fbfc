r"""The first-order conditions of a game along a parameter, as a system of one equation fewer than unknowns.

With A the coordinates that a bound holds, λ the parameter and both measured as shares of their intervals,

.. math:: H(x, \lambda) = \begin{cases} g_i(x, \lambda) & i \notin A\\ x_i - \mathrm{bound}_i(\lambda) & i \in A\end{cases}
    = 0,\qquad \dot H = 0,\quad |(\dot x, \dot\lambda)| = 1
"""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from solver.continuous.conditions import bounds, marginal_payoffs, owners
from solver.game import AbstractGame

CORRECTIONS = 8
NEAR = 0.1  # share of the sets within which a start must be


@dataclasses.dataclass(frozen=True)
class Point:
    """A first-order point: ``y`` holds strategies and the parameter as shares, ``held`` -1 or 1 where a bound is active."""

    y: np.ndarray
    held: np.ndarray
    tangent: np.ndarray


@eqx.filter_jit
def _conditions(game: AbstractGame, moves, x) -> tuple[Array, Array, Array]:
    """Marginal payoffs and bounds, (3, n), and their derivatives in ``x`` and along ``moves``, a tangent of the game.

    Compiled once for games of one kind, however they are made.
    """

    def at(game, x):
        return jnp.stack([marginal_payoffs(game, x), *bounds(game)])

    values, by_value = eqx.filter_jvp(lambda game: at(game, x), (game,), (moves,))
    return values, jax.jacfwd(lambda x: at(game, x))(x), by_value


class System:
    """The first-order conditions of ``make_game(value)`` for values of an interval, and their derivatives."""

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

    def equations(self, y: np.ndarray, held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """H and DH, every row divided by its length, which moves neither zeros nor signs of determinants."""
        values, slopes = self.at(y)
        row, all_ = np.where(held == 0, 0, np.where(held < 0, 1, 2)), np.arange(len(held))
        value, slope = values[row, all_], slopes[row, all_]
        length = np.linalg.norm(slope, axis=1)
        length = np.where(length > 0, length, 1)
        return value / length, slope / length[:, None]

    def tangent(self, y: np.ndarray, held: np.ndarray, along: np.ndarray) -> np.ndarray:
        t = np.linalg.svd(self.equations(y, held)[1])[2][-1]
        return t if t @ along >= 0 else -t

    def correct(self, y: np.ndarray, held: np.ndarray, across: np.ndarray) -> np.ndarray | None:
        """Newton's method on H = 0 in the plane through ``y`` that is perpendicular to ``across``."""
        for _ in range(CORRECTIONS):
            value, slope = self.equations(y, held)
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

    def determinant(self, point: Point) -> float:
        """det(DH; tangent), which changes sign at branch points."""
        return float(np.linalg.det(np.vstack([self.equations(point.y, point.held)[1], point.tangent])))

    def other_direction(self, point: Point) -> np.ndarray:
        """At a branch point, what DH maps to zero besides the tangent, perpendicular to it."""
        first, second = np.linalg.svd(self.equations(point.y, point.held)[1])[2][-2:]
        across = first * (second @ point.tangent) - second * (first @ point.tangent)
        return across / np.linalg.norm(across)

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
