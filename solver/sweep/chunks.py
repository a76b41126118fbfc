"""Any points of a sweep, a grid or a list, cut into chunks: each solved, and kept in memory or in a store."""

import collections
import dataclasses
import math
import time
from collections.abc import Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from solver.solution import Status
from solver.sweep.grid import Layout, layout
from solver.sweep.labels import Schema, dataset, selected
from solver.sweep.lanes import Problem
from solver.sweep.progress import Bar
from solver.sweep.schedule import FEWEST, Size, room_for, solve_points
from solver.sweep.store import Store, existing_block

if TYPE_CHECKING:
    import xarray

TILES = 8  # a chunk holds this many times the lanes solved at a time, so that few lanes are idle
BATCHES = 32  # the same where payoffs come in batches: each call of theirs ends with few that run
SHARE = 4  # chunks for each thread of a cluster, at least, so that all have work to the end


@dataclasses.dataclass(frozen=True)
class Plan:
    """How the points of a sweep are cut, solved, kept and described, whichever they are."""

    problem: Problem
    identity: Mapping[str, str]
    attrs: Mapping[str, Any]
    lanes: int  # abreast on a device, at most
    room: int  # lanes that a call holds, at least, the rest of which is padding
    resume: bool
    client: Any
    chunk: int | None
    began: float
    calls: int  # side by side, at most

    def cut(self, shape: tuple[int, ...], path: Path | None) -> Layout:
        """Chunks of points of ``shape``: those of the store at ``path`` if it is there."""
        block = None if path is None else existing_block(path, self.identity, self.resume)
        if block is not None:
            return Layout(shape, block)
        threads = 0 if self.client is None else sum(self.client.nthreads().values())
        tiles = BATCHES if self.problem.in_batches else TILES
        limit = min(tiles * self._together, -(-math.prod(shape) // max(1, SHARE * threads)))
        return layout(shape, self.chunk or limit)

    def size(self, cut: Layout) -> Size:
        """What its calls are compiled for."""
        most = room_for(self._together * (1 if self.problem.in_batches else TILES))
        lanes = max(self.room, cut.size * self.problem.num_starts)
        calls = max(1, min(self.calls, lanes // FEWEST))
        # side by side they share the memory; a power of two still
        return Size(min(most, room_for(-(-lanes // calls))), max(1, self.lanes >> (calls - 1).bit_length()), calls)

    @property
    def _together(self) -> int:
        return self.lanes * jax.local_device_count()

    def target(self, cut: Layout, dims: tuple[str, ...], about: Schema, path: Path | None) -> "Memory | Store":
        """What is to hold the results."""
        return Memory(cut, about, dims) if path is None else Store(path, cut, about, dims, self.identity)

    def solve(self, axes: Mapping[str, np.ndarray], target: "Memory | Store", bar: Bar) -> "xarray.Dataset":
        """Solve the chunks that ``target`` does not hold yet."""
        cut = target.layout
        work = Work(self.problem, axes, cut, target.schema, self.size(cut))
        known = {k: r for k in range(cut.num_chunks) if (r := target.done(k)) is not None}
        bar.expect(cut.num_points, known.values())
        seconds, todo = sum(r["seconds"] for r in known.values()), [k for k in range(cut.num_chunks) if k not in known]
        with ThreadPoolExecutor(1) as writer:
            opened = writer.submit(target.open, self.resume, self.attrs)
            if self.client is None:
                reports = _written(work, todo, target, writer, opened)
            else:
                reports = _by_workers(work, todo, target, opened, self.client)
            for report in reports:
                seconds += report["seconds"]
                bar.advance(report)
        return self.finish(target, seconds)

    def finish(self, target: "Memory | Store", seconds: float, **more: Any) -> "xarray.Dataset":
        spent = {"solve_seconds": round(seconds, 3), "wall_seconds": round(time.perf_counter() - self.began, 3)}
        return target.finish({**self.attrs, **more, **spent})


@dataclasses.dataclass(frozen=True)
class Work:
    """What it takes to solve chunks."""

    problem: Problem
    axes: Mapping[str, np.ndarray]
    layout: Layout
    schema: Schema
    size: Size

    def solve(self, chunk: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Its tables and a report."""
        began = time.perf_counter()
        found = solve_points(self.problem, self.layout.points(self.axes, chunk), self.size)
        tables = selected(found, self.schema)
        return tables, summary(tables["status"]) | {"seconds": round(time.perf_counter() - began, 4)}


def summary(statuses: np.ndarray) -> dict[str, Any]:
    """How many points, and how many of each status."""
    counts = collections.Counter(statuses.tolist())
    return {"points": len(statuses), "statuses": {Status(s).name: n for s, n in sorted(counts.items())}}


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


def _written(work: Work, todo: list[int], target: Memory | Store, writer: Executor, opened: Future):
    """Reports of chunks once they are kept: each is written while the next one is solved."""
    writing, last = opened, []
    for k in todo:
        tables, report = work.solve(k)
        writing.result()  # so that at most one waits
        yield from last
        writing, last = writer.submit(target.write, k, tables, report), [report]
    writing.result()
    yield from last


def _by_workers(work: Work, todo: list[int], target: Memory | Store, opened: Future, client: Any):
    """The same from a cluster, whose workers write into a store themselves."""
    from solver.sweep.cluster import solved_by

    opened.result()
    for k, tables, report in solved_by(client, work, target if isinstance(target, Store) else None, todo):
        if tables is not None:
            target.write(k, tables, report)
        yield report
