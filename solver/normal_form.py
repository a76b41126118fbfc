"""Finite games in normal form."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from solver.game import AbstractGame, Profile
from solver.spaces import Simplex


class NormalForm(AbstractGame):
    r"""A finite game, from one array of payoffs (player, a_0, ..., a_{n-1}).

    .. math:: u_i(\sigma) = \sum_a u_i(a) \prod_j \sigma_j(a_j)

    :raises ValueError: if the array has not one axis per player behind the first, or holds a value that is not finite.
    """

    payoff_array: Array
    players: tuple[str, ...] = eqx.field(static=True)

    def __init__(self, payoff_array: Any, players: tuple[str, ...] | None = None):
        array = jnp.asarray(payoff_array, jnp.result_type(float))
        if array.ndim < 2 or array.ndim != array.shape[0] + 1:
            raise ValueError(
                f"payoff_array has shape {array.shape}: with n players it should be (n, actions of 1, ..., actions of n)"
            )
        if not isinstance(array, Tracer) and not np.isfinite(array).all():
            raise ValueError("payoff_array holds a value that is not finite")
        names = players or tuple(f"player {i + 1}" for i in range(array.shape[0]))
        if len(names) != array.shape[0]:
            raise ValueError(f"players = {names}: the payoff array has {array.shape[0]} players")
        self.payoff_array, self.players = array, tuple(names)

    @classmethod
    def from_bimatrix(cls, A: Any, B: Any, players: tuple[str, ...] | None = None) -> "NormalForm":
        """Two players; both matrices have the row player's actions first (QuantEcon's second player is B.T)."""
        A, B = jnp.asarray(A), jnp.asarray(B)
        if A.shape != B.shape or A.ndim != 2:
            raise ValueError(f"A has shape {A.shape} and B {B.shape}: give two matrices of one shape")
        return cls(jnp.stack([A, B]), players)

    @classmethod
    def from_nfg(cls, path: Any) -> "NormalForm":
        """The game in a Gambit .nfg file of payoffs or outcomes; a malformed one is a ValueError with line and column."""
        from solver.interop import read_nfg

        return read_nfg(path)

    def to_nfg(self, path: Any, *, outcomes: bool = False) -> None:
        """Write the game for Gambit, profile by profile or as a table of outcomes."""
        from solver.interop import write_nfg

        write_nfg(self, path, outcomes=outcomes)

    def actions(self) -> tuple[Simplex, ...]:
        return tuple(Simplex(n) for n in self.payoff_array.shape[1:])

    def payoffs(self, profile: Profile) -> Array:
        payoffs = self.payoff_array
        for mixture in reversed(profile):
            payoffs = payoffs @ mixture
        return payoffs

    def action_payoffs(self, profile: Profile, player: int) -> Array:
        """The player's expected payoff from each of its actions (num_actions,), the others mixing as in ``profile``."""
        payoffs = jnp.moveaxis(self.payoff_array[player], player, 0)
        for mixture in reversed(profile[:player] + profile[player + 1 :]):
            payoffs = payoffs @ mixture
        return payoffs
