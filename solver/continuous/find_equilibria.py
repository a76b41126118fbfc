r"""All the equilibria that several methods reach from many starts, each certified, and what may be said of their number.

Starts fill the product of the players' sets evenly (scrambled Sobol points). Best responses, extragradient steps and
Newton's method run from each of them, then Newton's method from where the others ended. What comes out is an equilibrium if
its regret over the whole set of strategies is within tolerance, a mere first-order point if only the first-order
conditions hold. An equilibrium is stable under best reply if the map of best replies b contracts there:

.. math:: \rho\Bigl(\frac{\partial b}{\partial s}\Bigr) < 1,\qquad
    \frac{\partial b_i}{\partial s_j} = -\Bigl(\frac{\partial^2 u_i}{\partial s_i^2}\Bigr)^{-1}
    \frac{\partial^2 u_i}{\partial s_i \partial s_j}

over the coordinates that no bound holds (Moulin 1984).
"""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from solver.algorithms.best_response import BestResponse
from solver.algorithms.extragradient import Extragradient
from solver.algorithms.newton import Newton, marginal_scale, residuals, scaled_slopes, unknowns
from solver.compilation import PLAIN, jit_once
from solver.continuous.completeness import completeness
from solver.continuous.conditions import bounds, flat, owners
from solver.continuous.connected import connected, lines_of
from solver.game import AbstractGame, Profile
from solver.regret import certify_profile
from solver.solution import EquilibriumSet
from solver.solve import _within, advance, checked_tolerance
from solver.spaces import Box


def find_equilibria(
    game: AbstractGame,
    *,
    key: Array,
    starts: int = 64,
    tolerance: float | None = None,
    max_steps: int = 200,
) -> EquilibriumSet:
    """The equilibria that best responses, extragradient steps and Newton's method reach from many starts.

    :param key: of the scrambling of the starts; the same key gives the same set in the same order (of the first
        strategies' values).
    :param starts: how many; a power of two fills the sets most evenly.
    :param tolerance: largest accepted regret, as in :func:`solve`. :param max_steps: of each method.
    :return: an :class:`EquilibriumSet` with one place for each equilibrium, its ``spectral_radius`` (NaN where payoffs are
        not smooth, inf where best replies are not single) and its ``component``, the connected set of equilibria it is of; a
        connected set that is a line has its ends in ``intervals``, to the root of the tolerance. ``num_stationary`` counts the
        first-order points that are no equilibria. ``complete`` is True only where ``proof`` says why; ``statement`` is the
        sentence to report.
    :raises ValueError: if ``starts`` is not positive.
    """
    if starts < 1:
        raise ValueError(f"starts = {starts} must be at least 1")
    tolerance_ = checked_tolerance(tolerance)
    steps, begin = jnp.asarray(max_steps), spread(game, key, starts)
    others = [_ends(game, algorithm, begin, tolerance_, steps) for algorithm in (BestResponse(), Extragradient())]
    crude = _joined(others)
    polished = _ends(game, Newton(), _joined([begin, crude]), tolerance_, steps)
    seen = jax.tree.map(np.asarray, _measure(game, _joined([polished, crude]), tolerance_))
    kept = _kept(game, seen, starts, tolerance_)
    distinct = _merged(seen, kept, float(tolerance_))
    good, merely = distinct[seen.within[distinct]], distinct[~seen.within[distinct]]
    radius = [spectral_radius(game, seen, at) for at in good]
    proof = completeness(game, np.concatenate([s[distinct] for s in seen.strategies], axis=1))

    def among(share: np.ndarray) -> np.ndarray:
        return _are_equilibria(game, share, seen, tolerance_)

    labels = connected(seen.share[good], among)
    lines = lines_of(seen.share[good], labels, among, len(seen.regret))
    return EquilibriumSet(
        game=game,
        strategies=tuple(jnp.asarray(s[good]) for s in seen.strategies),
        mask=jnp.ones(len(good), bool),
        count=jnp.asarray(len(good)),
        complete=jnp.asarray(bool(proof)),
        max_regret=jnp.asarray(seen.regret[good]),
        spectral_radius=jnp.asarray(np.array(radius, seen.regret.dtype)),
        component=jnp.asarray(labels),
        intervals=tuple(profiles_of(game, ends) for ends in lines),
        num_stationary=jnp.asarray(len(merely)),
        num_starts=jnp.asarray(starts),
        proof=proof,
    )


def spread(game: AbstractGame, key: Array, count: int) -> Profile:
    """One array (count, size) per player: scrambled Sobol points of the product of the sets, uniform on a Simplex.

    The first three are all sets' lower ends, middles and upper ends, as far as ``count`` goes: equilibria of symmetric games
    and those at corners that best replies are driven away from are often there.
    """
    from scipy.stats import qmc

    spaces = game.actions()
    seed = [int(word) for word in np.asarray(jax.random.key_data(key)).ravel()]
    sampler = qmc.Sobol(sum(space.size for space in spaces), rng=np.random.default_rng(seed))
    unit = sampler.random_base2((count - 1).bit_length())[:count]
    dtype = jnp.result_type(float)
    parts, out = np.split(unit, np.cumsum([space.size for space in spaces])[:-1], axis=1), []
    for space, u in zip(spaces, parts, strict=True):
        if isinstance(space, Box):
            u[:3] = np.array([0.0, 0.5, 1.0])[:count, None]
            out.append(space.lower + (space.upper - space.lower) * jnp.asarray(u, dtype))
        else:
            weights = -np.log(np.clip(u, 1e-12, 1 - 1e-12))
            out.append(jnp.asarray(weights / weights.sum(axis=1, keepdims=True), dtype))
    return tuple(out)


