"""What else could have happened: several equilibria of the challengers' stage (model.md §6).

As σ → 0 choices to go sovereign are strategic substitutes through the aggregate and complements inside a consortium, and
effort and share feed each other, so the stage may have several equilibria. They are searched from many starts: what is
found is there, and what is not found may be.
"""

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.restriction.challengers import Stage, opening, respond, solve_stage
from games.restriction.demand import market
from games.restriction.frontier import Play, _exact, _fast, outcome
from games.restriction.incumbents import RestrictionGame
from games.restriction.outcomes import _measures, checked_restriction, label, welfare_accounts
from games.restriction.parameters import Parameters
from solver.fixed_point import DAMPING

if TYPE_CHECKING:
    import xarray

CORNERS = 81  # every profile of three strategies of four challengers
SURE = 20.0  # logit of a strategy that is as good as certain
MARKUPS = (1.0, 3.0)  # in units of 1/α; 1 is the lowest there is
SAME = 1e-4  # equilibria nearer than this in mixes, effort and prices are one
PATH = 65  # values of σ on the logit path
GAIN = 1e-6  # bn $/year: more from another effort, and a stage is no equilibrium
PLAIN_STEPS, LONGEST_CYCLE, STILL = 4000, 32, 1e-6
OUTCOMES = ("mix", "effort", "incumbent_payoff", "challenger_payoff", "welfare", "stage_residual")


class Found(NamedTuple):
    """Solved stages, one row each."""

    mix: Array
    effort: Array
    incumbent_payoff: Array
    challenger_payoff: Array
    welfare: Array
    stage_residual: Array
    effort_gain: Array
    frontier_speed: Array
    converged: Array
    prices: Array  # the incumbents' markups and ln H: what tells two sets of prices apart
    gap: Array  # of the condition on γ: its right side less γ


def stage_equilibria(game: RestrictionGame, restriction: Any, *, starts: int = CORNERS) -> "xarray.Dataset":
    r"""All equilibria of the challengers' stage that a search from many starts finds, at the ordinary solve's γ.

    The starts: the stage at γ = 1, as in every solve; and the profiles in which each challenger is sure of one strategy,
    with the even mixes, each at no and at full effort, at the lowest markups and at three times these. The *logit path* follows
    the equilibrium from a σ so large that it is unique down to its value, each solution the next one's start.

    :param restriction: a number, one per incumbent, or (incumbent, channel).
    :param starts: the sure profiles to start from; a fixed random choice of as many if there are more.
    :return: over ``equilibrium``, best for the world first: ``mix``, ``effort``, ``incumbent_payoff``,
        ``challenger_payoff``, ``welfare``, ``stage_residual``, ``num_starts_reaching`` and ``effort_gain`` (the stage asks
        for the first-order condition of effort; where a challenger gains from another effort it is no equilibrium);
        ``num_equilibria``, how many pass that test; over ``selection``: ``selected``, the one it picks (-1: none;
        ``reached`` is the ordinary solve's, and "best" and "worst" look only at equilibria); and ``num_starts``,
        ``num_unconverged``, ``frontier_speed``, ``prices_disagree`` (whether equal mixes and efforts came with different
        prices) and ``logit_path_step`` (the largest change of a probability between neighbours on the path; a large one
        is a jump to another branch).
    :raises ValueError: for mode "exact", a bad restriction, or ``starts`` below 1.
    """
    if game.mode != "fast":
        raise ValueError(
            "mode = 'exact': several equilibria are searched in the fast stage; use game.replace(mode='fast')"
        )
    if starts != int(starts) or starts < 1:
        raise ValueError(f"starts = {starts}: give a number of profiles to start from, 1 or more")
    profile = checked_restriction(game, restriction)
    r, gamma = jnp.stack(profile), jnp.asarray(_measures(game, profile)["frontier_speed"])
    first, along, path_step = _logit_path(game.parameters, r, gamma)
    rows = _starts(game.parameters, int(starts), stage_at_one(game, r), first, along)
    found = jax.tree.map(np.asarray, solved_stages(game, r, jnp.full(len(rows.effort), gamma), rows))
    groups, group_of = _merged(found)
    chosen = np.array([group[0] for group in groups], int)
    gain = found.effort_gain[chosen].max(axis=1, initial=0)
    world_best, world_worst = _extremes(found.welfare[chosen], gain <= GAIN)
    incumbents_best, incumbents_worst = _extremes(found.incumbent_payoff[chosen].sum(axis=1), gain <= GAIN)
    picks = {
        "reached": group_of[0],
        "logit_path": group_of[-1],
        "best_for_incumbents": incumbents_best,
        "worst_for_incumbents": incumbents_worst,
        "best_for_world": world_best,
        "worst_for_world": world_worst,
    }

    over = ("equilibrium", np.arange(len(chosen)), {"long_name": "equilibrium, best for the world first"})
    ds = label(game, {name: getattr(found, name)[chosen] for name in OUTCOMES}, {"equilibrium": over})
    reaching = [sum(i < len(group_of) - 1 for i in group) for group in groups]  # the last row is the logit path's
    extras = {
        "effort_gain": ("equilibrium", gain, "most a challenger gains from another effort, in bn $/year"),
        "num_equilibria": (
            (),
            int((gain <= GAIN).sum()),
            "equilibria at which no challenger gains from another effort",
        ),
        "num_starts_reaching": ("equilibrium", np.array(reaching, int), "starts that led there"),
        "selected": ("selection", np.array(list(picks.values()), int), "equilibrium a selection picks; -1: none"),
        "num_starts": ((), len(group_of) - 1, "starts"),
        "num_unconverged": ((), int((~found.converged[:-1]).sum()), "starts that led nowhere"),
        "frontier_speed": ((), found.frontier_speed[0], "speed of the frontier"),
        "prices_disagree": ((), _prices_disagree(found, chosen), "equal mixes and efforts at different prices"),
        "logit_path_step": ((), float(path_step), "largest step of a probability on the logit path"),
    }
    return (
        with_variables(ds, extras)
        .assign_coords(selection=list(picks))
        .assign_attrs(complete="no: a search from many starts")
    )


