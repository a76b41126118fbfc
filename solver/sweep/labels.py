"""The variables of a sweep's Dataset: their dimensions, labels and units; and the choice among several equilibria."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import numpy as np

from solver.solution import Status
from solver.sweep.lanes import Problem, Row, over_lanes
from solver.sweep.schedule import Size, arguments, solved

if TYPE_CHECKING:
    import xarray

SAME = 2e-3  # end points nearer than this share of every player's set are one equilibrium
MEMORY = 1 << 26  # bytes that the lanes solved at a time may take
MOST = 4096  # lanes at a time: more would gain nothing
DEVIATIONS = 45  # payoffs of a player that a certificate holds at a time


@dataclasses.dataclass(frozen=True)
class Variable:
    """One array of the Dataset: its own dimensions and shape, after those of the grid."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype
    attrs: dict[str, Any]

    @property
    def fill(self) -> Any:
        """What stands where nothing was computed; for a status -1, which is no status."""
        if self.dtype.kind == "b":
            return False
        return np.nan if self.dtype.kind == "f" else -1 if self.dtype.kind == "i" else 0


@dataclasses.dataclass(frozen=True)
class Schema:
    """Every variable by name, and the coordinates: name to (dimension, values, attrs)."""

    variables: dict[str, Variable]
    coords: dict[str, tuple[str, Any, dict[str, Any]]]


def affordable(problem: Problem, point: tuple[float, ...]) -> int:
    """Lanes at a time on one device, a power of two: as many as ``MEMORY`` holds payoffs with all they go through."""
    game = problem.game(point)
    profile = tuple(space.midpoint() for space in game.actions())
    payoffs = eqx.filter_make_jaxpr(lambda g, p: g.payoffs(p))(game, profile)[0]
    lane = _bytes(payoffs.jaxpr) * (1 if problem.in_batches else DEVIATIONS * len(game.players))
    return int(min(MOST, max(8, 1 << (MEMORY // max(1, lane)).bit_length() >> 1)))


def _bytes(program) -> int:
    """What all results of a program would take, those of its inner programs among them."""
    total = 0
    for equation in program.eqns:
        total += sum(v.aval.size * v.aval.dtype.itemsize for v in equation.outvars)
        for part in jax.tree.leaves(list(equation.params.values())):
            part = getattr(part, "jaxpr", part)
            total += _bytes(part) if hasattr(part, "eqns") else 0
    return total


def shapes_of(problem: Problem, size: Size) -> Row:
    """A row of the sweep without its numbers; the trace is the one that the chunks will use."""
    args = arguments(problem, size)
    if problem.in_batches:
        return eqx.filter_eval_shape(over_lanes, "blank", *args[:3])
    return eqx.filter_eval_shape(solved, *args)


def schema(row: Row, grid: Mapping[str, Any], axes: Mapping[str, np.ndarray], num_starts: int | None) -> Schema:
    """The Dataset's variables and coordinates; ``num_starts`` is None where a point has one start."""
    coords = {name: (name, values, dict(getattr(grid[name], "attrs", {}))) for name, values in axes.items()}
    coords["player"] = ("player", np.asarray(row.players), {"long_name": "player"})
    known = {
        "strategies": (("player", "action"), {"long_name": "strategy"}),
        "payoffs": (("player",), {"long_name": "payoff"}),
        "regret": (("player",), {"long_name": "regret", "units": "payoff"}),
        "max_regret": ((), {"long_name": "largest regret", "units": "payoff"}),
        "status": ((), status_attrs()),
        "num_steps": ((), {"long_name": "steps of the algorithm"}),
    }
    for name, dims, attrs in row.labels:
        if name in known or name in coords or name == "num_equilibria":
            raise ValueError(f"outputs gives {name!r}, which the Dataset already holds: give it another name")
        size = len(row.values[name].shape) - 1
        dims = tuple((f"{name}_{k}", None) for k in range(size)) if dims is None else dims
        if len(dims) != size:
            raise ValueError(f"outputs gives {name!r} {len(dims)} dimensions, and its array has {size}: name each")
        coords |= {dim: (dim, np.asarray(values), {}) for dim, values in dims if values is not None}
        known[name] = (tuple(dim for dim, _ in dims), dict(attrs))
    variables = {}
    for name, (dims, attrs) in known.items():
        shape, dtype = row.values[name].shape[1:], np.dtype(row.values[name].dtype)
        variables[name] = Variable(dims, shape, np.dtype(np.int8) if name == "status" else dtype, attrs)
    if num_starts is not None:
        about = {"long_name": f"different equilibria reached from {num_starts} starts"}
        second = {f"{name}_2": dataclasses.replace(v, attrs=_second(v.attrs)) for name, v in variables.items()}
        variables |= second | {"num_equilibria": Variable((), (), np.dtype(np.int16), about)}
    return Schema(variables, coords)


def status_attrs() -> dict[str, Any]:
    return {
        "long_name": "how the solve ended",
        "flag_values": np.array([int(s) for s in Status], np.int8),
        "flag_meanings": " ".join(s.name for s in Status),
    }


def _second(attrs: Mapping[str, Any]) -> dict[str, Any]:
    return {**attrs, "long_name": f"{attrs.get('long_name', 'the same')}, at a second equilibrium (none: nan or -1)"}


def selected(found: Mapping[str, np.ndarray], about: Schema) -> dict[str, np.ndarray]:
    """Of tables (starts, points, ...) the equilibrium selected, (points, ...), with another and their number."""
    points = np.arange(found["status"].shape[1])
    if "num_equilibria" not in about.variables:
        return {name: found[name][0].astype(v.dtype) for name, v in about.variables.items()}
    certified = found["status"] == Status.converged
    rank = found.get("_score", -np.arange(len(certified), dtype=float)[:, None])
    best = np.where(certified & ~np.isnan(rank), rank, -np.inf).argmax(axis=0)
    place = found["_place"].reshape(*certified.shape, -1)
    apart = np.abs(place[:, None] - place[None]).max(axis=-1) > SAME  # (start, start, points)
    new = np.stack([certified[s] & (apart[s, :s] | ~certified[:s]).all(axis=0) for s in range(len(certified))])
    other = certified & apart[best, :, points].T & certified[best, points]
    second, there = other.argmax(axis=0), other.any(axis=0)
    table = {"num_equilibria": new.sum(axis=0).astype(np.int16)}
    for name, v in about.variables.items():
        if name in found:
            table[name] = found[name][best, points].astype(v.dtype)
            shown = there.reshape(-1, *(1,) * (found[name].ndim - 2))
            table[f"{name}_2"] = np.where(shown, found[name][second, points], v.fill).astype(v.dtype)
    return table


def dataset(tables: Mapping[str, np.ndarray], about: Schema, dims: tuple[str, ...], attrs) -> "xarray.Dataset":
    import xarray

    data = {name: ((*dims, *v.dims), tables[name], v.attrs) for name, v in about.variables.items()}
    return xarray.Dataset(data, about.coords, attrs)
