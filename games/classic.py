r"""Small games every textbook has, as normal forms.

.. math:: u_i(\sigma) = \sum_a u_i(a) \prod_j \sigma_j(a_j)

Payoffs are written for the row player and the column player, the row player's actions first in both matrices.
"""

import jax.numpy as jnp
import numpy as np

from solver import NormalForm


def matching_pennies(row_payoff: float = 80.0) -> NormalForm:
    r"""Matching pennies with the row player's payoff from (Top, Left) changed (Goeree and Holt 2001, Table 1).

    .. math:: \begin{pmatrix} X, 40 & 40, 80 \\ 40, 80 & 80, 40 \end{pmatrix},\qquad X \in \{80, 320, 44\}

    One equilibrium for X > 40: Top with probability 1/2, Left with 40/X. Payoffs in US cents.
    """
    A = jnp.array([[0.0, 40.0], [40.0, 80.0]]).at[0, 0].set(row_payoff)
    return NormalForm.from_bimatrix(A, jnp.array([[40.0, 80.0], [80.0, 40.0]]), ("row", "column"))


def prisoners_dilemma(
    temptation: float = 5.0, reward: float = 3.0, punishment: float = 1.0, sucker: float = 0.0
) -> NormalForm:
    """Cooperate or defect, T > R > P > S; defection dominates (Tucker 1950; these numbers: Axelrod 1984, ch. 1).

    :raises ValueError: unless temptation > reward > punishment > sucker.
    """
    if not temptation > reward > punishment > sucker:
        raise ValueError(
            f"temptation, reward, punishment, sucker = {temptation}, {reward}, {punishment}, {sucker}: give them "
            "from the largest to the smallest"
        )
    A = np.array([[reward, sucker], [temptation, punishment]])
    return NormalForm.from_bimatrix(A, A.T, ("row", "column"))


def battle_of_the_sexes() -> NormalForm:
    """Both want to meet, each at a place of its own: (2, 1) or (1, 2), else nothing (Luce and Raiffa 1957, sec. 5.3).

    Three equilibria: both at the first place, both at the second, and 2/3 on one's own place for an expected 2/3.
    """
    return NormalForm.from_bimatrix([[2.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 2.0]], ("row", "column"))


def rock_paper_scissors(win: float = 1.0, loss: float = 1.0) -> NormalForm:
    """Each action beats the one before it; the only equilibrium mixes evenly (von Neumann 1928 has the zero-sum case).

    :param win, loss: the winner's payoff and the loser's, with its sign changed. Replicator dynamics cycle at
        win = loss and spiral outwards at win < loss (Hofbauer and Sigmund 1998, ch. 7).
    """
    A = np.array([[0.0, -loss, win], [win, 0.0, -loss], [-loss, win, 0.0]])
    return NormalForm.from_bimatrix(A, A.T, ("row", "column"))


def chicken() -> NormalForm:
    """Dare or yield; the best correlated equilibrium pays 5.25 each (Aumann 1974).

    Three equilibria: one dares and the other yields, or both dare with probability 1/3 for an expected 14/3.
    """
    A = np.array([[0.0, 7.0], [2.0, 6.0]])
    return NormalForm.from_bimatrix(A, A.T, ("row", "column"))


def stag_hunt() -> NormalForm:
    """Stag or hare: (9, 9) pays most, (7, 7) risks least (Harsanyi and Selten 1988, sec. 10.12; Aumann 1990).

    Three equilibria: both hunt the stag, both the hare, or both the stag with probability 7/8.
    """
    A = np.array([[9.0, 0.0], [8.0, 7.0]])
    return NormalForm.from_bimatrix(A, A.T, ("row", "column"))
