"""An adaptive sweep's rounds, each a sweep over a list of points, and the labelled grid they are put together to."""

import dataclasses
import itertools
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from solver.sweep.chunks import Plan, summary
from solver.sweep.grid import Layout
from solver.sweep.labels import Schema, Variable
from solver.sweep.progress import Bar
from solver.sweep.refine import filled, refined

if TYPE_CHECKING:
    import xarray

POINT = "point"  # the dimension of a round
SOLVED = {"long_name": "whether the point was solved; elsewhere the other variables are nan, -1 or false"}
ADDED = ("solved", "regime")

Refine = str | Callable[["xarray.Dataset"], "xarray.DataArray"]


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
    rounds: list[tuple[np.ndarray, xarray.Dataset]] = []
    template = None

    def measure(places: np.ndarray) -> np.ndarray:
        nonlocal template
        at = np.unravel_index(places, shape)
        columns = {name: values[i] for (name, values), i in zip(axes.items(), at, strict=True)}
        file = None if folder is None else folder / str(len(rounds))
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        target = plan.target(plan.cut(places.shape, file), (POINT,), _of_list(about, columns), file)
        rounds.append((places, plan.solve(columns, target, bar)))
        template = labels_of(rounds[-1][1], refine)
        return template.values

    labels, solved = refined(shape, steps, measure)
    assert template is not None
    whole = _with_regime(about, template)
    target = plan.target(cut, tuple(axes), whole, path)
    tables = {name: np.concatenate([ds[name].values for _, ds in rounds]) for name in about.variables}
    row = np.full(math.prod(shape), -1)
    row[np.concatenate([places for places, _ in rounds])] = np.arange(len(tables["status"]))
    regime = filled(labels, solved)
    for chunk in range(cut.num_chunks):
        if target.done(chunk) is None:
            here = cut.slices(chunk)
            table = _assembled(row.reshape(shape)[here].ravel(), tables, about)
            table |= {"solved": solved[here], "regime": regime[here]}
            target.write(chunk, table, summary(table["status"][solved[here].ravel()]) | {"seconds": 0.0})
    seconds = sum(ds.attrs["solve_seconds"] for _, ds in rounds)
    ds = plan.finish(target, seconds, points_solved=int(solved.sum()))
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    return ds


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


def _of_list(about: Schema, columns: Mapping[str, np.ndarray]) -> Schema:
    """The schema of a list of points, whose coordinates run along it."""
    along = {name: (POINT, values, about.coords[name][2]) for name, values in columns.items()}
    return Schema(about.variables, about.coords | along)


def _with_regime(about: Schema, labels: "xarray.DataArray") -> Schema:
    attrs = {**labels.attrs, "long_name": "regime; where the point was not solved, that of the nearest which was"}
    dims = tuple(map(str, labels.dims[1:]))
    regime = Variable(dims, labels.shape[1:], labels.dtype, attrs)
    solved = Variable((), (), np.dtype(bool), SOLVED)
    return dataclasses.replace(about, variables={**about.variables, "solved": solved, "regime": regime})


def _assembled(rows: np.ndarray, tables: Mapping[str, np.ndarray], about: Schema) -> dict[str, np.ndarray]:
    """The rows of a chunk, and where there is none (-1) what stands for nothing."""
    found = {}
    for name, v in about.variables.items():
        found[name] = np.full((len(rows), *v.shape), v.fill, v.dtype)
        found[name][rows >= 0] = tables[name][rows[rows >= 0]]
    return found
