"""Published equilibria against exact enumeration, and what defines each class of random games."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from games import random as classes
from games.catalog import CATALOG
from solver import extreme_equilibria, pure_equilibria, regret, support_enumeration


@pytest.mark.parametrize("name", CATALOG)
def test_published_equilibria(name):
    entry = CATALOG[name]
    game = entry.make()
    for profile in entry.equilibria:
        floats = tuple(jnp.array([float(v) for v in strategy]) for strategy in profile)
        assert_allclose(regret(game, floats), 0, atol=1e-12)
    if entry.complete:
        assert {(e.x, e.y) for e in extreme_equilibria(game)} == set(entry.equilibria)


def test_three_pennies_have_no_other():
    (only,) = support_enumeration(CATALOG["three pennies"].make()).to_list()
    assert_allclose(jnp.stack(only.strategies), 0.5, atol=1e-9)


def pure(game):
    return {tuple(int(np.argmax(s)) for s in one.strategies) for one in pure_equilibria(game).to_list()}


def test_covariance():
    A, B = np.asarray(classes.covariant_game((3, 4), -1.0, 0).payoff_array)
    assert_allclose(A, -B, atol=1e-6)
    A, B = np.asarray(classes.covariant_game((60, 60), 0.5, 0).payoff_array)
    assert_allclose(np.corrcoef(A.ravel(), B.ravel())[0, 1], 0.5, atol=0.05)
    with pytest.raises(ValueError, match="correlation"):
        classes.covariant_game((2, 2, 2), -0.6, 0)


@pytest.mark.parametrize("seed", range(5))
def test_potential_and_coordination_games_have_pure_equilibria(seed):
    assert pure(classes.congestion_game(3, 3, seed))
    assert {(k,) * 3 for k in range(2)} <= pure(classes.coordination_game(3, 2, seed))


def test_the_unique_and_the_many():
    assert pure(classes.travellers_dilemma(6)) == {(0, 0)}
    assert pure(classes.minimum_effort_game(3, 4)) == {(k,) * 3 for k in range(4)}
    assert pure(classes.dispersion_game(3, 3)) == set(itertools.permutations(range(3)))
    assert pure(classes.location_game(2, 5)) == {(2, 2)}
    game = np.asarray(classes.war_of_attrition(4, (3.0, 2.0)).payoff_array)
    assert_allclose(game[:, 2, 1], [3 - 1, -1])
    assert_allclose(game[:, 2, 2], [1.5 - 2, 1 - 2])


def test_polymatrix_and_graphical():
    """Second differences across two opponents vanish; on a ring of four the one opposite has no say."""
    table = np.asarray(classes.polymatrix_game(3, 2, 0).payoff_array)[0]
    assert_allclose(table[:, 0, 0] - table[:, 1, 0] - table[:, 0, 1] + table[:, 1, 1], 0, atol=1e-12)
    ring = np.asarray(classes.graphical_game(4, 2, 0).payoff_array)[0]
    assert_allclose(np.ptp(ring, axis=2), 0, atol=1e-12)
    assert np.ptp(ring, axis=1).min() > 0
    assert classes.random_game((2, 3, 2), 1).payoff_array.shape == (3, 2, 3, 2)
