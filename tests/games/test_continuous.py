"""Models of continuous actions: closed forms satisfy what defines them, are proved, and their neighbours refused."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from numpy.testing import assert_allclose

from games.bertrand import LinearBertrand, LogitBertrand, LoyalBertrand
from games.catalog import CONTINUOUS
from games.congestion import Congestion
from games.contests import Tullock, all_pay_auction, all_pay_equilibrium
from games.hotelling import Hotelling, HotellingPlaces
from games.public_goods import BestShot
from solver import Box, Newton, certify, comparative_statics, find_equilibria, regret, solve
from solver.continuous.conditions import flat, marginal_payoffs
from solver.game import checked_profile

gains_of = eqx.filter_jit(regret)

# every player's strategy as published, or worked out by hand
KNOWN = {
    "linear, (a + bc)/(2b - d(n-1))": (LinearBertrand(), [14 / 3] * 2),
    "linear, no rival": (LinearBertrand(players=1), [14 / 4]),
    "logit, c + mu n/(n-1)": (LogitBertrand(mu=0.5), [1.75] * 3),
    "one nest of all has its own mu": (LogitBertrand(nesting=0.5), [1.75] * 3),
    "two nests of two": (LogitBertrand(nesting=0.5, nests=2, players=4), [1 + 0.8] * 4),
    "every firm a nest of its own": (LogitBertrand(nesting=0.3, nests=3), [2.5] * 3),
    "line, distance squared": (Hotelling(), [1 + 0.7 * (1 - 0.1 / 3), 1 + 0.7 * (1 + 0.1 / 3)]),
    "line, distance": (Hotelling(0.1, 0.1, transport="linear"), [2.0, 2.0]),
    "places": (HotellingPlaces(), [0.0, 0.0]),
    "contest, rv(n-1)/n²": (Tullock(9.0, players=3), [2.0] * 3),
    "contest, r = 2: all of the prize is spent": (Tullock(1.0, 2.0), [0.5] * 2),
    "contest of unequals, v_i² v_j/(v_i + v_j)²": (Tullock((2.0, 1.0)), [4 / 9, 2 / 9]),
    "Pigou's roads, n/(n+1)": (Congestion(players=3), [0.25] * 3),
    "one carrier chooses the optimum": (Congestion(players=1), [0.5]),
    "a road too slow": (Congestion(a1=5.0), [0.0] * 2),
}


@pytest.mark.parametrize(("game", "answer"), KNOWN.values(), ids=KNOWN)
def test_known_answers(game, answer):
    assert_allclose(jnp.concatenate(game.closed_form()), answer, rtol=1e-14)


@pytest.mark.parametrize(
    "name", ["every firm a nest of its own", "contest, r = 2: all of the prize is spent", "a road too slow"]
)
def test_nobody_gains_at_a_bound_or_an_edge(name):
    game, _ = KNOWN[name]
    assert_allclose(gains_of(game, game.closed_form()), 0, atol=1e-14)


# CONTINUOUS's oligopolies in quantities are proved in test_intervals
PROVED = {
    name: entry
    for name, entry in CONTINUOUS.items()
    if not any(word in name for word in ("Cournot", "leaders", "subsidies", "research"))
}


@pytest.mark.parametrize("name", PROVED)
def test_equilibria_are_proved_and_wrong_ones_refused(name):
    entry = PROVED[name]
    game = entry.make()
    epsilon = 1e-3 if "mean" in name else 1e-6  # of powers of effort with a numeric exponent bounds are loose
    space = game.actions()[0]
    exact = checked_profile(game, entry.equilibria(game)[-1])
    right = certify(game, exact, epsilon=epsilon)
    assert right.kind == "proved"
    assert float(right.epsilon) <= epsilon
    if isinstance(space, Box):
        away = 0.1 * (space.upper - space.lower)
        moved = jnp.where(exact[0] + away <= space.upper, exact[0] + away, exact[0] - away)
    else:
        moved = jnp.eye(space.num_actions)[0]
    wrong = certify(game, (moved, *exact[1:]), epsilon=epsilon)
    assert wrong.kind == "refuted"
    assert float(wrong.epsilon) > epsilon


SMOOTH = {
    "linear prices": lambda t: LinearBertrand(12 * t, 2 * t, t**2, t),
    "logit": lambda t: LogitBertrand(t, 0.5 * t, 0.9 * t),
    "nested logit": lambda t: LogitBertrand(t**2, 0.5 * t, 0.5 * t, nests=2, players=4),
    "line": lambda t: Hotelling(0.1 * t, 0.2 * t**2, t, t),
    "contest": lambda t: Tullock(jnp.stack([2 * t, t**3]), 0.8 * t),
    "roads": lambda t: Congestion(t, 0.1 * t, 0.9 * t**2, t, 0.2 * t),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_closed_forms_have_the_right_derivatives(name):
    """First-order conditions hold along t, so their derivative along the closed form vanishes; in single precision too."""
    make = SMOOTH[name]

    def conditions(t):
        game = make(t)
        return marginal_payoffs(game, flat(game.closed_form()))

    value, slope = jax.jit(lambda t: jax.jvp(conditions, (t,), (t,)))(jnp.asarray(1.0))
    assert_allclose(value, 0, atol=1e-14)
    assert_allclose(slope, 0, atol=1e-8)
    with jax.enable_x64(False):
        assert_allclose(jax.jit(conditions)(jnp.float32(1.0)), 0, atol=3e-6)


def common_effort(game):
    return (jnp.atleast_1d(game.benefit * (1 + 2 * game.cooperation) / (3 * game.cost)),) * 3


SOLVED = {
    "two leaders, two followers": None,
    "export subsidies": None,
    "prices, nested logit": None,
    "prices on a line": None,
    "contest of unequals": None,
    "Pigou's roads": None,
    "public good, mean": common_effort,
}


@pytest.mark.parametrize("name", SOLVED)
def test_solutions_and_their_derivatives_are_those_of_the_closed_form(name):
    """In every parameter, through ``solve`` and the table of derivatives."""
    game = CONTINUOUS[name].make()
    exact = SOLVED[name] or type(game).closed_form
    numbers, rest = eqx.partition(game, eqx.is_inexact_array)
    theta, rebuild = ravel_pytree(numbers)
    slopes = jax.jacfwd(lambda theta: flat(exact(eqx.combine(rebuild(theta), rest))))(theta)
    solution = solve(game, Newton(), tolerance=1e-12)
    table = comparative_statics(game, solution)
    assert_allclose(flat(solution.strategies), flat(exact(game)), atol=1e-10)
    assert_allclose(table.strategies.values.T, slopes, atol=1e-8)


def test_solve_finds_them():
    game = Tullock((2.0, 1.0))
    solution = solve(game)
    assert_allclose(jnp.concatenate(solution.strategies), jnp.concatenate(game.closed_form()), rtol=1e-6)
    assert_allclose(solution.payoffs, game.payoffs(game.closed_form()), rtol=1e-8)


def test_logit_profits_are_not_concave():
    """Nested logit: shares sum to 1, and profit is convex in the own price far above the equilibrium's."""
    game = LogitBertrand(nesting=0.5, nests=2, players=4)
    prices = jnp.array([1.0, 2.0, 3.0, 1.5])
    e = np.exp(-np.asarray(prices) / 0.5).reshape(2, 2)
    nest = e.sum(1) ** 0.5 / (e.sum(1) ** 0.5).sum()
    assert_allclose(game.shares(prices), (e / e.sum(1, keepdims=True) * nest[:, None]).ravel(), rtol=1e-12)
    others = game.closed_form()[1:]
    bend = jax.jit(jax.grad(jax.grad(lambda p: game.payoffs((p[None], *others))[0])))
    assert float(bend(game.closed_form()[0][0])) < 0 < float(bend(jnp.asarray(8.0)))


