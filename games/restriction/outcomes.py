"""What is reported at a restriction: welfare and every index of model.md §8, labelled."""

import dataclasses
import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from games.restriction.demand import APPLIED, CLIENT, SOVEREIGN
from games.restriction.frontier import Play
from games.restriction.incumbents import ImposedRestriction, RestrictionGame
from games.restriction.knowledge import pools
from games.restriction.parameters import Parameters
from solver.compilation import jit_once
from solver.game import AbstractGame, Profile

if TYPE_CHECKING:
    import xarray

DISTANCES = (0.25, 0.5, 1.0)  # years behind the frontier
CONVENTIONS = ("owner", "model")  # a client counts where its owner sits, or where its model comes from

MONEY = "bn $/year"
VARIABLES: dict[str, tuple[tuple[str, ...], str, str]] = {  # name: (dimensions, what it is, unit)
    "restriction": (("incumbent",), "restriction", "1"),
    "mix": (("challenger", "strategy"), "probability of a strategy", "1"),
    "incumbent_payoff": (("incumbent",), "incumbent's profit", MONEY),
    "challenger_payoff": (("challenger",), "challenger's expected profit, net of fees", MONEY),
    "strategy_payoff": (("challenger", "strategy"), "challenger's profit by strategy, net of fees", MONEY),
    "sovereign_lag": (("challenger",), "mean lag of a sovereign model", "years"),
    "effort": (("challenger",), "research effort given sovereign", "1"),
    "effort_regret": (("challenger",), "gain from another effort given sovereign", MONEY),
    "fee": (("challenger",), "licence fee given client", MONEY),
    "programme_cost": (("challenger",), "cost of a sovereign programme", MONEY),
    "incumbent_use": (("incumbent",), "share of the world's use", "1"),
    "challenger_use": (("challenger",), "expected share of the world's use", "1"),
    "fringe_use": ((), "open fringe's share of the world's use", "1"),
    "knowledge": (("bloc",), "knowledge pool", "1"),
    "consumer_surplus": (("bloc",), "consumer surplus", MONEY),
    "profits": (("bloc",), "profits of a bloc's firms", MONEY),
    "subsidies": (("bloc",), "subsidies paid", MONEY),
    "bloc_welfare": (("bloc",), "welfare of a bloc", MONEY),
    "welfare": ((), "world welfare", MONEY),
    "frontier_speed": ((), "speed of the frontier", "1"),
    "open_lag": ((), "mean lag of the open community", "years"),
    "deployment": ((), "share of consumers who use a model", "1"),
    "mean_lag": ((), "mean deployed lag", "years"),
    "relative_quality": ((), "deployed quality over the frontier's", "1"),
    "hhi_inside": ((), "HHI among products", "1"),
    "hhi_total": ((), "HHI with the outside good", "1"),
    "incumbents_share": ((), "incumbents' share of use", "1"),
    "labs_near_frontier": (("distance",), "labs within a distance of the frontier", "labs"),
    "tiering": ((), "standard deviation of offered lags", "years"),
    "duplicated_cost": ((), "duplicated programme cost, E[sum - max]", MONEY),
    "total_effort": ((), "total expected research effort", "1"),
    "home_sourced": (("convention", "bloc"), "home-sourced share of a region's use", "1"),
    "home_sourced_world": (("convention",), "home-sourced share of the world's use", "1"),
    "lost_knowledge": ((), "loss of cross-bloc knowledge against no restriction", "1"),
    "num_stacks": ((), "effective number of stacks", "stacks"),
    "region_share": (("convention", "bloc", "region"), "bloc's share of a region's use", "1"),
    "vertical_revenue": ((), "vertical segments' share of challengers' revenue", "1"),
    "world_share": (("convention", "bloc"), "bloc's share of the world's use", "1"),
    "share_abroad": (("convention", "bloc"), "bloc's share of use outside its region", "1"),
    "stage_residual": ((), "residual of the challengers' stage", "1"),
    "stage_converged": ((), "whether the challengers' stage converged", "1"),
}


