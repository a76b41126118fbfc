r"""From a profile of restrictions to the whole outcome: the stage, the frontier's speed and the incumbents' profits.

.. math::
    \mathrm{MR} = \sum_i\sum_m \tfrac{M}{\alpha}\beta(\mu_i s_i + \omega_w S_{C,i})
        \Bigl[\frac{Y/2}{H} + \sum_k s_k D_k\Bigr],\qquad
    \gamma = 1 + \varepsilon_\gamma\Bigl(\frac{\mathrm{MR}(r)}{\mathrm{MR}(0)} - 1\Bigr)

k runs over what copies: sovereign, applied and the fringe. In plain logit the first bracket is μ_i - 1; nests change nothing
else, since a faster frontier moves all products of the US stack alike, and all of the open base. Of several roots γ, the
one nearest to 1 on the side to which the right side points there. The stage is solved from its opening at γ = 1 and at
other speeds from there, so that it is a function of r and γ, whatever the steps of the search.
"""

import itertools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.restriction.challengers import STAGE_STEPS, Stage, opening, solve_held, solve_stage
from games.restriction.demand import APPLIED, CLIENT, SOVEREIGN, Market, market
from games.restriction.effort import effort_deviation
from games.restriction.nests import SYSTEMS
from games.restriction.parameters import Parameters
from games.restriction.strategies import accounts, client_fee
from solver.fixed_point import FixedPoint, fixed_point

ROOT_STEPS = 30  # of 32,768 profiles of the prior's worlds one settled after 24, and none after 30


class Play(NamedTuple):
    """What happens at a profile of restrictions. Shares and books of a challenger are conditional on its strategy."""

    market: Market
    gamma: Array
    mix: Array  # (challenger, strategy)
    effort: Array  # given S (challenger)
    effort_regret: Array  # what another effort would gain, given S (challenger)
    payoff: Array  # net of fees (challenger, strategy)
    fee: Array  # given C (challenger)
    subsidy: Array  # paid, given S (challenger)
    programme: Array  # cost before subsidy and sharing, given S (challenger)
    incumbent_markup: Array  # (incumbent, cell)
    incumbent_share: Array
    challenger_markup: Array  # (challenger, strategy, cell)
    challenger_share: Array  # expected: times the probability of the strategy (challenger, strategy, cell)
    fringe_share: Array  # (cell)
    log_aggregate: Array  # E ln H (cell)
    outside_share: Array  # E 1/H (cell)
    incumbent_payoff: Array  # Π (incumbent)
    converged: Array  # the stage, and γ
    residual: Array  # of the stage
    num_steps: Array


class _Books(NamedTuple):
    """The part of a play that is an expectation over realised markets (exact), or that of the one expected market."""

    return_: Array  # MR
    profit: Array  # of products and wholesale (incumbent)
    incumbent_markup: Array
    incumbent_share: Array
    challenger_markup: Array
    challenger_share: Array
    fringe_share: Array
    log_aggregate: Array
    outside_share: Array
    effort: Array
    effort_regret: Array
    programme: Array
    cost_share: Array


def _books(p: Parameters, m: Market, stage: Stage, mix: Array) -> _Books:
    s = SYSTEMS[p.demand].sales(p, m, mix, stage.effort, stage.prices)
    profit = m.scale * (stage.prices.incumbent * s.incumbent + m.wholesale * s.challenger[:, CLIENT].sum(axis=0))
    copied = (s.challenger[:, SOVEREIGN] * m.lag_slope[:, None]).sum(axis=0)
    copied = copied + (s.challenger[:, APPLIED].sum(axis=0) + s.fringe) * m.open_slope
    moved = (p.horizon / 2) / s.aggregate + copied
    books = accounts(p, m, mix, stage.effort, stage.prices)
    return _Books(
        return_=(profit * p.lag_slope * moved).sum(),
        profit=profit.sum(axis=1),
        incumbent_markup=stage.prices.incumbent,
        incumbent_share=s.incumbent,
        challenger_markup=stage.prices.challenger,
        challenger_share=s.challenger,
        fringe_share=s.fringe,
        log_aggregate=jnp.log(s.aggregate),
        outside_share=1 / s.aggregate,
        effort=stage.effort,
        effort_regret=effort_deviation(p, m, mix, stage.effort, stage.prices.challenger)[1],
        programme=books.programme,
        cost_share=books.cost_share,
    )


