"""Sweeps: labels and units, chunks and orders without effect, failures as statuses."""

import importlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from small_games import Broken, Cournot, Pursuit, cournot, cournot_answer

from solver import AbstractGame, BestResponse, Box, Status, solve, sweep

PRICES, FIRST_COSTS = np.linspace(50.0, 120.0, 5), np.array([5.0, 10.0, 20.0])


def make(a, c):
    return Cournot(a, jnp.stack([c, jnp.asarray(10.0), jnp.asarray(10.0)]), jnp.asarray(1.0), jnp.asarray(0.0))


def total(game, strategies):
    q = jnp.concatenate(strategies)
    return {"price": game.a - q.sum(), "share": q / q.sum()}


def run(prices=PRICES, costs=FIRST_COSTS, **options):
    return sweep(make, {"a": prices, "c": costs}, outputs=total, progress=False, **options)


@pytest.fixture(scope="module")
def whole():
    return run()


def test_every_point_against_the_closed_form(whole):
    assert dict(whole.sizes) == {"a": 5, "c": 3, "player": 3, "action": 1, "share_0": 3}
    assert list(whole.player.values) == ["one", "two", "three"]
    assert bool((whole.status == int(Status.converged)).all())
    for a in PRICES:
        for c in FIRST_COSTS:
            here = whole.sel(a=a, c=c)
            q = np.asarray(cournot_answer(a, (c, 10.0, 10.0)))
            assert_allclose(here.strategies[:, 0], q, rtol=1e-6)
            assert_allclose(here.payoffs, q**2, rtol=1e-8)
            assert_allclose(here.price, a - q.sum(), rtol=1e-6)
            assert_allclose(here.share, q / q.sum(), rtol=1e-6)
    assert float(whole.max_regret.max()) < 1e-4
    assert bool((whole.num_steps > 0).all())


def test_a_point_is_a_solve(whole):
    alone = solve(cournot(PRICES[1], (FIRST_COSTS[2], 10.0, 10.0)))
    here = whole.isel(a=1, c=2)
    assert_allclose(here.strategies[:, 0], jnp.concatenate(alone.strategies), rtol=1e-9)
    assert int(here.num_steps) == int(alone.num_steps)


def test_chunks_do_not_matter(whole):
    xr.testing.assert_allclose(run(chunk=4), whole, rtol=1e-9, atol=1e-9)


def test_the_grids_order_does_not_matter(whole):
    turned = run(PRICES[::-1], FIRST_COSTS[[2, 0, 1]]).sortby(["a", "c"])
    xr.testing.assert_allclose(turned, whole, rtol=1e-9, atol=1e-9)


def test_failed_points_are_statuses_and_harm_nobody(capsys):
    values = np.array([1.0, -1.0, 2.0, -3.0, 4.0])
    ds = sweep(Broken, {"a": values}, progress=False)
    again = sweep(Broken, {"a": values}, progress=True)  # attrs hold the time it took
    xr.testing.assert_identical(again.drop_attrs(deep=False), ds.drop_attrs(deep=False))
    assert not capsys.readouterr().out  # the bar is on standard error
    assert ds.status.values.tolist() == [0, 3, 0, 3, 0]
    assert_array_equal(np.isnan(ds.payoffs).all("player"), values < 0)
    assert_allclose(ds.payoffs.sel(a=4.0), np.log(4.0), atol=1e-9)
    assert_allclose(ds.strategies.sel(a=[1.0, 2.0, 4.0]), 0.4, atol=1e-5)


def test_cycles_are_statuses():
    start = (jnp.zeros(1), jnp.zeros(1))
    ds = sweep(Pursuit, {"scale": [0.5, 1.0]}, start=start, progress=False)
    assert (ds.status == int(Status.cycle)).all()
    assert float(ds.max_regret.min()) > 0.1


def test_units_are_kept_and_max_steps_is_a_status():
    prices = xr.DataArray(PRICES[:2], dims="a", attrs={"units": "USD", "long_name": "willingness to pay"})
    slow = BestResponse(damping=0.1, accelerate=False)
    ds = sweep(make, {"a": prices, "c": FIRST_COSTS[:1]}, slow, max_steps=3, progress=False)
    assert (ds.status == int(Status.max_steps)).all()
    assert (ds.num_steps == 3).all()
    assert ds.a.attrs == {"units": "USD", "long_name": "willingness to pay"}
    assert ds.status.attrs["flag_meanings"].split() == [s.name for s in Status]
    assert_array_equal(ds.status.attrs["flag_values"], [int(s) for s in Status])


