"""What the tests of finite games share."""

import numpy as np

from solver import NormalForm


def rounded(profiles):
    """A set of profiles that can be compared."""
    flat = (np.concatenate([np.asarray(s, float) for s in profile]) for profile in profiles)
    return {tuple(np.round(one, 6) + 0.0) for one in flat}


def found(equilibria):
    return rounded(one.strategies for one in equilibria.to_list())


def normal(seed, *shape):
    return NormalForm(np.random.default_rng(seed).normal(size=(len(shape), *shape)))


def whole(seed, *shape, most=2):
    return NormalForm(np.random.default_rng(seed).integers(0, most + 1, (len(shape), *shape)))


# Degenerate by a tie of the row player; the equilibria form one component of two segments
TIED = NormalForm.from_bimatrix([[1.0, 1.0], [1.0, 0.0]], [[1.0, 1.0], [0.0, 0.0]])
# McKelvey and McLennan (1997): nine equilibria, the most a generic 2x2x2 game can have
NINE = np.zeros((3, 2, 2, 2))
NINE[:, 0, 0, 0], NINE[:, 1, 1, 0], NINE[:, 0, 1, 1], NINE[:, 1, 0, 1] = (9, 8, 12), (9, 8, 2), (3, 4, 6), (3, 4, 6)
