"""Regret and best responses against a fine grid, and their invariances."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from small_games import CURVES, Curve, Hills, Inspection, Jump, cournot

from solver import best_response, regret, solve
from solver.regret import certify_profile

GRID = jnp.linspace(0.0, 1.0, 100_001)
quantities = st.tuples(*[st.floats(0, 60)] * 3)
gains_of = eqx.filter_jit(regret)
certificate_of = eqx.filter_jit(lambda game, profile: certify_profile(game, profile)[2])


def as_profile(values):
    return tuple(jnp.full(1, v) for v in values)


def curve(name, low=0.0, high=1.0):
    return Curve(jnp.asarray(list(CURVES).index(name)), jnp.asarray(low), jnp.asarray(high))


@given(q=quantities)
def test_regret_in_closed_form(q):
    """Cournot: the best reply to R is (a - c - R)/2, or nothing, and the gain the difference of the profits."""
    q = np.asarray(q)
    margin = 90.0 - (q.sum() - q)
    best = np.clip(margin / 2, 0, 100)
    gain = (margin - best) * best - (margin - q) * q
    assert_allclose(gains_of(cournot(), as_profile(q)), gain, atol=1e-9 * 1e4)


@given(q=quantities, scale=st.floats(0.01, 1000), shift=st.floats(-100, 100))
def test_affine_rescaling(q, scale, shift):
    before = gains_of(cournot(), as_profile(q))
    after = gains_of(cournot(scale=scale, shift=shift), as_profile(q))
    assert_allclose(after, scale * before, atol=1e-8 * scale + 1e-9)


@given(q=quantities, order=st.permutations(range(3)))
def test_relabelled_players(q, order):
    costs = np.array([5.0, 10.0, 20.0])
    before = np.asarray(gains_of(cournot(costs=costs), as_profile(q)))
    moved = gains_of(cournot(costs=costs[order]), as_profile(np.asarray(q)[order]))
    assert_allclose(moved, before[order], atol=1e-8)


PLACES = [(name, p) for name in CURVES for p in (0.0, 0.31, 0.5, 1.0)]


@pytest.mark.parametrize(("name", "place"), PLACES)
def test_one_player_against_a_grid(name, place):
    """Regret never exceeds the truth, and what it may miss is within the error that the certificate reports."""
    game, profile = curve(name), as_profile([place])
    truth = float(CURVES[name](GRID).max() - CURVES[name](jnp.asarray(place)))
    gain, epsilon = float(gains_of(game, profile)[0]), float(certificate_of(game, profile).epsilon)
    assert -1e-12 <= gain <= truth + 1e-7
    assert epsilon >= truth - 1e-7
    if truth > 0.1:
        assert gain > 0.3 * truth


def test_the_gain_to_a_narrow_peak():
    """0.2 is a local maximum of the two-peaked curve; the other one pays 0.2 more."""
    assert_allclose(gains_of(curve("a narrow peak"), as_profile([0.2]))[0], 0.2, atol=0.02)


def test_a_local_maximum_is_refused():
    assert float(gains_of(curve("a narrow peak"), as_profile([0.2]))[0]) > 0.01
    assert_allclose(gains_of(curve("one hump"), as_profile([0.37]))[0], 0, atol=1e-15)


def test_an_interval_elsewhere():
    here = gains_of(curve("one hump"), as_profile([0.6]))
    there = gains_of(curve("one hump", 1000.0, 1010.0), as_profile([1006.0]))
    assert_allclose(there, here, rtol=1e-9)


def test_best_response_is_the_grids():
    game, profile = cournot(), as_profile([10.0, 20.0, 30.0])
    for player in range(3):
        reply = best_response(game, profile, player)
        others = 60.0 - 10.0 * (player + 1)
        assert reply.shape == (1,)
        assert_allclose(reply, (90 - others) / 2, atol=1e-6)
    settled = as_profile([22.5] * 3)
    assert float(best_response(game, settled, 1)[0]) == pytest.approx(22.5, abs=1e-9)


def test_mixed_players_and_padding():
    """One player on a Box and one on a Simplex of three: each against its closed form."""
    game = Inspection(jnp.asarray(2.0))
    profile = (jnp.array([0.5]), jnp.array([0.2, 0.5, 0.3]))
    gains = regret(game, profile)
    best = 2.0 * 0.7 / 2  # m (0.2 + mix) e - e²
    assert_allclose(gains[0], best**2 - (1.4 * 0.5 - 0.25), atol=1e-12)
    assert_allclose(gains[1], 0.5 - (0.02 + 0.25 + 0.045), atol=1e-12)
    assert_allclose(best_response(game, profile, 0), [best], atol=1e-9)
    assert_allclose(best_response(game, profile, 1), [0, 1, 0], atol=0)
    assert certify_profile(game, profile)[2].kind == "interpolated"


def test_boxes_of_two_dimensions_are_local():
    game = Hills(jnp.array([[0.5, 0.2], [0.1, 0.4]]), jnp.asarray(0.3), jnp.asarray(0.5))
    profile = (jnp.array([0.9, 0.1]), jnp.array([0.2, -0.3]))
    assert certificate_of(game, profile).kind == "local"
    assert (np.asarray(gains_of(game, profile)) > 1e-3).all()


def test_batches_agree_with_single_profiles():
    many = jnp.linspace(5.0, 50.0, 9)
    batch = jax.jit(jax.vmap(lambda x: regret(cournot(), (x[None],) * 3)))(many)
    assert_allclose(batch, jnp.stack([gains_of(cournot(), as_profile([x] * 3)) for x in many]), atol=1e-9)


def test_a_value_that_is_not_a_number_is_not_zero_regret():
    broken = eqx.tree_at(lambda g: g.a, cournot(), jnp.asarray(jnp.nan))
    assert np.isnan(np.asarray(gains_of(broken, as_profile([1.0] * 3)))).all()


def test_a_jump_is_in_the_error():
    """Just below the cliff nothing pays; half-way down, a step up does, and the jump shows in the certificate."""
    game = Jump(jnp.asarray(0.5))
    assert float(gains_of(game, as_profile([0.25]))[0]) > 0.1
    assert float(certificate_of(game, as_profile([0.25])).epsilon) > 0.24
    assert float(gains_of(game, as_profile([0.75]))[0]) > 1.2


def test_single_precision():
    with jax.enable_x64(False):
        gains = regret(cournot(), as_profile([10.0, 22.5, 22.5]))
        assert gains.dtype == jnp.float32
        assert_allclose(gains[0], 22.5**2 - 350.0, rtol=1e-4)


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        (([1.0], [1.0]), ("2 strategies", "3 players")),
        (([1.0], [1.0], [1.0, 2.0]), ("three", "(2,)", "(1,)")),
    ],
)
def test_bad_profiles_are_named(profile, words):
    with pytest.raises(ValueError, match="profile") as error:
        regret(cournot(), profile)
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize("player", [-1, 3])
def test_bad_players_are_named(player):
    with pytest.raises(ValueError, match=f"player = {player}.*0 to 2"):
        best_response(cournot(), as_profile([1.0] * 3), player)


def test_regret_shares_nothing_with_the_algorithm():
    """The solution's regret is what ``regret`` measures at its strategies."""
    solution = solve(cournot())
    assert_allclose(solution.regret, regret(cournot(), solution.strategies), atol=1e-9)
