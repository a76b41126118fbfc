"""The game against methods that share nothing with it: PyBLP's prices, a grid of restrictions, differences, the text."""

import warnings
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from games.restriction import RestrictionGame
from games.restriction.demand import SOVEREIGN
from games.restriction.frontier import fast_play, play_at_mix
from games.restriction.prior import PRIOR, draw_worlds, world
from solver import BestResponse, solve
from solver.compilation import jit_once
from tests import direct

DRAWS = draw_worlds(40, seed=17)


@pytest.fixture(scope="module")
def pyblp():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("pyblp")
    module.options.verbose = False
    return module  # in no extra: its wheel brings a package "tests", which hides this directory


def bertrand_prices(pyblp, market, firm, value, cost):
    """Equilibrium prices under logit demand v - p with an outside good of utility 0 (Conlon and Gortmaker 2020)."""
    data = {"market_ids": market, "firm_ids": firm, "value": value, "prices": np.zeros(len(value))}
    simulation = pyblp.Simulation(
        product_formulations=pyblp.Formulation("0 + prices + value"), product_data=data, beta=[-1, 1], xi=0 * value
    )
    found = simulation.replace_endogenous(costs=cost, iteration=pyblp.Iteration("simple", {"atol": 1e-13}))
    return found.product_data.prices[:, 0]


held = jit_once(lambda game, r, mix: play_at_mix(game.parameters, r, mix, exact=False))


def test_prices_of_realised_markets_are_pyblps(pyblp):
    """Seven single-product firms in the six cells of four draws, every challenger sure of a strategy, no wholesale margin."""
    rng = np.random.default_rng(0)
    rows, ours = [], []
    for draw in range(4):
        keywords = world(DRAWS, draw) | {"wholesale_cost": DRAWS["wholesale_price"][draw], "appropriability": 0}
        game, r, chosen = RestrictionGame(**keywords), rng.uniform(size=3), rng.integers(3, size=4)
        play, w = held(game, jnp.asarray(r)[:, None], jnp.asarray(np.eye(3)[chosen])), direct.world(game.parameters, r)
        p = w.p
        for m in range(w.M):
            for i in range(w.I):
                rows.append((f"{draw}-{m}", i, np.log(w.t_incumbent[i, m] / w.H0[m]), p.incumbent_cost[i]))
                ours.append(float(p.incumbent_cost[i]) + float(play.incumbent_markup[i, m]))
            for j, a in enumerate(chosen):
                lifted = (a == SOVEREIGN) * w.beta[m] * w.D[j] * float(play.effort[j])
                cost = (p.wholesale_price + p.client_cost[j], p.sovereign_cost[j], p.applied_cost[j])[a]
                rows.append((f"{draw}-{m}", w.I + j, np.log(w.t_rest[j, a, m] / w.H0[m]) + lifted, cost))
                ours.append(float(cost) + float(play.challenger_markup[j, a, m]))
    market, firm, log_type, cost = (np.array(column) for column in zip(*rows, strict=True))
    cost = cost.astype(float)
    theirs = bertrand_prices(pyblp, market, firm, log_type + cost, cost)  # α = 1: v = ln t + c
    np.testing.assert_allclose(ours, theirs, atol=1e-7)
    assert np.ptp(theirs) > 0.5


def test_type_aggregation_of_multi_product_firms(pyblp):
    """A firm's products share one markup, that of a firm whose type is their sum: PyBLP's own multi-product prices."""
    rng = np.random.default_rng(1)
    firm = np.array([0, 0, 1, 2, 2, 2, 3])
    value, cost = rng.normal(1.5, 1, 7), rng.uniform(0, 1, 7)
    price = bertrand_prices(pyblp, np.zeros(7), firm, value, cost)
    merged = bertrand_prices(
        pyblp, np.zeros(4), np.arange(4), np.log(np.bincount(firm, np.exp(value - cost))), np.zeros(4)
    )
    np.testing.assert_allclose(price - cost, merged[firm], atol=1e-8)


GRID = np.linspace(0, 1, 41)


@jit_once
def duopoly_payoffs(game, r):
    return jax.vmap(lambda at: game.payoffs((at[:1], at[1:])))(r)


HOME_BIAS = np.array([[0.4, -2.5, 0], [-1.5, 0.6, -0.5], [-0.8, -1.5, 0.4]])
NOWHERE = np.array([[0.0], [-60.0], [-60.0]])  # a bloc whose products nobody buys


