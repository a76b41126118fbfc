r"""The third way: consortia whose members share the cost of a programme and pool their effort (model.md §9).

.. math::
    F_n = F\,n^{-\eta} + k_c\,(n - 1),\qquad
    X_j = 1 - (1 - x_j)\,S_j,\quad S_j = \prod_{k \in \text{mates}}(1 - P_{kS}\,x_k),\qquad
    z_{jS} = \bar z_j(0) - D_j X_j

z̄(0) and D are the base game's lag without effort and its slope. The lag is linear in effort and choices are independent, so X_j
is the mean of 1 - Π(1 - x_k) over which mates go sovereign. Given S_j it is the base game's market at the lag
z̄(0) - D(1 - S_j) and the slope D S_j: S is the link. A consortium of one is a firm of its own (the base game at pool = 0).

Stable sizes are those of open membership and of Bloch's sequential game (:mod:`games.coalitions`), among identical firms;
members' payoffs are those of the challengers' stage, at a given restriction or the one that incumbents answer with.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.coalitions import Partition, partitions, sequential_sizes, stable_sizes
from games.oligopoly import checked
from games.restriction.challengers import Stage
from games.restriction.demand import SOVEREIGN, Market, market
from games.restriction.extensions.linked import Link, LinkedGame
from games.restriction.incumbents import RestrictionGame
from games.restriction.parameters import CHALLENGER, Parameters, array_fields
from solver.solve import solve

if TYPE_CHECKING:
    import xarray

MOST = 6  # firms: eleven partitions


class Pooling(Link):
    """Effort pooled within consortia; the link is S (challenger,), what mates leave to be done."""

    together: Array  # 1 for another member of the same consortium (challenger, challenger)

    def opening(self, p: Parameters) -> Array:
        return jnp.ones_like(p.absorption)

    def market(self, p: Parameters, restriction: Array, link: Array) -> Market:
        m = market(p, restriction, jnp.ones(()))
        done = m.lag_slope * (1 - link)
        faster = jnp.exp(p.lag_slope * done[:, None])
        return m._replace(
            lag_at_rest=m.lag_at_rest - done,
            lag_slope=m.lag_slope * link,
            type_at_rest=m.type_at_rest.at[:, SOVEREIGN].multiply(faster),
        )

    def answer(self, p: Parameters, m: Market, stage: Stage) -> Array:
        effort = jnp.clip(stage.effort, 0, jnp.minimum(m.effort_bound, 1.0))
        return jnp.prod(1 - self.together * (stage.mix[:, SOVEREIGN] * effort)[None], axis=1)


def consortium_game(
    game: RestrictionGame, groups: Sequence[Sequence[str]], *, scale: Any = 0.5, coordination_cost: Any = 0.05
) -> LinkedGame:
    """The restriction game with consortia.

    :param groups: the members of each, by the challengers' names; who is in none is alone.
    :param scale: η in [0, 1]: at 0 each bears a whole programme, at 1 they share one.
    :param coordination_cost: k_c, bn $/year for each further member.
    :raises ValueError: for an unknown or repeated member, or a number out of bounds.
    """
    names = [name for group in groups for name in group]
    known = game.parameters.challengers
    if len(set(names)) < len(names) or not set(names) <= set(known):
        raise ValueError(f"groups = {groups}: name each member once, out of {', '.join(known)}")
    label = np.arange(len(known))
    for k, group in enumerate(groups):
        label[[known.index(name) for name in group]] = len(known) + k
    return _grouped(game, label, checked("scale", scale, high=1.0), checked("coordination_cost", coordination_cost))


def _grouped(game: RestrictionGame, group: np.ndarray, scale: Array, coordination_cost: Array) -> LinkedGame:
    """Who has the same number in ``group`` (challenger,) is in the same consortium; the base game's own pool is closed."""
    same = group[:, None] == group[None]
    p, size = game.parameters, jnp.asarray(same.sum(axis=1), jnp.result_type(float))
    cost = p.programme_cost * size**-scale + coordination_cost * (size - 1)
    changed = eqx.tree_at(
        lambda g: (g.parameters.programme_cost, g.parameters.pool), game, (cost, jnp.zeros_like(p.pool))
    )
    return LinkedGame(changed, Pooling(jnp.asarray(same & ~np.eye(len(group), dtype=bool), cost.dtype)))


def identical_firms(game: RestrictionGame, bloc: str, firms: int) -> RestrictionGame:
    """``game`` with ``firms`` identical challengers in ``bloc``, at the mean parameters of those it has there."""
    p = game.parameters
    own = np.array([b == bloc for b in p.challenger_bloc])
    if not own.any() or firms < 1:
        raise ValueError(f"bloc = {bloc!r}, firms = {firms}: give a bloc with challengers and at least one firm")
    changes: dict[str, Any] = {}
    for item in array_fields():
        if item.metadata["axes"] == CHALLENGER:
            values = getattr(p, item.name)
            changes[item.name] = jnp.concatenate([values[~own], jnp.full(firms, values[own].mean())])
    stay = [(n, b) for n, b, mine in zip(p.challengers, p.challenger_bloc, own, strict=True) if not mine]
    names, blocs = zip(*stay, *((f"{bloc} {i + 1}", bloc) for i in range(firms)), strict=True)
    return game.replace(challengers=names, challenger_bloc=blocs, consortium=(), **changes)


