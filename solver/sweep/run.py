"""The sweep: blocks of steps under ``jit(vmap)``, from which finished points leave."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from solver.algorithms.best_response import BestResponse
from solver.game import AbstractGame
from solver.solution import Status
from solver.solve import advance, checked_tolerance, finish, starting_profile

if TYPE_CHECKING:
    import xarray

BLOCKS = (2, 2, 4, 8, 16)  # steps between two looks at which lanes have ended; the last repeats
LANES = 1024  # lanes of one chunk


def sweep(
    make_game: Callable[..., AbstractGame],
    grid: Mapping[str, Any],
    algorithm: Any = None,
    *,
    outputs: Callable[[AbstractGame, tuple], Mapping[str, Any]] | None = None,
    start: tuple | None = None,
    tolerance: float | None = None,
    max_steps: int = 200,
    chunk: int | None = None,
    progress: bool = True,
) -> "xarray.Dataset":
    """Solve ``make_game(name=value, ...)`` at every point of a grid.

    :param grid: names of arguments to 1-D arrays of values; an xarray.DataArray's attrs (units) are kept.
    :param outputs: a function of (game, strategies) to a mapping of names to arrays, computed at every point.
    :param start: strategies every point starts from (default: the middle of every set).
    :param chunk: points solved at a time (default 1,024); the result does not depend on it.
    :return: a Dataset over the grid's dimensions with ``strategies`` (player, action), ``payoffs`` (player), ``regret``
        (player), ``max_regret``, ``status``, ``num_steps`` and the outputs. A point that failed is a status, never an
        exception.
    :raises ValueError: if an axis is empty, not one-dimensional, or not finite where it should be.
    """
    axes = _checked_grid(grid)
    algorithm = BestResponse() if algorithm is None else algorithm
    points = [a.ravel() for a in np.meshgrid(*axes.values(), indexing="ij")]
    total = points[0].size
    chunk = min(chunk or LANES, total)
    solver = _Chunks(make_game, tuple(axes), algorithm, outputs, start, checked_tolerance(tolerance), max_steps)
    bar = _Bar(total, progress)
    parts = []
    for first in range(0, total, chunk):
        part = [p[first : first + chunk] for p in points]
        parts.append(solver.run(part, chunk))
        bar.advance(len(part[0]))
    bar.close()
    tables = jax.tree.map(lambda *xs: np.concatenate(xs), *parts)
    return _dataset(grid, axes, tables, solver.players)


class _Chunks:
    """Solves chunks of points; everything compiled is compiled once per padded size."""

    def __init__(self, make_game, names, algorithm, outputs, start, tolerance, max_steps):
        def game(values):
            return make_game(**dict(zip(names, values, strict=True)))

        def begin(values):
            g = game(values)
            return algorithm.init(g, starting_profile(g, start, None), tolerance)

        def block(values, state, steps):
            limit = jnp.minimum(state.num_steps + steps, max_steps)
            return advance(game(values), algorithm, state, tolerance, limit)

        def end(values, state):
            g = game(values)
            s = finish(g, algorithm, state, tolerance)
            out = {} if outputs is None else dict(outputs(g, s.strategies))
            keep = ("strategies", "payoffs", "regret", "max_regret", "status", "num_steps")
            return {name: getattr(s, name) for name in keep}, out

        self.players = _players(game, len(names))
        self.begin, self.end = jax.jit(jax.vmap(begin)), jax.jit(jax.vmap(end))
        self.block = jax.jit(jax.vmap(block, in_axes=(0, 0, None)))
        self.ended = jax.jit(jax.vmap(lambda s: algorithm.terminated(s, tolerance) | (s.num_steps >= max_steps)))

    def run(self, values, size):
        count = len(values[0])
        values = [jnp.asarray(_fill(v, size)) for v in values]
        state = self.begin(values)
        done = np.array(self.ended(state))
        done[count:] = True
        turn = 0
        while not done.all():
            lanes = np.flatnonzero(~done)
            padded = _fill(lanes, min(size, 1 << (len(lanes) - 1).bit_length()))
            part = jax.tree.map(lambda x, at=padded: x[at], state)
            part = self.block([v[padded] for v in values], part, BLOCKS[min(turn, len(BLOCKS) - 1)])
            ended = np.asarray(self.ended(part))[: len(lanes)]
            state = jax.tree.map(lambda x, y, at=lanes: x.at[at].set(y[: len(at)]), state, part)
            done[lanes[ended]] = True
            turn += 1
        return jax.tree.map(lambda x: np.asarray(x)[:count], self.end(values, state))


def _fill(values, size):
    return np.concatenate([values, np.repeat(values[:1], size - len(values), axis=0)])


def _players(game, arity) -> tuple[str, ...]:
    found = []
    jax.eval_shape(lambda v: found.append(game(v).players), [jax.ShapeDtypeStruct((), jnp.result_type(float))] * arity)
    return found[0]


def _checked_grid(grid: Mapping[str, Any]) -> dict[str, np.ndarray]:
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


def _dataset(grid, axes, tables, players) -> "xarray.Dataset":
    import xarray

    solved, outputs = tables
    shape, dims = tuple(len(v) for v in axes.values()), tuple(axes)
    coords = {name: (name, axes[name], dict(getattr(grid[name], "attrs", {}))) for name in axes}
    coords["player"] = ("player", list(players), {"long_name": "player"})
    width = max(s.shape[1] for s in solved["strategies"])
    padded = [np.pad(s, ((0, 0), (0, width - s.shape[1])), constant_values=np.nan) for s in solved["strategies"]]
    variables = {
        "strategies": ((*dims, "player", "action"), np.stack(padded, 1), {"long_name": "strategy"}),
        "payoffs": ((*dims, "player"), solved["payoffs"], {"long_name": "payoff"}),
        "regret": ((*dims, "player"), solved["regret"], {"long_name": "regret", "units": "payoff"}),
        "max_regret": (dims, solved["max_regret"], {"long_name": "largest regret", "units": "payoff"}),
        "status": (dims, solved["status"].astype(np.int8), status_attrs()),
        "num_steps": (dims, solved["num_steps"], {"long_name": "steps of the algorithm"}),
    }
    for name, value in outputs.items():
        extra = tuple(f"{name}_{k}" for k in range(value.ndim - 1))
        variables[name] = ((*dims, *extra), value, {})
    data = {
        name: (where, value.reshape(*shape, *value.shape[1:]), attrs)
        for name, (where, value, attrs) in variables.items()
    }
    return xarray.Dataset(data, coords)


def status_attrs() -> dict[str, Any]:
    return {
        "long_name": "how the solve ended",
        "flag_values": np.array([int(s) for s in Status], np.int8),
        "flag_meanings": " ".join(s.name for s in Status),
    }


class _Bar:
    """A line of progress on standard error, for work that lasts."""

    def __init__(self, total: int, show: bool):
        self.bar = None
        if show:
            from rich.console import Console
            from rich.progress import Progress

            self.bar = Progress(console=Console(stderr=True), transient=True)
            self.task = self.bar.add_task("points", total=total)
            self.bar.start()

    def advance(self, count: int) -> None:
        if self.bar is not None:
            self.bar.advance(self.task, count)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
