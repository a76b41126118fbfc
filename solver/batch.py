r"""Many independent fixed points at once: blocks of accelerated steps, from which finished problems leave.

A batch under one ``while_loop`` waits for its slowest problem. Here a chunk of lanes, small enough for a core's cache,
steps until few of them are still running; those are gathered with the stragglers of other chunks, the farthest from their
end together. A block first steps in single precision, where a step costs a third, then polishes in double:

.. math:: |F(x) - x| \le \mathrm{COARSE}\ \text{in float32},\qquad |F(x) - x| \le \text{tolerance in the precision given}

What counts is the second test alone. Chunks run on as many threads as there are cores. The host decides who runs, so none
of this can be traced or differentiated: see :func:`solver.fixed_point.fixed_point` for that.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from solver.compilation import OWN_LOOPS, as_here, compiler_options, cores, first_compiled, in_one_kernel
from solver.fixed_point import FixedPoint, _advance, _begin, _running, _State, _where

SLAB = 8  # chunks of one call
COARSE = 1e-4  # where float32 hands over: rounding moves the next steps by less
COARSE_STEPS = 24  # of a block, at most: what float32 cannot settle goes on in double
# bytes of a block's arguments and state: above it XLA refused the restriction game's step as one kernel
SMALL = 600 * 2**10
STARTED, NEAR, STOPPED = range(3)  # how a block begins: at its start, at an x given, where it stopped
LEFT = 1 / 4  # share of a block's lanes that may still run when it stops; stragglers run to their end


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
    one_kernel: bool = False,
    near: Any = None,
) -> FixedPoint:
    """The fixed points of ``function(x, args)`` reached from ``start(args)``, one a lane.

    :param args: a pytree of float arrays, every one with the lanes last.
    :param start: x at the start, from args, computed in single precision and so within its range; like ``function`` and
        ``accelerate`` a module-level function, since another function object means another compilation.
    :param chunk: lanes of a block. A power of two; a block's state and arguments should fit a core's cache.
    :param one_kernel: whether to let XLA compile a step into one kernel (:func:`solver.compilation.in_one_kernel`, which may
        abort the process over a function not tried with it).
    :param near: an x of every lane to begin at instead of ``start``'s, say the fixed point of a similar problem.
    :return: :class:`solver.fixed_point.FixedPoint` with the lanes last in every array. A lane that was not solved is a
        False in ``converged``. The lanes' order has no effect on their results beyond rounding.
    :raises ValueError: if the arrays of ``args`` disagree on the number of lanes.
    """
    args = jax.tree.map(np.asarray, args)
    counts = {leaf.shape[-1] if leaf.ndim else 0 for leaf in jax.tree.leaves(args)}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(f"args has arrays with {counts} lanes: give every array the same last axis, not empty")
    total = counts.pop()
    limits = np.asarray(tolerance, jnp.result_type(float)), np.asarray(max_steps, np.int32)
    work = _Work(function, start, memory, accelerate, chunk)
    blank = _blank(work, args)
    blocks = _kernels() if one_kernel and _small(args, blank, chunk) else _blocks(operation_by_operation)
    call = _Call(blocks, work, args, limits, blank)

    waiting, state, mode = np.arange(total), None, STARTED
    if near is not None:
        state, mode = _sized(blank, total, np.zeros)._replace(value=jax.tree.map(np.asarray, near)), NEAR
    out = _sized(_found(blank), total, np.empty)
    devices = jax.local_devices()
    threads = max(cores(), len(devices))
    left = int(LEFT * chunk) if total > threads * chunk else 0
    with ThreadPoolExecutor(threads) as pool:
        while waiting.size:
            shares = 4 * threads if mode == STOPPED else threads  # stragglers take more and less long
            size = min(SLAB * chunk, -(-waiting.size // (shares * chunk)) * chunk)
            parts = [slice(i, i + size) for i in range(0, waiting.size, size)]
            run = as_here(partial(_run, call, waiting, state, mode, left))
            where = [devices[k % len(devices)] for k in range(len(parts))]
            done = list(pool.map(run, parts, where))
            for at, (found, _, _) in zip(parts, done, strict=True):
                _put(out, waiting[at], found)
            waiting = np.concatenate([lanes for _, lanes, _ in done])
            state = jax.tree.map(lambda *xs: np.concatenate(xs, axis=-1), *[s for _, _, s in done])
            farthest = np.argsort(state.residual)[::-1]  # NaN before all
            waiting, state, mode, left = waiting[farthest], take(state, farthest), STOPPED, 0
    value, residual, num_steps = out
    return FixedPoint(value, residual, num_steps, residual <= limits[0])


class _Work(NamedTuple):
    """What a program is compiled for."""

    function: Callable
    start: Callable
    memory: int
    accelerate: Callable
    chunk: int


class _Call(NamedTuple):
    """What all parts of a call share."""

    blocks: Callable
    work: _Work
    args: Any
    limits: tuple[np.ndarray, np.ndarray]
    blank: _State


@partial(jax.jit, static_argnums=0)
def _begun(work: _Work, args: Any) -> _State:
    return _begin(work.start(args), work.memory, work.accelerate, 1)


def _blank(work: _Work, args: Any) -> _State:
    """The state of a call's lanes, to be written over."""
    some = jax.tree.map(lambda x: jax.ShapeDtypeStruct((*x.shape[:-1], SLAB * work.chunk), x.dtype), args)
    return _sized(_begun.eval_shape(work, some), SLAB * work.chunk, np.zeros)


