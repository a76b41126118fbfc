"""Batches of fixed points against closed forms and the single solve: order, failures, precision, compilation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from solver.batch import fixed_points
from solver.fixed_point import fixed_point

LANES = 300  # more than a slab of 8 chunks of 16
RATES = np.linspace(0.05, 0.95, LANES)
TRACES = []


def wave(x, args):
    TRACES.append(None)
    rate, shift = args
    return jnp.stack([rate * jnp.cos(x[1]), rate * jnp.sin(x[0]) + shift])


def line(x, args):
    rate, shift = args
    return rate * x + shift


def drift(x, args):
    return x + args[0]


def ones(args):
    return jnp.ones((2, args[0].shape[-1]), args[0].dtype)


def far(args):
    return jnp.full((2, args[0].shape[-1]), 1e8, args[0].dtype)


def split(x, args):
    """x = tanh(rate x) has three roots if rate > 1: 0, which steps leave, and one on either side."""
    return jnp.tanh(args[0] * x)


def zeros(args):
    return jnp.zeros((2, args[0].shape[-1]), args[0].dtype)


def solve(args, function=wave, **options):
    options = {"tolerance": 1e-11, "max_steps": 300, "memory": 2, "chunk": 16} | options
    return fixed_points(function, zeros, args, **options)


def test_lanes_are_single_problems():
    args = RATES, RATES**2
    found = solve(args)
    one = fixed_point(wave, zeros(args), args, tolerance=1e-11, lanes=1)
    assert found.converged.all()
    assert found.residual.shape == found.num_steps.shape == (LANES,)
    assert_allclose(found.value, one.value, atol=1e-9)
    assert_allclose(found.value, wave(found.value, args), atol=1e-10)
    assert found.value.dtype == np.float64


def test_order_of_the_lanes():
    shuffled = np.random.default_rng(3).permutation(LANES)
    found, again = solve((RATES, RATES**2)), solve((RATES[shuffled], RATES[shuffled] ** 2))
    assert again.converged.all()
    assert_allclose(again.value, found.value[:, shuffled], atol=1e-9)


def test_a_second_batch_is_not_compiled():
    solve((RATES, RATES))
    before = len(TRACES)
    found = solve((RATES / 2, RATES + 1))
    assert len(TRACES) == before
    assert_allclose(found.value, wave(found.value, (RATES / 2, RATES + 1)), atol=1e-10)


def test_failures_are_flags():
    """No fixed point (rate 1) and no number (NaN): other lanes do not notice, nor one beyond float32's range."""
    rates, shifts = np.full(LANES, 0.5), np.ones(LANES)
    rates[7], shifts[11], shifts[200] = 1.0, np.nan, 1e60
    found = solve((rates, shifts), function=line, tolerance=1e-9, memory=0, max_steps=150)
    assert_array_equal(np.flatnonzero(~found.converged), [7, 11])
    assert found.num_steps[7] == 150
    assert_allclose(found.value[:, 200], 2e60, rtol=1e-14)
    fine = found.converged & (shifts == 1)
    assert_allclose(found.value[:, fine], 2.0, atol=1e-8)


def test_near_another_problems_end():
    """From near an end it takes few steps, and each lane to the end on its side, in blocks and as stragglers."""
    rates, side = np.linspace(1.2, 3, LANES), np.where(np.arange(LANES) % 3, 1.0, -1.0)
    options = {"function": split, "tolerance": 1e-10, "memory": 0, "max_steps": 200}
    first = solve((rates,), near=np.stack([side, -side]), **options)
    assert first.converged.all()
    assert_array_equal(np.sign(first.value), np.stack([side, -side]))
    assert_allclose(first.value, np.tanh(rates * first.value), atol=1e-9)
    again = solve((rates,), near=first.value, **options)
    assert again.num_steps.sum() < first.num_steps.sum() / 2
    assert_allclose(again.value, first.value, atol=1e-8)
    assert_array_equal(solve((rates,), **options).value, 0)


def test_single_precision_alone_is_no_convergence():
    """In float32, 1 + 1e-9 is 1 and a step leads nowhere: what counts is measured in double precision."""
    found = fixed_points(drift, ones, (np.full(LANES, 1e-9),), tolerance=1e-12, max_steps=50, memory=0, chunk=16)
    assert not found.converged.any()
    assert_allclose(found.residual, 1e-9, rtol=1e-6)


@pytest.mark.parametrize("max_steps", [1, 3, 50])
def test_a_coarse_tolerance_is_measured_in_double_precision_too(max_steps):
    """3 more is nothing at 1e8 in float32."""
    options = {"tolerance": 1e-2, "max_steps": max_steps, "memory": 0, "chunk": 16}
    found = fixed_points(drift, far, (np.full(LANES, 3.0),), **options)
    assert not found.converged.any()
    assert_allclose(found.residual, 3)


@pytest.mark.parametrize("count", [1, 5])
def test_few_lanes(count):
    args = RATES[:count], RATES[:count]
    found = solve(args)
    assert found.value.shape == (2, count)
    assert_allclose(found.value, wave(found.value, args), atol=1e-10)


def test_bad_lanes():
    with pytest.raises(ValueError, match="same last axis"):
        solve((RATES, RATES[:7]))


def test_threads_know_the_precision_of_the_caller():
    """Contexts are a thread's own: in double precision asked for by a context, every chunk gets to 1e-11."""
    jax.config.update("jax_enable_x64", False)
    try:
        with jax.enable_x64(True):
            found = solve((RATES, RATES**2))
    finally:
        jax.config.update("jax_enable_x64", True)
    assert found.converged.all()
    assert found.residual.max() <= 1e-11
