r"""Classes of finite games drawn at random or scaled in size, after GAMUT (Nudelman, Wortman, Shoham and Leyton-Brown 2004).

Every function takes sizes and, where something is drawn, ``seed``; it returns a NormalForm with one payoff array
(player, a_0, ..., a_{n-1}). Payoffs are in no unit.
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from solver import NormalForm


def _table(sizes: Sequence[int], payoff: Callable[[tuple[int, ...]], Sequence[float]]) -> NormalForm:
    table = np.zeros((len(sizes), *sizes))
    for actions in np.ndindex(*sizes):
        table[(slice(None), *actions)] = payoff(actions)
    return NormalForm(table)


def random_game(sizes: Sequence[int], seed: int) -> NormalForm:
    """All payoffs independent and uniform on [-1, 1]."""
    return NormalForm(np.random.default_rng(seed).uniform(-1, 1, (len(sizes), *sizes)))


def covariant_game(sizes: Sequence[int], correlation: float, seed: int) -> NormalForm:
    """Normal payoffs, correlated across players (Rinott and Scarsini 2000): 1 is common interest; -1, of two, zero-sum.

    :raises ValueError: unless -1/(players - 1) <= correlation <= 1.
    """
    n = len(sizes)
    least = -1 / (n - 1)
    if not least <= correlation <= 1:
        raise ValueError(f"correlation = {correlation}: with {n} players it must lie between {least:.3g} and 1")
    covariance = np.full((n, n), correlation) + (1 - correlation) * np.eye(n)
    draws = np.random.default_rng(seed).multivariate_normal(np.zeros(n), covariance, tuple(sizes), method="eigh")
    return NormalForm(np.moveaxis(draws, -1, 0))


def congestion_game(players: int, facilities: int, seed: int) -> NormalForm:
    r"""Each player uses one facility; its worth falls with the number k of users (Rosenthal 1973).

    .. math:: u_i = c_f(k_f),\qquad c_f \text{ decreasing}

    A potential game: a pure equilibrium always exists.
    """
    worth = np.sort(np.random.default_rng(seed).uniform(0, 1, (facilities, players)), axis=1)[:, ::-1]
    return _table([facilities] * players, lambda a: [worth[f, a.count(f) - 1] for f in a])


def coordination_game(players: int, actions: int, seed: int) -> NormalForm:
    """The same for all: a draw on [0, 1] if all choose alike, on [-1, 0] otherwise. Every common choice is an equilibrium."""
    rng = np.random.default_rng(seed)

    def payoff(a: tuple[int, ...]) -> list[float]:
        return [rng.uniform(0, 1) if len(set(a)) == 1 else rng.uniform(-1, 0)] * players

    return _table([actions] * players, payoff)


def dispersion_game(players: int, actions: int) -> NormalForm:
    """1 for a player that is alone with its action, else 0 (Grenager, Powers and Shoham 2002)."""
    return _table([actions] * players, lambda a: [float(a.count(own) == 1) for own in a])


def travellers_dilemma(claims: int, reward: float = 2.0, lowest: float = 2.0) -> NormalForm:
    """Two claims lowest, lowest + 1, ...: both get the lower, its claimant ``reward`` more, the other less (Basu 1994).

    With a reward above 1 the only equilibrium is the lowest claim of both.
    """

    def payoff(a: tuple[int, ...]) -> list[float]:
        sign = np.sign(a[1] - a[0])
        return [lowest + min(a) + sign * reward, lowest + min(a) - sign * reward]

    return _table([claims] * 2, payoff)


def minimum_effort_game(players: int, efforts: int, benefit: float = 2.0, cost: float = 1.0) -> NormalForm:
    r"""The weakest link (Van Huyck, Battalio and Beil 1990): :math:`u_i = b \min_j e_j - c\,e_i`, efforts 1, 2, ...

    Every common effort is an equilibrium where benefit >= cost.
    """
    return _table([efforts] * players, lambda a: [benefit * (min(a) + 1) - cost * (own + 1) for own in a])


def location_game(players: int, places: int) -> NormalForm:
    """Shops on a line of ``places`` customers, each of whom buys at the nearest, ties shared (Hotelling 1929)."""

    def payoff(a: tuple[int, ...]) -> list[float]:
        distance = np.abs(np.arange(places)[:, None] - np.array(a))
        nearest = distance == distance.min(axis=1, keepdims=True)
        return (nearest / nearest.sum(axis=1, keepdims=True)).sum(axis=0).tolist()

    return _table([places] * players, payoff)


def war_of_attrition(periods: int, values: tuple[float, float] = (3.0, 3.0), cost: float = 1.0) -> NormalForm:
    """Two wait 0, 1, ... periods at ``cost`` each; who waits longer wins its value, a tie is split (Maynard Smith 1974)."""

    def payoff(a: tuple[int, ...]) -> list[float]:
        share = (
            1.0 if a[0] > a[1] else 0.5 if a[0] == a[1] else 0.0,
            1.0 if a[1] > a[0] else 0.5 if a[0] == a[1] else 0.0,
        )
        return [v * s - cost * min(a) for v, s in zip(values, share, strict=True)]

    return _table([periods] * 2, payoff)


def polymatrix_game(players: int, actions: int, seed: int) -> NormalForm:
    r"""A bimatrix game with every other player: :math:`u_i = \sum_j A_{ij}[a_i, a_j]`, A uniform (Yanovskaya 1968)."""
    return _graphical(players, actions, seed, list(itertools.permutations(range(players), 2)))


def graphical_game(players: int, actions: int, seed: int) -> NormalForm:
    """The same, but with one's two neighbours on a ring only (Kearns, Littman and Singh 2001)."""
    pairs = {(i, (i + k) % players) for i in range(players) for k in (-1, 1)}
    return _graphical(players, actions, seed, sorted(pair for pair in pairs if pair[0] != pair[1]))


def _graphical(players: int, actions: int, seed: int, pairs: list[tuple[int, int]]) -> NormalForm:
    rng = np.random.default_rng(seed)
    tables = {pair: rng.uniform(-1, 1, (actions, actions)) for pair in pairs}

    def payoff(a: tuple[int, ...]) -> list[float]:
        return [sum(table[a[i], a[j]] for (i, j), table in tables.items() if i == own) for own in range(players)]

    return _table([actions] * players, payoff)
