"""An adaptive sweep's rounds, each a sweep over a list of points, and the labelled grid they are put together to."""

import dataclasses
import hashlib
import itertools
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from solver.sweep.chunks import Memory, Plan, summary
from solver.sweep.grid import Layout
from solver.sweep.labels import Schema, Variable
from solver.sweep.progress import Bar
from solver.sweep.refine import filled, refined
from solver.sweep.store import Store

if TYPE_CHECKING:
    import xarray

POINT = "point"  # the dimension of a round
SOLVED = {"long_name": "whether the point was solved; elsewhere the other variables are nan, -1 or false"}
ADDED = ("solved", "regime")

Refine = str | Callable[["xarray.Dataset"], "xarray.DataArray"]


@dataclasses.dataclass(frozen=True)
class Round:
    """Some points by their places in the grid, what is known there, and their labels."""

    places: np.ndarray
    ds: "xarray.Dataset"
    labels: "xarray.DataArray"


def adaptive(
    plan: Plan,
    cut: Layout,
    axes: Mapping[str, np.ndarray],
    about: Schema,
    steps: tuple[int, ...],
    refine: Refine,
    path: Path | None,
    bar: Bar,
) -> "xarray.Dataset":
    """The Dataset over the whole grid, of which only what the boundaries between labels need was solved."""
    _check(refine, about)
    shape = tuple(len(v) for v in axes.values())
    folder = None if path is None else path.with_name(f"{path.name}.rounds")
    rounds: list[Round] = []

    def measure(places: np.ndarray) -> np.ndarray:
        at = np.unravel_index(places, shape)
        columns = {name: values[i] for (name, values), i in zip(axes.items(), at, strict=True)}
        file = None if folder is None else folder / str(len(rounds))
        ds = _solved(plan, about, places, columns, file, bar)
        rounds.append(Round(places, ds, labels_of(ds, refine)))
        return rounds[-1].labels.values

    labels, solved = refined(shape, steps, measure)
    target = plan.target(cut, tuple(axes), _with_regime(about, rounds[0].labels), path)
    target.open(plan.resume, plan.attrs)
    _write(target, rounds, about, solved, filled(labels, solved))
    seconds = sum(r.ds.attrs["solve_seconds"] for r in rounds)
    ds = plan.finish(target, seconds, points_solved=int(solved.sum()))
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    return ds


def _solved(
    plan: Plan, about: Schema, places: np.ndarray, columns: Mapping[str, np.ndarray], file: Path | None, bar: Bar
) -> "xarray.Dataset":
    """A round: the sweep over a list of points, whose coordinates run along it."""
    along = {name: (POINT, values, about.coords[name][2]) for name, values in columns.items()}
    points = hashlib.sha256(places.tobytes()).hexdigest()[:12]  # rows of other points are never taken for these
    plan = dataclasses.replace(plan, identity={**plan.identity, "points": f"{len(places)}, {points}"})
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    schema = Schema(about.variables, about.coords | along)
    return plan.solve(columns, plan.target(plan.cut(places.shape, file), (POINT,), schema, file), bar)


def _write(target: Memory | Store, rounds: "list[Round]", about: Schema, solved: np.ndarray, regime: np.ndarray):
    """The whole grid's chunks: the rows of the rounds, and where there is none what stands for nothing."""
    tables = {name: np.concatenate([r.ds[name].values for r in rounds]) for name in about.variables}
    row = np.full(solved.size, -1)
    row[np.concatenate([r.places for r in rounds])] = np.arange(solved.sum())
    row = row.reshape(solved.shape)
    for chunk in range(target.layout.num_chunks):
        if target.done(chunk) is not None:
            continue
        here = target.layout.slices(chunk)
        rows = row[here].ravel()
        table = {"solved": solved[here], "regime": regime[here]}
        for name, v in about.variables.items():
            table[name] = np.full((len(rows), *v.shape), v.fill, v.dtype)
            table[name][rows >= 0] = tables[name][rows[rows >= 0]]
        target.write(chunk, table, summary(table["status"][rows >= 0]) | {"seconds": 0.0})


def labels_of(ds: "xarray.Dataset", refine: Refine) -> "xarray.DataArray":
    """Whole numbers or booleans along ``point``, and any further dimensions.

    :raises ValueError: if ``refine`` gives anything else.
    """
    found: Any = ds[refine] if isinstance(refine, str) else refine(ds)
    dims = getattr(found, "dims", None)
    if dims is None or POINT not in dims:
        got = type(found).__name__ if dims is None else f"dimensions {dims}"
        raise ValueError(f"refine gives {got}: give a DataArray with one label for each value of {POINT!r}")
    if found.dtype.kind not in "biu":
        raise ValueError(f"refine gives {found.dtype}: give labels, whole numbers or booleans")
    return found.transpose(POINT, ...)


def _check(refine: Refine, about: Schema) -> None:
    """What can be known of ``refine`` before anything is solved."""
    labels = [name for name, v in about.variables.items() if v.dtype.kind in "biu"]
    if isinstance(refine, str):
        if refine not in labels:
            raise ValueError(f"refine is {refine!r}: give one of {', '.join(labels)}, or a function of the Dataset")
    elif not callable(refine):
        raise ValueError(f"refine is {refine!r}: give a variable's name, or a function of the Dataset")
    taken = {*about.variables, *about.coords, *itertools.chain(*(v.dims for v in about.variables.values()))}
    for name in ADDED:
        if name in taken:
            raise ValueError(f"the Dataset already holds {name!r}, which refine adds: give it another name")


def _with_regime(about: Schema, labels: "xarray.DataArray") -> Schema:
    attrs = {**labels.attrs, "long_name": "regime; where the point was not solved, that of the nearest which was"}
    dims = tuple(map(str, labels.dims[1:]))
    regime = Variable(dims, labels.shape[1:], labels.dtype, attrs)
    solved = Variable((), (), np.dtype(bool), SOLVED)
    return dataclasses.replace(about, variables={**about.variables, "solved": solved, "regime": regime})