@eqx.filter_jit
def stage_at_one(game: RestrictionGame, r: Array) -> Stage:
    """The stage at γ = 1, where the ordinary solve begins at every other speed."""
    return _solver(game)(game.parameters, market(game.parameters, r, jnp.ones(())), None).stage


def _solver(game: RestrictionGame):
    return _fast if game.mode == "fast" else _exact


@eqx.filter_jit
def solved_stages(game: RestrictionGame, r: Array, speeds: Array, starts: Stage) -> Found:
    """The stage at every speed of the frontier, each from its own start."""
    p = game.parameters
    first = opening(p, market(p, r, jnp.ones(())))
    # one more row in front, for MR(0)
    begin = jax.tree.map(lambda x, s: jnp.concatenate([jnp.broadcast_to(x, (1, *s.shape[1:])), s]), first, starts)
    where = jnp.broadcast_to(r, (len(speeds) + 1, *r.shape)).at[0].set(0)
    speeds = jnp.concatenate([jnp.ones(1), speeds])

    def solved(r, gamma, start):
        m = market(p, r, gamma)
        return m, _solver(game)(p, m, None, start)

    markets, stages = jax.vmap(solved)(where, speeds, begin)
    base = stages.books.return_[0]

    def told(r, gamma, m, stage):
        play = outcome(p, r, m, stage, gamma, base, jnp.asarray(True))
        return _told(p, play, 1 + p.appropriability * (stage.books.return_ / base - 1) - gamma)

    return jax.tree.map(lambda x: x[1:], jax.vmap(told)(where, speeds, markets, stages))


def _told(p: Parameters, play: Play, gap: Array) -> Found:
    return Found(
        mix=play.mix,
        effort=play.effort,
        incumbent_payoff=play.incumbent_payoff,
        challenger_payoff=(play.mix * play.payoff).sum(axis=1),
        welfare=welfare_accounts(p, play)["welfare"],
        stage_residual=play.residual,
        effort_gain=play.effort_regret,
        frontier_speed=play.gamma,
        converged=play.converged,
        prices=jnp.concatenate([play.incumbent_markup.ravel(), play.log_aggregate]),
        gap=gap,
    )


@eqx.filter_jit
def _logit_path(p: Parameters, r: Array, gamma: Array) -> tuple[Stage, Stage, Array]:
    """The opening, the stage at the end of the path from the size of the market down to σ, and a mix's largest step."""
    m = market(p, r, gamma)
    share = jnp.linspace(0, 1, PATH)
    sigmas = jnp.maximum(m.scale.sum(), p.sigma) ** (1 - share) * p.sigma**share

    def follow(stage: Stage, sigma):
        at = eqx.tree_at(lambda q: q.sigma, p, sigma)
        new = solve_stage(at, m, start=stage).value
        return new, jnp.abs(new.mix - stage.mix).max(initial=0)

    first = opening(p, m)
    along, steps = jax.lax.scan(follow, first, sigmas)
    return first, along, steps[1:].max()  # the first step is from the opening to the path


