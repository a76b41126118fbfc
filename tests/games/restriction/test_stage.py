"""The challengers' stage: corners with known answers, its defining equations, symmetries, batches and derivatives."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import lambertw, softmax

from games.restriction import RestrictionGame
from games.restriction.challengers import solve_held, solve_stage, solve_stages
from games.restriction.demand import market, types
from games.restriction.effort import effort_deviation
from games.restriction.frontier import _books, play_at_mix
from games.restriction.parameters import array_fields
from games.restriction.prior import batch, draw_worlds, world
from games.restriction.strategies import accounts, cost_share
from solver.compilation import jit_once

R = jnp.asarray([[0.3], [0.6], [0.1]])
DRAWS = draw_worlds(200, seed=7)
market, books = jit_once(market), jit_once(_books)  # op by op, each operation is compiled


@jit_once
def play(game, restriction):
    return game.followers(tuple(restriction))


@jit_once
def chosen(game, restriction):
    """The mix alone: half of the program, and half of its compilation."""
    return game.followers(tuple(restriction)).mix


@jit_once
def settled(p, restriction):
    return solve_stage(p, market(p, restriction, jnp.ones(())), tolerance=1e-12).value


@eqx.filter_jit
def stages(p, restriction):
    """The market, the stage and the regret of effort in trailing lanes: of 200 everywhere, compiled once per ``optimum``."""
    m = market(p, restriction, jnp.ones(restriction.shape[2:]))
    found = solve_stage(p, m, lanes=1)
    return m, found, effort_deviation(p, m, found.value.mix, found.value.effort, found.value.prices.challenger)[1]


@pytest.fixture(scope="module")
def default():
    return play(RestrictionGame(), R)


@pytest.fixture(scope="module")
def drawn():
    """Three draws, one of them with a frontier that responds."""
    responsive = int(np.argmax(DRAWS["appropriability"] > 0.2))
    return [RestrictionGame(**world(DRAWS, i)) for i in (0, 1, responsive)]


def assert_close(a, b, tolerance=1e-8):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_much_noise_makes_choices_even():
    """σ → ∞: 1/3 each (the fee, a share of σ ln(1 + ...), is taken out, or clients would pay without end)."""
    mix = play(RestrictionGame(sigma=1e9, fee_share=0), R).mix
    assert_close(mix, np.full((4, 3), 1 / 3), 1e-7)


def test_knowledge_that_needs_no_copying():
    """λ0 = 1, χ_C = 0: no lag moves with r, and whoever restricts pays for it: r = 0 is a best reply to anything."""
    game = RestrictionGame(outside_knowledge=1, client_degradation=0, query_price=0.1)
    free, tight = play(game, 0 * R), play(game, R)
    for name in ("pool", "open_lag", "lag_at_rest", "client_lag", "licence"):
        assert_close(getattr(tight.market, name), getattr(free.market, name), 1e-13)
    for i in range(3):
        for own in (0.2, 1.0):
            deviated = play(game, R.at[i].set(own)).incumbent_payoff[i]
            assert float(deviated) < float(play(game, R.at[i].set(0.0)).incumbent_payoff[i])


def test_without_challengers():
    """J = 0: a plain oligopoly given H0, in which r still acts on the fringe's lag."""
    game = RestrictionGame(challenger_bloc=(), challengers=(), consortium=())
    free, tight = play(game, 0 * R), play(game, R)
    assert tight.mix.shape == (0, 3)
    for one in (free, tight):
        assert_close(one.incumbent_markup * (1 - one.incumbent_share), 1)
        assert_close(one.incumbent_share.sum(axis=0) + one.fringe_share + one.outside_share, 1)
    assert float(tight.market.open_lag) > float(free.market.open_lag)
    assert (np.asarray(tight.fringe_share) < np.asarray(free.fringe_share)).all()


def test_one_incumbent_owns_the_licences():
    """I = 1: the licence is its own in every cell, and its joint profit is its profit for every κ and ρ."""
    outcomes = [
        play(RestrictionGame(incumbent_bloc=("US",), cooperation=kappa, rho=rho), jnp.asarray([[0.4]])).incumbent_payoff
        for kappa, rho in ((0.0, 1.0), (1.0, 7.0), (0.5, np.inf))
    ]
    for other in outcomes[1:]:
        assert_close(other, outcomes[0], 1e-12)


@pytest.mark.parametrize("bloc", ["CN", "TW"])
@pytest.mark.parametrize("r", [0.0, 0.75])
def test_one_challenger_fast_is_near_exact(bloc, r):
    """J = 1: equal only if the incumbents' prices answered the realised action; within 0.02 in P."""
    mixes = [
        chosen(RestrictionGame(challenger_bloc=(bloc,), consortium=(), mode=mode), jnp.full((3, 1), r))
        for mode in ("fast", "exact")
    ]
    assert np.abs(mixes[0] - mixes[1]).max() < 0.02


