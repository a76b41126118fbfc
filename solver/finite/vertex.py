r"""Extreme equilibria of two-player games from the vertices of the two best-reply polytopes.

With payoffs shifted to be positive, :math:`P = \{x \ge 0 : B^\top x \le 1\}` and :math:`Q = \{y \ge 0 : A y \le 1\}`. A vertex
carries the labels of its tight inequalities: row i's is :math:`x_i = 0` or :math:`(A y)_i = 1`, column j's is
:math:`y_j = 0` or :math:`(B^\top x)_j = 1`. A pair that has all labels, other than (0, 0), is an equilibrium after
scaling (Mangasarian 1964; von Stengel 2002). In a degenerate game these are the extreme equilibria, of which every
equilibrium is a mixture.

Up to ``MOST_BASES`` choices of tight inequalities each is solved by LU, batched under ``vmap``; a larger game goes, one at
a time, through Qhull.
"""

import functools
import itertools
import math
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from solver.finite.lanes import allowed, gains
from solver.linear import solve_linear
from solver.normal_form import NormalForm
from solver.solution import EquilibriumSet

MOST_BASES = 1000
MOST_VERTICES = 256
BESIDE = 18  # actions from which on the two hulls take longer than a thread
TIGHT = 1e-9  # slack, of right-hand sides 1, below which an inequality holds with equality


def vertex_enumeration(game: NormalForm, *, capacity: int | None = None) -> EquilibriumSet:
    """All extreme equilibria of a two-player game; in a nondegenerate one, all equilibria.

    :param capacity: most equilibria kept; default as :func:`support_enumeration`, twice as many for degenerate games.
    :return: an :class:`EquilibriumSet`. ``complete``: the game is proved nondegenerate and all its equilibria are here;
        for degenerate games see :func:`extreme_equilibria`, which is exact.
    :raises ValueError: unless there are two players, or if a large game is traced by jit or vmap.
    """
    from solver.finite.support import most_equilibria, support_enumeration, two_players

    m, n = two_players(game)
    capacity = 2 * most_equilibria(m, n) if capacity is None else capacity
    payoffs = game.payoff_array
    if math.comb(m + n, m) > MOST_BASES:
        if isinstance(payoffs, Tracer):
            raise ValueError(f"vertex_enumeration: {m}x{n} actions are too many under jit or vmap; call it on one game")
        return _as_set(game, *_on_host(np.asarray(payoffs, float)), capacity)
    x, y, mask, regret, count = _pairs(payoffs, capacity)
    proof = support_enumeration(game)
    complete = proof.complete & (mask.sum() == count) & (count == proof.count)
    return EquilibriumSet(game, (x, y), mask, mask.sum(), complete, regret)


@jax.jit
def _verified(payoffs: Array, x: Array, y: Array, mask: Array) -> tuple[Array, Array, Array, Array]:
    """Strategies, mask and regret, with what is no equilibrium blanked out."""
    regret = jax.vmap(lambda a, b: jnp.concatenate(gains(payoffs[..., None], a[:, None], b[:, None])))(x, y)
    mask = mask & (regret <= allowed(payoffs)).all(axis=1)
    x, y = (jnp.where(mask[:, None], v, 0) for v in (x, y))
    return x, y, mask, jnp.where(mask, regret.max(axis=1), jnp.nan)


def _scaled(matrix):
    """Payoffs moved to [1, 2], which leaves the equilibria where they are and every polytope bounded."""
    low, high = matrix.min(), matrix.max()
    return 1 + (matrix - low) / (high - low + (high == low))


