"""The fast stage against the slow, direct implementation of the model's text."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from games.restriction import RestrictionGame, outcomes
from games.restriction.prior import draw_worlds, world
from tests import direct

DRAWS = draw_worlds(8, seed=11)
RESTRICTION = np.array([0.35, 0.8, 0.1])


@pytest.mark.parametrize("draw", [None, *range(8)])
def test_independent_implementations_agree(draw):
    """Mixes, lags, payoffs, profits and welfare of the default world and of draws, with the frontier's speed given."""
    keywords = {} if draw is None else world(DRAWS, draw) | {"appropriability": 0.0}
    game = RestrictionGame(**keywords)
    ds = outcomes(game, RESTRICTION)
    stage = direct.stage(game.parameters, RESTRICTION)
    assert_allclose(ds.mix, stage["mix"], rtol=1e-6, atol=1e-8)
    assert_allclose(ds.sovereign_lag, stage["sovereign_lag"], rtol=1e-6)
    assert_allclose(ds.strategy_payoff, stage["payoff"], rtol=1e-6)
    assert_allclose(ds.incumbent_payoff, direct.incumbent_profits(game.parameters, stage, RESTRICTION), rtol=1e-7)
    assert_allclose(ds.welfare, direct.welfare(game.parameters, stage, RESTRICTION), rtol=1e-7)
