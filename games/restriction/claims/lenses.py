r"""Other readings of what follows a restriction: the exact mode, and the extensions of model.md §9.

A lens plays each world again at the restrictions of its open, Nash and concerted columns; incumbents do not choose anew, so
claim 1 is not judged through it. Those of the third way and of open releases hold the frontier's speed at 1.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.restriction.claims.worlds import FACTORS, STARTS, break_even, by_column, described, measures
from games.restriction.demand import SOVEREIGN
from games.restriction.extensions.consortium import consortium_game
from games.restriction.extensions.linked import linked_play
from games.restriction.extensions.releases import Releases
from games.restriction.extensions.revisions import later_game
from games.restriction.extensions.subsidies import ChallengersMarket, SubsidyGame
from games.restriction.frontier import Play, exact_play, fast_play
from games.restriction.incumbents import RestrictionGame
from games.restriction.outcomes import measured
from solver.solution import Solution
from solver.solve import checked_tolerance, solve
from solver.sweep.batches import Batches, solve_in_batches

if TYPE_CHECKING:
    import xarray

OPENNESS = 0.3  # of released weights: what a release at the frontier's quality adds to λ0
YEARS, REVISIONS = 2.0, 2  # between revisions of strategies, and how many
EXTRAS = {"pooling_gain": (), "best_subsidy": (), "break_even_cost": ("bloc",)}  # what claims ask beyond the measures
LANES = 64  # worlds and restrictions of one call
# of the search for subsidies, as a share; and of best replies, for the few that models do not settle
START, STEPS = 0.3, 12
TURNS, FEW = 12, 8  # of best replies, with simultaneous timing; and worlds of one call

Measure = Callable[[RestrictionGame, Array], dict[str, Array]]
Columns = dict[str, "xarray.Dataset"]


def exact(game: RestrictionGame, restriction: Array) -> dict[str, Array]:
    """All profiles of challengers' strategies, prices and efforts solved in each."""
    return measured(game.parameters, restriction, exact_play(game.parameters, restriction))


def releases(game: RestrictionGame, restriction: Array) -> dict[str, Array]:
    """Sovereign challengers open their weights, which refills the commons."""

    def played(game):
        return linked_play(game.parameters, restriction, Releases(jnp.asarray(OPENNESS)))

    return measured(game.parameters, restriction, played(game)) | {"chances": _chances(game, played)}


def consortium(game: RestrictionGame, restriction: Array) -> dict[str, Array]:
    """The consortium's members share programmes and pool effort; ``pooling_gain`` is what TW gains over staying apart."""
    p = game.parameters
    tw = np.array([bloc == "TW" for bloc in p.challenger_bloc])

    def played(game, groups=(p.consortium,)):
        return consortium_game(game, groups).followers(tuple(restriction))

    def payoffs(play):
        return (play.mix * play.payoff).sum(axis=1)

    joined, apart = played(game), played(game, ())
    costs = consortium_game(game, (p.consortium,)).game.parameters
    found = measured(costs, restriction, joined)
    return found | {
        "chances": _chances(game, played),
        "pooling_gain": (payoffs(joined) - payoffs(apart))[tw].sum(),
        "stage_converged": joined.converged & apart.converged,
    }


def _chances(game: RestrictionGame, played: Callable[[RestrictionGame], Play]) -> Array:
    """P_S (challenger, factor) as every effort cost is multiplied by each of ``FACTORS``."""

    def sovereign(factor):
        cost = game.parameters.effort_cost * factor
        return played(eqx.tree_at(lambda g: g.parameters.effort_cost, game, cost)).mix[:, SOVEREIGN]

    return jax.vmap(sovereign, out_axes=1)(jnp.asarray(FACTORS))


def later(game: RestrictionGame, restriction: Array) -> dict[str, Array]:
    """Strategies are revised every ``YEARS``, from the lags reached; the outcomes after the last revision."""
    for _ in range(REVISIONS):
        game = later_game(game, restriction, jnp.asarray(YEARS))
    return measured(game.parameters, restriction, fast_play(game.parameters, restriction))


def through(measure: Measure, games: RestrictionGame, profiles: np.ndarray, certified: np.ndarray) -> Columns:
    """The columns as ``measure`` finds them at ``profiles`` (draw, point, incumbent), certified (draw, point) or not."""
    num, points, players = profiles.shape
    which, r = np.repeat(np.arange(num), points), profiles.reshape(-1, players, 1)
    parts = []
    for first in range(0, len(which), LANES):
        at = np.arange(first, min(first + LANES, len(which)))
        filled = np.resize(at, LANES)  # one size to compile for
        found = _many(measure, jax.tree.map(lambda x, i=filled: x[which[i]], games), jnp.asarray(r[filled]))
        parts.append({name: np.asarray(x)[: at.size] for name, x in found.items()})
    table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return columns_of(games, {k: x.reshape(num, points, *x.shape[1:]) for k, x in table.items()}, certified)


