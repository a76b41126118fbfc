"""Releases: the expected best model by enumeration, the fixed point, and what it does to the commons."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from games.restriction import RestrictionGame
from games.restriction.challengers import solve_stage
from games.restriction.demand import SOVEREIGN, market
from games.restriction.extensions.linked import linked_outcomes, linked_play
from games.restriction.extensions.releases import open_release_game, released
from games.restriction.frontier import fast_play
from games.restriction.outcomes import sovereign_lag

GAME = RestrictionGame()
R = jnp.full((3, 1), 0.6)


def play(openness, restriction=R, game=GAME):
    made = open_release_game(game, openness)
    return linked_play(made.game.parameters, restriction, made.link)


def enumerated(chance, lag):
    """E max by all profiles of who is sovereign."""
    total = 0.0
    for there in itertools.product((False, True), repeat=len(chance)):
        here = np.array(there)
        best = np.exp(-lag[here]).max() if here.any() else 0.0
        total += np.where(here, chance, 1 - chance).prod() * best
    return total


def test_expected_best_model():
    rng = np.random.default_rng(0)
    for firms in (1, 3, 5):
        chance, lag = rng.random(firms), rng.exponential(size=firms)
        assert_allclose(released(jnp.asarray(chance), jnp.asarray(lag)), enumerated(chance, lag))
    assert released(jnp.zeros(0), jnp.zeros(0)) == 0
    assert_allclose(released(jnp.ones(2), jnp.array([0.5, 0.2])), np.exp(-0.2))


def test_without_releases_it_is_the_base_game():
    here, base = play(0.0), fast_play(GAME.parameters, R)
    assert here.converged
    for name in ("mix", "effort", "payoff", "incumbent_payoff"):
        assert_allclose(getattr(here, name), getattr(base, name), atol=1e-7, err_msg=name)


def test_releases_and_the_stage_agree():
    """λ0 from the outcome is the λ0 of its market, whose stage, found by the base game's search, is the outcome's."""
    found = play(0.4)
    link = enumerated(np.asarray(found.mix[:, SOVEREIGN]), np.asarray(sovereign_lag(found)))
    assert 0.05 < link < 1
    changed = GAME.replace(outside_knowledge=GAME.parameters.outside_knowledge + 0.4 * link).parameters
    m = market(changed, R, jnp.ones(()))
    assert_allclose(found.market.pool, m.pool, rtol=1e-7)
    stage = jax.jit(solve_stage)(changed, m)
    assert_allclose(stage.value.mix, found.mix, atol=1e-6)
    assert_allclose(stage.value.effort, found.effort, atol=1e-6)


def test_releases_refill_the_commons():
    lags = [float(play(o).market.open_lag) for o in (0.0, 0.2, 0.5, 5.0)]
    assert (np.diff(lags) < 0).all()
    assert_allclose(play(50.0).market.pool, 1)  # λ0 is capped at 1
    assert play(0.5).market.pool.min() > play(0.0).market.pool.min()


def test_the_dataset():
    ds = linked_outcomes(open_release_game(GAME, 0.4), 0.6)
    assert ds.stage_converged
    assert_allclose(ds.open_lag, play(0.4).market.open_lag, rtol=1e-7)


def test_bad_input():
    with pytest.raises(ValueError, match="openness = -1"):
        open_release_game(GAME, -1)
