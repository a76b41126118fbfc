"""Coalitions whose sizes are known in closed form."""

import math

import numpy as np
import pytest

from games.coalitions import cartels, cost_reducing_associations, partitions, sequential_sizes, stable_sizes


@pytest.mark.parametrize(("n", "first"), [(3, 2), (4, 3), (5, 4), (6, 5), (7, 5), (8, 6)])
def test_bloch_associations(n, first):
    """Bloch 1995, 1996: two associations, the first the integer nearest to (3n + 1)/4."""
    assert sequential_sizes(cost_reducing_associations, n) == (first, n - first)
    assert first == math.ceil((3 * n + 1) / 4 - 0.5)


@pytest.mark.parametrize("n", [3, 4, 6, 7, 8, 9])
def test_bloch_cartels(n):
    """Bloch 1996: n - K stay alone, and the last K form the one cartel."""
    size = math.ceil((2 * n + 3 - math.sqrt(4 * n + 5)) / 2)
    assert sequential_sizes(cartels, n) == (1,) * (n - size) + (size,)


@pytest.mark.parametrize("n", range(2, 10))
def test_no_cartel_of_three_or_more_firms_is_stable(n):
    """Salant, Switzer and Reynolds 1983."""
    inside = [cartels((k, *[1] * (n - k)))[0] for k in range(1, n + 1)]
    outside = [cartels((k, *[1] * (n - k)))[-1] for k in range(1, n)]
    assert stable_sizes(inside, outside).tolist() == ([2] if n == 2 else [1])


def test_associations_under_open_membership_are_grand():
    """An outsider gains by joining an association of k, since (n + 1)k - [(k + 1)² - k² - 1] = (n - 1)k > 0."""
    for n in range(2, 9):
        inside = [cost_reducing_associations((k, *[1] * (n - k)))[0] for k in range(1, n + 1)]
        outside = [cost_reducing_associations((k, *[1] * (n - k)))[-1] for k in range(1, n)]
        assert stable_sizes(inside, outside).tolist() == [n]


def test_cournot_profits_by_first_order_conditions():
    sizes, a, saving = (3, 2, 1), 1.0, 0.02
    size = np.repeat(sizes, sizes)
    quantity = np.linalg.solve(np.eye(6) + np.ones((6, 6)), a + saving * size)
    np.testing.assert_allclose(cost_reducing_associations(sizes, a, saving), quantity[[0, 3, 5]] ** 2)


def test_partitions():
    assert [len(partitions(n)) for n in range(1, 9)] == [1, 2, 3, 5, 7, 11, 15, 22]
    assert partitions(3) == [(3,), (2, 1), (1, 1, 1)]


def test_bad_input():
    with pytest.raises(ValueError, match=r"outside has shape \(2,\)"):
        stable_sizes([1, 2], [1, 2])
    with pytest.raises(ValueError, match="players = 17"):
        sequential_sizes(cartels, 17)