def _starts(p: Parameters, most: int, at_one: Stage, first: Stage, along: Stage) -> Stage:
    """The stage at γ = 1, every start with the opening's prices, and last the end of the logit path, one row each."""
    at_one, first, along = jax.tree.map(np.asarray, (at_one, first, along))
    profiles = _sure_profiles(len(p.challengers), len(p.strategies), most)
    rows = [at_one]
    for effort, markup, sure in itertools.product((0.0, float(p.effort_bound)), MARKUPS, profiles):
        prices = jax.tree.map(lambda x, by=markup: by * x, first.prices)
        rows.append(Stage(SURE * sure, jnp.full_like(first.effort, effort), prices))
    return jax.tree.map(lambda *x: jnp.asarray(np.stack(x)), *rows, along)


def _sure_profiles(num: int, kinds: int, most: int) -> np.ndarray:
    """One-hot mixes (profile, challenger, strategy), and last the even one (all zero)."""
    if kinds**num <= most:
        chosen = np.array(list(itertools.product(range(kinds), repeat=num)), dtype=int).reshape(-1, num)
    else:
        chosen = np.unique(np.random.default_rng(0).integers(kinds, size=(most, num)), axis=0)
    return np.concatenate([np.eye(kinds)[chosen], np.zeros((1, num, kinds))])


def _merged(found: Found) -> tuple[list[list[int]], list[int]]:
    """The rows of every distinct equilibrium, best for the world first, and for every row its equilibrium (-1: none)."""
    points = np.concatenate([found.mix.reshape(len(found.mix), -1), found.effort, found.prices], axis=1)
    groups: list[list[int]] = []
    for i in np.flatnonzero(found.converged):
        same = next((group for group in groups if np.abs(points[i] - points[group[0]]).max() <= SAME), None)
        same.append(int(i)) if same else groups.append([int(i)])
    groups.sort(key=lambda group: (-found.welfare[group[0]].round(6), *points[group[0]].round(4)))
    group_of = [-1] * len(points)
    for k, group in enumerate(groups):
        for i in group:
            group_of[i] = k
    return groups, group_of


def _extremes(values: np.ndarray, allowed: np.ndarray) -> tuple[int, int]:
    """Where the largest and the smallest of those allowed are."""
    if not allowed.any():
        return -1, -1
    return int(np.where(allowed, values, -np.inf).argmax()), int(np.where(allowed, values, np.inf).argmin())


def _prices_disagree(found: Found, rows: np.ndarray) -> bool:
    pairs = itertools.combinations(rows, 2)
    return any(max(np.abs(x[i] - x[j]).max(initial=0) for x in (found.mix, found.effort)) <= SAME for i, j in pairs)


def with_variables(ds: "xarray.Dataset", extras: dict[str, tuple]) -> "xarray.Dataset":
    return ds.assign({k: (dims, value, {"long_name": name, "units": "1"}) for k, (dims, value, name) in extras.items()})


def diagnose_stage(game: RestrictionGame, restriction: Any) -> str:
    """What plain damped iteration from the opening does: of use where a stage did not converge (model.md §6).

    :return: "cycle of length n"; or else "several equilibria: n" if a search from many starts finds more than one; or else
        "one equilibrium" if the iteration arrives; or "slow", with the distance the iteration still moves.
    :raises ValueError: for mode "exact" or a bad restriction.
    """
    ds = stage_equilibria(game, restriction)
    r = jnp.stack(checked_restriction(game, restriction))
    mixes = np.asarray(_damped(game.parameters, r, jnp.asarray(ds.frontier_speed.values)))[-LONGEST_CYCLE - 1 :]
    apart = np.abs(mixes[-1] - mixes[-2::-1]).max(axis=(1, 2), initial=0)  # from 1, 2, ... steps ago
    back = np.flatnonzero(apart <= STILL)
    if len(back) and back[0] > 0:
        return f"cycle of length {back[0] + 1}"
    if ds.num_equilibria > 1:
        return f"several equilibria: {int(ds.num_equilibria)}"
    if len(back):
        return "one equilibrium"
    return f"slow: still moving by {apart[0]:.1e} after {PLAIN_STEPS} damped steps"


@eqx.filter_jit
def _damped(p: Parameters, r: Array, gamma: Array) -> Array:
    """The mixes along plain damped iteration (step, challenger, strategy)."""
    m = market(p, r, gamma)

    def step(stage: Stage, _):
        new = jax.tree.map(lambda a, b: a + DAMPING * (b - a), stage, respond(stage, (p, m)))
        return new, new.mix

    return jax.lax.scan(step, opening(p, m), None, PLAIN_STEPS)[1]
