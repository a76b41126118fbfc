"""Adaptive sweeps: the whole grid's boundary from few of its points, whatever the chunks, the store and the interruptions."""

import importlib

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

from solver import NormalForm, Status, sweep
from solver.sweep.refine import coarse_steps, filled, num_coarse, refined


def make(value, cost):
    """Two firms with a safe action each: the first takes it where its value is at most cost^2 + 1/4, the second's cost 1/2."""
    one = jnp.stack([value, cost**2 + 0.25])
    two = jnp.stack([0.5 + 0 * value, cost])
    return NormalForm(jnp.stack([jnp.stack([one, one], 1), jnp.stack([two, two], 0)]))


def plays(game, strategies):
    return {"first": strategies[0][0] > 0.5, "chosen": jnp.stack([s.argmax() for s in strategies])}


GRID = {"value": np.linspace(-0.3, 1.2, 45), "cost": np.linspace(0.0, 1.0, 64)}


def run(path=None, **options):
    full = {"outputs": plays, "refine": "first", "coarse_step": 4, "progress": False, "store": path}
    return sweep(make, GRID, **(full | options))


def same(ds, other):
    xr.testing.assert_identical(ds.compute().drop_attrs(deep=False), other.drop_attrs(deep=False))


@pytest.fixture(scope="module")
def adaptive():
    return run()


@pytest.fixture(scope="module")
def whole():
    return run(refine=None, chunk=256)  # as many lanes as the adaptive sweep's: compiled once


def test_the_boundary_is_the_whole_grids(adaptive, whole):
    assert_array_equal(adaptive.regime, whole["first"])
    expected = GRID["value"][:, None] >= GRID["cost"] ** 2 + 0.25
    assert_array_equal(adaptive.regime, expected)
    assert float(adaptive.solved.mean()) < 0.3
    assert adaptive.attrs["points_solved"] == int(adaptive.solved.sum())


def test_what_was_solved_is_certified_and_nothing_else_is_given(adaptive, whole):
    solved = adaptive.solved.values
    assert (adaptive.status.values[solved] == Status.converged).all()
    for name in ("strategies", "payoffs", "regret", "max_regret", "num_steps", "chosen"):
        assert_allclose(adaptive[name].values[solved], whole[name].values[solved], atol=1e-12)
    assert (adaptive.status.values[~solved] == -1).all()
    assert np.isnan(adaptive.max_regret.values[~solved]).all()
    assert np.isnan(adaptive.payoffs.values[~solved]).all()


def test_chunks_do_not_matter(adaptive):
    xr.testing.assert_allclose(run(chunk=37), adaptive, rtol=1e-9, atol=1e-9)


def by_play(ds):
    return ds.strategies.sel(player="player 1").argmax("action")


def test_a_function_gives_labels(whole):
    """Also several at a point: a cell is crossed where one of them changes."""
    ds = run(refine=by_play)
    assert_array_equal(ds.regime, whole["first"] == 0)
    ds = run(refine="chosen")
    assert ds.regime.dims == ("value", "cost", "chosen_0")
    assert_array_equal(ds.regime, whole.chosen)


def test_several_starts_and_one_axis():
    grid = {"value": np.linspace(0, 1, 65), "cost": [0.5]}
    ds = sweep(make, grid, starts=[0.1, 0.9], refine=by_play, progress=False)
    assert_array_equal(ds.regime[:, 0], grid["value"] < 0.5)
    assert (ds.num_equilibria.values[ds.solved.values] == 1).all()
    assert int(ds.solved.sum()) == 17 + 4  # of the coarse grid; on two levels the middle and a neighbour