def measures(game: RestrictionGame, profile: Profile) -> dict[str, Array]:
    """Every variable of ``VARIABLES`` at a profile of restrictions, as arrays; an ``outputs`` for ``sweep``."""
    return measured(game.parameters, jnp.stack(profile), game.followers(profile))


def measured(p: Parameters, r: Array, play: Play) -> dict[str, Array]:
    """The same of a play at r (incumbent, channel)."""
    found = {
        "restriction": r if r.shape[1] > 1 else r[:, 0],
        "mix": play.mix,
        "incumbent_payoff": play.incumbent_payoff,
        "challenger_payoff": (play.mix * play.payoff).sum(axis=1),
        "strategy_payoff": play.payoff,
        "sovereign_lag": sovereign_lag(play),
        "effort": play.effort,
        "effort_regret": play.effort_regret,
        "fee": play.fee,
        "programme_cost": play.programme,
        "knowledge": play.market.pool,
        "frontier_speed": play.gamma,
        "open_lag": play.market.open_lag,
        "stage_residual": play.residual,
        "stage_converged": play.converged,
    }
    return found | welfare_accounts(p, play) | _use(p, play) | _programmes(p, play)


def sovereign_lag(play: Play) -> Array:
    """Mean lag of a sovereign model (challenger,); linear in effort, so right for its mean too."""
    return play.market.lag_at_rest - play.market.lag_slope * play.effort


def _members(names: tuple[str, ...], blocs: tuple[str, ...]) -> Array:
    """(bloc, name): 1 where it belongs."""
    return jnp.asarray(
        np.array([[name == bloc for name in names] for bloc in blocs], dtype=float).reshape(len(blocs), -1)
    )


def welfare_accounts(p: Parameters, play: Play) -> dict[str, Array]:
    """Surplus, profits, subsidies and welfare by bloc, and the world's welfare."""
    surplus = _members(p.cell_region, p.blocs) @ (p.mass / p.price_sensitivity * play.log_aggregate)
    challengers = (play.mix * play.payoff).sum(axis=1)
    profits = _members(p.incumbent_bloc, p.blocs) @ play.incumbent_payoff
    profits = profits + _members(p.challenger_bloc, p.blocs) @ challengers
    subsidies = _members(p.challenger_bloc, p.blocs) @ (play.mix[:, SOVEREIGN] * play.subsidy)
    bloc = surplus + profits - (1 + p.public_funds_cost) * subsidies
    return {
        "consumer_surplus": surplus,
        "profits": profits,
        "subsidies": subsidies,
        "bloc_welfare": bloc,
        "welfare": bloc.sum(),
    }