def test_profits_with_two_peaks():
    """Nine pairs of prices meet the first-order conditions, and two are equilibria (Judd, Renner and Schmedders 2012).

    The nine are the roots found by 600 runs of SciPy's root from random starts.
    """
    game = LoyalBertrand()
    found = find_equilibria(game, key=jax.random.key(0), starts=256)
    prices = np.concatenate(found.strategies, axis=1)
    assert_allclose(prices, [[2.168, 25.157], [25.157, 2.168]], atol=1e-3)
    assert int(found.num_stationary) == 7
    assert not bool(found.complete)
    assert certify(game, tuple(prices[0][:, None]), epsilon=1e-3).kind == "proved"
    both_high = (jnp.array([22.987]),) * 2  # a first-order point: winning those who compare pays
    assert_allclose(regret(game, both_high), 50.47, atol=0.05)
    assert certify(game, both_high, epsilon=1.0).kind == "refuted"


def test_firms_close_together_have_no_equilibrium_in_prices():
    """(1 + (a-b)/3)² >= 4/3 (a + 2b) fails at a = b = 0.3: taking the whole market pays; squared distances allow them."""
    game = Hotelling(0.3, 0.3, transport="linear")
    assert not bool(game.exists())
    # at p = t (and c = 0) a price just below t - 0.4 t takes all: 0.6 against 0.5
    assert_allclose(gains_of(game, game.closed_form()), 0.1, atol=0.02)
    assert certify(game, game.closed_form(), epsilon=0.05).kind == "refuted"
    assert bool(Hotelling(0.3, 0.3).exists())
    assert bool(Hotelling(0.1, 0.1, transport="linear").exists())
    assert_allclose(gains_of(Hotelling(0.3, 0.3), Hotelling(0.3, 0.3).closed_form()), 0, atol=1e-14)


