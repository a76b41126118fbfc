"""Learning and evolution: where they must go, what must stay constant."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from games.classic import prisoners_dilemma, rock_paper_scissors
from solver import (
    FictitiousPlay,
    LogitDynamics,
    LogitResponse,
    NormalForm,
    RegretMatching,
    Replicator,
    is_evolutionarily_stable,
    regret,
    solve,
    trajectory,
    zero_sum,
)

START = (jnp.array([0.5, 0.3, 0.2]), jnp.array([0.2, 0.3, 0.5]))


@pytest.mark.parametrize("rule", [FictitiousPlay(), RegretMatching(), RegretMatching(plus=False)])
def test_zero_sum_games_are_learnt(rule):
    A = np.random.default_rng(3).normal(size=(3, 4))
    game = NormalForm.from_bimatrix(A, -A)
    solution = solve(game, rule, tolerance=0.02, max_steps=20_000)
    assert 1 < int(solution.num_steps) < 20_000
    assert_allclose(solution.payoffs[0], zero_sum(game).payoffs[0], atol=0.05 * np.ptp(A))
    short = solve(game, rule, tolerance=1e-9, max_steps=5, throw=False)
    assert not bool(short.converged)


@pytest.mark.parametrize("rule", [FictitiousPlay(), RegretMatching(), Replicator()])
def test_dominance_is_learnt(rule):
    solution = solve(prisoners_dilemma(), rule, tolerance=2e-4, max_steps=5000)
    assert_allclose(jnp.stack(solution.strategies)[:, 1], 1, atol=2e-3)


def test_the_replicator_turns_around_rock_paper_scissors():
    """The product of all shares is constant in the zero-sum case (Hofbauer and Sigmund 1998, ch. 11)."""
    series = trajectory(rock_paper_scissors(), Replicator(0.05), start=START, num_steps=1000)
    product = np.prod(np.asarray(series[0]), axis=1) * np.prod(np.asarray(series[1]), axis=1)
    assert_allclose(series[0][0], START[0])
    assert_allclose(product, product[0], rtol=1e-6)
    assert np.ptp(np.asarray(series[0])[:, 0]) > 0.2


def test_logit_dynamics_rest_at_the_logit_equilibrium():
    game = NormalForm(np.random.default_rng(0).normal(size=(2, 3, 3)))
    series = trajectory(game, LogitDynamics(0.5), num_steps=500)
    for path, p in zip(series, solve(game, LogitResponse(0.5)).strategies, strict=True):
        assert_allclose(path[-1], p, atol=1e-6)


@pytest.mark.parametrize(
    ("A", "x", "stable"),
    [
        ([[-1, 4], [0, 2]], [2 / 3, 1 / 3], True),  # hawk and dove, V = 4, C = 6
        ([[-1, 4], [0, 2]], [1, 0], False),
        ([[2, 0], [0, 1]], [1, 0], True),
        ([[2, 0], [0, 1]], [1 / 3, 2 / 3], False),  # the mixed equilibrium of coordination
        ([[1, 1], [1, 1]], [1, 0], False),  # drift
        ([[1, 1], [1, 0]], [1, 0], True),  # a tie that the second condition decides
    ],
)
def test_evolutionary_stability(A, x, stable):
    game = NormalForm.from_bimatrix(np.array(A, float), np.array(A, float).T)
    assert is_evolutionarily_stable(game, jnp.array(x, float)) is stable


@pytest.mark.parametrize(("win", "loss", "stable"), [(2.0, 1.0, True), (1.0, 1.0, False), (1.0, 2.0, False)])
def test_stability_of_rock_paper_scissors(win, loss, stable):
    assert is_evolutionarily_stable(rock_paper_scissors(win, loss), jnp.full(3, 1 / 3)) is stable


@given(seed=st.integers(0, 1000))
def test_stable_strategies_repel_invaders(seed):
    """The definition itself, u(x, y) > u(y, y) for y near x, on random mutants."""
    rng = np.random.default_rng(seed)
    A = rng.integers(-3, 4, (3, 3)).astype(float)
    game = NormalForm.from_bimatrix(A, A.T)
    x = np.eye(3)[seed % 3]
    mutants = 0.999 * x + 0.001 * rng.dirichlet(np.ones(3), 200)
    repelled = np.einsum("ki,ij,kj->k", x - mutants, A, mutants) > 0
    if is_evolutionarily_stable(game, jnp.asarray(x)):
        assert repelled.all()
        assert_allclose(regret(game, (jnp.asarray(x),) * 2), 0, atol=1e-12)


def test_stability_needs_symmetry():
    with pytest.raises(ValueError, match="symmetric"):
        is_evolutionarily_stable(NormalForm(np.arange(8.0).reshape(2, 2, 2)), jnp.array([1.0, 0.0]))
