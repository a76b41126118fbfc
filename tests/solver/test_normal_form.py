"""Expected payoffs against plain sums, and what regret must satisfy in every finite game."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from solver import NormalForm, best_response, regret, solve

SHAPES = ((2, 3), (2, 2, 3))
seeds = st.integers(0, 10_000)


def drawn(seed, shape):
    """A game's payoffs, whole numbers so that ties occur, and a profile with some zeros."""
    rng = np.random.default_rng(seed)
    array = rng.integers(-4, 5, (len(shape), *shape)).astype(float)
    weights = [rng.exponential(size=n) * (rng.random(n) < 0.7) for n in shape]
    profile = [w / w.sum() if w.sum() else np.eye(len(w))[0] for w in weights]
    return array, tuple(jnp.asarray(p) for p in profile)


def plain_payoffs(array, profile):
    total = np.zeros(array.shape[0])
    for actions in itertools.product(*map(range, array.shape[1:])):
        probability = np.prod([p[a] for p, a in zip(profile, actions, strict=True)])
        total += probability * array[(slice(None), *actions)]
    return total


def plain_action_payoffs(array, profile, player):
    vertices = np.eye(array.shape[1 + player])
    return [plain_payoffs(array, (*profile[:player], v, *profile[player + 1 :]))[player] for v in vertices]


@pytest.mark.parametrize("shape", SHAPES)
@given(seed=seeds)
def test_payoffs_and_regret_against_plain_sums(shape, seed):
    array, profile = drawn(seed, shape)
    game, plain = NormalForm(array), [np.asarray(p) for p in profile]
    payoffs, gains = game.payoffs(profile), regret(game, profile)
    assert_allclose(payoffs, plain_payoffs(array, plain), atol=1e-12)
    for i in range(len(shape)):
        actions = plain_action_payoffs(array, plain, i)
        assert_allclose(game.action_payoffs(profile, i), actions, atol=1e-12)
        assert_allclose(gains[i], max(actions) - payoffs[i], atol=1e-12)
        reply = np.asarray(best_response(game, profile, i))
        assert_allclose(reply @ np.asarray(actions), max(actions), atol=1e-12)
    assert (np.asarray(gains) >= 0).all()


@given(seed=seeds, scale=st.floats(0.01, 100), shift=st.floats(-50, 50))
def test_affine_rescaling(seed, scale, shift):
    """u -> scale u + shift, player by player, scales regret and moves nothing else."""
    array, profile = drawn(seed, SHAPES[0])
    scaled = array * np.array([scale, 1.0])[:, None, None] + np.array([shift, -shift])[:, None, None]
    before, after = regret(NormalForm(array), profile), regret(NormalForm(scaled), profile)
    assert_allclose(after, before * jnp.array([scale, 1.0]), atol=1e-10 * (1 + scale + abs(shift)))


@given(seed=seeds)
def test_relabelled_players_and_actions(seed):
    array, profile = drawn(seed, SHAPES[1])
    gains = np.asarray(regret(NormalForm(array), profile))
    order = [2, 0, 1]
    moved = np.transpose(array[order], [0, *[1 + k for k in order]])
    assert_allclose(regret(NormalForm(moved), tuple(profile[k] for k in order)), gains[order], atol=1e-12)
    flipped = array[:, ::-1]
    assert_allclose(regret(NormalForm(flipped), (profile[0][::-1], *profile[1:])), gains, atol=1e-12)


@given(seed=seeds)
def test_dominant_strategies(seed):
    """Where one action of each dominates, its profile has no regret, every other one has, and solve finds it."""
    rng = np.random.default_rng(seed)
    array = rng.uniform(-1, 1, (2, 3, 3))
    best = rng.integers(0, 3, 2)
    array[0, best[0], :] += 2.5
    array[1, :, best[1]] += 2.5
    game = NormalForm(array)
    dominant = tuple(jnp.eye(3)[k] for k in best)
    assert_allclose(regret(game, dominant), 0, atol=0)
    other = (jnp.eye(3)[(best[0] + 1) % 3], dominant[1])
    assert float(regret(game, other)[0]) > 0.4
    solution = solve(game)
    assert solution.certificate.kind == "exact"
    assert_allclose(jnp.stack(solution.strategies), jnp.stack(dominant), atol=0)


def test_bimatrix_and_names():
    A, B = np.arange(6.0).reshape(2, 3), -np.arange(6.0).reshape(2, 3)
    game = NormalForm.from_bimatrix(A, B, ("row", "column"))
    assert game.players == ("row", "column")
    assert [s.size for s in game.actions()] == [2, 3]
    assert_allclose(game.payoff_array, np.stack([A, B]), atol=0)
    assert NormalForm(np.stack([A, B])).players == ("player 1", "player 2")


def test_single_precision():
    with jax.enable_x64(False):
        array, profile = drawn(3, SHAPES[0])
        game = NormalForm(array)
        assert game.payoff_array.dtype == jnp.float32
        assert regret(game, profile).dtype == jnp.float32
        assert_allclose(game.payoffs(profile), plain_payoffs(array, profile), atol=1e-5)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: NormalForm(np.zeros((2, 3))), ("payoff_array", "(2, 3)", "players")),
        (lambda: NormalForm(np.zeros((3, 2, 2))), ("payoff_array", "(3, 2, 2)")),
        (lambda: NormalForm(np.full((2, 2, 2), np.nan)), ("payoff_array", "finite")),
        (lambda: NormalForm(np.zeros((2, 2, 2)), ("one",)), ("players", "2 players")),
        (lambda: NormalForm.from_bimatrix(np.zeros((2, 2)), np.zeros((2, 3))), ("shape", "(2, 2)", "(2, 3)")),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(ValueError, match=words[0]) as error:
        make()
    assert all(word in str(error.value) for word in words)
