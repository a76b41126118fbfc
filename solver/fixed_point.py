r"""Accelerated fixed points x = F(x, args), with implicit derivatives.

Anderson's acceleration (Anderson 1965; Walker and Ni 2011, type II): with :math:`f_k = F(x_k) - x_k` and differences
:math:`\Delta f, \Delta F` over the last few steps,

.. math:: \theta = \arg\min_\theta \|f_k - \Delta f\,\theta\|,\qquad x_{k+1} = F(x_k) - \Delta F\,\theta.

A safeguard drops the history whenever the residual has grown tenfold above the best one seen or has not improved for a
while, and takes damped steps before it accelerates again, four times as many after every drop; so a failure of the
acceleration costs steps and not the answer where the damped iteration converges.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree

from solver.linear import solver_of

PATIENCE = 10  # steps without a new best residual before the history is dropped
GROWTH = 10.0  # how far above the best residual an accelerated step may lead
REST = 4  # damped steps after the n-th drop, before a new history is begun: REST ** n - 1
DAMPING = 0.5
REGULARISATION = 1e-12
PLAIN = 32  # entries of an axis that are compared one by one
ESCAPES = 4  # how often a lane may be sent on from a fixed point that is not the one meant
ESCAPE_STEPS = 200  # to find another one; else it stays where it was


class FixedPoint(NamedTuple):
    """``value`` solves x = F(x): the last F(x) taken, ``residual`` the max|F(x) - x| that led to it (per lane).

    ``num_steps`` counts the evaluations of F.
    """

    value: Any
    residual: Array
    num_steps: Array
    converged: Array


class _State(NamedTuple):
    """Between steps: F(x) at the last x, and what has been learnt from x and F(x) before."""

    value: Any  # F(x)
    accelerated: Array  # the part of x that is extrapolated (n, *lanes)
    last_f: Array
    last_g: Array
    df: tuple[Array, ...]  # the last differences, each (n, *lanes)
    dg: tuple[Array, ...]
    residual: Array  # |F(x) - x| (*lanes)
    best: Array
    stalled: Array
    fresh: Array  # steps since the history was begun; negative: damped steps still to take
    drops: Array
    num_steps: Array


def fixed_point(
    function: Callable[[Any, Any], Any],
    start: Any,
    args: Any,
    *,
    tolerance: float | Array,
    max_steps: int = 200,
    memory: int = 4,
    accelerate: Callable[[Any], Any] = lambda x: x,
    escape: Callable[[Any, Any], tuple[Any, Array]] | None = None,
    lanes: int = 0,
) -> FixedPoint:
    """The fixed point of ``function(x, args)`` reached from ``start``, differentiable in ``args``.

    :param function: maps (x, args) to a pytree like x.
    :param start: a pytree of float arrays.
    :param tolerance: largest accepted |F(x) - x|, over all entries.
    :param memory: differences kept by Anderson's acceleration; 0 is plain iteration.
    :param accelerate: picks the part of x that is extrapolated; the rest takes plain steps. Worth it where the rest is
        large and converges by itself (say, Newton steps on prices) once the part does.
    :param escape: maps (x, args) at a fixed point to (another start, whether to go on from there): first-order conditions
        also hold where a payoff is lowest, and this is how such a point is left. The fixed point is kept where the way
        leads to no other, and after a few times.
    :param lanes: number of trailing axes of every leaf that hold independent problems. Each lane stops by itself.
    :return: :class:`FixedPoint`. Its value's derivatives are those of the implicit function, (I - ∂F/∂x)^-1 ∂F/∂args;
        ``lanes`` must be 0 to take them.
    """
    value, residual, num_steps, converged = _solve(
        (function, start, args),
        tolerance,
        max_steps=max_steps,
        memory=memory,
        accelerate=accelerate,
        escape=escape,
        lanes=lanes,
    )
    return FixedPoint(value, residual, num_steps, converged)


@eqx.filter_custom_jvp
def _solve(problem, tolerance, *, max_steps, memory, accelerate, escape, lanes):
    function, start, args = problem

    def to_the_end(state, limit):
        return jax.lax.while_loop(
            lambda s: jnp.any(_running(s, tolerance, limit)),
            lambda s: _advance(function, args, s, tolerance, limit, accelerate, lanes),
            state,
        )

    def onward(carry):
        state, kept, limit, count, _ = carry
        state = to_the_end(state, limit)
        astray = ~(state.residual <= tolerance) & (kept.residual <= tolerance)
        state = _where(astray, kept._replace(num_steps=state.num_steps), state)
        elsewhere, leave = escape(state.value, args)
        leave = leave & (state.residual <= tolerance) & ~astray & (count < ESCAPES)
        again = _begin(elsewhere, memory, accelerate, lanes)._replace(num_steps=state.num_steps)
        limit = jnp.where(leave, jnp.minimum(max_steps, state.num_steps + ESCAPE_STEPS), limit)
        return _where(leave, again, state), state, limit, count + 1, leave.any()

    state = _begin(start, memory, accelerate, lanes)
    limit = jnp.broadcast_to(jnp.asarray(max_steps, jnp.int32), state.num_steps.shape)
    if escape is None:
        state = to_the_end(state, limit)
    else:
        first = (state, state, limit, jnp.asarray(0), jnp.asarray(True))
        state = jax.lax.while_loop(lambda c: c[-1], onward, first)[0]
    return state.value, state.residual, state.num_steps, state.residual <= tolerance


def _running(s: _State, tolerance, max_steps) -> Array:
    return (s.num_steps < max_steps) & ~(s.residual <= tolerance)


def _begin(start, memory, accelerate, lanes) -> _State:
    u = _flat(accelerate(start), lanes)[: None if memory else 0]
    shape = u.shape[u.ndim - lanes :]
    history = (jnp.zeros_like(u),) * memory
    zero = jnp.zeros(shape, jnp.int32)
    big = jnp.full(shape, jnp.inf, u.dtype)
    # nothing is known of F: the first step goes nowhere, and F is evaluated at the start
    return _State(start, u, u, u, history, history, big, big, zero, zero - 1, zero, zero)


def _advance(function, args, s: _State, tolerance, max_steps, accelerate, lanes) -> _State:
    """A step from x to the next, judged by the residual there, and F at it.

    In this order the residual is a part of the state: computed and used in one step, XLA computes it for each of its uses.
    """
    g = _flat(accelerate(s.value), lanes)[: len(s.accelerated)]
    f = g - s.accelerated
    stalled = jnp.where(s.residual < s.best, 0, s.stalled + 1)
    drop = (s.fresh > 0) & ((s.residual > GROWTH * s.best) | (stalled > PATIENCE))
    resting = drop | (s.fresh < 0)
    df, dg, step = s.df, s.dg, g
    if s.df:
        keep = ~drop & (s.fresh > 0)
        df = (*(jnp.where(drop, 0, old) for old in s.df[1:]), jnp.where(keep, f - s.last_f, 0))
        dg = (*(jnp.where(drop, 0, old) for old in s.dg[1:]), jnp.where(keep, g - s.last_g, 0))
        step = g - sum(weight * old for weight, old in zip(_weights(df, f), dg, strict=True))
        step = jnp.where(resting, s.accelerated + DAMPING * f, step)
    x = eqx.tree_at(accelerate, s.value, _unflat(step, accelerate(s.value))) if s.df else s.value
    new = function(x, args)
    advanced = _State(
        value=new,
        accelerated=step,
        last_f=f,
        last_g=g,
        df=df,
        dg=dg,
        residual=_distance(new, x, lanes),
        best=jnp.where(resting, s.residual, jnp.minimum(s.residual, s.best)),
        stalled=jnp.where(resting, 0, stalled),
        fresh=jnp.where(drop, 1 - REST ** jnp.minimum(s.drops + 1, 8), s.fresh + 1),
        drops=s.drops + drop,
        num_steps=s.num_steps + 1,
    )
    return _where(_running(s, tolerance, max_steps), advanced, s)


def _weights(df: tuple[Array, ...], f: Array) -> list[Array]:
    """Least squares by the normal equations, lane by lane; a slot without history (zeros) gets weight 0."""
    memory = len(df)
    gram = [[(df[i] * df[j]).sum(axis=0) for j in range(memory)] for i in range(memory)]
    right = [(df[i] * f).sum(axis=0) for i in range(memory)]
    trace = sum(gram[i][i] for i in range(memory))
    ridge = REGULARISATION * trace + jnp.finfo(f.dtype).tiny
    # Cholesky by hand: `memory` is small, and LAPACK would be called lane by lane
    low = [[jnp.zeros_like(trace)] * memory for _ in range(memory)]
    for i in range(memory):
        for j in range(i + 1):
            rest = gram[i][j] - sum((low[i][k] * low[j][k] for k in range(j)), jnp.zeros_like(trace))
            low[i][j] = jnp.sqrt(jnp.maximum(rest, 0) + ridge) if i == j else rest / low[j][j]
    half = []
    for i in range(memory):
        half.append((right[i] - sum((low[i][k] * half[k] for k in range(i)), jnp.zeros_like(trace))) / low[i][i])
    weights = [jnp.zeros_like(trace)] * memory
    for i in reversed(range(memory)):
        rest = half[i] - sum((low[k][i] * weights[k] for k in range(i + 1, memory)), jnp.zeros_like(trace))
        weights[i] = rest / low[i][i]
    return weights


@_solve.def_jvp
def _implicit(primals, tangents, *, lanes, **options):
    (function, start, args), tolerance = primals
    if lanes:
        raise NotImplementedError("derivatives of a fixed point need lanes=0; use jax.vmap for a batch")
    (d_function, _, d_args), _ = tangents
    out = _solve((function, start, args), tolerance, lanes=lanes, **options)
    value, residual, num_steps, converged = out
    x, rebuild = ravel_pytree(value)
    problem, tangent = (function, args), (d_function, d_args)
    moving, held = eqx.partition(problem, jax.tree.map(lambda _, t: t is not None, problem, tangent))

    def gap(x: Array, moving: Any) -> Array:
        function, args = eqx.combine(moving, held)
        return x - ravel_pytree(function(rebuild(x), args))[0]

    _, push = jax.linearize(gap, x, moving)  # once for both: of derivatives of derivatives programs grow large
    still = jax.tree.map(jnp.zeros_like, moving)
    matrix = jax.vmap(lambda along: push(along, still), out_axes=1)(jnp.eye(len(x), dtype=x.dtype))
    tangent = rebuild(-solver_of(matrix)[0](push(jnp.zeros_like(x), tangent)))
    zeros = jax.tree.map(lambda x: None, (residual, num_steps, converged))
    return out, (tangent, *zeros)


def _flat(tree, lanes) -> Array:
    leaves = jax.tree.leaves(tree)
    return jnp.concatenate([leaf.reshape(-1, *leaf.shape[leaf.ndim - lanes :]) for leaf in leaves])


def _unflat(flat: Array, like):
    leaves, treedef = jax.tree.flatten(like)
    lanes = flat.ndim - 1
    out, at = [], 0
    for leaf in leaves:
        size = 1
        for n in leaf.shape[: leaf.ndim - lanes]:
            size *= n
        out.append(flat[at : at + size].reshape(leaf.shape))
        at += size
    return jax.tree.unflatten(treedef, out)


def _distance(new, old, lanes) -> Array:
    def largest(gap):
        while gap.ndim > lanes:
            gap = gap.max(axis=0, initial=0.0) if gap.shape[0] not in range(1, PLAIN + 1) else reduce(jnp.maximum, gap)
        return gap

    # comparison by comparison, which become vector instructions over the lanes: a reduction took a quarter of a step
    gaps = [largest(jnp.abs(a - b)) for a, b in zip(jax.tree.leaves(new), jax.tree.leaves(old), strict=True)]
    return reduce(jnp.maximum, gaps)


def _where(mask: Array, new, old):
    return jax.tree.map(lambda a, b: jnp.where(mask, a, b), new, old)
