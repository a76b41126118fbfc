"""Lemke-Howson and the logit path."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from finite_games import NINE, found, normal, rounded
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from games.classic import matching_pennies
from solver import LogitResponse, NormalForm, lemke_howson, logit_path, regret, solve, support_enumeration


@pytest.fixture(scope="module")
def paths():
    return jax.jit(jax.vmap(lambda p, label: lemke_howson(NormalForm(p), label)))


@pytest.mark.parametrize("most", [1, 3])
def test_lemke_howson_never_lies_about_whole_games(paths, most):
    """Ties everywhere: each of 1,000 games has an answer, and every answer is an equilibrium."""
    rng = np.random.default_rng(most)
    payoffs = rng.integers(0, most + 1, (1000, 2, 4, 4)).astype(float)
    ended = paths(payoffs, rng.integers(0, 8, 1000))
    assert bool(ended.mask.all())
    x, y = (np.asarray(s)[:, 0] for s in ended.strategies)
    u, v = np.einsum("kij,kj->ki", payoffs[:, 0], y), np.einsum("ki,kij->kj", x, payoffs[:, 1])
    assert_allclose(u.max(axis=1), (u * x).sum(axis=1), atol=1e-9)
    assert_allclose(v.max(axis=1), (v * y).sum(axis=1), atol=1e-9)
    assert_allclose(x.sum(axis=1), 1)


@given(seed=st.integers(0, 10_000), label=st.integers(0, 6))
def test_lemke_howson_ends_at_an_equilibrium(seed, label):
    game = normal(seed, 4, 3)
    assert found(lemke_howson(game, label)) <= found(support_enumeration(game))


def test_lemke_howson_from_all_labels_at_once():
    game = normal(2, 4, 3)
    ends = jax.vmap(lemke_howson, (None, 0))(game, jnp.arange(7))
    apart = set().union(*(found(lemke_howson(game, label)) for label in range(7)))
    assert rounded(zip(*(s[:, 0] for s in ends.strategies), strict=True)) == apart
    with pytest.raises(ValueError, match="label = 7"):
        lemke_howson(game, 7)


@pytest.mark.parametrize(
    ("precision", "row", "column"), [(1, 0.6430, 0.5883), (2, 0.7727, 0.6117), (3, 0.8595, 0.6038)]
)
def test_logit_of_a_dominant_row(precision, row, column):
    game = NormalForm.from_bimatrix([[1.0, 1.0], [0.0, 1.0]], [[1.0, 1.0], [2.0, 1.0]])
    solution = solve(game, LogitResponse(precision))
    assert_allclose([s[0] for s in solution.strategies], [row, column], atol=6e-5)
    assert bool(solution.converged)


@given(seed=st.integers(0, 10_000), precision=st.floats(0, 20))
def test_a_logit_equilibrium_answers_itself(seed, precision):
    game = normal(seed, 3, 3)
    solution = solve(game, LogitResponse(precision), max_steps=1000)
    for i, p in enumerate(solution.strategies):
        assert_allclose(p, jax.nn.softmax(precision * game.action_payoffs(solution.strategies, i)), atol=1e-7)


def test_another_start_leads_to_another_branch():
    game = NormalForm.from_bimatrix(np.diag([2.0, 1.0]), np.diag([2.0, 1.0]))
    far = (jnp.array([0.01, 0.99]),) * 2
    near, other = solve(game, LogitResponse(20.0)), solve(game, LogitResponse(20.0), start=far)
    assert float(near.strategies[0][0]) > 0.99
    assert float(other.strategies[0][0]) < 0.01


@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 2)])
def test_the_path_ends_at_an_equilibrium(shape):
    game = normal(4, *shape)
    path = logit_path(game)
    last = path.to_list()[-1]
    assert_allclose(regret(game, last.strategies), 0, atol=1e-6)
    at = np.asarray(path.precision)[np.asarray(path.mask)]
    assert at[0] < at[-1]
    nash = np.array(sorted(found(support_enumeration(game))))
    assert np.abs(nash - np.concatenate(last.strategies)).max(axis=1).min() < 1e-5


def test_the_path_to_a_precision_in_a_batch():
    payoffs = np.stack([np.asarray(matching_pennies(top).payoff_array) for top in (80.0, 320.0, 44.0)])
    paths = jax.vmap(lambda p: logit_path(NormalForm(p), 0.05))(payoffs)
    for k, answer in enumerate((0.5, 0.818, 0.356)):
        last = int(paths.count[k]) - 1
        assert_allclose(paths.precision[k, last], 0.05)
        assert_allclose(paths.strategies[0][k, last, 0], answer, atol=6e-4)
    with pytest.raises(ValueError, match="precision"):
        logit_path(NormalForm(payoffs[0]), -1.0)


def test_the_nine_have_a_principal_one():
    game = np.concatenate([NINE, NINE[:, :, :1]], axis=2)
    game[1, :, 2] = -1  # a dominated action more: of the shape above, for which the path is compiled already
    last = logit_path(NormalForm(game)).to_list()[-1]
    assert float(last.max_regret) < 1e-6


def test_lemke_howson_in_a_large_game():
    """Past the size to which sums are written out, labels stayed whole numbers of the wrong width."""
    game = normal(3, 20, 18)
    ended = lemke_howson(game, 30)
    assert bool(ended.mask[0])
    profile = tuple(s[0] for s in ended.strategies)
    assert float(regret(game, profile).max()) < 1e-9
