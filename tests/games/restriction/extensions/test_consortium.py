"""Consortia: the base game where nobody pools, the pooled lag by enumeration, and who joins whom."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from games.restriction import RestrictionGame
from games.restriction.challengers import solve_stage
from games.restriction.demand import SOVEREIGN, market
from games.restriction.extensions.consortium import consortium_game, identical_firms, stable_consortia
from games.restriction.extensions.linked import LinkedGame, linked_play
from games.restriction.frontier import fast_play
from games.restriction.outcomes import sovereign_lag
from solver import solve

GAME = RestrictionGame(pool=0.0)
TW = ("TW 1", "TW 2")
R = jnp.full((3, 1), 0.4)


def play(game, restriction=R):
    return linked_play(game.game.parameters, restriction, game.link)


@pytest.fixture(scope="module")
def pooled():
    game = consortium_game(GAME, [TW], scale=0.7, coordination_cost=0.02)
    return game, play(game)


def test_without_a_consortium_it_is_the_base_game():
    alone, base = play(consortium_game(GAME, [])), fast_play(GAME.parameters, R)
    for name in ("mix", "effort", "payoff", "incumbent_payoff", "log_aggregate"):
        assert_allclose(getattr(alone, name), getattr(base, name), atol=1e-7, err_msg=name)
    assert alone.converged


def test_the_programme_costs_less_and_the_base_pool_is_closed(pooled):
    p = pooled[0].game.parameters
    assert_allclose(p.programme_cost, [0.6, 0.6, 0.6 * 2**-0.7 + 0.02, 0.6 * 2**-0.7 + 0.02])
    assert p.pool == 0


def test_the_lag_is_the_mean_over_which_mates_are_sovereign(pooled):
    game, found = pooled
    p, x, chance = game.game.parameters, np.asarray(found.effort), np.asarray(found.mix[:, SOVEREIGN])
    m = market(p, R, jnp.ones(()))
    for j, mate in ((2, 3), (3, 2)):
        effort = sum(
            (chance[mate] if there else 1 - chance[mate]) * (1 - (1 - x[j]) * (1 - there * x[mate])) for there in (0, 1)
        )
        assert_allclose(sovereign_lag(found)[j], m.lag_at_rest[j] - m.lag_slope[j] * effort, rtol=1e-7)
    assert_allclose(sovereign_lag(found)[:2], (m.lag_at_rest - m.lag_slope * x)[:2], rtol=1e-9)


def test_three_members_by_enumeration():
    """X_j over all eight outcomes of who is sovereign."""
    game = consortium_game(GAME, [("CN 1", *TW)])
    found = play(game)
    x, chance, m = np.asarray(found.effort), np.asarray(found.mix[:, SOVEREIGN]), market(game.game.parameters, R, 1.0)
    members, j, total = (0, 2, 3), 2, 0.0
    for there in itertools.product((0, 1), repeat=2):
        weight, left = 1.0, 1 - x[j]
        for k, is_there in zip((k for k in members if k != j), there, strict=True):
            weight *= chance[k] if is_there else 1 - chance[k]
            left *= 1 - is_there * x[k]
        total += weight * (1 - left)
    assert_allclose(sovereign_lag(found)[j], m.lag_at_rest[j] - m.lag_slope[j] * total, rtol=1e-7)


def test_the_stage_is_the_base_games_in_the_linked_market(pooled):
    game, found = pooled
    stage = jax.jit(solve_stage)(game.game.parameters, found.market)
    assert stage.converged
    assert_allclose(stage.value.mix, found.mix, atol=1e-7)
    assert_allclose(stage.value.effort, found.effort, atol=1e-7)


def test_identical_firms_are_at_the_mean():
    p = identical_firms(RestrictionGame(), "TW", 2).parameters
    assert p.challengers == ("CN 1", "CN 2", *TW)
    assert_allclose(p.starting_lag, [0.6, 0.6, 0.95, 0.95])
    assert p.consortium == ()


def test_who_forms_what():
    """Cheap and scale economies: all together. No economies of scale and a high cost of coordination: each alone."""
    for scale, cost, size in ((1.0, 0.0, 2), (0.0, 0.5, 1)):
        ds = stable_consortia(GAME, (0.0, 0.4), firms=2, scale=scale, coordination_cost=cost)
        assert ds.converged.all()
        assert ds.stable.sel(size=size).all()
        assert not ds.stable.sel(size=3 - size).any()
        assert (ds.first_size == size).all()
    assert_allclose(ds.payoff.sel(partition="1-1").std("firm"), 0, atol=1e-7)


def test_incumbents_answer_the_consortium(pooled):
    game = pooled[0]
    found = solve(game, start=(jnp.zeros(1),) * 3)
    assert found.converged  # with the regret measured
    assert_allclose(found.payoffs, play(game, jnp.stack(found.strategies)).incumbent_payoff, rtol=1e-7)
    assert 0 < found.strategies[0][0] < 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: consortium_game(GAME, [("TW 1", "TW 9")]), "name each member once"),
        (lambda: consortium_game(GAME, [TW], scale=2.0), "scale = 2.0"),
        (lambda: consortium_game(GAME, [TW], coordination_cost=-1.0), "coordination_cost = -1.0"),
        (lambda: stable_consortia(GAME, firms=9), "firms = 9"),
        (lambda: stable_consortia(GAME, (2.0,)), "restrictions"),
        (lambda: identical_firms(GAME, "XX", 2), "bloc = 'XX'"),
        (lambda: LinkedGame(RestrictionGame(mode="exact"), None), "mode = 'exact'"),  # type: ignore[arg-type]
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()
