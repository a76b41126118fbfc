"""The fitted calibration: derivatives, a world that is found again, what is left open, and the table."""

import functools
import importlib

import numpy as np
import pytest
from numpy.testing import assert_allclose

from games.cli import main
from games.restriction import RestrictionGame, fit_report
from games.restriction import moments as reported
from games.restriction.claims.verdicts import FAILS, HOLDS
from games.restriction.moments import Moments

fitting = importlib.import_module("games.restriction.fit")  # the package exports the function
GAME = RestrictionGame.calibrated()


@functools.cache
def parts():
    return reported.read("2025", GAME.parameters)


def model(t):
    return fitting.linearised(*parts(), t)[0]


@pytest.fixture(scope="module")
def fitted():
    return fitting.fit()


def test_derivatives_are_those_of_differences():
    """Through the equilibrium, the frontier's speed included; relative to a moment's deviation."""
    moments, free, p = parts()
    t, h = np.full(len(free), 0.02), 1e-5
    found = fitting.linearised(moments, free, p, t)[1]
    steps = [(model(t + h * e) - model(t - h * e)) / (2 * h) for e in np.eye(len(free))]
    assert_allclose(found / moments.deviation[:, None], np.transpose(steps) / moments.deviation[:, None], atol=2e-3)


def test_a_world_is_found_again():
    """Moments made by the model itself, a step from the start, are met."""
    moments, free, p = parts()
    away = 0.15 * np.sin(np.arange(1, len(free) + 1))
    made = moments._replace(value=model(away))
    found = fitting._least_squares(made, free, p)
    assert (found.fun**2).sum() < 1e-3 * (made.residual(model(np.zeros(len(free)))) ** 2).sum()
    assert abs(found.fun).max() < 0.1


def test_bounds_of_inequalities():
    rows = [(0.0, "at_most"), (0.0, "at_most"), (0.0, "at_least"), (0.0, "at_least"), (1.0, "equal")]
    value, kind = map(np.array, zip(*rows, strict=True))
    some = Moments([], [], np.arange(5), value, np.full(5, 0.5), kind, {})
    at = np.array([1.0, -1.0, 1.0, -1.0, 2.0])
    assert_allclose(some.residual(at), [2, 0, 0, -2, 2])
    assert_allclose(some.slope(at, np.ones((5, 1)))[:, 0], [2, 0, 0, 2, 2])


def test_openness_against_a_known_jacobian():
    """Two parameters enter by their sum, one is pinned, one does not matter, one is at a bound."""
    jacobian = np.array([[3.0, 3.0, 0.0, 0.0, 1.0], [0.0, 0.0, 5.0, 0.0, 1.0]])
    values, vectors = fitting._open(jacobian, np.array([True, True, True, True, False]))
    assert_allclose(values, [0, 0, 3 * np.sqrt(2), 5], atol=1e-12)
    assert_allclose((vectors[values < 1] ** 2).sum(axis=0), [0.5, 0.5, 0, 1, 0], atol=1e-12)


def test_it_fits_better_and_within_bounds(fitted):
    before = parts()[0].residual(fitted.calibrated.values)
    assert fitted.attrs["misfit"] < 0.1 * (before**2).sum()
    assert fitted.attrs["optimality"] < 1e-4
    assert abs(fitted.residual).max() < 1
    assert (abs(fitted.step) <= 1 + 1e-9).all()
    assert_allclose(fitted.fitted, model(fitted.step.values), rtol=1e-9)
    assert all(text.strip() for text in fitted.source.values)


def test_no_restriction_worth_the_name(fitted):
    nash = fitted.isel(along=0, start=0).sel(way=0)
    assert nash.certified
    assert (nash.restriction < reported.MILD).all()


def test_what_the_moments_cannot_see_is_open(fitted):
    """At r = 0 bite, enforcement and appropriability touch nothing but gains from restricting; prices pin costs."""
    openness = fitted.openness.to_series()
    assert (openness[["bite_CN", "bite_TW", "enforcement_cost", "appropriability"]] > 0.9).all()
    assert (openness[["open_absorption", "incumbent_cost_OpenAI", "price_sensitivity"]] < 0.1).all()


def test_along_the_way_the_moments_stay(fitted):
    assert set(fitted.along.values) >= {"outside_knowledge", "bite_CN", "bite_TW", "distrust", "appropriability"}
    moved = fitted.way_step - fitted.way_step.sel(way=0)
    first_order = abs(fitted.jacobian @ moved).max("moment")
    assert (first_order <= fitting.OPEN * np.sqrt((moved**2).sum("parameter")) + 1e-9).all()
    assert (abs(moved).max("parameter").sel(way=[-1, 1]) > 0.01).all()
    assert_allclose(fitted.misfit.sel(way=0), fitted.attrs["misfit"], rtol=1e-6)
    middle = fitted.effect.sel(way=0).transpose("along", ...).values
    assert_allclose(middle, np.broadcast_to(middle[0], middle.shape), atol=1e-6)


def test_verdicts_are_those_of_the_effects(fitted):
    """Welfare along the ways, of open and concerted: the world is worse off where the effect is positive."""
    one = fitted.sel(claim="25", counterfactual="open_to_concerted")
    decided = one.verdict.isin([HOLDS, FAILS])
    assert ((one.effect > 1e-6) == (one.verdict == HOLDS)).where(decided, True).all()


def test_the_command(fitted, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(fitting, "fit", lambda progress: fitted)
    assert main(["fit", "--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert all(
        word in text
        for word in (*fitted.moment.values, *fitted.parameter.values, "open_to_nash".replace("_", " "), "fit.nc")
    )
    assert (tmp_path / "fit.nc").stat().st_size > 1000


def test_changes_are_named(fitted):
    ds = fitted.copy(deep=True)
    here = {"claim": "8", "counterfactual": "open_to_concerted"}
    ds["verdict"].loc[here] = HOLDS
    ds["verdict"].loc[here | {"along": "bite_TW", "way": -0.5}] = FAILS
    ds["within"][:] = True
    assert fit_report.changes(ds, "8", "open_to_concerted") == "holds; fails along bite_TW -"


def test_bad_input():
    with pytest.raises(ValueError, match="'1999'"):
        reported.read("1999", GAME.parameters)
    with pytest.raises(ValueError, match=r"free\.x: 'MARS' names no bloc"):
        reported._mask(GAME.parameters, "x", "bite", ["MARS"])
