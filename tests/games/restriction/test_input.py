"""Bad input is a ValueError that names the argument, the value and the remedy."""

import numpy as np
import pytest

from games.restriction import RestrictionGame

BAD = {
    "negative mass": ({"mass": [30, 20, -15, 10, 20, 15]}, "mass", "-15", "at least 0"),
    "negative scalar": ({"programme_cost": -0.6}, "programme_cost", "-0.6", "at least 0"),
    "probability above 1": ({"outside_knowledge": 1.2}, "outside_knowledge", "1.2", "at most 1"),
    "share above 1": ({"fee_share": 1.5}, "fee_share", "1.5", "at most 1"),
    "bite above 1": ({"bite": [1, 0.8, 1.01]}, "bite", "1.01", "at most 1"),
    "full subsidy": ({"subsidy": 1.0}, "subsidy", "1", "at most 0.999"),
    "zero scale": ({"sigma": 0.0}, "sigma", "0", "above 0"),
    "zero exponent": ({"rho": 0.0}, "rho", "0", "above 0"),
    "zero sensitivity": ({"price_sensitivity": 0.0}, "price_sensitivity", "0", "above 0"),
    "NaN": ({"sigma": float("nan")}, "sigma", "nan", "finite"),
    "NaN among numbers": ({"mass": [30, 20, np.nan, 10, 20, 15]}, "mass", "nan", "finite"),
    "infinite": ({"horizon": np.inf}, "horizon", "inf", "finite"),
    "mismatched shape": ({"mass": [1.0, 2.0, 3.0]}, "mass", "3", "cell_region"),
    "wrong number of blocs": ({"bite": [1.0, 0.5]}, "bite", r"\(2,\)", r"\(3,\)"),
    "array for a number": ({"sigma": [0.3, 0.4]}, "sigma", r"\(2,\)", "a single number"),
    "matrix of the wrong shape": ({"home_bias": np.zeros((2, 3))}, "home_bias", r"\(2, 3\)", r"\(3, 3\)"),
    "two lengths of one axis": (
        {"incumbent_lag": [0, 0.1], "incumbent_cost": [1, 1, 1, 1]}, "incumbent_cost", r"\(4,\)", r"\(2,\)",
    ),
    "one challenger too many": ({"absorption": [1.0] * 5}, "absorption", "5", "challenger_bloc"),
    "no number": ({"rho": "two"}, "rho", "'two'", "number"),
    "unknown parameter": ({"sigmaa": 0.3}, "sigmaa", "no parameter", "did you mean sigma"),
    "unknown mode": ({"mode": "quick"}, "mode", "'quick'", "'fast', 'exact'"),
    "unknown timing": ({"timing": "never"}, "timing", "'never'", "'observed', 'simultaneous'"),
    "unknown demand": ({"demand": "probit"}, "demand", "'probit'", "'logit', 'nested'"),
    "dissimilarity without nests": ({"dissimilarity": 0.7}, "dissimilarity", "0.7", "pass demand='nested'"),
    "no dissimilarity at all": ({"demand": "nested", "dissimilarity": 0.0}, "dissimilarity", "0", "above 0"),
    "dissimilarity above 1": ({"demand": "nested", "dissimilarity": 1.2}, "dissimilarity", "1.2", "at most 1"),
    "exit or not": ({"exit": "perhaps"}, "exit", "'perhaps'", "True, False"),
    "too many with exit": (
        {"mode": "exact", "exit": True, "challenger_bloc": ("CN",) * 5}, "exact", "1,024", "fewer challengers",
    ),
    "exact mode with too many": (
        {"mode": "exact", "challenger_bloc": ("CN",) * 7}, "exact", "7 challengers", "fewer challengers",
    ),
    "unknown bloc": ({"challenger_bloc": ("CN", "XX")}, "challenger_bloc", "'XX'", "blocs"),
    "unknown segment": ({"cell_region": ("US",), "cell_segment": ("Q",)}, "cell_segment", "'Q'", "G"),
    "unknown member": ({"consortium": ("TW 9",)}, "consortium", "'TW 9'", "challengers"),
    "no incumbent": ({"incumbent_bloc": ()}, "incumbent_bloc", "empty", "at least one"),
    "cells of two lengths": (
        {"cell_region": ("US", "CN"), "cell_segment": ("G",)}, "cell_region", "2 cells", "give both",
    ),
    "a bloc without defaults": (
        {"blocs": ("US", "CN", "TW", "IN"), "challenger_bloc": ("CN", "IN")}, "absorption", "'IN'", "pass absorption",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("keywords", "name", "value", "remedy"), BAD.values(), ids=BAD)
def test_bad_input(keywords, name, value, remedy):
    with pytest.raises(ValueError, match=name) as caught:
        RestrictionGame(**keywords)
    for part in (value, remedy):
        assert caught.match(part)


def test_replace_is_checked_too():
    with pytest.raises(ValueError, match=r"pool = 1.5 .* must be at most 1"):
        RestrictionGame().replace(pool=1.5)


def test_replace_keeps_nests_and_exit():
    """A dissimilarity is kept with its nests, takes its default when they are new, and goes when they do."""
    plain, nested = RestrictionGame(exit=True), RestrictionGame(demand="nested", dissimilarity=0.4)
    assert float(nested.replace(sigma=0.5).parameters.dissimilarity) == pytest.approx(0.4)
    assert float(plain.replace(demand="nested").parameters.dissimilarity) == pytest.approx(0.7)
    back = nested.replace(demand="logit").parameters
    assert (back.demand, float(back.dissimilarity)) == ("logit", 1)
    assert plain.replace(sigma=0.5).parameters.exit


def test_unknown_calibration():
    with pytest.raises(ValueError, match=r"calibration = 'never'.*give one of"):
        RestrictionGame.calibrated("never")


def test_what_is_allowed():
    """The edges of the ranges, infinity for ρ, six challengers in exact mode, and a scalar for several."""
    game = RestrictionGame(
        rho=np.inf, outside_knowledge=1, bite=0, challenger_bloc=("CN",) * 6, mode="exact", home_trust=0.1
    )
    assert np.isinf(game.parameters.rho)
    np.testing.assert_array_equal(game.parameters.home_trust, np.full(6, 0.1))
