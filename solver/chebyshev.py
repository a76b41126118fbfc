"""Chebyshev polynomials on [-1, 1], T_k(cos t) = cos kt: all that is needed, as numpy.polynomial makes an import long."""

import numpy as np


def vandermonde(points: np.ndarray, count: int) -> np.ndarray:
    """T_k at points in [-1, 1]: (points, count)."""
    return np.cos(np.arange(count) * np.arccos(points)[:, None])


def derivative(count: int) -> np.ndarray:
    """(count, count): from a function's coefficients to its derivative's, T_k' = 2k (T_{k-1} + T_{k-3} + ...), T_0 halved."""
    j, k = np.indices((count, count))
    matrix = np.where((k > j) & ((k - j) % 2 == 1), 2.0 * k, 0.0)
    matrix[0] /= 2
    return matrix
