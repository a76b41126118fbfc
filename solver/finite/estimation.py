r"""The precision of a logit equilibrium from observed play, by maximum likelihood.

.. math:: \ln L(\lambda) = \sum_{i,a} n_{ia} \ln p_{ia}(\lambda),\qquad
    I(\lambda) = \sum_i N_i \sum_a p_{ia} \left(\frac{d \ln p_{ia}}{d\lambda}\right)^2

p on the branch from the centroid; its derivative is that of the implicit function, :math:`-F_z^{-1} F_\lambda`. The standard
error is :math:`I^{-1/2}` (McKelvey and Palfrey 1995).
"""

import itertools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from solver.algorithms.logit import LogitResponse, residual, span
from solver.finite.logit_path import logit_path
from solver.game import Profile
from solver.normal_form import NormalForm
from solver.solve import solve


class LogitFit(NamedTuple):
    """``precision`` with its ``standard_error`` (1/payoff units), the log-likelihood there and at random play, and the
    equilibrium. ``at_bound``: the likelihood still rises at the largest precision looked at, and there is no error."""

    precision: float
    standard_error: float
    log_likelihood: float
    log_likelihood_random: float
    strategies: Profile
    at_bound: bool


def fit_logit(game: NormalForm, counts: tuple, *, largest: float | None = None) -> LogitFit:
    """The precision at which the logit equilibrium makes the observed play most likely.

    :param counts: one array (actions,) per player: how often each action was seen.
    :param largest: largest precision looked at, in 1/payoff units; default: 100 over the payoffs' range.
    :raises ValueError: if the counts do not fit the game, are negative or all zero.
    """
    from scipy.optimize import minimize_scalar

    counts = tuple(np.asarray(c, float) for c in counts)
    shapes = tuple(c.shape for c in counts)
    if shapes != tuple((n,) for n in game.payoff_array.shape[1:]):
        raise ValueError(
            f"counts have shapes {shapes}: give one array per player, of actions {game.payoff_array.shape[1:]}"
        )
    if any((c < 0).any() for c in counts) or not sum(c.sum() for c in counts):
        raise ValueError("counts must be 0 or more, and some above 0")
    largest = 100 / float(span(game)) if largest is None else largest
    path = logit_path(game, largest)
    at = np.asarray(path.precision)[np.asarray(path.mask)]
    if not len(at):
        raise ValueError(f"largest = {largest}: the path did not reach it; give a smaller one")

    def loss(precision: float) -> float:
        return -_log_likelihood(_equilibrium(game, precision), counts)

    points = [tuple(s[k] for s in path.strategies) for k in np.flatnonzero(path.mask)]
    start = int(np.argmax([_log_likelihood(point, counts) for point in points]))
    low, high = at[max(start - 1, 0)] if start else 0.0, at[min(start + 1, len(at) - 1)]
    best = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-7 * high})
    precision = float(best.x)
    strategies = _equilibrium(game, precision)
    slopes = log_slopes(game, strategies, jnp.asarray(precision))
    information = sum(c.sum() * float(p @ d**2) for c, p, d in zip(counts, strategies, slopes, strict=True))
    at_bound = precision > largest * (1 - 1e-4)
    uniform = -sum(c.sum() * np.log(len(c)) for c in counts)
    error = float("nan") if at_bound or information <= 0 else information**-0.5
    return LogitFit(precision, error, -float(best.fun), float(uniform), strategies, at_bound)


def _log_likelihood(strategies, counts) -> float:
    return float(sum(c @ np.log(np.maximum(np.asarray(p), 1e-300)) for c, p in zip(counts, strategies, strict=True)))


def _equilibrium(game: NormalForm, precision: float) -> Profile:
    return solve(game, LogitResponse(precision), max_steps=1000).strategies


@eqx.filter_jit
def log_slopes(game: NormalForm, strategies: Profile, precision: Array) -> Profile:
    """d ln p_ia / d precision at a logit equilibrium, one array (actions,) per player."""
    widest = span(game)
    logs = jnp.concatenate([jnp.log(p) for p in strategies])
    flat = jnp.zeros_like(logs)

    def system(z):
        return residual(game, z, flat, z[-1] + 1)

    jacobian = jax.jacfwd(system)(jnp.append(logs, precision * widest))
    slope = -jnp.linalg.solve(jacobian[:, :-1], jacobian[:, -1]) * widest
    ends = np.cumsum([0, *(len(p) for p in strategies)])
    return tuple(slope[a:b] for a, b in itertools.pairwise(ends))
