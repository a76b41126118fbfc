"""The tornado figure: order, what is left out, and bad input."""

import numpy as np
import pytest
import xarray

from solver.plot.tornado import tornado


@pytest.fixture
def statics():
    slopes = np.array([[0.5, 1.0], [-2.0, 0.0], [np.nan, np.nan], [0.1, 3.0]])
    data = {"payoffs_elasticity": (("parameter", "player"), slopes), "margin": ("player", [1.0, 1.0])}
    return xarray.Dataset(data, {"parameter": ["a", "b", "c", "d"], "player": ["one", "two"]})


def test_the_longest_bar_is_at_the_top(statics):
    ax = tornado(statics, player="one").axes[0]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["d", "a", "b"]
    assert [bar.get_width() for bar in ax.patches] == [0.1, 0.5, -2.0]
    assert len(tornado(statics, most=1, player="one").axes[0].patches) == 1


def test_bad_input_is_named(statics):
    with pytest.raises(ValueError, match="several labels along player"):
        tornado(statics)
    with pytest.raises(ValueError, match="variable = 'margin' is not along"):
        tornado(statics, "margin")
