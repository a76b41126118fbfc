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

from solver.compilation import in_one_kernel
from solver.finite.lanes import allowed, gains, in_chunks, joined, least, total
from solver.finite.support import two_players
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
    label, most = jnp.asarray(label, jnp.int32), jnp.asarray(max_steps, jnp.int32)
    x, y, mask, regret = _solve(game.payoff_array[None], label[None], most[None])
    return EquilibriumSet(game, (x, y), mask, mask.sum(), jnp.asarray(False), regret)


MEMORY = 2**17  # numbers that a chunk of games keeps in the cache
# a small game's pivot is one kernel, in two thirds of the time, in chunks of FULL games or more; of 1x10 games XLA takes twice
# this memory and refuses three times as much
KERNEL_MEMORY, SMALL, FULL = 2**14, 256, 64


class _Path(NamedTuple):
    """Many paths side by side, the games along the last axis."""

    tables: tuple[
        Array, Array
    ]  # B^T x + s = 1 and A y + r = 1: (rows, m + n + 1, lanes), columns by label, then right sides
    basics: tuple[Array, Array]  # (rows, lanes): the label of each row's basic variable
    entering: Array
    turn: Array  # 0: x's tableau is next
    steps: Array
    done: Array


def _pivot(table: Array, basic: Array, entering: Array, active: Array, first: int):
    """Bring ``entering`` in where ``active``; the tableau, its basic labels, and the label that left.

    ``first``: the label of the tableau's first slack; the slacks' columns are the inverse of the basis.
    """
    rows, columns, _ = table.shape
    tiny = 1e-11 if jnp.finfo(table.dtype).eps < 1e-10 else 1e-5
    chosen = jnp.arange(columns)[:, None] == entering
    column = total(jnp.swapaxes(jnp.where(chosen, table, 0), 0, 1))
    positive = column > tiny
    safe = jnp.where(positive, column, 1)

    def narrowed(left: Array, key: Array) -> Array:
        ratio = jnp.where(left, key / safe, jnp.inf)
        low = least(ratio)
        return left & (ratio <= low + tiny * jnp.maximum(1, jnp.abs(low)))

    left = narrowed(positive, table[:, -1])
    tie = (total(left.astype(jnp.int32)) > 1) & active

    def lexicographic(left: Array) -> Array:
        slacks = jnp.swapaxes(table[:, first : first + rows], 0, 1)
        return jax.lax.scan(lambda kept, key: (narrowed(kept, key), None), left, slacks)[0]

    left = jax.lax.cond(tie.any(), lexicographic, lambda left: left, left)
    index = jnp.arange(rows, dtype=jnp.int32)[:, None]
    out = least(jnp.where(left, index, rows)) == index
    pivot = total(jnp.where(out, safe, 0))
    line = total(jnp.where(out[:, None], table, 0)) / jnp.where(active, pivot, 1)
    # the pivot row becomes line = row / pivot, which is row - (pivot - 1) line; idle lanes subtract nothing
    weight = jnp.where(active, column - out, 0)
    leaving = total(jnp.where(out, basic, 0))
    return table - weight[:, None] * line, jnp.where(out & active, entering, basic), leaving


def _step(path: _Path, dropped: Array, m: int) -> _Path:
    """A pivot in x's tableau and one in y's, each where it is its turn."""
    tables, basics, entering, turn, steps, done = path
    for which, first in ((0, m), (1, 0)):
        active = (turn == which) & ~done
        table, basic, leaving = _pivot(tables[which], basics[which], entering, active, first)
        tables = (table, tables[1]) if which == 0 else (tables[0], table)
        basics = (basic, basics[1]) if which == 0 else (basics[0], basic)
        entering, turn = jnp.where(active, leaving, entering), jnp.where(active, 1 - which, turn)
        done, steps = done | (active & (leaving == dropped)), steps + active
    return _Path(tables, basics, entering, turn, steps, done)


def _start(payoffs: Array, label: Array) -> _Path:
    """Slacks basic, ``payoffs`` (2, m, n, lanes)."""
    _, m, n, lanes = payoffs.shape
    low, high = (bound(payoffs, axis=(1, 2), keepdims=True) for bound in (jnp.min, jnp.max))
    A, B = 1 + (payoffs - low) / (high - low + (high == low))

    def eye(size: int) -> Array:
        return jnp.broadcast_to(jnp.eye(size, dtype=A.dtype)[..., None], (size, size, lanes))

    one_m, one_n = jnp.ones((m, 1, lanes), A.dtype), jnp.ones((n, 1, lanes), A.dtype)
    x = jnp.concatenate([jnp.swapaxes(B, 0, 1), eye(n), one_n], axis=1)
    y = jnp.concatenate([eye(m), A, one_m], axis=1)
    index = jnp.arange(m + n, dtype=jnp.int32)[:, None] + jnp.zeros(lanes, jnp.int32)
    zero = jnp.zeros(lanes, jnp.int32)
    turn = jnp.where(label < m, 0, 1).astype(jnp.int32)
    return _Path((x, y), (index[m:], index[:m]), label.astype(jnp.int32), turn, zero, zero > 0)


def _chunk(payoffs: Array, label: Array, max_steps: Array):
    """Games (2, m, n, lanes): mixtures (m | n, lanes), whether they are equilibria, and the regret."""
    _, m, n, _ = payoffs.shape
    x, y, done = _advance(_start(payoffs, label), label, max_steps, m, n)
    gain = jnp.stack(gains(payoffs, x, y))
    mask = done & (gain <= allowed(payoffs)).all(axis=0)
    x, y = (jnp.where(mask, v, 0) for v in (x, y))
    return x, y, mask, jnp.where(mask, gain.max(axis=0), jnp.nan)


def _advance(path: _Path, label: Array, max_steps: Array, m: int, n: int, last: bool = False):
    """To the end, or until three lanes in four have arrived; the rest goes on by itself."""
    lanes = label.shape[0]
    few = lanes // 4 if not last and lanes >= FULL else 0

    def running(p: _Path) -> Array:
        return (~p.done & (p.steps < max_steps)).sum() > few

    def step(path: _Path, label: Array) -> _Path:
        return _step(path, label, m)

    if lanes >= FULL and _numbers(m, n) <= SMALL:
        step = in_one_kernel(step)
    path = jax.lax.while_loop(running, lambda p: step(p, label), path)
    values = []
    for table, basic, first, size in zip(path.tables, path.basics, (0, m), (m, n), strict=True):
        at = jnp.arange(first, first + size, dtype=jnp.int32)[:, None, None]
        value = jnp.maximum(total(jnp.swapaxes(jnp.where(basic == at, table[:, -1], 0), 0, 1)), 0)
        values.append(value / total(value))
    found = *values, path.done
    if not few:
        return found
    rest = jnp.argsort(path.done, stable=True)[:few]
    later = _advance(jax.tree.map(lambda a: a[..., rest], path), label[rest], max_steps[rest], m, n, last=True)
    return tuple(a.at[..., rest].set(b) for a, b in zip(found, later, strict=True))


def _numbers(m: int, n: int) -> int:
    """Of both tableaux."""
    return (m + n) * (m + n + 1)


@jax.jit
def _solve(payoffs: Array, label: Array, max_steps: Array):
    _, _, m, n = payoffs.shape
    size = max((KERNEL_MEMORY if _numbers(m, n) <= SMALL else MEMORY) // _numbers(m, n), 1)
    return joined(lambda *games: in_chunks(_chunk, size, *games))(payoffs, label, max_steps)