def _use(p: Parameters, play: Play) -> dict[str, Array]:
    """Shares of use, by firm, origin and region; a cell weighs by its mass."""
    weight = p.mass / p.mass.sum()
    incumbents, firms, fringe = play.incumbent_share, play.challenger_share, play.fringe_share
    inside = (1 - play.outside_share) * weight
    by_incumbent, by_firm = incumbents @ weight, firms @ weight
    total = inside.sum()
    firm = jnp.concatenate([by_incumbent, by_firm.sum(axis=1)])
    american = by_incumbent.sum() + by_firm[:, CLIENT].sum()
    stacks = jnp.concatenate(
        [american[None], by_firm[:, SOVEREIGN], (by_firm[:, APPLIED].sum() + fringe @ weight)[None]]
    )

    m = play.market
    lag = (p.incumbent_lag @ incumbents + firms[:, CLIENT].sum(0) * m.client_lag) @ weight
    lag = lag + sovereign_lag(play) @ by_firm[:, SOVEREIGN] + m.open_lag * stacks[-1]
    quality = (jnp.exp(-p.incumbent_lag) @ incumbents + firms[:, CLIENT].sum(0) * jnp.exp(-m.client_lag)) @ weight
    quality = quality + jnp.exp(-sovereign_lag(play)) @ by_firm[:, SOVEREIGN] + jnp.exp(-m.open_lag) * stacks[-1]

    # use by bloc of origin and cell, under either convention for clients
    blocs, region = p.blocs, _members(p.cell_region, p.blocs) * weight
    home, licensor = _members(p.challenger_bloc, blocs), _members(p.incumbent_bloc, blocs)
    owned = licensor @ incumbents + home @ firms.sum(axis=1)
    licensed = jnp.einsum("bi,im,m->bm", licensor, m.licence, firms[:, CLIENT].sum(0))
    built = licensor @ incumbents + licensed + home @ (firms.sum(axis=1) - firms[:, CLIENT])
    origin = jnp.stack([owned, built])  # (convention, bloc, cell)
    by_region = jnp.einsum("cbm,rm->cbr", origin, region)
    here = jnp.einsum("cbb->cb", by_region)
    everywhere = jnp.einsum("cbm,m->cb", origin, weight)
    used = region @ (1 - play.outside_share)
    anything = jnp.where(used > 0, used, 1)
    return {
        "incumbent_use": by_incumbent,
        "challenger_use": by_firm.sum(axis=1),
        "fringe_use": fringe @ weight,
        "deployment": total,
        "mean_lag": lag / total,
        "relative_quality": quality / total,
        "hhi_inside": ((firm / total) ** 2).sum(),
        "hhi_total": (firm**2).sum(),
        "incumbents_share": by_incumbent.sum() / total,
        "num_stacks": 1 / ((stacks / stacks.sum()) ** 2).sum(),
        "home_sourced": here / anything,
        "region_share": by_region / anything,
        "vertical_revenue": _vertical_revenue(p, play),
        "home_sourced_world": here.sum(axis=1) / total,
        "world_share": everywhere / total,
        "share_abroad": (everywhere - here) / jnp.where(total > used, total - used, 1),
    }


def _vertical_revenue(p: Parameters, play: Play) -> Array:
    """V's share of what challengers' products sell for, (M/α)(μ + αc) s summed over firms and strategies."""
    client, applied = p.wholesale_price + p.client_cost, p.applied_cost
    cost = jnp.stack([client, p.sovereign_cost, applied], axis=1)[..., None]
    sold = play.challenger_share[:, : cost.shape[1]]  # exit sells nothing
    price = play.challenger_markup[:, : cost.shape[1]] / p.price_sensitivity + cost
    revenue = (p.mass * price * sold).sum(axis=(0, 1))
    vertical = np.array([segment == "V" for segment in p.cell_segment])
    total = revenue.sum()
    return (revenue * vertical).sum() / jnp.where(total > 0, total, 1)


def _programmes(p: Parameters, play: Play) -> dict[str, Array]:
    sovereign, lag = play.mix[:, SOVEREIGN], sovereign_lag(play)
    near = jnp.asarray(DISTANCES)[:, None]
    labs = (p.incumbent_lag <= near).sum(axis=1) + (sovereign * (lag <= near)).sum(axis=1)
    # E[max C]: the dearest programme that exists, walking down from the dearest
    order = jnp.argsort(-play.programme)
    cost, chance = play.programme[order], sovereign[order]
    none_dearer = jnp.concatenate([jnp.ones(1), jnp.cumprod(1 - chance)])[: len(chance)]
    duplicated = (chance * cost).sum() - (cost * chance * none_dearer).sum()
    offered = jnp.concatenate(
        [p.incumbent_lag, jnp.stack([play.market.client_lag.mean()]), lag, play.market.open_lag[None]]
    )
    weights = jnp.concatenate([jnp.ones_like(p.incumbent_lag), play.mix[:, CLIENT].sum()[None], sovereign, jnp.ones(1)])
    mean = (weights * offered).sum() / weights.sum()
    effective_none = pools(p, jnp.zeros_like(p.incumbent_lag))[0]
    mass = _members(p.cell_region, p.blocs) @ (p.mass / p.mass.sum())
    return {
        "labs_near_frontier": labs,
        "duplicated_cost": duplicated,
        "total_effort": (sovereign * play.effort).sum(),
        "tiering": jnp.sqrt((weights * (offered - mean) ** 2).sum() / weights.sum()),
        "lost_knowledge": 1 - (mass * play.market.pool / effective_none).sum(),
    }