def peaks(values):
    """Where each row's parabola through its best point and the neighbours has its top, on GRID."""
    best = values.argmax(axis=1)
    k = np.clip(best, 1, len(GRID) - 2)
    left, mid, right = (values[np.arange(len(values)), k + i] for i in (-1, 0, 1))
    shift = np.clip((left - right) / (2 * (left - 2 * mid + right)), -1, 1)
    inside = (best > 0) & (best < len(GRID) - 1)
    return np.where(inside, GRID[k] + shift / 40, GRID[best])


def mutual_replies(table):
    """Profiles at which both best replies, read off the grid, meet; and whether the replies lead back to them.

    Mutual best replies among grid points alone would not do: where a reply's slope is near 1 they come in false bands.
    """
    reply_0, reply_1 = peaks(table[..., 0].T), peaks(table[..., 1])
    x = np.linspace(0, 1, 4001)
    gap = np.interp(np.interp(x, GRID, reply_1), GRID, reply_0) - x
    inner = np.flatnonzero((gap[:-1] > 0) != (gap[1:] > 0))
    inner = [k for k in inner if abs(gap[k + 1] - gap[k]) < 0.01]  # a reply that jumps over the other is no meeting
    ends = [k for k in (0, len(x) - 1) if gap[k] == 0]
    at = sorted({*inner, *ends})
    profiles = np.array([[x[k], np.interp(x[k], GRID, reply_1)] for k in at])
    return profiles, np.array([k in ends or gap[k] > 0 for k in at])


@pytest.mark.parametrize(
    "changes",
    [
        {"home_bias": HOME_BIAS + NOWHERE, "query_price": 0, "enforcement_cost": 2.5},  # as good as no challenger
        {"home_bias": HOME_BIAS + NOWHERE * [[0], [0], [1]], "query_price": 0, "enforcement_cost": 2.5},  # one
        {},
        {"enforcement_cost": 1.6, "rho": 6},
        {"enforcement_cost": 2.5},
    ],
)
def test_nash_against_a_grid(changes):
    """Two incumbents on 41 x 41 restrictions, up to two challengers whose products are bought.

    At a certified equilibrium no deviation on the grid gains; it is a meeting of the grid's best replies; and every such
    meeting to which replies lead is found from 0, ½ or 1.
    """
    game = RestrictionGame(incumbent_bloc=("US", "US"), challenger_bloc=("CN", "TW"), consortium=(), **changes)
    at = np.stack(np.meshgrid(GRID, GRID, indexing="ij"), axis=-1)
    table = np.asarray(duopoly_payoffs(game, jnp.asarray(at.reshape(-1, 2)))).reshape(41, 41, 2)
    meetings, stable = mutual_replies(table)
    found = []
    for start in (0.0, 0.5, 1.0):
        solution = solve(game, BestResponse(), start=(jnp.full(1, start),) * 2, throw=False)
        assert bool(solution.converged)
        end = np.concatenate(solution.strategies)
        deviations = np.concatenate([[end], *([np.where(np.arange(2) == i, x, end) for x in GRID] for i in (0, 1))])
        padded = np.resize(deviations, (len(GRID) ** 2, 2))  # the table's shape: nothing is compiled again
        payoffs = np.asarray(duopoly_payoffs(game, jnp.asarray(padded)))[: len(deviations)]
        for i in (0, 1):
            assert payoffs[1 + 41 * i : 42 + 41 * i, i].max() - payoffs[0, i] <= 1e-6 * np.ptp(payoffs[:, i])
        found.append(end)
    apart = np.abs(meetings[:, None] - np.array(found)).max(axis=2)  # (meeting, start)
    assert (apart.min(axis=0) < 0.02).all()
    assert (apart.min(axis=1)[stable] < 0.02).all()


MOVED = ("sigma", "outside_knowledge", "effort_cost", "appropriability")


@eqx.filter_jit
def whole(game, r, values, directions):
    """γ, the mixes and the incumbents' payoffs with some parameters replaced, and their derivatives along directions."""

    def outcome(r, values):
        moved = eqx.tree_at(lambda g: [getattr(g.parameters, name) for name in MOVED], game, list(values))
        followers = moved.followers(tuple(r))
        return followers.gamma, followers.mix, moved.leader_payoffs(tuple(r), followers)

    return jax.jvp(outcome, (r, values), directions)


