"""Small systems of linear equations, without LAPACK.

Two factorisations by LAPACK side by side on a CPU, on several devices, in several threads or within one program, can wait for
each other for ever (jax 0.10.2); and in a batch of small systems a call for each costs more than the arithmetic.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array


def solve_linear(matrix: Array, right: Array) -> Array:
    """x with matrix x = right, by Gauss-Jordan elimination with partial pivoting.

    :param matrix: (n, n), n at most a few dozen.
    :param right: (n,).
    :return: (n,), not finite where the matrix is singular. Differentiable in both, in both modes.
    """
    held = jax.lax.stop_gradient(matrix)
    return _solved(
        matrix, right, lambda b: _eliminated(held, b[:, None])[:, 0], lambda b: _eliminated(held.T, b[:, None])[:, 0]
    )


def solver_of(matrix: Array) -> tuple[Callable[[Array], Array], Array]:
    """``solve_linear`` of one matrix for many right sides, eliminated once, and the matrix's condition number.

    The condition number is that of the largest row sum; not a number or infinite where the matrix is singular.
    """
    held = jax.lax.stop_gradient(matrix)
    inverse = _eliminated(held, jnp.eye(len(held), dtype=held.dtype))
    condition = jnp.abs(held).sum(axis=1).max() * jnp.abs(inverse).sum(axis=1).max()
    return lambda right: _solved(matrix, right, lambda b: inverse @ b, lambda b: inverse.T @ b), condition


def _solved(matrix: Array, right: Array, solve: Callable, transposed: Callable) -> Array:
    return jax.lax.custom_linear_solve(lambda x: matrix @ x, right, lambda _, b: solve(b), lambda _, b: transposed(b))


def _eliminated(matrix: Array, right: Array) -> Array:
    """matrix⁻¹ right, of right sides (n, k)."""
    n = len(right)
    rows = jnp.arange(n)

    def column(j, table):
        pivot = jnp.where(rows >= j, jnp.abs(table[:, j]), -1).argmax()
        own, other = table[pivot], table[j]
        table = jnp.where((rows == pivot)[:, None], other, table)
        own = own / own[j]
        return jnp.where((rows == j)[:, None], own, table - table[:, j, None] * own)

    return jax.lax.fori_loop(0, n, column, jnp.column_stack([matrix, right]))[:, n:]
