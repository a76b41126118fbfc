"""Interval arithmetic holds what it should, and proofs of ε: what is true is proved, what is wrong refuted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from small_games import CURVES, Curve, Entry, Hills, Inspection, Jump, cournot

from games import oligopoly
from games.public_goods import PublicGood
from solver import AbstractGame, Box, NormalForm, certify, solve
from solver.continuous.interval_arithmetic import Interval, UnsupportedPrimitiveError
from solver.continuous.intervals import evaluate

FUNCTIONS = {
    "rational": lambda x: (x[0] + 2) / (1 + x[1] ** 2) - x[0] ** 3 * x[1],
    "transcendental": lambda x: jnp.exp(-(x[0] ** 2)) * jnp.sin(3 * x[1]) + jnp.log1p(jnp.abs(x[0])) - jnp.cos(x).sum(),
    "powers": lambda x: (2 + x[0]) ** 0.7 + jnp.sqrt(3 + x[1]) + (x**2).mean() ** 1.5,
    "kinks": lambda x: jnp.maximum(x[0], x[1]) - jnp.clip(x[0] * x[1], -0.2, 0.1) + jnp.sign(x[0]) * x.min(),
    "choices": lambda x: jnp.where((x[0] > x[1]) & (x[1] < 0.5), x[0], x[1] ** 2) + jnp.heaviside(x[0], 0.5),
    "softmax": lambda x: (jax.nn.softmax(jnp.array([[1.0, 2.0], [0.5, -1.0], [0.0, 0.3]]) @ x) ** 2).sum(),
    "logit": lambda x: jax.nn.logsumexp(jnp.stack([x[0], 2 * x[1], -x[0]])) + jax.scipy.special.logsumexp(x),
    "logistic": lambda x: jnp.tanh(x[0]) * jax.nn.sigmoid(4 * x[1]) + jnp.cumsum(x)[1] - jnp.prod(x) + jnp.expm1(x[0]),
    "indices": lambda x: x.at[0].set(x[1] * 2)[jnp.array([0, 1, 1])].sum() + jnp.stack([x, 2 * x]).T.reshape(-1)[2],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bounds_hold_the_values(name):
    """On random boxes of all sizes, and close on small ones; finite smooth bounds hold the derivative's values too."""
    function, rng = FUNCTIONS[name], np.random.default_rng(0)
    forward, slopes = jax.make_jaxpr(function)(jnp.zeros(2)), jax.make_jaxpr(jax.jacfwd(function))(jnp.zeros(2))
    values, gradients = jax.jit(jax.vmap(function)), jax.jit(jax.vmap(jax.jacfwd(function)))
    for size in (1.0, 0.1, 1e-3, 1e-6, 0.0):
        low = rng.uniform(-1, 1 - size, 2)
        box = Interval(low, low + size)
        points = low + size * rng.uniform(size=(100, 2))
        bound = evaluate(forward, box)[0]
        seen = np.asarray(values(points))
        assert (bound.low - 1e-15 <= seen).all()
        assert (seen <= bound.high + 1e-15).all()
        if not np.isnan(evaluate(forward, box, smooth=True)[0].low):
            slope = evaluate(slopes, box)[0]
            seen = np.asarray(gradients(points))
            assert not ((seen < slope.low - 1e-14) | (seen > slope.high + 1e-14)).any()
        if size == 0 and name not in ("kinks", "choices"):
            assert float(bound.high - bound.low) < 1e-12


def test_what_is_not_known_is_not_hidden():
    """A bounded function of a jump is no smooth one, and an operation without a rule is named."""
    jump = jax.make_jaxpr(lambda x: jnp.tanh(jnp.where(x > 0, 1.0, -1.0)) + 0 * x)(0.0)
    box = Interval(np.array(-1.0), np.array(1.0))
    assert np.isnan(evaluate(jump, box, smooth=True)[0].low)
    assert_allclose(np.array(evaluate(jump, box)[0]), [np.tanh(-1), np.tanh(1)], atol=1e-12)
    with pytest.raises(UnsupportedPrimitiveError, match="sort"):
        evaluate(jax.make_jaxpr(lambda x: jnp.sort(x))(jnp.zeros(3)), Interval(np.zeros(3), np.ones(3)))


