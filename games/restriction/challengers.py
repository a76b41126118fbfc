"""The challengers' stage: mixes, research effort and prices in equilibrium at a given restriction (model.md §4-6)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from games.restriction.demand import Market, Prices, newton_step, opening_prices, types
from games.restriction.parameters import Parameters
from games.restriction.strategies import accounts
from solver.batch import fixed_points
from solver.fixed_point import FixedPoint, fixed_point

STAGE_STEPS = 1000  # half of all stages need 12, one in a hundred more than 66


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
    prices = newton_step(m, types(p, m, stage.effort), mix, stage.prices)
    books = accounts(p, m, mix, stage.effort, prices)
    return Stage(books.payoff / p.sigma, books.best_effort, prices)


def solve_stage(p: Parameters, m: Market, *, tolerance=1e-8, max_steps=STAGE_STEPS, memory=4, lanes=0) -> FixedPoint:
    return fixed_point(
        respond,
        opening(p, m),
        (p, m),
        tolerance=tolerance,
        max_steps=max_steps,
        memory=memory,
        accelerate=choices,
        lanes=lanes,
    )


def solve_stages(p: Parameters, m: Market, *, tolerance=1e-8, max_steps=STAGE_STEPS, memory=2) -> FixedPoint:
    """A batch of stages, the lanes last in every array (``prior.batch``); as :func:`solve_stage`, without derivatives."""
    return fixed_points(
        respond,
        start,
        (p, m),
        tolerance=tolerance,
        max_steps=max_steps,
        memory=memory,
        accelerate=choices,
    )


def choices(stage: Stage) -> tuple[Array, Array]:
    """What is extrapolated: at given choices Newton's steps settle the prices by themselves."""
    return stage.logits, stage.effort


def start(args: tuple[Parameters, Market]) -> Stage:
    return opening(*args)


def solve_held(p: Parameters, m: Market, mix: Array, *, tolerance=1e-8, max_steps=STAGE_STEPS, memory=4) -> FixedPoint:
    """Effort and prices at given mixes; with 0/1 mixes, those of a realised market."""

    def held(stage: Stage, args) -> Stage:
        p, m, mix = args
        prices = newton_step(m, types(p, m, stage.effort), mix, stage.prices)
        effort = accounts(p, m, mix, stage.effort, prices).best_effort
        return Stage(stage.logits, effort, prices)

    return fixed_point(
        held,
        opening(p, m),
        (p, m, mix),
        tolerance=tolerance,
        max_steps=max_steps,
        memory=memory,
        accelerate=lambda stage: stage.effort,
    )