def test_fast_is_near_exact():
    """On three draws at r = 0.75 within 0.13, the largest gap known of 144 draws."""
    for i in (3, 4, 5):
        games = (RestrictionGame(**world(DRAWS, i), mode=mode) for mode in ("fast", "exact"))
        mixes = [chosen(game, jnp.full((3, 1), 0.75)) for game in games]
        assert np.abs(mixes[0] - mixes[1]).max() < 0.13


def test_defining_equations(drawn):
    """P = softmax(π/σ), the effort's closed form and clip, and every price's first-order condition."""
    for game in drawn:
        p = jax.tree.map(np.asarray, game.parameters)
        m, s = market(game.parameters, R, jnp.ones(())), settled(game.parameters, R)
        mix, x, mu_i, mu_j = (np.asarray(v) for v in (s.mix, s.effort, *s.prices))
        g_j = np.asarray(types(game.parameters, m, s.effort)) * np.exp(-mu_j)
        g_i = np.asarray(m.incumbent_type) * np.exp(-mu_i)
        sold = mix[:, :, None] * g_j
        H = np.asarray(m.outside) + g_i.sum(0) + sold.sum((0, 1))
        share = g_j / (H - sold.sum(1, keepdims=True) + g_j)
        assert_close(mu_j, 1 / (1 - share), 1e-7)
        omega = p.price_sensitivity * (p.wholesale_price - p.wholesale_cost) * np.asarray(m.licence)
        assert_close(mu_i, (1 + omega * sold[:, 0].sum(0) / H) / (1 - g_i / H), 1e-7)
        csh = np.asarray(cost_share(game.parameters, s.mix))
        mates = (mix[2:, 1].sum() - mix[2:, 1]) / 1
        assert_close(csh, np.concatenate([[1, 1], 1 - p.pool * 0.5 * mates]))
        weight = (p.mass / p.price_sensitivity * p.lag_slope * share[:, 1]).sum(1)
        best = weight * np.asarray(m.lag_slope) / (p.effort_cost * (1 - p.subsidy) * csh)
        assert_close(x, np.clip(best, 0, p.effort_bound), 1e-7)
        gross = (p.mass / p.price_sensitivity * (mu_j - 1)).sum(2)
        queries = (p.query_price * (1 - np.asarray(m.restriction))).mean()
        programme = (p.programme_cost + p.effort_cost * x**2 / 2) * (1 - p.subsidy) * csh + queries
        pi = gross - np.stack([p.client_programme_cost, programme, p.applied_programme_cost], 1)
        out = p.sigma * np.logaddexp(pi[:, 1] / p.sigma, pi[:, 2] / p.sigma)
        pi[:, 0] -= p.fee_share * p.sigma * np.logaddexp(0, (pi[:, 0] - out) / p.sigma)
        assert_close(mix, softmax(pi / p.sigma, axis=1), 1e-6)


PER_CHALLENGER = [item.name for item in array_fields() if item.metadata["axes"] == ("challenger",)]


def test_permutations_permute(default):
    """Order of incumbents, challengers and cells is a matter of labels only."""
    p = RestrictionGame().parameters
    i, j, c = [2, 0, 1], [3, 0, 2, 1], [4, 1, 5, 0, 3, 2]
    kept = {name: np.asarray(getattr(p, name))[j] for name in PER_CHALLENGER}
    kept |= {name: np.asarray(getattr(p, name))[c] for name in ("mass", "price_sensitivity", "lag_slope", "base_value")}
    kept |= {name: np.asarray(getattr(p, name))[i] for name in ("incumbent_lag", "incumbent_cost")}
    for name, order in (("challenger_bloc", j), ("challengers", j), ("cell_region", c), ("cell_segment", c)):
        kept[name] = [getattr(p, name)[k] for k in order]
    got = play(RestrictionGame(**kept), R[np.array(i)])
    assert_close(got.mix, default.mix[np.array(j)])
    assert_close(got.effort, default.effort[np.array(j)])
    assert_close(got.incumbent_payoff, default.incumbent_payoff[np.array(i)])
    assert_close(got.incumbent_share, default.incumbent_share[np.ix_(i, c)])


def test_a_split_cell_changes_nothing(default):
    """One cell as two with a third and two thirds of its mass."""
    p = RestrictionGame().parameters
    again = [0, *range(6)]
    kept = {name: np.asarray(getattr(p, name))[again] for name in ("price_sensitivity", "lag_slope", "base_value")}
    mass = np.asarray(p.mass)[again] * [1 / 3, 2 / 3, 1, 1, 1, 1, 1]
    where = {name: [getattr(p, name)[k] for k in again] for name in ("cell_region", "cell_segment")}
    got = play(RestrictionGame(**kept, **where, mass=mass), R)
    assert_close(got.mix, default.mix)
    assert_close(got.effort, default.effort)
    assert_close(got.incumbent_payoff, default.incumbent_payoff)


