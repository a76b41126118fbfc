"""All equilibria: known numbers of them, what is proved and what is not, stability, order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from small_games import Entry

from games.oligopoly import Cournot
from games.public_goods import PublicGood
from solver import NormalForm, find_equilibria, support_enumeration
from solver.continuous.completeness import completeness

KEY = jax.random.key(0)


def entry(sigma, delta=1.0):
    return Entry(jnp.asarray(sigma), jnp.asarray(delta))


def table(found):
    return np.concatenate(found.strategies, axis=1)


@pytest.fixture(scope="module")
def three():
    return find_equilibria(entry(0.2), key=KEY)


def test_the_entry_game_on_both_sides_of_the_fold(three):
    """P = Λ((δ/2 - δP')/σ): one equilibrium iff σ >= δ/4, else three, the middle one unstable: both counts are proved."""
    one = find_equilibria(entry(0.3), key=KEY)
    assert_allclose(table(one), [[0.5, 0.5]], atol=1e-9)
    assert_allclose(one.spectral_radius, 1 / (4 * 0.3), rtol=1e-6)
    p = table(three)
    assert len(p) == 3
    assert_allclose(p, 1 / (1 + np.exp(-(0.5 - p[:, ::-1]) / 0.2)), atol=1e-9)
    assert_allclose(p[1], 0.5, atol=1e-9)
    assert_allclose(three.stable, [True, False, True])
    assert_allclose(three.spectral_radius[1], 1.25, rtol=1e-6)
    for found in (one, three):
        assert bool(found.complete)
        assert "interval search" in found.statement
        assert int(found.num_stationary) == 0


def test_the_order_is_that_of_the_strategies_and_the_key_is_free(three):
    assert_allclose(table(three), table(find_equilibria(entry(0.2), key=jax.random.key(7))), atol=1e-9)
    assert (np.diff(table(three)[:, 0]) > 0).all()
    again = find_equilibria(entry(0.2), key=KEY)
    assert (table(three) == table(again)).all()


def test_near_the_fold_nothing_is_claimed_that_is_not_proved():
    found = find_equilibria(entry(0.25), key=KEY)
    assert int(found.count) == 1
    assert not bool(found.complete)
    assert found.statement == "1 found from 64 starts, not proved to be all"


def test_single_precision():
    with jax.enable_x64(False):
        found = find_equilibria(entry(0.2), key=jax.random.key(0))
        assert found.strategies[0].dtype == jnp.float32
        assert int(found.count) == 3
        assert_allclose(table(found)[1], 0.5, atol=1e-3)


def test_a_public_good_has_a_second_equilibrium_at_a_corner():
    """ρ = 4, B = 1.5, c = 1, I = 3: {1/2, 1}; best replies lead away from the second."""
    game = PublicGood(1.5, 1.0, rho=4.0)
    assert_allclose(table(find_equilibria(game, key=KEY)), [[0.5] * 3, [1.0] * 3], atol=1e-7)


def test_the_weakest_link_has_an_interval():
    """B = .6, c = 1: every common effort in [0, .6]."""
    found = find_equilibria(PublicGood(0.6, 1.0, rho=jnp.inf), key=KEY)
    assert "in 1 connected set," in found.statement
    (interval,) = found.intervals
    assert_allclose(np.hstack(interval), [[0.0] * 3, [0.6] * 3], atol=2e-4)
    assert "an interval of them, as measured, from (0, 0, 0) to (" in found.statement


def test_what_proves_completeness():
    """Two Cournot firms' marginal payoffs are dominated by the own effect; of three or more the set is searched."""
    pair, trio = Cournot(), Cournot(players=3)
    assert "P-function" in completeness(pair, np.array([[30.0, 30.0]]))
    assert completeness(trio, np.full((1, 3), 22.5)) == "an interval search of the whole set"
    assert completeness(trio, np.full((1, 3), 80.0)) == ""
    assert completeness(trio, np.zeros((0, 3))) == ""
    assert completeness(PublicGood(0.6, rho=jnp.inf), np.full((1, 3), 0.3)) == ""
    assert completeness(entry(0.2), np.array([[0.5, 0.5]])) == ""


def test_finite_games():
    battle = NormalForm.from_bimatrix([[2.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 2.0]])
    found = find_equilibria(battle, key=KEY)
    theirs = support_enumeration(battle)
    expected = np.concatenate(theirs.strategies, axis=1)[np.asarray(theirs.mask)]
    assert_allclose(table(found), expected[np.lexsort(expected.T[::-1])], atol=1e-9)
    assert not bool(found.complete)
    assert_allclose(found.spectral_radius, [0, np.inf, 0])


def test_bad_input():
    with pytest.raises(ValueError, match="starts = 0"):
        find_equilibria(entry(0.2), key=KEY, starts=0)
