"""The grid of a sweep, cut into hyper-rectangles: a chunk's points by index arithmetic, never all points at once."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Layout:
    """Blocks of at most ``block`` points along each axis of a grid of ``shape``, numbered in C order."""

    shape: tuple[int, ...]
    block: tuple[int, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(-(-n // b) for n, b in zip(self.shape, self.block, strict=True))

    @property
    def num_chunks(self) -> int:
        return math.prod(self.counts)

    @property
    def num_points(self) -> int:
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """Points of a chunk, but for those at the grid's far edges, which may hold fewer."""
        return math.prod(self.block)

    def position(self, chunk: int) -> tuple[int, ...]:
        return tuple(int(i) for i in np.unravel_index(chunk, self.counts))

    def slices(self, chunk: int) -> tuple[slice, ...]:
        corner = zip(self.position(chunk), self.block, self.shape, strict=True)
        return tuple(slice(i * b, min((i + 1) * b, n)) for i, b, n in corner)

    def points(self, axes: Mapping[str, np.ndarray], chunk: int) -> tuple[np.ndarray, ...]:
        """The values along every axis at the points of a chunk, each (points,).

        With one dimension but several axes the points are a list: each axis holds its value at every point.
        """
        cuts = self.slices(chunk)
        if len(cuts) == 1:
            return tuple(values[cuts[0]] for values in axes.values())
        parts = [values[cut] for values, cut in zip(axes.values(), cuts, strict=True)]
        return tuple(table.ravel() for table in np.meshgrid(*parts, indexing="ij"))


def layout(shape: tuple[int, ...], limit: int) -> Layout:
    """Blocks of at most ``limit`` points: whole trailing axes, an axis cut evenly, single values of the leading ones."""
    block = []
    for n in reversed(shape):
        pieces = -(-n // max(1, min(n, limit)))
        block.append(-(-n // pieces))
        limit //= block[-1]
    return Layout(shape, tuple(reversed(block)))


def checked_grid(grid: Mapping[str, Any]) -> dict[str, np.ndarray]:
    if not grid:
        raise ValueError("grid is empty: give at least one name with an array of values")
    axes = {}
    for name, values in grid.items():
        array = np.asarray(values, dtype=float)
        if array.ndim != 1 or not array.size:
            raise ValueError(
                f"grid[{name!r}] has shape {array.shape}: give a one-dimensional array of at least one value"
            )
        if np.isnan(array).any():
            raise ValueError(f"grid[{name!r}] holds a value that is not a number")
        axes[name] = array
    return axes
