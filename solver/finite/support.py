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
from solver.finite.minors import ALONE, NO_SHARE, NO_SLACK, SIGNS, minors, one_sign, plan, row, union
from solver.finite.polynomial import polynomial_equilibria
from solver.finite.vertex import vertex_enumeration
from solver.normal_form import NormalForm
from solver.solution import EquilibriumSet

MEMORY = 2**16  # numbers that a chunk of games keeps in the cache
FEW = 20  # supports, or bytes of them, that are told apart by comparisons
PACK = 8  # supports to a byte, one a bit
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
    size = max(min(MEMORY // (plan(m, n).num_minors + plan(n, m).num_minors), 2048), 2 * ALONE)
    return joined(lambda games: in_chunks(lambda chunk: _chunk(chunk, capacity), size, games))(payoffs)


def _chunk(payoffs: Array, capacity: int):
    """One chunk (2, m, n, lanes): strategies (capacity, m | n, lanes), mask, count, complete, regret."""
    _, m, n, _ = payoffs.shape
    values, codes = zip(*(minors(matrix) for matrix in (payoffs[0], jnp.swapaxes(payoffs[1], 0, 1))), strict=True)
    mirror = _mirror(m, n)
    number, slots, degenerate = _scan(codes, (plan(m, n).tests, plan(n, m).tests[mirror]), capacity)
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


def _scan(codes, tests, capacity: int):
    """How many supports carry an equilibrium (lanes,), which (capacity, lanes), and whether a game may be degenerate."""

    def judge(at):
        unions = [union(code, test) for code, test in zip(codes, at, strict=True)]
        fits = [one_sign(code) & ((code & NO_SHARE) == 0) for code in unions]
        doubt = [((code & SIGNS) != SIGNS) & ((code & (NO_SHARE | NO_SLACK)) != 0) for code in unions]
        return fits[0] & fits[1], doubt[0] | doubt[1]

    lanes = codes[0].shape[1]
    if lanes < ALONE:
        fits, doubt = jax.vmap(judge)(tuple(jnp.asarray(test, jnp.int32) for test in tests))
        slots = jax.vmap(lambda v: jnp.nonzero(v, size=capacity, fill_value=0)[0], -1, -1)(fits)
        return fits.sum(axis=0), slots, doubt.any(axis=0)

    # packed, supports that carry nothing are passed over eight at a time; the last ones never carry anything
    more = -len(tests[0]) % PACK
    never = [np.full((more, *test.shape[1:]), [len(code) - 1, 0, 0]) for code, test in zip(codes, tests, strict=True)]
    packed = [np.concatenate(both).reshape(-1, PACK, *both[0].shape[1:]) for both in zip(tests, never, strict=True)]

    def step(degenerate, at):
        judged = [judge([test[k] for test in at]) for k in range(PACK)]
        byte = functools.reduce(jnp.bitwise_or, [fits.astype(jnp.uint8) << k for k, (fits, _) in enumerate(judged)])
        return functools.reduce(jnp.bitwise_or, [doubt for _, doubt in judged], degenerate), byte

    numbers = tuple(jnp.asarray(test, jnp.int32) for test in packed)
    degenerate, found = jax.lax.scan(step, jnp.zeros(lanes, bool), numbers)
    number = jax.lax.population_count(found).sum(axis=0, dtype=jnp.int32)
    return number, _places(found, jnp.minimum(number, capacity).max(), capacity), degenerate


def _places(found: Array, most: Array, capacity: int) -> Array:
    """Where the first bits of each lane stand (capacity, lanes), from bytes (supports / 8, lanes)."""
    count, lanes = found.shape
    small = jnp.int16 if PACK * count < 2**15 else jnp.int32
    index = jnp.arange(count, dtype=small)[:, None]

    def step(t, state):
        found, slots = state
        if count > FEW:
            at = jnp.argmax(found != 0, axis=0).astype(small)
            byte = jnp.take_along_axis(found, at[None], 0)[0]
        else:  # comparisons written out: faster, but many take long to compile
            at, byte = jnp.zeros(lanes, small), jnp.zeros(lanes, jnp.uint8)
            for k in reversed(range(count)):
                here = found[k] != 0
                at, byte = jnp.where(here, index[k], at), jnp.where(here, found[k], byte)
        rest = byte & (byte - 1)
        bit = jax.lax.population_count((byte ^ rest) - 1)
        slots = slots.at[t].set(jnp.where(byte == 0, 0, PACK * at + bit.astype(small)))
        return jnp.where(index == at, rest, found), slots

    return jax.lax.fori_loop(0, most, step, (found, jnp.zeros((capacity, lanes), small)))[1]


def _strategies(payoffs: Array, values, shares, slots: Array, most: Array):
    """The mixtures of the supports in ``slots``, from their minors, and each player's regret, measured on the payoffs."""
    m, n = payoffs.shape[1:3]

    def judged(sizes):
        x, y = ([v / total(part) for v in part] for part in (sizes[:m], sizes[m:]))
        return *x, *y, *gains(payoffs, x, y)

    def chosen(choose, support):
        return [jnp.abs(v) for value, share in zip(values, shares, strict=True) for v in choose(value, share, support)]

    def one(support):
        found = judged(jax.lax.optimization_barrier(chosen(_gather, support)))
        return jnp.stack(found[:m]), jnp.stack(found[m : m + n]), jnp.stack(found[m + n :])

    if slots.shape[1] < ALONE:
        return jax.vmap(one)(slots)
    if len(shares[0]) > FEW:
        return _filled(most, one, slots)
    # two loops, since XLA would repeat the choice in every product of the regret, and a buffer for every action, since it
    # does not vectorise a loop that fills a stack of them
    found = _filled(most, judged, _filled(most, functools.partial(chosen, _select), slots))
    return jnp.stack(found[:m], 1), jnp.stack(found[m : m + n], 1), jnp.stack(found[m + n :], 1)


def _filled(most: Array, function, tables):
    """``function`` of the first ``most`` rows of ``tables``: rows, in buffers that are zero elsewhere."""
    rows = jax.tree.map(lambda table: table[0], tables)
    buffers = tuple(
        jnp.zeros((len(jax.tree.leaves(tables)[0]), *b.shape), b.dtype) for b in jax.eval_shape(function, rows)
    )

    def fill(t, buffers):
        new = function(jax.tree.map(lambda table: row(table, t), tables))
        return tuple(b.at[t].set(v) for b, v in zip(buffers, new, strict=True))

    return jax.lax.fori_loop(0, most, fill, buffers)


def _gather(value: Array, share: np.ndarray, support: Array) -> Array:
    lanes = jnp.arange(len(support), dtype=jnp.int32)
    index = jnp.asarray(share.T, jnp.int32).at[:, support].get(mode="promise_in_bounds") * len(support) + lanes
    return value.reshape(-1).at[index].get(mode="promise_in_bounds")


def _select(value: Array, share: np.ndarray, support: Array) -> list[Array]:
    """The same by comparisons, several times faster where supports are few."""
    found = [jnp.zeros_like(value[0])] * share.shape[1]
    for s, minor in enumerate(share):
        here = support == s
        found = [f if k == len(value) - 1 else jnp.where(here, value[k], f) for k, f in zip(minor, found, strict=True)]
    return found
