"""Incumbents' payoffs, and all that is reported, at many profiles of many worlds.

The same play as in ``frontier``, its stages solved in batches.
The host decides which stages are still to be solved, so none of this can be traced or differentiated.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.restriction.challengers import solve_stages
from games.restriction.demand import Market, market
from games.restriction.frontier import ROOT_STEPS, expected, next_speed, outcome, speed_met, speed_unsettled
from games.restriction.outcomes import measured
from games.restriction.parameters import Parameters
from solver.batch import take
from solver.compilation import OWN_LOOPS, as_here, compiler_options, cores
from solver.fixed_point import FixedPoint

BLOCK = 16384  # profiles at a time, at most
LEAST = 2048  # below it a block is not shared out among cores
PIECES = 128, 1024  # profiles of one call: two sizes to compile


class Worlds:
    """The payoffs of a stack of :class:`RestrictionGame` (every array leads with the game) at many profiles."""

    def __init__(self, games: Any):
        self.parameters: Parameters = jax.tree.map(lambda x: np.moveaxis(np.asarray(x), 0, -1), games.parameters)
        self.compiled: set[Callable] = set()  # reports that need no thread to wait for their compilation
        num = self.parameters.appropriability.shape[-1]
        self.base = np.ones(num)  # MR(0), where the frontier's speed depends on it
        moving = np.flatnonzero(self.parameters.appropriability)
        if moving.size:
            p = self.parameters
            rest = np.zeros((len(p.incumbents), p.channel_effect.shape[0], moving.size))
            p = take(p, moving)
            self.base[moving] = _in_pieces(_return, p, *_stages(p, rest, np.ones(moving.size)))

    def __call__(self, which: np.ndarray, profiles: np.ndarray) -> np.ndarray:
        """The payoffs (profile, incumbent) of the worlds ``which`` (profile,) at ``profiles`` (profile, incumbent, channel)."""
        return self._reported(_profits, which, profiles)

    def measures(self, which: np.ndarray, profiles: np.ndarray) -> dict[str, np.ndarray]:
        """:func:`outcomes.measures` of the worlds ``which`` at ``profiles``, every array with the profile in front."""
        return self._reported(_measures, which, profiles)

    def _reported(self, report, which: np.ndarray, profiles: np.ndarray) -> Any:
        def block(at: np.ndarray) -> Any:
            p, r = take(self.parameters, which[at]), np.moveaxis(profiles[at], 0, -1)
            return _in_pieces(report, p, r, *_played(p, r, self.base[which[at]]))

        num = len(which)
        blocks = np.array_split(np.arange(num), max(1, -(-num // BLOCK), min(cores(), num // LEAST)))
        if report in self.compiled:  # a block's last stages keep one core busy: another block has the others
            with ThreadPoolExecutor(cores()) as pool:
                blocks = list(pool.map(as_here(block), blocks))
        else:
            blocks = list(map(block, blocks))
            self.compiled.add(report)
        return jax.tree.map(lambda *xs: np.moveaxis(np.concatenate(xs, axis=-1), -1, 0), *blocks)


def _played(p: Parameters, restriction: np.ndarray, base: np.ndarray) -> tuple:
    """Market, stage, γ, MR(0) and whether γ was met, for every profile."""
    gamma, gap = np.ones(base.shape), np.zeros(base.shape)
    m, solved = found = _stages(p, restriction, gamma)
    moving = np.flatnonzero(p.appropriability)
    if moving.size:
        gap[moving] = _gap(*take((p, m, solved, base, gamma), moving))
    last, last_gap = gamma.copy(), np.full_like(gap, np.inf)
    first = jax.tree.map(np.copy, solved.value) if moving.size else None
    for steps in range(1, ROOT_STEPS):
        at = np.flatnonzero(speed_unsettled(gap, last_gap))
        if not at.size:
            break
        new = np.asarray(next_speed(gamma[at], gap[at], last[at], last_gap[at], steps))
        last[at], last_gap[at], gamma[at] = gamma[at], gap[at], new
        own = take(p, at)
        part = _stages(own, restriction[..., at], new, take(first, at))
        gap[at] = _gap(own, *part, base[at], new)
        _put(found, at, part)
    return m, solved, gamma, base, speed_met(gap)


def _stages(p: Parameters, restriction: np.ndarray, gamma: np.ndarray, near: Any = None) -> tuple[Market, FixedPoint]:
    m = _in_pieces(market, p, restriction, gamma)
    return m, solve_stages(p, m, near=near)


def _gap(p: Parameters, m: Market, solved: FixedPoint, base: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """The right side of γ = 1 + ε_γ (MR(r)/MR(0) - 1), minus the left."""
    return p.appropriability * (_in_pieces(_return, p, m, solved) / base - 1) + 1 - gamma


def _return(p: Parameters, m: Market, solved: FixedPoint) -> Array:
    return jax.vmap(lambda *args: expected(*args).books.return_, -1, -1)(p, m, solved)


def _profits(p, restriction, m, solved, gamma, base, settled) -> Array:
    """Ω (incumbent, profile), NaN where the followers are not in equilibrium."""

    def one(p, restriction, play):
        del restriction
        profit = jnp.where(play.converged, play.incumbent_payoff, jnp.nan)
        return profit + p.cooperation * (profit.sum() - profit)

    return _over_plays(one, p, restriction, m, solved, gamma, base, settled)


def _measures(p, restriction, m, solved, gamma, base, settled) -> dict[str, Array]:
    return _over_plays(measured, p, restriction, m, solved, gamma, base, settled)


def _over_plays(report, *lanes):
    def one(p, restriction, m, solved, gamma, base, settled):
        return report(p, restriction, outcome(p, restriction, m, expected(p, m, solved), gamma, base, settled))

    return jax.vmap(one, -1, -1)(*lanes)


def _in_pieces(function, *args):
    """``function`` of arrays whose lanes are last, a piece at a time on every core; the last repeats lanes to its size."""
    num = args[-1].shape[-1] if isinstance(args[-1], np.ndarray) else args[-1].residual.shape[-1]
    pieces = [np.arange(first, min(first + PIECES[1], num)) for first in range(0, num, PIECES[1])]

    compiled = _compiled(function)

    def piece(at):
        return jax.tree.map(np.asarray, compiled(*take(args, np.resize(at, PIECES[at.size > PIECES[0]]))))

    out = [piece(pieces[0])]  # compiles; the others take turns
    if len(pieces) > 1:
        with ThreadPoolExecutor(cores()) as pool:
            out += pool.map(as_here(piece), pieces[1:])
    return jax.tree.map(lambda *xs: np.concatenate(xs, axis=-1)[..., :num], *out)


@cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Made when it is first called for: what XLA is asked depends on the device."""
    return jax.jit(function, compiler_options=compiler_options(OWN_LOOPS))


def _put(whole, at: np.ndarray, part) -> None:
    for old, new in zip(jax.tree.leaves(whole), jax.tree.leaves(part), strict=True):
        old[..., at] = new
