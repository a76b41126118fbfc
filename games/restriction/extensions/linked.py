r"""The restriction game with one thing more that the challengers' stage and its market decide together.

A link ℓ changes the market, and the stage of that market answers with a link; in equilibrium they agree:

.. math:: \text{stage} = \mathrm{respond}(\text{stage}, \mathrm{market}(r, \ell)),\qquad \ell = \mathrm{answer}(\text{stage})

one fixed point for both. The frontier's speed is given, γ = 1: an appropriability ε_γ > 0 is left out.
"""

import abc
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from games.restriction.challengers import STAGE_STEPS, Stage, opening, respond
from games.restriction.demand import Market
from games.restriction.frontier import Play, expected, outcome
from games.restriction.incumbents import RestrictionGame
from games.restriction.nests import SYSTEMS
from games.restriction.outcomes import checked_restriction, label, measured
from games.restriction.parameters import Parameters
from solver.compilation import jit_once
from solver.fixed_point import fixed_point
from solver.game import LeaderFollower, Profile
from solver.spaces import Box


class Link(eqx.Module):
    """What an extension adds; its numbers are array leaves."""

    @abc.abstractmethod
    def opening(self, p: Parameters) -> Array:
        """Where the search starts."""

    @abc.abstractmethod
    def market(self, p: Parameters, restriction: Array, link: Array) -> Market:
        """The market at r (incumbent, channel) and a link, at γ = 1."""

    @abc.abstractmethod
    def answer(self, p: Parameters, m: Market, stage: Stage) -> Array:
        """The link that a stage makes."""


class _State(NamedTuple):
    stage: Stage
    link: Array


class LinkedGame(LeaderFollower):
    """The incumbents' game when the challengers' stage carries a :class:`Link`; ``solve`` takes it as it takes the base game.

    :param game: in mode "fast", timing "observed", efforts by their first-order condition.
    :raises ValueError: if ``game`` is another.
    """

    game: RestrictionGame
    link: Link
    players: tuple[str, ...] = eqx.field(static=True)

    def __init__(self, game: RestrictionGame, link: Link):
        if (game.mode, game.timing, game.parameters.effort_optimum) != ("fast", "observed", "first_order"):
            raise ValueError(
                f"game has mode = {game.mode!r}, timing = {game.timing!r}, effort_optimum = "
                f"{game.parameters.effort_optimum!r}: an extension needs 'fast', 'observed' and 'first_order'"
            )
        self.game, self.link, self.players = game, link, game.players

    def actions(self) -> tuple[Box, ...]:
        return self.game.actions()

    def followers(self, profile: Profile) -> Play:
        return linked_play(self.game.parameters, jnp.stack(profile), self.link)

    def leader_payoffs(self, profile: Profile, followers: Play) -> Array:
        return self.game.leader_payoffs(profile, followers)


@jax.jit
def linked_play(p: Parameters, restriction: Array, link: Link) -> Play:
    """The outcome at r (incumbent, channel) in the fast mode, the link and the stage agreeing."""
    p = eqx.tree_at(lambda q: q.appropriability, p, jnp.zeros_like(p.appropriability))
    begin = link.opening(p)
    start = _State(opening(p, link.market(p, restriction, begin)), begin)
    slow = SYSTEMS[p.demand].accelerated
    found = fixed_point(
        _round,
        start,
        (p, restriction, link),
        tolerance=1e-8,
        max_steps=STAGE_STEPS,
        accelerate=lambda state: (*jax.tree.leaves(slow(state.stage)), state.link),
    )
    m = link.market(p, restriction, found.value.link)
    stage, one = expected(p, m, found._replace(value=found.value.stage)), jnp.ones(())
    return outcome(p, restriction, m, stage, one, one, jnp.asarray(True))


def _round(state: _State, args: tuple[Parameters, Array, Link]) -> _State:
    p, restriction, link = args
    m = link.market(p, restriction, state.link)
    stage = respond(state.stage, (p, m))
    return _State(stage, link.answer(p, m, stage))


def linked_measures(game: LinkedGame, profile: Profile) -> dict[str, Array]:
    """Every variable of ``VARIABLES`` at a profile of restrictions, as arrays."""
    return measured(game.game.parameters, jnp.stack(profile), game.followers(profile))


_measures = jit_once(linked_measures)


def linked_outcomes(game: LinkedGame, restriction):
    """As :func:`games.restriction.outcomes`, of a game with an extension.

    :return: a Dataset with every variable of ``VARIABLES``.
    :raises ValueError: if the restriction has the wrong shape or lies outside [0, 1].
    """
    return label(game.game, _measures(game, checked_restriction(game.game, restriction)))
