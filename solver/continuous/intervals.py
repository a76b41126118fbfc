"""Bounds of a function written in ``jax.numpy``, by interval arithmetic over its jaxpr, of which rounding cannot be the cause.

Bounded is the function of real numbers that the jaxpr spells out, its constants those of the trace; see
``interval_arithmetic`` for the rules.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from solver.continuous.interval_arithmetic import (
    MIXING,
    OPENINGS,
    RULES,
    Interval,
    UnsupportedPrimitiveError,
    as_interval,
    point,
)


def evaluate(closed: ClosedJaxpr, *arguments: Any, smooth: bool = False) -> list[Any]:
    """Bounds of the outputs where the inputs range over ``arguments``.

    :param smooth: NaN instead of a hull wherever it is open which side of a jump or a kink an input lies on. So numbers also
        say that the function is smooth there.
    :raises UnsupportedPrimitiveError: naming the first operation without a rule.
    """
    with np.errstate(all="ignore"):
        return _run(closed.jaxpr, [_constant(c) for c in closed.consts], list(arguments), smooth)


def _run(jaxpr: Jaxpr, consts: list, arguments: list, smooth: bool) -> list:
    values: dict[Any, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *arguments], strict=True))
    extremes: dict[Any, Any] = {}  # what was the larger or smaller of what

    def value(v):
        return _constant(v.val) if isinstance(v, Literal) else values[v]

    for equation in jaxpr.eqns:
        inputs = [value(v) for v in equation.invars]
        if equation.primitive.name in ("max", "min"):
            extremes[equation.outvars[0]] = equation
        won = _won(equation, extremes) if equation.primitive.name == "eq" else None
        flag = None if won is None else [_spoiled(won[0](value(won[1]), value(won[2])), inputs)]
        values.update(zip(equation.outvars, flag or _apply(equation, inputs, smooth), strict=True))
    return [value(v) for v in jaxpr.outvars]


def _won(equation, extremes: dict) -> tuple[Callable, Any, Any] | None:
    """``x == max(x, y)`` as ``x >= y``, as derivatives ask it: intervals of x and the maximum always meet."""
    for x, z in (equation.invars, equation.invars[::-1]):
        found = None if isinstance(z, Literal) else extremes.get(z)
        if found is None:
            continue
        rule = RULES["ge" if found.primitive.name == "max" else "le"]
        for own, other in (found.invars, found.invars[::-1]):
            if own is x or (isinstance(own, Literal) and isinstance(x, Literal) and own.val == x.val):
                return rule, own, other
    return None


def _apply(equation, inputs: list, smooth: bool) -> list:
    name, params = equation.primitive.name, equation.params
    inner = next((params[k] for k in ("jaxpr", "call_jaxpr", "fun_jaxpr") if k in params), None)
    if name in CALLS and inner is not None:
        closed = inner if hasattr(inner, "jaxpr") else ClosedJaxpr(inner, ())
        return _run(closed.jaxpr, [_constant(c) for c in closed.consts], inputs, smooth)
    if name in STRUCTURAL:
        return _structural(equation, inputs)
    if not any(isinstance(x, Interval) for x in inputs):  # indices and flags, known exactly
        with jax.enable_x64(True):
            out = equation.primitive.bind(*inputs, **params)
        outs = out if equation.primitive.multiple_results else [out]
        return [_constant(np.asarray(x)) for x in outs]
    if name in OPENINGS:
        flags = equation.invars[0].aval.dtype == bool
        out = OPENINGS[name](*inputs, smooth=smooth, flags=flags, **params)
    elif name in RULES:
        out = RULES[name](*inputs, **params)
    else:
        raise UnsupportedPrimitiveError(name)
    return [out if name in MIXING else _spoiled(out, inputs)]


def _spoiled(out: Any, inputs: list) -> Any:
    """NaN where an input is: an operation that bounds its result (a tanh, a comparison) must not hide what is not known."""
    if not isinstance(out, Interval):
        return out
    bad = np.isnan(out.low) | np.isnan(out.high)
    for x in inputs:
        if isinstance(x, Interval):
            bad = bad | np.isnan(x.low)
    return Interval(np.where(bad, np.nan, out.low), np.where(bad, np.nan, out.high)) if bad.any() else out


def _constant(value: Any) -> Any:
    """Floats as intervals of no width; integers and flags as they are."""
    if isinstance(value, Interval):
        return value
    if jnp.issubdtype(getattr(value, "dtype", float), jax.dtypes.prng_key):
        raise UnsupportedPrimitiveError("random numbers")
    array = np.asarray(value)
    if array.dtype == jax.dtypes.float0:
        return array.astype(bool)
    return point(array) if np.issubdtype(array.dtype, np.floating) else array


def _structural(equation, inputs: list) -> list:
    """Operations that move entries about: the same on both ends, at places that are known."""
    name, params = equation.primitive.name, equation.params
    moved = [_is_moved(v) for v in equation.invars]
    if any(isinstance(x, Interval) and not m for x, m in zip(inputs, moved, strict=True)):
        raise UnsupportedPrimitiveError(f"{name} at a place that depends on the strategy")

    def apply(arrays):
        if name in SHAPES:
            return SHAPES[name](*arrays, **params)
        with jax.enable_x64(True):
            return jax.tree.map(np.asarray, equation.primitive.bind(*arrays, **params))

    if any(isinstance(x, Interval) for x in inputs):
        full = [as_interval(x) if m else x for x, m in zip(inputs, moved, strict=True)]
        ends = [apply([x[e] if isinstance(x, Interval) else x for x in full]) for e in (0, 1)]
        return [Interval(*pair) for pair in zip(*ends, strict=True)] if name == "split" else [Interval(*ends)]
    out = apply(inputs)
    return list(out) if name == "split" else [out]


def _broadcast(x, *_, shape, broadcast_dimensions, **__):
    lined = [1] * len(shape)
    for axis, size in zip(broadcast_dimensions, x.shape, strict=True):
        lined[axis] = size
    return np.broadcast_to(x.reshape(lined), shape)


def _slice(x, start_indices, limit_indices, strides):
    steps = strides or [1] * x.ndim
    return x[tuple(slice(*part) for part in zip(start_indices, limit_indices, steps, strict=True))]


def _is_moved(variable) -> bool:
    """Numbers and flags; whole numbers say where to."""
    return np.issubdtype(variable.aval.dtype, np.floating) or variable.aval.dtype == bool


# in numpy, which is quicker than XLA here
SHAPES: dict[str, Callable] = {
    "broadcast_in_dim": _broadcast,
    "slice": _slice,
    "reshape": lambda x, new_sizes, **_: x.reshape(new_sizes),
    "squeeze": lambda x, dimensions, **_: np.squeeze(x, tuple(dimensions)),
    "transpose": lambda x, permutation, **_: x.transpose(permutation),
    "concatenate": lambda *xs, dimension, **_: np.concatenate(xs, dimension),
    "rev": lambda x, dimensions, **_: np.flip(x, dimensions),
    "split": lambda x, sizes, axis, **_: np.split(x, np.cumsum(sizes)[:-1], axis),
}
CALLS = {"jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "remat", "checkpoint"}
STRUCTURAL = {
    *SHAPES, "expand_dims", "stack", "pad", "gather", "dynamic_slice", "scatter", "dynamic_update_slice", "copy", "copy_p",
}  # fmt: skip
