"""The sweep: a grid cut into chunks, each solved, kept in memory or in a store, and labelled."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jax.numpy as jnp
import numpy as np

from solver.algorithms.best_response import BestResponse
from solver.game import AbstractGame, Profile, checked_profile
from solver.solution import Solution
from solver.solve import checked_tolerance
from solver.sweep.adaptive import adaptive
from solver.sweep.batches import come_in_batches
from solver.sweep.chunks import Plan
from solver.sweep.grid import checked_grid
from solver.sweep.labels import affordable, schema, shapes_of
from solver.sweep.lanes import Problem
from solver.sweep.progress import Bar
from solver.sweep.provenance import attributes, identity
from solver.sweep.refine import coarse_steps, num_coarse
from solver.sweep.schedule import calls_at_once, leaves_xla, room_for
from solver.sweep.store import check_writable, finished

if TYPE_CHECKING:
    import xarray


def sweep(
    make_game: Callable[..., AbstractGame],
    grid: Mapping[str, Any],
    algorithm: Any = None,
    *,
    outputs: Callable[[AbstractGame, Profile], Mapping[str, Any]] | None = None,
    start: Profile | float | None = None,
    starts: Sequence[Profile | float] | None = None,
    selection: Literal["first"] | Callable[[Solution], Any] = "first",
    refine: "str | Callable[[xarray.Dataset], xarray.DataArray] | None" = None,
    coarse_step: int | None = None,
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
    :param refine: solve only the points that a boundary between regimes needs: those of a coarse grid and, level by level, of
        the cells whose corners have different labels, with their neighbours, down to ``grid``, the finest. Labels are a
        variable of whole numbers or booleans ("status", "num_equilibria", an output), or what a function gives for a
        Dataset over the dimension ``point``, e.g. ``lambda ds: ds.mix.argmax("strategy")``. The Dataset then has
        ``solved``, whether a point was (elsewhere other variables are nan, -1 or false), and ``regime``: its label, and
        where it was not solved that of the nearest point that was. A boundary once met is followed to its end; an island
        that lies between the coarse points is missed.
    :param coarse_step: a power of two: one in so many values along every axis is in the coarse grid (default: at least 16
        cells along an axis, at most 32).
    :param max_steps: of the algorithm; where payoffs come in batches of each search, ``num_steps`` being those of the last.
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
    began, path, axes = time.perf_counter(), None if store is None else Path(store), checked_grid(grid)
    problem = _problem(
        make_game, axes, algorithm, outputs, selection, start, starts, checked_tolerance(tolerance), max_steps
    )
    shape = tuple(map(len, axes.values()))
    steps = None if refine is None else coarse_steps(shape, coarse_step)
    same = identity(problem, axes, selection, refine, steps)
    if path is not None:
        if (whole := finished(path, same, resume)) is not None:
            return whole
        check_writable(path)
    lanes = affordable(problem, _first(axes))
    # of an adaptive sweep's many short lists of points all are as long as its first, so that one size is compiled
    room = 0 if steps is None else room_for(num_coarse(shape, steps) * problem.num_starts)
    calls = 1 if client is not None else calls_at_once(problem)  # a worker's machine may be another
    plan = Plan(problem, same, attributes(problem, axes, same), lanes, room, resume, client, chunk, began, calls)
    cut = plan.cut(shape, path)
    if calls > 1 and leaves_xla(problem, plan.size(cut)):
        plan = dataclasses.replace(plan, calls=1)
    about = schema(shapes_of(problem, plan.size(cut)), grid, axes, None if starts is None else problem.num_starts)
    with Bar(progress) as bar:
        if steps is None or refine is None:
            return plan.solve(axes, plan.target(cut, tuple(axes), about, path), bar)
        return adaptive(plan, cut, axes, about, steps, refine, path, bar)


def _problem(make_game, axes, algorithm, outputs, selection, start, starts, tolerance, max_steps) -> Problem:
    algorithm = BestResponse() if algorithm is None else algorithm
    game = make_game(**dict(zip(axes, _first(axes), strict=True)))
    return Problem(
        make_game=make_game,
        names=tuple(axes),
        algorithm=algorithm,
        outputs=outputs,
        score=None if selection == "first" else selection,
        starts=_starts(game, start, starts),
        tolerance=tolerance,
        max_steps=jnp.asarray(max_steps),
        in_batches=come_in_batches(game, algorithm),
    )


def _first(axes: Mapping[str, np.ndarray]) -> tuple[float, ...]:
    return tuple(values[0] for values in axes.values())


def _starts(game, start, starts) -> Profile | None:
    """The starts as one array (starts, size) per player; None for the middle of every set."""
    if start is None and starts is None:
        return None
    if start is not None and starts is not None:
        raise ValueError("give start or starts, not both")
    given = [start] if starts is None else list(starts)
    if not given:
        raise ValueError("starts is empty: give at least one profile or number")
    sizes = [space.size for space in game.actions()]
    full = [s if isinstance(s, (tuple, list)) else tuple(np.full(n, s) for n in sizes) for s in given]
    return tuple(map(jnp.stack, zip(*(checked_profile(game, profile, "start") for profile in full), strict=True)))
