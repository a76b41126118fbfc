"""What the restriction does: open, Nash, concerted and planner side by side (model.md §7-8)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.restriction.incumbents import RestrictionGame
from games.restriction.outcomes import label, measures, welfare_accounts
from solver.algorithms.best_response import BestResponse
from solver.compilation import as_here, jit_once
from solver.game import AbstractGame, Profile
from solver.solution import Solution, Status
from solver.solve import solve
from solver.spaces import Box
from solver.sweep.labels import status_attrs

if TYPE_CHECKING:
    import xarray

STARTS = (0.0, 0.5, 1.0)
CURVE = 41
SAME = 2e-3  # equilibria nearer than this in every restriction are one


class Collective(AbstractGame):
    """All restrictions chosen by one: a weighted sum of incumbents' profits and of blocs' welfare."""

    game: RestrictionGame
    profit_weight: Array  # (incumbent,)
    welfare_weight: Array  # (bloc,)
    players: tuple[str, ...] = eqx.field(static=True)

    def actions(self) -> tuple[Box, ...]:
        size = len(self.game.players) * self.game.num_channels
        return (Box(jnp.zeros(size), jnp.ones(size)),)

    def payoffs(self, profile: Profile) -> Array:
        play = self.game.followers(tuple(profile[0].reshape(len(self.game.players), -1)))
        welfare = welfare_accounts(self.game.parameters, play)["bloc_welfare"]
        value = self.profit_weight @ play.incumbent_payoff + self.welfare_weight @ welfare
        return jnp.where(play.converged, value, jnp.nan)[None]


def impact(game: RestrictionGame, *, progress: Callable[[str], Any] = lambda message: None) -> "xarray.Dataset":
    """The outcomes of ``game`` along "column", and as curves in a common restriction.

    Columns: ``open`` (r = 0); ``nash``, the equilibrium reached from r = 0, and ``nash_2``, ... others reached from ½ or 1;
    ``concerted`` (joint profit, all restrictions free) and ``concerted_common`` (one r for all, on the curve's grid);
    ``planner`` (world welfare) and ``planner_BLOC`` for every bloc.

    :return: the variables of ``outcomes`` over ``column``; each again with suffix ``_curve`` over ``common_restriction``;
        ``max_regret``, ``status`` and ``objective`` of each column (for ``open``, what a single incumbent would gain by
        deviating); ``start_restriction`` and ``start_column`` tell which start led to which equilibrium, with
        ``start_status``.
    """
    shape = (len(game.players), game.num_channels)
    grid = np.linspace(0, 1, CURVE)
    progress("Nash equilibria, optima, and outcomes along a common restriction")
    # nearly all of this is compilation, most of it outside of Python: three programs at a time
    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(as_here(_equilibria), game), pool.submit(as_here(_collective), game)]
        jobs.append(pool.submit(as_here(_outcomes), game, [np.full(shape, value) for value in grid]))
        (nash, unrestricted), (names, best), curve = (job.result() for job in jobs)
    chosen, columns_of_starts = _distinct(nash)
    columns = {"open": np.zeros(shape)}
    columns |= {("nash" if k == 0 else f"nash_{k + 1}"): _table(nash, i) for k, i in enumerate(chosen)}
    columns |= {name: np.asarray(best.strategies[0][i]).reshape(shape) for i, name in enumerate(names)}
    columns["concerted_common"] = np.full(shape, grid[curve["incumbent_payoff"].sum(axis=1).argmax()])
    ds = label(game, _outcomes(game, list(columns.values())), {"column": list(columns)})
    axis = ("common_restriction", grid, {"long_name": "common restriction", "units": "1"})
    curves = label(game, curve, {"common_restriction": axis})
    ds = ds.merge(curves.rename({name: f"{name}_curve" for name in curves.data_vars}))
    return _with_evidence(ds, game, nash, unrestricted, chosen, columns_of_starts, names, best)


@jit_once
def _nash(game: RestrictionGame, value: Array, max_steps: Array) -> Solution:
    start = tuple(jnp.full(game.num_channels, value) for _ in game.players)
    return solve(game, BestResponse(), start=start, max_steps=max_steps, throw=False)


def _equilibria(game: RestrictionGame) -> tuple[Solution, Solution]:
    """Where best responses lead from each start, and r = 0 itself: no step is taken, so its regret is measured."""
    nash = _stacked([_nash(game, jnp.asarray(value), jnp.asarray(200)) for value in STARTS])
    return nash, _nash(game, jnp.asarray(0.0), jnp.asarray(0))


@jit_once
def _batch(game: RestrictionGame, restriction: Array) -> dict[str, Array]:
    return jax.vmap(lambda r: measures(game, tuple(r)))(restriction)


def _outcomes(game: RestrictionGame, restrictions: list[np.ndarray]) -> dict[str, np.ndarray]:
    """The measures at each restriction, always in batches of one size: one program serves all."""
    rows = []
    for first in range(0, len(restrictions), CURVE):
        part = restrictions[first : first + CURVE]
        filled = np.stack(part + part[-1:] * (CURVE - len(part)))
        rows.append({k: np.asarray(v)[: len(part)] for k, v in _batch(game, jnp.asarray(filled)).items()})
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


@jit_once
def _optimum(game: RestrictionGame, profit_weight: Array, welfare_weight: Array, value: Array) -> Solution:
    collective = Collective(
        players=("collective",), game=game, profit_weight=profit_weight, welfare_weight=welfare_weight
    )
    start = (jnp.full(collective.actions()[0].size, value),)
    return solve(collective, BestResponse(accelerate=False), start=start, throw=False)


def _stacked(solutions: list[Solution]) -> Solution:
    return jax.tree.map(lambda *xs: np.stack(xs), *solutions)


def _collective(game: RestrictionGame) -> tuple[list[str], Solution]:
    p = game.parameters
    blocs = np.eye(len(p.blocs))
    names = ["concerted", "planner", *(f"planner_{bloc}" for bloc in p.blocs)]
    welfare = np.concatenate([np.zeros((1, len(blocs))), np.ones((1, len(blocs))), blocs])
    profit = np.zeros((len(names), len(game.players)))
    profit[0] = 1
    best = []
    for weights in zip(profit, welfare, strict=True):
        ends = [_optimum(game, *map(jnp.asarray, weights), jnp.asarray(start)) for start in (0.0, 1.0)]
        best.append(max(ends, key=lambda end: np.nan_to_num(float(end.payoffs[0]), nan=-np.inf)))
    return names, _stacked(best)


def _table(nash: Solution, i: int) -> np.ndarray:
    return np.stack([np.asarray(strategy[i]) for strategy in nash.strategies])


def _distinct(nash: Solution) -> tuple[list[int], list[int]]:
    """The starts whose end points differ, and for every start the position of its own among them."""
    chosen: list[int] = []
    where = []
    for i in range(len(STARTS)):
        same = [k for k, j in enumerate(chosen) if np.abs(_table(nash, i) - _table(nash, j)).max() <= SAME]
        if not same:
            if chosen and not bool(nash.converged[i]):
                where.append(-1)
                continue
            chosen.append(i)
            same = [len(chosen) - 1]
        where.append(same[0])
    return chosen, where


def _with_evidence(ds, game, nash, unrestricted, chosen, where, names, best) -> "xarray.Dataset":
    columns = ds.column.values.tolist()
    regrets = {"open": float(unrestricted.max_regret)}
    status = {"open": int(Status.converged) if bool(ds.stage_converged.sel(column="open")) else int(Status.uncertified)}
    epsilon = {}
    objective = {"open": "none: r = 0 is imposed"}
    for k, i in enumerate(chosen):
        name = "nash" if k == 0 else f"nash_{k + 1}"
        regrets[name], status[name] = float(nash.max_regret[i]), int(nash.status[i])
        epsilon[name], objective[name] = float(nash.certificate.epsilon[i]), "own profit"
    for i, name in enumerate(names):
        regrets[name], status[name] = float(best.max_regret[i]), int(best.status[i])
        epsilon[name] = float(best.certificate.epsilon[i])
        objective[name] = "joint profit" if name == "concerted" else "welfare"
    objective["concerted_common"] = f"joint profit, one r for all, best of {CURVE}"
    for name in columns:
        status.setdefault(
            name, int(Status.converged) if bool(ds.stage_converged.sel(column=name)) else int(Status.uncertified)
        )
    evidence = {"max_regret": (regrets, "largest gain from deviating"), "epsilon": (epsilon, "no deviation gains more")}
    for name, (values, meaning) in evidence.items():
        attrs = {"long_name": meaning, "units": "bn $/year"}
        ds[name] = ("column", [values.get(c, np.nan) for c in columns], attrs)
    ds["status"] = ("column", np.array([status[c] for c in columns], np.int8), status_attrs())
    ds["certificate"] = ("column", [_kind(c, nash, best) for c in columns])
    ds["objective"] = ("column", [objective[c] for c in columns])
    ds = ds.assign_coords(start=("start", list(STARTS), {"long_name": "common restriction the search started from"}))
    ends = np.stack([_table(nash, i) for i in range(len(STARTS))])
    ends, dims = (ends[:, :, 0], ()) if game.num_channels == 1 else (ends, ("channel",))
    ds["start_restriction"] = (("start", "incumbent", *dims), ends, {"long_name": "restriction reached", "units": "1"})
    names_of = [("nash" if k == 0 else f"nash_{k + 1}") if k >= 0 else "none" for k in where]
    ds["start_column"] = ("start", names_of, {"long_name": "equilibrium reached"})
    ds["start_status"] = ("start", np.asarray(nash.status, np.int8), status_attrs())
    return ds


def _kind(column: str, nash: Solution, best: Solution) -> str:
    if column.startswith("nash"):
        return nash.certificate.kind
    if column in ("open", "concerted_common"):
        return "none"
    return best.certificate.kind
