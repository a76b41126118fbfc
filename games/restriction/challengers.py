"""The challengers' stage: mixes, research effort and prices in equilibrium at a given restriction (model.md §4-6)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from games.restriction.demand import SOVEREIGN, Market, Prices, opening_prices
from games.restriction.nests import SYSTEMS
from games.restriction.parameters import Parameters
from games.restriction.strategies import accounts, cost_share
from solver.fixed_point import FixedPoint, fixed_point

STAGE_STEPS = 1000  # half of all stages need 12, one in a hundred more than 66
EFFORTS = 17  # efforts at which a challenger's profit is compared with that at the effort found


class Stage(NamedTuple):
    """The unknowns of the stage: ``logits`` π/σ (challenger, strategy), ``effort`` (challenger) and ``prices``."""

    logits: Array
    effort: Array
    prices: Prices

    @property
    def mix(self) -> Array:
        return jax.nn.softmax(self.logits, axis=1)


def opening(p: Parameters, m: Market) -> Stage:
    """Where every search starts: even mixes, half effort, lowest markups. A stage is a function of its market alone."""
    strategies = m.type_at_rest.shape[:2]
    lanes = m.outside.shape[1:]
    logits = jnp.zeros((*strategies, *lanes), m.outside.dtype)
    return Stage(logits, jnp.full_like(m.lag_slope, 0.5), opening_prices(m, strategies[0]))


def respond(stage: Stage, args: tuple[Parameters, Market]) -> Stage:
    """One round: a Newton step of all prices, then the best effort and the choice among strategies at these prices."""
    p, m = args
    mix = stage.mix
    prices = SYSTEMS[p.demand].price_step(p, m, mix, stage.effort, stage.prices)
    books = accounts(p, m, mix, stage.effort, prices)
    return Stage(books.payoff / p.sigma, books.best_effort, prices)


def effort_deviation(p: Parameters, m: Market, mix: Array, stage: Stage) -> tuple[Array, Array, Array]:
    r"""The effort of highest profit (challenger,) against rivals' given prices, what it gains over the one in ``stage``, and
    whether that one is a local maximum.

    At rivals' given aggregate the own markup :math:`1 + y` adapted to effort x' obeys
    :math:`y' + \ln y' = y + \ln y + \beta D (x' - x)`, so the profit at any effort follows from what is known at x.
    """
    y = jnp.maximum(stage.prices.challenger[:, SOVEREIGN] - 1, jnp.finfo(stage.effort.dtype).tiny)
    known, slope = y + jnp.log(y), p.lag_slope * m.lag_slope[:, None]
    borne = p.effort_cost * (1 - p.subsidy) * cost_share(p, mix)

    def profit(effort):
        a = known + slope * (effort - stage.effort)[:, :, None]
        y = jnp.where(a > 1, a, jnp.exp(a))
        for _ in range(5):
            y = y * (1 + a - jnp.log(y)) / (1 + y)
        return (m.scale * y).sum(axis=2) - borne * effort**2 / 2

    column = (-1, *[1] * stage.effort.ndim)
    near = jnp.clip(stage.effort + jnp.asarray([0.0, -0.01, 0.01]).reshape(column), 0, m.effort_bound)
    grid = jnp.linspace(0, 1, EFFORTS).reshape(column) * m.effort_bound + 0 * stage.effort
    efforts = jnp.concatenate([near, grid])
    profits = profit(efforts)
    noise = 1e3 * jnp.finfo(profits.dtype).eps * (1 + jnp.abs(profits[0]))
    best = jnp.take_along_axis(efforts, profits.argmax(axis=0)[None], axis=0)[0]
    gain = profits.max(axis=0) - profits[0]
    return best, jnp.where(gain > noise, gain, 0.0), profits[1:3].max(axis=0) <= profits[0] + noise


def better_effort(p: Parameters, m: Market, mix: Array, stage: Stage) -> tuple[Stage, Array]:
    """The stage with a better effort, and whether one was due (per lane): the first-order condition of effort may hold
    several times, once at a minimum in between. One challenger moves at a time: all at once may all move back."""
    best, gain, local = effort_deviation(p, m, mix, stage)
    if p.effort_optimum == "local":
        gain = jnp.where(local, 0.0, gain)
    top = gain.max(axis=0, initial=0.0)
    effort = jnp.where((gain == top) & (top > 0), best, stage.effort)
    return stage._replace(effort=effort), top > 0


def solve_stage(
    p: Parameters, m: Market, *, start=None, tolerance=1e-8, max_steps=STAGE_STEPS, memory=4, lanes=0
) -> FixedPoint:
    return fixed_point(
        respond,
        opening(p, m) if start is None else start,
        (p, m),
        tolerance=tolerance,
        max_steps=max_steps,
        memory=memory,
        accelerate=SYSTEMS[p.demand].accelerated,
        escape=lambda stage, args: better_effort(*args, stage.mix, stage),
        lanes=lanes,
    )


def solve_held(p: Parameters, m: Market, mix: Array, *, tolerance=1e-8, max_steps=STAGE_STEPS, memory=4) -> FixedPoint:
    """Effort and prices at given mixes; with 0/1 mixes, those of a realised market."""

    def held(stage: Stage, args) -> Stage:
        p, m, mix = args
        prices = SYSTEMS[p.demand].price_step(p, m, mix, stage.effort, stage.prices)
        effort = accounts(p, m, mix, stage.effort, prices).best_effort
        return Stage(stage.logits, effort, prices)

    return fixed_point(
        held,
        opening(p, m),
        (p, m, mix),
        tolerance=tolerance,
        max_steps=max_steps,
        memory=memory,
        accelerate=SYSTEMS[p.demand].accelerated,
        escape=lambda stage, args: better_effort(*args, stage),
    )
