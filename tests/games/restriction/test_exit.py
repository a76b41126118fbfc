"""The fourth strategy, exit: no sales, no profit, and an outside option to the licence."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp, softmax

from games.restriction import RestrictionGame, outcomes
from games.restriction.demand import market
from games.restriction.frontier import _exact, _fast
from solver.compilation import jit_once

R = jnp.asarray([[0.3], [0.6], [0.1]])
POOR = {"niche_client": -3.0, "niche_applied": -3.0, "base_value": 0.5}  # what makes a challenger's products unwanted


@jit_once
def staged(p, mix=None, exact=False):
    return (_exact if exact else _fast)(p, market(p, R, jnp.ones(())), mix)


@pytest.fixture(scope="module")
def default():
    return staged(RestrictionGame(exit=True).parameters)


def test_exit_sells_nothing_and_pays_nothing(default):
    assert RestrictionGame(exit=True).parameters.strategies == ("client", "sovereign", "applied", "exit")
    assert RestrictionGame().parameters.strategies == ("client", "sovereign", "applied")
    assert bool(default.converged)
    np.testing.assert_array_equal(default.payoff[:, 3], 0)
    np.testing.assert_array_equal(default.books.challenger_share[:, 3], 0)
    np.testing.assert_allclose(default.mix.sum(axis=1), 1, rtol=1e-14)
    np.testing.assert_allclose(default.mix, softmax(default.payoff / 0.95, axis=1), rtol=1e-6)


def test_exit_is_an_alternative_to_the_licence(default):
    """fee = b σ ln(1 + e^{(π_C - out)/σ}) with out = σ ln(e^{π_S/σ} + e^{π_A/σ} + 1)."""
    sigma, b = 0.95, 0.5
    out = sigma * logsumexp(np.asarray(default.payoff)[:, 1:] / sigma, axis=1)
    before = np.asarray(default.payoff[:, 0] + default.fee)
    np.testing.assert_allclose(default.fee, b * sigma * np.logaddexp(0, (before - out) / sigma), rtol=1e-7)


@pytest.mark.parametrize("demand", ["logit", "nested"])
def test_exit_wins_where_nothing_else_pays(demand):
    """A huge F and worthless niches leave exit; before, the least bad of three had to be taken."""
    game = RestrictionGame(exit=True, demand=demand, programme_cost=50.0, client_programme_cost=8.0,
                           applied_programme_cost=8.0, **POOR)  # fmt: skip
    assert float(staged(game.parameters).mix[:, 3].min()) > 0.95


def test_much_noise_makes_choices_even():
    """σ → ∞: a quarter each (without the fee, which is a share of σ)."""
    p = RestrictionGame(exit=True, sigma=1e9, fee_share=0).parameters
    np.testing.assert_allclose(staged(p).mix, 0.25, atol=1e-7)


TWO = {"challenger_bloc": ("CN", "TW"), "consortium": ()}


@pytest.mark.parametrize("exact", [False, True])
def test_who_never_exits_might_as_well_not_be_able_to(exact):
    """At the same mixes without exit, prices, effort and sales are those of the game of three; only the fee falls."""
    mix = jnp.asarray([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]])
    three = staged(RestrictionGame(**TWO).parameters, mix, exact)
    four = staged(RestrictionGame(exit=True, **TWO).parameters, jnp.pad(mix, ((0, 0), (0, 1))), exact)
    for name in ("effort", "incumbent_share", "incumbent_markup", "fringe_share", "log_aggregate", "profit", "return_"):
        np.testing.assert_allclose(getattr(four.books, name), getattr(three.books, name), rtol=1e-8)
    np.testing.assert_allclose(four.books.challenger_share[:, :3], three.books.challenger_share, rtol=1e-8)
    np.testing.assert_allclose(four.payoff[:, 1:3], three.payoff[:, 1:], rtol=1e-8)
    assert (np.asarray(four.fee) < np.asarray(three.fee)).all()


def test_an_exit_thins_the_market():
    """In a realised market an exit is a missing firm: everyone else sells what it would among J - 1."""
    p = RestrictionGame(exit=True, **TWO).parameters
    left = staged(p, jnp.asarray([[0, 0, 0, 1.0], [0, 1.0, 0, 0]]), True).books
    alone = RestrictionGame(challenger_bloc=("TW",), consortium=()).parameters
    alone = staged(alone, jnp.asarray([[0, 1.0, 0]]), True).books
    np.testing.assert_allclose(left.incumbent_share, alone.incumbent_share, rtol=1e-8)
    np.testing.assert_allclose(left.profit, alone.profit, rtol=1e-8)
    np.testing.assert_allclose(left.challenger_share[1, 1], alone.challenger_share[0, 1], rtol=1e-8)


def test_one_challenger_fast_is_near_exact():
    world = {"challenger_bloc": ("TW",), "consortium": (), "programme_cost": 8.0, "applied_programme_cost": 3.0} | POOR
    p = RestrictionGame(exit=True, **world).parameters
    fast, exact = staged(p).mix, staged(p, None, True).mix
    assert np.abs(fast - exact).max() < 0.02
    assert 0.05 < float(fast[0, 3]) < 0.9


def test_every_outcome_is_a_number():
    """Also with nests, where an exit's product must not reach a power or a quotient."""
    ds = outcomes(RestrictionGame(exit=True, demand="nested"), 0.5)
    assert ds.strategy.values.tolist() == ["client", "sovereign", "applied", "exit"]
    for name, value in ds.items():
        assert np.isfinite(value).all(), name
    np.testing.assert_array_equal(ds.strategy_payoff.sel(strategy="exit"), 0)