CLOSED = {
    "cournot": oligopoly.Cournot(),
    "stackelberg": oligopoly.Stackelberg(players=2, num_followers=2),
    "subsidies": oligopoly.BranderSpencer(),
    "research": oligopoly.AspremontJacquemin(),
}


@pytest.mark.parametrize("name", CLOSED)
def test_closed_forms_are_proved_and_others_refused(name):
    game = CLOSED[name]
    right = certify(game, game.closed_form(), epsilon=1e-6)
    assert right.kind == "proved"
    assert float(right.epsilon) <= 1e-10
    first, *rest = game.closed_form()
    wrong = certify(game, (0.98 * first, *rest), epsilon=1e-6)
    assert wrong.kind == "refuted"
    assert float(wrong.epsilon) > 1e-6


def test_several_equilibria_and_a_jump():
    game = Entry(jnp.asarray(0.2), jnp.asarray(1.0))
    half = jnp.array([0.5])
    assert certify(game, (half, half), epsilon=1e-10).kind == "proved"
    assert certify(game, (0.9 * half, half), epsilon=1e-10).kind == "refuted"
    assert certify(Jump(jnp.asarray(0.5)), (jnp.array([0.4]),), epsilon=1e-6).kind == "refuted"


def test_a_wrong_profile_that_satisfies_the_first_order_condition():
    """A local maximum of a payoff with two humps: global, or refused."""
    game = Curve(jnp.asarray(list(CURVES).index("a narrow peak")), jnp.asarray(0.0), jnp.asarray(1.0))
    best = solve(game)
    assert certify(game, best.strategies, epsilon=1e-6).kind == "proved"
    refused = certify(game, (jnp.array([0.2]),), epsilon=1e-6)
    assert refused.kind == "refuted"
    assert 1e-6 < float(refused.epsilon) <= float(best.payoffs[0]) - 0.79  # 0.8 and a little at the lower hump


def test_kinks():
    """The weakest link's efforts in [0, B/c] are equilibria, and none above."""
    game = PublicGood(0.6, 1.0, rho=jnp.inf)
    assert certify(game, (jnp.array([0.3]),) * 3, epsilon=1e-4).kind == "proved"
    assert certify(game, (jnp.array([0.7]),) * 3, epsilon=1e-4).kind == "refuted"


def test_several_dimensions_mixtures_and_finite_games():
    game = Hills(jnp.array([[0.5, 1.0], [-0.3, 0.2]]), jnp.asarray(0.3), jnp.asarray(0.4))
    assert certify(game, solve(game, tolerance=1e-12).strategies, epsilon=1e-6).kind == "proved"
    inspected = certify(Inspection(jnp.asarray(1.0)), (jnp.array([0.6]), jnp.array([0.0, 1.0, 0.0])), epsilon=1e-9)
    assert inspected.kind == "proved"
    pennies = NormalForm.from_bimatrix([[1.0, -1.0], [-1.0, 2.0]], [[-1.0, 1.0], [1.0, -2.0]])
    assert certify(pennies, ([0.6, 0.4], [0.6, 0.4]), epsilon=1e-12).kind == "proved"
    assert_allclose(certify(pennies, ([0.7, 0.3], [0.6, 0.4]), epsilon=1e-12).epsilon, 0.3, rtol=1e-9)


def test_single_precision():
    """A proof is in double precision whatever the game's: of the numbers that single precision holds."""
    with jax.enable_x64(False):
        game = cournot(100.0, (5.0, 10.0, 20.0))
        found = certify(game, solve(game).strategies, epsilon=1e-3)
        assert found.kind == "proved"
        assert float(found.epsilon) <= 1e-3
        assert found.epsilon.dtype == jnp.float32


class Sorted(AbstractGame):
    players: tuple[str, ...] = ("alone",)

    def actions(self):
        return (Box(jnp.zeros(2), jnp.ones(2)),)

    def payoffs(self, profile):
        return jnp.sort(profile[0])[:1]


def test_what_cannot_be_proved_is_measured():
    with pytest.warns(UserWarning, match="sort"):
        assert certify(Sorted(), (jnp.ones(2),), epsilon=1e-6).kind == "local"
    with pytest.raises(ValueError, match="epsilon"):
        certify(Sorted(), (jnp.ones(2),), epsilon=0.0)
