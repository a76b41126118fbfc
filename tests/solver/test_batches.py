"""Games whose payoffs come in batches: the same equilibria as one by one, with the same certificates."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from solver import AbstractGame, BestResponse, Box, Status, solve, sweep


class Quantities(AbstractGame):
    """Cournot with linear demand and two or more firms; ``kink`` is a tax on quantities above 0.25."""

    intercept: Array
    kink: Array
    cost: Array
    players: tuple[str, ...] = eqx.field(static=True, default=("one", "two", "three"))

    def actions(self):
        return (Box(0.0, 1.0),) * len(self.players)

    def payoffs(self, profile):
        q = jnp.concatenate(profile)
        return q * (self.intercept - q.sum() - self.cost) - self.kink * jnp.maximum(q - 0.25, 0)

    def payoffs_in_batches(self):
        return InBatches


class Matching(Quantities):
    """No pure equilibrium: one wants to be near the other, who wants to be far."""

    def payoffs(self, profile):
        q = jnp.concatenate(profile)
        return self.intercept * jnp.stack([-((q[0] - q[1]) ** 2), (q[0] - q[1]) ** 2])


class Leaks(Quantities):
    """A public good in the power mean of what leaks: some protection is an equilibrium, and by a kink so is full one."""

    def payoffs(self, profile):
        q = jnp.concatenate(profile)
        leak = ((1 - q) ** 4).mean() ** (1 / 4)
        return -self.intercept * leak - self.kink * q**2 / 2


@jax.jit
def payoffs_of(games, profiles):
    return jax.vmap(lambda game, profile: game.payoffs(tuple(profile)))(games, profiles)


class InBatches:
    asked = 0

    def __init__(self, games):
        self.games = games

    def __call__(self, which, profiles):
        InBatches.asked += len(which)
        assert len(np.unique(np.concatenate([which[:, None], profiles[:, :, 0]], 1), axis=0)) == len(which)
        fill = np.resize(np.arange(len(which)), 1 << (len(which) - 1).bit_length())  # few sizes to compile for
        games = jax.tree.map(lambda leaf: np.asarray(leaf)[which[fill]], self.games)
        return np.asarray(payoffs_of(games, profiles[fill]))[: len(which)]


def make(intercept, kink):
    return Quantities(jnp.asarray(intercept), jnp.asarray(kink), jnp.asarray([0.1, 0.2, 0.3]))


@pytest.fixture(scope="module")
def swept():
    # intercept 0.35: the costly firm is out; 2: all at their bounds; the kink holds firms at 0.25
    InBatches.asked = 0
    return sweep(make, {"intercept": [0.35, 0.9, 1.3, 3.5], "kink": [0.0, 0.3]}, progress=False), InBatches.asked


def test_closed_form_of_cournot_inside_and_at_both_bounds(swept):
    q = swept[0].strategies.isel(action=0).sel(kink=0.0)
    np.testing.assert_allclose(q.sel(intercept=1.3), (1.3 + 0.6 - 4 * np.array([0.1, 0.2, 0.3])) / 4, atol=1e-6)
    np.testing.assert_allclose(q.sel(intercept=0.35), [(0.35 + 0.3 - 0.3) / 3, (0.35 + 0.3 - 0.6) / 3, 0], atol=1e-6)
    np.testing.assert_allclose(q.sel(intercept=3.5), np.array([0.9, 0.8, 0.7]) - 0.0, atol=0.31)
    assert (swept[0].status == int(Status.converged)).all()


def test_agrees_with_one_by_one(swept):
    for point in swept[0].stack(point=("intercept", "kink")).transpose("point", ...).point.values:
        ds = swept[0].sel(intercept=point[0], kink=point[1])
        alone = solve(make(*point))
        np.testing.assert_allclose(ds.strategies.values[:, 0], jnp.concatenate(alone.strategies), atol=2e-5)
        np.testing.assert_allclose(ds.payoffs, alone.payoffs, atol=1e-6)


def test_smooth_games_ask_for_few_payoffs(swept):
    InBatches.asked = 0
    sweep(make, {"intercept": np.linspace(0.9, 1.3, 50), "kink": [0.0]}, progress=False)
    assert InBatches.asked / 50 < 200


def test_a_game_without_equilibrium_is_a_cycle():
    def no_equilibrium(intercept):
        return Matching(jnp.asarray(intercept), jnp.asarray(0.0), jnp.zeros(2), ("one", "two"))

    ds = sweep(no_equilibrium, {"intercept": [1.0, 2.0]}, progress=False)
    alone = solve(no_equilibrium(1.0), throw=False)
    assert int(alone.status) == int(Status.cycle)
    assert (ds.status == int(Status.cycle)).all()


def test_without_steps_the_start_is_certified():
    ds = sweep(make, {"intercept": [1.3], "kink": [0.0]}, start=0.1, max_steps=0, progress=False)
    np.testing.assert_array_equal(ds.strategies.values.ravel(), 0.1)
    assert int(ds.status.values.item()) == int(Status.max_steps)
    assert float(ds.max_regret.values.item()) > 0.01


def test_other_algorithms_take_their_own_way():
    InBatches.asked = 0
    ds = sweep(make, {"intercept": [1.3], "kink": [0.0]}, BestResponse(damping=0.5), progress=False)
    assert InBatches.asked == 0
    assert int(ds.status.values.item()) == int(Status.converged)


def test_no_more_steps_than_asked_for():
    InBatches.asked = 0
    ds = sweep(make, {"intercept": [0.9, 1.3], "kink": [0.0]}, start=1.0, max_steps=1, progress=False)
    assert (ds.num_steps == 1).all()
    assert (ds.status == int(Status.max_steps)).all()


def test_a_corner_with_a_kink_is_found_from_itself():
    """B/(3c) = 2/3 inside; at 1 whoever relaxes alone faces the slope B 3^(-1/4) > c."""

    def leaks(intercept, kink):
        return Leaks(jnp.asarray(intercept), jnp.asarray(kink), jnp.zeros(3))

    ds = sweep(leaks, {"intercept": [2.0], "kink": [1.0]}, starts=[0.0, 1.0], progress=False)
    assert int(ds.num_equilibria.item()) == 2
    np.testing.assert_allclose(ds.strategies.values.ravel(), 2 / 3, atol=1e-5)
    np.testing.assert_array_equal(ds.strategies_2.values.ravel(), 1.0)


class Contest(Quantities):
    """Tullock's: nothing is known of payoffs where nobody tries. The equilibrium, a quarter of the prize, is close to there."""

    def payoffs(self, profile):
        q = jnp.concatenate(profile)
        return self.intercept * q / q.sum() - q


def test_payoffs_that_are_not_finite_at_a_profile_looked_at():
    def contest(prize):
        return Contest(prize, jnp.asarray(0.0), jnp.zeros(2), ("one", "two"))

    ds = sweep(contest, {"prize": [0.05, 0.5]}, progress=False)
    assert (ds.status == int(Status.converged)).all()
    np.testing.assert_allclose(ds.strategies.isel(action=0), [[0.0125] * 2, [0.125] * 2], atol=1e-4)
