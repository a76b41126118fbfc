"""Adaptive sweeps: the points of a grid that a boundary between regimes needs, found from coarse cells to fine ones.

A cell is a box between neighbouring points of a coarse grid; a boundary crosses it if two of its corners have different
labels. Level by level the cells that are crossed are halved along every axis, and on each level their neighbours are
measured too, and theirs if they are crossed in turn, so that a boundary is followed wherever it leads.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

FEWEST = 16  # coarse cells along an axis, unless a step is given


def coarse_steps(shape: tuple[int, ...], step: int | None) -> tuple[int, ...]:
    """Points from one coarse point to the next, along every axis.

    :raises ValueError: if ``step`` is no power of two.
    """
    if step is None:
        return tuple(1 << max(0, ((n - 1) // FEWEST).bit_length() - 1) for n in shape)
    if isinstance(step, bool) or not isinstance(step, (int, np.integer)) or step < 1 or step & (step - 1):
        raise ValueError(f"coarse_step is {step!r}: give a power of two")
    return (int(step),) * len(shape)


def nodes(shape: tuple[int, ...], steps: Sequence[int]) -> list[np.ndarray]:
    """Along every axis the places of a coarse grid's points; the last is always one, so that cells fill the grid."""
    return [np.append(np.arange(0, n - 1, step), n - 1) for n, step in zip(shape, steps, strict=True)]


def num_coarse(shape: tuple[int, ...], steps: Sequence[int]) -> int:
    """The points that are solved first."""
    return math.prod(map(len, nodes(shape, steps)))


def refined(
    shape: tuple[int, ...], steps: Sequence[int], measure: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """The labels (*shape, ...) at the points measured, and where they were, (*shape).

    :param measure: the labels (points, ...) at some points, given by their places in C order; called with the coarse
        grid's first, and with every point at most once.
    """
    at = nodes(shape, steps)
    wanted = np.ones([len(p) for p in at], bool)
    solved, labels = np.zeros(shape, bool), np.zeros(0)
    while True:
        here = np.ix_(*at)
        while (new := wanted & ~solved[here]).any():
            places = tuple(p[i] for p, i in zip(at, np.nonzero(new), strict=True))
            found = measure(np.ravel_multi_index(places, shape))
            if not labels.size:
                labels = np.zeros((*shape, *found.shape[1:]), found.dtype)
            labels[places], solved[places] = found, True
            wanted = _within(_with_neighbours(_crossed(labels[here], solved[here])), at, at)
        if max(steps) == 1:
            return labels, solved
        crossed, coarse, steps = _crossed(labels[here], solved[here]), at, [max(1, s // 2) for s in steps]
        at = nodes(shape, steps)
        wanted = _within(crossed, coarse, at)


def filled(labels: np.ndarray, solved: np.ndarray) -> np.ndarray:
    """Everywhere the label of the nearest point measured: between the two there is no boundary that was found.

    A crossed cell is surrounded by points that were measured, one of which would be nearer than any beyond it.
    """
    from scipy import ndimage

    nearest: Any = ndimage.distance_transform_edt(~solved, return_distances=False, return_indices=True)
    return labels[tuple(nearest)]


def _crossed(labels: np.ndarray, solved: np.ndarray) -> np.ndarray:
    """The cells whose corners all have labels, of which two differ."""
    sides = [(slice(0, -1), slice(1, None)) if n > 1 else (slice(None),) for n in solved.shape]
    corners = list(itertools.product(*sides))
    known = np.logical_and.reduce([solved[corner] for corner in corners])
    differ = np.logical_or.reduce([labels[corner] != labels[corners[0]] for corner in corners])
    return known & differ.reshape(*known.shape, -1).any(axis=-1)


def _with_neighbours(cells: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    return ndimage.binary_dilation(cells, np.ones((3,) * cells.ndim))


def _within(cells: np.ndarray, coarse: list[np.ndarray], fine: list[np.ndarray]) -> np.ndarray:
    """Which points of the fine grid lie in one of the coarse grid's ``cells``, or on its boundary."""
    sides = [
        [np.clip(np.searchsorted(c, f, side) - 1, 0, n - 1) for side in ("left", "right")]
        for c, f, n in zip(coarse, fine, cells.shape, strict=True)
    ]
    return np.logical_or.reduce([cells[np.ix_(*side)] for side in itertools.product(*sides)])
