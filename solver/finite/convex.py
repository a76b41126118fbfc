r"""Equilibria that are convex programmes: zero-sum games, correlated and coarse correlated equilibria.

A distribution p over profiles is a correlated equilibrium iff (Aumann 1974), for every player i and actions a, a',

.. math:: \sum_{a_{-i}} p(a, a_{-i}) [u_i(a', a_{-i}) - u_i(a, a_{-i})] \le 0,

a coarse one iff the same holds summed over a (Moulin and Vial 1978). A linear objective goes to HiGHS, entropy to cvxpy;
``solver="cvxpy"`` sends the linear ones there too. Programmes in cvxpy are built once per shape, with parameters (DPP).
"""

import functools
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array

from solver.normal_form import NormalForm
from solver.solution import Solution


class Correlated(eqx.Module):
    """A distribution over profiles, shaped as the game; payoffs (players,); ``max_regret``: the most a player gains by
    disobeying, given what it is told (coarse: before), in payoff units; ``objective`` its value."""

    distribution: Array
    payoffs: Array
    max_regret: Array
    objective: Array


def correlated_equilibrium(
    game: NormalForm, objective: str | int = "welfare", *, solver: Literal["highs", "cvxpy"] = "highs"
) -> Correlated:
    """The correlated equilibrium that maximises ``objective`` (Aumann 1974).

    :param objective: "welfare" (the sum of payoffs), a player by name or index, or "entropy" (by cvxpy).
    :raises ValueError: for an objective that is none of these, or if the programme is not solved.
    """
    return _correlated(game, objective, solver, coarse=False)


def coarse_correlated_equilibrium(
    game: NormalForm, objective: str | int = "welfare", *, solver: Literal["highs", "cvxpy"] = "highs"
) -> Correlated:
    """The coarse correlated equilibrium that maximises ``objective`` (Moulin and Vial 1978); see correlated_equilibrium."""
    return _correlated(game, objective, solver, coarse=True)


def zero_sum(game: NormalForm) -> Solution:
    """An equilibrium of a two-player game whose payoffs sum to a constant, by linear programming (von Neumann 1928).

    :raises ValueError: unless there are two players and u_0 + u_1 is constant to 1e-9 of the payoffs' range.
    """
    from solver.finite.support import two_players
    from solver.solve import judge

    m, n = two_players(game)
    A, B = np.asarray(game.payoff_array, float)
    span = max(np.ptp(A), np.ptp(B))
    if np.ptp(A + B) > 1e-9 * span:
        raise ValueError(
            f"zero_sum: the players' payoffs sum to {(A + B).min():g} and to {(A + B).max():g}; use lemke_howson"
        )
    unit = (A - A.min()) / (span or 1.0)
    y, x = _maximin(-unit.T, m), _maximin(unit, n)
    return eqx.filter_jit(judge)(game, (jnp.asarray(x), jnp.asarray(y)))


def _maximin(matrix: np.ndarray, columns: int) -> np.ndarray:
    """The mixture over rows that guarantees most."""
    rows = len(matrix)
    constraints = np.hstack([-matrix.T, np.ones((columns, 1))])
    objective = np.append(np.zeros(rows), -1.0)
    total = np.append(np.ones(rows), 0.0)[None]
    found = _linear_programme(objective, constraints, total, [(0, None)] * rows + [(None, None)])
    mixture = np.maximum(found[:-1], 0)
    return mixture / mixture.sum()


def _linear_programme(objective, constraints, total, bounds) -> np.ndarray:
    from scipy.optimize import linprog

    right = np.zeros(len(constraints))
    found = linprog(objective, constraints, right, total, [1.0], bounds, method="highs")
    if found.x is None:
        raise ValueError(f"the linear programme was not solved: {found.message}")
    return found.x


def _correlated(game: NormalForm, objective, solver: str, coarse: bool) -> Correlated:
    payoffs = np.asarray(game.payoff_array, float)
    table = payoffs.reshape(len(payoffs), -1)
    span = np.ptp(table, axis=1).max() or 1.0
    gains = _gains(payoffs, coarse) / span
    weights = _weights(game, objective) @ (table - table.min(axis=1, keepdims=True)) / span
    if objective == "entropy" or solver == "cvxpy":
        p = _by_cvxpy(gains, weights, objective == "entropy")
    elif solver == "highs":
        p = _linear_programme(-weights, gains, np.ones((1, gains.shape[1])), (0, None))
    else:
        raise ValueError(f"solver = {solver!r}: give 'highs' or 'cvxpy'")
    p = np.maximum(p, 0)
    p = p / p.sum()
    worth = (
        -(p * np.log(np.where(p > 0, p, 1))).sum() if objective == "entropy" else _weights(game, objective) @ table @ p
    )
    return Correlated(
        jnp.asarray(p.reshape(payoffs.shape[1:])),
        jnp.asarray(table @ p),
        jnp.asarray(max(0.0, (gains @ p).max() * span)),
        jnp.asarray(worth),
    )


def _weights(game: NormalForm, objective) -> np.ndarray:
    players = game.players
    if objective in ("welfare", "entropy"):
        return np.ones(len(players))
    if objective in players:
        return np.eye(len(players))[players.index(objective)]
    if isinstance(objective, int) and 0 <= objective < len(players):
        return np.eye(len(players))[objective]
    raise ValueError(f"objective = {objective!r}: give 'welfare', 'entropy', or a player: {', '.join(players)}")


def _gains(payoffs: np.ndarray, coarse: bool) -> np.ndarray:
    """A row for each player and deviation: what it gains at each profile (rows, profiles)."""
    rows = []
    for i, u in enumerate(payoffs):
        own = np.indices(u.shape)[i]
        for other in range(u.shape[i]):
            gain = np.take(u, [other], axis=i) - u
            if coarse:
                rows.append(gain.ravel())
            else:
                rows += [np.where(own == told, gain, 0).ravel() for told in range(u.shape[i]) if told != other]
    return np.array(rows)


def _by_cvxpy(gains: np.ndarray, weights: np.ndarray, entropy: bool) -> np.ndarray:
    problem, p, gain, weight = _programme(*gains.shape, entropy)
    gain.value = gains
    if weight is not None:
        weight.value = weights
    problem.solve(solver="CLARABEL")
    if p.value is None:
        raise ValueError(f"the convex programme was not solved: {problem.status}")
    return p.value


@functools.lru_cache(maxsize=32)
def _programme(rows: int, profiles: int, entropy: bool):
    import cvxpy as cp

    p, gain = cp.Variable(profiles, nonneg=True), cp.Parameter((rows, profiles))
    weight = None if entropy else cp.Parameter(profiles)
    worth = cp.sum(cp.entr(p)) if weight is None else weight @ p
    constraints: list = [gain @ p <= 0, cp.sum(p) == 1]
    return cp.Problem(cp.Maximize(worth), constraints), p, gain, weight
