r"""Exact answers for two-player games, in rational arithmetic.

A floating-point payoff is a rational number, so nothing is assumed: payoffs become whole numbers over a common denominator,
the bordered minors of ``minors`` become whole numbers, their signs are what they are, and

.. math:: y_j = |E(I, J \setminus j)| \Big/ \sum_{j \in J} |E(I, J \setminus j)|

is a fraction. Vertices that several supports share are told by their labels, so degenerate games are no exception.
"""

import functools
import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from solver.finite.minors import supports
from solver.normal_form import NormalForm

LARGEST = 20_000  # supports


class Extreme(NamedTuple):
    """An extreme equilibrium in fractions: strategies, and which row and column labels each side's vertex has."""

    x: tuple[Fraction, ...]
    y: tuple[Fraction, ...]
    x_labels: frozenset[int]
    y_labels: frozenset[int]


def extreme_equilibria(game: NormalForm) -> list[Extreme]:
    """All extreme equilibria of a two-player game, exactly; complete for degenerate games too.

    :raises ValueError: unless there are two players and at most 20,000 supports (8x8 has 12,869).
    """
    from solver.finite.support import two_players

    m, n = two_players(game)
    count = math.comb(m + n, m) - 1
    if count > LARGEST:
        raise ValueError(f"extreme_equilibria: {m}x{n} actions make {count} supports, above {LARGEST}")
    A, B = (whole(matrix) for matrix in np.asarray(game.payoff_array, float))
    y_side = _vertices(A, m, n)
    x_side = _vertices([list(column) for column in zip(*B, strict=True)], n, m)
    # labels: rows 0 .. m - 1, columns m .. m + n - 1
    ys = {frozenset([*tight, *(m + j for j in zero)]): y for (tight, zero), y in y_side.items()}
    xs = {frozenset([*(m + j for j in tight), *zero]): x for (tight, zero), x in x_side.items()}
    pairs = [(a, b) for a in xs for b in ys if len(a | b) == m + n]
    found = [Extreme(xs[a], ys[b], a, b) for a, b in pairs]
    return sorted(found, key=lambda e: (sum(v > 0 for v in e.x + e.y), [-v for v in e.x + e.y]))


def whole(matrix) -> list[list[int]]:
    """The matrix times the least number that makes all entries whole; floats are taken at their exact value."""
    fractions = [[Fraction(value) for value in row] for row in matrix]
    common = math.lcm(*(value.denominator for row in fractions for value in row))
    return [[int(value * common) for value in row] for row in fractions]


def _vertices(A: list[list[int]], m: int, n: int) -> dict:
    """Vertices of {(y, v) : A y <= v, y >= 0, sum y = 1} by their labels (tight rows, zero columns)."""

    @functools.cache
    def minor(I, J):
        if len(I) == 1:
            return 1
        return sum((-1) ** p * A[i][J[0]] * minor(I[:p] + I[p + 1 :], J[1:]) for p, i in enumerate(I) if A[i][J[0]])

    found = {}
    for I, J in supports(m, n):
        shares = [(-1) ** (len(I) + q) * minor(I, J[:q] + J[q + 1 :]) for q in range(len(J))]
        total = sum(shares)
        sign = (total > 0) - (total < 0)
        if not sign or any(share * sign < 0 for share in shares):
            continue
        slacks = {
            i: (-1) ** (1 + sum(other > i for other in I)) * minor(tuple(sorted((*I, i))), J) * sign
            for i in set(range(m)) - set(I)
        }
        if any(slack < 0 for slack in slacks.values()):
            continue
        y = [Fraction(0)] * n
        for j, share in zip(J, shares, strict=True):
            y[j] = Fraction(share, total)
        tight = frozenset(I) | {i for i, slack in slacks.items() if not slack}
        found[tight, frozenset(j for j in range(n) if not y[j])] = tuple(y)
    return found


def certify_support(game: NormalForm, profile) -> tuple[tuple[Fraction, ...], ...] | None:
    """The equilibrium on the profile's support, solved and verified without rounding; None if there is none.

    The support: for each player the actions with more than 1e-6 of probability. Two players, or any number in pure strategies.
    """
    strategies = [np.asarray(s, float) for s in profile]
    support = [tuple(int(a) for a in np.flatnonzero(s > 1e-6)) for s in strategies]
    tables = np.asarray(game.payoff_array, float)
    if all(len(s) == 1 for s in support):
        return _pure(tables, tuple(s[0] for s in support))
    if len(support) != 2:
        return None
    A, B = ([[Fraction(v) for v in row] for row in matrix] for matrix in tables)
    B = [list(column) for column in zip(*B, strict=True)]
    y = _indifferent(A, support[0], support[1], strategies[1])
    x = _indifferent(B, support[1], support[0], strategies[0])
    if x is None or y is None or not (_best(A, y, x) and _best(B, x, y)):
        return None
    return tuple(x), tuple(y)


def _pure(tables: np.ndarray, actions: tuple[int, ...]):
    for player, table in enumerate(tables):
        line = table[(*actions[:player], slice(None), *actions[player + 1 :])]
        if line[actions[player]] < line.max():
            return None
    sizes = tables.shape[1:]
    return tuple(tuple(Fraction(int(a == b)) for b in range(n)) for a, n in zip(actions, sizes, strict=True))


def _best(A, y, x) -> bool:
    pays = [sum(a * b for a, b in zip(row, y, strict=True)) for row in A]
    return all(pay == max(pays) for pay, share in zip(pays, x, strict=True) if share)


def _indifferent(A, rows, columns, near) -> list[Fraction] | None:
    """A mixture over ``columns`` that makes ``rows`` equally good; where there are many, unpivoted shares stay ``near``."""
    k = len(columns)
    system = [[*(A[i][j] - A[rows[0]][j] for j in columns), Fraction(0)] for i in rows[1:]]
    system.append([Fraction(1)] * (k + 1))
    pivots: list[int] = []
    for c in range(k):
        at = next((r for r in range(len(pivots), len(system)) if system[r][c]), None)
        if at is None:
            continue
        r = len(pivots)
        system[r], system[at] = system[at], system[r]
        system[r] = [v / system[r][c] for v in system[r]]
        for other in range(len(system)):
            if other != r and system[other][c]:
                system[other] = [a - system[other][c] * b for a, b in zip(system[other], system[r], strict=True)]
        pivots.append(c)
    if any(line[-1] for line in system[len(pivots) :]):
        return None
    share = [Fraction(float(near[j])).limit_denominator(10**6) for j in columns]
    for r, c in enumerate(pivots):
        free = [f for f in range(k) if f not in pivots]
        share[c] = system[r][-1] - sum((system[r][f] * share[f] for f in free), Fraction(0))
    if any(v < 0 for v in share):
        return None
    y = [Fraction(0)] * len(A[0])
    for j, v in zip(columns, share, strict=True):
        y[j] = v
    return y