@jit_once
def _ends(game: AbstractGame, algorithm: Any, starts: Profile, tolerance: Array, max_steps: Array) -> Profile:
    """Where the algorithm ends from each of the starts."""

    def one(start):
        state = algorithm.init(game, start, tolerance)
        return algorithm.profile(game, advance(game, algorithm, state, tolerance, max_steps))

    return jax.vmap(one)(starts)


class Seen(eqx.Module):
    """What is measured at many profiles; all lead with the profiles."""

    strategies: Profile
    share: Array  # (profiles, n), strategies as shares of their sets
    regret: Array  # the largest of a profile
    within: Array  # regret within tolerance
    residual: Array  # of the first-order conditions
    slopes: Array  # (profiles, n): marginal payoffs in units of their scale, per share
    bend: Array  # (profiles, n, n): their derivatives


@partial(jit_once, options=PLAIN)
def _measure(game: AbstractGame, profiles: Profile, tolerance: Array) -> Seen:
    low, high = bounds(game)
    width = jnp.where(high > low, high - low, 1)

    def one(profile):
        payoffs, regret, certificate = certify_profile(game, profile)
        share, scale = (flat(profile) - low) / width, marginal_scale(game, flat(profile))

        def slopes(share):
            value = scaled_slopes(game, scale, share)
            return value, value

        bend, slope = jax.jacfwd(slopes, has_aux=True)(share)
        return Seen(
            strategies=profile,
            share=share,
            regret=regret.max(),
            within=_within(payoffs, regret, certificate, tolerance),
            residual=jnp.abs(residuals(game, unknowns(game, share, slope), slope)).max(),
            slopes=slope,
            bend=bend,
        )

    return jax.vmap(one)(profiles)


def _joined(profiles: list[Profile]) -> Profile:
    return tuple(jnp.concatenate(parts) for parts in zip(*profiles, strict=True))


def _kept(game: AbstractGame, seen: Seen, starts: int, tolerance: Array) -> np.ndarray:
    """Newton's ends from the starts, and of every other end what it was polished to if that is the same equilibrium."""
    polished, crude = np.arange(starts, 3 * starts), np.arange(3 * starts, 5 * starts)
    same = _are_equilibria(game, np.asarray(seen.share[polished] + seen.share[crude]) / 2, seen, tolerance)
    return np.concatenate([np.arange(starts), np.where(same & seen.within[polished], polished, crude)])


def profiles_of(game: AbstractGame, share: np.ndarray) -> Profile:
    """Profiles, leading with them, from shares (count, n) of the players' sets."""
    low, high = bounds(game)
    ends = np.cumsum([space.size for space in game.actions()])[:-1]
    return tuple(jnp.split(low + (high - low) * jnp.asarray(share, low.dtype), ends, axis=1))


def _are_equilibria(game: AbstractGame, share: np.ndarray, seen: Seen, tolerance: Array) -> np.ndarray:
    """Which shares (count, n) are those of equilibria, to the tolerance."""
    filled = np.resize(share, seen.share.shape)  # as many as were measured before, so that nothing compiles anew
    return np.asarray(_measure(game, profiles_of(game, filled), tolerance).within)[: len(share)]


def _merged(seen: Seen, kept: np.ndarray, tolerance: float) -> np.ndarray:
    """One of every cluster of equilibria and of first-order points, in order of their strategies."""
    eps = float(np.finfo(seen.share.dtype).eps)
    exact = seen.residual <= eps**0.5  # the place of a triple root is known to eps^(1/3)
    kept = kept[seen.within[kept] | exact[kept]]
    kept = kept[np.argsort(np.where(exact, seen.residual, 1 + seen.regret)[kept], kind="stable")]
    distinct: list[int] = []
    for at in kept:
        radius = 2 * eps ** (1 / 3) if exact[at] else 2 * tolerance**0.5
        same = [i for i in distinct if seen.within[i] or not seen.within[at]]
        if not (np.abs(seen.share[same] - seen.share[at]).max(axis=1, initial=0) <= radius).any():
            distinct.append(int(at))
    rounded = np.round(seen.share[distinct], 4)
    return np.array(distinct, int)[np.lexsort(rounded.T[::-1])] if distinct else np.zeros(0, int)


def spectral_radius(game: AbstractGame, seen: Seen, at: int) -> float:
    """ρ of the module's docstring at a profile; inf where a best reply is not single, NaN where payoffs are not smooth."""
    eps = float(np.finfo(seen.share.dtype).eps)
    share, slopes, bend, owner = seen.share[at], seen.slopes[at], seen.bend[at], owners(game)
    if not (np.isfinite(bend).all() and seen.residual[at] <= eps**0.5):
        return float("nan")
    reply = np.zeros_like(bend, float)
    for i, space in enumerate(game.actions()):
        mine = np.flatnonzero(owner == i)
        if not isinstance(space, Box):
            if (share[mine] > eps**0.5).sum() > 1 or (slopes[mine] >= slopes[mine].max() - eps**0.5).sum() > 1:
                return float("inf")
            continue
        inside = (share[mine] > eps**0.5) & (share[mine] < 1 - eps**0.5)
        free = mine[inside | (np.abs(slopes[mine]) <= eps**0.5)]
        if not len(free):
            continue
        own = bend[np.ix_(free, free)]
        if np.linalg.eigvalsh((own + own.T) / 2).max() >= -(eps**0.5):
            return float("inf")
        reply[free] = -np.linalg.solve(own, np.where(owner == i, 0, bend[free]))
    return float(np.abs(np.linalg.eigvals(reply)).max())
