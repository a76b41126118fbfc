"""Restriction as a public good: mean, power mean of leaks, weakest link, threshold."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from games.public_goods import PublicGood
from solver import Status, regret, solve

gains_of = eqx.filter_jit(regret)


def common(level, players=3):
    return (jnp.full(1, level),) * players


@pytest.mark.parametrize(("kappa", "answer"), [(0.0, 0.2), (0.5, 0.4), (1.0, 0.6)])
def test_the_mean_technology(kappa, answer):
    """r = B(1 + κ(I − 1))/(I c), the only equilibrium."""
    game = PublicGood(0.6, 1.0, cooperation=kappa)
    (exact,) = game.closed_form()
    assert_allclose(jnp.concatenate(exact), answer, rtol=1e-14)
    slopes = jnp.concatenate(jax.jacobian(game.payoffs)(exact), axis=1)
    assert_allclose(jnp.diagonal(slopes), 0, atol=1e-14)
    for start in (0.0, 1.0):
        solution = solve(game, start=common(start))
        assert_allclose(jnp.concatenate(solution.strategies), answer, rtol=1e-6)
        assert_allclose(solution.payoffs, game.payoffs(exact), rtol=1e-8)
    assert float(gains_of(game, common(answer + 0.01)).min()) > 4e-5  # (1/2) 0.01², but for rounding


def test_the_mean_and_the_least():
    effort = jnp.array([0.2, 0.5, 0.8])
    assert_allclose(PublicGood(rho=1.0).aggregate(effort), 0.5, rtol=1e-14)
    assert float(PublicGood(rho=jnp.inf).aggregate(effort)) == 0.2
    leaks = 1 - np.asarray(effort)
    assert_allclose(PublicGood(rho=4.0).aggregate(effort), 1 - np.mean(leaks**4) ** 0.25, rtol=1e-14)
    assert 0.2 < float(PublicGood(rho=400.0).aggregate(effort)) < 0.205


def test_two_equilibria_at_rho_four():
    """B = 1.5, c = 1, I = 3: r = 1/2 and r = 1, the latter strict."""
    game = PublicGood(1.5, 1.0, rho=4.0)
    levels = [float(profile[0][0]) for profile in game.closed_form()]
    assert_allclose(levels, [0.5, 1.0], rtol=1e-14)
    for profile in game.closed_form():
        assert_allclose(gains_of(game, profile), 0, atol=1e-14)
    for wrong in (0.0, 0.3, 0.49, 0.52, 0.7, 0.9):
        assert float(gains_of(game, common(wrong)).max()) > 1e-6, wrong


@pytest.mark.parametrize(("start", "answer"), [(0.0, 0.5), (1.0, 1.0)])
def test_both_are_reached(start, answer):
    game = PublicGood(1.5, 1.0, rho=4.0)
    solution = solve(game, start=common(start))
    assert_allclose(jnp.concatenate(solution.strategies), answer, rtol=1e-6)
    assert_allclose(solution.payoffs, game.payoffs(common(answer)), rtol=1e-8)


@pytest.mark.parametrize("rho", [1.0, 2.0, 4.0, 9.0])
@pytest.mark.parametrize("share", [0.97, 1.03])
def test_when_all_is_an_equilibrium(rho, share):
    """r = 1 is one iff B·I^(−1/ρ) ≥ c: just below, a deviation pays, and just above, none does."""
    game = PublicGood(share * 3 ** (1 / rho), 1.0, rho=rho)
    gain = float(gains_of(game, common(1.0)).max())
    among = any(float(profile[0][0]) == 1.0 for profile in game.closed_form())
    assert among == (share > 1)
    assert (gain <= 1e-14) == (share > 1)


def test_the_closed_form_holds_all_symmetric_equilibria():
    """Regret on a fine grid of common efforts vanishes only near the closed form's."""
    game = PublicGood(1.2, 1.0, rho=3.0, cooperation=0.25)
    levels = jnp.linspace(0.0, 1.0, 401)
    gains = jax.jit(jax.vmap(lambda r: regret(game, common(r)).max()))(levels)
    expected = np.array([profile[0][0] for profile in game.closed_form()])
    away = np.abs(np.asarray(levels)[:, None] - expected).min(axis=1)
    assert (np.asarray(gains)[away > 0.015] > 1e-6).all()
    assert (np.asarray(gains)[away < 1e-9] < 1e-12).all()


@pytest.mark.parametrize("kappa", [0.0, 0.2])
def test_the_weakest_link(kappa):
    """Every common effort in [0, min(1, B(1 + κ(I − 1))/c)] is an equilibrium, and none above."""
    game = PublicGood(0.6, 1.0, rho=jnp.inf, cooperation=kappa)
    interval = game.weakest_link_interval()
    assert_allclose([interval.lower, interval.upper], [0, 0.6 * (1 + 2 * kappa)], rtol=1e-14)
    assert np.isnan(interval.threshold)
    for share in (0.0, 0.3, 0.7, 1.0):
        assert_allclose(gains_of(game, common(share * interval.upper)), 0, atol=1e-13)
    assert float(gains_of(game, common(interval.upper + 0.02)).min()) > 1e-4
    uneven = (jnp.array([0.2]), jnp.array([0.2]), jnp.array([0.3]))
    assert float(gains_of(game, uneven)[2]) > 1e-3
    assert float(PublicGood(3.0, 1.0, rho=jnp.inf).weakest_link_interval().upper) == 1.0


