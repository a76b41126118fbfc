"""Several equilibria at a point: how many, which first, and another where the starts disagree."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from small_games import Pursuit

from solver import AbstractGame, Box, Status, sweep

STARTS = [0.1, 0.9, (0.2, 0.3)]


class Meeting(AbstractGame):
    """u_i = (x_j - at) x_i on [0, 1]: equilibria (0, 0), (at, at) and (1, 1); at at = 0 only the last two starts' is left."""

    at: jax.Array
    players: tuple[str, ...] = eqx.field(static=True, default=("one", "two"))

    def actions(self):
        return (Box(0.0, 1.0),) * 2

    def payoffs(self, profile):
        x = jnp.concatenate(profile)
        return (x[::-1] - self.at) * x


def meeting(at):
    return Meeting(jnp.asarray(at))


AT = {"at": [-0.5, 0.5]}


def both(game, strategies):
    return {"sum": jnp.concatenate(strategies).sum()}


def run(**options):
    return sweep(meeting, AT, outputs=both, starts=STARTS, progress=False, **options)


def test_count_first_and_second():
    """For at < 0 moving to 1 dominates; for at = 1/2 play stays on the side of 1/2 where it starts."""
    ds = run()
    assert ds.num_equilibria.values.tolist() == [1, 2]
    assert_allclose(ds.strategies[..., 0], [[1, 1], [0, 0]], atol=1e-9)  # of the first start
    assert_allclose(ds.strategies_2[1, :, 0], 1, atol=1e-9)
    assert_allclose(ds["sum"], [2, 0], atol=1e-9)
    assert_allclose(ds.sum_2[1], 2, atol=1e-9)
    assert np.isnan(ds.strategies_2[0]).all()
    assert np.isnan(ds.sum_2[0])
    assert ds.status_2.values.tolist() == [-1, 0]
    assert "second" in ds.payoffs_2.attrs["long_name"]


def test_the_selection_is_an_argument():
    best = run(selection=lambda solution: solution.payoffs.sum())
    assert_allclose(best.payoffs.sum("player"), [3, 1], atol=1e-9)
    assert_allclose(best.payoffs_2[1], 0, atol=1e-9)
    assert_array_equal(best.num_equilibria, [1, 2])
    worst = run(selection=lambda solution: -solution.payoffs.sum())
    assert_allclose(worst.payoffs.sum("player"), [3, 0], atol=1e-9)


def test_what_is_not_certified_does_not_count():
    ds = sweep(Pursuit, {"scale": [1.0]}, starts=[0.0, 0.3], progress=False)
    assert ds.num_equilibria.values.tolist() == [0]
    assert int(ds.status[0]) == Status.cycle
    assert int(ds.status_2[0]) == -1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"starts": []}, "starts is empty"),
        ({"start": 0.0, "starts": [0.0]}, "not both"),
        ({"starts": [(0.0,)]}, "start has 1 strategies"),
        ({"outputs": lambda g, s: {"status": s[0]}}, "'status'"),
        ({"outputs": lambda g, s: {"x": (("a", "b"), s[0])}}, "'x' 2 dimensions"),
    ],
)
def test_bad_input_is_named(options, words):
    with pytest.raises(ValueError, match=words):
        sweep(meeting, AT, progress=False, **options)