class _Stagewise(NamedTuple):
    stage: Stage  # (exact: of every profile of strategies in front) where the stage at another speed begins
    mix: Array
    payoff: Array
    fee: Array
    books: _Books
    converged: Array
    residual: Array
    num_steps: Array


@jax.jit  # traced once, however often a program plays
def _fast(p: Parameters, m: Market, mix: Array | None, near: Stage | None = None) -> _Stagewise:
    return expected(p, m, solve_stage(p, m, start=near) if mix is None else solve_held(p, m, mix, start=near), mix)


def expected(p: Parameters, m: Market, solved: FixedPoint, mix: Array | None = None) -> _Stagewise:
    """The fast mode's stage with its books, at a solution (or at the mixes it was solved for)."""
    stage: Stage = solved.value
    mix = stage.mix if mix is None else mix
    a = accounts(p, m, mix, stage.effort, stage.prices)
    books = _books(p, m, stage, mix)
    return _Stagewise(stage, mix, a.payoff, a.fee, books, solved.converged, solved.residual, solved.num_steps)


def _exact(p: Parameters, m: Market, mix: Array | None, near: Stage | None = None) -> _Stagewise:
    """Prices and effort in every profile of strategies, then the mixes that are best replies to each other."""
    num, kinds = m.type_at_rest.shape[:2]
    profiles = np.array(list(itertools.product(range(kinds), repeat=num)), dtype=int).reshape(-1, num)
    onehot = jnp.asarray(np.eye(kinds)[profiles])  # (profile, challenger, strategy)

    def realised(chosen, near):
        solved = solve_held(p, m, chosen, start=near)
        a = accounts(p, m, chosen, solved.value.effort, solved.value.prices)
        gross = a.payoff.at[:, CLIENT].add(a.fee)
        return (gross * chosen).sum(axis=1), _books(p, m, solved.value, chosen), solved

    gross, books, solved = jax.vmap(realised)(onehot, near)

    def conditional(mix):
        """E[π_j(a)] over the others' strategies, before the fee, and the probability of every profile."""
        chance = (onehot * mix).sum(axis=2)  # (profile, challenger)
        total = chance.prod(axis=1)
        others = jnp.stack(
            [jnp.delete(chance, j, axis=1, assume_unique_indices=True).prod(axis=1) for j in range(num)], 1
        )
        return jnp.einsum("sj,sj,sja->ja", others, gross, onehot), others, total

    def net(mix):
        before = conditional(mix)[0]
        fee = client_fee(p, before)
        return before.at[:, CLIENT].add(-fee), fee

    if mix is None and num:
        found = fixed_point(
            lambda logits, p: net(jax.nn.softmax(logits, axis=1))[0] / p.sigma,
            jnp.zeros((num, kinds)), p, tolerance=1e-9, max_steps=STAGE_STEPS,
        )  # fmt: skip
        mix, fine, steps = jax.nn.softmax(found.value, axis=1), found.converged, found.num_steps
    else:
        mix = jnp.zeros((num, kinds)) if mix is None else mix
        fine, steps = jnp.asarray(True), jnp.asarray(0)
    payoff, fee = net(mix) if num else (jnp.zeros((0, kinds)), jnp.zeros(0))
    _, others, chance = conditional(mix) if num else (None, jnp.zeros((1, 0)), jnp.ones(1))
    sovereign = others * onehot[:, :, SOVEREIGN]  # weights of a challenger's books given that it is sovereign

    def mean(x):
        return jnp.tensordot(chance, x, axes=1)

    names = ("effort", "effort_regret", "programme", "cost_share")
    given_s = {name: (sovereign * getattr(books, name)).sum(axis=0) for name in names}
    by_action = others[:, :, None] * onehot
    markup = (by_action[..., None] * books.challenger_markup).sum(axis=0)
    averaged = jax.tree.map(mean, books)._replace(challenger_markup=markup, **given_s)
    converged, num_steps = fine & solved.converged.all(), steps + solved.num_steps.max()
    return _Stagewise(solved.value, mix, payoff, fee, averaged, converged, solved.residual.max(), num_steps)


