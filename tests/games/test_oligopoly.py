"""Closed forms of the oligopolies, and that what is not an equilibrium is refused."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from games.oligopoly import AspremontJacquemin, BranderSpencer, Cournot, Stackelberg, duopoly
from solver import regret, solve

gains_of = eqx.filter_jit(regret)

# the factory, its parameters, and every player's strategy as published
KNOWN = {
    "Cournot, n = 3: (a-c)/(b(n+1)) (Cournot 1838)": (Cournot, {"players": 3}, 22.5),
    "Cournot, b = 2": (Cournot, {"b": 2.0, "players": 3}, 11.25),
    "Cournot, n = 3, kappa = 1/2: (a-c)/(b(n+1+kappa(n-1)))": (Cournot, {"kappa": 0.5, "players": 3}, 18.0),
    "monopoly": (Cournot, {"players": 1}, 45.0),
    "Stackelberg, m = J = 2: (a-c)/(b(m+1))": (Stackelberg, {"num_followers": 2, "players": 2}, 30.0),
    "Stackelberg without followers is Cournot": (Stackelberg, {"num_followers": 0, "players": 3}, 22.5),
    "both subsidise (a-c)/5 (Brander and Spencer 1985)": (BranderSpencer, {}, 18.0),
    "one subsidises (a-c)/4 (Brander and Spencer 1985)": (BranderSpencer, {"players": ("home",)}, 22.5),
    "research, beta = .3 (d'Aspremont and Jacquemin 1988)": (AspremontJacquemin, {}, 0.6459784674),
    "research in concert, beta = .3": (AspremontJacquemin, {"kappa": 1.0}, 0.4782342121),
    "research, beta = .5": (AspremontJacquemin, {"beta": 0.5}, 4 / 7),
    "research in concert, beta = .5": (AspremontJacquemin, {"beta": 0.5, "kappa": 1.0}, 4 / 7),
}


@pytest.mark.parametrize(("kind", "parameters", "answer"), KNOWN.values(), ids=KNOWN)
def test_known_answers(kind, parameters, answer):
    game = kind(**parameters)
    exact = game.closed_form()
    assert_allclose(jnp.concatenate(exact), answer, rtol=1e-9)
    solution = solve(game)
    assert_allclose(jnp.concatenate(solution.strategies), answer, rtol=1e-6)
    assert_allclose(solution.payoffs, game.payoffs(exact), rtol=1e-8)
    scale = float(jnp.abs(solution.payoffs).max())
    assert float(solution.max_regret) <= 1e-8 * scale
    assert float(gains_of(game, exact).max()) <= 1e-12 * scale


@pytest.mark.parametrize(("kind", "parameters", "answer"), KNOWN.values(), ids=KNOWN)
def test_first_order_conditions_and_wrong_profiles(kind, parameters, answer):
    game = kind(**parameters)
    exact = game.closed_form()
    own = jnp.concatenate(jax.jacobian(game.payoffs)(exact), axis=1)
    assert_allclose(jnp.diagonal(own), 0, atol=1e-10 * answer * float(game.b))
    wrong = (exact[0] * 1.1, *exact[1:])
    # the payoff is quadratic in own strategy (piecewise, for leaders): 10 % away costs a share of itself
    assert float(gains_of(game, wrong)[0]) > 1e-4 * abs(float(game.payoffs(exact)[0]))


def test_the_followers_play_their_own_equilibrium():
    """q_F = q_L / (J + 1): 10 each at a = 100, c = 10, m = J = 2, and a Cournot equilibrium of what is left."""
    game = Stackelberg(num_followers=2, players=2)
    leaders = game.closed_form()
    q = game.followers(leaders)
    assert_allclose(q, 10.0, rtol=1e-12)
    left = Cournot(a=100.0 - 60.0, c=10.0, players=2)
    assert_allclose(gains_of(left, tuple(q[:, None])), 0, atol=1e-10)
    assert_allclose(game.followers((jnp.array([60.0]), jnp.array([50.0]))), 0, atol=0)


@pytest.mark.parametrize("cost", [(1.0, 2.0), (8.0, 2.0), (2.0, 8.0), (12.0, 11.0)])
def test_the_second_stage_at_any_costs(cost):
    """Interior, one firm out, both out: no firm gains by another quantity (profits compared on a fine grid)."""
    q = np.asarray(duopoly(jnp.asarray(10.0), jnp.asarray(1.5), jnp.asarray(cost)))
    others = np.linspace(0, 8, 80_001)
    for i in range(2):
        best = ((10 - 1.5 * (others + q[1 - i]) - cost[i]) * others).max()
        assert (10 - 1.5 * q.sum() - cost[i]) * q[i] >= best - 1e-9
    assert (q >= 0).all()


def test_spillovers_above_a_half_reverse_the_ranking():
    """Cooperation raises research exactly where beta > 1/2 (d'Aspremont and Jacquemin 1988, sec. II)."""
    for beta in (0.0, 0.2, 0.45, 0.55, 0.8, 1.0):
        alone = AspremontJacquemin(beta=beta).closed_form()[0]
        together = AspremontJacquemin(beta=beta, kappa=1.0).closed_form()[0]
        assert (float(together[0]) > float(alone[0])) == (beta > 0.5)


def test_the_joint_optimum_of_research():
    """At kappa = 1 no common level of research earns both firms more."""
    game = AspremontJacquemin(kappa=1.0)
    levels = jnp.linspace(0.0, 1.0, 2001)
    common = jax.vmap(lambda x: game.payoffs((x[None], x[None]))[0])(levels)
    assert float(game.payoffs(game.closed_form())[0]) >= float(common.max())
    assert_allclose(levels[common.argmax()], 0.4782342121, atol=5e-4)


def test_research_at_its_bound():
    """Small costs to save: both firms save all, and no deviation pays."""
    game = AspremontJacquemin(A=0.5)
    assert_allclose(jnp.concatenate(game.closed_form()), 0.5 / 1.3, rtol=1e-12)
    assert_allclose(gains_of(game, game.closed_form()), 0, atol=1e-12)
    assert_allclose(jnp.concatenate(solve(game).strategies), 0.5 / 1.3, rtol=1e-6)


def test_closed_forms_are_differentiable_and_batched():
    slope = jax.grad(lambda a: Cournot(a=a, players=3).closed_form()[0][0])(100.0)
    assert_allclose(slope, 0.25, rtol=1e-12)
    x = jax.vmap(lambda g: AspremontJacquemin(gamma=g).closed_form()[0][0])(jnp.array([4.0, 5.0]))
    assert_allclose(x[0], 0.6459784674, rtol=1e-9)
    assert float(x[1]) < float(x[0])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Cournot(b=0.0), ("b = 0", "above 0")),
        (lambda: Cournot(a=5.0, c=10.0), ("a = 5", "above 10")),
        (lambda: Cournot(c=-1.0), ("c = -1", "at least 0")),
        (lambda: Cournot(kappa=1.5), ("kappa = 1.5", "at most 1")),
        (lambda: Cournot(a=float("nan")), ("a = nan",)),
        (lambda: Cournot(players=0), ("players = 0", "at least one")),
        (lambda: Stackelberg(num_followers=-1), ("num_followers = -1", "0 or more")),
        (lambda: BranderSpencer(players=3), ("players", "two")),
        (lambda: AspremontJacquemin(beta=2.0), ("beta = 2", "at most 1")),
        (lambda: AspremontJacquemin(gamma=0.5), ("gamma = 0.5", "more than")),
        (lambda: AspremontJacquemin(a=3.0), ("a = 3", "above 4")),
        (lambda: AspremontJacquemin(players=3), ("players", "two firms")),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(ValueError, match=words[0]) as error:
        make()
    assert all(word in str(error.value) for word in words)