@pytest.mark.parametrize("r", [0.0, 0.5, 1.0])
def test_draws_converge_and_batches_agree(r):
    """200 draws in trailing lanes to 1e-8; the same ones alone under vmap give the same mixes and prices."""
    _, lanes, _ = stages(batch(DRAWS), jnp.full((3, 1, 200), r))
    assert lanes.converged.all(), np.flatnonzero(~np.asarray(lanes.converged))
    assert float(lanes.residual.max()) <= 1e-8
    few = {name: values[:8] for name, values in DRAWS.items()}
    mapped = alone(few, jnp.full((3, 1), r))
    jax.tree.map(lambda a, b: assert_close(np.moveaxis(a, 0, -1), b[..., :8], 1e-6), mapped, lanes.value)


def test_compacted_batches_agree():
    """The same 200 draws in blocks of lanes that leave, against the plain batch. A stage with several locally best efforts
    may end at another one, so the best of all is asked for."""
    p = batch(DRAWS, effort_optimum="global")
    m, lanes, _ = stages(p, jnp.full((3, 1, 200), 0.75))
    found = solve_stages(p, m)
    assert found.converged.all()
    assert found.residual.max() <= 1e-8
    np.testing.assert_allclose(found.value.mix, lanes.value.mix, atol=1e-7)
    np.testing.assert_allclose(found.value.effort, lanes.value.effort, atol=1e-7)


def test_nearly_every_draw_converges():
    """Of 2,000 draws, among them some that acceleration alone circles around, at least 99.9 % reach 1e-8."""
    draws, r = draw_worlds(2000, seed=1), jnp.full((3, 1, 200), 0.5)
    parts = [{name: values[k : k + 200] for name, values in draws.items()} for k in range(0, 2000, 200)]
    found = [stages(batch(part), r)[1] for part in parts]
    converged, residual = (np.concatenate([getattr(one, name) for one in found]) for name in ("converged", "residual"))
    assert converged.mean() >= 0.999
    assert np.where(converged, residual, 0).max() <= 1e-8


@jax.jit
def alone(worlds, r):
    def one(keywords):
        p = RestrictionGame(**keywords).parameters
        return solve_stage(p, market(p, r, jnp.ones(()))).value

    return jax.vmap(one)(worlds)


def test_single_precision_against_double(default):
    with jax.enable_x64(False):
        p, r = RestrictionGame().parameters, jnp.asarray(np.asarray(R), jnp.float32)
        found = jit_once(lambda p, r: solve_stage(p, market(p, r, jnp.ones(())), tolerance=1e-4))(p, r)
    assert found.value.mix.dtype == jnp.float32
    assert bool(found.converged)
    np.testing.assert_allclose(found.value.mix, default.mix, atol=2e-4)
    np.testing.assert_allclose(found.value.effort, default.effort, atol=2e-4)


SMOOTH = ("sigma", "rho", "absorption", "effort_cost", "base_value", "outside_knowledge", "wholesale_price", "pool")


def compare(got, up, down, step, **tolerances):
    """Derivatives against central differences."""
    for g, u, d in zip(*map(jax.tree.leaves, (got, up, down)), strict=True):
        np.testing.assert_allclose(g, (u - d) / (2 * step), **tolerances)


@eqx.filter_jit
def slope_of_stage(p, dp, r):
    """The derivative of mix, effort and markups along dp."""

    def outcome(p):
        s = solve_stage(p, market(p, r, jnp.ones(())), tolerance=1e-12).value
        return s.mix, s.effort, s.prices

    return eqx.filter_jvp(outcome, (p,), (dp,))[1]


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives_of_the_stage(name):
    p = RestrictionGame().parameters
    zero = jax.tree.map(jnp.zeros_like, p)
    direction = eqx.tree_at(lambda q: getattr(q, name), zero, jnp.ones_like(getattr(p, name)))
    got = slope_of_stage(p, direction, R)
    step = 1e-5 * float(jnp.max(jnp.abs(getattr(p, name))))
    up, down = (settled(jax.tree.map(lambda a, d, h=h: a + h * d, p, direction), R) for h in (step, -step))
    up, down = ((s.mix, s.effort, s.prices) for s in (up, down))
    assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(got)) > 1e-5
    compare(got, up, down, step, rtol=1e-5, atol=1e-7)


