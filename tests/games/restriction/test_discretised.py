"""With restrictions on a grid the game is a normal form, and the finite methods judge the continuous solution."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from games.restriction import RestrictionGame, outcomes
from solver import BestResponse, NormalForm, certify, pure_equilibria, solve

LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)


@eqx.filter_jit
def payoffs_at(game, restrictions):
    return jax.vmap(lambda r: game.payoffs(tuple(r[:, None])))(restrictions)


@pytest.mark.parametrize("changes", [{}, {"sigma": 1.0, "effort_cost": 1.0}])
def test_the_equilibrium_is_one_of_the_normal_form(changes):
    """Three incumbents, five levels and the equilibrium's own: it is a pure one there, and replies stay near every other."""
    game = RestrictionGame(**changes)
    solution = solve(game, BestResponse())
    nash = np.concatenate(solution.strategies)
    grids = [np.append(LEVELS, r) for r in nash]
    profiles = np.array(list(itertools.product(*grids)))
    table = np.asarray(payoffs_at(game, jnp.asarray(profiles))).T.reshape(3, 6, 6, 6)
    np.testing.assert_allclose(outcomes(game, profiles[37]).incumbent_payoff, table.reshape(3, -1)[:, 37], rtol=1e-9)

    finite = NormalForm(table, game.players)
    own = tuple(jnp.eye(6)[5] for _ in range(3))
    assert (np.asarray(certify(finite, own).epsilon) <= 1e-6 * np.ptp(table)).all()
    found = pure_equilibria(finite)
    assert bool(found.complete)
    gain = max(float(one.max_regret) for one in found.to_list())
    assert gain <= 1e-9 * np.ptp(table)
    # each of them is an equilibrium of the continuous game too, to a step of the grid, and the solution is among them
    places = np.array(
        [[g[int(s.argmax())] for g, s in zip(grids, one.strategies, strict=True)] for one in found.to_list()]
    )
    for place in places:
        there = solve(game, BestResponse(), start=tuple(place[:, None]))
        assert np.abs(np.concatenate(there.strategies) - place).max() < 0.25
    assert np.abs(places - nash).max(axis=1).min() < 1e-3
