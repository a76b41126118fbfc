import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from solver.linear import solve_linear

solved = jax.jit(jax.vmap(solve_linear))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(seed=st.integers(0, 10**6))
def test_equations_hold(dtype, seed):
    rng = np.random.default_rng(seed)
    matrix, right = rng.normal(size=(20, 5, 5)).astype(dtype), rng.normal(size=(20, 5)).astype(dtype)
    matrix[:, 0, 0] = 0.0  # a pivot that has to be sought elsewhere
    x = np.asarray(solved(matrix, right))
    scale = np.linalg.norm(matrix, axis=(1, 2)) * np.linalg.norm(x, axis=1) + np.linalg.norm(right, axis=1)
    assert x.dtype == dtype
    assert (np.abs(np.einsum("kij,kj->ki", matrix, x) - right).max(axis=1) <= 100 * np.finfo(dtype).eps * scale).all()


def test_derivatives_of_a_solution():
    rng = np.random.default_rng(1)
    matrix, right = jnp.asarray(rng.normal(size=(4, 4))), jnp.asarray(rng.normal(size=4))
    inverse, x = np.linalg.inv(matrix), solve_linear(matrix, right)
    exact = -np.einsum("ij,k->ijk", inverse, x)  # dx_i / dA_jk
    for jacobian in (jax.jacfwd, jax.jacrev):
        of_matrix, of_right = jacobian(solve_linear, argnums=(0, 1))(matrix, right)
        np.testing.assert_allclose(of_matrix, exact, rtol=1e-10)
        np.testing.assert_allclose(of_right, inverse, rtol=1e-10)


def test_a_singular_matrix_has_no_finite_solution():
    assert not np.isfinite(solve_linear(jnp.ones((2, 2)), jnp.array([1.0, 2.0]))).all()