def test_a_store_continues_and_opens_again(adaptive, tmp_path, monkeypatch):
    path, rounds, solved = tmp_path / "s.zarr", [], []
    chunks = importlib.import_module("solver.sweep.chunks")
    solve_points = chunks.solve_points
    monkeypatch.setattr(chunks, "solve_points", lambda *a: solved.append(len(a[1][0])) or solve_points(*a))

    def interrupted(ds):
        rounds.append(ds.sizes["point"])
        if len(rounds) == 3:
            raise KeyboardInterrupt
        return ds["first"]

    options = {"refine": interrupted, "chunk": 100}
    with pytest.raises(KeyboardInterrupt):
        run(path, **options)
    assert not path.exists()
    with pytest.raises(ValueError, match="refine was"):
        run(path, chunk=100)
    same(run(path, **options), adaptive)
    assert sum(solved) == sum(rounds[3:]) == int(adaptive.solved.sum())  # no point was solved twice
    assert [f.name for f in tmp_path.iterdir()] == ["s.zarr"]
    same(run(path, **options), adaptive)
    assert sum(solved) == int(adaptive.solved.sum())
    (path / "payoffs" / "c" / "0" / "0" / "0").write_bytes(b"torn")
    same(run(path, **options), adaptive)


def shapes():
    rng = np.random.default_rng(0)
    yield (200, 150), lambda x, y: (x**2 + y**2 > 0.5) + 2 * (y > 0.3 + 0.1 * np.sin(9 * x))
    yield (131, 200), lambda x, y: np.abs(y - 0.5 - 0.3 * np.sin(6 * x)) < 0.012  # thinner than the coarse cells
    yield (150, 150), lambda x, y: ((np.abs(y - 0.4) < 0.006) & (x < 0.7)) | (x < 0.1)  # a finger
    yield (333,), lambda x: np.floor(3 * x).astype(int)
    yield (33, 40, 37), lambda x, y, z: x + y * z > 0.8
    yield (1, 77), lambda x, y: y > 0.6 + 0 * x
    yield (2, 3, 1), lambda x, y, z: rng.integers(0, 2, x.shape)


@pytest.mark.parametrize(("shape", "label"), shapes())
def test_labels_are_the_grids(shape, label):
    """Without any game; every component of a boundary that is met is complete, and every point is asked once."""
    full = label(*np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij"))
    asked = []

    def measure(places):
        asked.extend(places)
        return full.ravel()[places]

    steps = coarse_steps(shape, None if max(shape) < 300 else 16)
    labels, solved = refined(shape, steps, measure)
    assert sorted(asked) == list(np.flatnonzero(solved))
    assert sorted(asked[: num_coarse(shape, steps)]) == asked[: num_coarse(shape, steps)]
    assert_array_equal(labels[solved], full[solved])
    assert_array_equal(filled(labels, solved), full)


def test_an_island_between_coarse_points_is_missed():
    full = np.zeros((65, 65), bool)
    full[5:8, 5:8] = True
    labels, solved = refined((65, 65), coarse_steps((65, 65), 16), lambda places: full.ravel()[places])
    assert not filled(labels, solved).any()
    labels, solved = refined((65, 65), coarse_steps((65, 65), 2), lambda places: full.ravel()[places])
    assert_array_equal(filled(labels, solved), full)


def test_the_numbers_a_label_closes_over_tell_sweeps_apart(tmp_path):
    def above(level):
        return lambda ds: ds.payoffs.sel(player="player 1") > level

    ds = run(tmp_path / "s.zarr", refine=above(0.5))
    assert_array_equal(ds.regime, np.maximum(GRID["value"][:, None], GRID["cost"] ** 2 + 0.25) > 0.5)
    with pytest.raises(ValueError, match="refine was"):
        run(tmp_path / "s.zarr", refine=above(0.6))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"refine": "payoffs"}, "refine is 'payoffs': give one of status, num_steps, first, chosen"),
        ({"refine": 3}, "refine is 3"),
        ({"coarse_step": 3}, "coarse_step is 3: give a power of two"),
        ({"refine": lambda ds: ds.max_regret}, "refine gives float64"),
        ({"refine": lambda ds: ds.status.values}, "refine gives ndarray"),
        ({"refine": lambda ds: ds.status.max()}, "label for each value of 'point'"),
        ({"outputs": lambda g, s: {"regime": s[0]}, "refine": "status"}, "already holds 'regime'"),
    ],
)
def test_bad_input_is_named(options, words):
    with pytest.raises(ValueError, match=r"refine|coarse_step|regime") as error:
        run(**options)
    assert words in str(error.value)
