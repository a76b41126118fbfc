"""Small systems of linear equations, without LAPACK.

Two factorisations by LAPACK side by side on a CPU, on several devices, in several threads or within one program, can wait for
each other for ever (jax 0.10.2); and in a batch of small systems a call for each costs more than the arithmetic.
"""

import jax
import jax.numpy as jnp
from jax import Array


def solve_linear(matrix: Array, right: Array) -> Array:
    """x with matrix x = right, by Gauss-Jordan elimination with partial pivoting.

    :param matrix: (n, n), n at most a few dozen.
    :param right: (n,).
    :return: (n,), not finite where the matrix is singular. Differentiable in both, in both modes.
    """
    return jax.lax.custom_linear_solve(
        lambda x: matrix @ x,
        right,
        lambda _, b: _eliminated(jax.lax.stop_gradient(matrix), b),
        lambda _, b: _eliminated(jax.lax.stop_gradient(matrix).T, b),
    )


def _eliminated(matrix: Array, right: Array) -> Array:
    n = len(right)
    rows = jnp.arange(n)

    def column(j, table):
        pivot = jnp.where(rows >= j, jnp.abs(table[:, j]), -1).argmax()
        own, other = table[pivot], table[j]
        table = jnp.where((rows == pivot)[:, None], other, table)
        own = own / own[j]
        return jnp.where((rows == j)[:, None], own, table - table[:, j, None] * own)

    return jax.lax.fori_loop(0, n, column, jnp.column_stack([matrix, right]))[:, n]