def test_single_precision():
    with jax.enable_x64(False):
        ds = run(PRICES[:2], FIRST_COSTS[:1])
        assert ds.payoffs.dtype == np.float32
        assert (ds.status == 0).all()
        assert_allclose(ds.payoffs[0, 0], np.asarray(cournot_answer(50.0, (5.0, 10.0, 10.0))) ** 2, rtol=2e-2)


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({}, ("grid is empty", "at least one")),
        ({"a": []}, ("grid['a']", "(0,)", "at least one value")),
        ({"a": 1.0}, ("grid['a']", "one-dimensional")),
        ({"a": [[1.0]]}, ("grid['a']", "(1, 1)")),
        ({"a": [1.0, float("nan")]}, ("grid['a']", "not a number")),
    ],
)
def test_bad_grids_are_named(grid, words):
    with pytest.raises(ValueError, match="grid") as error:
        sweep(Broken, grid, progress=False)
    assert all(word in str(error.value) for word in words)


class Unmarked(AbstractGame):
    """A user's game whose names are a plain default, not marked static."""

    a: jax.Array
    players: tuple[str, ...] = ("one",)

    def actions(self):
        return (Box(0.0, 1.0),)

    def payoffs(self, profile):
        return -((profile[0] - self.a) ** 2)


def test_names_need_no_mark():
    ds = sweep(lambda a: Unmarked(jnp.asarray(a)), {"a": [0.2, 0.7]}, progress=False)
    np.testing.assert_allclose(ds.strategies.values.ravel(), [0.2, 0.7], atol=1e-6)
    assert (ds.status == int(Status.converged)).all()


class Countdown(eqx.Module):
    """At the equilibrium of ``Broken`` after as many steps as its number says."""

    class State(eqx.Module):
        left: jax.Array
        num_steps: jax.Array
        cycle: jax.Array

    def init(self, game, profile, tolerance):
        return self.State(game.a, jnp.asarray(0, jnp.int32), jnp.asarray(0, jnp.int32))

    def step(self, game, state, tolerance):
        return self.State(state.left - 1, state.num_steps + 1, state.cycle)

    def terminated(self, state, tolerance):
        return state.left <= 0

    def profile(self, game, state):
        return (jnp.full(1, 0.4),) * 2


@pytest.mark.parametrize(("points", "abreast"), [(100, 32), (200, 80)])
def test_lanes_that_have_ended_give_way(points, abreast, monkeypatch):
    """More points than run abreast, each with steps of its own: all take theirs, whoever they run beside."""
    monkeypatch.setattr(importlib.import_module("solver.sweep.schedule"), "TINY", abreast)
    steps = np.random.default_rng(0).permutation(np.arange(1, points + 1))
    ds = sweep(Broken, {"a": steps}, Countdown(), max_steps=points - 2, progress=False)
    assert_array_equal(ds.num_steps, np.minimum(steps, points - 2))
    assert (ds.status == int(Status.converged)).all()
    assert_allclose(ds.payoffs, np.log(np.tile(steps[:, None], 2)), atol=1e-12)


class Factored(Cournot):
    """The same payoffs by way of a factorisation, which is LAPACK's on a CPU."""

    def payoffs(self, profile):
        return jnp.linalg.solve(jnp.eye(3), super().payoffs(profile))


def factored(a, c):
    plain = make(a, c)
    return Factored(plain.a, plain.costs, plain.scale, plain.shift)


@pytest.mark.skipif(jax.local_device_count() > 1, reason="on several devices there is one call for all")
@pytest.mark.parametrize(("make_game", "side_by_side"), [(make, 3), (factored, 1)])
def test_calls_side_by_side(make_game, side_by_side, monkeypatch):
    """On three cores three calls, unless they factor matrices, which can wait for each other for ever."""
    schedule, seen = importlib.import_module("solver.sweep.schedule"), []

    def noted(problem, lanes, size, call=schedule._to_the_end):
        seen.append(len(lanes[1]))
        return call(problem, lanes, size)

    monkeypatch.setattr(schedule, "_to_the_end", noted)
    grid, found = {"a": np.linspace(50.0, 120.0, 101), "c": [10.0]}, {}
    for num in (1, 3):
        monkeypatch.setattr(schedule, "cores", lambda num=num: num)
        seen.clear()
        found[num] = sweep(make_game, grid, outputs=total, progress=False)
    assert sorted(seen) == ([33, 34, 34] if side_by_side == 3 else [101])
    xr.testing.assert_allclose(found[1], found[3], rtol=1e-9)
    assert (found[3].status == int(Status.converged)).all()
