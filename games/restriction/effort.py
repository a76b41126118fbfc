r"""Whether research effort is the best one, or only meets a first-order condition (model.md §5).

The closed form x* = clip(B D/(k (1 - g) csh), 0, x̄) has x on both sides, B rising in it, so it may hold several times, once
at a minimum of the profit in between. Against rivals' given prices, the own ones adapted, the markup :math:`1 + y` at another
effort x' obeys

.. math:: y' + \ln y' = y + \ln y + \beta D (x' - x),

so the profit at any effort follows from what is known at x.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from games.restriction.demand import SOVEREIGN, Market
from games.restriction.parameters import Parameters
from games.restriction.strategies import cost_share

EFFORTS = 65  # efforts compared with the one found


def effort_deviation(p: Parameters, m: Market, mix: Array, effort: Array, markup: Array) -> tuple[Array, Array]:
    """The effort of highest profit on a grid, and what it gains (challenger,) over ``effort``, given S.

    :param markup: of all strategies (challenger, strategy, cell), in equilibrium at ``effort``.
    """
    column = (-1, *[1] * effort.ndim)
    efforts = jnp.linspace(0, 1, EFFORTS).reshape(column) * m.effort_bound + 0 * effort
    profits = _profit(p, m, mix, effort, markup)(jnp.concatenate([effort[None], efforts]))
    noise = 1e3 * jnp.finfo(profits.dtype).eps * (1 + jnp.abs(profits[0]))
    best = jnp.take_along_axis(efforts, profits[1:].argmax(axis=0)[None], axis=0)[0]
    gain = profits.max(axis=0) - profits[0]
    return best, jnp.where(gain > noise, gain, 0.0)


def better_effort(p: Parameters, m: Market, mix: Array, effort: Array, markup: Array) -> tuple[Array, Array]:
    """The efforts with one challenger's moved to a better one, and whether there was one (per lane).

    The one who gains most goes: all at once may all come back.
    """
    target, gain = effort_deviation(p, m, mix, effort, markup)
    top = gain.max(axis=0, initial=0.0)
    return jnp.where((gain == top) & (top > 0), target, effort), top > 0


def _profit(p: Parameters, m: Market, mix: Array, effort: Array, markup: Array) -> Callable[[Array], Array]:
    """Profit before fixed costs, given S, at efforts (number, challenger)."""
    y = jnp.maximum(markup[:, SOVEREIGN] - 1, jnp.finfo(effort.dtype).tiny)
    known, slope = y + jnp.log(y), p.lag_slope * m.lag_slope[:, None]
    borne = p.effort_cost * (1 - p.subsidy) * cost_share(p, mix)

    def profit(efforts: Array) -> Array:
        a = known + slope * (efforts - effort)[:, :, None]
        y = jnp.where(a > 1, a, jnp.exp(a))
        for _ in range(5):
            y = y * (1 + a - jnp.log(y)) / (1 + y)
        return (m.scale * y).sum(axis=2) - borne * efforts**2 / 2

    return profit
