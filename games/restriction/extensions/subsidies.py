r"""The subsidy game: each bloc's planner chooses a rate of subsidy, and firms answer in the market (model.md §9).

.. math:: g_b \in \arg\max_{0 \le g \le \bar g} W_b(g, g_{-b})

The same game over two markets: the challengers' stage at a restriction, where W_b is a bloc's welfare (model.md §8) and g the
share of its sovereign programmes that it pays; and exports to a third market with linear demand, Brander and Spencer's
(1985), with the marginal cost of public funds λ that Neary (1994) adds:

.. math::
    q_i = \frac{A + 2s_i - s_j}{3b},\quad W_i = (a - bQ - c)\,q_i - \lambda s_i q_i,\quad A = a - c

    s = \frac{A\,(1 - 3\lambda)^+}{4 + 12\lambda}\ \text{(one planner)},\qquad
    s = \frac{A\,(1 - 3\lambda)^+}{5 + 9\lambda}\ \text{(both)}

At λ = 0 these are (a - c)/4 and (a - c)/5; from λ = 1/3 on no subsidy pays.
"""

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from games.oligopoly import checked, duopoly, market
from games.restriction.frontier import Play, fast_play
from games.restriction.incumbents import RestrictionGame
from games.restriction.many import Worlds
from games.restriction.outcomes import checked_restriction, welfare_accounts
from games.restriction.parameters import Parameters
from solver.game import LeaderFollower, Profile
from solver.spaces import Box

HIGHEST = 0.95  # share of a programme that a state may pay


class SubsidisedMarket(eqx.Module):
    """A market whose firms answer to subsidies."""

    planners: eqx.AbstractVar[tuple[str, ...]]

    @abc.abstractmethod
    def highest(self) -> Array:
        """The highest subsidy ()."""

    @abc.abstractmethod
    def outcome(self, subsidies: Array) -> Any:
        """The firms' equilibrium at subsidies (planner,)."""

    @abc.abstractmethod
    def welfare(self, subsidies: Array, outcome: Any) -> Array:
        """What the planners maximise (planner,)."""


class SubsidyGame(LeaderFollower):
    """Planners choose subsidies at once, firms follow.

    :param market: :class:`LinearExports`, or :class:`ChallengersMarket` (see :func:`subsidy_game`).
    """

    market: SubsidisedMarket
    players: tuple[str, ...] = eqx.field(static=True)

    def __init__(self, market: SubsidisedMarket):
        self.market, self.players = market, market.planners

    def actions(self) -> tuple[Box, ...]:
        return (Box(0.0, self.market.highest()),) * len(self.players)

    def followers(self, profile: Profile) -> Any:
        return self.market.outcome(jnp.concatenate(profile))

    def leader_payoffs(self, profile: Profile, followers: Any) -> Array:
        return self.market.welfare(jnp.concatenate(profile), followers)

    def payoffs_in_batches(self):
        """What solves the stages of many games together (see :mod:`solver.sweep.batches`), or None."""
        return SubsidisedWorlds if isinstance(self.market, ChallengersMarket) else None


class LinearExports(SubsidisedMarket):
    """Two firms in Cournot competition in a third market, each with its planner (or the first alone).

    :param a, b, c: the demand's intercept (price) and slope (price per quantity), the unit cost; a subsidy is a price.
    :param public_funds_cost: λ, at least 0. :param planners: one name or two.
    :raises ValueError: naming the parameter that is out of bounds.
    """

    a: Array
    b: Array
    c: Array
    public_funds_cost: Array
    planners: tuple[str, ...] = eqx.field(static=True)

    def __init__(
        self,
        a: Any = 100.0,
        b: Any = 2.0,
        c: Any = 10.0,
        public_funds_cost: Any = 0.0,
        planners: tuple[str, ...] = ("home", "foreign"),
    ):
        self.a, self.b, self.c = market(a, b, c)
        self.public_funds_cost = checked("public_funds_cost", public_funds_cost)
        self.planners = tuple(planners)
        if len(self.planners) not in (1, 2):
            raise ValueError(f"planners = {planners}: give one name or two")

    def highest(self) -> Array:
        return self.a - self.c

    def outcome(self, subsidies: Array) -> Array:
        """The firms' quantities (2,)."""
        return duopoly(self.a, self.b, self.c - jnp.pad(subsidies, (0, 2 - len(self.planners))))

    def welfare(self, subsidies: Array, outcome: Array) -> Array:
        own = outcome[: len(self.planners)]
        return (self.a - self.b * outcome.sum() - self.c - self.public_funds_cost * subsidies) * own

    def closed_form(self) -> Profile:
        cost, n = self.public_funds_cost, len(self.planners)
        falls = 5 + 9 * cost if n == 2 else 4 + 12 * cost
        return (jnp.atleast_1d((self.a - self.c) * jnp.maximum(1 - 3 * cost, 0) / falls),) * n


