"""Newton's method on the first-order conditions, and extragradient steps: known answers, bounds, mixtures, precisions."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from small_games import Hills, Inspection, cournot, cournot_answer

from solver import AbstractGame, BestResponse, Box, Extragradient, Newton, NormalForm, Status, solve
from solver.algorithms.newton import fischer_burmeister

PENNIES = NormalForm.from_bimatrix([[1.0, -1.0], [-1.0, 2.0]], [[-1.0, 1.0], [1.0, -2.0]])


@pytest.mark.parametrize(
    ("a", "costs"),
    [(100.0, (5.0, 10.0, 20.0)), (13.0, (5.0, 10.0, 80.0)), (-3.0, (1.0, 1.0, 1.0)), (10.0, (10.0,) * 3)],
)
def test_bounds_are_reached_to_rounding(a, costs):
    """Whoever would sell less than nothing sells nothing, also where nothing is just what it would sell (a = c)."""
    solution = solve(cournot(a, costs), Newton(), tolerance=1e-12)
    active = np.array([c < a for c in costs])
    while (short := np.array(cournot_answer_of(a, costs, active)) < 0).any():
        active &= ~short
    assert_allclose(jnp.concatenate(solution.strategies), cournot_answer_of(a, costs, active), atol=1e-12)


def cournot_answer_of(a, costs, active):
    costs, n = np.array(costs), active.sum()
    return np.where(active, (a - (n + 1) * costs + costs[active].sum()) / (n + 1), 0.0)


def test_single_precision():
    with jax.enable_x64(False):
        solution = solve(cournot(100.0, (5.0, 10.0, 20.0)), Newton())
        assert solution.strategies[0].dtype == jnp.float32
        assert_allclose(jnp.concatenate(solution.strategies), cournot_answer(100.0, (5.0, 10.0, 20.0)), rtol=2e-6)


def test_several_dimensions_agree_with_best_responses():
    game = Hills(jnp.array([[0.5, 1.0], [-0.3, 0.2]]), jnp.asarray(0.3), jnp.asarray(0.4))
    ours, theirs = solve(game, Newton()), solve(game, BestResponse())
    assert_allclose(jnp.concatenate(ours.strategies), jnp.concatenate(theirs.strategies), atol=1e-5)


@pytest.mark.parametrize("algorithm", [Newton(), Extragradient()], ids=["newton", "extragradient"])
def test_mixtures(algorithm):
    """A zero-sum game, monotone, with the equilibrium (3/5, 2/5) twice."""
    solution = solve(PENNIES, algorithm, max_steps=1000)
    assert_allclose(jnp.stack(solution.strategies), [[0.6, 0.4]] * 2, atol=1e-7)


def test_mixtures_and_numbers_together():
    solution = solve(Inspection(jnp.asarray(1.0)), Newton())
    assert_allclose(solution.strategies[0], 0.6, atol=1e-12)
    assert_allclose(solution.strategies[1], [0, 1, 0], atol=1e-12)


def test_extragradient_steps_agree_with_newton():
    game = cournot(13.0, (5.0, 10.0, 80.0))
    slow = solve(game, Extragradient(), max_steps=2000)
    assert_allclose(jnp.concatenate(slow.strategies), [4.0, 0.0, 0.0], atol=1e-4)


def test_a_lowest_point_is_not_an_equilibrium():
    """Where a payoff u = (x - 1/2)² is lowest the first-order condition holds, and the status says the rest."""
    from small_games import Pursuit

    solution = solve(Pursuit(jnp.asarray(1.0)), Newton(), throw=False)
    assert int(solution.status) != Status.converged


def test_many_games_at_once():
    payoffs = jax.random.normal(jax.random.key(1), (50, 2, 3, 3))
    found = eqx.filter_jit(jax.vmap(lambda p: solve(NormalForm(p), Newton(), throw=False)))(payoffs)
    assert float(found.converged.mean()) > 0.6
    assert float(jnp.where(found.converged, found.max_regret, 0).max()) < 1e-9


class Quadratic(AbstractGame):
    """u_i = x_i (v_i - Σ_j Q_ij x_j + Q_ii x_i/2) on [0, 1]."""

    v: jax.Array
    Q: jax.Array
    players: tuple[str, ...] = eqx.field(static=True, default=tuple("12345"))

    def actions(self):
        return (Box(0.0, 1.0),) * 5

    def payoffs(self, profile):
        x = jnp.concatenate(profile)
        return x * (self.v - self.Q @ x + jnp.diagonal(self.Q) * x / 2)


def test_no_game_of_a_batch_goes_on_at_rounding():
    """One in 500 went to and fro between two points, each better than the other but for rounding, to the last step."""
    rng = np.random.default_rng(0)
    v, Q = rng.uniform(-1, 3, (4000, 5)), rng.uniform(-0.4, 0.4, (4000, 5, 5)) + 2 * np.eye(5)
    found = eqx.filter_jit(jax.vmap(lambda v, Q: solve(Quadratic(v, Q), Newton(), throw=False)))(v, Q)
    assert found.converged.all()
    assert int(found.num_steps.max()) < 20
    x = np.concatenate(found.strategies, axis=1)
    slopes = v - np.einsum("kij,kj->ki", Q, x)
    assert_allclose(np.clip(x + slopes, 0, 1), x, atol=1e-13)


def test_fischer_burmeister_is_zero_where_it_should_be():
    a, b = jnp.array([0.0, 2.0, 0.0, 1e-9, 3.0, -1.0]), jnp.array([3.0, 0.0, 0.0, 1.0, 4.0, 0.0])
    assert_allclose(fischer_burmeister(a, b), [0, 0, 0, 1e-9, 2.0, -2.0], rtol=1e-8, atol=1e-16)
    assert jnp.isfinite(jax.grad(fischer_burmeister)(0.0, 0.0))