def _sized(like: Any, lanes: int, make: Callable) -> Any:
    return jax.tree.map(lambda x: make((*x.shape[:-1], lanes), x.dtype), like)


def _small(args: Any, state: _State, chunk: int) -> bool:
    bytes_of_a_chunk = [x.nbytes // x.shape[-1] * chunk for x in jax.tree.leaves((args, state))]
    return all(x.size for x in jax.tree.leaves(args)) and sum(bytes_of_a_chunk) <= SMALL


def _found(state: _State) -> tuple[Any, Any, Any]:
    return state.value, state.residual, state.num_steps


def _run(
    call: _Call, waiting: np.ndarray, state: Any, mode: int, left: int, at: slice, device: Any
) -> tuple[Any, np.ndarray, Any]:
    """Solve some of the waiting lanes: what was found, the lanes still running, and their state."""
    lanes, chunk = waiting[at], call.work.chunk
    fill = np.resize(np.arange(len(lanes)), SLAB * chunk)
    given = call.blank if mode == STARTED else take(take(state, at), fill)
    count = -(-len(lanes) // chunk)
    with jax.default_device(device):
        new = call.blocks(take(call.args, lanes[fill]), given, mode, count, left, *call.limits, work=call.work)
    new = take(jax.tree.map(np.asarray, new), slice(len(lanes)))
    on = np.flatnonzero(_running(new, *call.limits))
    return _found(new), lanes[on], take(new, on)


def take(tree: Any, at: Any) -> Any:
    """The lanes ``at`` (a slice, or indices) of arrays that have them last; neighbours in order are not copied."""
    at = _as_slice(at)
    if isinstance(at, slice):
        return jax.tree.map(lambda x: x[..., at], tree)
    return jax.tree.map(lambda x: np.take(x, at, axis=-1), tree)  # x[..., at] would put the lanes first in memory


def _as_slice(at: Any) -> Any:
    if isinstance(at, slice) or not at.size or (np.diff(at) != 1).any():
        return at
    return slice(at[0], at[-1] + 1)


def _put(out: Any, lanes: np.ndarray, found: Any) -> None:
    at = _as_slice(lanes)
    for whole, part in zip(jax.tree.leaves(out), jax.tree.leaves(found), strict=True):
        whole[..., at] = part


def _cut(tree: Any, i: Any, chunk: int) -> Any:
    return jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, i * chunk, chunk, axis=-1), tree)


def _paste(tree: Any, part: Any, i: Any, chunk: int) -> Any:
    return jax.tree.map(lambda x, y: jax.lax.dynamic_update_slice_in_dim(x, y, i * chunk, axis=-1), tree, part)


def operation_by_operation(function: Callable) -> Callable:
    return function


@cache
def _kernels() -> Callable:
    return first_compiled(_blocks(in_one_kernel), _blocks(operation_by_operation))


@cache
def _blocks(how: Callable) -> Callable:
    options = compiler_options(OWN_LOOPS)
    return jax.jit(partial(_all_blocks, how), static_argnames="work", compiler_options=options)


def _all_blocks(how, args, state, mode, count, left, tolerance, max_steps, *, work):
    """Blocks one after another, ``count`` of them; ``how`` wraps what is compiled apart."""

    def one(i, state):
        own, given = _cut((args, state), i, work.chunk)
        return _paste(state, _block(how, work, own, given, mode, left, tolerance, max_steps), i, work.chunk)

    return jax.lax.fori_loop(0, count, one, state)


def _block(how, work, args, state, mode, left, tolerance, max_steps):
    """Steps until at most ``left`` lanes are left."""
    dtype = state.residual.dtype
    low = jnp.float32 if dtype == jnp.float64 else dtype

    def steps(args, state, tolerance, until):
        def same(x, args):  # a function's own constants may be of double precision
            return _cast(work.function(x, args), state.residual.dtype)

        def many(s):
            return _running(s, tolerance, until).sum() > left

        @how
        def step(s, args, tolerance, until):
            return _advance(same, args, s, tolerance, until, work.accelerate, 1)

        return jax.lax.while_loop(many, lambda s: step(s, args, tolerance, until), state)

    coarse = _cast(args, low)
    state = jax.lax.switch(
        mode,  # STARTED, NEAR or STOPPED
        [
            lambda: _cast(how(partial(_begun, work))(coarse), dtype),
            lambda: _begin(state.value, work.memory, work.accelerate, 1),
            lambda: state,
        ],
    )
    if low != dtype:
        few = jnp.minimum(state.num_steps + COARSE_STEPS, max_steps - 1)  # one is left to measure in double precision
        rough = _cast(steps(coarse, _cast(state, low), jnp.float32(COARSE), few), dtype)
        gained = jnp.isfinite(rough.accelerated).all(axis=0) & (rough.residual < state.residual)
        # rounded, a residual may be anything, 0 included
        rough = rough._replace(residual=jnp.maximum(rough.residual, jnp.maximum(COARSE, 2 * tolerance)))
        state = _where(gained, rough, state._replace(num_steps=rough.num_steps))  # else float32 was not enough
    return steps(args, state, tolerance, max_steps)


def _cast(tree, dtype):
    return jax.tree.map(lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)
