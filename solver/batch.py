r"""Many independent fixed points at once: blocks of accelerated steps, from which finished problems leave.

A batch under one ``while_loop`` waits for its slowest problem. Here a chunk of lanes, small enough for a core's cache,
steps until few of them are still running; those are gathered with the stragglers of other chunks into new ones. A
block first steps in single precision, where a step costs a third, then polishes in double:

.. math:: |F(x) - x| \le \mathrm{COARSE}\ \text{in float32},\qquad |F(x) - x| \le \text{tolerance in the precision given}

What counts is the second test alone. Chunks run on as many threads as there are cores. The host decides who runs, so
none of this can be traced or differentiated: see :func:`solver.fixed_point.fixed_point` for that.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from solver.compilation import PLAIN, as_here, compiler_options, cores
from solver.fixed_point import FixedPoint, _advance, _begin, _running, _State, _where

SLAB = 8  # chunks of one call
COARSE = 1e-4  # where float32 hands over: rounding moves the next steps by less
COARSE_STEPS, FINE_STEPS = 48, 16  # of a block, at most: what float32 cannot settle goes on in double
LEFT = 1 / 4  # share of a block's lanes that may still run when it stops; the last block's run to their end
# sums in XLA's own loops: handing them to a library of kernels (YNNPACK) cost half of a float32 step
OWN_LOOPS = PLAIN | {"xla_cpu_experimental_ynn_fusion_type": ""}


def everything(x: Any) -> Any:
    return x


def fixed_points(
    function: Callable[[Any, Any], Any],
    start: Callable[[Any], Any],
    args: Any,
    *,
    tolerance: float,
    max_steps: int = 200,
    memory: int = 4,
    accelerate: Callable[[Any], Any] = everything,
    chunk: int = 128,
) -> FixedPoint:
    """The fixed points of ``function(x, args)`` reached from ``start(args)``, one a lane.

    :param args: a pytree of float arrays, every one with the lanes last.
    :param start: x at the start, from args; like ``function`` and ``accelerate`` a module-level function, since another
        function object means another compilation.
    :param chunk: lanes of a block. A power of two; a block's state and arguments should fit a core's cache.
    :return: :class:`solver.fixed_point.FixedPoint` with the lanes last in every array. A lane that was not solved is a
        False in ``converged``. The lanes' order has no effect on their results beyond rounding.
    :raises ValueError: if the arrays of ``args`` disagree on the number of lanes.
    """
    args = jax.tree.map(np.asarray, args)
    counts = {leaf.shape[-1] if leaf.ndim else 0 for leaf in jax.tree.leaves(args)}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(f"args has arrays with {counts} lanes: give every array the same last axis, not empty")
    total = counts.pop()
    limits = jnp.asarray(tolerance), jnp.asarray(max_steps, jnp.int32)
    work = _Work(function, start, memory, accelerate, *limits)

    waiting, state = np.arange(total), None
    out: Any = None
    devices = jax.local_devices()
    threads = max(cores(), len(devices))
    with ThreadPoolExecutor(threads) as pool:
        while waiting.size:
            left = int(LEFT * chunk) if waiting.size > threads * chunk else 0
            size = min(SLAB * chunk, -(-waiting.size // (threads * chunk)) * chunk)
            parts = [slice(i, i + size) for i in range(0, waiting.size, size)]
            run = as_here(partial(_run, work, args, waiting, state, chunk, left))
            where = [devices[k % len(devices)] for k in range(len(parts))]
            # the first call alone compiles; after it they take turns
            first = [run(parts[0], where[0])] if out is None else []
            done = [*first, *pool.map(run, parts[len(first) :], where[len(first) :])]
            if out is None:
                out = jax.tree.map(lambda x: np.empty((*x.shape[:-1], total), x.dtype), done[0][0])
            for at, (found, _, _) in zip(parts, done, strict=True):
                _put(out, waiting[at], found)
            waiting = np.concatenate([left for _, left, _ in done])
            state = jax.tree.map(lambda *xs: np.concatenate(xs, axis=-1), *[s for _, _, s in done])
    return out


class _Work(NamedTuple):
    """What is the same for every block."""

    function: Callable
    start: Callable
    memory: int
    accelerate: Callable
    tolerance: Array
    max_steps: Array


def _run(
    work: _Work, args: Any, waiting: np.ndarray, state: Any, chunk: int, left: int, at: slice, device: Any
) -> tuple[FixedPoint, np.ndarray, Any]:
    """Solve some of the waiting lanes: what was found, the lanes still running, and their state."""
    lanes = waiting[at]
    fill = np.resize(np.arange(len(lanes)), SLAB * chunk)
    part = take(args, lanes[fill])
    static = dict(accelerate=work.accelerate, function=work.function, chunk=chunk)
    count = -(-len(lanes) // chunk)
    how = work.start, work.memory, work.accelerate, chunk
    with jax.default_device(device):
        given = take(take(state, at), fill) if state else _opened(part, count, *how)
        new, found, on = _blocks()(part, given, count, left, work.tolerance, work.max_steps, **static)
    on = np.flatnonzero(np.asarray(on)[: len(lanes)])
    return jax.tree.map(np.asarray, found), lanes[on], take(jax.tree.map(np.asarray, new), on)


def take(tree: Any, at: Any) -> Any:
    """The lanes ``at`` (a slice, or indices) of arrays that have them last; neighbours in order are not copied."""
    if not isinstance(at, slice) and at.size and (np.diff(at) == 1).all():
        at = slice(at[0], at[-1] + 1)
    if isinstance(at, slice):
        return jax.tree.map(lambda x: x[..., at], tree)
    return jax.tree.map(lambda x: np.take(x, at, axis=-1), tree)  # x[..., at] would put the lanes first in memory


def _put(out: Any, lanes: np.ndarray, found: Any) -> None:
    for whole, part in zip(jax.tree.leaves(out), jax.tree.leaves(found), strict=True):
        whole[..., lanes] = part[..., : len(lanes)]


@partial(jax.jit, static_argnums=(2, 3, 4, 5))
def _opened(args, count, start, memory, accelerate, chunk) -> _State:
    """The state before the first step of ``count`` chunks; zeros in those after them."""

    def begun(args):
        return _begin(start(args), memory, accelerate, 1)

    blank = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(begun, args))
    return jax.lax.fori_loop(0, count, lambda i, out: _paste(out, begun(_cut(args, i, chunk)), i, chunk), blank)


def _cut(tree: Any, i: Any, chunk: int) -> Any:
    return jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, i * chunk, chunk, axis=-1), tree)


def _paste(tree: Any, part: Any, i: Any, chunk: int) -> Any:
    return jax.tree.map(lambda x, y: jax.lax.dynamic_update_slice_in_dim(x, y, i * chunk, axis=-1), tree, part)


@cache
def _blocks():
    static = ("function", "accelerate", "chunk")
    return jax.jit(_all_blocks, static_argnames=static, compiler_options=compiler_options(OWN_LOOPS))


def _all_blocks(args, state, count, left, tolerance, max_steps, *, chunk, accelerate, function):
    """Blocks one after another, ``count`` of them: the state, what was found, and which lanes still run."""

    def block(i, out):
        own, begun = _cut((args, state), i, chunk)
        return _paste(out, _block(function, own, begun, left, tolerance, max_steps, accelerate), i, chunk)

    running = jnp.zeros(state.residual.shape, bool)
    found = FixedPoint(state.value, state.residual, state.num_steps, running)
    return jax.lax.fori_loop(0, count, block, (state, found, running))


def _block(function, args, state, left, tolerance, max_steps, accelerate):
    """Steps until at most ``left`` lanes are left."""
    dtype = state.residual.dtype

    def steps(args, state, tolerance, at_most):
        until = jnp.minimum(state.num_steps + at_most, max_steps)

        def same(x, args):  # a function's own constants may be of double precision
            return _cast(function(x, args), state.residual.dtype)

        def many(s):
            return _running(s, tolerance, until).sum() > left

        def step(s):
            return _advance(same, args, s, tolerance, until, accelerate, 1)

        return jax.lax.while_loop(many, step, state)

    if dtype == jnp.float64:
        low = steps(_cast(args, jnp.float32), _cast(state, jnp.float32), jnp.float32(COARSE), COARSE_STEPS)
        low = _cast(low, dtype)
        gained = jnp.isfinite(low.accelerated).all(axis=0) & (low.residual < state.residual)
        state = _where(gained, low, state._replace(num_steps=low.num_steps))  # else float32 was not enough
    state = steps(args, state, tolerance, FINE_STEPS)
    found = FixedPoint(state.value, state.residual, state.num_steps, state.residual <= tolerance)
    return state, found, _running(state, tolerance, max_steps)


def _cast(tree, dtype):
    return jax.tree.map(lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)
