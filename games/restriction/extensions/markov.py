r"""Time, with foresight: challengers' Markov-perfect equilibrium on a grid of lags (model.md §9).

A state s is a lag of every challenger. In it each draws private shocks (type I extreme value, scale σ), chooses a strategy and,
if sovereign, an effort; the base game's stage over one period Δ pays π, and lags move by the Nelson-Phelps path:

.. math::
    v_{ja}(s) = \pi_{ja}(s, P, x) + \delta\,E[V_j(s') \mid a, x, P_{-j}],\qquad
    V_j = \sigma\ln\sum_a e^{v_{ja}/\sigma},\qquad P_j = \mathrm{softmax}(v_j/\sigma)

    x_j \in \arg\max_{0 \le x \le \bar x} BD\,x - \tfrac12 k(1-g)\,\mathrm{csh}\,x^2 + \delta\,E[V_j(s') \mid S, x, P_{-j}],

    z'_j = z_j e^{-\omega\Delta} + (1 - x_j 1_{a=S})\,\Delta E(\omega\Delta)

z' is spread over three points of the grid by quadratic B-spline weights: the mean is kept (but within half a step of the ends
of the grid), the variance is a quarter of a squared step: private noise that a finer grid makes smaller. Values are in bn $ a
year times periods; Euler's constant is left out. Private shocks make choices continuous in values, and so an equilibrium exists
(Ericson and Pakes 1995; Doraszelski and Satterthwaite 2010) wherever prices and efforts are continuous in the mixes; choice
probabilities as in Seim (2006) and Aguirregabiria and Mira (2007). An effort may jump: with foresight a firm below some lag may
stay at the frontier and one above it give up. Equilibria need not be unique: they are sought from three starts, and of those
found the one of lowest regret is shown.

Left out: incumbents hold their restriction for good, and the frontier's speed does not answer it; the open community is at rest
under it; licence fees look no further than a period; entry, and exit for good; of an effort's effect on the market within the
period only the first order is seen (the regret says what another would gain).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.oligopoly import checked
from games.restriction.challengers import Stage, opening
from games.restriction.demand import SOVEREIGN, Market, market
from games.restriction.extensions.bellman import arrivals, one_shot_gain, path_of, transitions
from games.restriction.extensions.foresight import Lags, Plan, look_ahead, spread
from games.restriction.frontier import expected, outcome
from games.restriction.incumbents import RestrictionGame
from games.restriction.knowledge import effective_restriction, pools
from games.restriction.outcomes import checked_restriction, label, measured
from games.restriction.parameters import Parameters
from games.restriction.strategies import cost_share
from solver.fixed_point import FixedPoint, fixed_point

if TYPE_CHECKING:
    import xarray

MOST = 1024  # states
STEPS = 3000
TOLERANCE = 1e-9
LEAN = 3.0  # logits by which a start leans to a strategy
CERTIFIED = 1e-6  # bn $/year: the largest regret of an equilibrium
SAME = 1e-4  # equilibria nearer than this in every mix are one
STARTS = ("even", "client", "sovereign")


@eqx.filter_jit
def _solve(p: Parameters, m: Market, lags: Lags, lean: Array) -> FixedPoint:
    """From logits that lean (strategy,)."""
    stage = jax.vmap(lambda one: opening(p, one))(m)
    start = Plan(stage._replace(logits=stage.logits + lean), jnp.zeros_like(lags.state))
    return fixed_point(
        look_ahead,
        start,
        (p, m, lags),
        tolerance=TOLERANCE,
        max_steps=STEPS,
        memory=6,
        accelerate=lambda plan: (plan.stage.logits, plan.value),
    )


@eqx.filter_jit
def _markets(p: Parameters, restriction: Array, state: Array) -> Market:
    return jax.vmap(lambda z: market(eqx.tree_at(lambda q: q.starting_lag, p, z), restriction, jnp.ones(())))(state)


@eqx.filter_jit
def _measures(p: Parameters, restriction: Array, m: Market, stage: Stage, residual: Array) -> dict[str, Array]:
    """Every variable of ``VARIABLES`` in every state, and the payoffs by strategy."""

    def one(m, stage):
        solved = FixedPoint(stage, residual, jnp.asarray(0), residual <= TOLERANCE)
        return measured(p, restriction, outcome(p, restriction, m, expected(p, m, solved), 1.0, 1.0, solved.converged))

    return jax.vmap(one)(m, stage)


def markov_perfect(
    game: RestrictionGame,
    restriction: Any = 0.0,
    *,
    period: float = 1.0,
    discount: float = 0.9,
    points: int = 5,
    periods: int = 10,
) -> "xarray.Dataset":
    """The challengers' Markov-perfect equilibrium at a restriction that stays.

    :param game: with a few challengers: there are points ** challengers states, at most 1,024.
    :param restriction: as for ``outcomes``.
    :param period: Δ, years; takes the place of the game's horizon.
    :param discount: δ in [0, 1), of a period.
    :param points: of every challenger's grid of lags, from 0 to above both its lag at rest without effort and its starting lag;
        1: lags stay at the start.
    :param periods: of the path that is followed.
    :return: over ``state``: ``lag`` (state, challenger), every variable of ``VARIABLES`` (of one period), ``value`` and
        ``one_shot_gain`` (state, challenger), what another choice would gain; ``probability`` (time, state) from the starting
        lags and ``long_run`` (state); ``expected_lag`` and ``expected_mix`` (time, challenger, ..). Over ``start``:
        ``mix_from`` (start, state, challenger, strategy), ``num_steps``, ``regret``, the largest gain over 1 - δ, which bounds
        what any other plan would gain, and ``certified``. In attrs ``num_equilibria``, the different certified ends, and
        ``start``, the one shown: of lowest regret. If none is certified, what is shown is no equilibrium.
    :raises ValueError: for a number out of bounds, or a game in another mode, or whose open community never comes to rest.
    """
    p, r, lags = _prepared(game, restriction, period, discount, points)
    m = _markets(p, r, lags.state)
    found = [_solve(p, m, lags, jnp.asarray(lean)) for lean in _leans(len(p.strategies))]
    judged = [_judged(p, r, m, lags, one) for one in found]
    regret = np.array([float(gain.max()) for _, _, gain in judged]) / (1 - discount)
    ok = np.array([bool(one.converged) for one in found]) & (regret <= CERTIFIED)
    shown = int(np.nan_to_num(regret, nan=np.inf).argmin())
    table, value, gain = judged[shown]
    mixes = np.stack([table["mix"] for table, _, _ in judged])
    money = {"units": "bn $/year"}
    ds = label(game, table, {"state": np.arange(len(lags.state))})
    ds = ds.assign(
        lag=(("state", "challenger"), np.asarray(lags.state), {"long_name": "lag", "units": "years"}),
        value=(("state", "challenger"), value, {"long_name": "value, per year of a period"} | money),
        one_shot_gain=(("state", "challenger"), gain, {"long_name": "gain from one other choice"} | money),
        mix_from=(("start", "state", "challenger", "strategy"), mixes, {"long_name": "probability of a strategy"}),
        certified=("start", ok, {"long_name": "search converged and regret small"}),
        regret=("start", regret, {"long_name": "bound on the gain from any other plan"} | money),
        num_steps=("start", [int(one.num_steps) for one in found]),
    ).assign_coords(start=list(STARTS))
    attrs = {"period": float(lags.period), "discount": float(discount), "start": STARTS[shown]}
    return _with_path(ds, game, lags, periods).assign_attrs(attrs, num_equilibria=_distinct(mixes[ok]))


def _judged(
    p: Parameters, r: Array, m: Market, lags: Lags, found: FixedPoint
) -> tuple[dict[str, np.ndarray], Any, Any]:
    """The measures in every state, the values and the one-shot gains (state, challenger)."""
    table = {k: np.asarray(v) for k, v in _measures(p, r, m, found.value.stage, found.residual).items()}
    plan = _plan_of(p, m, found.value, table)
    return table, *one_shot_gain(plan, jax.tree.map(np.asarray, lags), float(p.sigma))


def _prepared(game, restriction, period, discount, points) -> tuple[Parameters, Array, Lags]:
    p = game.parameters
    if (game.mode, p.effort_optimum) != ("fast", "first_order") or not p.challengers:
        raise ValueError("game must be in mode 'fast' with effort_optimum 'first_order', and have challengers")
    if points < 1 or points ** len(p.challengers) > MOST:
        raise ValueError(
            f"points = {points} with {len(p.challengers)} challengers: give 1 or more, and at most {MOST} states; a game "
            "with fewer challengers has fewer"
        )
    length = checked("period", period, strict=True)
    if not 0 <= discount < 1:
        raise ValueError(f"discount = {discount} must lie in [0, 1)")
    r = jnp.stack(checked_restriction(game, restriction))
    pool, open_pool = pools(p, effective_restriction(p, r))
    open_speed = p.open_absorption * open_pool
    if not open_speed > 0:
        raise ValueError(
            "open_absorption times the open pool is 0: the open community never comes to rest; give open_absorption above 0"
        )
    speed = p.absorption * pool[np.array([p.blocs.index(bloc) for bloc in p.challenger_bloc])]
    changes = (length, jnp.zeros_like(p.appropriability), jnp.maximum(1 - p.open_effort, 0) / open_speed)
    p = eqx.tree_at(lambda q: (q.horizon, q.appropriability, q.open_starting_lag), p, changes)
    # without learning lags grow for ever: as far as a dozen periods
    rest = 1 / jnp.maximum(speed, 1 / (12 * length))
    step = jnp.maximum(rest, p.starting_lag) / max(points - 2, 1)
    grid = step[:, None] * jnp.arange(points) if points > 1 else p.starting_lag[:, None]
    state = jnp.stack([axis.ravel() for axis in jnp.meshgrid(*grid, indexing="ij")], axis=1)
    return p, r, Lags(grid, state, speed, length, jnp.asarray(discount, length.dtype))


def _leans(kinds: int) -> Sequence[np.ndarray]:
    """Logits of the starts, in the order of ``STARTS``."""
    return (np.zeros(kinds), *(LEAN * np.eye(kinds)[:2]))


def _plan_of(p: Parameters, m: Market, plan: Plan, table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    share = jax.vmap(lambda mix: cost_share(p, mix))(jnp.asarray(table["mix"]))
    return {
        "mix": table["mix"],
        "payoff": table["strategy_payoff"],
        "effort": np.asarray(plan.stage.effort),
        "effort_bound": np.asarray(m.effort_bound),
        "cost": np.asarray(p.effort_cost * (1 - p.subsidy) * share),
        "markup": np.asarray(plan.stage.prices.challenger[:, :, SOVEREIGN]),
        "slope": np.asarray(m.lag_slope[:, :, None] * p.lag_slope),
        "scale": np.asarray(m.scale),
    }


def _distinct(mixes: np.ndarray) -> int:
    kept: list[np.ndarray] = []
    for mix in mixes:
        if all(np.abs(mix - other).max() > SAME for other in kept):
            kept.append(mix)
    return len(kept)


def _with_path(ds: "xarray.Dataset", game: RestrictionGame, lags: Lags, periods: int) -> "xarray.Dataset":
    arrive = arrivals(np.asarray(lags.state), ds.effort.values, ds.sizes["strategy"], lags)
    T = transitions(ds.mix.values, arrive)
    first = spread(game.parameters.starting_lag[None], lags.grid)[0]
    start = np.asarray(first[0])
    for row in np.asarray(first)[1:]:
        start = np.kron(start, row)
    rows, long_run = path_of(T, start, periods)
    ds = ds.assign(
        probability=(("time", "state"), rows, {"long_name": "probability of a state", "units": "1"}),
        long_run=("state", long_run, {"long_name": "probability of a state in the long run", "units": "1"}),
    ).assign_coords(time=("time", float(lags.period) * np.arange(periods + 1), {"long_name": "time", "units": "years"}))
    return ds.assign(
        expected_lag=(ds.probability @ ds.lag).assign_attrs(long_name="expected lag", units="years"),
        expected_mix=(ds.probability @ ds.mix).assign_attrs(long_name="expected probability of a strategy", units="1"),
    )