@functools.partial(jax.jit, static_argnums=1)
def _pairs(payoffs: Array, capacity: int):
    n = payoffs.shape[2]
    x, x_labels = _vertices(_scaled(payoffs[1]).T)
    y, y_labels = _vertices(_scaled(payoffs[0]))
    # labels of rows first; those of y come as [rows tight, columns zero], those of x as [columns tight, rows zero]
    x_labels = jnp.concatenate([x_labels[:, n:], x_labels[:, :n]], axis=1)
    full = (x_labels[:, None] | y_labels[None]).all(axis=2)
    full &= (x.sum(axis=1) > 0)[:, None] & (y.sum(axis=1) > 0)[None]
    at = jnp.nonzero(full.ravel(), size=capacity, fill_value=0)[0]
    x, y = x[at // len(y)], y[at % len(y)]
    scale = [jnp.where(v.sum(axis=1) > 0, v.sum(axis=1), 1)[:, None] for v in (x, y)]
    mask = jnp.arange(capacity) < full.sum()
    return *_verified(payoffs, x / scale[0], y / scale[1], mask), full.sum()


def _vertices(matrix: Array) -> tuple[Array, Array]:
    """Vertices (places, n) of {z >= 0, matrix z <= 1}, each once, and their labels (places, m + n): tight, then zero."""
    m, n = matrix.shape
    bases = np.array(list(itertools.combinations(range(m + n), n)))
    left = jnp.concatenate([matrix, jnp.eye(n, dtype=matrix.dtype)])
    right = jnp.concatenate([jnp.ones(m, matrix.dtype), jnp.zeros(n, matrix.dtype)])
    z = jax.vmap(solve_linear)(left[bases], right[bases])
    tight = TIGHT if jnp.finfo(matrix.dtype).eps < 1e-10 else 1e-4
    slack = jnp.concatenate([1 - z @ matrix.T, z], axis=1)
    inside = jnp.isfinite(z).all(axis=1) & (slack >= -tight).all(axis=1) & (z.sum(axis=1) > 0.1)
    labels = jnp.abs(slack) <= tight
    # a vertex may come from several bases: its first one keeps it. Rounding lets a singular basis pass, whose point lies
    # inside a face: all its labels are then among those of the face's vertices
    within = (~labels[:, None] | labels[None]).all(axis=2) & inside
    before = jnp.tri(len(bases), k=-1, dtype=bool)
    first = inside & ~(within & (before | ~within.T)).any(axis=1)
    places = min(MOST_VERTICES, len(bases))
    at = jnp.nonzero(first, size=places, fill_value=0)[0]
    kept = (jnp.arange(places) < first.sum())[:, None]
    return jnp.where(kept, jnp.maximum(z[at], 0), 0), labels[at] & kept


def _on_host(payoffs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _, m, n = payoffs.shape
    polytopes = _scaled(payoffs[1]).T, _scaled(payoffs[0])
    with ThreadPoolExecutor(2) as pool:
        several = map if m + n < BESIDE else pool.map
        (x, x_labels), (y, y_labels) = several(_qhull_vertices, polytopes)
    x_labels = np.concatenate([x_labels[:, n:], x_labels[:, :n]], axis=1)
    if (x_labels.sum(axis=1) == m).all() and (y_labels.sum(axis=1) == n).all():
        # nondegenerate: a partner has exactly the labels that are missing
        wanted, keys = 2 ** (m + n) - 1 - _keys(x_labels), _keys(y_labels)
        order = np.argsort(keys)
        at = np.searchsorted(keys, wanted, sorter=order) % len(keys)
        a = np.flatnonzero(keys[order[at]] == wanted)
        b = order[at[a]]
    else:
        pairs = [(a, b) for a, labels in enumerate(x_labels) for b in np.flatnonzero((labels | y_labels).all(axis=1))]
        a, b = np.array(pairs, int).reshape(-1, 2).T
    return x[a] / x[a].sum(axis=1, keepdims=True), y[b] / y[b].sum(axis=1, keepdims=True)


def _keys(labels: np.ndarray) -> np.ndarray:
    """A number for each row of labels; fits 62 of them."""
    return labels @ (1 << np.arange(labels.shape[1], dtype=np.int64))


def _qhull_vertices(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same by the dual: facets of the hull of the inequalities' normals, seen from a point inside."""
    from scipy.spatial import ConvexHull

    m, n = matrix.shape
    inside = np.full(n, 0.5 / matrix.sum(axis=1).max())
    left = np.concatenate([matrix, -np.eye(n)])
    right = np.concatenate([np.ones(m), np.zeros(n)]) - left @ inside
    equations = ConvexHull(left / right[:, None]).equations
    z = equations[:, :-1] / -equations[:, -1:] + inside
    slack = np.concatenate([1 - z @ matrix.T, z], axis=1)
    labels = np.abs(slack) <= TIGHT
    keep = z.sum(axis=1) > 1e-6
    z, labels = np.maximum(z[keep], 0), labels[keep]
    _, first = np.unique(_keys(labels), return_index=True)
    return z[first], labels[first]


def _as_set(game: NormalForm, x: np.ndarray, y: np.ndarray, capacity: int) -> EquilibriumSet:
    count = min(len(x), capacity)
    full = [np.zeros((capacity, v.shape[1])) for v in (x, y)]
    for some, v in zip(full, (x, y), strict=True):
        some[:count] = v[:count]
    *strategies, mask, regret, found, proved = _counted(game.payoff_array, *full, np.arange(capacity) < count)
    return EquilibriumSet(game, tuple(strategies), mask, found, proved, regret)


@jax.jit
def _counted(*args: Array):
    """As :func:`_verified`, how many there are, and that this is no proof: one program, since each costs as much as a hull."""
    x, y, mask, regret = _verified(*args)
    return x, y, mask, regret, mask.sum(), jnp.asarray(False)
