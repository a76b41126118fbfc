"""Derivatives through ``solve``: closed forms, finite differences, both modes, both precisions, and where there is none."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from small_games import effort

from solver import (
    AbstractGame,
    BestResponse,
    Box,
    FixedPoint,
    LogitResponse,
    Newton,
    NormalForm,
    fixed_point,
    solve,
)


def strategies(vector):
    return jnp.concatenate(solve(effort(vector), Newton(), throw=False).strategies)


INSIDE = np.array([1.0, 0.8, 0.3, 2.0, 2.0])
AT_BOUNDS = np.array([1.0, -3.0, 0.3, 0.4, 2.0])  # one at its upper bound, two at its lower
ALONG, STEP = np.array([0.3, -0.2, 0.5, 0.0, 0.0]), 1e-4
KINK = np.array([[w, w, 0.0, 2.0, 2.0] for w in (-0.6, -0.16, 1.0)])  # leaves its lower bound at the second
PLACES = np.stack([INSIDE, AT_BOUNDS, INSIDE - STEP * ALONG, INSIDE + STEP * ALONG, *KINK])
MANY = jax.jit(jax.vmap(strategies))
REVERSE = jax.jit(jax.vmap(jax.jacrev(strategies)))  # always of len(PLACES), compiled once


@pytest.fixture(scope="module")
def forward():
    return jax.jit(jax.vmap(jax.jacfwd(strategies)))(PLACES)


@pytest.fixture(scope="module")
def reverse():
    return REVERSE(PLACES)


def test_both_modes_and_differences_agree(forward, reverse):
    assert_allclose(forward, reverse, atol=1e-10)
    step = 1e-3
    moved = PLACES[:2, None, None] + step * np.stack([-np.eye(5), np.eye(5)])  # (place, sign, parameter, 5)
    behind, ahead = np.moveaxis(MANY(moved.reshape(20, 5)).reshape(2, 2, 5, 2), 1, 0)
    assert_allclose(forward[:2], np.swapaxes(ahead - behind, 1, 2) / (2 * step), atol=5e-6)


def test_a_bound_moves_what_it_holds(forward):
    """The strategy at the upper bound moves with it, the other at a constant bound does not."""
    expected = np.zeros((2, 5))
    expected[0, 3] = 1
    assert_allclose(forward[1], expected, atol=1e-12)


def test_second_derivatives(forward):
    second = jax.jit(lambda x, along: jax.jvp(jax.jacfwd(strategies), (x,), (along,))[1])(INSIDE, ALONG)
    assert_allclose(second, (forward[3] - forward[2]) / (2 * STEP), atol=1e-6)


class Inner(AbstractGame):
    """u = -(x - y)², y = cos(y + a x)/2: the payoff holds a fixed point. y* solves y = cos((1 + a) y)/2, and x = y."""

    a: jax.Array
    players: tuple[str, ...] = eqx.field(static=True, default=("alone",))

    def actions(self):
        return (Box(0.0, 1.0),)

    def payoffs(self, profile):
        inner: FixedPoint = fixed_point(
            lambda y, ax: jnp.cos(y + ax) / 2, jnp.zeros(1), self.a * profile[0], tolerance=1e-13
        )
        return -((profile[0] - inner.value) ** 2)


def test_through_an_inner_fixed_point():
    def found(a):
        return solve(Inner(a), Newton()).strategies[0][0]

    a = jnp.asarray(0.4)
    x = jnp.asarray(0.42)
    for _ in range(20):  # Newton's steps on y = cos((1 + a) y)/2
        x = x - (x - jnp.cos((1 + a) * x) / 2) / (1 + (1 + a) * jnp.sin((1 + a) * x) / 2)
    slope = -x * jnp.sin((1 + a) * x) / 2 / (1 + (1 + a) * jnp.sin((1 + a) * x) / 2)
    assert_allclose(jax.jit(jax.grad(found))(a), slope, atol=1e-8)


def test_single_precision(reverse):
    with jax.enable_x64(False):
        single = jax.jit(jax.jacrev(strategies))(jnp.asarray(INSIDE, jnp.float32))
    assert single.dtype == jnp.float32
    assert_allclose(single, reverse[0], atol=1e-4)


def test_batch_with_a_lane_that_has_none(reverse):
    """w/(1 + x) = x at the lower bound −0.2: the strategy stays there below w = −0.16, and leaves it above."""
    assert_allclose(reverse[4:, 0, 0], [0.0, np.nan, 5**-0.5], atol=1e-8)


def test_logit_equilibrium_by_its_own_equations():
    """Matching pennies, own payoff raised (Goeree and Holt 2001), in the payoff and in the precision."""

    @jax.jit
    def top(payoff, precision):
        row = jnp.array([[0.0, 40.0], [40.0, 80.0]]).at[0, 0].set(payoff)
        column = jnp.array([[40.0, 80.0], [80.0, 40.0]])
        game = NormalForm.from_bimatrix(row, column)
        return solve(game, LogitResponse(precision), tolerance=1e-10, throw=False).strategies[0][0]

    at = (jnp.asarray(160.0), jnp.asarray(0.05))
    got = jax.grad(top, (0, 1))(*at)
    for which, (slope, step) in enumerate(zip(got, (1e-2, 1e-5), strict=True)):
        ahead, behind = (top(*(v + sign * step * (k == which) for k, v in enumerate(at))) for sign in (1, -1))
        assert_allclose(slope, (ahead - behind) / (2 * step), rtol=1e-4)


@jax.jit
@jax.grad
def row_mix_slope(column):
    game = NormalForm.from_bimatrix(jnp.array([[1.0, -1.0], [-1.0, 1.0]]), column)
    half = (jnp.full(2, 0.5),) * 2
    return solve(game, BestResponse(), start=half, max_steps=0).strategies[0][0]


def test_mixed_nash_equilibrium():
    """Row's mixture makes column indifferent: p = (d - c)/(a - b - c + d) of column's payoffs."""

    def exact(c):
        return (c[1, 1] - c[1, 0]) / (c[0, 0] - c[0, 1] - c[1, 0] + c[1, 1])

    column = jnp.array([[-1.0, 1.0], [1.0, -1.0]])
    assert_allclose(row_mix_slope(column), jax.grad(exact)(column), atol=1e-12)


def test_no_derivative_is_an_error():
    """Whoever never cares is indifferent at every mixture of the other: a continuum of equilibria."""
    with pytest.raises(Exception, match="no derivative here"):
        row_mix_slope(jnp.zeros((2, 2)))


def test_parameters_fitted_to_observed_strategies():
    """Gains from the efforts seen: the distance's gradient goes through the equilibrium, in Gauss's and Newton's steps."""
    rng = np.random.default_rng(0)
    truth, guess = np.tile(INSIDE, (len(PLACES), 1)), np.tile(INSIDE, (len(PLACES), 1))
    truth[:, :2] = rng.uniform(0.7, 1.5, (len(PLACES), 2))
    observed = MANY(truth)
    for _ in range(6):
        jacobian, gap = REVERSE(guess)[:, :, :2], MANY(guess) - observed
        guess[:, :2] -= np.linalg.solve(jacobian, gap[..., None])[..., 0]
    assert_allclose(guess, truth, atol=1e-6)
