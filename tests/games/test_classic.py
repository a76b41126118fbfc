"""Textbook games and their published equilibria."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from games.classic import battle_of_the_sexes, matching_pennies, prisoners_dilemma, rock_paper_scissors
from solver import fixed_point, regret, solve


def mixed(*first):
    return tuple(jnp.array([p, 1 - p]) for p in first)


@pytest.mark.parametrize(("payoff", "left"), [(80.0, 0.5), (320.0, 0.125), (44.0, 10 / 11)])
def test_matching_pennies(payoff, left):
    """Nash: (.5, .5), (.5, .125), (.5, .909) (Goeree and Holt 2001)."""
    game = matching_pennies(payoff)
    assert_allclose(regret(game, mixed(0.5, left)), 0, atol=1e-12)
    assert float(regret(game, mixed(0.52, left)).max()) > 0.1
    assert float(regret(game, mixed(0.5, left - 0.05)).max()) > 0.05
    for corner in ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)):
        assert float(regret(game, mixed(*corner)).max()) >= min(4.0, payoff - 40)


@pytest.mark.parametrize(("payoff", "top"), [(80.0, 0.5), (320.0, 0.818), (44.0, 0.356)])
def test_logit_in_matching_pennies(payoff, top):
    """The quantal response equilibrium at precision 0.05 (Goeree and Holt 2001), by damped iteration on the payoffs."""
    game = matching_pennies(payoff)

    def replies(profile, game):
        noisy = [jax.nn.softmax(0.05 * game.action_payoffs(profile, i)) for i in range(2)]
        return tuple(0.9 * old + 0.1 * new for old, new in zip(profile, noisy, strict=True))

    found = fixed_point(replies, mixed(0.5, 0.5), game, tolerance=1e-10, max_steps=2000)
    assert bool(found.converged)
    assert_allclose(found.value[0][0], top, atol=1.1e-3)


def test_the_prisoners_dilemma():
    game = prisoners_dilemma()
    solution = solve(game)
    assert_allclose(jnp.stack(solution.strategies), [[0, 1], [0, 1]], atol=0)
    assert_allclose(solution.payoffs, 1.0, atol=0)
    assert_allclose(regret(game, mixed(1.0, 1.0)), 2.0, atol=1e-14)
    with pytest.raises(ValueError, match="temptation"):
        prisoners_dilemma(temptation=1.0)


def test_the_battle_of_the_sexes():
    game = battle_of_the_sexes()
    for profile, payoffs in ((mixed(1, 1), (2, 1)), (mixed(0, 0), (1, 2)), (mixed(2 / 3, 1 / 3), (2 / 3, 2 / 3))):
        assert_allclose(regret(game, profile), 0, atol=1e-14)
        assert_allclose(game.payoffs(profile), payoffs, atol=1e-14)
    assert_allclose(regret(game, mixed(1, 0)), [1, 1], atol=1e-14)


@pytest.mark.parametrize("loss", [1.0, 2.0])
def test_rock_paper_scissors(loss):
    game = rock_paper_scissors(loss=loss)
    even = jnp.full(3, 1 / 3)
    assert_allclose(regret(game, (even, even)), 0, atol=1e-14)
    array = np.asarray(game.payoff_array)
    assert_allclose(array[1], array[0].T, atol=0)  # symmetric: the players may be exchanged
    for first in np.eye(3):
        assert_allclose(regret(game, (jnp.asarray(first), even))[1], 1 + (1 - loss) * -1 / 3, atol=1e-14)
