"""Channels of restriction: one alone is the base game, the first-order condition, and the regimes it implies."""

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from games.restriction import RestrictionGame
from games.restriction.extensions.channels import CHANNELS, ChannelGame, channel_figure, channel_use
from solver import Status

COSTS, EFFECTS = (0.4, 0.9, 1.6), (0.5, 0.4, 0.3)
GAME = RestrictionGame(
    incumbents=("A", "B"), incumbent_bloc=("US", "US"), incumbent_lag=(0.0, 0.1), challengers=("C",),
    challenger_bloc=("TW",), cell_region=("TW",), cell_segment=("G",), mass=40.0, distrust=0.0, user_harm=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def used():
    return channel_use(GAME, {"cost_legal": [0.2, 0.8], "effect_technical": [0.2, 0.7]}, cost=COSTS, effect=EFFECTS,
                       starts=[0.0, 1.0])  # fmt: skip


def test_they_are_certified(used):
    assert (used.status == Status.converged).all()
    assert (used.effective_restriction > 0.02).all()


def test_first_order_conditions(used):
    """c r (1 - η r)/η is the same for every channel that is neither unused nor at its limit; y(1 - y) goes as η²/c."""
    interior = 0
    for legal in used.cost_legal.values:
        for technical in used.effect_technical.values:
            one = used.sel(cost_legal=legal, effect_technical=technical)
            cost, effect = np.array([legal, *COSTS[1:]]), np.array([EFFECTS[0], technical, EFFECTS[2]])
            for r in one.strategies.values:
                inside = (r > 1e-3) & (r < 1 - 1e-3)
                interior += inside.sum()
                marginal = (cost * r * (1 - effect * r) / effect)[inside]
                assert_allclose(marginal, np.broadcast_to(marginal[:1], marginal.shape), rtol=2e-3)
    assert interior >= 12


def test_the_regime_is_the_channel_of_highest_effect_squared_over_cost(used):
    effect, cost = np.array([0.2, 0.7]), np.array([0.2, 0.8])
    for i, c in enumerate(cost):
        for k, e in enumerate(effect):
            best = np.argmax([0.5**2 / c, e**2 / 0.9, 0.3**2 / 1.6])
            assert used.mostly_used.values[i, k] == 1 + best, (c, e)
    assert set(np.unique(used.mostly_used)) == {1, 2}


def test_costs_are_charged_with_the_rivals_weighed_in():
    game = GAME.replace(channel_effect=(0.6, 0.6, 0.0), cooperation=0.5)
    r = (jnp.array([0.3, 0.2, 0.1]), jnp.array([0.1, 0.0, 0.4]))
    same = ChannelGame(game, game.parameters.enforcement_cost)
    dear = ChannelGame(game, jnp.array([2.0, 1.0, 3.0]))
    followers = game.followers(r)
    assert_allclose(same.leader_payoffs(r, followers), game.leader_payoffs(r, followers), rtol=1e-12)
    own = -((jnp.array([2.0, 1.0, 3.0]) - game.parameters.enforcement_cost) * jnp.stack(r) ** 2).sum(axis=1) / 2
    moved = dear.leader_payoffs(r, followers) - game.leader_payoffs(r, followers)
    assert_allclose(moved, own + 0.5 * own[::-1], rtol=1e-9)


def test_the_figure(used, tmp_path):
    channel_figure(used).savefig(tmp_path / "channels.pdf")
    assert (tmp_path / "channels.pdf").stat().st_size > 5000
    assert used.mostly_used.attrs["flag_meanings"].split()[1:] == list(CHANNELS)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ChannelGame(GAME, (1.0, 2.0)), "1 channels"), (lambda: ChannelGame(GAME, -1.0), "at least 0"),
        (lambda: channel_use(GAME, {"cost_moral": [1.0]}), "cost_moral"), (lambda: channel_use(GAME, {}), "nothing"),
        (lambda: channel_use(GAME, {"effect_legal": [2.0]}), "effect_legal"),
    ],
)  # fmt: skip
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()
