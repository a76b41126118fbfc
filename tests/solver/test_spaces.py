"""Sets of strategies: projections are nearest points, samples lie inside, bad bounds are named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from solver import Box, Simplex

numbers = st.floats(-5, 5, allow_nan=False, width=32)


def test_a_scalar_bound_is_broadcast():
    box = Box(0.0, [1.0, 2.0, 4.0])
    assert box.size == 3
    assert box.lower.shape == (3,)
    assert_allclose(box.midpoint(), [0.5, 1.0, 2.0], atol=0)
    assert_allclose(box.project(jnp.array([-1.0, 1.5, 9.0])), [0.0, 1.5, 4.0], atol=0)
    assert Box(1.0, 1.0).size == 1


def test_samples_lie_inside_and_differ():
    box, simplex = Box([-1.0, 2.0], [0.0, 5.0]), Simplex(4)
    keys = jax.random.split(jax.random.key(0), 50)
    points = np.asarray(jax.vmap(box.sample)(keys))
    assert (points >= [-1, 2]).all()
    assert (points <= [0, 5]).all()
    assert (points.max(axis=0) - points.min(axis=0) > [0.5, 1.5]).all()
    mixtures = np.asarray(jax.vmap(simplex.sample)(keys))
    assert_allclose(mixtures.sum(axis=1), 1, rtol=1e-12)
    assert (mixtures >= 0).all()
    assert mixtures.std(axis=0).min() > 0.05
    assert_allclose(simplex.midpoint(), 0.25, atol=0)


@given(st.lists(numbers, min_size=4, max_size=4))
def test_the_nearest_mixture(values):
    """The projection p of x satisfies (x - p)·(e_k - p) <= 0 at every vertex (the variational inequality)."""
    x = np.asarray(values)
    p = np.asarray(Simplex(4).project(jnp.asarray(x)))
    assert (p >= 0).all()
    assert_allclose(p.sum(), 1, atol=1e-12)
    assert (((np.eye(4) - p) * (x - p)).sum(axis=1) <= 1e-12).all()
    assert_allclose(Simplex(4).project(jnp.asarray(p)), p, atol=1e-12)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_projection_keeps_the_precision(dtype):
    assert Simplex(3).project(jnp.ones(3, dtype)).dtype == dtype
    assert Simplex(1).project(jnp.array([7.0], dtype))[0] == 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Box(1.0, 0.0), ("lower", "1.", "upper", "exchange")),
        (lambda: Box([0.0, 3.0], [1.0, 2.0]), ("lower", "3.")),
        (lambda: Box(0.0, float("inf")), ("upper", "inf", "finite")),
        (lambda: Box(float("nan"), 1.0), ("lower", "nan")),
        (lambda: Simplex(0), ("num_actions = 0", "at least 1")),
    ],
)
def test_bad_bounds_are_named(make, words):
    with pytest.raises(ValueError, match=words[0]) as error:
        make()
    assert all(word in str(error.value) for word in words)