@pytest.mark.parametrize("along", ["r", *MOVED])
def test_slopes_of_the_payoffs(along):
    """Forward derivatives of γ, mixes and leaders' payoffs where the frontier responds, against central differences."""
    game = RestrictionGame(**world(DRAWS, int(np.argmax(DRAWS["appropriability"] > 0.4))))
    at = (jnp.asarray([[0.3], [0.6], [0.1]]), tuple(getattr(game.parameters, name) for name in MOVED))
    one = (jnp.ones((3, 1)), tuple(jnp.ones_like(value) for value in at[1]))
    names = (jnp.asarray(float(along == "r")), tuple(jnp.asarray(float(along == name)) for name in MOVED))
    direction = jax.tree.map(jnp.multiply, one, names)
    _, got = whole(game, *at, direction)
    step = 1e-2 if along == "effort_cost" else 1e-4
    moved = [jax.tree.map(lambda a, d, h=h: a + h * d, at, direction) for h in (step, -step)]
    up, down = (whole(game, *there, direction)[0] for there in moved)
    for slope, above, below in zip(got, up, down, strict=True):
        assert np.abs(slope).max() > 1e-5
        np.testing.assert_allclose(slope, (above - below) / (2 * step), rtol=1e-3, atol=2e-5)


# model.md §10, entered by hand: low, high, and "log" where it says so
RANGES = {
    ("base_value", "G"): (1, 3), ("base_value", "V"): (0.8, 2.8),
    ("lag_slope", "G"): (0.8, 3), ("lag_slope", "V"): (0.3, 1.8),
    ("user_harm", None): (0, 0.2), ("client_degradation", None): (0, 0.5), ("distrust", None): (0, 0.5),
    ("niche_applied", None): (0, 1.8), ("niche_client", None): (0, 1.2), ("niche_sovereign", None): (0, 0.8),
    ("applied_penalty", None): (0.2, 1.5), ("home_trust", None): (0, 0.6), ("wholesale_price", None): (1.1, 2.2),
    ("sigma", None): (0.2, 1, "log"), ("fee_share", None): (0, 0.8), ("enforcement_cost", None): (0.05, 2, "log"),
    ("detection_sharing", None): (0, 0.5), ("appropriability", None): (0, 1),
    ("outside_knowledge", None): (0.1, 0.7), ("rho", None): (1, 12, "log"),
    ("bite", "CN"): (0.3, 1), ("bite", "TW"): (0.6, 1),
    ("absorption", "CN"): (0.5, 1.6), ("absorption", "TW"): (0.4, 1.3), ("open_absorption", None): (0.7, 2),
    ("open_effort", None): (0.2, 0.6), ("effort_cost", "CN"): (10, 60, "log"), ("effort_cost", "TW"): (0.9, 1.6),
    ("programme_cost", None): (0.3, 3, "log"), ("subsidy", "CN"): (0, 0.6), ("subsidy", "TW"): (0, 0.6),
    ("open_handicap", None): (0, 1.2), ("open_cost", None): (0.4, 1.2), ("query_price", None): (0.005, 0.3, "log"),
    ("pool", None): (0, 1), ("horizon", None): (2, 8),
}  # fmt: skip


def test_the_prior_is_the_texts():
    got = {(row.parameter, row.group): (row.low, row.high, *(["log"] if row.log else [])) for row in PRIOR}
    assert got == RANGES
    assert {row.parameter: row.zero for row in PRIOR if row.zero} == {"appropriability": 0.5}
    assert {row.parameter: row.times for row in PRIOR if row.times} == {"effort_cost": "CN"}


@jax.jit
@partial(jax.jacrev, argnums=1)
def backwards(p, t):
    """dγ/dr and dΠ_0/dr of a common restriction, in reverse."""
    found = fast_play(p, jnp.full((3, 1), t))
    return jnp.stack([found.gamma, found.incumbent_payoff[0]])


@pytest.mark.parametrize("r", [0.0, 0.3])
def test_slopes_through_the_frontier(r):
    """dγ/dr and dΠ/dr against differences, also at r = 0 where γ = 1 takes no search; both modes agree."""
    game = RestrictionGame(appropriability=0.5)
    still = tuple(getattr(game.parameters, name) for name in MOVED)
    along = (jnp.ones((3, 1)), jax.tree.map(jnp.zeros_like, still))

    def play(t):
        (gamma, _, payoffs), (gamma_slope, _, slopes) = whole(game, jnp.full((3, 1), t, float), still, along)
        return np.array([gamma, payoffs[0]]), np.array([gamma_slope, slopes[0]])

    h = 1e-4
    ahead = (-3 * play(r)[0] + 4 * play(r + h)[0] - play(r + 2 * h)[0]) / (2 * h)
    forward = play(r)[1]
    np.testing.assert_allclose(forward, ahead, rtol=1e-6)
    np.testing.assert_allclose(backwards(game.parameters, r), forward, rtol=1e-9)
