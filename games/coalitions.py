r"""Which coalitions form among n identical players, from the payoffs of a member and of an outsider.

.. math::
    \text{open membership: } v_\text{in}(k) \ge v_\text{out}(k-1),\qquad v_\text{out}(k) \ge v_\text{in}(k+1)

(d'Aspremont, Jacquemin, Gabszewicz and Weymark 1983, one coalition of k and n - k singletons.) In Bloch's sequential game
(1996, Games and Economic Behavior 14) a player names the size of its coalition, which forms; the next of those left names
another. With identical players its subgame-perfect partitions are those of the game of coalition unanimity.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

MOST = 16  # players: 2^(n-1) sequences of sizes are compared
TIE = 1e-9  # relative: what counts as equal

Partition = tuple[int, ...]


def stable_sizes(inside: ArrayLike, outside: ArrayLike, tolerance: float = TIE) -> np.ndarray:
    """The sizes k that no member gains by leaving and no outsider by joining (internal and external stability).

    :param inside: a member's payoff at sizes 1..n, shape (n,).
    :param outside: an outsider's payoff at sizes 1..n-1, shape (n-1,); at size 1 it is the member's.
    :param tolerance: gain, relative to the payoffs' largest size, that moves nobody.
    :return: the stable sizes, ascending (int); 1 is no coalition at all.
    :raises ValueError: if the shapes do not fit.
    """
    v, u = np.asarray(inside, float), np.asarray(outside, float)
    if v.ndim != 1 or u.shape != (len(v) - 1,):
        raise ValueError(f"outside has shape {u.shape}: give one payoff for each size but the last, ({len(v) - 1},)")
    gain = tolerance * max(np.abs(v).max(), np.abs(u).max(initial=0.0))
    stays = np.append(True, v[1:] >= u - gain)
    keeps_out = np.append(u >= v[1:] - gain, True)
    return np.flatnonzero(stays & keeps_out) + 1


def sequential_sizes(payoffs: Callable[[Partition], Sequence[float]], players: int) -> Partition:
    r"""The sizes of the coalitions that form in Bloch's sequential game, in the order in which they form.

    .. math:: k^*(h, m) \in \arg\max_{1 \le k \le m} v\bigl(k;\ (h, k, k^*((h, k), m - k), \dots)\bigr)

    after the sizes h with m players left. Of equally good sizes the smallest is taken.

    :param payoffs: maps a partition, as the sizes of its coalitions, to the payoff of a member of each.
    :param players: n, at most 16.
    :raises ValueError: if ``players`` is out of range.
    """
    if not 1 <= players <= MOST:
        raise ValueError(f"players = {players}: give 1 to {MOST}, since 2^(n-1) sequences of sizes are compared")

    def after(formed: Partition, left: int) -> Partition:
        if not left:
            return formed
        ends = [after((*formed, size), left - size) for size in range(1, left + 1)]
        worth = np.array([payoffs(end)[len(formed)] for end in ends], float)
        return ends[int(np.argmax(worth >= worth.max() - TIE * np.abs(worth).max()))]

    return after((), players)


def partitions(players: int) -> list[Partition]:
    """All partitions of n identical players by size, largest first, in a fixed order."""

    def parts(left: int, most: int) -> list[Partition]:
        if not left:
            return [()]
        return [(k, *rest) for k in range(min(left, most), 0, -1) for rest in parts(left - k, k)]

    return parts(players, players)


def cost_reducing_associations(sizes: Partition, margin: float = 1.0, saving: float = 0.01) -> np.ndarray:
    r"""A member's Cournot profit in each association, when a member of one of k has unit cost λ - μk (Bloch 1995).

    .. math:: \pi_a = \Bigl(\frac{(\alpha - \lambda) + \mu\,[(n + 1)\,k_a - \sum_b k_b^2]}{n + 1}\Bigr)^2

    The first association in the sequential game is the integer nearest to (3n + 1)/4 (of two, the smaller).

    :param sizes: the associations' sizes. :param margin: α - λ (price). :param saving: μ (price per member).
    """
    k = np.asarray(sizes, float)
    n = k.sum()
    return (np.maximum(margin + saving * ((n + 1) * k - (k**2).sum()), 0) / (n + 1)) ** 2


def cartels(sizes: Partition, margin: float = 1.0) -> np.ndarray:
    r"""A member's profit in each cartel of a linear Cournot market: π_a = (α - λ)²/(k_a (m + 1)²), m the number of cartels.

    No cartel of two or more is stable under open membership when n > 2 (Salant, Switzer and Reynolds 1983). In the
    sequential game n - K players stay alone and the last K form one, K the first integer from (2n + 3 - √(4n + 5))/2 on
    (Bloch 1996).
    """
    k = np.asarray(sizes, float)
    return (margin / (len(k) + 1)) ** 2 / k
