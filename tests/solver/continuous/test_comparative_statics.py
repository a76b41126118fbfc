"""The table of derivatives: closed forms, finite differences, active bounds, inner equilibria, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from small_games import effort

from games.oligopoly import AspremontJacquemin, Cournot
from solver import Newton, comparative_statics, solve
from solver.continuous.comparative_statics import parameters
from solver.continuous.conditions import marginal_payoffs

INSIDE = jnp.array([1.0, 0.8, 0.3, 2.0, 2.0])
AT_BOUNDS = jnp.array([1.0, -3.0, 0.3, 0.4, 2.0])


def outputs(game, strategies):
    x = jnp.concatenate(strategies)
    return {"total": x.sum(), "shares": ({"half": ["first", "second"]}, x / x.sum())}


@pytest.fixture(scope="module")
def research():
    game = AspremontJacquemin()
    solution = solve(game, Newton())
    return game, solution, comparative_statics(game, solution)


def test_closed_form(research):
    game, _, table = research

    def exact(gamma):
        game = AspremontJacquemin(gamma=gamma)
        return jnp.append(game.payoffs(game.closed_form()), game.closed_form()[0])

    profit, _, x = jax.jacfwd(exact)(4.0)
    assert_allclose(table.strategies.sel(parameter="gamma"), x, atol=1e-8)
    assert_allclose(table.payoffs.sel(parameter="gamma"), profit, atol=1e-8)
    elasticity = x * game.gamma / game.closed_form()[0][0]
    assert_allclose(table.strategies_elasticity.sel(parameter="gamma"), elasticity, atol=1e-8)
    assert table.parameter.values.tolist() == ["a", "b", "A", "beta", "gamma", "kappa"]
    assert (table.margin > 0).all()
    assert not table.bound.any()


@pytest.mark.parametrize("vector", [INSIDE, AT_BOUNDS])
def test_finite_differences(vector):
    def at(vector):
        game = effort(vector)
        solution = solve(game, Newton())
        shown = outputs(game, solution.strategies)
        return np.concatenate([*solution.strategies, solution.payoffs, shown["total"][None], shown["shares"][1]])

    table = comparative_statics(effort(vector), solve(effort(vector), Newton()), outputs=outputs)
    got = [table[name].values.reshape(5, -1) for name in ("strategies", "payoffs", "total", "shares")]
    step = 1e-3
    expected = [(at(vector + e) - at(vector - e)) / (2 * step) for e in step * np.eye(5)]
    assert_allclose(np.concatenate(got, axis=1), expected, rtol=5e-5, atol=1e-5)
    assert table.parameter.values.tolist() == ["gain[0]", "gain[1]", "cross", "most[0]", "most[1]"]
    assert table.half.values.tolist() == ["first", "second"]
    assert_allclose(table.bound, [0, 0] if vector is INSIDE else [1, -1])


def test_the_margin_at_a_bound_is_the_marginal_payoff_that_holds_there():
    game = effort(AT_BOUNDS)
    solution = solve(game, Newton())
    table = comparative_statics(game, solution, outputs=outputs)
    x = jnp.concatenate(solution.strategies)
    width = jnp.array([0.6, 2.2])
    expected = jnp.abs(marginal_payoffs(game, x)) * width / solution.certificate.payoff_range
    assert_allclose(table.margin, expected, rtol=1e-8)


def test_a_kink_is_reported_and_has_no_derivative():
    """w/(1 + x) = x at the lower bound -0.2: quantity stays there below w = -0.16, and leaves it above."""
    game = effort(jnp.array([-0.16, 0.8, 0.0, 2.0, 2.0]))
    table = comparative_statics(game, solve(game, Newton()), outputs=outputs)
    assert_allclose(table.margin[0], 0, atol=1e-8)
    assert table.strategies.isnull().all()


def test_a_continuum_of_equilibria_has_no_derivative():
    """A joint profit determines the total alone."""
    game = Cournot(a=30.0, kappa=1.0)
    table = comparative_statics(game, solve(game, Newton(), start=game.closed_form()))
    assert table.strategies.isnull().all()


def test_single_precision():
    double = comparative_statics(effort(INSIDE), solve(effort(INSIDE), Newton()), outputs=outputs)
    with jax.enable_x64(False):
        game = effort(jnp.asarray(INSIDE, jnp.float32))
        single = comparative_statics(game, solve(game, Newton()))
    assert single.strategies.dtype == np.float32
    assert_allclose(single.strategies, double.strategies, atol=1e-4)


def test_bad_input_is_named(research):
    game, solution, _ = research
    with pytest.raises(ValueError, match="outputs gives 'payoffs'"):
        comparative_statics(game, solution, outputs=lambda g, s: {"payoffs": s[0]})
    with pytest.raises(ValueError, match="solution has status max_steps"):
        comparative_statics(game, solve(game, Newton(), start=([0.0], [0.0]), max_steps=0, throw=False))
    batch = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), solution)
    with pytest.raises(ValueError, match="a batch"):
        comparative_statics(game, batch)


def test_parameters_are_named_by_field():
    names, values = parameters(effort(INSIDE))
    assert names[:2] == ["gain[0]", "gain[1]"]
    assert_allclose(values, INSIDE)
