"""Chebyshev polynomials against NumPy's."""

import numpy as np
from numpy.polynomial import chebyshev
from numpy.testing import assert_allclose

from solver.chebyshev import derivative, vandermonde


def test_values():
    points = np.append(np.linspace(-1, 1, 65), -np.cos(np.pi * np.arange(9) / 8))
    assert_allclose(vandermonde(points, 9), chebyshev.chebvander(points, 8), atol=1e-14)


def test_derivatives():
    coefficients = np.random.default_rng(0).normal(size=9)
    assert_allclose((derivative(9) @ coefficients)[:-1], chebyshev.chebder(coefficients), rtol=1e-14)
    assert not derivative(9)[-1].any()