@eqx.filter_jit
def _payoffs(games: LinkedGame, restriction: Array) -> tuple[Array, Array]:
    """Challengers' payoffs (game, challenger) and whether the stage converged (game,), at r (game, incumbent, channel)."""

    def one(game, r):
        play = game.followers(tuple(r))
        return (play.mix * play.payoff).sum(axis=1), play.converged

    return eqx.filter_vmap(one)(games, restriction)


def stable_consortia(
    game: RestrictionGame,
    restrictions: Sequence[float] | None = (0.0, 0.5, 1.0),
    *,
    bloc: str = "TW",
    firms: int = 4,
    scale: Any = 0.5,
    coordination_cost: Any = 0.05,
) -> "xarray.Dataset":
    """Which consortia of ``firms`` identical firms of a bloc form, as restriction rises.

    :param restrictions: common restrictions of the incumbents; None: each partition meets the restriction that incumbents
        choose once it has formed (policy first, model.md §1), their equilibrium reached from r = 0.
    :param firms: 2 to 6. :param scale: η. :param coordination_cost: k_c, bn $/year.
    :return: ``payoff`` (restriction, partition, firm) of the bloc's firms, in the order of the partition's coalitions;
        ``converged``; ``r`` (restriction, partition, incumbent); ``stable`` (restriction, size), under open membership; and
        ``sequential`` (restriction), the sizes in Bloch's game in the order in which they form, and ``first_size``. Where a
        stage or an equilibrium of incumbents is not certified, none of these is stable, "" and 0.
    :raises ValueError: for a number out of bounds or a bloc without challengers.
    """
    import xarray

    if not 2 <= firms <= MOST:
        raise ValueError(f"firms = {firms}: give 2 to {MOST}")
    base, sizes = identical_firms(game, bloc, firms), partitions(firms)
    numbers = checked("scale", scale, high=1.0), checked("coordination_cost", coordination_cost)
    others = len(base.parameters.challengers) - firms
    games = [
        _grouped(base, np.append(-1 - np.arange(others), np.repeat(np.arange(len(s)), s)), *numbers) for s in sizes
    ]
    r, fine = _restrictions(games, restrictions)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *games)
    found = [_payoffs(stacked, row) for row in r]
    payoff = np.stack([np.asarray(values)[:, others:] for values, _ in found])
    fine = fine & np.stack([np.asarray(ok) for _, ok in found])
    stable, sequences = zip(
        *(_formed(sizes, v, bool(ok.all())) for v, ok in zip(payoff, fine, strict=True)), strict=True
    )
    over = ["nash"] if restrictions is None else list(restrictions)
    coords = {"restriction": over, "partition": ["-".join(map(str, s)) for s in sizes], "size": np.arange(1, firms + 1)}
    attrs = {"bloc": bloc, "scale": float(numbers[0]), "coordination_cost": float(numbers[1]), "mode": "fast"}
    return xarray.Dataset(
        _variables(payoff, fine, r, stable, sequences), coords | {"incumbent": list(game.players)}, attrs
    )


def _variables(payoff, fine, r, stable, sequences) -> dict[str, tuple]:
    """The variables of :func:`stable_consortia` with their dimensions and units."""
    money = {"long_name": "payoff of a firm", "units": "bn $/year"}
    sizes = ["-".join(map(str, s)) for s in sequences]
    return {
        "payoff": (("restriction", "partition", "firm"), payoff, money),
        "converged": (("restriction", "partition"), fine, {"long_name": "stage and equilibrium certified"}),
        "r": (("restriction", "partition", "incumbent"), r[..., 0], {"long_name": "restriction", "units": "1"}),
        "stable": (("restriction", "size"), np.stack(stable), {"long_name": "stable under open membership"}),
        "sequential": ("restriction", sizes, {"long_name": "sizes, in order"}),
        "first_size": ("restriction", [s[0] if s else 0 for s in sequences], {"long_name": "size of the first"}),
    }


def _restrictions(games: list[LinkedGame], given: Sequence[float] | None) -> tuple[np.ndarray, np.ndarray]:
    """r (restriction, partition, incumbent, channel), and whether it is certified (restriction, partition)."""
    players, channels = len(games[0].players), games[0].game.num_channels
    if given is not None:
        values = np.asarray(given, float).reshape(-1, 1, 1, 1)
        if not ((values >= 0) & (values <= 1)).all():
            raise ValueError(f"restrictions = {given} must lie in [0, 1]")
        shape = (len(values), len(games), players, channels)
        return np.broadcast_to(values, shape), np.ones(shape[:2], bool)
    start = tuple(jnp.zeros(channels) for _ in range(players))
    found = [solve(one, start=start, throw=False) for one in games]
    r = np.array([np.stack([np.asarray(s) for s in one.strategies]) for one in found])
    return r[None], np.array([[bool(one.converged) for one in found]])


def _formed(sizes: list[Partition], payoff: np.ndarray, fine: bool) -> tuple[np.ndarray, Partition]:
    """Which sizes are stable (size,), and the sequential partition, from firms' payoffs (partition, firm)."""
    firms = payoff.shape[1]
    if not fine:
        return np.zeros(firms, bool), ()
    one = [sizes.index((k, *[1] * (firms - k))) for k in range(1, firms + 1)]
    # at size 1 all are alone and equal; the stages' tolerance is no reason to move
    stable = stable_sizes(payoff[one, 0], payoff[one[:-1], -1], 1e-7)

    def member(partition: Partition) -> list[float]:
        row = payoff[sizes.index(tuple(sorted(partition, reverse=True)))]
        order = np.sort(partition)[::-1]
        return [row[np.repeat(order, order) == size][0] for size in partition]

    return np.isin(np.arange(1, firms + 1), stable), sequential_sizes(member, firms)
