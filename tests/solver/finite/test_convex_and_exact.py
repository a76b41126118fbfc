"""Convex programmes, exact certificates, fitting."""

from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest
from finite_games import NINE, found, normal, whole
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from games.classic import battle_of_the_sexes, matching_pennies, rock_paper_scissors
from solver import (
    LogitResponse,
    NormalForm,
    certify,
    coarse_correlated_equilibrium,
    correlated_equilibrium,
    fit_logit,
    solve,
    support_enumeration,
    zero_sum,
)
from solver.finite.estimation import log_slopes

CHICKEN = NormalForm.from_bimatrix([[0.0, 7.0], [2.0, 6.0]], [[0.0, 2.0], [7.0, 6.0]])
seeds = st.integers(0, 10_000)


@given(seed=seeds)
def test_zero_sum_has_its_value(seed):
    A = np.random.default_rng(seed).normal(size=(3, 3))
    solution = zero_sum(NormalForm.from_bimatrix(A, 2.0 - A))
    x, y = map(np.asarray, solution.strategies)
    assert_allclose((A @ y).max(), (x @ A).min(), atol=1e-8)
    assert bool(solution.converged)
    assert found(support_enumeration(NormalForm.from_bimatrix(A, 2.0 - A))) == {
        tuple(np.round(np.concatenate([x, y]), 6) + 0.0)
    }


def test_only_constant_sums():
    with pytest.raises(ValueError, match="sum to"):
        zero_sum(CHICKEN)


@pytest.mark.parametrize("solver", ["highs", "cvxpy"])
def test_chicken(solver):
    """Aumann (1974): 1/2 on both moderate, 1/4 on each of the pure equilibria; 10.5 together."""
    device = correlated_equilibrium(CHICKEN, solver=solver)
    assert_allclose(device.distribution, [[0, 0.25], [0.25, 0.5]], atol=1e-6)
    assert_allclose(device.objective, 10.5, atol=1e-6)
    assert float(device.max_regret) < 1e-6
    assert_allclose(correlated_equilibrium(CHICKEN, "player 1", solver=solver).payoffs[0], 7.0, atol=1e-6)


@given(seed=seeds)
def test_sets_are_nested(seed):
    """Nash is correlated is coarse: the best welfare rises."""
    game = normal(seed, 2, 3)
    nash = max(float(one.payoffs.sum()) for one in support_enumeration(game).to_list())
    correlated, coarse = correlated_equilibrium(game), coarse_correlated_equilibrium(game)
    assert nash <= float(correlated.objective) + 1e-7 <= float(coarse.objective) + 2e-7


@pytest.mark.parametrize("make", [correlated_equilibrium, coarse_correlated_equilibrium])
def test_entropy_of_three_players(make):
    """The most entropic one beats the others' entropy and nobody gains by a deviation, worked out by plain sums."""
    game = normal(1, 2, 2, 2)
    device = make(game, "entropy")
    p, table = np.asarray(device.distribution), np.asarray(game.payoff_array)
    for i in range(3):
        for told in range(2):
            for other in range(2):
                gain = np.take(table[i], [other], axis=i) - table[i]
                if make is correlated_equilibrium:
                    gain = np.where(np.indices(p.shape)[i] == told, gain, 0)
                assert (p * gain).sum() <= 1e-6
    linear = np.asarray(make(game).distribution)
    assert float(device.objective) >= -(linear * np.log(np.where(linear > 0, linear, 1))).sum() - 1e-6


def test_unknown_objectives_are_named():
    with pytest.raises(ValueError, match="'welfare', 'entropy'"):
        correlated_equilibrium(CHICKEN, "fairness")
    with pytest.raises(ValueError, match="highs"):
        correlated_equilibrium(CHICKEN, solver="simplex")


def test_exact_fractions():
    mixed = (jnp.array([2 / 3, 1 / 3]), jnp.array([1 / 3, 2 / 3]))
    proof = certify(battle_of_the_sexes(), mixed, exact=True)
    assert proof.kind == "exact"
    assert proof.fractions == ((Fraction(2, 3), Fraction(1, 3)), (Fraction(1, 3), Fraction(2, 3)))
    assert float(proof.epsilon) == 0
    even = (jnp.full(3, 1 / 3),) * 2
    assert certify(rock_paper_scissors(), even, exact=True).fractions == ((Fraction(1, 3),) * 3,) * 2
    assert certify(rock_paper_scissors(), even).fractions is None


def test_exact_refuses():
    wrong = (jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0]))
    proof = certify(battle_of_the_sexes(), wrong, exact=True)
    assert proof.kind == "refuted"
    assert proof.fractions is None
    assert_allclose(proof.epsilon, 1.0)
    with pytest.raises(ValueError, match="two players"):
        certify(NormalForm(NINE), (jnp.array([0.5, 0.5]),) * 3, exact=True)
    pure = certify(NormalForm(NINE), (jnp.array([1.0, 0.0]),) * 3, exact=True)
    assert pure.fractions == ((1, 0),) * 3


@given(seed=seeds)
def test_exact_confirms_what_floats_find(seed):
    game = whole(seed, 3, 3, most=5)
    for one in support_enumeration(game).to_list():
        proof = certify(game, one.strategies, exact=True)
        assert proof.kind == "exact"
        near = [[float(v) for v in s] for s in proof.fractions]
        assert_allclose(near, jnp.stack(one.strategies), atol=1e-6)


def test_precision_fitted_to_its_own_equilibrium():
    """Expected counts of a known precision give it back; the error shrinks with the root of the sample."""
    game = matching_pennies(320.0)
    truth = solve(game, LogitResponse(0.03)).strategies
    small, large = (fit_logit(game, tuple(n * np.asarray(p) for p in truth)) for n in (100, 10_000))
    assert_allclose([small.precision, large.precision], 0.03, rtol=1e-3)
    assert_allclose(small.standard_error / large.standard_error, 10, rtol=1e-2)
    assert large.log_likelihood > large.log_likelihood_random
    assert not large.at_bound
    with pytest.raises(ValueError, match="counts"):
        fit_logit(game, (np.ones(3), np.ones(2)))


def test_slopes_against_differences():
    game, at, step = normal(8, 3, 3), 1.3, 1e-5
    here, ahead, behind = (solve(game, LogitResponse(at + d)).strategies for d in (0, step, -step))
    for slope, up, down in zip(log_slopes(game, here, jnp.asarray(at)), ahead, behind, strict=True):
        assert_allclose(slope, (jnp.log(up) - jnp.log(down)) / (2 * step), atol=1e-6)
