"""The sweep: a grid cut into chunks, each solved, kept in memory or in a store, and labelled."""

import collections
import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from solver.algorithms.best_response import BestResponse
from solver.game import AbstractGame, Profile, checked_profile
from solver.solution import Solution, Status
from solver.solve import checked_tolerance
from solver.sweep.batches import come_in_batches
from solver.sweep.grid import Layout, checked_grid, layout
from solver.sweep.labels import Schema, affordable, dataset, schema, selected, shapes_of
from solver.sweep.lanes import Problem, solve_points, widest
from solver.sweep.progress import Bar
from solver.sweep.provenance import attributes, identity
from solver.sweep.store import Store, existing_block

if TYPE_CHECKING:
    import xarray

TILES = 8  # a chunk holds this many times the lanes solved at a time, so that few lanes are idle
SHARE = 4  # chunks for each thread of a cluster, at least, so that all have work to the end


def sweep(
    make_game: Callable[..., AbstractGame],
    grid: Mapping[str, Any],
    algorithm: Any = None,
    *,
    outputs: Callable[[AbstractGame, Profile], Mapping[str, Any]] | None = None,
    start: Profile | float | None = None,
    starts: Sequence[Profile | float] | None = None,
    selection: Literal["first"] | Callable[[Solution], Any] = "first",
    tolerance: float | None = None,
    max_steps: int = 200,
    store: str | Path | None = None,
    resume: bool = True,
    client: Any = None,
    chunk: int | None = None,
    progress: bool = True,
) -> "xarray.Dataset":
    """Solve ``make_game(name=value, ...)`` at every point of a grid.

    :param grid: names of arguments to 1-D arrays of values; an xarray.DataArray's attrs (units) are kept.
    :param outputs: a function of (game, strategies), computed at every point, to a mapping of names to arrays, or to
        (dims, array) or (dims, array, attrs) as in xarray; dims may map names to their coordinates.
    :param start: where every point starts: a profile, or a number for every coordinate (default: the middle of every set).
    :param starts: several of these. The Dataset then has ``num_equilibria``, the different certified end points (further
        than 0.2 % of some player's set apart), and where there are several a second one in ``strategies_2`` and so on.
    :param selection: which equilibrium of several is the first: of the first start that ends in one, or the one with the
        highest score, a function of its :class:`Solution`.
    :param store: a directory for a zarr store, written chunk by chunk; with ``resume`` an interrupted sweep continues.
    :param client: a ``dask.distributed`` client whose workers solve the chunks, and write them where a store is given
        (on a file system they share).
    :param chunk: points of a chunk (default: by memory); the result does not depend on it but for rounding.
    :return: a Dataset over the grid's dimensions with ``strategies`` (player, action), ``payoffs`` (player), ``regret``
        (player), ``max_regret``, ``status``, ``num_steps`` and the outputs; its attrs say where the numbers come from.
        With a store its values are read when used. A point that failed is a status, never an exception.
    :raises ValueError: if an axis is empty, not one-dimensional, or not finite where it should be; if the store belongs to
        another sweep, saying what differs.
    :raises OSError: if the store cannot be written; what was written is whole.
    """
    began = time.perf_counter()
    axes = checked_grid(grid)
    algorithm = BestResponse() if algorithm is None else algorithm
    problem = Problem(
        make_game=make_game,
        names=tuple(axes),
        algorithm=algorithm,
        outputs=outputs,
        score=None if selection == "first" else selection,
        starts=_starts(make_game, axes, start, starts),
        tolerance=checked_tolerance(tolerance),
        max_steps=jnp.asarray(max_steps),
        in_batches=come_in_batches(make_game(**{name: v[0] for name, v in axes.items()}), algorithm),
    )
    same = identity(problem, axes, selection)
    width = affordable(problem, tuple(v[0] for v in axes.values())) * jax.local_device_count()
    shape = tuple(len(v) for v in axes.values())
    block = None if store is None else existing_block(Path(store), same, resume)
    threads = 0 if client is None else sum(client.nthreads().values())
    limit = chunk or min(TILES * width, -(-math.prod(shape) // max(1, SHARE * threads)))
    cut = layout(shape, limit) if block is None else Layout(shape, block)
    width = min(width, widest(cut.size * problem.num_starts))
    about = schema(shapes_of(problem, width), grid, axes, None if starts is None else problem.num_starts)
    attrs = attributes(problem, axes, same)

    disk = None if store is None else Store(Path(store), cut, about, tuple(axes), same)
    target = disk or Memory(cut, about, tuple(axes))
    target.open(resume, attrs)
    work = Work(problem, axes, cut, about, width, disk)
    reports = {k: r for k in range(cut.num_chunks) if (r := target.done(k)) is not None}
    todo = [k for k in range(cut.num_chunks) if k not in reports]
    with Bar(cut.num_points, progress) as bar:
        bar.skip(reports.values())
        for k, report, tables in _solved(work, todo, client):
            if tables is not None:
                target.write(k, tables, report)
            reports[k] = report
            bar.advance(report)
    spent = {"solve_seconds": sum(r["seconds"] for r in reports.values()), "wall_seconds": time.perf_counter() - began}
    return target.finish(attrs | {name: round(value, 3) for name, value in spent.items()})


@dataclasses.dataclass(frozen=True)
class Work:
    """What it takes to solve chunks; with a ``store`` whoever solves one writes it."""

    problem: Problem
    axes: Mapping[str, np.ndarray]
    layout: Layout
    schema: Schema
    width: int
    store: Store | None

    def solve(self, chunk: int) -> tuple[int, dict[str, Any], dict[str, np.ndarray] | None]:
        began = time.perf_counter()
        found = solve_points(self.problem, self.layout.points(self.axes, chunk), self.width)
        tables = selected(found, self.schema)
        counts = collections.Counter(tables["status"].tolist())
        report = {
            "points": len(tables["status"]),
            "statuses": {Status(s).name: n for s, n in sorted(counts.items())},
            "seconds": round(time.perf_counter() - began, 4),
        }
        if self.store is None:
            return chunk, report, tables
        self.store.write(chunk, tables, report)
        return chunk, report, None


class Memory:
    """Chunks kept in arrays; what a :class:`Store` is on disk."""

    def __init__(self, layout: Layout, about: Schema, dims: tuple[str, ...]):
        self.layout, self.schema, self.dims = layout, about, dims
        self.tables = {name: np.empty((*layout.shape, *v.shape), v.dtype) for name, v in about.variables.items()}

    def open(self, resume: bool, attrs: Mapping[str, Any]) -> None:
        del resume, attrs

    def done(self, chunk: int) -> dict[str, Any] | None:
        del chunk
        return None

    def write(self, chunk: int, tables: Mapping[str, np.ndarray], report: Mapping[str, Any]) -> None:
        del report
        cut = self.layout.slices(chunk)
        for name, table in self.tables.items():
            table[cut] = tables[name].reshape(table[cut].shape)

    def finish(self, attrs: Mapping[str, Any]) -> "xarray.Dataset":
        return dataset(self.tables, self.schema, self.dims, attrs)


def _solved(work: Work, todo: list[int], client: Any):
    if client is None:
        return map(work.solve, todo)
    from solver.sweep.cluster import solved_by

    return solved_by(client, work, todo)


def _starts(make_game, axes, start, starts) -> Profile | None:
    """The starts as one array (starts, size) per player; None for the middle of every set."""
    if start is None and starts is None:
        return None
    if start is not None and starts is not None:
        raise ValueError("give start or starts, not both")
    given = [start] if starts is None else list(starts)
    if not given:
        raise ValueError("starts is empty: give at least one profile or number")
    game = make_game(**{name: v[0] for name, v in axes.items()})
    sizes = [space.size for space in game.actions()]
    full = [s if isinstance(s, (tuple, list)) else tuple(np.full(n, s) for n in sizes) for s in given]
    return tuple(map(jnp.stack, zip(*(checked_profile(game, profile, "start") for profile in full), strict=True)))
