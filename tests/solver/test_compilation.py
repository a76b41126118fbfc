"""Programs of one kernel, and what runs where XLA refuses them."""

import jax
import jax.numpy as jnp
import pytest
from numpy.testing import assert_allclose

from solver.compilation import first_compiled, in_one_kernel


def grown(x):
    """A loop of several operations."""
    return jax.lax.fori_loop(0, 3, lambda _, x: jnp.where(x > 1, jnp.sqrt(x), jnp.exp(x)) + x.sum(axis=0) / len(x), x)


@pytest.mark.parametrize("shape", [(1, 1), (3, 64), (7, 129)])
def test_one_kernel_computes_the_same(shape):
    x = jnp.linspace(0, 2, shape[0] * shape[1]).reshape(shape)
    assert_allclose(jax.jit(in_one_kernel(grown))(x), grown(x), rtol=1e-14)


def test_a_kernel_that_is_refused_is_not_tried_again():
    tried = []

    def refuses(x):
        tried.append(x.size)
        if x.size > 3:
            raise jax.errors.JaxRuntimeError("refused")
        return x

    run = first_compiled(refuses, lambda x: 2 * x)
    for size in (2, 5, 5, 2):
        assert_allclose(run(jnp.ones(size)), 1 if size == 2 else 2)
    assert tried == [2, 5, 2]


def test_operations_too_large_for_a_kernel():
    """XLA shares these out to threads, which it cannot do from within a kernel (with one core it need not)."""
    x = jnp.linspace(0, 1, 1_000_000)
    run = first_compiled(jax.jit(in_one_kernel(grown)), jax.jit(grown))
    assert_allclose(run(x), grown(x), rtol=1e-12)


def test_an_error_of_the_last_program_is_raised():
    def refuses(x):
        raise jax.errors.JaxRuntimeError("out of memory")

    with pytest.raises(jax.errors.JaxRuntimeError, match="memory"):
        first_compiled(refuses, refuses)(jnp.ones(2))