@pytest.mark.parametrize("prize", [1, 5])
def test_the_all_pay_auction(prize):
    """Each of v bids with probability 1/v: what is left to a bidder is half a bid; and in no pair of bids do both stay."""
    game, mixture = all_pay_auction(prize), all_pay_equilibrium(prize)
    assert_allclose(game.payoffs(mixture), 0.5, rtol=1e-12)
    assert_allclose(regret(game, mixture), 0, atol=1e-12)
    assert certify(game, mixture, exact=True).kind == "exact"


def test_the_price_of_anarchy_of_pigou():
    """Cost X² + 1 - X: 3/4 at one carrier, towards 1 with many."""
    for n in (1, 2, 50):
        total = n / (n + 1)
        cost = -Congestion(players=n).payoffs(Congestion(players=n).closed_form()).sum()
        assert_allclose(cost, total**2 + 1 - total, rtol=1e-12)


def test_best_shot_has_an_equilibrium_for_every_contributor():
    game = BestShot(0.6, 1.0)
    profiles = game.closed_form()
    assert [int(np.argmax(np.concatenate(p))) for p in profiles] == [0, 1, 2]
    for profile in profiles:
        assert_allclose(sorted(np.concatenate(profile)), [0, 0, 0.6])
        assert_allclose(gains_of(game, profile), 0, atol=1e-14)
    assert_allclose(np.concatenate(BestShot(3.0).closed_form()[0]), [1, 0, 0])
    # two contributors: either saves its cost by leaving it to the other
    assert_allclose(gains_of(game, (jnp.array([0.6]), jnp.array([0.6]), jnp.array([0.0])))[:2], 0.18, rtol=1e-12)


def test_a_contest_nobody_enters():
    game = Tullock((2.0, 1.0))
    nobody = (jnp.zeros(1), jnp.zeros(1))
    assert_allclose(game.payoffs(nobody), [1.0, 0.5])
    assert float(gains_of(game, nobody).min()) > 0.4


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LinearBertrand(d=2.0), ("d = 2", "below b = 2")),
        (lambda: LinearBertrand(c=6.0), ("c = 6", "a/b")),
        (lambda: LinearBertrand(b=0.0), ("b = 0", "above 0")),
        (lambda: LoyalBertrand(gamma=3.5), ("gamma = 3.5", "at most 3")),
        (lambda: LogitBertrand(players=1), ("players = 1", "at least 2")),
        (lambda: LogitBertrand(nests=2), ("nests = 2", "3 firms")),
        (lambda: LogitBertrand(nesting=1.5), ("nesting = 1.5", "at most 1")),
        (lambda: Hotelling(0.6, 0.4), ("b = 0.4", "below 1")),
        (lambda: Hotelling(transport="cubic"), ("transport = 'cubic'", "quadratic")),
        (lambda: HotellingPlaces(players=("one",)), ("players", "two firms")),
        (lambda: Tullock(players=1), ("players = 1", "at least 2")),
        (lambda: Tullock(r=3.0), ("r = 3", "at most 2")),
        (lambda: Tullock((1.0, 2.0, 3.0)), ("prize", "2 contestants")),
        (lambda: Tullock((1.0, -2.0)), ("prize", "above 0")),
        (lambda: Tullock((1.0, 2.0, 3.0), players=3).closed_form(), ("prize", "no closed form")),
        (lambda: all_pay_auction(0), ("prize = 0", "whole number")),
        (lambda: Congestion(b1=0.0), ("b1 = 0", "congestion")),
        (lambda: BestShot(cost=0.0), ("cost = 0", "above 0")),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(ValueError, match=words[0]) as error:
        make()
    assert all(word in str(error.value) for word in words)
