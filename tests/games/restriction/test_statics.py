"""Derivatives of a restriction game's equilibrium in its parameters, through the challengers' stage, against differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from games.restriction import RestrictionGame
from solver import comparative_statics, solve
from solver.continuous.comparative_statics import linearised
from solver.continuous.conditions import flat, payoff_scale

MOVED = {"sigma": 1e-3, "rho": 1e-3, "enforcement_cost": 1e-3, "query_price": 1e-3}


def outputs(game, strategies):
    play = game.followers(strategies)
    return {"sovereign": ({"challenger": list(game.parameters.challengers)}, play.mix[:, 1])}


@pytest.fixture(scope="module")
def found():
    """Two incumbents, the second far behind and without restriction, and two challengers."""
    game = RestrictionGame(incumbent_lag=(0.0, 2.5), distrust=0.15, challenger_bloc=("CN", "TW"))
    solution = solve(game, start=(jnp.full(1, 0.9), jnp.zeros(1)))
    return game, solution, comparative_statics(game, solution, outputs=outputs)


def test_every_parameter_has_its_derivatives(found):
    game, _, table = found
    assert table.sizes["parameter"] == sum(leaf.size for leaf in jax.tree.leaves(game.parameters))
    assert_allclose(table.bound, [0, -1])
    assert (table.margin > 1e-3).all()
    assert_allclose(table.strategies.sel(player="US 2"), 0, atol=0)
    for name in ("strategies", "payoffs", "sovereign"):
        assert np.isfinite(table[name]).all()
    assert float(abs(table.sovereign).max()) > 0.01


def test_they_agree_with_differences(found):
    """At another number the equilibrium is found again, by chord steps on the natural residual."""
    game, solution, table = found
    scale = payoff_scale(game, solution.certificate.payoff_range)
    here = linearised(game, flat(solution.strategies), scale, outputs)
    inverse = np.linalg.inv(here.residual.by_strategy)

    def at(name, value):
        moved, x = game.replace(**{name: value}), flat(solution.strategies)
        for _ in range(4):
            there = linearised(moved, x, scale, outputs)
            x = x - inverse @ there.residual.value
        assert float(jnp.abs(there.residual.value).max()) < 1e-7
        return np.concatenate([x, there.named["payoffs"].value, there.named["sovereign"].value])

    for name, step in MOVED.items():
        value = float(getattr(game.parameters, name))
        expected = (at(name, value + step) - at(name, value - step)) / (2 * step)
        row = table.sel(parameter=f"parameters.{name}")
        got = np.concatenate([row.strategies, row.payoffs, row.sovereign])
        assert_allclose(got, expected, rtol=1e-4, atol=1e-4, err_msg=name)