def _play(p: Parameters, restriction: Array, solver, mix: Array | None) -> Play:
    rest = market(p, jnp.zeros_like(restriction), jnp.ones(()))
    first = _first(p, rest, solver)
    base = solver(p, rest, None, first).books.return_
    gamma, settled, (m, stage) = _speed((p, restriction, base, mix), first, solver=solver)
    return outcome(p, restriction, m, stage, gamma, base, settled)


def _first(p: Parameters, m: Market, solver) -> Stage:
    """The opening, which is the same in every market; in exact mode one for every profile of strategies."""
    stage, (num, kinds) = opening(p, m), m.type_at_rest.shape[:2]
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (kinds**num, *x.shape)), stage) if solver is _exact else stage


def _at_speed(args, gamma: Array, near: Stage, solver):
    """The gap of γ, right side minus left, and the market and the stage there, found from one nearby."""
    p, restriction, base, mix = args
    m = market(p, restriction, gamma)
    stage = solver(p, m, mix, near)
    return p.appropriability * (stage.books.return_ / base - 1) + 1 - gamma, (m, stage)


def outcome(p: Parameters, restriction: Array, m: Market, stage: _Stagewise, gamma, base, settled) -> Play:
    """The play at a stage and a speed γ of the frontier, ``base`` = MR(0), ``settled`` whether γ was met."""
    books = stage.books
    I = restriction.shape[0]  # noqa: E741
    sovereign = stage.mix[:, SOVEREIGN]
    elasticity = jnp.where(p.appropriability > 0, p.appropriability, 1.0)
    cost = base * ((gamma - 1) + (gamma - 1) ** 2 / (2 * elasticity))
    cost = jnp.where(p.appropriability > 0, cost, 0.0)
    profit = (
        books.profit
        + (stage.mix[:, CLIENT] * stage.fee).sum() / I
        + p.query_price * (1 - m.restriction) * sovereign.sum() / I
        - p.enforcement_cost * (restriction**2).sum(axis=1) / 2
        - cost / I
    )
    return Play(
        market=m,
        gamma=gamma,
        mix=stage.mix,
        effort=books.effort,
        effort_regret=books.effort_regret,
        payoff=stage.payoff,
        fee=stage.fee,
        subsidy=p.subsidy * books.cost_share * books.programme,
        programme=books.programme,
        incumbent_markup=books.incumbent_markup,
        incumbent_share=books.incumbent_share,
        challenger_markup=books.challenger_markup,
        challenger_share=books.challenger_share,
        fringe_share=books.fringe_share,
        log_aggregate=books.log_aggregate,
        outside_share=books.outside_share,
        incumbent_payoff=profit,
        converged=stage.converged & settled,
        residual=stage.residual,
        num_steps=stage.num_steps,
    )


