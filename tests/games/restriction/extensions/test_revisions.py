"""Paths of lags: the closed form against its equation, and the base game at every date."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from games.restriction import RestrictionGame, outcomes
from games.restriction.extensions.revisions import lag, path
from games.restriction.knowledge import mean_lag

GAME = RestrictionGame()
ONE = (1.5, 0.6, 0.4, 1.0)  # z0, ω, x, γ


def test_known_lag():
    """z0 = 1.5, x = 0.4, ω = 0.6: the steady state is 1, z(5) = 1.024893534; without learning z0 + (1 - x) t."""
    assert_allclose(lag(*ONE, jnp.asarray(5.0)), 1.024893534, rtol=1e-9)
    assert_allclose(lag(*ONE, jnp.asarray(200.0)), 1.0, rtol=1e-9)
    assert_allclose(lag(1.5, jnp.asarray(0.0), 0.4, 1.0, 5.0), 4.5)


def test_it_solves_the_equation_and_composes():
    slope = jax.grad(lambda t: lag(*ONE, t))(2.0)
    assert_allclose(slope, 1.0 - 0.4 - 0.6 * lag(*ONE, jnp.asarray(2.0)), rtol=1e-10)
    half = lag(*ONE, jnp.asarray(2.0))
    assert_allclose(lag(half, *ONE[1:], jnp.asarray(3.0)), lag(*ONE, jnp.asarray(5.0)), rtol=1e-12)


def test_its_mean_is_the_base_games():
    nodes, weights = np.polynomial.legendre.leggauss(20)
    z = lag(*ONE, jnp.asarray(2.5 * (nodes + 1)))
    assert_allclose(weights @ z / 2, mean_lag(1.5, jnp.asarray(0.6), 0.4, 1.0, 5.0)[0], rtol=1e-10)


@pytest.fixture(scope="module")
def walked():
    return path(GAME, [0.0, 0.5, 1.0], [0.0, 1.0, 2.0], times=np.linspace(0, 4, 9))


def test_the_first_date_is_the_base_game(walked):
    ds = outcomes(GAME, 0.0)
    for name in ("mix", "sovereign_lag", "welfare", "incumbent_payoff"):
        assert_allclose(walked[name].sel(date=0), ds[name], rtol=1e-8, err_msg=name)
    assert_allclose(walked.lag.sel(time=0), GAME.parameters.starting_lag)


def test_a_later_date_is_the_base_game_from_the_lags_reached(walked):
    here = walked.sel(time=2.0)
    changed = GAME.replace(starting_lag=here.lag.values, open_starting_lag=float(here.open_community_lag))
    assert_allclose(walked.mix.sel(date=2.0), outcomes(changed, 1.0).mix, atol=1e-6)
    assert walked.certified.all()


def test_lags_are_continuous_at_a_date():
    fine = path(GAME, [0.0, 0.5, 1.0], [0.0, 1.0, 2.0], times=[0.0, 1 - 1e-9, 1.0])
    assert_allclose(fine.lag[1], fine.lag[2], atol=1e-7)
    assert_allclose(fine.open_community_lag[1], fine.open_community_lag[2], atol=1e-7)


def test_under_full_restriction_lags_grow(walked):
    assert (walked.lag.sel(time=4.0) > walked.lag.sel(time=2.0)).all()


@pytest.mark.parametrize(
    ("restriction", "dates", "times", "words"),
    [
        (0.1, [1.0, 0.5], None, "dates"), (0.1, [], None, "dates"), (0.1, [0.0, 1.0], [-1.0, 0.0], "times"),
        ([0.1], [0.0, 1.0], None, "one row for each of 2 dates"), (2.0, [0.0], None, "restriction"),
        ("cournot", [0.0], None, "'nash'"),
    ],
)  # fmt: skip
def test_bad_input(restriction, dates, times, words):
    with pytest.raises(ValueError, match=words):
        path(GAME, restriction, dates, times=times)
