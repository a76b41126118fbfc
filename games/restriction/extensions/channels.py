r"""Which channel of restriction is used, when each has its own cost and effect (model.md §2, §7).

.. math::
    R_i = 1 - \prod_c (1 - \eta_c r_{ic}),\qquad
    \Pi_i = \Pi_i^0 - \tfrac12\sum_c c_c\,r_{ic}^2

Π⁰ is the base game's profit before enforcement, a function of R alone. So wherever two channels are used and neither is at its
limit,

.. math:: \frac{c_c\,r_{ic}(1 - \eta_c r_{ic})}{\eta_c} = \frac{\partial\Pi_i^0}{\partial R_i}\,(1 - R_i)
    \quad\text{for every such } c,

and with y_c = η_c r_ic what a channel contributes solves y(1 - y) ∝ η_c²/c_c: while all are below a half, the one with the
highest η²/c contributes most, whatever the rest of the world. Beyond it channels crowd each other out: the product is not
concave, an incumbent's best reply may use one channel in full, and equilibria may differ by where the search starts.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from games.restriction.frontier import Play
from games.restriction.incumbents import RestrictionGame
from games.restriction.knowledge import effective_restriction
from solver.game import AbstractGame, LeaderFollower, Profile
from solver.plot.phase import phase_diagram
from solver.spaces import Box
from solver.sweep import sweep

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

CHANNELS = ("legal", "technical", "licensing")
USED = 0.01  # of an effect: below it no channel is said to be used


class ChannelGame(LeaderFollower):
    """The incumbents' game with a cost of enforcement for every channel; ``solve`` and ``sweep`` take it as the base game.

    :param game: whose ``channel_effect`` is (channel,); its ``enforcement_cost`` is not used.
    :param cost: c_c, bn $/year: a number, or one per channel.
    :raises ValueError: for a negative cost, or as many as there are no channels.
    """

    game: RestrictionGame
    cost: Array
    players: tuple[str, ...] = eqx.field(static=True)

    def __init__(self, game: RestrictionGame, cost: Any):
        self.game, self.players = game, game.players
        values = jnp.asarray(cost, jnp.result_type(float))
        if values.shape not in ((), (game.num_channels,)):
            raise ValueError(f"cost = {cost}: give a number, or one for each of {game.num_channels} channels")
        if not isinstance(values, Tracer) and not (np.asarray(values) >= 0).all():
            raise ValueError(f"cost = {cost} must be at least 0")
        self.cost = jnp.broadcast_to(values, (game.num_channels,))

    def actions(self) -> tuple[Box, ...]:
        return self.game.actions()

    def followers(self, profile: Profile) -> Play:
        return self.game.followers(profile)

    def leader_payoffs(self, profile: Profile, followers: Play) -> Array:
        p = self.game.parameters
        saved = ((p.enforcement_cost - self.cost) * jnp.stack(profile) ** 2).sum(axis=1) / 2
        return self.game.leader_payoffs(profile, followers) + saved + p.cooperation * (saved.sum() - saved)


class ChannelWorld(eqx.Module):
    """A ``make_game``: ``cost_...`` and ``effect_...`` of a channel by name, the rest as given."""

    game: RestrictionGame
    cost: Array  # (channel,)

    def __call__(self, **point: Any) -> ChannelGame:
        cost, effect = self.cost, self.game.parameters.channel_effect
        for name, value in point.items():
            kind, _, channel = name.partition("_")
            k = CHANNELS.index(channel)
            cost, effect = (cost.at[k].set(value), effect) if kind == "cost" else (cost, effect.at[k].set(value))
        return ChannelGame(eqx.tree_at(lambda g: g.parameters.channel_effect, self.game, effect), cost)


def contributions(game: AbstractGame, profile: Profile) -> dict[str, tuple]:
    """An ``outputs`` for ``sweep``: η_c r_ic (incumbent, channel) and R (incumbent,)."""
    assert isinstance(game, ChannelGame)
    p, r = game.game.parameters, jnp.stack(profile)
    names = {"incumbent": p.incumbents, "channel": CHANNELS}
    effect = {"long_name": "effect of a channel, η r", "units": "1"}
    return {
        "contribution": (names, p.channel_effect * r, effect),
        "effective_restriction": ({"incumbent": p.incumbents}, effective_restriction(p, r), {"units": "1"}),
    }


def channel_use(
    game: RestrictionGame,
    grid: Mapping[str, Sequence[float]],
    *,
    cost: Any = None,
    effect: Any = 0.5,
    starts: Sequence[float] = (0.0, 1.0),
    progress: bool = False,
) -> "xarray.Dataset":
    """Equilibria of the incumbents over costs and effects of legal, technical and licensing restriction.

    :param grid: of ``cost_legal``, ``effect_technical``, ... any two; costs in bn $/year.
    :param cost: of all channels, or (channel,) (default: the game's ``enforcement_cost``). :param effect: η, likewise.
    :param starts: common restrictions in every channel from which equilibria are sought.
    :return: the sweep's Dataset, with ``contribution`` (incumbent, channel), ``effective_restriction`` (incumbent), and
        ``mostly_used``: the channel whose mean contribution is largest, or none.
    :raises ValueError: if a name of the grid is unknown or a value out of bounds.
    """
    known = [f"{kind}_{channel}" for kind in ("cost", "effect") for channel in CHANNELS]
    if not grid or set(grid) - set(known):
        raise ValueError(f"grid names {', '.join(grid) or 'nothing'}: give some of {', '.join(known)}")
    whole = game.replace(channel_effect=tuple(np.broadcast_to(np.asarray(effect, float), len(CHANNELS))))
    given = whole.parameters.enforcement_cost if cost is None else cost
    world = ChannelWorld(whole, ChannelGame(whole, given).cost)
    for name, values in grid.items():
        if min(values) < 0 or (name.startswith("effect") and max(values) > 1):
            raise ValueError(f"{name} = {list(values)}: give costs of at least 0 and effects in [0, 1]")
    axes = {name: _axis(name, values) for name, values in grid.items()}
    ds = sweep(world, axes, outputs=contributions, starts=list(starts), progress=progress)
    return ds.assign(mostly_used=mostly_used(ds))


def _axis(name: str, values: Sequence[float]) -> "xarray.DataArray":
    import xarray

    kind, _, channel = name.partition("_")
    words = {"cost": ("cost of enforcement", "bn $/year"), "effect": ("effect", "1")}[kind]
    about = {"long_name": f"{words[0]}, {channel}", "units": words[1]}
    return xarray.DataArray(np.asarray(values, float), dims=name, attrs=about)


def mostly_used(ds: "xarray.Dataset") -> "xarray.DataArray":
    """The channel of largest mean contribution, as a regime: none, legal, technical, licensing."""
    mean = ds.contribution.mean("incumbent")
    attrs = {
        "long_name": "channel mostly used",
        "flag_values": [0, 1, 2, 3],
        "flag_meanings": " ".join(("none", *CHANNELS)),
    }
    return (1 + mean.argmax("channel")).where(mean.max("channel") >= USED, 0).astype(int).assign_attrs(attrs)


def channel_figure(ds: "xarray.Dataset") -> "Figure":
    """The phase diagram of the channel mostly used over the two axes of ``channel_use``, with R as contours."""
    x, y = [str(name) for name in ds.status.dims]
    return phase_diagram(
        ds, "mostly_used", x=x, y=y, contour=lambda d: d.effective_restriction.mean("incumbent").rename("mean R")
    )
