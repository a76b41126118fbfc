"""Leaders and followers in general: Stackelberg's numbers, selections, a jump without a best reply, cycles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from small_games import Pursuit, adopters

from games.oligopoly import Cournot, Stackelberg
from solver import Box, LeaderFollowerGame, Newton, Status, best_reply_cycle, comparative_statics, solve, supremum


def followers_market(market, profile):
    return Cournot(
        a=market["a"] - market["b"] * jnp.concatenate(profile).sum(), b=market["b"], c=market["c"], players=2
    )


def leaders_profit(market, profile, followers):
    q, total = jnp.concatenate(profile), jnp.concatenate([*profile, *followers]).sum()
    return (market["a"] - market["b"] * total - market["c"]) * q


def quantity_game(algorithm):
    market = {"a": jnp.asarray(100.0), "b": jnp.asarray(1.0), "c": jnp.asarray(10.0)}
    spaces = (Box(0.0, 44.0),) * 2  # so that the followers' market is never empty
    return LeaderFollowerGame(("one", "two"), spaces, market, followers_market, leaders_profit, algorithm=algorithm)


def adopt(selection):
    """A leader pays 0.3 for each unit of t above −1.5, and earns what the followers adopt on average."""
    return LeaderFollowerGame(
        ("leader",),
        (Box(-1.5, 0.5),),
        {"cost": jnp.asarray(0.3)},
        lambda parameters, profile: adopters(profile[0][0]),
        lambda p, profile, followers: jnp.concatenate(followers).mean() - p["cost"] * (profile[0] + 1.5),
        starts=[([0.0], [0.0]), ([1.0], [1.0])],
        selection=selection,
    )


@pytest.fixture(scope="module")
def stackelberg():
    game = quantity_game(Newton())
    return game, solve(game, Newton())


def test_two_leaders_and_two_followers(stackelberg):
    """Sherali (1984): a = 100, b = 1, c = 10, m = J = 2: 30 and 10, each leader's profit 10·30."""
    game, solution = stackelberg
    assert_allclose(jnp.concatenate(solution.strategies), 30, atol=1e-6)
    followers = game.followers(solution.strategies)
    assert followers.converged
    assert_allclose(jnp.concatenate(followers.strategies), 10, atol=1e-6)
    assert_allclose(solution.payoffs, 300, atol=1e-6)


def test_its_derivatives_go_through_the_followers(stackelberg):
    """q_L = (a − c)/(b(m + 1)), and q_F = q_L/(J + 1)."""

    def outputs(game, strategies):
        return {"quantity": game.followers(strategies).strategies[0][0]}

    table = comparative_statics(*stackelberg, outputs=outputs).sel(parameter="parameters['a']")
    assert_allclose(table.strategies, 1 / 3, atol=1e-8)
    assert_allclose(table.quantity, 1 / 9, atol=1e-8)


def test_best_replies_find_the_followers_too(stackelberg):
    profile = stackelberg[1].strategies
    followers = quantity_game(None).followers(profile)
    model = Stackelberg(num_followers=2, players=2)
    assert_allclose(jnp.concatenate(followers.strategies), model.followers(profile), atol=1e-6)


def test_the_selection_decides():
    """Where both 0 and 1 are equilibria of the followers, the leader's favourite or the other is played."""
    profile = (jnp.array([-0.5]),)
    for selection, share in (("optimistic", 1.0), ("pessimistic", 0.0), (lambda _, found: -found.payoffs.sum(), 0.0)):
        found = adopt(selection).followers(profile)
        assert_allclose(jnp.concatenate(found.strategies), share, atol=1e-9)


@pytest.fixture(scope="module")
def pessimistic():
    return adopt("pessimistic")


def check_supremum(game, rtol):
    """Just above t = 0 all adopt, 1 − 0.3·1.5; at 0 none does: the payoff falls by 1, seen as sharp as followers are found."""
    found = supremum(game, (jnp.array([-1.0]),), 0)
    assert not found.attained
    assert_allclose([found.value, found.jump], [0.55, 1], rtol=rtol)
    assert_allclose(found.at, 0, atol=rtol)
    assert "no best reply" in found.statement
    assert "from above" in found.statement
    assert (np.diff(found.strategies) < 0).all()
    assert (found.payoffs[:10] < 0.55).all()
    assert_allclose(found.payoffs[:10], 0.55 - 0.3 * found.strategies[:10], rtol=rtol)
    return found


def test_where_the_followers_jump_no_best_reply_exists(pessimistic):
    found = check_supremum(pessimistic, 1e-4)
    assert_allclose(found.payoffs.max(), found.value, atol=1e-4)


def test_single_precision():
    with jax.enable_x64(False):
        check_supremum(adopt("pessimistic"), 1e-2)


def test_a_supremum_that_is_attained(stackelberg):
    """Against 30 of the other leader, 30 is the best reply, with 300."""
    game, solution = stackelberg
    found = supremum(game, solution.strategies, 1)
    assert found.attained
    assert_allclose([found.value, found.at], [300, 30], atol=1e-4)
    assert found.statement == "two attains 300 at 30"


def test_the_cycle_is_reported():
    game = Pursuit(jnp.asarray(1.0))
    solution = solve(game, throw=False)
    assert int(solution.status) == Status.cycle
    path = best_reply_cycle(game, solution)
    assert len(path[0]) == int(solution.cycle_length) == 2
    assert_allclose(np.sort(path[0][:, 0]), [0, 1], atol=1e-6)
    assert_allclose(path[1], path[0], atol=1e-6)  # the pursuer moves second


def test_bad_input_is_named(stackelberg):
    game, solution = stackelberg
    with pytest.raises(ValueError, match="selection = 'best'"):
        adopt("best")
    with pytest.raises(ValueError, match="spaces has 1 sets"):
        LeaderFollowerGame(("a", "b"), (Box(0, 1),), None, None, None)
    with pytest.raises(ValueError, match="status converged"):
        best_reply_cycle(game, solution)
    with pytest.raises(ValueError, match="player = 2"):
        supremum(game, solution.strategies, 2)
