r"""Semismooth Newton's method on the first-order conditions, as a complementarity problem.

With every coordinate of a Box taken as a share of its interval and :math:`G_i = -\partial u_i/\partial s_i`, an equilibrium
solves, through Fischer and Burmeister's function :math:`\varphi(a, b) = a + b - \sqrt{a^2 + b^2}`, zero iff
:math:`a, b \ge 0` and :math:`ab = 0`,

.. math::
    \text{Box: } \varphi\bigl(s,\ -\varphi(1 - s,\ -G)\bigr) = 0,\qquad
    \text{Simplex: } \varphi(s_a,\ v + G_a) = 0,\quad \sum_a s_a = 1

with v the mixture's value (Billups 1995; De Luca, Facchinei and Kanzow 1996). The merit ½|Φ|² falls at every step: along
Newton's direction, or where that fails along Levenberg and Marquardt's, both bent at the bounds so that payoffs are only
asked for where they are defined.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from solver.continuous.conditions import bounds, flat, marginal_payoffs, owners, split
from solver.game import AbstractGame, Profile
from solver.linear import solve_linear
from solver.spaces import Box, Simplex

HALVINGS = 8  # of a step, tried at once
ARMIJO = 1e-4
ROUNDING = 64  # units in the last place of a residual, below which steps go on only while they halve it
PROBES = (0.1, 0.3, 0.5, 0.7, 0.9)  # places on the sets' diagonal at which marginal payoffs are looked at


class Newton(eqx.Module):
    """A point where the first-order conditions hold, by semismooth steps: to rounding, active bounds or not.

    Payoffs must have second derivatives. First-order conditions also hold where a payoff is not highest: then the measured
    regret says so, and the status is ``uncertified``.
    """

    def init(self, game: AbstractGame, profile: Profile, tolerance: Array) -> "State":
        del tolerance
        low, high = bounds(game)
        scale = marginal_scale(game, flat(profile))
        share = jnp.clip((flat(profile) - low) / jnp.where(high > low, high - low, 1), 0, 1)
        mixing = any(isinstance(space, Simplex) for space in game.actions())
        z = unknowns(game, share, scaled_slopes(game, scale, share)) if mixing else share
        zero = jnp.asarray(0, jnp.int32)
        return State(z, scale, jnp.asarray(jnp.inf, z.dtype), jnp.asarray(False), zero, zero)

    def step(self, game: AbstractGame, state: "State", tolerance: Array) -> "State":
        del tolerance

        def equations(z):
            value = residuals(game, z, scaled_slopes(game, state.scale, z[: state.z.size - num_mixtures(game)]))
            return value, value

        jacobian, here = jax.jacfwd(equations, has_aux=True)(state.z)
        merit, slope = (here**2).sum(), jacobian.T @ here
        ridge = jnp.sqrt(merit) * jnp.eye(len(here)) + jacobian.T @ jacobian
        directions = jax.vmap(solve_linear)(jnp.stack([jacobian, ridge]), -jnp.stack([here, slope]))
        steps = 0.5 ** jnp.arange(HALVINGS, dtype=here.dtype)
        points = state.z + (steps[:, None] * directions[:, None, :]).reshape(2 * HALVINGS, -1)
        points = inside(game, points)
        values = jax.vmap(equations)(points)[0]
        merits = (values**2).sum(axis=1)
        merits = jnp.where(jnp.isfinite(merits), merits, jnp.inf)
        enough = merits <= (1 - 2 * ARMIJO * jnp.tile(steps, 2)) * merit
        chosen = jnp.where(enough.any(), enough.argmax(), merits.argmin())
        better = merits[chosen] < merit
        z = jnp.where(better, points[chosen], state.z)
        residual = jnp.abs(jnp.where(better, values[chosen], here)).max()
        # two points can each be better than the other, for rounding: they would go round to the last step
        settled = (residual <= ROUNDING * jnp.finfo(z.dtype).eps) & (2 * residual > state.residual)
        return State(z, state.scale, residual, ~better | settled, state.num_steps + 1, state.cycle)

    def terminated(self, state: "State", tolerance: Array) -> Array:
        """The residual is rounding, or no step lowers it."""
        del tolerance
        return state.stuck | (state.residual <= jnp.finfo(state.z.dtype).eps) | jnp.isnan(state.residual)

    def profile(self, game: AbstractGame, state: "State") -> Profile:
        low, high = bounds(game)
        strategies = split(game, low + (high - low) * state.z[: len(low)])
        return tuple(space.project(x) for space, x in zip(game.actions(), strategies, strict=True))


class State(eqx.Module):
    z: Array  # shares of all players' intervals and mixtures, then the mixtures' values
    scale: Array  # (players,), what marginal payoffs are measured in
    residual: Array  # the largest |Φ|
    stuck: Array
    num_steps: Array
    cycle: Array


def marginal_scale(game: AbstractGame, x: Array) -> Array:
    """The largest marginal payoff (players,), over its set, that each player has at a few places and at ``x``."""
    low, high = bounds(game)
    boxes = np.repeat([isinstance(s, Box) for s in game.actions()], [s.size for s in game.actions()])
    middle = flat(tuple(space.midpoint() for space in game.actions()))
    places = jnp.stack([jnp.where(boxes, low + t * (high - low), middle) for t in PROBES] + [x])
    sizes = jnp.abs(jax.vmap(lambda y: marginal_payoffs(game, y))(places)) * (high - low)
    largest = jnp.where(jnp.isfinite(sizes), sizes, 0).max(axis=0)
    scale = jnp.zeros(len(game.players), x.dtype).at[owners(game)].max(largest)
    return jnp.where(scale > 0, scale, 1)


def num_mixtures(game: AbstractGame) -> int:
    return sum(isinstance(space, Simplex) for space in game.actions())


def scaled_slopes(game: AbstractGame, scale: Array, share: Array) -> Array:
    """Marginal payoffs in units of ``scale``, per share of the sets, flat."""
    low, high = bounds(game)
    return marginal_payoffs(game, low + (high - low) * share) * (high - low) / scale[owners(game)]


def unknowns(game: AbstractGame, share: Array, slopes: Array) -> Array:
    """The shares, then each mixture's value: its best action's payoff."""
    parts = zip(game.actions(), split(game, slopes), strict=True)
    values = [g.max() for space, g in parts if isinstance(space, Simplex)]
    return jnp.concatenate([share, jnp.stack(values)]) if values else share


def residuals(game: AbstractGame, z: Array, slopes: Array) -> Array:
    """Φ of the module's docstring at the unknowns ``z``, where marginal payoffs are ``slopes``."""
    share, values = z[: slopes.size], z[slopes.size :]
    parts, sums = [], []
    for space, s, g in zip(game.actions(), split(game, share), split(game, slopes), strict=True):
        if isinstance(space, Box):
            fixed = space.upper == space.lower
            parts.append(jnp.where(fixed, s, fischer_burmeister(s, -fischer_burmeister(1 - s, g))))
        else:
            parts.append(fischer_burmeister(s, values[len(sums)] - g))
            sums.append(s.sum() - 1)
    return jnp.concatenate([*parts, jnp.stack(sums)]) if sums else jnp.concatenate(parts)


def fischer_burmeister(a: Array, b: Array) -> Array:
    """φ(a, b), without cancellation where both are positive; its derivative at (0, 0) is (1, 1)."""
    square = a**2 + b**2
    norm = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
    positive = a + b > 0
    return jnp.where(positive, 2 * a * b / jnp.where(positive, norm + a + b, 1), a + b - norm)


def inside(game: AbstractGame, z: Array) -> Array:
    """``z`` (..., n) with the shares of intervals in [0, 1] and those of mixtures at 0 or more."""
    mixing = [isinstance(space, Simplex) for space in game.actions()]
    most = np.repeat(np.where(mixing, np.inf, 1.0), [space.size for space in game.actions()])
    free = np.full(sum(mixing), np.inf)
    low, high = np.concatenate([np.zeros(len(most)), -free]), np.concatenate([most, free])
    return jnp.clip(z, jnp.asarray(low, z.dtype), jnp.asarray(high, z.dtype))
