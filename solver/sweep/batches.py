"""Many games at once whose payoffs are dear and come in batches: best replies and certificates, asked for together.

A game whose payoffs go through an equilibrium of others may offer ``payoffs_in_batches()``: None, or a function that takes a
stack of such games (arrays lead with the game) to a function of games' indices (K,) and profiles (K, players, size) to
payoffs (K, players), on the host. Then no game waits for another's equilibrium. Players hold a Box of one dimension.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from solver.algorithms.best_response import BestResponse, _bounds, inner_tolerance
from solver.algorithms.line_search import asked, opened, told, unfinished
from solver.game import AbstractGame
from solver.regret import Deviation, compared, first_deviations, second_deviations
from solver.solution import Solution, Status
from solver.solve import concluded
from solver.spaces import Box
from solver.sweep.quadratic import first_replies, settle

FEWEST = 16  # games that are compiled for, at least
NEAR = 0.05  # of an end, as a share of a player's set
ATTEMPTS = 6  # of quadratic models, each from where the certificate of the last one found a better reply


class Batches:
    """A stack of games; ``low`` and ``high`` (game, player) are the ends of the players' sets."""

    def __init__(self, games: Any):
        self.games = games
        self._payoffs: Callable[[np.ndarray, np.ndarray], np.ndarray] = games.payoffs_in_batches()(games)
        self.low, self.high = (np.asarray(x)[:, :, 0] for x in _ends(games))

    def __len__(self) -> int:
        return len(self.low)

    def payoffs(self, at: np.ndarray, profiles: np.ndarray) -> np.ndarray:
        """Payoffs (game, point, player) of the games ``at`` at ``profiles`` (game, point, player), each asked for once."""
        num, points, players = profiles.shape
        keys = np.concatenate([np.repeat(at, points)[:, None].astype(float), profiles.reshape(-1, players)], axis=1)
        once, inverse = np.unique(keys, axis=0, return_inverse=True)
        values = self._payoffs(once[:, 0].astype(int), once[:, 1:, None])
        return values[inverse.ravel()].reshape(num, points, players)

    def deviation_payoffs(
        self, at: np.ndarray, x: np.ndarray, players: np.ndarray, deviations: np.ndarray
    ) -> np.ndarray:
        """Payoffs (game, row, point) of the player of each row, ``players`` (row,), at ``deviations`` (game, row, point)."""
        num, rows, points = deviations.shape
        profiles = np.broadcast_to(x[:, None, None], (num, rows, points, x.shape[1])).copy()
        for row, player in enumerate(players):
            profiles[:, row, :, player] = deviations[:, row]
        values = self.payoffs(at, profiles.reshape(num, -1, x.shape[1])).reshape(profiles.shape)
        return np.stack([values[:, row, :, player] for row, player in enumerate(players)], axis=1)

    def certified(self, at: np.ndarray, x: np.ndarray) -> Deviation:
        """What :func:`solver.regret.best_deviations` finds at x (game, player)."""
        everyone = np.arange(x.shape[1])
        profile = tuple(x[:, i, None] for i in everyone)
        first = self.mapped(_first, at, profile)
        seen = self.deviation_payoffs(at, x, everyone, first[..., 0])
        second, error = self.mapped(_second, at, profile, seen)
        more = self.deviation_payoffs(at, x, everyone, second[..., 0])
        return self.mapped(_compared, at, np.concatenate([first, second], 2), np.concatenate([seen, more], 2), error)

    def better(self, at: np.ndarray, x: np.ndarray, found: Deviation) -> tuple[np.ndarray, np.ndarray]:
        """x (game, player) with the deviation that gains most, as a share of its player's range, and how far it goes."""
        games, gain = np.arange(len(x)), found.gain / np.where(found.payoff_range > 0, found.payoff_range, 1)
        player, new = np.nan_to_num(gain).argmax(axis=1), x.copy()
        new[games, player] = np.asarray(found.strategy)[games, player, 0]
        width = (self.high - self.low)[at, player]
        return new, (np.abs(new - x)[games, player] / np.where(width > 0, width, 1))[:, None]

    def rounded(self, at: np.ndarray, x: np.ndarray) -> np.ndarray:
        """x (game, player) with strategies at the ends of their sets that are near them."""
        low, high = self.low[at], self.high[at]
        near = NEAR * (high - low)
        return np.where(x > high - near, high, np.where(x < low + near, low, x))

    def mapped(self, function, at: np.ndarray, *args: Any, shared: tuple = ()) -> Any:
        """``function(game, *args, *shared)`` for the games ``at``, filled up to few sizes to compile for."""
        num = len(at)
        fill = np.resize(np.arange(num), max(FEWEST, 4 ** -(-(num - 1).bit_length() // 2)))
        own = jax.tree.map(lambda leaf: leaf[at[fill]], self.games)
        out = function(own, jax.tree.map(lambda leaf: leaf[fill], args), shared)
        return jax.tree.map(lambda leaf: np.array(leaf)[:num], out)


def _over_games(function):
    return eqx.filter_jit(
        lambda games, args, shared: eqx.filter_vmap(lambda game, args: function(game, *args, *shared))(games, args)
    )


_ends = eqx.filter_jit(eqx.filter_vmap(lambda game: _bounds(game.actions(), jnp.zeros((len(game.players), 1)))))
_first = _over_games(first_deviations)
_second = _over_games(second_deviations)
_compared = _over_games(lambda game, *args: compared(*args))
_opened = _over_games(lambda game, guess: opened(guess))
_asked = _over_games(lambda game, search: asked(search))
_told = _over_games(lambda game, search, values: told(search, values))
_unfinished = _over_games(lambda game, search, tolerance: unfinished(search, tolerance))
_init = _over_games(lambda game, table, algorithm, tolerance: algorithm.init(game, tuple(table), tolerance))
_inner = _over_games(lambda game, state, tolerance: inner_tolerance(state, tolerance))
_moved = _over_games(
    lambda game, state, replies, algorithm, tolerance: algorithm.moved(game, state, replies, tolerance)
)
_ended = _over_games(lambda game, state, algorithm, tolerance: algorithm.terminated(state, tolerance))
_concluded = _over_games(concluded)


def come_in_batches(game: AbstractGame, algorithm: Any) -> bool:
    """Whether games like this one can be solved so, by this algorithm."""
    offer = getattr(game, "payoffs_in_batches", lambda: None)()
    lines = all(isinstance(space, Box) and space.size == 1 for space in game.actions())
    return offer is not None and lines and algorithm == BestResponse()


def solve_in_batches(games: Batches, start: np.ndarray, tolerance, max_steps: int) -> Solution:
    """Equilibria from ``start`` (game, player): by quadratic models, and where these fail by the algorithm itself.

    Each of these searches has ``max_steps``; the solution's are those of the one that ended there.
    """
    solution, at = modelled(games, start, tolerance, max_steps)
    if at.size:
        x, steps, cycle, ended = replied(games, at, start[at], tolerance, max_steps)
        _put(solution, at, _concluded_at(games, at, x, steps, cycle, ended, tolerance)[0])
    return solution


def modelled(games: Batches, start: np.ndarray, tolerance, max_steps: int) -> tuple[Solution, np.ndarray]:
    """The same by quadratic models alone, and the games that these leave unsettled."""
    at, num = np.arange(len(games)), len(games)

    def conclude(at, x, rounds):
        return _concluded_at(games, at, x, rounds, np.zeros_like(rounds), np.full(len(at), max_steps > 0), tolerance)

    if max_steps == 0:
        return conclude(at, start, np.zeros(num, np.int32))[0], at[:0]
    x, solution, away = first_replies(games, at, start), None, np.inf
    for attempt in range(ATTEMPTS):
        rounds = np.zeros(len(at), np.int32)
        if attempt == 1:  # where payoffs have a kink in a corner, models creep up to it and never arrive
            x = games.rounded(at, x)
        else:  # nor do they see that one at a kink is best where it is
            go = np.flatnonzero((x != start).any(axis=1)) if attempt == 0 else np.arange(len(at))
            x[go], rounds[go] = settle(games, at[go], x[go], float(tolerance), max_steps - 1, away)
        part, found = conclude(at, x, 1 + rounds)
        solution = part if solution is None else _put(solution, at, part)
        x, away = games.better(at, x, found)
        # models that come back to payoffs which are not finite elsewhere, with no better reply known, would do so again
        stuck = np.isfinite(found.payoffs).all(axis=1) & (part.status == Status.non_finite) & (away[:, 0] == 0)
        failed = np.flatnonzero((part.status != 0) & ~stuck)
        at, x, away = at[failed], x[failed], away[failed]
        if not at.size:
            break
    assert solution is not None
    return solution, np.flatnonzero(solution.status != 0)


def _concluded_at(games: Batches, at, x, steps, cycle, settled, tolerance) -> tuple[Solution, Deviation]:
    """The solutions of the games ``at``, by the certificates of x (game, player), and these."""
    profile, found = tuple(x[:, i, None] for i in range(x.shape[1])), games.certified(at, x)
    return games.mapped(_concluded, at, profile, found, settled, steps, cycle, shared=(tolerance,)), found


def _put(whole: Any, at: np.ndarray, part: Any) -> Any:
    for old, new in zip(jax.tree.leaves(whole), jax.tree.leaves(part), strict=True):
        old[at] = new
    return whole


def replied(games: Batches, at: np.ndarray, x: np.ndarray, tolerance, max_steps: int):
    """:class:`BestResponse` with its payoffs from batches: profile, steps, length of the cycle, whether it ended by itself."""
    algorithm, shared = BestResponse(), (tolerance,)
    state = games.mapped(_init, at, x[:, :, None], shared=(algorithm, *shared))
    ended = games.mapped(_ended, at, state, shared=(algorithm, *shared))
    while (on := np.flatnonzero(~ended & (state.num_steps < max_steps))).size:
        own = jax.tree.map(lambda leaf, on=on: leaf[on], state)
        inner = games.mapped(_inner, at[on], own, shared=shared)
        table = own.table[:, :, 0].copy()
        for player in range(table.shape[1]):
            table[:, player] = _line_maxima(games, at[on], table, player, inner)
        new = games.mapped(_moved, at[on], own, table[:, :, None], shared=(algorithm, *shared))
        _put(state, on, new)
        ended[on] = games.mapped(_ended, at[on], new, shared=(algorithm, *shared))
    return state.table[:, :, 0], state.num_steps, state.cycle, ended


def _line_maxima(games: Batches, at: np.ndarray, x: np.ndarray, player: int, inner: np.ndarray) -> np.ndarray:
    """The player's best replies to x (game, player), by :mod:`solver.algorithms.line_search`."""
    low, width = games.low[at, player], (games.high - games.low)[at, player]
    search = games.mapped(_opened, at, (x[:, player] - low) / np.where(width > 0, width, 1))
    on = np.arange(len(at))
    while on.size:
        own = jax.tree.map(lambda leaf, on=on: leaf[on], search)
        points = games.mapped(_asked, at[on], own)
        deviations = (low[on, None] + width[on, None] * points)[:, None]
        values = games.deviation_payoffs(at[on], x[on], np.array([player]), deviations)[:, 0]
        own = games.mapped(_told, at[on], own, values)
        _put(search, on, own)
        on = on[games.mapped(_unfinished, at[on], own, inner[on])]
    return low + width * search.candidate