@eqx.filter_custom_jvp
def _speed(args, first: Stage, *, solver):
    """The root γ of 1 + ε_γ (MR(r)/MR(0) - 1) next to 1, whether it was met, and the play there; one trace of it."""

    def running(s):
        _, gap, _, last_gap, steps, _, _ = s
        return (steps == 0) | (speed_unsettled(gap, last_gap) & (steps < ROOT_STEPS))

    def step(s):
        gamma, gap, last, last_gap, steps, near, _ = s
        new = next_speed(gamma, gap, last, last_gap, steps)
        new_gap, play = _at_speed(args, new, near, solver)
        at_one = (steps == 0) & play[1].converged
        near = jax.tree.map(lambda x, y: jnp.where(at_one, x, y), play[1].stage, near)
        return new, new_gap, gamma, gap, steps + 1, near, play

    one = jnp.ones_like(args[0].appropriability)
    shapes = jax.eval_shape(lambda: _at_speed(args, one, first, solver)[1])
    empty = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    unknown = jnp.full_like(one, jnp.inf)
    start = (one, unknown, one, unknown, jnp.zeros((), jnp.int32), first, empty)
    final = jax.lax.while_loop(running, step, start)
    return final[0], speed_met(final[1]), final[-1]


@_speed.def_jvp
def _speed_moves(primals, tangents, *, solver):
    """dγ = ∂gap/∂θ dθ / -(∂gap/∂γ): the steps of the search say nothing of it where they are few, as at r = 0."""
    (args, first), (d_args, _) = primals, tangents
    gamma, settled, play = _speed(args, first, solver=solver)
    moving, held = eqx.partition(args, jax.tree.map(lambda _, t: t is not None, args, d_args))

    def at(moving, gamma):
        gap, there = _at_speed(eqx.combine(moving, held), gamma, play[1].stage, solver)
        return gap, eqx.filter(there, eqx.is_inexact_array)

    _, push = jax.linearize(at, moving, gamma)  # the stage is solved and linearised once for both
    d_gap, d_play = push(d_args, jnp.zeros_like(gamma))
    slope, play_along = push(jax.tree.map(jnp.zeros_like, moving), jnp.ones_like(gamma))
    d_gamma = -d_gap / slope
    moved = jax.tree.map(lambda d, v: d + v * d_gamma, d_play, play_along)
    return (gamma, settled, play), (d_gamma, None, moved)


def next_speed(gamma, gap, last, last_gap, steps) -> Array:
    """From γ and the last one, with their gaps (right side minus left), after ``steps`` of them; at first 1.

    Where the right side rises in γ a plain step never passes the nearest root; a secant step may only shorten it, or
    lengthen it threefold.
    """
    xp = gap.__array_namespace__()
    slope = (gap - last_gap) / xp.where(gamma != last, gamma - last, 1.0)
    secant = xp.where(slope < 0, -1 / xp.where(slope < 0, slope, -1.0), 1.0)
    ratio = xp.where(steps > 1, xp.clip(secant, 0.2, 3.0), 1.0)
    return xp.where(steps > 0, xp.maximum(gamma + ratio * gap, 1e-3), 1.0)


def speed_met(gap) -> Array:
    """Whether a gap in γ is accepted."""
    return abs(gap) <= (1e-7 if jnp.result_type(float) == jnp.float64 else 1e-4)


def speed_unsettled(gap, last_gap) -> Array:
    """Whether a smaller gap in γ is sought: not where it no longer shrinks, as far as a slow stage lets it."""
    small = abs(gap) <= (1e-10 if jnp.result_type(float) == jnp.float64 else 1e-5)
    return ~small & ~(speed_met(gap) & (abs(gap) > 0.1 * abs(last_gap)))


@jax.jit
def fast_play(p: Parameters, restriction: Array) -> Play:
    """The outcome at r (incumbent, channel) in the expected-aggregate equilibrium."""
    return _play(p, restriction, _fast, None)


def exact_play(p: Parameters, restriction: Array) -> Play:
    """The outcome at r (incumbent, channel) over all strategy profiles."""
    return _play(p, restriction, _exact, None)


def play_at_mix(p: Parameters, restriction: Array, mix: Array, *, exact: bool) -> Play:
    """The outcome at r (incumbent, channel) when the challengers' mixes are given (challenger, strategy)."""
    return _play(p, restriction, _exact if exact else _fast, mix)
