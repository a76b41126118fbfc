"""The equilibria that claims compare, of many worlds at once, and what some claims ask beyond them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from games.restriction.incumbents import RestrictionGame
from games.restriction.many import Worlds
from games.restriction.outcomes import label
from solver.solution import Solution, Status
from solver.solve import checked_tolerance
from solver.sweep.batches import Batches, modelled
from solver.sweep.labels import status_attrs
from solver.sweep.quadratic import PATIENCE

if TYPE_CHECKING:
    import xarray

STARTS = (0.0, 0.5, 1.0)
POINTS = ("open", *(f"Nash, from {start:g}" for start in STARTS), "concerted")
CURVE = np.linspace(0, 1, 11)
SUBSIDIES = np.linspace(0, 0.9, 7)
FACTORS = np.geomspace(1 / 16, 16, 9)  # on every effort cost


def stacked(worlds: Mapping[str, np.ndarray], **choices: Any) -> RestrictionGame:
    """The games of many worlds, every array with the world in front; ``choices`` are common to all."""
    arrays = {name: jnp.asarray(values, float) for name, values in worlds.items()}
    return jax.tree.map(np.asarray, eqx.filter_vmap(lambda one: RestrictionGame(**one, **choices))(arrays))


def together(games: RestrictionGame) -> RestrictionGame:
    """The same games.

    :raises ValueError: if such games cannot be solved together.
    """
    if games.payoffs_in_batches() is None or games.parameters.channel_effect.shape[1] > 1:
        raise ValueError(
            f"mode = {games.mode!r}, timing = {games.timing!r}, {games.parameters.channel_effect.shape[1]} channels: claims "
            "are judged in mode 'fast', timing 'observed', with one channel"
        )
    return games


def stages(games: RestrictionGame) -> dict[str, "xarray.Dataset"]:
    """Columns that need no equilibrium of incumbents: ``open``, ``curve`` in a common r, and ``concerted``.

    The last is the r, common to all, of highest joint profit: the best of the curve's grid, or the vertex of the parabola
    through it and its neighbours where profit is higher there. That unequal restrictions might earn more is left aside.
    """
    num, players = len(games.parameters.sigma), len(games.players)
    curve = _columns(games, np.broadcast_to(CURVE[:, None], (num, len(CURVE), players)), "common_restriction", CURVE)
    profit = curve.incumbent_payoff.sum("incumbent").where(curve.stage_converged).fillna(-np.inf)
    vertex = np.nan_to_num(peak(CURVE, profit.values))
    between = _columns(games, np.broadcast_to(vertex[:, None, None], (num, 1, players)), "only", [0])
    between = _at(between, {"only": 0})
    best = _at(curve, {"common_restriction": profit.argmax("common_restriction")})
    better = between.certified & (between.incumbent_payoff.sum("incumbent") > best.incumbent_payoff.sum("incumbent"))
    merged = best.assign({name: between[name].where(better, best[name]) for name in best.data_vars})
    concerted = merged.assign(certified=best.certified)
    return {"open": _at(curve, {"common_restriction": 0}), "curve": curve, "concerted": concerted}


def _at(ds: "xarray.Dataset", place: Mapping[str, Any]) -> "xarray.Dataset":
    one = ds.isel(place).drop_vars(list(place))
    return one.assign(certified=one.stage_converged)


def equilibria(games: RestrictionGame, columns: Mapping[str, "xarray.Dataset"]) -> dict[str, "xarray.Dataset"]:
    """``nash`` over "start", with the statuses that its certificates give, and ``concerted`` with ``nash_gain``.

    The latter is what an incumbent would gain who left the concerted restriction alone.
    """
    num, players = len(games.parameters.sigma), len(games.players)
    # in one batch: the few hard ones wait for each other, not one after the other
    many = jax.tree.map(lambda *xs: np.concatenate(xs), *[games] * len(STARTS))
    found = _solve(many, np.repeat(STARTS, num)[:, None] * np.ones(players), search=True)
    ends = np.nan_to_num(np.stack(found.strategies, axis=1)[..., 0]).reshape(len(STARTS), num, players)
    status, regret = (np.reshape(x, (len(STARTS), num)).T for x in (found.status, found.max_regret))
    nash = _columns(games, np.moveaxis(ends, 0, 1), "start", np.asarray(STARTS))
    dims = nash.welfare.dims
    nash = nash.assign(status=(dims, status.astype(np.int8), status_attrs()), max_regret=(dims, regret))
    nash = nash.assign(certified=(nash.status == int(Status.converged)) & nash.stage_converged)
    alone = _solve(games, columns["concerted"].restriction.values, search=False)
    return {"nash": nash, "concerted": columns["concerted"].assign(nash_gain=("draw", np.asarray(alone.max_regret)))}


def _solve(games: RestrictionGame, start: np.ndarray, search: bool) -> Solution:
    """From ``start``; without a search what stands there, certified or not."""
    # one in 170 is left; best replies settle one in ten of these and take as long as all others together
    return modelled(Batches(games), start, checked_tolerance(None), 1 + PATIENCE if search else 0)[0]


def _columns(games: RestrictionGame, profiles: np.ndarray, dim: str, values: Any) -> "xarray.Dataset":
    """The measures at ``profiles`` (draw, dim, incumbent), with what claims need beyond them."""
    return described(games, measures(games, profiles), {"draw": np.arange(len(profiles)), dim: values})


def described(games: RestrictionGame, table: Mapping[str, np.ndarray], over: Mapping[str, Any]) -> "xarray.Dataset":
    """A table of measures, each over the dimensions ``over`` first, with what claims need beyond them."""
    p, one = games.parameters, jax.tree.map(lambda x: x[0], games)
    ds = label(one, table, over).assign_coords(challenger_bloc=("challenger", list(p.challenger_bloc)))
    spent = p.enforcement_cost[:, None, None] * table["restriction"] ** 2 / 2
    ds["gross_profit"] = ((*over, "incumbent"), table["incumbent_payoff"] + spent)
    for name in ("absorption", "starting_lag"):
        ds[name] = (("draw", "challenger"), getattr(p, name))
    ds["horizon"] = ("draw", p.horizon)
    own = ds.knowledge.isel(bloc=("challenger", [p.blocs.index(bloc) for bloc in p.challenger_bloc]))
    return ds.assign(force_multiplier=force_multiplier(ds, own.drop_vars("bloc")))


def force_multiplier(ds: "xarray.Dataset", pool: Any) -> Any:
    r"""|∂z̄/∂Λ| = φY [-z0 E′ - (γ - x) Y G′] at y = φΛY, with E′ = (e^-y - E)/y and G′ = -(E′ + G)/y."""
    y = np.maximum(ds.absorption * pool * ds.horizon, 1e-3)
    e = -np.expm1(-y) / y
    g = (1 - e) / y
    slope_e = (np.exp(-y) - e) / y
    slope_g = -(slope_e + g) / y
    return (
        ds.absorption
        * ds.horizon
        * (-ds.starting_lag * slope_e - (ds.frontier_speed - ds.effort) * ds.horizon * slope_g)
    )


def measures(games: RestrictionGame, profiles: np.ndarray) -> dict[str, np.ndarray]:
    """The measures (draw, point, ...) at ``profiles`` (draw, point, incumbent)."""
    num, points, players = profiles.shape
    keys = np.concatenate([np.repeat(np.arange(num), points)[:, None], profiles.reshape(-1, players)], axis=1)
    once, place = np.unique(keys, axis=0, return_inverse=True)  # who does not restrict in equilibrium stays at r = 0
    found = Worlds(games).measures(once[:, 0].astype(int), once[:, 1:, None])
    return {name: values[place.ravel()].reshape(num, points, *values.shape[1:]) for name, values in found.items()}


def points(columns: Mapping[str, "xarray.Dataset"]) -> tuple[np.ndarray, np.ndarray]:
    """The restrictions (draw, point, incumbent) of ``POINTS``, and whether they are certified (draw, point)."""

    def table(name: str) -> np.ndarray:
        parts = [columns[column][name] for column in ("open", "nash", "concerted")]
        values = [x.transpose("draw", *(dim for dim in ("start", "incumbent") if dim in x.dims)).values for x in parts]
        return np.concatenate([values[0][:, None], values[1], values[2][:, None]], axis=1)

    return table("restriction"), table("certified")


def by_column(whole: "xarray.Dataset") -> dict[str, "xarray.Dataset"]:
    """A Dataset over "draw" and "point", those of ``POINTS``, as the columns that claims compare."""
    nash = whole.isel(point=slice(1, -1)).rename(point="start")
    parts = {"open": whole.isel(point=0), "nash": nash, "concerted": whole.isel(point=-1)}
    return {name: part.drop_vars(["point", "start"], errors="ignore") for name, part in parts.items()}


def probed(games: RestrictionGame, columns: Mapping[str, "xarray.Dataset"]) -> dict[str, "xarray.Dataset"]:
    """The columns with ``pooling_gain``, ``best_subsidy`` and ``break_even_cost``: the same restrictions, other parameters.

    Along the curve, if there is one, they are there at every second point.
    """
    import xarray

    p, own = games.parameters, points(columns)[0]
    grid = CURVE[::2] if "curve" in columns else CURVE[:0]
    along = np.broadcast_to(grid[None, :, None], (len(own), len(grid), own.shape[2]))
    profiles = np.concatenate([own, along], axis=1)
    tw = np.array([bloc == "TW" for bloc in p.challenger_bloc])

    def with_value(name: str, value: np.ndarray) -> dict[str, np.ndarray]:
        return measures(eqx.tree_at(lambda g: getattr(g.parameters, name), games, value), profiles)

    payoffs = [with_value("pool", np.full_like(p.pool, share))["challenger_payoff"] for share in (0.0, 1.0)]
    gain = (payoffs[1] - payoffs[0])[..., tw].sum(-1)
    home = p.blocs.index("TW")
    welfare = [with_value("subsidy", np.where(tw, g, p.subsidy))["bloc_welfare"][..., home] for g in SUBSIDIES]
    chances = np.stack([with_value("effort_cost", p.effort_cost * f)["mix"][..., 1] for f in FACTORS], -1)
    dims = ("draw", "point")
    found = {
        "pooling_gain": (dims, gain),
        "best_subsidy": (dims, peak(SUBSIDIES, np.stack(welfare, -1))),
        "break_even_cost": ((*dims, "bloc"), break_even(games, chances)),
    }
    whole, first = xarray.Dataset(found), own.shape[1]
    parts = by_column(whole.isel(point=slice(0, first)))
    if grid.size:
        curve = whole.isel(point=slice(first, None)).rename(point="common_restriction")
        parts["curve"] = curve.assign_coords(common_restriction=grid).reindex(common_restriction=CURVE)
    return dict(columns) | {name: columns[name].assign(part) for name, part in parts.items()}


def break_even(games: RestrictionGame, chances: np.ndarray) -> np.ndarray:
    """The log of the factor on effort costs at which mean P_S = ½ in each bloc (draw, point, bloc); nan where there is none.

    :param chances: P_S (draw, point, challenger, factor), along ``FACTORS``.
    """
    p = games.parameters
    members = [np.array([bloc == b for b in p.challenger_bloc]) for bloc in p.blocs]
    nobody = np.full(chances.shape[:2] + FACTORS.shape, np.nan)
    means = [chances[..., m, :].mean(-2) if m.any() else nobody for m in members]
    return np.stack([crossing(np.log(FACTORS), mean, 0.5) for mean in means], -1)


def peak(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Where y (..., x) is highest: the best grid point, moved to the vertex of the parabola through its neighbours."""
    known = np.asarray(np.isfinite(y).all(-1))
    y = np.where(known[..., None], y, 0.0)
    best = y.argmax(-1)
    k = np.clip(best, 1, len(x) - 2)[..., None]
    left, mid, right = (np.take_along_axis(y, k + d, -1)[..., 0] for d in (-1, 0, 1))
    bend = left - 2 * mid + right
    step = np.where(bend < 0, (left - right) / np.where(bend < 0, 2 * bend, 1), 0.0)
    return np.where(known, x[best] + np.where(best == k[..., 0], step, 0.0) * (x[1] - x[0]), np.nan)


def crossing(x: np.ndarray, y: np.ndarray, level: float) -> np.ndarray:
    """The last x at which y (..., x) comes down through ``level``, by straight lines; nan where it does not."""
    down = (y[..., :-1] >= level) & (y[..., 1:] < level)
    k = np.where(down, np.arange(down.shape[-1]), -1).max(-1)
    safe = np.maximum(k, 0)[..., None]
    above, below = (np.take_along_axis(y, safe + d, -1)[..., 0] for d in (0, 1))
    share = (above - level) / np.where(above > below, above - below, 1)
    return np.where(k >= 0, x[safe[..., 0]] + share * (x[safe[..., 0] + 1] - x[safe[..., 0]]), np.nan)
