"""What a lane of a sweep, one point with one start, goes through under ``jit(vmap)``: begin, blocks of steps, end.

What is compiled is compiled once per number of lanes and kept for later calls with the same functions: numbers are
arguments, never constants.
"""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, PartitionSpec

from solver.algorithms.best_response import _bounds
from solver.game import AbstractGame, Profile, pad
from solver.regret import Deviation
from solver.solution import Solution
from solver.solve import concluded, finish, starting_profile

ABREAST = "lanes abreast"


class Problem(eqx.Module):
    """What is solved at every point; ``starts`` holds one array (starts, size) per player, None for the midpoint."""

    make_game: Callable[..., AbstractGame]
    names: tuple[str, ...] = eqx.field(static=True)
    algorithm: Any
    outputs: Callable | None
    score: Callable | None
    starts: Profile | None
    tolerance: Array
    max_steps: Array
    in_batches: bool = eqx.field(static=True, default=False)

    @property
    def num_starts(self) -> int:
        return 1 if self.starts is None else len(self.starts[0])

    @property
    def moves(self) -> bool:
        return int(self.max_steps) > 0

    def game(self, values) -> AbstractGame:
        return self.make_game(**dict(zip(self.names, values, strict=True)))

    def begin(self, values, which):
        game = self.game(values)
        start = None if self.starts is None else tuple(table[which] for table in self.starts)
        profile = starting_profile(game, start, None)
        if start is not None:
            profile = tuple(space.project(x) for space, x in zip(game.actions(), profile, strict=True))
        return self.algorithm.init(game, profile, self.tolerance)

    def block(self, values, which, state, real, left):
        """Steps until no more than ``left`` of the lanes abreast still run; those that are padding do not count."""
        del which
        game = self.game(values)

        def running(s):
            return real & ~self.ended(s)

        def many(s):
            return jax.lax.psum(running(s), ABREAST) > left

        def step(s):
            new = self.algorithm.step(game, s, self.tolerance)
            return jax.tree.map(lambda a, b: jnp.where(running(s), a, b), new, s)

        state = jax.lax.while_loop(many, step, state)
        return state, self.ended(state)

    def ended(self, state) -> Array:
        return self.algorithm.terminated(state, self.tolerance) | (state.num_steps >= self.max_steps)

    def end(self, values, which, state) -> "Row":
        return self.report(values, which, finish(self.game(values), self.algorithm, state, self.tolerance))

    def opening(self, values, which) -> tuple[AbstractGame, Array]:
        """The game and the profile it starts from (player, width)."""
        return self.game(values), self.begin(values, which).table

    def blank(self, values, which) -> "Row":
        """A row as :meth:`report` gives it, without solving anything."""
        game, table = self.opening(values, which)
        profile, zero = tuple(table), jnp.zeros(len(game.players), table.dtype)
        found, count = Deviation(table, zero, zero, zero, zero), jnp.asarray(0, jnp.int32)
        solution = concluded(game, profile, found, jnp.asarray(True), count, count, self.tolerance)
        return self.report(values, which, solution)

    def report(self, values, which, solution) -> "Row":
        del which
        game = self.game(values)
        outputs = {} if self.outputs is None else dict(self.outputs(game, solution.strategies))
        full = {name: v if isinstance(v, tuple) else (None, v) for name, v in outputs.items()}
        row = {name: getattr(solution, name) for name in ("payoffs", "regret", "max_regret", "status", "num_steps")}
        row = {"strategies": _ragged(solution)} | row | {name: jnp.asarray(v[1]) for name, v in full.items()}
        if self.starts is not None:  # strategies as shares of their sets, so that two end points can be compared
            table = pad(solution.strategies)
            low, high = _bounds(game.actions(), table)
            row["_place"] = (table - low) / jnp.where(high > low, high - low, 1)
        if self.score is not None:
            row["_score"] = jnp.asarray(self.score(solution), solution.payoffs.dtype)
        labels = tuple((name, _frozen(v[0]), tuple(dict(*v[2:]).items())) for name, v in full.items())
        return Row(row, game.players, labels)


class Row(eqx.Module):
    """What is known at a point; ``labels`` holds name, dimensions (None, names, or names with values) and attrs."""

    values: dict[str, Array]
    players: tuple[str, ...] = eqx.field(static=True)
    labels: tuple = eqx.field(static=True)


def _frozen(dims):
    """Dimensions as pairs (name, values or None), or None where the output came without."""
    if dims is None:
        return None
    if isinstance(dims, Mapping):
        return tuple((name, tuple(values)) for name, values in dims.items())
    return tuple((name, None) for name in ((dims,) if isinstance(dims, str) else dims))


def _ragged(solution: Solution) -> Array:
    """Strategies as (player, action), what a player has fewer of filled with nan."""
    width = max(s.shape[0] for s in solution.strategies)
    fill = [jnp.pad(s, (0, width - s.shape[0]), constant_values=jnp.nan) for s in solution.strategies]
    return jnp.stack(fill)


@eqx.filter_jit
def over_lanes(method: str, problem: Problem, mesh: Mesh | None, lanes):
    """A method of ``problem`` on every lane, the lanes shared out among the devices of ``mesh``."""
    return on_devices(lambda own, lanes: jax.vmap(getattr(own, method))(*lanes), problem, mesh, lanes)


def on_devices(function: Callable, problem: Problem, mesh: Mesh | None, *lanes):
    """``function(problem, *lanes)`` on every device with the lanes it holds; none waits for another's loops."""
    arrays, static = eqx.partition(problem, eqx.is_array)

    def local(arrays, *lanes):
        return function(eqx.combine(arrays, static), *lanes)

    if mesh is None:
        return local(arrays, *lanes)
    everywhere, by_lane = PartitionSpec(), PartitionSpec("lane")
    specs = (everywhere, *(by_lane for _ in lanes))
    return jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=by_lane, check_vma=False)(arrays, *lanes)


def mesh_of_devices() -> Mesh | None:
    """All devices of this process in a row, or None if it has one."""
    devices = jax.local_devices()
    return Mesh(np.array(devices), ("lane",)) if len(devices) > 1 else None