class ChallengersMarket(SubsidisedMarket):
    """The challengers' stage in the fast mode, at a given restriction; every bloc with challengers has a planner."""

    parameters: Parameters
    restriction: Array  # (incumbent, channel)
    planners: tuple[str, ...] = eqx.field(static=True)

    def highest(self) -> Array:
        return jnp.full((), HIGHEST)

    def outcome(self, subsidies: Array) -> Play:
        return fast_play(self._subsidised(subsidies), self.restriction)

    def welfare(self, subsidies: Array, outcome: Play) -> Array:
        p = self._subsidised(subsidies)
        welfare = welfare_accounts(p, outcome)["bloc_welfare"][np.array([p.blocs.index(b) for b in self.planners])]
        return jnp.where(outcome.converged, welfare, jnp.nan)  # without a market in equilibrium there is no welfare

    def _subsidised(self, subsidies: Array) -> Parameters:
        where = np.array([self.planners.index(bloc) for bloc in self.parameters.challenger_bloc])
        return eqx.tree_at(lambda p: p.subsidy, self.parameters, subsidies[where])


class SubsidisedWorlds:
    """The planners' welfare in a stack of subsidy games (every array leads with the game) at many profiles."""

    def __init__(self, games: SubsidyGame):
        self.market: ChallengersMarket = games.market  # type: ignore[assignment]

    def __call__(self, which: np.ndarray, profiles: np.ndarray) -> np.ndarray:
        """Welfare (profile, planner) of the games ``which`` (profile,) at subsidies (profile, planner, 1)."""
        own = jax.tree.map(lambda x: np.asarray(x)[which], self.market)
        p = jax.vmap(lambda market, subsidies: market._subsidised(subsidies))(own, profiles[:, :, 0])
        stack = _Stack(jax.tree.map(np.asarray, p))
        found = Worlds(stack).measures(np.arange(len(which)), own.restriction)
        home = [p.blocs.index(bloc) for bloc in self.market.planners]
        return np.where(found["stage_converged"][:, None], found["bloc_welfare"][:, home], np.nan)


class _Stack(NamedTuple):
    parameters: Parameters


def subsidy_game(game: RestrictionGame, restriction: Any) -> SubsidyGame:
    """The blocs' subsidy game at a restriction.

    :param restriction: a number, one per incumbent, or (incumbent, channel); in a ``sweep`` a traced number.
    :return: players are the blocs that have challengers, a strategy is the share of a programme's cost that the state pays.
    :raises ValueError: if the restriction is out of bounds, or the game not in mode "fast", or without challengers.
    """
    p = game.parameters
    planners = tuple(bloc for bloc in p.blocs if bloc in p.challenger_bloc)
    if game.mode != "fast" or not planners:
        raise ValueError(
            f"game has mode = {game.mode!r} and {len(p.challengers)} challengers: give 'fast' and one or more"
        )
    if isinstance(restriction, Tracer):
        r = jnp.full((len(game.players), game.num_channels), restriction)
    else:
        r = jnp.stack(checked_restriction(game, restriction))
    return SubsidyGame(ChallengersMarket(parameters=p, restriction=r, planners=planners))
