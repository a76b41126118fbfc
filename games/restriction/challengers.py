"""The challengers' stage: mixes, research effort and prices in equilibrium at a given restriction (model.md §4-6)."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.restriction.demand import Market, Prices, opening_prices
from games.restriction.effort import better_effort
from games.restriction.joint import joint_step
from games.restriction.nests import SYSTEMS
from games.restriction.parameters import Parameters
from games.restriction.strategies import accounts
from solver.batch import fixed_points
from solver.fixed_point import FixedPoint, fixed_point

# before Newton's steps, and of these: what they do not settle goes on as a single stage does
ROUNDS, JOINT_STEPS = 2, 40
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
    """Where every search starts: even mixes, half effort, lowest markups. Those at γ ≠ 1 start at the stage of γ = 1."""
    strategies = m.type_at_rest.shape[:2]
    lanes = m.outside.shape[1:]
    logits = jnp.zeros((*strategies, *lanes), m.outside.dtype)
    return Stage(logits, jnp.full_like(m.lag_slope, 0.5), opening_prices(m, strategies[0]))


def respond(stage: Stage, args: tuple[Parameters, Market]) -> Stage:
    """One round: a Newton step of all prices, then the best effort and the choice among strategies at these prices."""
    p, m = args
    effort = _possible(m, stage.effort)
    prices = SYSTEMS[p.demand].price_step(p, m, stage.mix, effort, stage.prices)
    books = accounts(p, m, stage.mix, effort, prices)
    return Stage(books.payoff / p.sigma, books.best_effort, prices)


def _possible(m: Market, effort: Array) -> Array:
    """An extrapolated effort may be so large that types overflow."""
    return jnp.clip(effort, 0, m.effort_bound)


def _escape(p: Parameters, then: Callable) -> Callable | None:
    """``escape`` for :func:`fixed_point`: only where effort is to be the best of all."""
    return then if p.effort_optimum == "global" else None


def moved_on(p: Parameters, m: Market, mix: Array, stage: Stage) -> tuple[Stage, Array]:
    """The stage with a challenger at another effort, where there is one that cannot stay at its own, and whether (per lane)."""
    effort, leave = better_effort(p, m, mix, stage.effort, stage.prices.challenger)
    return stage._replace(effort=effort), leave


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
        escape=_escape(p, lambda stage, args: moved_on(args[0], args[1], stage.mix, stage)),
        lanes=lanes,
    )


def solve_stages(p: Parameters, m: Market, *, near=None, tolerance=1e-8, max_steps=STAGE_STEPS) -> FixedPoint:
    """A batch of stages, the lanes last in every array (``prior.batch``); as :func:`solve_stage`, without derivatives.

    ``near``: the stages to start at, those of similar markets; default: the opening.
    """
    limits = tolerance, max_steps
    if p.demand == "logit":
        found = fixed_points(
            _joint_step,
            _approach,
            (p, m),
            tolerance=tolerance,
            max_steps=min(max_steps, JOINT_STEPS),
            memory=0,
            one_kernel=True,
            near=None if near is None else _turned(near),
        )
        found = found._replace(value=_turned(found.value))
    else:
        found = fixed_points(
            respond,
            _start,
            (p, m),
            tolerance=tolerance,
            max_steps=max_steps,
            memory=2,
            accelerate=SYSTEMS[p.demand].accelerated,
            near=near,
        )
    found = _solved_again(found, np.flatnonzero(~found.converged), p, m, near, limits)
    if p.effort_optimum == "global":
        start, leave = _moved_on(p, m, found.value)
        found = _solved_again(found, np.flatnonzero(np.asarray(leave) & found.converged), p, m, start, limits)
    return found


def _solved_again(found: FixedPoint, lanes: np.ndarray, p: Parameters, m: Market, start, limits) -> FixedPoint:
    """``found`` with some lanes solved anew from ``start``, with a longer memory and in one precision."""
    if not lanes.size:
        return found
    filled = np.resize(lanes, max(8, 1 << (lanes.size - 1).bit_length()))
    own_p, own_m = jax.tree.map(lambda x: x[..., filled], (p, m))
    begin = opening(own_p, own_m) if start is None else jax.tree.map(lambda x: x[..., filled], start)
    again = _solve_from(own_p, own_m, begin, *limits)

    def put(whole, part):
        whole[..., lanes] = np.asarray(part)[..., : lanes.size]
        return whole

    steps = np.asarray(again.num_steps) + found.num_steps[filled]
    return jax.tree.map(put, found, again._replace(num_steps=steps))


def _start(args: tuple[Parameters, Market]) -> Stage:
    return opening(*args)


def _approach(args: tuple[Parameters, Market]) -> Stage:
    """Where Newton's steps begin: damped rounds lead away from the roots that only they would go to."""

    def damped(_, stage: Stage) -> Stage:
        new = respond(stage, args)
        half = jax.tree.map(lambda a, b: (a + b) / 2, new, stage)
        return Stage(half.logits, half.effort, new.prices)

    # a loop, since XLA would join the rounds and compute the first one several times over
    return _turned(jax.lax.fori_loop(0, ROUNDS, damped, opening(*args)))


def _joint_step(stage: Stage, args: tuple[Parameters, Market]) -> Stage:
    return Stage(*joint_step(*args, *stage))


def _turned(stage: Stage) -> Stage:
    """The stage with strategies before challengers, as Newton's steps have it, or back."""
    logits, effort, prices = stage
    return Stage(logits.swapaxes(0, 1), effort, prices._replace(challenger=prices.challenger.swapaxes(0, 1)))


@jax.jit
def _moved_on(p: Parameters, m: Market, stage: Stage) -> tuple[Stage, Array]:
    return moved_on(p, m, stage.mix, stage)


@jax.jit
def _solve_from(p: Parameters, m: Market, start: Stage, tolerance, max_steps) -> FixedPoint:
    return solve_stage(p, m, start=start, tolerance=tolerance, max_steps=max_steps, lanes=1)


def solve_held(
    p: Parameters, m: Market, mix: Array, *, start=None, tolerance=1e-8, max_steps=STAGE_STEPS, memory=4
) -> FixedPoint:
    """Effort and prices at given mixes; with 0/1 mixes, those of a realised market."""

    def held(stage: Stage, args) -> Stage:
        p, m, mix = args
        effort = _possible(m, stage.effort)
        prices = SYSTEMS[p.demand].price_step(p, m, mix, effort, stage.prices)
        return Stage(stage.logits, accounts(p, m, mix, effort, prices).best_effort, prices)

    return fixed_point(
        held,
        opening(p, m) if start is None else start,
        (p, m, mix),
        tolerance=tolerance,
        max_steps=max_steps,
        memory=memory,
        accelerate=SYSTEMS[p.demand].accelerated,
        escape=_escape(p, lambda stage, args: moved_on(args[0], args[1], args[2], stage)),
    )
