"""Which lanes run when: those that have ended leave, and others take their places.

The number of lanes of a call is the devices' number times a power of two, so that few sizes are compiled. Calls are made one
after another: two programs that factor matrices side by side on a CPU can wait for each other for ever (jax 0.10).
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from solver.sweep.batches import Batches, solve_in_batches
from solver.sweep.lanes import Problem, mesh_of_devices, over_lanes

FEWEST = 8  # lanes of a device: fewer would save less than their compilation costs
REFILL = 1 / 8  # share of the lanes that have ended when others take their places


def solve_points(
    problem: Problem, points: tuple[np.ndarray, ...], width: int, fewest: int = FEWEST
) -> dict[str, np.ndarray]:
    """The tables at some points, each array (starts, points, ...), solved ``width`` lanes at a time.

    Where an eighth of them have ended, others take their places. When there are no others, half are waited for, and what is
    left is padded to ever smaller powers of two, down to ``fewest`` on a device.
    """
    num, starts = len(points[0]), problem.num_starts
    lanes = tuple(np.tile(v, starts) for v in points), np.repeat(np.arange(starts), num)
    calls = _Calls(problem, mesh_of_devices(), lanes, width, fewest)
    if problem.in_batches:
        games, tables = calls.on_all("opening")
        solution = solve_in_batches(Batches(games), tables[:, :, 0], problem.tolerance, int(problem.max_steps))
        found = calls.on_all("report", solution)
    else:
        states, ended = calls.on_all("begin")
        calls.run_to_the_end(np.flatnonzero(~ended), states)
        found = calls.on_all("end", states)
    return {name: x.reshape(starts, num, *x.shape[1:]) for name, x in found.values.items()}


@dataclasses.dataclass(frozen=True)
class _Calls:
    """Calls of a problem's methods on some of its lanes."""

    problem: Problem
    mesh: Mesh | None
    lanes: tuple[tuple[np.ndarray, ...], np.ndarray]
    width: int
    fewest: int

    def call(self, method: str, at: np.ndarray, *rest, own=(), shared=()):
        """On the lanes ``at``, with their rows of ``rest``, their ``own`` arrays, and what they share."""
        here = jax.tree.map(lambda v: v[at], (*self.lanes, *rest))
        return over_lanes(method, self.problem, self.mesh, jax.device_put((*here, *own)), *shared)

    def on_all(self, method: str, *rest):
        """On all lanes, as many at a time as are wide, the results as arrays of the host."""
        total = len(self.lanes[1])
        tiles = [np.arange(k, min(k + self.width, total)) for k in range(0, total, self.width)]

        def tile(here):
            out = self.call(method, _filled(here, self.size(here.size)), *rest)
            return jax.tree.map(lambda x: np.asarray(x)[: here.size], out)

        return jax.tree.map(lambda *xs: np.concatenate(xs), *map(tile, tiles))

    def run_to_the_end(self, waiting: np.ndarray, states) -> None:
        """Blocks of steps of the lanes ``waiting`` until all have ended, their rows of ``states`` brought up to date."""
        active, devices = np.arange(0), 1 if self.mesh is None else self.mesh.size
        while active.size or waiting.size:
            room = self.width - active.size
            active, waiting = np.append(active, waiting[:room]), waiting[room:]
            at = _filled(active, self.size(active.size))
            real, abreast = np.arange(at.size) < active.size, at.size // devices
            left = int((1 - REFILL) * abreast) if waiting.size else abreast // 2 * (abreast > self.fewest)
            new, ended = self.call("block", at, states, own=(real,), shared=(jnp.asarray(left),))
            for old, now in zip(jax.tree.leaves(states), jax.tree.leaves(new), strict=True):
                old[active] = np.asarray(now)[: active.size]
            active = active[~np.asarray(ended)[: active.size]]

    def size(self, count: int) -> int:
        return lanes_for(count, self.width, self.mesh, self.fewest)


def lanes_for(count: int, width: int, mesh: Mesh | None, fewest: int = FEWEST) -> int:
    """Lanes compiled for: the devices' number times a power of two, from ``fewest`` to ``width`` in all."""
    devices = 1 if mesh is None else mesh.size
    return min(width, devices * max(fewest, 1 << (-(-count // devices) - 1).bit_length()))


def widest(lanes: int) -> int:
    """The most lanes at a time that a chunk of so many fills, in the sizes of :func:`lanes_for`."""
    devices = jax.local_device_count()
    return devices * max(FEWEST, 1 << (max(1, lanes // devices)).bit_length() >> 1)


def _filled(at: np.ndarray, size: int) -> np.ndarray:
    return np.concatenate([at, np.repeat(at[:1], size - len(at))])
