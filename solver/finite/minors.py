r"""Bordered minors of a payoff matrix, shared by all supports; their signs alone decide every equilibrium.

For rows I and columns J' with :math:`|I| = |J'| + 1` let

.. math:: E(I, J') = \det\,[\,A_{I J'} \mid \mathbf 1\,],\qquad E(\{i\}, \emptyset) = 1,

built level by level, each from the ones below (Laplace, first column):
:math:`E(I, J') = \sum_p (-1)^p A_{i_p j_0} E(I \setminus i_p, J' \setminus j_0)`. The column player's mixture y on J
(:math:`|J| = |I|`) that leaves the row player indifferent on I, and what each other row i falls short of the best one, are

.. math:: y_j = (-1)^{|I| + q_j} E(I, J \setminus j) / D,\qquad
          v - (A y)_i = (-1)^{1 + g_i} E(I \cup i, J) / D,

q_j the place of j in J, g_i the number of rows of I behind i, D the sum of the signed minors of y (Cramer's rule). So
(I, J) is a vertex of the row player's best-reply polytope iff all these signed minors have one sign. A sign counts only
if it exceeds a running bound of the rounding error, :math:`|fl(E) - E| \le c_k\,\epsilon\,M`, M the same sum of absolute
values; whatever does not is uncertain.
"""

import functools
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

# a minor's code: its sign, or that it is uncertain. Shifted by one bit, PLUS and MINUS change places
PLUS, MINUS, UNCERTAIN = 0b0101, 0b0010, 0b1000
SIGNS, NO_SLACK, NO_SHARE = 0b0011, 0b0100, 0b1000  # a support's bits, from the codes of its tests
# lanes below which work is vectorised over supports instead: XLA unrolls a loop body of 16 to 32 lanes, and then compiles
# 5x5 games for 20 s instead of 3
ALONE = 64


class Plan(NamedTuple):
    """Where things stand for m rows and n columns; minors of all levels in one list, then a zero."""

    entries: list[np.ndarray]  # per level (minors, k): which payoff multiplies ...
    parents: list[np.ndarray]  # ... which minor of the level below
    shares: np.ndarray  # (supports, n): the minor behind y_j; the zero for j outside J
    tests: np.ndarray  # (supports, m, 3): for j in J, i outside I: a minor, whether its sign is turned, whether a slack
    num_minors: int


def subsets(n: int, k: int) -> list[tuple[int, ...]]:
    return list(itertools.combinations(range(n), k))


def supports(m: int, n: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """All pairs of supports of one size, small ones first."""
    sizes = range(1, min(m, n) + 1)
    return [pair for k in sizes for pair in itertools.product(subsets(m, k), subsets(n, k))]


@functools.lru_cache(maxsize=32)
def plan(m: int, n: int) -> Plan:
    place: dict = {}
    entries, parents = [], []
    for k in range(1, min(m, n + 1) + 1):
        level = list(itertools.product(subsets(m, k), subsets(n, k - 1)))
        start = len(place)
        place |= {key: start + at for at, key in enumerate(level)}
        if k > 1:
            below = start - len(subsets(m, k - 1)) * len(subsets(n, k - 2))
            entries.append(np.array([[i * n + J[0] for i in I] for I, J in level]))
            parents.append(np.array([[place[I[:p] + I[p + 1 :], J[1:]] - below for p in range(k)] for I, J in level]))
    pairs, count = supports(m, n), len(place)
    shares, tests = np.full((len(pairs), n), count), np.zeros((len(pairs), m, 3), int)
    for s, (I, J) in enumerate(pairs):
        for q, j in enumerate(J):
            shares[s, j] = place[I, J[:q] + J[q + 1 :]]
            tests[s, q] = shares[s, j], (len(I) + q) % 2, 0
        for at, i in enumerate(sorted(set(range(m)) - set(I)), len(J)):
            behind = sum(other > i for other in I)
            tests[s, at] = place[tuple(sorted((*I, i))), J], (1 + behind) % 2, 1
    return Plan(entries, parents, shares, tests, count)


def rows(function, xs, lanes: int):
    """``function`` on each row of ``xs``: a loop whose body runs over the lanes, or all rows at once for few lanes."""
    return jax.vmap(function)(xs) if lanes < ALONE else jax.lax.map(function, xs)


def row(table: Array, index: Array) -> Array:
    return jax.lax.dynamic_index_in_dim(table, index, 0, keepdims=False)


def minors(A: Array) -> tuple[Array, Array]:
    """All minors (num_minors + 1, lanes) of A (m, n, lanes), the last a zero, and their codes; the last has both signs.

    A column's payoffs may be shifted and the matrix scaled without moving an equilibrium; both keep the numbers small.
    """
    m, n, lanes = A.shape
    A = A - (A.max(axis=0) + A.min(axis=0)) / 2
    largest = jnp.abs(A).max(axis=(0, 1))
    flat = (A / jnp.where(largest > 0, largest, 1)).reshape(m * n, lanes)
    eps = jnp.finfo(A.dtype).eps
    value, size = jnp.ones((m, lanes), A.dtype), jnp.ones((m, lanes), A.dtype)
    values, codes = [value], [jnp.full((m, lanes), PLUS, jnp.uint8)]
    where = plan(m, n)
    for k, (entry, parent) in enumerate(zip(where.entries, where.parents, strict=True), 2):

        def expand(at, value=value, size=size, k=k):
            terms = [(row(flat, i), row(value, j), row(size, j)) for i, j in zip(*at, strict=True)]
            new = functools.reduce(jnp.add, [a * v if p % 2 == 0 else -a * v for p, (a, v, _) in enumerate(terms)])
            bound = functools.reduce(jnp.add, [jnp.abs(a) * s for a, _, s in terms])
            error = (k + 1) * (k + 2) * eps * bound
            # a NaN is above and below nothing, and so uncertain
            code = jnp.where(new > error, PLUS, jnp.where(new < -error, MINUS, UNCERTAIN)).astype(jnp.uint8)
            return new, bound, code

        value, size, code = rows(expand, (jnp.asarray(entry, jnp.int32), jnp.asarray(parent, jnp.int32)), lanes)
        values.append(value)
        codes.append(code)
    codes.append(jnp.full((1, lanes), PLUS | MINUS, jnp.uint8))
    return jnp.concatenate([*values, jnp.zeros((1, lanes), A.dtype)]), jnp.concatenate(codes)


def union(codes: Array, tests: Array) -> Array:
    """A support's codes taken together (lanes,)."""
    bits = []
    for minor, turned, slack in tests:
        code = row(codes, minor)
        bits.append((code >> turned.astype(code.dtype)) & SIGNS | (code & UNCERTAIN) >> slack.astype(code.dtype))
    return functools.reduce(jnp.bitwise_or, bits)


def one_sign(code: Array) -> Array:
    """No two signs contradict each other, and there is one: a vertex, unless too much is uncertain."""
    return ((code & SIGNS) == 1) | ((code & SIGNS) == 2)