@pytest.mark.parametrize("start", [0.0, 0.3, 0.6])
def test_the_weakest_link_stays_where_it_starts(start):
    solution = solve(PublicGood(0.6, 1.0, rho=jnp.inf), start=common(start))
    assert_allclose(jnp.concatenate(solution.strategies), start, atol=1e-9)


@pytest.mark.parametrize(("benefit", "holds"), [(0.124, False), (0.125, True), (0.2, True)])
def test_a_threshold_benefit(benefit, holds):
    """Pure equilibria {0, r̂} iff D ≥ c r̂²/2 = 0.125 at r̂ = 1/2 and B = 0; else 0 alone."""
    game = PublicGood(0.0, 1.0, rho=jnp.inf, threshold_benefit=benefit, threshold=0.5)
    interval = game.weakest_link_interval()
    assert (float(interval.lower), float(interval.upper)) == (0.0, 0.0)
    assert (float(interval.threshold) == 0.5) == holds
    assert_allclose(gains_of(game, common(0.0)), 0, atol=0)
    assert (float(gains_of(game, common(0.5)).max()) == 0) == holds
    for wrong in (0.25, 0.55, 1.0):
        assert float(gains_of(game, common(wrong)).min()) > 1e-4, wrong
    assert_allclose(jnp.concatenate(solve(game, start=common(0.5)).strategies), 0.5 * holds, atol=1e-9)


@pytest.mark.parametrize(
    ("benefit", "holds"),
    [(0.019, False), (0.021, True)],
)
def test_a_threshold_above_the_interval(benefit, holds):
    """With B too, r̂ > B/c is held iff D ≥ (c r̂ − B)²/(2c) = 0.02 at B = 0.3, r̂ = 1/2."""
    game = PublicGood(0.3, 1.0, rho=jnp.inf, threshold_benefit=benefit, threshold=0.5)
    assert np.isfinite(game.weakest_link_interval().threshold) == holds
    assert (float(gains_of(game, common(0.5)).max()) <= 1e-14) == holds


def test_infinity_is_a_case_of_its_own():
    """At rho = 400 a common effort of 0.5 is left, at infinity kept; one compiled function serves both."""
    finite, infinite = (PublicGood(0.6, 1.0, rho=rho) for rho in (400.0, jnp.inf))
    assert float(finite.payoffs((jnp.array([0.498]), *common(0.5, 2)))[0] - finite.payoffs(common(0.5))[0]) > 1e-4
    assert_allclose(gains_of(infinite, common(0.5)), 0, atol=1e-14)
    statuses = jax.vmap(lambda rho: solve(PublicGood(0.6, 1.0, rho=rho), throw=False).status)(jnp.array([1.0, jnp.inf]))
    assert (np.asarray(statuses) == int(Status.converged)).all()


@pytest.mark.parametrize(("rho", "benefit", "level", "gain"), [(4.0, 1.5, 0.99, 1.46e-3), (400.0, 0.6, 0.3, 6.1e-5)])
def test_gains_next_to_the_strategy(rho, benefit, level, gain):
    """The best deviation is 0.007 and 0.0012 away; its gain is known from 100,001 points."""
    assert float(gains_of(PublicGood(benefit, 1.0, rho=rho), common(level)).max()) > gain / 2


def test_a_start_near_the_corner():
    """B = 1.2, κ = 1/4, ρ = 3: at 0.995 a player gains 6e-4 by leaving for 0.9915, so the solve may not end there."""
    solution = solve(PublicGood(1.2, 1.0, rho=3.0, cooperation=0.25), start=common(0.995), throw=False)
    assert float(jnp.abs(solution.strategies[0][0] - 0.995)) > 1e-3


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: PublicGood(rho=0.5), ("rho = 0.5", "at least 1")),
        (lambda: PublicGood(cost=0.0), ("cost = 0", "above 0")),
        (lambda: PublicGood(-1.0), ("benefit = -1", "at least 0")),
        (lambda: PublicGood(cooperation=2.0), ("cooperation = 2", "at most 1")),
        (lambda: PublicGood(threshold=1.5), ("threshold = 1.5", "at most 1")),
        (lambda: PublicGood(rho=jnp.inf).closed_form(), ("rho = inf", "weakest_link_interval")),
        (lambda: PublicGood(rho=2.0).weakest_link_interval(), ("rho = 2", "closed_form")),
        (lambda: PublicGood(threshold_benefit=1.0).closed_form(), ("threshold_benefit = 1", "give 0")),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(ValueError, match=words[0]) as error:
        make()
    assert all(word in str(error.value) for word in words)
