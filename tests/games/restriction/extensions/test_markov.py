"""The Markov-perfect game: its limits are the base game, and its values against code that shares nothing with the search."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose

from games.restriction import RestrictionGame, outcomes
from games.restriction.demand import SOVEREIGN
from games.restriction.extensions import bellman, markov
from games.restriction.extensions.foresight import spread
from games.restriction.extensions.markov import markov_perfect

GAME = RestrictionGame(challengers=("CN", "TW"), challenger_bloc=("CN", "TW"), consortium=())
R, DISCOUNT = 0.5, 0.9


@pytest.fixture(scope="module")
def solved():
    return markov_perfect(GAME, R, discount=DISCOUNT, points=2)


@pytest.fixture(scope="module")
def parts():
    """The plan behind ``solved``, and the numbers of its game."""
    p, r, lags = markov._prepared(GAME, R, 1.0, DISCOUNT, 2)
    m = markov._markets(p, r, lags.state)
    found = markov._solve(p, m, lags, np.zeros(3))
    table = {k: np.asarray(v) for k, v in markov._measures(p, r, m, found.value.stage, found.residual).items()}
    return p, lags, found.value, markov._plan_of(p, m, found.value, table)


def static(game, lags):
    """The base game over one period from ``lags``, the open community at rest."""
    p = game.parameters
    pool = 0.3 + 0.7 * (1 - R) * np.sqrt(np.mean(np.exp(-2 * np.asarray(p.incumbent_lag))))
    rest = (1 - p.open_effort) / (p.open_absorption * pool)
    return outcomes(game.replace(horizon=1.0, starting_lag=lags, open_starting_lag=rest), R)


def test_weights_are_a_mean_preserving_spread_and_agree():
    grid, z = np.array([[0.0, 0.5, 1.0, 1.5, 2.0]]), np.linspace(0.25, 1.75, 40)
    found = np.asarray(spread(z[:, None], grid))[:, 0]
    assert_allclose(found, bellman.weights(z, grid[0]), atol=1e-12)
    assert_allclose(found.sum(axis=1), 1)
    assert_allclose(found @ grid[0], z)
    assert_allclose(found @ grid[0] ** 2 - z**2, 0.5**2 / 4)
    ends = np.array([-1.0, 0.0, 0.1, 2.0, 3.0])
    assert_allclose(spread(ends[:, None], grid)[:, 0], bellman.weights(ends, grid[0]), atol=1e-12)


def test_without_a_future_it_is_the_base_game_in_every_state():
    ds = markov_perfect(GAME, R, discount=0.0, points=2)
    for s in (0, 3):
        one = static(GAME, ds.lag[s].values)
        assert_allclose(ds.mix[s], one.mix, atol=1e-6)
        assert_allclose(ds.effort[s], one.effort, atol=1e-6)
    worth = GAME.parameters.sigma * np.log(np.exp(ds.strategy_payoff / GAME.parameters.sigma).sum("strategy"))
    assert_allclose(ds.value, worth, atol=1e-7)


def test_with_one_state_it_is_the_base_games_logit_equilibrium():
    """Nothing that is done moves the lags, so the future weighs on all strategies alike; values are a geometric sum."""
    ds = markov_perfect(GAME, R, discount=DISCOUNT, points=1)
    one = static(GAME, GAME.parameters.starting_lag)
    assert_allclose(ds.mix[0], one.mix, atol=1e-6)
    assert_allclose(ds.effort[0], one.effort, atol=1e-6)
    sigma = float(GAME.parameters.sigma)
    assert_allclose(
        ds.value[0], sigma * np.log(np.exp(one.strategy_payoff / sigma).sum("strategy")) / (1 - DISCOUNT), rtol=1e-7
    )


def test_it_is_certified_from_every_start(solved):
    assert solved.certified.all()
    assert (solved.regret < 1e-6).all()
    assert solved.attrs["num_equilibria"] == 1
    assert (solved.one_shot_gain >= -1e-9).all()


def test_the_bellman_equation(solved, parts):
    """Values of the search are those of following the plan for ever; choices are logit in them."""
    _, lags, plan, numbers = parts
    assert_allclose(plan.value, solved.value, atol=1e-6)
    arrive = bellman.arrivals(np.asarray(lags.state), numbers["effort"], 3, lags)
    each = np.einsum("sja,sjak->sjk", numbers["mix"], arrive)
    sigma, value = float(GAME.parameters.sigma), solved.value.values
    for s in range(4):
        first = arrive[s, 0] @ (value[:, 0].reshape(2, 2) @ each[s, 1])
        v = numbers["payoff"][s, 0] + DISCOUNT * first
        assert_allclose(np.exp(v / sigma) / np.exp(v / sigma).sum(), solved.mix[s, 0], atol=1e-7)


def test_transitions_against_an_enumeration(parts):
    _, lags, _, numbers = parts
    arrive = bellman.arrivals(np.asarray(lags.state), numbers["effort"], 3, lags)
    T = np.zeros((4, 4))
    for s, a, b in itertools.product(range(4), range(3), range(3)):
        chance = numbers["mix"][s, 0, a] * numbers["mix"][s, 1, b]
        for i, k in itertools.product(range(2), range(2)):
            T[s, 2 * i + k] += chance * arrive[s, 0, a, i] * arrive[s, 1, b, k]
    assert_allclose(bellman.transitions(numbers["mix"], arrive), T, atol=1e-14)


def test_no_plan_of_a_grid_is_better(solved, parts):
    """All 10,000 plans of CN on a grid of mixes in four states, the other's given; and plans near the equilibrium's."""
    _, lags, _, numbers = parts
    sigma = float(GAME.parameters.sigma)
    arrive = bellman.arrivals(np.asarray(lags.state), numbers["effort"], 3, lags)
    other = np.einsum("sa,sak->sk", numbers["mix"][:, 1], arrive[:, 1])
    T = np.einsum("sai,sk->saik", arrive[:, 0], other).reshape(4, 3, 4)
    corners = [np.array([i, j, 6 - i - j]) / 6 for i, j in itertools.product((0, 2, 4, 6), repeat=2) if i + j <= 6]
    plans = np.array(list(itertools.product(np.clip(corners, 1e-12, 1), repeat=4)))
    near = numbers["mix"][:, 0] * np.exp(0.01 * np.random.default_rng(0).normal(size=(500, 4, 3)))
    plans = np.concatenate([plans, near / near.sum(axis=2, keepdims=True)])
    flow = (plans * (numbers["payoff"][:, 0] - sigma * np.log(plans))).sum(axis=2)
    value = np.linalg.solve(np.eye(4) - DISCOUNT * np.einsum("nsa,sat->nst", plans, T), flow[..., None])[..., 0]
    assert len(plans) == 10_500
    assert (value <= solved.value.values[:, 0] + 1e-8).all()
    assert_allclose(value[10_000:].max(axis=0), solved.value.values[:, 0], atol=0.01)


@pytest.mark.parametrize("what", ["mix", "effort"])
def test_another_plan_is_not_certified(parts, what):
    p, lags, _, numbers = parts
    changed = dict(numbers)
    if what == "mix":
        changed["mix"] = 0.9 * numbers["mix"] + 0.1 / 3
    else:  # what it earns at that effort stays to be paid for
        effort = numbers["effort"] + 0.1
        y = numbers["markup"] - 1
        more = bellman.wrightomega(y + np.log(y) + numbers["slope"] * 0.1).real
        earned = ((more - y) * numbers["scale"][:, None]).sum(axis=2) - numbers["cost"] * (
            effort**2 - numbers["effort"] ** 2
        ) / 2
        payoff = numbers["payoff"].copy()
        payoff[:, :, SOVEREIGN] += earned
        changed |= {"effort": effort, "markup": 1 + more, "payoff": payoff}
    gain = bellman.one_shot_gain(changed, lags, float(p.sigma))[1]
    assert gain.max() > 1e-3


def test_foresight_raises_effort_and_the_path_is_a_distribution(solved):
    assert (solved.effort[0] > static(GAME, solved.lag[0].values).effort).all()
    assert_allclose(solved.probability.sum("state"), 1)
    assert_allclose(solved.expected_lag[0], GAME.parameters.starting_lag, rtol=0.2)
    arrive = bellman.arrivals(
        solved.lag.values, solved.effort.values, 3, markov._prepared(GAME, R, 1.0, DISCOUNT, 2)[2]
    )
    T = bellman.transitions(solved.mix.values, arrive)
    assert_allclose(solved.long_run.values @ T, solved.long_run, atol=1e-10)
    assert_allclose(solved.probability[0].values @ T, solved.probability[1], atol=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"points": 0}, "points"), ({"points": 40}, "at most 1024 states"), ({"discount": 1.0}, "discount"),
        ({"period": 0.0}, "period"), ({"restriction": 2.0}, "restriction"),
    ],
)  # fmt: skip
def test_bad_input(options, words):
    with pytest.raises(ValueError, match=words):
        markov_perfect(GAME, **options)


def test_other_games_are_refused():
    with pytest.raises(ValueError, match="'fast'"):
        markov_perfect(RestrictionGame(mode="exact"))
    with pytest.raises(ValueError, match="open_absorption"):
        markov_perfect(GAME.replace(open_absorption=0.0))
