"""Which lanes run when: those that have ended leave, and others take their places, without leaving the device.

A few lanes run abreast; the rest wait their turn. The host calls once for a chunk, on a CPU once for each core.
"""

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh

from solver.compilation import as_here, cores
from solver.sweep.batches import Batches, solve_in_batches
from solver.sweep.lanes import ABREAST, Problem, Row, mesh_of_devices, on_devices, over_lanes

REFILL = 8  # one in so many of the lanes abreast has ended when others take their places
CACHED = 256  # lanes abreast on a CPU, at most: what they hold stays in its cache
TINY, TINY_BYTES = 32, 4096  # so many lanes whose states take less: XLA makes one kernel of the loop, six times as fast
FEWEST = 16  # lanes: fewer would save less than their compilation costs


@dataclasses.dataclass(frozen=True)
class Size:
    """What a call is compiled for: the lanes that it holds, and how many of a device's may run abreast by its memory."""

    room: int
    most: int
    calls: int = 1  # side by side


def solve_points(problem: Problem, points: tuple[np.ndarray, ...], size: Size) -> dict[str, np.ndarray]:
    """The tables at some points, each array (starts, points, ...), of at most ``size.room`` lanes in one call."""
    num, starts = len(points[0]), problem.num_starts
    lanes = tuple(np.tile(v, starts) for v in points), np.repeat(np.arange(starts), num)
    some = max(-(-num * starts // size.room), min(size.calls, num * starts // FEWEST))
    parts = [np.arange(k, num * starts, some) for k in range(some)]  # dealt out in turn, as neighbours are much alike

    def called(call: Callable, lanes: Any) -> Any:
        def one(part):
            return call(problem, _cut(lanes, part), size)

        if size.calls == 1:
            tables = map(one, parts)
        else:
            with ThreadPoolExecutor(min(size.calls, cores())) as pool:
                tables = pool.map(as_here(one), parts)
        return _cut(jax.tree.map(lambda *xs: np.concatenate(xs), *tables), np.argsort(np.concatenate(parts)))

    if problem.in_batches:
        games, tables = called(_on_all("opening"), lanes)
        solution = solve_in_batches(Batches(games), tables[:, :, 0], problem.tolerance, int(problem.max_steps))
        found = called(_on_all("report"), (*lanes, solution))
    else:
        found = called(_to_the_end, lanes)
    return {name: x.reshape(starts, num, *x.shape[1:]) for name, x in found.values.items()}


def calls_at_once(problem: Problem) -> int:
    """How many calls keep a CPU busy; other devices, and payoffs in batches, do so by themselves."""
    alone = jax.default_backend() == "cpu" and jax.local_device_count() == 1
    return cores() if alone and not problem.in_batches else 1


def leaves_xla(problem: Problem, size: Size) -> bool:
    """Whether a call runs anything that XLA did not make; such calls are not made side by side.

    Two programs that factor matrices by LAPACK can then wait for each other for ever (jax 0.10), and what functions of a
    user's on the host share is not known.
    """
    return "custom_call" in solved.lower(*arguments(problem, size)).as_text()


def arguments(problem: Problem, size: Size) -> tuple:
    """Arguments of :func:`solved` as it is called, their numbers left out."""
    values = tuple(jnp.zeros(size.room) for _ in problem.names)
    lanes = values, jnp.zeros(size.room, int)
    counts = jnp.zeros(jax.local_device_count(), int)
    return problem, mesh_of_devices(), lanes, counts, size.most, problem.moves


def room_for(lanes: int) -> int:
    """Lanes that a call is compiled for: the devices' number times a power of two."""
    devices = jax.local_device_count()
    return devices * max(FEWEST, 1 << (-(-lanes // devices) - 1).bit_length())


def _on_all(method: str) -> Callable:
    """A method of the problem on all of some lanes, filled up with the first of them."""

    def call(problem: Problem, lanes: Any, size: Size) -> Any:
        num = len(lanes[1])
        at = np.arange(min(size.room, room_for(num)))
        full = _cut(lanes, np.where(at < num, at, 0))
        return _cut(jax.device_get(over_lanes(method, problem, mesh_of_devices(), full)), slice(num))

    return call


def _to_the_end(problem: Problem, lanes: Any, size: Size) -> Row:
    """The rows of some lanes, dealt out to the devices in turn, as neighbours are much alike."""
    num, devices = len(lanes[1]), jax.local_device_count()
    at = np.arange(size.room).reshape(-1, devices).T  # (device, lane)
    full = _cut(lanes, np.where(at < num, at, 0).ravel())
    rows = solved(problem, mesh_of_devices(), full, (at < num).sum(axis=1), size.most, problem.moves)
    back = np.argsort(at.ravel(), kind="stable")[:num]
    return _cut(jax.device_get(rows), back)


def _cut(tree: Any, at: Any) -> Any:
    return jax.tree.map(lambda x: x[at], tree)


@eqx.filter_jit
def solved(problem: Problem, mesh: Mesh | None, lanes: Any, counts: Array, most: int, moves: bool) -> Row:
    """The rows of lanes of which the first ``counts`` (device,) on every device are real; without steps unless it ``moves``."""

    def local(own, lanes, counts):
        begun = _in_tiles(own.begin, lanes, counts[0], most)
        ended = _compacted(own, lanes, begun, counts[0], most) if moves else begun
        return _in_tiles(own.end, (*lanes, ended), counts[0], most)

    return on_devices(local, problem, mesh, lanes, counts)


def _in_tiles(function: Callable, lanes: Any, count: Array, most: int) -> Any:
    """``function`` on the first ``count`` lanes, some at a time; nothing of the others."""
    size = len(lanes[1])
    tile = _abreast(size, most)
    mapped = jax.jit(jax.vmap(function))  # so that it is traced once

    def part(k):
        return jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, k * tile, tile), lanes)

    def body(k, out):
        new = mapped(*part(k))
        return jax.tree.map(lambda o, x: jax.lax.dynamic_update_slice_in_dim(o, x, k * tile, 0), out, new)

    shapes = jax.eval_shape(lambda: mapped(*part(0)))
    blank = jax.tree.map(lambda s: jnp.zeros((size, *s.shape[1:]), s.dtype), shapes)
    return jax.lax.fori_loop(0, -(-count // tile), body, blank)


def _compacted(problem: Problem, lanes: Any, states: Any, count: Array, most: int) -> Any:
    """The states at the end. Some lanes run abreast, those that wait take the places of those that have ended.

    When none waits and few are left, these move together to the end.
    """
    lane_bytes = sum(x.nbytes for x in jax.tree.leaves(states)) // len(lanes[1])
    wide = _abreast(len(lanes[1]), most, lane_bytes)
    few = FEWEST if wide > 4 * FEWEST else 0
    block: Any = jax.vmap(problem.block, in_axes=(0, 0, 0, 0, None), axis_name=ABREAST)

    def advance(states, at, left):
        """Blocks of steps of the lanes ``at`` until no more than ``left`` run, and which have ended."""
        here = jax.tree.map(lambda x: x.at[at].get(mode="clip"), (*lanes, states))
        new, ended = block(*here, at < count, left)
        return jax.tree.map(lambda old, x: old.at[at].set(x, mode="drop"), states, new), ended | (at >= count)

    def turn(carry):
        states, at, following = carry
        left = jnp.where(following < count, wide - max(1, wide // REFILL), few)
        states, gone = advance(states, at, left)
        return states, jnp.where(gone, following + jnp.cumsum(gone) - 1, at), following + gone.sum()

    def many(carry):
        _, at, following = carry
        return (following < count) | ((at < count).sum() > few)

    states, at, _ = jax.lax.while_loop(many, turn, (states, jnp.arange(wide), jnp.asarray(wide)))
    return advance(states, jnp.sort(at)[:few], jnp.asarray(0))[0] if few else states


def _abreast(lanes: int, most: int, lane_bytes: int = TINY_BYTES) -> int:
    """How many of some lanes run abreast, at most ``most``: on an accelerator so many, that it is busy."""
    if jax.default_backend() == "cpu":
        most = min(most, TINY if TINY * lane_bytes < TINY_BYTES else CACHED)
    return min(lanes, most)
