"""The global maximum of a function on [0, 1] by piecewise Chebyshev interpolation and branch and bound.

Each piece carries nine nodes, the maximum of its interpolant and an error estimated from the decay of the coefficients.
The piece whose maximum plus error is largest is split, until none can beat the best value found: so smooth pieces are
left early, and a kink is hunted down only where it could matter.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from solver.chebyshev import derivative, vandermonde

NODES = 9
ROUNDS = 20
PIECES = ROUNDS + 1  # a round turns one piece into two
FINE = 33

_U = -np.cos(np.pi * np.arange(NODES) / (NODES - 1))
_FIT = np.linalg.inv(vandermonde(_U, NODES))
_FINE = -np.cos(np.pi * np.arange(FINE) / (FINE - 1))
_CURVE = vandermonde(_FINE, NODES) @ _FIT
_D = derivative(NODES)


class Maximum(NamedTuple):
    at: Array  # in [0, 1]; the last interpolant's maximum may not have been evaluated
    value: Array  # the best value of the function seen
    error: Array  # by how much an unseen point may be better, as estimated
    num_evaluations: Array


class Search(NamedTuple):
    low: Array  # (PIECES,)
    high: Array
    bound: Array  # -inf where there is no piece
    candidate: Array  # the best interpolant's maximum not yet evaluated
    best: Array
    at: Array
    bottom: Array
    rounds: Array


def line_maximum(function: Callable[[Array], Array], guess: Array, tolerance: Array) -> Maximum:
    """Maximise ``function``, which maps points (K,) of [0, 1] to values (K,).

    ``tolerance`` is relative to the range of the values seen. ``guess`` is evaluated too and kept if nothing beats it.
    """
    start = opened(guess)
    final = jax.lax.while_loop(lambda s: unfinished(s, tolerance), lambda s: told(s, function(asked(s))), start)
    error = jnp.maximum(final.bound.max() - final.best, 0)
    # the last interpolant's maximum, or the best point seen if that is higher
    return Maximum(final.candidate, final.best, error, final.rounds * (2 * NODES + 1))


def opened(guess: Array) -> Search:
    """A search that knows nothing yet. Those who hold the function themselves go on with ``asked`` and ``told``."""
    dtype = guess.dtype
    none = jnp.full(PIECES, -jnp.inf, dtype)
    return Search(
        low=jnp.zeros(PIECES, dtype),
        high=jnp.zeros(PIECES, dtype).at[0].set(1.0),
        bound=none.at[0].set(jnp.inf),
        candidate=guess,
        best=jnp.asarray(-jnp.inf, dtype),
        at=guess,
        bottom=jnp.asarray(jnp.inf, dtype),
        rounds=jnp.asarray(0, jnp.int32),
    )


def unfinished(s: Search, tolerance: Array) -> Array:
    room = jnp.maximum(s.best - s.bottom, 0) * tolerance
    return (s.rounds < ROUNDS) & ((s.rounds == 0) | (s.bound.max() > s.best + room))


def asked(s: Search) -> Array:
    """The points (K,) whose values come next: the candidate, and the nodes of the worst piece's halves."""
    low, middle, high = _cut(s)
    ends = jnp.stack([low, middle]), jnp.stack([middle, high])
    points = ends[0][:, None] + (ends[1] - ends[0])[:, None] * (jnp.asarray(_U, low.dtype) + 1) / 2
    return jnp.concatenate([s.candidate[None], points.reshape(-1)])


def _cut(s: Search) -> tuple[Array, Array, Array]:
    worst = s.bound.argmax()
    low, high = s.low[worst], s.high[worst]
    # the first cut is at the guess: at an equilibrium's kinks the best reply is where they are
    first = (s.rounds == 0) & (s.candidate > 0.02) & (s.candidate < 0.98)
    return low, jnp.where(first, s.candidate, (low + high) / 2), high


def told(s: Search, values: Array) -> Search:
    """The search after the values at the points it asked for."""
    points, worst = asked(s), s.bound.argmax()
    low, middle, high = _cut(s)
    ends = jnp.stack([low, middle]), jnp.stack([middle, high])
    top = jnp.nanargmax(jnp.where(jnp.isfinite(values), values, -jnp.inf))
    better = values[top] > s.best
    best, at = jnp.where(better, values[top], s.best), jnp.where(better, points[top], s.at)
    peak, height, error = _interpolate(values[1:].reshape(2, NODES), ends)
    bound = s.bound.at[worst].set(height[0] + error[0])
    free = jnp.isneginf(bound).argmax()
    bound = bound.at[free].set(height[1] + error[1])
    high_ = s.high.at[worst].set(middle).at[free].set(high)
    low_ = s.low.at[free].set(middle)
    promising = height.argmax()
    return Search(
        low=low_,
        high=high_,
        bound=bound,
        candidate=jnp.where(height[promising] > best, peak[promising], at),
        best=best,
        at=at,
        bottom=jnp.minimum(s.bottom, values.min()),
        rounds=s.rounds + 1,
    )


def _interpolate(values: Array, ends: tuple[Array, Array]) -> tuple[Array, Array, Array]:
    """The maxima of two pieces' interpolants: where, how high, and how wrong the interpolants may be."""
    coefficients = values @ jnp.asarray(_FIT.T, values.dtype)
    curve = values @ jnp.asarray(_CURVE.T, values.dtype)
    at = curve.argmax(axis=1)
    fine = jnp.asarray(_FINE, values.dtype)
    u = fine[at]
    left, right = fine[jnp.maximum(at - 1, 0)], fine[jnp.minimum(at + 1, FINE - 1)]
    slope = coefficients @ jnp.asarray(_D.T, values.dtype)
    bend = slope @ jnp.asarray(_D.T, values.dtype)
    for _ in range(3):
        basis = jnp.cos(jnp.arange(NODES) * jnp.arccos(jnp.clip(u, -1, 1))[:, None])
        d1, d2 = (slope * basis).sum(axis=1), (bend * basis).sum(axis=1)
        u = jnp.clip(jnp.where(d2 < 0, u - d1 / jnp.where(d2 < 0, d2, -1.0), u), left, right)
    basis = jnp.cos(jnp.arange(NODES) * jnp.arccos(jnp.clip(u, -1, 1))[:, None])
    height = jnp.maximum((coefficients * basis).sum(axis=1), curve.max(axis=1))
    error = jnp.abs(coefficients[:, -4:]).sum(axis=1) * NODES / 2
    return ends[0] + (ends[1] - ends[0]) * (u + 1) / 2, height, error
