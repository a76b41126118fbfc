"""Best-response iteration, for any mix of Box and Simplex players."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from solver.algorithms.line_search import line_maximum
from solver.game import AbstractGame, Profile, pad, unpad
from solver.linear import solve_linear
from solver.spaces import Box, Simplex

HISTORY = 12  # profiles remembered: the longest cycle that is found
MEMORY = 3  # differences of Anderson's acceleration


class BestResponse(eqx.Module):
    """Each player moves to a best reply, found over its whole set of strategies (Cournot 1838).

    :param order: "sequential" (each replies to the others' latest strategies) or "simultaneous".
    :param damping: a strategy moves this share of the way to the reply, in (0, 1].
    :param accelerate: once the moves shrink, extrapolate them (Anderson 1965); dropped where a move grows again, so a
        cycle stays a cycle.

    A Box player's reply maximises its payoff by piecewise Chebyshev interpolation (see ``line_search``); of several
    dimensions, along each coordinate and along the two diagonals, in turn. A Simplex player's is its first best action.
    """

    order: Literal["sequential", "simultaneous"] = eqx.field(static=True, default="sequential")
    damping: float = eqx.field(static=True, default=1.0)
    accelerate: bool = eqx.field(static=True, default=True)

    def __check_init__(self):
        if self.order not in ("sequential", "simultaneous"):
            raise ValueError(f"order = {self.order!r}: give 'sequential' or 'simultaneous'")
        if not 0 < self.damping <= 1:
            raise ValueError(f"damping = {self.damping} must be above 0 and at most 1")

    def init(self, game: AbstractGame, profile: Profile, tolerance: Array) -> "State":
        table = pad(profile)
        n = table.size
        history = jnp.full((HISTORY, n), jnp.inf, table.dtype)  # not nan: vectorised maxima on a CPU may drop it
        zeros = jnp.zeros((MEMORY, n), table.dtype)
        big = jnp.asarray(jnp.inf, table.dtype)
        count = jnp.asarray(0, jnp.int32)
        return State(
            table, big, history, zeros, zeros, table.ravel(), table.ravel(), count, count, count, count > 0, count
        )

    def step(self, game: AbstractGame, state: "State", tolerance: Array) -> "State":
        spaces = game.actions()
        sizes = [space.size for space in spaces]
        inner = inner_tolerance(state, tolerance)
        replies = _replies(game, spaces, sizes, state.table, inner, self.order == "sequential", self.damping)
        return self.moved(game, state, replies, tolerance)

    def moved(self, game: AbstractGame, state: "State", replies: Array, tolerance: Array) -> "State":
        """The state after ``replies`` (players, width) to its table."""
        spaces, inner = game.actions(), inner_tolerance(state, tolerance)
        low, high = _bounds(spaces, state.table)
        width = jnp.where(high > low, high - low, 1)
        f = ((replies - state.table) / width).ravel()
        move = jnp.abs(f).max()
        g = replies.ravel()
        known = jnp.isfinite(state.move)
        keep = known & (move < state.move)
        df = jnp.where(keep, jnp.roll(state.df, -1, 0).at[-1].set(f - state.last_f), 0)
        dg = jnp.where(keep, jnp.roll(state.dg, -1, 0).at[-1].set(g - state.last_g), 0)
        table, ahead_of = replies, jnp.asarray(False)
        if self.accelerate and all(isinstance(space, Box) for space in spaces):
            weights = _weights(df, f)
            ahead = jnp.clip((g - weights @ dg).reshape(replies.shape), low, high)
            ahead_of = keep & (move < 0.3) & ~state.careful
            table = jnp.where(ahead_of, ahead, replies)

        gap = jnp.abs(state.history - g).max(axis=1).at[-1].set(jnp.inf)  # the same reply twice: no cycle of plays
        near = jnp.where(jnp.isnan(gap), jnp.inf, gap) <= 1e-3 * jnp.minimum(move, 1.0) * width.max()
        recurs = (move >= 0.9 * state.move) & near.any()
        length = jnp.argmax(near[::-1]) + 1
        # between extrapolated profiles a recurrence proves nothing: go on without extrapolating, and see it again
        plain = jnp.where(ahead_of, 0, state.plain + 1)
        cycle = jnp.where(recurs & (length < plain), length, 0)
        return State(
            table=table,
            move=move,
            history=jnp.roll(state.history, -1, 0).at[-1].set(g),
            df=df,
            dg=dg,
            last_f=f,
            last_g=g,
            num_steps=state.num_steps + 1,
            cycle=cycle.astype(jnp.int32),
            plain=plain,
            careful=state.careful | (recurs & (length >= plain)),
            calm=(calm(move, state.move, tolerance) & (inner <= tolerance)).astype(jnp.int32),
        )

    def terminated(self, state: "State", tolerance: Array) -> Array:
        """The moves have settled (a regret of second order is then within tolerance), or a cycle has closed."""
        return (state.calm > 0) | (state.cycle > 0) | ~jnp.isfinite(state.table).all()

    def profile(self, game: AbstractGame, state: "State") -> Profile:
        return unpad(state.table, [space.size for space in game.actions()])


class State(eqx.Module):
    table: Array  # (players, width), the profile
    move: Array  # the largest distance from a strategy to its reply, as a share of the player's set
    history: Array
    df: Array
    dg: Array
    last_f: Array
    last_g: Array
    num_steps: Array
    cycle: Array  # its length, 0 if none was found
    plain: Array  # steps since one was last extrapolated
    careful: Array  # no more extrapolation
    calm: Array


def _weights(df: Array, f: Array) -> Array:
    """The least squares of f - weights @ df by the normal equations: LAPACK would be called lane by lane (see ``linear``).

    A slot without history (zeros) gets weight 0.
    """
    gram, eps = df @ df.T, jnp.finfo(f.dtype).eps
    ridge = jnp.maximum(1e-12, 4 * eps) * jnp.trace(gram) + jnp.finfo(f.dtype).tiny
    return solve_linear(gram + ridge * jnp.eye(MEMORY, dtype=f.dtype), df @ f)


def inner_tolerance(state: State, tolerance: Array) -> Array:
    """How exact a reply need be, relative to the payoff's range."""
    return jnp.clip(1e-2 * state.move**2, tolerance / 4, 1e-3)


def calm(move, last, tolerance) -> Array:
    """Moves whose regret, of second order, is far within tolerance; or near enough and no longer shrinking (noise)."""
    scale = tolerance**0.5
    return (move <= 3e-3 * scale) | ((move <= 0.1 * scale) & (move >= 0.9 * last))


def _bounds(spaces, table: Array) -> tuple[Array, Array]:
    def row(space, which):
        value = getattr(space, which) if isinstance(space, Box) else jnp.full(space.size, float(which == "upper"))
        return value.astype(table.dtype)

    return pad(tuple(row(s, "lower") for s in spaces)), pad(tuple(row(s, "upper") for s in spaces))


def _replies(game, spaces, sizes, table, tolerance, sequential, damping) -> Array:
    """The table after every player has replied once; one trace of the payoffs for each kind and size of player."""
    kinds = sorted({(type(s).__name__, s.size) for s in spaces})
    kind_of = jnp.asarray([kinds.index((type(s).__name__, s.size)) for s in spaces])
    low, high = _bounds(spaces, table)

    def reply(i: Array, against: Array) -> Array:
        profile = unpad(against, sizes)

        def payoff(deviations: Array) -> Array:
            return game.deviation_payoffs(profile, i, deviations)

        def branch(name: str, size: int):
            if name == Simplex.__name__:
                return lambda: _simplex_reply(payoff, size, table.shape[1])
            return lambda: _box_reply(payoff, against[i], low[i], high[i], size, tolerance)

        branches = [branch(name, size) for name, size in kinds]
        new = jax.lax.switch(kind_of[i], branches) if len(branches) > 1 else branches[0]()
        return against[i] + damping * (new - against[i])

    players = jnp.arange(len(spaces))
    if not sequential:
        return jax.vmap(reply, (0, None))(players, table)
    return jax.lax.scan(lambda now, i: (now.at[i].set(reply(i, now)), None), table, players)[0]


def _simplex_reply(payoff, size: int, width: int) -> Array:
    vertices = jnp.eye(size, width)
    return vertices[payoff(vertices).argmax()]


def _box_reply(payoff, own: Array, low: Array, high: Array, size: int, tolerance: Array) -> Array:
    """Along each coordinate; for several dimensions then along the diagonal through the point and the box's own."""
    width = high - low
    real = (jnp.arange(own.shape[0]) < size).astype(own.dtype)
    unit = jnp.eye(own.shape[0], dtype=own.dtype)

    def along(kind: Array, x: Array) -> Array:
        direction = jnp.where(kind < size, unit[jnp.minimum(kind, size - 1)], real)
        share = (direction * jnp.where(width > 0, (x - low) / jnp.where(width > 0, width, 1), 0)).sum()
        guess = jnp.where(kind < size, share, jnp.where(kind == size, 0.5, share / size))

        def point(t: Array) -> Array:
            coordinate = x + direction * (low + t * width - x)  # the named coordinates at t of their interval
            shifted = jnp.clip(x + (2 * t - 1) * width * direction, low, high)
            return jnp.where(kind == size, shifted, coordinate)

        found = line_maximum(lambda t: payoff(jax.vmap(point)(t)), guess, tolerance)
        return point(found.at)

    if size == 1:
        return along(jnp.asarray(0), own)

    def sweep(x, kind):
        new = along(kind, x)
        values = payoff(jnp.stack([x, new]))
        return jnp.where(values[1] > values[0], new, x), None

    order = jnp.concatenate([jnp.arange(size + 1, -1, -1)] + [jnp.arange(size + 1)] * 2)
    return jax.lax.scan(sweep, own, order)[0]
