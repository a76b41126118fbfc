"""Followers' games and leaders' payoffs for the tests of leaders and followers."""

import equinox as eqx
import jax
import jax.numpy as jnp

from games.oligopoly import Cournot
from solver import AbstractGame, Box, LeaderFollowerGame, Newton


def followers_market(market, profile):
    return Cournot(
        a=market["a"] - market["b"] * jnp.concatenate(profile).sum(), b=market["b"], c=market["c"], players=2
    )


def leaders_profit(market, profile, followers):
    q, total = jnp.concatenate(profile), jnp.concatenate([*profile, *followers]).sum()
    return (market["a"] - market["b"] * total - market["c"]) * q


def quantity_game(algorithm):
    market = {"a": jnp.asarray(100.0), "b": jnp.asarray(1.0), "c": jnp.asarray(10.0)}
    spaces = (Box(0.0, 44.0),) * 2  # so that the followers' market is never empty
    return LeaderFollowerGame(("one", "two"), spaces, market, followers_market, leaders_profit, algorithm=algorithm)


class Adopters(AbstractGame):
    """Best replies t + 2x_j on [0, 1]: 0 for t ≤ 0, 1 for t ≥ −1."""

    t: jax.Array
    players: tuple[str, ...] = eqx.field(static=True, default=("first", "second"))

    def actions(self):
        return (Box(0.0, 1.0),) * 2

    def payoffs(self, profile):
        x = jnp.concatenate(profile)
        return (self.t + 2 * x[::-1]) * x - x**2 / 2


def adopt(selection):
    """A leader pays 0.3 for each unit of t above −1.5, and earns what the followers adopt on average."""
    return LeaderFollowerGame(
        ("leader",),
        (Box(-1.5, 0.5),),
        {"cost": jnp.asarray(0.3)},
        lambda parameters, profile: Adopters(profile[0][0]),
        lambda p, profile, followers: jnp.concatenate(followers).mean() - p["cost"] * (profile[0] + 1.5),
        starts=[([0.0], [0.0]), ([1.0], [1.0])],
        selection=selection,
    )


class Mirror(AbstractGame):
    """One follower stands where the first leader is."""

    place: jax.Array
    players: tuple[str, ...] = eqx.field(static=True, default=("mirror",))

    def actions(self):
        return (Box(0.0, 1.0),)

    def payoffs(self, profile):
        return -((profile[0] - self.place) ** 2)


def pursuit():
    """The first leader flees the second, who pursues the first's mirror image: no pure equilibrium."""

    def distance(parameters, profile, followers):
        gap = (followers[0][0] - profile[1][0]) ** 2
        return parameters * jnp.stack([gap, -gap])

    spaces = (Box(0.0, 1.0),) * 2
    names, scale = ("fleeing", "pursuing"), jnp.asarray(1.0)
    return LeaderFollowerGame(
        names, spaces, scale, lambda _, profile: Mirror(profile[0][0]), distance, algorithm=Newton()
    )
