"""Lenses: where an extension adds nothing it shows the base game; what it adds is an equilibrium."""

import itertools
from types import SimpleNamespace

import equinox as eqx
import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from games.restriction.claims import lenses, worlds
from games.restriction.claims.priors import prior
from games.restriction.claims.variants import identical_blocs, variants
from games.restriction.prior import PRIOR, placed, sobol_uniform

NUM = 3
NAMES = ("mix", "welfare", "sovereign_lag", "open_lag", "challenger_payoff", "deployment")


@pytest.fixture(scope="module")
def games():
    drawn = placed(sobol_uniform(NUM, 1, len(PRIOR)))
    return worlds.stacked(drawn | {"appropriability": np.zeros(NUM)})


@pytest.fixture(scope="module")
def points():
    r = np.random.default_rng(0).uniform(size=(NUM, len(worlds.POINTS), 3))
    certified = np.ones(r.shape[:2], bool)
    certified[0, 1] = False
    return r, certified


@pytest.fixture(scope="module")
def base(games, points):
    return lenses.columns_of(games, worlds.measures(games, points[0]), points[1])


def assert_same(columns, base):
    for name in ("open", "nash", "concerted"):
        for variable in NAMES:
            assert_allclose(columns[name][variable], base[name][variable], rtol=1e-5, atol=1e-6, err_msg=variable)
        assert_array_equal(columns[name].certified, base[name].certified)


def test_after_no_time_nothing_has_changed(games, points, base, monkeypatch):
    monkeypatch.setattr(lenses, "YEARS", 0.0)
    assert_same(lenses.through(lenses.later, games, *points), base)


def test_a_consortium_of_one_is_the_base_game(points):
    """Without a common pool, which the consortium takes the place of."""
    drawn = placed(sobol_uniform(NUM, 1, len(PRIOR)))
    alone = {"appropriability": np.zeros(NUM), "pool": np.zeros(NUM)}
    games = worlds.stacked(drawn | alone, consortium=("TW 1",))
    base = lenses.columns_of(games, worlds.measures(games, points[0]), points[1])
    found = lenses.through(lenses.consortium, games, *points)
    assert_same(found, base)
    assert_as_probed(found, games, base)
    for name in ("open", "nash", "concerted"):
        assert_allclose(found[name].pooling_gain, 0, atol=1e-9)


def test_without_releases_it_is_the_base_game(games, points, base, monkeypatch):
    monkeypatch.setattr(lenses, "OPENNESS", 0.0)
    found = lenses.through(lenses.releases, games, *points)
    assert_same(found, base)
    assert_as_probed(found, games, base)


def assert_as_probed(found, games, base):
    """The costs at which half would take part are those that the batches find."""
    nothing = {"curve": base["open"].expand_dims(common_restriction=worlds.CURVE, axis=1)}
    probed = worlds.probed(games, base | nothing)
    for name in ("open", "nash", "concerted"):
        assert_allclose(found[name].break_even_cost, probed[name].break_even_cost, rtol=1e-4, atol=1e-5)


def test_no_planner_gains_by_another_subsidy(games, points):
    game, r = jax.tree.map(lambda x: x[:1], games), points[0][:1, -2:]
    rates, fine = lenses.chosen_subsidies(game, r)
    assert fine.all()
    blocs, planners = game.parameters.blocs, ("CN", "TW")

    def welfare(point, chosen):
        each = np.array([chosen[planners.index(bloc)] for bloc in game.parameters.challenger_bloc])
        other = eqx.tree_at(lambda g: g.parameters.subsidy, game, each[None])
        return worlds.measures(other, r[:, point : point + 1])["bloc_welfare"][0, 0]

    for point, (k, bloc) in itertools.product(range(2), enumerate(planners)):
        here = welfare(point, rates[0, point])[blocs.index(bloc)]
        for step in (-0.1, -0.02, 0.02, 0.1):
            moved = rates[0, point].copy()
            moved[k] = np.clip(moved[k] + step, 0, 0.95)
            assert welfare(point, moved)[blocs.index(bloc)] <= here + 1e-5 * abs(here)


def test_simultaneous_equilibria_become_columns(games, points, monkeypatch):
    """Nash from every start, and in concert at κ = 1 from the base's r^C; a fake search that stays where it starts."""
    seen = []

    def stays(games, start, steps):
        seen.append((float(games.parameters.cooperation[0]), int(steps)))
        fine = np.zeros(len(start), int)
        fine[1] = 1
        return SimpleNamespace(strategies=tuple(start[:, i] for i in range(3)), status=fine, max_regret=start[:, 0, 0])

    monkeypatch.setattr(lenses, "_equilibria", stays)
    found = lenses.simultaneous(games, *points)
    assert seen == [(0.0, lenses.TURNS)] * 3 + [(1.0, lenses.TURNS), (0.0, 0)]
    assert_allclose(found["nash"].restriction[0, :, 0], worlds.STARTS)
    assert_allclose(found["concerted"].restriction, points[0][:, -1])
    assert_allclose(found["concerted"].nash_gain, points[0][:, -1, 0])
    assert found["nash"].certified.all("start").values.tolist() == [True, False, True]


def test_identical_blocs():
    made = prior({})
    drawn = identical_blocs(placed(sobol_uniform(4, 0, len(PRIOR))), made)
    assert_allclose(drawn["bite"][:, 1], drawn["bite"][:, 2])
    assert_allclose(drawn["absorption"], drawn["absorption"][:, :1] * np.ones(4))
    swapped = drawn["home_bias"][:, [0, 2, 1]][:, :, [0, 2, 1]]
    assert_allclose(drawn["home_bias"], swapped)


def test_variants_of_a_nested_prior_and_of_one_bloc():
    nested = [one.name for one in variants(prior({"demand": "nested"}))]
    assert "plain logit" in nested
    assert "nested logit" not in nested
    alone = prior({"challenger_bloc": ["TW", "TW"]})
    assert "identical blocs" not in [one.name for one in variants(alone)]
