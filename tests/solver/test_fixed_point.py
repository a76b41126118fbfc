"""Fixed points: the defining equation, implicit derivatives against finite differences, lanes against vmap."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from solver import fixed_point

A = jnp.array([[0.3, -0.5, 0.1], [0.2, 0.4, -0.3], [-0.1, 0.2, 0.5]])
B = jnp.array([1.0, -2.0, 0.5])


def linear(x, args):
    matrix, shift = args
    return matrix @ x + shift


def market(x, args):
    """A pytree of two leaves that need each other."""
    return {
        "price": 1.0 + 0.4 * jnp.tanh(x["mix"].sum() * args),
        "mix": 0.5 * jnp.cos(x["price"] * jnp.array([1.0, args])),
    }


def at(args, memory=4, tolerance=1e-12):
    start = {"price": jnp.asarray(0.0), "mix": jnp.zeros(2)}
    return fixed_point(market, start, args, tolerance=tolerance, memory=memory)


@pytest.mark.parametrize("memory", [0, 1, 4])
def test_a_linear_map(memory):
    found = fixed_point(linear, jnp.zeros(3), (A, B), tolerance=1e-12, memory=memory)
    assert bool(found.converged)
    assert float(found.residual) <= 1e-12
    assert_allclose(found.value, jnp.linalg.solve(jnp.eye(3) - A, B), atol=1e-11)


def test_acceleration_takes_fewer_steps():
    plain, fast = (fixed_point(linear, jnp.zeros(3), (1.6 * A, B), tolerance=1e-10, memory=m) for m in (0, 4))
    assert bool(fast.converged)
    assert int(fast.num_steps) < int(plain.num_steps) / 3


def test_a_map_that_expands():
    """x -> -2x + 3 sends plain iteration away from 1; the acceleration finds it."""
    run = lambda memory: fixed_point(lambda x, a: -2 * x + a, jnp.zeros(1), 3.0, tolerance=1e-10, memory=memory)  # noqa: E731
    assert not bool(run(0).converged)
    assert bool(run(2).converged)
    assert_allclose(run(2).value, 1.0, atol=1e-9)


def test_no_fixed_point_is_never_called_converged():
    for memory in (0, 4):
        found = fixed_point(lambda x, a: x + a, jnp.zeros(2), 1.0, tolerance=1e-8, max_steps=50, memory=memory)
        assert not bool(found.converged)
        assert int(found.num_steps) == 50
    broken = fixed_point(lambda x, a: jnp.log(x) + a, -jnp.ones(1), 0.0, tolerance=1e-8, max_steps=20)
    assert not bool(broken.converged)


@pytest.mark.parametrize("memory", [0, 4])
def test_a_pytree(memory):
    found = at(jnp.asarray(0.7), memory)
    again = market(found.value, 0.7)
    assert bool(found.converged)
    assert_allclose(found.value["price"], again["price"], atol=1e-11)
    assert_allclose(found.value["mix"], again["mix"], atol=1e-11)


def test_derivatives_of_both_directions():
    def total(args):
        value = at(args).value
        return value["price"] + value["mix"][1] ** 2

    total = jax.jit(total)

    here, step = jnp.asarray(0.7), 1e-5
    difference = (total(here + step) - total(here - step)) / (2 * step)
    assert_allclose(jax.grad(total)(here), difference, rtol=1e-7)
    assert_allclose(jax.jvp(total, (here,), (jnp.asarray(1.0),))[1], difference, rtol=1e-7)
    assert abs(float(difference)) > 0.01


def test_derivatives_in_closed_form():
    """d x / d b = (I - A)^-1, from the implicit function theorem."""

    def solution(shift):
        return fixed_point(linear, jnp.ones(3), (A, shift), tolerance=1e-10).value

    inverse = jnp.linalg.inv(jnp.eye(3) - A)
    assert_allclose(jax.jacrev(solution)(B), inverse, atol=1e-9)
    assert_allclose(jax.jacfwd(solution)(B), inverse, atol=1e-9)


def test_the_start_has_no_derivative():
    slope = jax.grad(lambda s: fixed_point(linear, s, (A, B), tolerance=1e-10).value.sum())(jnp.ones(3))
    assert_allclose(slope, 0, atol=0)


def test_a_batch_of_derivatives():
    slope = jax.jit(jax.grad(lambda a: at(a).value["price"]))
    many = jnp.array([0.2, 0.7, 1.1])
    assert_allclose(jax.vmap(slope)(many), jnp.stack([slope(a) for a in many]), rtol=1e-9)


@pytest.mark.parametrize("memory", [0, 3])
def test_lanes_are_vmap(memory):
    """Seven problems on a trailing axis, each stopping by itself, are the seven problems one by one."""
    rates = jnp.linspace(0.1, 0.95, 7)

    def wave(x, rate):
        return jnp.stack([rate * jnp.cos(x[1]), rate * jnp.sin(x[0]) + 0.5])

    together = fixed_point(wave, jnp.zeros((2, 7)), rates, tolerance=1e-10, memory=memory, lanes=1)
    one = jax.vmap(lambda r: fixed_point(wave, jnp.zeros(2), r, tolerance=1e-10, memory=memory))(rates)
    assert together.residual.shape == together.num_steps.shape == (7,)
    assert bool(together.converged.all())
    assert_allclose(together.value.T, one.value, atol=1e-9)
    assert_allclose(together.num_steps, one.num_steps, atol=1)
    assert len(set(together.num_steps.tolist())) > 1


def test_two_axes_of_lanes():
    shift = jnp.arange(6.0).reshape(2, 3)
    found = fixed_point(lambda x, s: 0.5 * x + s, jnp.zeros((1, 2, 3)), shift, tolerance=1e-10, lanes=2)
    assert_allclose(found.value[0], 2 * shift, atol=1e-9)


def test_a_lane_that_fails_leaves_the_others():
    growth = jnp.array([0.5, 1.0, jnp.nan])
    found = fixed_point(lambda x, g: g * x + 1, jnp.zeros((1, 3)), growth, tolerance=1e-9, max_steps=40, lanes=1)
    assert found.converged.tolist() == [True, False, False]
    assert_allclose(found.value[0, 0], 2.0, atol=1e-8)


def test_a_part_is_accelerated():
    found = fixed_point(
        market,
        {"price": jnp.asarray(0.0), "mix": jnp.zeros(2)},
        0.7,
        tolerance=1e-12,
        accelerate=lambda x: x["mix"],
    )
    assert bool(found.converged)
    assert_allclose(found.value["price"], at(jnp.asarray(0.7)).value["price"], atol=1e-11)


def test_derivatives_of_lanes_are_refused():
    def total(shift):
        return fixed_point(lambda x, s: 0.5 * x + s, jnp.zeros((1, 3)), shift, tolerance=1e-9, lanes=1).value.sum()

    with pytest.raises(NotImplementedError, match=r"lanes=0; use jax\.vmap"):
        jax.grad(total)(jnp.ones(3))


def test_single_precision():
    with jax.enable_x64(False):
        matrix, shift = jnp.asarray(np.asarray(A), jnp.float32), jnp.asarray(np.asarray(B), jnp.float32)
        found = fixed_point(linear, jnp.zeros(3), (matrix, shift), tolerance=1e-5)
        assert found.value.dtype == jnp.float32
        assert bool(found.converged)
        assert_allclose(found.value, np.linalg.solve(np.eye(3) - np.asarray(A), np.asarray(B)), atol=1e-4)


def test_a_fixed_point_that_is_not_meant_is_left():
    """x = x + a x - x^3 rests at 0 and at ±sqrt(a): from 0, and only from there, it is sent on to 0.4."""

    def through(start, a):
        found = fixed_point(
            lambda x, a: x + a * x - x**3,
            start,
            a,
            tolerance=1e-10,
            escape=lambda x, a: (jnp.full_like(x, 0.4), jnp.abs(x) < 1e-3),
        )
        return found.value

    for start, answer in ((0.0, 0.5), (0.3, 0.5), (-0.3, -0.5)):
        np.testing.assert_allclose(through(jnp.asarray(start), jnp.asarray(0.25)), answer, atol=1e-9)
    slope = jax.grad(through, argnums=1)(jnp.asarray(0.0), jnp.asarray(0.25))
    np.testing.assert_allclose(slope, 1.0, atol=1e-6)  # of sqrt(a) at 1/4


def test_a_fixed_point_with_nowhere_to_go_is_kept():
    """Sent on for ever, it ends at a fixed point and says so; lanes that stay are untouched."""
    start = jnp.asarray([0.4, 0.4])
    found = fixed_point(
        lambda x, a: 0.5 * x + a,
        start,
        jnp.asarray([1.0, 2.0]),
        tolerance=1e-10,
        escape=lambda x, a: (jnp.zeros_like(x), a < 1.5),
        lanes=1,
    )
    assert found.converged.all()
    np.testing.assert_allclose(found.value, [2.0, 4.0], atol=1e-9)
    assert found.num_steps[0] > 2 * found.num_steps[1]
