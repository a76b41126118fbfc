"""Equilibria that others join: connected sets of them, and the ends of those that are lines.

Everything is in shares of the players' sets, flat profiles (count, n).
"""

from collections.abc import Callable

import numpy as np

STRAIGHT = 1e-3  # how far from the line between its ends a set may be
DIGITS = 5  # of a share, to which a line's points are rounded
ROUNDS = 2  # in which an end is looked for, ever closer


def connected(share: np.ndarray, among: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Numbers of the connected sets: an equilibrium belongs with its nearest predecessor if half-way is an equilibrium too.

    :param among: says which of some profiles are equilibria.
    """
    labels = np.arange(len(share))
    if len(share) < 2:
        return labels
    gaps = [np.abs(share[:j] - share[j]).max(axis=1) for j in range(1, len(share))]
    nearest = np.array([gap.argmin() for gap in gaps])
    linked = among((share[1:] + share[nearest]) / 2)
    for j in range(1, len(share)):
        labels[j] = labels[nearest[j - 1]] if linked[j - 1] else labels[:j].max() + 1
    return labels


def lines_of(share: np.ndarray, labels: np.ndarray, among: Callable, count: int) -> list[np.ndarray]:
    """The ends (2, n) of every connected set that is a line; ``count`` profiles between them were equilibria.

    Found points lie beside the line by as much as their regret does not show: it is taken through rounded ones, and measured.
    """
    found = []
    for label in np.unique(labels):
        points = share[labels == label]
        first = points[0]
        last = points[np.abs(points - first).max(axis=1).argmax()]
        along = last - first
        if len(points) < 3:
            continue
        place = (points - first) @ along / (along @ along)
        if np.abs(points - first - place[:, None] * along).max() > STRAIGHT:
            continue
        first, last = (np.round(first + part * along, DIGITS) for part in (place.min(), place.max()))
        ends = np.stack([_end(first, first - last, among, count), _end(last, last - first, among, count)])
        if among(ends[0] + np.linspace(0, 1, count)[:, None] * (ends[1] - ends[0])).all():
            found.append(ends)
    return found


def _end(known: np.ndarray, way: np.ndarray, among: Callable, count: int) -> np.ndarray:
    """The last equilibrium on the ray from a known one."""
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(way > 0, (1 - known) / way, np.where(way < 0, known / -way, np.inf))
    low, high = 0.0, max(float(room.min()), 0.0)
    for _ in range(ROUNDS):
        steps = np.linspace(low, high, count)
        good = among(np.clip(known + steps[:, None] * way, 0, 1))
        at = count - 1 if good.all() else max(int(good.argmin()) - 1, 0)
        low, high = steps[at], steps[min(at + 1, count - 1)]
    return np.clip(known + low * way, 0, 1)
