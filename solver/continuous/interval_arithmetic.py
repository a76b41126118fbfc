"""Arithmetic on intervals, rounded outward, and the rules by which operations of a jaxpr bound their results.

Every operation is carried out on the ends of intervals in double precision and rounded outward (Moore 1966; Moore, Kearfott
and Cloud 2009): by one unit in the last place where IEEE 754 rounds correctly, by ``LIBRARY`` units for exponentials,
logarithms and the like, which is more than the error numpy's tests allow them, and by n units of the sum of the terms' sizes
for a sum of n.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

LIBRARY = 8
EPS = np.finfo(float).eps


class Interval(NamedTuple):
    """The reals from ``low`` to ``high``, arrays of one shape; NaN where nothing is known, not even that they are smooth."""

    low: np.ndarray
    high: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.low.shape


class UnsupportedPrimitiveError(NotImplementedError):
    """An operation without a rule for intervals; ``name`` says which."""

    def __init__(self, name: str):
        super().__init__(f"no interval rule for the primitive {name!r}")
        self.name = name


def point(value: Any) -> Interval:
    array = np.asarray(value, float)
    return Interval(array, array)


def outward(low: np.ndarray, high: np.ndarray, units: int = 1) -> Interval:
    if units == 1:
        return Interval(np.nextafter(low, -np.inf), np.nextafter(high, np.inf))
    tiny = units * np.finfo(float).tiny
    return Interval(low - (units * EPS * np.abs(low) + tiny), high + (units * EPS * np.abs(high) + tiny))


def as_interval(x: Any) -> Interval:
    return x if isinstance(x, Interval) else point(x)


def add(x, y, **_) -> Interval:
    x, y = as_interval(x), as_interval(y)
    return outward(x.low + y.low, x.high + y.high)


def negate(x, **_) -> Interval:
    return Interval(-x.high, -x.low)


def subtract(x, y, **_) -> Interval:
    return add(x, negate(as_interval(y)))


def multiply(x, y, **_) -> Interval:
    x, y = as_interval(x), as_interval(y)
    ends = [a * b for a in x for b in y]
    zero = ((x.low == 0) & (x.high == 0)) | ((y.low == 0) & (y.high == 0))  # 0 times the unbounded: payoffs are finite
    low, high = np.where(zero, 0, np.minimum.reduce(ends)), np.where(zero, 0, np.maximum.reduce(ends))
    exact = zero | ((x.low == 1) & (x.high == 1)) | ((y.low == 1) & (y.high == 1))
    wide = outward(low, high)
    return Interval(np.where(exact, low, wide.low), np.where(exact, high, wide.high))


def divide(x, y, **_) -> Interval:
    x, y = as_interval(x), as_interval(y)
    ends = [a / b for a in x for b in y]
    across = (y.low <= 0) & (y.high >= 0)
    low, high = np.minimum.reduce(ends), np.maximum.reduce(ends)
    return outward(np.where(across, -np.inf, low), np.where(across, np.inf, high))


def square(x, **_) -> Interval:
    return power(x, 2)


def power(x: Interval, y: int, **_) -> Interval:
    """x^y for a whole number y."""
    if y < 0:
        return divide(point(np.ones(x.shape)), power(x, -y))
    low, high = x.low**y, x.high**y
    if y % 2 == 0:
        across = (x.low < 0) & (x.high > 0)
        low, high = np.where(across, 0, np.minimum(low, high)), np.maximum(low, high)
    out = outward(low, high, LIBRARY)
    return Interval(np.maximum(out.low, 0), out.high) if y % 2 == 0 else out


def real_power(x, y, **_) -> Interval:
    x, y = as_interval(x), as_interval(y)
    return exponential(multiply(y, logarithm(x)))


def increasing(function: Callable, least: float = -np.inf, most: float = np.inf, floor: float = -np.inf) -> Callable:
    """The rule of an increasing function on numbers of at least ``floor``, with values in [least, most]."""

    def rule(x, **_) -> Interval:
        x = as_interval(x)
        out = outward(function(x.low), function(x.high), LIBRARY)
        low = np.where(x.low < floor, -np.inf, np.maximum(out.low, least))
        return Interval(low, np.where(x.low < floor, np.inf, np.minimum(out.high, most)))

    return rule


exponential = increasing(np.exp, 0.0)
logarithm = increasing(np.log, floor=0.0)


def wave(function: Callable, top: float) -> Callable:
    """The rule of a sine or cosine, which is highest at ``top`` and lowest half a period later."""

    def rule(x, **_) -> Interval:
        out = outward(np.minimum(*map(function, x)), np.maximum(*map(function, x)), LIBRARY)

        def passes(place):  # generous near the ends, where rounding could hide an extreme
            slack = 1e-9 * (1 + np.abs(x.low) + np.abs(x.high))
            first = place + 2 * np.pi * np.ceil((x.low - slack - place) / (2 * np.pi))
            return first <= x.high + slack

        low, high = np.where(passes(top + np.pi), -1, out.low), np.where(passes(top), 1, out.high)
        return Interval(np.maximum(low, -1), np.minimum(high, 1))

    return rule


def hyperbolic_cosine(x, **_) -> Interval:
    size = _size(x)
    return outward(np.cosh(size.low), np.cosh(size.high), LIBRARY)


def _size(x: Interval) -> Interval:
    across = (x.low <= 0) & (x.high >= 0)
    ends = np.abs(x.low), np.abs(x.high)
    return Interval(np.where(across, 0, np.minimum(*ends)), np.maximum(*ends))


def total(x, axes, **_) -> Interval:
    """Sums, whatever the order in which they are taken."""
    x = as_interval(x)
    count = int(np.prod([x.shape[a] for a in axes]))
    low, high = x.low.sum(axis=tuple(axes)), x.high.sum(axis=tuple(axes))
    if count < 2:
        return Interval(low, high)
    slack = [2 * count * EPS * np.abs(end).sum(axis=tuple(axes)) for end in x]
    return outward(low - slack[0], high + slack[1])


def dot(x, y, dimension_numbers, **_) -> Interval:
    """Products along the contracted axes, then their sum."""
    x, y = as_interval(x), as_interval(y)
    (over_x, over_y), (batch_x, batch_y) = dimension_numbers
    free_x = [a for a in range(len(x.shape)) if a not in (*over_x, *batch_x)]
    free_y = [a for a in range(len(y.shape)) if a not in (*over_y, *batch_y)]
    left = [e.transpose([*batch_x, *free_x, *over_x]) for e in x]
    right = [e.transpose([*batch_y, *free_y, *over_y]) for e in y]
    n, m, k = len(batch_x), len(free_x), len(free_y)
    left = Interval(*(np.expand_dims(e, tuple(range(n + m, n + m + k))) for e in left))
    right = Interval(*(np.expand_dims(e, tuple(range(n, n + m))) for e in right))
    terms = multiply(left, right)
    return total(terms, tuple(range(n + m + k, len(terms.shape))))


def product(x, axes, **_) -> Interval:
    moved = Interval(*(np.moveaxis(e, axes, range(len(axes))) for e in x))
    out = Interval(*(e.reshape(-1, *e.shape[len(axes) :]) for e in moved))
    value = point(np.ones(out.shape[1:]))
    for i in range(out.shape[0]):
        value = multiply(value, Interval(out.low[i], out.high[i]))
    return value


def running_total(x, axis, reverse, **_) -> Interval:
    ends = [np.flip(e, axis) if reverse else e for e in x]
    slack = [2 * e.shape[axis] * EPS * np.cumsum(np.abs(e), axis) for e in ends]
    low, high = np.cumsum(ends[0], axis) - slack[0], np.cumsum(ends[1], axis) + slack[1]
    return Interval(*(np.flip(e, axis) if reverse else e for e in outward(low, high)))


def compare(certain: Callable, possible: Callable) -> Callable:
    """Flags as intervals of 0 and 1: what is certain, and what is possible."""

    def rule(x, y, **_) -> Interval:
        x, y = as_interval(x), as_interval(y)
        return Interval(certain(x, y).astype(float), possible(x, y).astype(float))

    return rule


def _same(x, y):
    return (x.low == x.high) & (y.low == y.high) & (x.low == y.low)


def _meet(x, y):
    return (x.low <= y.high) & (y.low <= x.high)


def both(x, y, **_) -> Interval:
    x, y = as_interval(x), as_interval(y)
    return Interval(np.minimum(x.low, y.low), np.minimum(x.high, y.high))


def either(x, y, **_) -> Interval:
    x, y = as_interval(x), as_interval(y)
    return Interval(np.maximum(x.low, y.low), np.maximum(x.high, y.high))


def _opened(out: Interval, undecided: np.ndarray, smooth: bool) -> Interval:
    if not smooth:
        return out
    return Interval(np.where(undecided, np.nan, out.low), np.where(undecided, np.nan, out.high))


def select(which, *cases, smooth, **_) -> Interval:
    which, cases = as_interval(which), [as_interval(c) for c in cases]
    low, high = np.full(cases[0].shape, np.inf), np.full(cases[0].shape, -np.inf)
    for i, case in enumerate(cases):
        possible = (which.low <= i) & (i <= which.high)
        low = np.where(possible, np.minimum(low, case.low), low)
        high = np.where(possible, np.maximum(high, case.high), high)
    unknown = np.isnan(which.low)
    return _opened(Interval(low, high), unknown | (smooth & (which.low < which.high)), True)


def convert(x, new_dtype, smooth, flags, **_) -> Interval:
    """Numbers stay as they are; an open flag made a number is a jump."""
    if not np.issubdtype(new_dtype, np.floating):
        raise UnsupportedPrimitiveError(f"convert_element_type to {new_dtype}")
    return _opened(x, x.low < x.high, smooth and flags)


def sign(x, smooth, **_) -> Interval:
    return _opened(Interval(np.sign(x.low), np.sign(x.high)), (x.low <= 0) & (x.high >= 0) & (x.low < x.high), smooth)


def held(x, smooth, **_) -> Interval:
    """What is taken for a constant in derivatives is one, or they are not those of the function."""
    return _opened(x, x.low < x.high, smooth)


def absolute(x, smooth, **_) -> Interval:
    return _opened(_size(x), (x.low < 0) & (x.high > 0), smooth)


def larger(x, y, smooth, **_) -> Interval:
    x, y = as_interval(x), as_interval(y)
    return _opened(either(x, y), _meet(x, y) & ~_same(x, y), smooth)


def smaller(x, y, smooth, **_) -> Interval:
    return negate(larger(negate(as_interval(x)), negate(as_interval(y)), smooth))


def clamp(low, x, high, smooth, **_) -> Interval:
    return smaller(larger(x, low, smooth), high, smooth)


def largest(x, axes, smooth, **_) -> Interval:
    out = Interval(x.low.max(axis=tuple(axes)), x.high.max(axis=tuple(axes)))
    rivals = (x.high >= np.expand_dims(out.low, tuple(axes))).sum(axis=tuple(axes))
    return _opened(out, rivals > 1, smooth)


def smallest(x, axes, smooth, **_) -> Interval:
    return negate(largest(negate(x), axes, smooth))


MIXING = {"mul", "select_n", "reduce_sum", "reduce_prod", "reduce_max", "reduce_min", "cumsum", "dot_general"}
OPENINGS = {
    "select_n": select, "convert_element_type": convert, "sign": sign, "abs": absolute,
    "stop_gradient": held, "max": larger, "min": smaller,
    "clamp": clamp, "reduce_max": largest, "reduce_min": smallest,
}  # fmt: skip
RULES: dict[str, Callable] = {
    "add": add, "add_any": add, "sub": subtract, "neg": negate, "mul": multiply, "div": divide, "square": square,
    "integer_pow": power, "pow": real_power, "exp": exponential, "exp2": increasing(np.exp2, 0.0),
    "expm1": increasing(np.expm1, -1.0), "log": logarithm, "log1p": increasing(np.log1p, floor=-1.0),
    "sqrt": increasing(np.sqrt, 0.0, floor=0.0), "cbrt": increasing(np.cbrt), "tanh": increasing(np.tanh, -1.0, 1.0),
    "sinh": increasing(np.sinh), "cosh": hyperbolic_cosine, "atan": increasing(np.arctan),
    "logistic": increasing(lambda x: 1 / (1 + np.exp(-x)), 0.0, 1.0),
    "rsqrt": lambda x, **_: divide(point(np.ones(x.shape)), increasing(np.sqrt, 0.0, floor=0.0)(x)),
    "sin": wave(np.sin, np.pi / 2), "cos": wave(np.cos, 0.0),
    "reduce_sum": total, "reduce_prod": product, "cumsum": running_total, "dot_general": dot,
    "lt": compare(lambda x, y: x.high < y.low, lambda x, y: x.low < y.high),
    "le": compare(lambda x, y: x.high <= y.low, lambda x, y: x.low <= y.high),
    "gt": compare(lambda x, y: x.low > y.high, lambda x, y: x.high > y.low),
    "ge": compare(lambda x, y: x.low >= y.high, lambda x, y: x.high >= y.low),
    "eq": compare(_same, _meet), "ne": compare(lambda x, y: ~_meet(x, y), lambda x, y: ~_same(x, y)),
    "and": both, "or": either, "not": lambda x, **_: Interval(1 - x.high, 1 - x.low),
    "is_finite": lambda x, **_: Interval(1.0 * (np.isfinite(x.low) & np.isfinite(x.high)), np.ones(x.shape)),
}  # fmt: skip
