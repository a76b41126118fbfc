"""Derivatives through ``solve``: closed forms, finite differences, both modes, both precisions, and where there is none."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from smooth_games import Inner, effort

from solver import AbstractGame, BestResponse, Box, LogitResponse, Newton, NormalForm, solve


def strategies(vector):
    return jnp.concatenate(solve(effort(vector), Newton(), throw=False).strategies)


FORWARD, REVERSE = jax.jit(jax.jacfwd(strategies)), jax.jit(jax.jacrev(strategies))
INSIDE = jnp.array([1.0, 0.8, 0.3, 2.0, 2.0])
AT_BOUNDS = jnp.array([1.0, -3.0, 0.3, 0.4, 2.0])  # one at its upper bound, two at its lower


def differences(function, vector, step=1e-3):
    return np.stack(
        [(function(vector + e) - function(vector - e)) / (2 * step) for e in step * np.eye(len(vector))], -1
    )


@pytest.mark.parametrize("vector", [INSIDE, AT_BOUNDS])
def test_both_modes_and_differences_agree(vector):
    assert_allclose(FORWARD(vector), REVERSE(vector), atol=1e-10)
    assert_allclose(FORWARD(vector), differences(strategies, vector), atol=5e-6)


def test_a_bound_moves_what_it_holds():
    """The strategy at the upper bound moves with it, the other at a constant bound does not."""
    expected = np.zeros((2, 5))
    expected[0, 3] = 1
    assert_allclose(FORWARD(AT_BOUNDS), expected, atol=1e-12)


def test_second_derivatives():
    along = jnp.array([0.3, -0.2, 0.5, 0.0, 0.0])
    second = jax.jvp(jax.jacfwd(strategies), (INSIDE,), (along,))[1]
    step = 1e-4
    assert_allclose(second, (FORWARD(INSIDE + step * along) - FORWARD(INSIDE - step * along)) / (2 * step), atol=1e-6)


def test_through_an_inner_fixed_point():
    def found(a):
        return solve(Inner(a), Newton()).strategies[0][0]

    a = jnp.asarray(0.4)
    x = jnp.asarray(0.42)
    for _ in range(20):  # Newton's steps on y = cos((1 + a) y)/2
        x = x - (x - jnp.cos((1 + a) * x) / 2) / (1 + (1 + a) * jnp.sin((1 + a) * x) / 2)
    slope = -x * jnp.sin((1 + a) * x) / 2 / (1 + (1 + a) * jnp.sin((1 + a) * x) / 2)
    assert_allclose(jax.jit(jax.grad(found))(a), slope, atol=1e-8)


def test_single_precision():
    with jax.enable_x64(False):
        single = jax.jacrev(strategies)(jnp.asarray(INSIDE, jnp.float32))
    assert single.dtype == jnp.float32
    assert_allclose(single, REVERSE(INSIDE), atol=1e-4)


def test_batch_with_a_lane_that_has_none():
    """w/(1 + x) = x at the lower bound −0.2: the strategy stays there below w = −0.16, and leaves it above."""
    gain = jnp.array([-0.6, -0.16, 1.0])
    vectors = jnp.stack([gain, gain, 0 * gain, 2 + 0 * gain, 2 + 0 * gain], axis=1)
    slopes = jax.vmap(REVERSE)(vectors)[:, 0, 0]
    assert_allclose(slopes, [0.0, np.nan, 5**-0.5], atol=1e-8)


def test_no_derivative_is_an_error():
    with pytest.raises(Exception, match="no derivative here"):
        jax.grad(lambda w: solve(effort(jnp.stack([w, w, 0.0, 2.0, 2.0])), Newton()).strategies[0][0])(-0.16)


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


def test_mixed_nash_equilibrium():
    """Row's mixture makes column indifferent: p = (d - c)/(a - b - c + d) of column's payoffs."""

    def row_mix(column):
        game = NormalForm.from_bimatrix(jnp.array([[1.0, -1.0], [-1.0, 1.0]]), column)
        half = (jnp.full(2, 0.5),) * 2
        return solve(game, BestResponse(), start=half, max_steps=0, throw=False).strategies[0][0]

    def exact(c):
        return (c[1, 1] - c[1, 0]) / (c[0, 0] - c[0, 1] - c[1, 0] + c[1, 1])

    column = jnp.array([[-1.0, 1.0], [1.0, -1.0]])
    assert_allclose(jax.grad(row_mix)(column), jax.grad(exact)(column), atol=1e-12)


def test_parameters_fitted_to_observed_shares():
    """Costs from market shares: the distance's gradient goes through the equilibrium, in Gauss's and Newton's steps."""

    class Market(AbstractGame):
        costs: jax.Array
        players: tuple[str, ...] = eqx.field(static=True, default=("one", "two", "three"))

        def actions(self):
            return (Box(0.0, 10.0),) * 3

        def payoffs(self, profile):
            q = jnp.concatenate(profile)
            return (10 * jnp.exp(-q.sum() / 5) - self.costs) * q

    @jax.jit
    def shares(costs):
        q = jnp.concatenate(solve(Market(jnp.append(costs, 1.0)), Newton(), throw=False).strategies)
        return (q / q.sum())[:2]

    truth = jnp.array([2.0, 1.5])
    observed, costs = shares(truth), jnp.array([1.2, 1.2])
    slope = jax.jit(jax.jacrev(shares))
    for _ in range(6):
        jacobian, gap = slope(costs), shares(costs) - observed
        costs = costs - jnp.linalg.solve(jacobian.T @ jacobian, jacobian.T @ gap)
    assert_allclose(costs, truth, atol=1e-6)
