"""Subsidies: Brander and Spencer's closed form with and without a cost of public funds, and the blocs' game."""

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from games.oligopoly import BranderSpencer
from games.restriction import RestrictionGame, outcomes
from games.restriction.extensions.subsidies import LinearExports, SubsidyGame, subsidy_game
from solver import solve

BOTH, ONE = ("home", "foreign"), ("home",)


@pytest.mark.parametrize(("planners", "subsidy"), [(BOTH, 18.0), (ONE, 22.5)])
def test_the_linear_limit_is_brander_spencer(planners, subsidy):
    """Brander and Spencer 1985, with a = 100, c = 10, b = 2."""
    game = SubsidyGame(LinearExports(planners=planners))
    found = solve(game, tolerance=1e-10)
    assert_allclose(found.strategies, subsidy, rtol=1e-8)
    other = BranderSpencer(players=planners)
    assert_allclose(found.payoffs, other.payoffs(other.closed_form()), rtol=1e-8)


@pytest.mark.parametrize("planners", [BOTH, ONE])
def test_public_funds_cost(planners):
    """Neary 1994: from a social cost of 4/3 on no subsidy pays; below, the first-order conditions."""
    for cost in (0.1, 0.25, 0.5):
        market = LinearExports(public_funds_cost=cost, planners=planners)
        found = solve(SubsidyGame(market), tolerance=1e-10)
        assert_allclose(found.strategies, market.closed_form(), atol=1e-7)
        assert (cost < 1 / 3) == (found.strategies[0][0] > 0)


@pytest.fixture(scope="module")
def blocs():
    game = subsidy_game(RestrictionGame(), 0.3)
    return game, solve(game)


def test_blocs(blocs):
    game, found = blocs
    assert game.players == ("CN", "TW")
    assert found.converged  # with the regret measured
    assert all(0 <= g[0] <= 0.95 for g in found.strategies)


def test_payoffs_are_the_blocs_welfare(blocs):
    g = np.concatenate(blocs[1].strategies)
    ds = outcomes(RestrictionGame(subsidy=g[[0, 0, 1, 1]]), 0.3)
    assert_allclose(blocs[1].payoffs, ds.bloc_welfare.sel(bloc=["CN", "TW"]), rtol=1e-7)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: LinearExports(public_funds_cost=-1.0), "public_funds_cost = -1"),
        (lambda: LinearExports(planners=("a", "b", "c")), "planners"),
        (lambda: subsidy_game(RestrictionGame(mode="exact"), 0.0), "'fast'"),
        (lambda: subsidy_game(RestrictionGame(), jnp.array([0.1, 0.2])), "restriction has shape"),
        (lambda: subsidy_game(RestrictionGame(), 2.0), "restriction = 2.0"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()
