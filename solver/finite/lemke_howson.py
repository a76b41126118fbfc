r"""Lemke and Howson's path of almost completely labelled vertices, for batches of games.

Both best-reply polytopes as tableaux, :math:`A y + r = 1,\ B^\top x + s = 1` with positive payoffs. Dropping a label brings
in its variable; the leaving one's complement enters the other tableau, until the dropped label comes back. Ties of
the ratio test are broken lexicographically, as if the right-hand sides were perturbed by
:math:`(\epsilon, \epsilon^2, \ldots)`, so that degenerate games neither cycle nor end early (Lemke and Howson 1964; von Stengel
2002, sec. 3). Labels: rows 0 to m - 1, columns m to m + n - 1.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from solver.finite.support import two_players
from solver.finite.vertex import _scaled, _verified
from solver.normal_form import NormalForm
from solver.solution import EquilibriumSet


def lemke_howson(game: NormalForm, label: int | Array = 0, *, max_steps: int = 10_000) -> EquilibriumSet:
    """One equilibrium of a two-player game: the end of the path that begins by dropping ``label``.

    Every label: ``jax.vmap(lemke_howson, (None, 0))(game, jnp.arange(m + n))``.

    :param label: 0 to m - 1 is the row player's action, m to m + n - 1 the column player's; may be traced.
    :param max_steps: pivots after which a path is given up.
    :return: an :class:`EquilibriumSet` of one place, empty if rounding spoilt the path: what is returned has a measured
        regret within 1e-8 (single precision: 1e-4) of the payoffs' range. ``complete`` is false.
    :raises ValueError: unless there are two players and the label is one of theirs.
    """
    m, n = two_players(game)
    if isinstance(label, int) and not 0 <= label < m + n:
        raise ValueError(f"label = {label}: the labels are 0 to {m + n - 1}")
    x, y, mask, regret = _solve(game.payoff_array, jnp.asarray(label, jnp.int32), max_steps)
    return EquilibriumSet(game, (x, y), mask, mask.sum(), jnp.asarray(False), regret)


class _Tableau(NamedTuple):
    table: Array  # (rows, m + n + 1): the columns of all variables by label, the right-hand side last
    basic: Array  # (rows,): the label of each row's basic variable


class _Path(NamedTuple):
    tableaux: tuple[_Tableau, _Tableau]  # for x: B^T x + s = 1; for y: A y + r = 1
    entering: Array
    turn: Array  # 0: x's tableau is next
    steps: Array
    done: Array


def _start(matrix: Array, first: Array) -> _Tableau:
    """Slacks basic. ``first``: the labels of the slacks; the others' variables are the unknowns."""
    rows = len(matrix)
    eye, one = jnp.eye(rows, dtype=matrix.dtype), jnp.ones((rows, 1), matrix.dtype)
    parts = [matrix, eye, one] if first else [eye, matrix, one]
    return _Tableau(jnp.concatenate(parts, axis=1), first + jnp.arange(rows, dtype=jnp.int32))


def _pivot(tableau: _Tableau, entering: Array, first: int) -> tuple[_Tableau, Array]:
    """The tableau with ``entering`` basic, and the label that left; chosen by the lexicographic ratio test."""
    table, basic = tableau
    rows = len(basic)
    column = jnp.take(table, entering, axis=1)
    tiny = 1e-11 if jnp.finfo(table.dtype).eps < 1e-10 else 1e-5
    positive = column > tiny
    safe = jnp.where(positive, column, 1)
    # the right-hand side, then the columns of the slacks: the inverse of the basis
    keys = jnp.concatenate([table[:, -1:], table[:, first : first + rows]], axis=1) / safe[:, None]
    left = positive
    for key in keys.T:
        least = jnp.where(left, key, jnp.inf).min()
        left &= key <= least + tiny * jnp.maximum(1, jnp.abs(least))
    out = jnp.argmax(left)
    pivot_row = table[out] / column[out]
    new = table - column[:, None] * pivot_row
    new = new.at[out].set(pivot_row)
    return _Tableau(new, basic.at[out].set(entering)), basic[out]


def _step(path: _Path, dropped: Array, m: int) -> _Path:
    """A pivot in x's tableau and one in y's, each where it is its turn."""
    tableaux, entering, turn, steps, done = path
    for which, first in ((0, m), (1, 0)):
        moved, leaving = _pivot(tableaux[which], entering, first)
        active = (turn == which) & ~done
        kept = jax.tree.map(lambda new, old, a=active: jnp.where(a, new, old), moved, tableaux[which])
        tableaux = (kept, tableaux[1]) if which == 0 else (tableaux[0], kept)
        entering, turn = jnp.where(active, leaving, entering), jnp.where(active, 1 - which, turn)
        done, steps = done | (active & (leaving == dropped)), steps + active
    return _Path(tableaux, entering, turn, steps, done)


@jax.jit
def _solve(payoffs: Array, label: Array, max_steps):
    _, m, n = payoffs.shape
    tableaux = _start(_scaled(payoffs[1]).T, m), _start(_scaled(payoffs[0]), 0)
    turn = jnp.where(label < m, 0, 1)
    path = _Path(tableaux, label, turn, jnp.asarray(0), jnp.asarray(False))
    path = jax.lax.while_loop(lambda p: ~p.done & (p.steps < max_steps), lambda p: _step(p, label, m), path)
    values = []
    for (table, basic), start, size in zip(path.tableaux, (0, m), (m, n), strict=True):
        value = jnp.zeros(m + n, payoffs.dtype).at[basic].set(table[:, -1])[start : start + size]
        value = jnp.maximum(value, 0)
        values.append(value / value.sum())
    x, y = (v[None] for v in values)
    return _verified(payoffs, x, y, path.done[None])
