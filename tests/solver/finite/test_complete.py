"""All equilibria: independent methods agree, invariances, what may be called complete."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from finite_games import NINE, TIED, found, normal, rounded, whole
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from solver import (
    NormalForm,
    components,
    extreme_equilibria,
    interop,
    pure_equilibria,
    regret,
    support_enumeration,
    vertex_enumeration,
)

GAMES = 200
seeds = st.integers(0, 100_000)


@pytest.fixture(scope="module")
def enumerate_all():
    return jax.jit(jax.vmap(lambda p: support_enumeration(NormalForm(p))))


@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (3, 4)])
def test_random_games_against_complete_peers(enumerate_all, shape):
    theory, gambit = pytest.importorskip("quantecon.game_theory"), pytest.importorskip("pygambit")
    payoffs = np.random.default_rng(7).normal(size=(GAMES, 2, *shape))
    ours = enumerate_all(payoffs)
    assert bool(ours.complete.all())
    assert bool((ours.count % 2 == 1).all())
    for p, x, y, mask in zip(payoffs, *map(np.asarray, (*ours.strategies, ours.mask)), strict=True):
        sets = rounded(zip(x[mask], y[mask], strict=True))
        assert sets == rounded(theory.vertex_enumeration(interop.to_quantecon(NormalForm(p))))
        result = gambit.nash.enummixed_solve(gambit.Game.from_arrays(*p), rational=False)
        profiles = [[[float(e[s]) for s in player.strategies] for player in e.game.players] for e in result.equilibria]
        assert sets == rounded(profiles)


def test_a_batch_is_its_games(enumerate_all):
    payoffs = np.random.default_rng(1).normal(size=(70, 2, 3, 3))
    batch = enumerate_all(payoffs)
    for k in (0, 13, 69):
        assert found(batch[k]) == found(support_enumeration(NormalForm(payoffs[k])))
        assert found(batch[k]) == rounded((e.x, e.y) for e in extreme_equilibria(NormalForm(payoffs[k])))
    with pytest.raises(ValueError, match="batch"):
        batch.to_list()
    nested = jax.vmap(jax.vmap(lambda p: support_enumeration(NormalForm(p)).count))(payoffs.reshape(7, 10, 2, 3, 3))
    assert_allclose(nested.ravel(), batch.count)


@given(seed=seeds, scale=st.floats(-12, 12), shift=st.floats(-3, 3))
def test_positive_affine_changes(seed, scale, shift):
    """u -> scale u + shift moves nothing; nor does a payoff added to a whole column of A."""
    game = normal(seed, 3, 3)
    A, B = np.asarray(game.payoff_array)
    size = 10.0**scale
    changed = NormalForm.from_bimatrix(size * (A + shift * np.arange(3)), B / size + shift / size)
    assert found(support_enumeration(changed)) == found(support_enumeration(game))


@given(seed=seeds)
def test_relabelled_and_dominated(seed):
    rng = np.random.default_rng(seed)
    game = normal(seed, 3, 3)
    A, B = np.asarray(game.payoff_array)
    order = rng.permutation(3)
    moved = support_enumeration(NormalForm.from_bimatrix(A[order], B[order]))
    back = rounded((one.strategies[0][np.argsort(order)], one.strategies[1]) for one in moved.to_list())
    assert back == found(support_enumeration(game))
    exchanged = support_enumeration(NormalForm.from_bimatrix(B.T, A.T))
    assert rounded(one.strategies[::-1] for one in exchanged.to_list()) == found(support_enumeration(game))
    # a fourth row that is worse than the first everywhere
    more = NormalForm.from_bimatrix(np.vstack([A, A[0] - rng.uniform(0.1, 1, 3)]), np.vstack([B, rng.normal(size=3)]))
    wider = support_enumeration(more)
    assert rounded((one.strategies[0][:3], one.strategies[1]) for one in wider.to_list()) == back
    assert bool(wider.complete)


@settings(max_examples=60)
@given(seed=seeds)
def test_degenerate_games_exactly(seed):
    """Whole payoffs full of ties: floats find the exact extreme equilibria, and complete is never claimed wrongly."""
    game = whole(seed, 3, 3)
    exact = rounded((e.x, e.y) for e in extreme_equilibria(game))
    assert found(vertex_enumeration(game, capacity=64)) == exact
    some = support_enumeration(game)
    assert found(some) <= exact or not bool(some.complete)
    if bool(some.complete):
        assert found(some) == exact
        assert len(exact) % 2 == 1
    for one in some.to_list():
        assert float(regret(game, one.strategies).max()) < 1e-9
    assert found(pure_equilibria(game)) <= exact


def test_a_singular_basis_is_no_vertex():
    """Without its first column rows 2 and 3 are alike, and rounding once made a vertex of (0, 1, 1, 3) / 5."""
    A = [[1, 0, 1, 0], [0, 1, 0, 0], [1, 1, 0, 0]]
    game = NormalForm.from_bimatrix(np.array(A), np.array([[0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0]]))
    exact = rounded((e.x, e.y) for e in extreme_equilibria(game))
    assert len(exact) == 7
    assert found(vertex_enumeration(game)) == exact


def test_a_batch_of_vertex_enumerations_ends():
    """Two batches of LU side by side waited for each other for ever, at 300 games of 4x4 on two cores."""
    payoffs = np.random.default_rng(2).integers(0, 2, (300, 2, 4, 4)).astype(float)
    found = jax.vmap(lambda p: vertex_enumeration(NormalForm(p), capacity=32))(jnp.asarray(payoffs))
    for k in range(5):
        assert int(found.count[k]) == len(extreme_equilibria(NormalForm(payoffs[k])))


def test_degenerate_games_against_gambit():
    gambit = pytest.importorskip("pygambit")
    for seed in range(40):
        game = whole(seed, 3, 4)
        tables = [np.vectorize(gambit.Rational, otypes=[object])(np.asarray(t, int)) for t in game.payoff_array]
        result = gambit.nash.enummixed_solve(gambit.Game.from_arrays(*tables), rational=True)
        profiles = [[[float(e[s]) for s in player.strategies] for player in e.game.players] for e in result.equilibria]
        assert rounded((e.x, e.y) for e in extreme_equilibria(game)) == rounded(profiles)


def test_components_of_a_tie():
    """x = (1, 0) with any y, and y = (1, 0) with any x: one component, two maximal Nash subsets, three extremes."""
    (part,) = components(TIED)
    top = (1, 0)
    assert len(part.extremes) == 3
    assert not part.isolated
    assert sorted(part.subsets) == sorted([([top], [top, (0, 1)]), ([top, (0, 1)], [top])])
    assert not bool(support_enumeration(TIED).complete)
    assert found(support_enumeration(TIED, unequal=True)) == rounded(part.extremes)


def test_components_of_a_generic_game_are_its_equilibria():
    game = normal(3, 3, 3)
    parts = components(game)
    assert all(part.isolated for part in parts)
    assert rounded(part.extremes[0] for part in parts) == found(support_enumeration(game))


def test_a_margin_too_thin_to_prove():
    """A tie up to rounding is not proved either way; a gap well above it is."""
    for gap, proved in ((1e-16, False), (1e-9, True)):
        game = NormalForm.from_bimatrix([[1.0, 1.0], [1.0 + gap, 0.0]], [[1.0, 0.3], [0.0, 0.2]])
        assert bool(support_enumeration(game).complete) is proved


def test_nan_in_a_batch_spoils_only_its_lane(enumerate_all):
    payoffs = np.random.default_rng(2).normal(size=(40, 2, 3, 3))
    clean = enumerate_all(payoffs)
    payoffs[5, 0, 1, 1] = np.nan
    spoilt = enumerate_all(payoffs)
    others = np.arange(40) != 5
    assert_allclose(spoilt.count[others], clean.count[others])
    assert not bool(spoilt.complete[5])
    assert not np.isnan(np.asarray(spoilt.strategies[0])).any()


def test_too_small_a_capacity_is_not_complete():
    game = NormalForm.from_bimatrix(np.eye(3), np.eye(3))
    assert int(support_enumeration(game).count) == 7
    less = support_enumeration(game, capacity=3)
    assert int(less.count) == 3
    assert not bool(less.complete)


def test_single_precision():
    with jax.enable_x64(False):
        game = normal(5, 3, 3)
        single = support_enumeration(game)
        assert single.strategies[0].dtype == jnp.float32
        kept = sorted(np.round(np.concatenate(one.strategies), 3).tolist() for one in single.to_list())
    again = support_enumeration(normal(5, 3, 3))
    double = sorted(np.round(np.concatenate(one.strategies), 3).tolist() for one in again.to_list())
    assert_allclose(kept, double, atol=2e-3)


def test_large_games_by_qhull():
    game = normal(1, 8, 8)
    big = vertex_enumeration(game)
    assert found(big) == found(support_enumeration(game))
    assert not bool(big.complete)
    with pytest.raises(ValueError, match="under jit"):
        jax.vmap(lambda p: vertex_enumeration(NormalForm(p)))(game.payoff_array[None])


def test_many_players():
    nine = support_enumeration(NormalForm(NINE))
    assert int(nine.count) == 9
    assert not bool(nine.complete)
    assert all(bool(one.converged) for one in nine.to_list())
    assert found(pure_equilibria(NormalForm(NINE))) <= found(nine)


def test_pure_equilibria_by_plain_search():
    for seed in range(20):
        game = whole(seed, 2, 3, 2, most=3)
        table = np.asarray(game.payoff_array)
        plain = set()
        for actions in np.ndindex(2, 3, 2):
            lines = [table[(i, *actions[:i], slice(None), *actions[i + 1 :])] for i in range(3)]
            if all(line[a] == line.max() for line, a in zip(lines, actions, strict=True)):
                plain.add(actions)
        ours = {tuple(int(np.argmax(s)) for s in one.strategies) for one in pure_equilibria(game).to_list()}
        assert ours == plain


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: vertex_enumeration(NormalForm(NINE)), "3 players"),
        (lambda: extreme_equilibria(NormalForm(NINE)), "3 players"),
        (lambda: support_enumeration(normal(0, 11, 11)), "vertex_enumeration"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_large_game_inside_a_jit_leaves_nothing_behind():
    game = NormalForm(jnp.asarray(np.random.default_rng(0).normal(size=(2, 7, 7))))
    count = jax.jit(lambda: vertex_enumeration(game).count)()
    found = vertex_enumeration(game)
    assert int(found.count) == int(count)
    assert not bool(found.complete)
