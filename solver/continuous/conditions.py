r"""The first-order conditions of a game, each player's in its own strategy only.

.. math:: g_i(s) = \partial u_i/\partial s_i,\qquad s_i = \Pi_i\bigl(s_i + c_i\,g_i(s)\bigr)\ \text{for all } i,\quad c_i > 0

with the projection Π on the player's set: the natural residual of a complementarity problem (Facchinei and Pang 2003,
§1.5), zero at every equilibrium where payoffs are smooth, and elsewhere too where they are not concave.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from solver.game import AbstractGame, Profile
from solver.spaces import Box


def flat(profile: Profile) -> Array:
    return jnp.concatenate(profile)


def split(game: AbstractGame, x: Array) -> Profile:
    ends = np.cumsum([space.size for space in game.actions()])[:-1]
    return tuple(jnp.split(x, ends))


def owners(game: AbstractGame) -> np.ndarray:
    """The player of every coordinate of a flat profile."""
    return np.repeat(np.arange(len(game.players)), [space.size for space in game.actions()])


def bounds(game: AbstractGame) -> tuple[Array, Array]:
    """The lowest and highest value of every coordinate; 0 and 1 for the shares of a mixture."""
    spaces = game.actions()
    low = [s.lower if isinstance(s, Box) else jnp.zeros(s.size) for s in spaces]
    high = [s.upper if isinstance(s, Box) else jnp.ones(s.size) for s in spaces]
    return jnp.concatenate(low), jnp.concatenate(high)


def marginal_payoffs(game: AbstractGame, x: Array) -> Array:
    """g of the module's docstring, flat like ``x``; forward mode alone, which inner equilibria allow."""
    return payoffs_and_slopes(game, x)[1]


def payoffs_and_slopes(game: AbstractGame, x: Array) -> tuple[Array, Array]:
    """The payoffs (players,) and g, from one evaluation of what payoffs hold."""
    expected = split(game, x)

    def payoffs(y):
        value = game.committed_payoffs(expected, split(game, y))
        return value, value

    slopes, value = jax.jacfwd(payoffs, has_aux=True)(x)
    return value, slopes[owners(game), np.arange(x.shape[0])]


def natural_residual(game: AbstractGame, x: Array, slopes: Array, scale: Array) -> tuple[Array, Array]:
    """x − Π(x + scale·g(x)), and how far every coordinate is from a kink of the projection Π, both flat.

    That margin of strict complementarity is a share of the player's set, inf where it is a point. Inside: the distance to the
    nearest bound. At a bound: the marginal payoff that holds it there, times ``scale`` (one entry per player). On a Simplex: a
    used action's share, or by how much an unused one pays less. ``slopes`` are g(x).
    """
    ahead = x + scale[owners(game)] * slopes
    projected, margins = [], []
    for space, z in zip(game.actions(), split(game, ahead), strict=True):
        projected.append(space.project(z))
        if isinstance(space, Box):
            width = space.upper - space.lower
            near = jnp.minimum(jnp.abs(z - space.lower), jnp.abs(space.upper - z))
            margins.append(jnp.where(width > 0, near / jnp.where(width > 0, width, 1), jnp.inf))
        else:
            used = projected[-1] > 0
            threshold = jnp.where(used, z - projected[-1], 0).sum() / used.sum()
            margins.append(jnp.abs(z - threshold))
    return x - jnp.concatenate(projected), jnp.concatenate(margins)


def payoff_scale(game: AbstractGame, payoff_range: Array) -> Array:
    """c_i = width²/range: what turns a marginal payoff into a step of the size of the player's set."""
    widest = [(s.upper - s.lower).max() if isinstance(s, Box) else jnp.asarray(1.0) for s in game.actions()]
    return jnp.stack(widest) ** 2 / jnp.where(payoff_range > 0, payoff_range, 1)
