"""Derivatives of a restriction game's equilibrium in its parameters, through the challengers' stage, against differences."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from games.restriction import RestrictionGame
from solver import comparative_statics, solve
from solver.continuous.comparative_statics import linearised, parameters
from solver.continuous.conditions import flat, payoff_scale

MOVED = ("parameters.sigma", "parameters.rho", "parameters.mass[1]", "parameters.enforcement_cost", "parameters.user_harm")


def outputs(game, strategies):
    play = game.followers(strategies)
    return {"sovereign": ({"challenger": list(game.parameters.challengers)}, play.mix[:, 1])}


@pytest.fixture(scope="module")
def found():
    """Two incumbents, one of whom restricts a little and the other not at all, and two challengers."""
    game = RestrictionGame(incumbent_lag=(0.0, 0.6), challenger_bloc=("CN", "TW"))
    solution = solve(game, start=(jnp.full(1, 0.1), jnp.zeros(1)))
    return game, solution, comparative_statics(game, solution, outputs=outputs)


def test_print(found):
    game, solution, table = found
    print(solution.strategies, solution.certificate)
    print(table.margin.values, table.bound.values, table.strategies.sel(parameter=list(MOVED)).values)
