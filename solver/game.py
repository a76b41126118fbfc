"""Games: players, their strategies, and payoffs as a function of a profile."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from solver.spaces import Box, Simplex

Profile = tuple[Array, ...]


class AbstractGame(eqx.Module):
    """A game is the pytree of its parameters, with three members a subclass provides.

    ``players``: their names. ``actions()``: one :class:`Box` or :class:`Simplex` per player. ``payoffs(profile)``: the
    payoffs, shape (players,), at a tuple of strategies, one 1-D array per player. Payoffs are maximised and written in
    ``jax.numpy``. A player on a Simplex is taken to have payoffs linear in its own mixture.
    """

    players: eqx.AbstractVar[tuple[str, ...]]

    @abc.abstractmethod
    def actions(self) -> tuple[Box | Simplex, ...]:
        raise NotImplementedError

    @abc.abstractmethod
    def payoffs(self, profile: Profile) -> Array:
        raise NotImplementedError

    def deviation_payoffs(self, profile: Profile, player: int | Array, deviations: Array) -> Array:
        """One player's payoffs (K,) at K own strategies, shape (K, size), the others as in ``profile``.

        ``player`` may be traced, and rows may be longer than the player's strategy (the rest is ignored), so that one
        trace of ``payoffs`` serves all players. A game whose deviations hold something else fixed than the others'
        strategies overrides :meth:`committed_payoffs`.
        """
        sizes = [strategy.shape[0] for strategy in profile]
        table = pad(profile)
        index = jnp.asarray(player)

        def one(deviation: Array) -> Array:
            row = jnp.zeros(table.shape[1], table.dtype).at[: deviation.shape[0]].set(deviation)
            return self.committed_payoffs(profile, unpad(table.at[index].set(row), sizes))[index]

        return jax.vmap(one)(deviations)

    def committed_payoffs(self, profile: Profile, deviated: Profile) -> Array:
        """Payoffs at ``deviated`` when play was expected at ``profile``: the plain payoffs, unless a game says otherwise."""
        del profile
        return self.payoffs(deviated)


class LeaderFollower(AbstractGame):
    """Leaders whose payoffs come through the equilibrium of their followers.

    A subclass provides ``players`` and ``actions()`` of the leaders, ``followers(profile)``, the followers' equilibrium
    (any pytree), and ``leader_payoffs(profile, followers)``. The followers' equilibrium must be a function of the leaders'
    profile alone (start its search from a fixed point), or payoffs mean nothing.
    """

    @abc.abstractmethod
    def followers(self, profile: Profile) -> Any:
        raise NotImplementedError

    @abc.abstractmethod
    def leader_payoffs(self, profile: Profile, followers: Any) -> Array:
        raise NotImplementedError

    def payoffs(self, profile: Profile) -> Array:
        return self.leader_payoffs(profile, self.followers(profile))


def pad(profile: Profile) -> Array:
    """A profile as one array (players, longest strategy), short rows filled with zeros."""
    width = max(strategy.shape[0] for strategy in profile)
    dtype = jnp.result_type(*profile)
    return jnp.stack([jnp.zeros(width, dtype).at[: s.shape[0]].set(s) for s in profile])


def unpad(table: Array, sizes: list[int]) -> Profile:
    return tuple(table[i, :size] for i, size in enumerate(sizes))


def midpoint(game: AbstractGame) -> Profile:
    return tuple(space.midpoint() for space in game.actions())


def checked_profile(game: AbstractGame, profile: Any, name: str = "profile") -> Profile:
    """The profile as float arrays of the right shapes, projected onto the players' sets."""
    spaces = game.actions()
    if len(profile) != len(spaces):
        raise ValueError(f"{name} has {len(profile)} strategies, and the game {len(spaces)} players: give one for each")
    checked = []
    for player, space, strategy in zip(game.players, spaces, profile, strict=True):
        array = jnp.atleast_1d(jnp.asarray(strategy, jnp.result_type(float)))
        if array.shape != (space.size,):
            raise ValueError(f"{name} of {player} has shape {array.shape}, which should be ({space.size},)")
        checked.append(array)
    return tuple(checked)