@eqx.filter_jit
def _many(measure: Measure, games: RestrictionGame, restriction: Array) -> dict[str, Array]:
    return eqx.filter_vmap(measure)(games, restriction)


def columns_of(games: RestrictionGame, table: dict[str, np.ndarray], certified: np.ndarray) -> Columns:
    """The columns of the measures ``table`` (draw, point, ...); certified where the points and their stages are."""
    if "chances" in table:
        table["break_even_cost"] = break_even(games, table.pop("chances"))
    extras = {name: (("draw", "point", *dims), table.pop(name)) for name, dims in EXTRAS.items() if name in table}
    num, points = certified.shape
    whole = described(games, table, {"draw": np.arange(num), "point": np.arange(points)})
    extras["certified"] = (("draw", "point"), whole.stage_converged.values & certified)
    return by_column(whole.assign(extras))


def subsidised(games: RestrictionGame, profiles: np.ndarray, certified: np.ndarray) -> Columns:
    """Every bloc with challengers chooses its rate of subsidy, in equilibrium at each restriction."""
    num, points, players = profiles.shape
    p, many = games.parameters, num * points
    rates, fine = chosen_subsidies(games, profiles)
    planners = _planners(games)
    own = jax.tree.map(lambda x: np.repeat(x, points, axis=0), games)
    where = np.array([planners.index(bloc) for bloc in p.challenger_bloc])
    changed = eqx.tree_at(lambda g: g.parameters.subsidy, own, rates.reshape(many, -1)[:, where])
    found = measures(changed, profiles.reshape(many, 1, players))
    table = {name: values[:, 0].reshape(num, points, *values.shape[2:]) for name, values in found.items()}
    table["best_subsidy"] = rates[..., planners.index("TW")]
    return columns_of(games, table, certified & fine)


def _planners(games: RestrictionGame) -> tuple[str, ...]:
    return tuple(bloc for bloc in games.parameters.blocs if bloc in games.parameters.challenger_bloc)


def chosen_subsidies(games: RestrictionGame, profiles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The equilibrium rates (draw, point, planner) of the blocs' subsidy games, and whether certified (draw, point)."""
    num, points, players = profiles.shape
    planners = _planners(games)
    own = jax.tree.map(lambda x: np.repeat(x, points, axis=0), games.parameters)
    market = ChallengersMarket(
        parameters=own, restriction=jnp.asarray(profiles.reshape(-1, players, 1)), planners=planners
    )
    start = np.full((num * points, len(planners)), START)
    solved = solve_in_batches(Batches(SubsidyGame(market)), start, checked_tolerance(None), STEPS)
    rates = np.nan_to_num(np.stack(solved.strategies, axis=1)[..., 0])
    return rates.reshape(num, points, -1), (np.asarray(solved.status) == 0).reshape(num, points)


def simultaneous(games: RestrictionGame, profiles: np.ndarray, certified: np.ndarray) -> Columns:
    """Challengers' mixes do not answer a deviation: Nash and concerted equilibria of games with that timing.

    In concert every incumbent chooses what is best for their joint profit, at the mixes expected, from the base's r^C on.
    """
    num, _, players = profiles.shape
    starts = [np.full((num, players), start) for start in STARTS]
    nash = [_solved(games, start, TURNS) for start in starts]
    joint = eqx.tree_at(lambda g: g.parameters.cooperation, games, np.ones_like(games.parameters.cooperation))
    concerted = _solved(joint, profiles[:, -1], TURNS)
    found = [profiles[:, 0], *(x for x, _, _ in nash), concerted[0]]
    fine = [np.ones(num, bool), *(ok for _, ok, _ in nash), concerted[1]]
    table = measures(games, np.nan_to_num(np.stack(found, axis=1)))
    columns = columns_of(games, table, np.stack(fine, axis=1))
    gain = _solved(games, np.nan_to_num(concerted[0]), 0)[2]
    return columns | {"concerted": columns["concerted"].assign(nash_gain=("draw", gain))}


def _solved(games: RestrictionGame, start: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Profiles (draw, incumbent), whether certified, and the largest regret (draw,), a few worlds at a time."""
    parts = []
    for first in range(0, len(start), FEW):
        at = np.arange(first, min(first + FEW, len(start)))
        filled = np.resize(at, FEW)
        found = _equilibria(
            jax.tree.map(lambda x, i=filled: x[i], games), jnp.asarray(start[filled, :, None]), jnp.asarray(steps)
        )
        profile = np.stack(found.strategies, axis=1)[: at.size, :, 0]
        parts.append((profile, np.asarray(found.status)[: at.size] == 0, np.asarray(found.max_regret)[: at.size]))
    profile, fine, regret = (np.concatenate(x) for x in zip(*parts, strict=True))
    return profile, fine, regret


@eqx.filter_jit
def _equilibria(games: RestrictionGame, start: Array, steps: Array) -> Solution:
    return eqx.filter_vmap(lambda game, r: solve(game, start=tuple(r), max_steps=steps, throw=False))(games, start)
