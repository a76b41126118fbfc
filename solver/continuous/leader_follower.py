r"""Several leaders, then several followers whose equilibrium any algorithm computes.

.. math:: y(x) \in \arg\operatorname*{select}_{y \in E(x)} \sigma(x, y),\qquad
    x_i \in \arg\max_{x_i} u_i\bigl(x, y(x)\bigr)

E(x) are the followers' equilibria at the leaders' profile, as found from a few starts, and σ the selection: the leaders'
joint payoff ("optimistic"), its negative ("pessimistic"; Leitmann 1978 calls them strong and weak), or a score of one's own.
"""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from solver.algorithms.best_response import BestResponse
from solver.game import AbstractGame, LeaderFollower, Profile
from solver.solution import Solution
from solver.solve import solve
from solver.spaces import Box, Simplex

SELECTIONS: dict[str, Callable[[Array, Solution], Array]] = {
    "optimistic": lambda payoffs, _: payoffs.sum(),
    "pessimistic": lambda payoffs, _: -payoffs.sum(),
}


class LeaderFollowerGame(LeaderFollower):
    """The leaders' game of the module's docstring.

    :param players: the leaders' names. :param spaces: their sets, one each.
    :param parameters: any pytree of arrays, passed on to the two functions; what ``comparative_statics`` differentiates in.
    :param follower_game: maps (parameters, leaders' profile) to the followers' game.
    :param objective: maps (parameters, leaders' profile, followers' strategies) to the leaders' payoffs (leaders,).
    :param algorithm: of the followers' equilibrium; any that ``solve`` takes.
    :param starts: followers' profiles from which it is searched; default: the middle of their sets alone.
    :param selection: "optimistic", "pessimistic", or a function of (leaders' payoffs, followers' Solution) to a score; of the
        equilibria found the first with the highest score is played.
    :raises ValueError: if there is not one set for each leader, or ``selection`` is unknown.

    Where no equilibrium of the followers is found the leaders' payoffs are NaN. Where the one selected jumps, a leader's best
    reply may not exist: :func:`supremum` tells.
    """

    parameters: Any
    spaces: tuple[Box | Simplex, ...]
    algorithm: Any
    starts: tuple[Profile, ...] | None
    follower_game: Callable[[Any, Profile], AbstractGame] = eqx.field(static=True)
    objective: Callable[[Any, Profile, Profile], Array] = eqx.field(static=True)
    selection: Callable[[Array, Solution], Array] = eqx.field(static=True)
    players: tuple[str, ...] = eqx.field(static=True)

    def __init__(
        self,
        players: Sequence[str],
        spaces: Sequence[Box | Simplex],
        parameters: Any,
        follower_game: Callable[[Any, Profile], AbstractGame],
        objective: Callable[[Any, Profile, Profile], Array],
        *,
        algorithm: Any = None,
        starts: Sequence[Sequence[Any]] | None = None,
        selection: str | Callable[[Array, Solution], Array] = "optimistic",
    ):
        if len(players) != len(spaces):
            raise ValueError(f"spaces has {len(spaces)} sets, and there are {len(players)} leaders: give one for each")
        if isinstance(selection, str) and selection not in SELECTIONS:
            raise ValueError(f"selection = {selection!r}: give 'optimistic', 'pessimistic', or a function to a score")
        self.players, self.spaces, self.parameters = tuple(players), tuple(spaces), parameters
        self.follower_game, self.objective = follower_game, objective
        self.algorithm = BestResponse() if algorithm is None else algorithm
        self.selection = SELECTIONS[selection] if isinstance(selection, str) else selection
        dtype = jnp.result_type(float)
        self.starts = None if starts is None else tuple(tuple(jnp.asarray(s, dtype) for s in one) for one in starts)

    def actions(self) -> tuple[Box | Simplex, ...]:
        return self.spaces

    def followers(self, profile: Profile) -> Solution:
        """The followers' selected equilibrium, with its evidence."""
        game = self.follower_game(self.parameters, profile)
        if self.starts is None or len(self.starts) == 1:
            start = None if self.starts is None else self.starts[0]
            return solve(game, self.algorithm, start=start, throw=False)
        starts = jax.tree.map(lambda *rows: jnp.stack(rows), *self.starts)
        found = jax.vmap(lambda start: solve(game, self.algorithm, start=start, throw=False))(starts)
        payoffs = jax.vmap(lambda one: self.objective(self.parameters, profile, one.strategies))(found)
        scores = jax.vmap(self.selection)(payoffs, found)
        best = jnp.where(found.converged, scores, -jnp.inf).argmax()
        return jax.tree.map(lambda leaf: leaf[best], found)

    def leader_payoffs(self, profile: Profile, followers: Solution) -> Array:
        payoffs = self.objective(self.parameters, profile, followers.strategies)
        return jnp.where(followers.converged, payoffs, jnp.nan)
