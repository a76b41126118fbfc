"""The prior: its draws against its table, the worlds they make, and the batch against single worlds."""

import jax
import numpy as np
import pytest

from games.restriction import RestrictionGame
from games.restriction.parameters import Parameters, array_fields
from games.restriction.prior import PRIOR, batch, draw_worlds, world

DRAWS = draw_worlds(4000, seed=11)


def drawn(row):
    """The values a row gave, with the factor of a dependent row divided out."""
    p = Parameters()
    axes = next(item.metadata["axes"] for item in array_fields() if item.name == row.parameter)
    labels = {"challenger": p.challenger_bloc, "cell": p.cell_segment, "bloc": p.blocs, "incumbent": p.incumbent_bloc}
    values = DRAWS[row.parameter].reshape(4000, -1)
    if row.group is None:
        return values
    members = np.array(labels[axes[0]])
    base = values[:, members == row.times][:, :1] if row.times else 1.0
    return values[:, members == row.group] / base


@pytest.mark.parametrize("row", PRIOR, ids=lambda row: f"{row.parameter} {row.group or ''}")
def test_distribution(row):
    """All members share the draw; it fills its range evenly (Kolmogorov's distance), with its mass at 0."""
    values = drawn(row)
    np.testing.assert_allclose(values, values[:, :1].repeat(values.shape[1], 1), rtol=1e-14)
    x = np.sort(values[:, 0])
    at_zero = (x == 0).mean()
    assert at_zero == pytest.approx(row.zero, abs=0.03)
    x = x[x > 0] if row.zero else x
    assert x.min() >= row.low * (1 - 1e-12)
    assert x.max() <= row.high * (1 + 1e-12)
    position = np.log(x / row.low) / np.log(row.high / row.low) if row.log else (x - row.low) / (row.high - row.low)
    assert np.abs(position - np.arange(len(x)) / len(x)).max() < 2.23 / len(x) ** 0.5


def test_rows_are_independent():
    columns = np.stack([np.argsort(np.argsort(drawn(row)[:, 0])) for row in PRIOR])
    correlation = np.corrcoef(columns) - np.eye(len(PRIOR))
    assert np.abs(correlation).max() < 5 / 4000**0.5


def test_what_is_not_drawn_keeps_its_default():
    p = Parameters()
    np.testing.assert_array_equal(DRAWS["bite"][:, 0], float(p.bite[0]))
    assert set(DRAWS) == {row.parameter for row in PRIOR}
    assert "starting_lag" not in DRAWS


def test_draws_are_reproducible_and_nested():
    again, fewer, other = draw_worlds(50, seed=3), draw_worlds(20, seed=3), draw_worlds(20, seed=4)
    for name, values in draw_worlds(50, seed=3).items():
        np.testing.assert_array_equal(values, again[name])
        np.testing.assert_array_equal(values[:20], fewer[name])
        assert (values[:20] != other[name]).any()


def test_the_batch_holds_the_single_worlds():
    draws = draw_worlds(7, seed=5)
    together = batch(draws)
    assert together.challengers == Parameters().challengers
    for i in (0, 6):
        alone = RestrictionGame(**world(draws, i)).parameters
        jax.tree.map(lambda many, one, i=i: np.testing.assert_array_equal(many[..., i], one), together, alone)


@pytest.mark.parametrize("num", [0, -3, 2.5])
def test_bad_number_of_draws(num):
    with pytest.raises(ValueError, match=rf"num = {num}"):
        draw_worlds(num, seed=0)