def outcomes(game: RestrictionGame, restriction: Any) -> "xarray.Dataset":
    """The stage at a given restriction: a number, one per incumbent, or (incumbent, channel).

    :return: a Dataset with every variable of ``VARIABLES``, its meaning and unit in attrs, and the mode in the Dataset's.
    :raises ValueError: if the restriction has the wrong shape or lies outside [0, 1].
    """
    table = _measures(game, checked_restriction(game, restriction))
    return label(game, {name: np.asarray(value) for name, value in table.items()})


_measures = jit_once(measures)


def checked_restriction(game: RestrictionGame, restriction: Any) -> Profile:
    shape = (len(game.players), game.num_channels)
    value = np.asarray(restriction, dtype=float)
    if value.ndim == 1:
        value = value[:, None]
    if value.ndim > 2 or (value.ndim and (value.shape[0] != shape[0] or value.shape[1] not in (1, shape[1]))):
        raise ValueError(
            f"restriction has shape {np.shape(restriction)}: give a number, {shape[0]} numbers, or shape {shape}"
        )
    if not ((value >= 0) & (value <= 1)).all():
        raise ValueError(f"restriction = {restriction} must lie in [0, 1]")
    return tuple(jnp.asarray(np.broadcast_to(value, shape), jnp.result_type(float)))


@dataclasses.dataclass(frozen=True)
class Outputs:
    """Variables of ``VARIABLES`` by name, labelled, as the ``outputs`` of a sweep (default: all of them)."""

    names: tuple[str, ...] = tuple(VARIABLES)

    def __post_init__(self):
        for name in self.names:
            if name not in VARIABLES:
                close = difflib.get_close_matches(name, VARIABLES, 1)
                raise ValueError(f"outputs names {name!r}: {f'did you mean {close[0]}?' if close else 'see VARIABLES'}")

    def __call__(self, game: AbstractGame, profile: Profile) -> dict[str, tuple]:
        if isinstance(game, ImposedRestriction):
            game, profile = game.game, game.profile
        assert isinstance(game, RestrictionGame)
        found, where = measures(game, profile), coordinates(game)
        return {name: ({d: where[d] for d in dimensions(game, name)}, found[name], about(name)) for name in self.names}


def coordinates(game: RestrictionGame) -> dict[str, tuple]:
    """The labels along every dimension of ``VARIABLES``."""
    p = game.parameters
    return {
        "incumbent": p.incumbents,
        "challenger": p.challengers,
        "strategy": p.strategies,
        "bloc": p.blocs,
        "region": p.blocs,
        "distance": DISTANCES,
        "convention": CONVENTIONS,
        "channel": tuple(range(game.num_channels)),
    }


def dimensions(game: RestrictionGame, name: str) -> tuple[str, ...]:
    channels = ("channel",) if name == "restriction" and game.num_channels > 1 else ()
    return (*VARIABLES[name][0], *channels)


def about(name: str) -> dict[str, str]:
    return {"long_name": VARIABLES[name][1], "units": VARIABLES[name][2]}


def label(
    game: RestrictionGame, table: Mapping[str, np.ndarray], over: Mapping[str, Any] | None = None
) -> "xarray.Dataset":
    """Measures as a Dataset; ``over`` names leading dimensions with their coordinates."""
    import xarray

    over = dict(over or {})
    coords: dict[str, Any] = {name: list(values) for name, values in coordinates(game).items() if name != "channel"}
    coords["distance"] = ("distance", list(DISTANCES), {"long_name": "distance from the frontier", "units": "years"})
    variables = {name: ((*over, *dimensions(game, name)), value, about(name)) for name, value in table.items()}
    attrs = {"mode": game.mode, "timing": game.timing, "model": "restriction game"}
    return xarray.Dataset(variables, coords | over, attrs)
