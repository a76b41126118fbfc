"""Many small games side by side, the games along the last axis so that every operation is a vector operation."""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_batching import custom_vmap

UNROLLED = 16  # terms of a sum over the first axis that are written out: XLA's own reduction there is many times slower


def joined(function: Callable) -> Callable:
    """``function`` of arrays that lead with the games, to which an axis of ``jax.vmap`` is joined."""
    run = custom_vmap(function)

    @run.def_vmap
    def rule(size, batched, *arguments):
        full = [a if b else jnp.broadcast_to(a, (size, *a.shape)) for a, b in zip(arguments, batched, strict=True)]
        outs = joined(function)(*(a.reshape(-1, *a.shape[2:]) for a in full))
        return tuple(v.reshape(size, -1, *v.shape[1:]) for v in outs), (True,) * len(outs)

    return run


def in_chunks(function: Callable, size: int, *arguments: Array) -> tuple[Array, ...]:
    """``function`` of at most about ``size`` games at a time, so that a chunk stays in the cache.

    Arguments and results lead with the games; the function's have them along their last axis.
    """
    games = len(arguments[0])
    chunks = -(-games // max(size, 1))
    chunks = next((c for c in range(chunks, 2 * chunks) if games % c == 0), chunks)
    size = -(-games // chunks)
    more = chunks * size - games  # a last chunk that is not full repeats the last game
    filled = (jnp.concatenate([a, jnp.repeat(a[-1:], more, 0)]) if more else a for a in arguments)

    def one(part):
        return tuple(jnp.moveaxis(v, -1, 0) for v in function(*(jnp.moveaxis(a, 0, -1) for a in part)))

    outs = jax.lax.map(one, tuple(a.reshape(chunks, size, *a.shape[1:]) for a in filled))
    return tuple(v.reshape(chunks * size, *v.shape[2:])[:games] for v in outs)


def total(terms: Array | Sequence[Array]) -> Array:
    """The sum over the first axis."""
    if len(terms) <= UNROLLED:
        return functools.reduce(jnp.add, list(terms))
    terms = jnp.asarray(terms)
    return terms.sum(axis=0, dtype=terms.dtype)  # else whole numbers come out wider


def least(terms: Array | Sequence[Array]) -> Array:
    """The minimum over the first axis."""
    return functools.reduce(jnp.minimum, list(terms)) if len(terms) <= UNROLLED else jnp.asarray(terms).min(axis=0)


def gains(payoffs: Array, x: Array | Sequence[Array], y: Array | Sequence[Array]) -> tuple[Array, Array]:
    """What each player's best action gains over its mixture (lanes,), from payoffs (2, m, n, lanes)."""
    return _gain(payoffs[0], x, y), _gain(jnp.swapaxes(payoffs[1], 0, 1), y, x)


def _gain(matrix: Array, own: Array | Sequence[Array], other: Array | Sequence[Array]) -> Array:
    if max(matrix.shape[:2]) <= UNROLLED:
        pays = [total([a * b for a, b in zip(line, other, strict=True)]) for line in matrix]
    else:
        pays = jnp.einsum("ijk,jk->ik", matrix, jnp.asarray(other))
    return -least([-pay for pay in pays]) - total([a * b for a, b in zip(pays, own, strict=True)])


def allowed(payoffs: Array) -> Array:
    """The regret (2, lanes) an equilibrium may have: 1e-8 of the player's payoffs' range (single precision: 1e-4)."""
    eps = jnp.finfo(payoffs.dtype).eps
    high, low = payoffs.max(axis=(1, 2)), payoffs.min(axis=(1, 2))
    return (1e-8 if eps < 1e-10 else 1e-4) * (high - low) + 16 * eps * jnp.maximum(high, -low)
