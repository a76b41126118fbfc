r"""All equilibria of two-player games by supports.

Supports I and J of one size carry the equilibrium (x, y) iff

.. math:: (A y)_i = v,\ i \in I;\quad (A y)_i \le v,\ i \notin I;\quad y_j > 0,\ j \in J

and the same for x with the column player's payoffs. In a nondegenerate game these are all equilibria, and their number
is odd (Shapley 1974; von Stengel 2002). Each condition is the sign of a minor (see ``minors``), so a support costs m + n
look-ups, and a game is proved nondegenerate when no vertex of either best-reply polytope leaves a sign uncertain.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from solver.finite.lanes import allowed, gains, in_chunks, joined, total
from solver.finite.minors import ALONE, NO_SHARE, NO_SLACK, minors, one_sign, plan, row, union
from solver.finite.polynomial import polynomial_equilibria
from solver.finite.vertex import vertex_enumeration
from solver.normal_form import NormalForm
from solver.solution import EquilibriumSet

MEMORY = 2**16  # numbers that a chunk of games keeps in the cache
FEW = 20  # supports that are told apart by comparisons
LARGEST = 200_000  # supports


def support_enumeration(
    game: NormalForm, *, unequal: bool = False, starts: int = 16, capacity: int | None = None
) -> EquilibriumSet:
    """All equilibria of a two-player game whose supports have one size: in a nondegenerate game, all there are.

    ``jax.vmap`` over the payoffs runs batches of games side by side. More than two players: every support profile's
    polynomial system by Newton's method from random starts, one game at a time (not under jit or vmap), and never called
    complete.

    :param unequal: for degenerate games: the extreme equilibria, whose supports may differ in size (see
        :func:`vertex_enumeration`).
    :param starts: with more than two players, starts on each support profile.
    :param capacity: most equilibria kept; default: a bound on their number in a nondegenerate game, at most 128 (more than
        two players: 64).
    :return: an :class:`EquilibriumSet`, smallest supports first. ``complete``: proved nondegenerate, rounding included, and
        every equilibrium kept and of measured regret within 1e-8 (single precision: 1e-4) of the payoffs' range.
    :raises ValueError: if the supports are too many, or a game of more than two players is traced by jit or vmap.
    """
    if len(game.players) != 2:
        return polynomial_equilibria(game, starts, capacity or 64)
    m, n = two_players(game)
    if unequal:
        return vertex_enumeration(game, capacity=capacity)
    count = math.comb(m + n, m) - 1
    if count > LARGEST:
        raise ValueError(f"support_enumeration: {m}x{n} actions make {count} supports; use vertex_enumeration")
    capacity = most_equilibria(m, n) if capacity is None else capacity
    outs = _enumerate(capacity, game.payoff_array[None])
    x, y, mask, number, complete, regret = (jnp.squeeze(v, 0) for v in outs)
    return EquilibriumSet(game, (x, y), mask, number, complete, regret)


def two_players(game: NormalForm) -> tuple[int, int]:
    if game.payoff_array.shape[0] != 2:
        raise ValueError(f"the game has {game.payoff_array.shape[0]} players: this method takes two")
    return game.payoff_array.shape[1], game.payoff_array.shape[2]


def most_equilibria(m: int, n: int) -> int:
    """A bound for nondegenerate games: vertices of the dual cyclic polytope less one (Keiding 1997); 15 at 4x4."""
    if (m, n) == (4, 4):
        return 15  # McLennan and Park 1999

    def vertices(d: int) -> int:
        return math.comb(m + n - (d + 1) // 2, m + n - d) + math.comb(m + n - (d + 2) // 2, m + n - d)

    bound = min(vertices(m), vertices(n)) - 1
    return min(bound - (bound % 2 == 0), 128)


@functools.partial(jax.jit, static_argnums=0)
def _enumerate(capacity: int, payoffs: Array):
    _, _, m, n = payoffs.shape
    size = max(MEMORY // (plan(m, n).num_minors + plan(n, m).num_minors), 2 * ALONE)
    return joined(lambda games: in_chunks(lambda chunk: _chunk(chunk, capacity), size, games))(payoffs)


def _chunk(payoffs: Array, capacity: int):
    """One chunk (2, m, n, lanes): strategies (capacity, m | n, lanes), mask, count, complete, regret."""
    _, m, n, _ = payoffs.shape
    values, tables = [], []
    for matrix in (payoffs[0], jnp.swapaxes(payoffs[1], 0, 1)):
        value, table = minors(matrix)
        values.append(value)
        tables.append(table)
    mirror = _mirror(m, n)
    tests = (jnp.asarray(plan(m, n).tests, jnp.int32), jnp.asarray(plan(n, m).tests[mirror], jnp.int32))
    number, slots, degenerate = _scan(tables, tests, capacity)
    shares = plan(n, m).shares[mirror], plan(m, n).shares
    x, y, regret = _strategies(payoffs, values[::-1], shares, slots, jnp.minimum(number, capacity).max())
    kept = jnp.arange(capacity)[:, None] < number
    mask = kept & (regret <= allowed(payoffs)).all(axis=1)
    complete = ~degenerate & (mask.sum(axis=0) == number)
    x, y = (jnp.where(mask[:, None], v, 0) for v in (x, y))
    return x, y, mask, mask.sum(axis=0), complete, jnp.where(mask, regret.max(axis=1), jnp.nan)


@functools.lru_cache(maxsize=32)
def _mirror(m: int, n: int) -> np.ndarray:
    """Where the column player's plan has the support pairs of the row player's."""
    parts, start = [], 0
    for k in range(1, min(m, n) + 1):
        shape = math.comb(n, k), math.comb(m, k)
        parts.append(start + np.arange(shape[0] * shape[1]).reshape(shape).T.ravel())
        start += shape[0] * shape[1]
    return np.concatenate(parts)


def _scan(tables, tests, capacity: int):
    """How many supports carry an equilibrium (lanes,), which (capacity, lanes), and whether a game may be degenerate."""
    lanes, count = tables[0].shape[1], len(tests[0])

    def judge(at):
        codes = [union(table, test) for table, test in zip(tables, at, strict=True)]
        fits = [one_sign(code) & ((code & NO_SHARE) == 0) for code in codes]
        doubt = [((code & 3) != 3) & ((code & (NO_SHARE | NO_SLACK)) != 0) for code in codes]
        return fits[0] & fits[1], doubt[0] | doubt[1]

    if lanes < ALONE:
        fits, doubt = jax.vmap(judge)(tests)
        slots = jax.vmap(lambda v: jnp.nonzero(v, size=capacity, fill_value=0)[0], -1, -1)(fits)
        return fits.sum(axis=0), slots, doubt.any(axis=0)

    small = jnp.int16 if max(count, capacity) < 2**15 else jnp.int32
    place = jnp.arange(capacity, dtype=small)[:, None]

    def step(state, at):
        number, slots, degenerate = state
        fits, doubt = judge(at[1:])
        slots = jnp.where(fits & (place == number), at[0], slots)
        return (number + fits.astype(small), slots, degenerate | doubt), None

    none = jnp.zeros(lanes, small)
    state = none, jnp.zeros((capacity, lanes), small), jnp.zeros(lanes, bool)
    return jax.lax.scan(step, state, (jnp.arange(count, dtype=small), *tests))[0]


def _strategies(payoffs: Array, values, shares, slots: Array, most: Array):
    """The mixtures of the supports in ``slots``, from their minors, and each player's regret, measured on the payoffs."""
    choose = _select if len(shares[0]) <= FEW else _gather

    def one(support):
        # barriers: XLA would repeat the choice in every product below
        sizes = [jnp.abs(choose(v, share, support)) for v, share in zip(values, shares, strict=True)]
        sizes = jax.lax.optimization_barrier(sizes)
        x, y = jax.lax.optimization_barrier([size / total(size) for size in sizes])
        return x, y, gains(payoffs, x, y)

    if payoffs.shape[-1] < ALONE:
        return jax.vmap(one)(slots)
    buffers = jax.eval_shape(one, slots[0])
    buffers = tuple(jnp.zeros((len(slots), *b.shape), b.dtype) for b in buffers)

    def fill(t, buffers):
        return tuple(b.at[t].set(v) for b, v in zip(buffers, one(row(slots, t)), strict=True))

    return jax.lax.fori_loop(0, most, fill, buffers)


def _gather(value: Array, share: np.ndarray, support: Array) -> Array:
    lanes = jnp.arange(len(support), dtype=jnp.int32)
    index = jnp.asarray(share.T, jnp.int32).at[:, support].get(mode="promise_in_bounds") * len(support) + lanes
    return value.reshape(-1).at[index].get(mode="promise_in_bounds")


def _select(value: Array, share: np.ndarray, support: Array) -> Array:
    """The same by comparisons, several times faster where supports are few."""
    found = [jnp.zeros_like(value[0])] * share.shape[1]
    for s, minor in enumerate(share):
        here = support == s
        found = [f if k == len(value) - 1 else jnp.where(here, value[k], f) for k, f in zip(minor, found, strict=True)]
    return jnp.stack(found)