def test_reverse_mode_of_the_stage():
    """A gradient in r, through the implicit derivative, against central differences."""
    p = RestrictionGame().parameters

    def programmes(r):
        return solve_stage(p, market(p, r, jnp.ones(())), tolerance=1e-12).value.mix[:, 1].sum()

    def programmes_at(r):
        return settled(p, r).mix[:, 1].sum()

    got, step = jax.jit(jax.grad(programmes))(R), 1e-5
    want = [float(programmes_at(R.at[i].add(step)) - programmes_at(R.at[i].add(-step))) / (2 * step) for i in range(3)]
    np.testing.assert_allclose(got[:, 0], want, rtol=1e-6)
    assert np.abs(want).max() > 1e-2


def test_timings():
    """At the mix the challengers chose nothing differs; after a deviation the held mix does, and so do payoffs."""
    observed, simultaneous = RestrictionGame(), RestrictionGame(timing="simultaneous")
    profile, deviated = tuple(R), tuple(R.at[0].set(0.9))
    followed = play(observed, R)
    held = jit_once(partial(play_at_mix, exact=False))(observed.parameters, R, followed.mix)
    for name in ("effort", "incumbent_payoff", "incumbent_markup", "challenger_share", "payoff"):
        assert_close(getattr(held, name), getattr(followed, name), 1e-6)
    committed = jit_once(lambda game, at, to: game.committed_payoffs(at, to))
    assert_close(committed(simultaneous, profile, profile), followed.incumbent_payoff, 1e-6)
    gap = committed(simultaneous, profile, deviated) - committed(observed, profile, deviated)
    assert float(jnp.abs(gap).max()) > 1e-3


@pytest.mark.parametrize("margin", [0.0, 0.6])
def test_return_to_moving_the_frontier(margin):
    """MR is d/dγ of the incumbents' profits, wholesale included, at fixed prices, mixes and efforts.

    All products gain βY/2 on the outside good, and what copies falls behind by D; licences sell in the same proportion.
    """
    game = RestrictionGame(wholesale_price=1.0 + margin)
    p = game.parameters
    m, s = market(p, R, jnp.ones(())), settled(p, R)

    @jax.jit
    def profit(gamma):
        now = market(p, R, gamma)
        g_i = now.incumbent_type * jnp.exp(-s.prices.incumbent)
        sold = s.mix[:, :, None] * types(p, now, s.effort) * jnp.exp(-s.prices.challenger)
        H = now.outside + g_i.sum(0) + sold.sum((0, 1))
        clients = (sold[:, 0] / H).sum(0)
        return (m.scale * (s.prices.incumbent * g_i / H + m.wholesale * clients)).sum(axis=1)

    step = 1e-5
    slopes = (profit(1.0 + step) - profit(1.0 - step)) / (2 * step)
    got = books(p, m, s, s.mix).return_
    assert float(got) == pytest.approx(float(slopes.sum()), rel=1e-6)


@pytest.mark.parametrize("optimum", ["first_order", "global"])
def test_the_regret_of_effort(optimum):
    """What another effort gains, own prices following by Lambert's function: told, and hardly ever left with "global"."""
    p = batch(DRAWS, effort_optimum=optimum)
    m, found, regret = stages(p, jnp.full((3, 1, 200), 0.5))
    assert found.converged.all()
    stage, p, m = jax.tree.map(np.asarray, (found.value, p, m))
    y, slope = stage.prices.challenger[:, 1] - 1, p.lag_slope * m.lag_slope[:, None]
    borne = p.effort_cost * (1 - p.subsidy) * np.asarray(cost_share(p, found.value.mix))

    def profit(x):
        own = lambertw(y * np.exp(y + slope * (x - stage.effort)[:, None])).real
        return (m.scale * own).sum(axis=1) - borne * x**2 / 2

    here = profit(stage.effort)
    gain = np.max([profit(np.full_like(here, x)) for x in np.linspace(0, 1, 201)], axis=0) - here
    told = gain > 1e-3
    assert_close(np.where(told, regret, 0), np.where(told, gain, 0), 0.02)
    beaten = (gain > 1e-6).any(axis=0).sum()
    assert beaten <= 1 if optimum == "global" else beaten > 5  # one draw has no equilibrium in efforts


def test_extrapolated_efforts_stay_possible():
    """A realised market in which acceleration asked for an effort so large that every type overflowed."""
    p = RestrictionGame(**world(draw_worlds(78, seed=2026), 77)).parameters
    m, mix = market(p, jnp.full((3, 1), 0.75), jnp.ones(())), jnp.eye(3)[jnp.array([0, 0, 0, 1])]
    found = eqx.filter_jit(solve_held)(p, m, mix)
    assert found.converged
    assert_close(accounts(p, m, mix, *found.value[1:]).best_effort, found.value.effort, 1e-7)
