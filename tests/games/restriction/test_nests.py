"""Nested logit demand: its limit, its first-order conditions, and what it does that plain logit cannot."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import root

from games.restriction import RestrictionGame, nests, outcomes
from games.restriction.challengers import solve_held, solve_stage
from games.restriction.demand import Prices, market, types
from games.restriction.frontier import _books, play_at_mix
from games.restriction.prior import batch, draw_worlds

R = jnp.asarray([[0.3], [0.6], [0.1]])
ONE = jnp.ones(())
WORLD = {"demand": "nested", "dissimilarity": 0.5, "wholesale_price": 1.8}


@eqx.filter_jit
def settled(p):
    return solve_stage(p, market(p, R, ONE), tolerance=1e-12)


@eqx.filter_jit
def held(p, mix):
    return solve_held(p, market(p, R, ONE), mix, tolerance=1e-12)


@eqx.filter_jit
def play(game, restriction=R):
    return game.followers(tuple(restriction))


@pytest.fixture(scope="module")
def nested():
    return RestrictionGame(**WORLD).parameters


def compare(got, want, tolerance):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_no_dissimilarity_is_plain_logit():
    """ν = 1: mixes, effort and prices, and with them every outcome."""
    plain, same = RestrictionGame(), RestrictionGame(demand="nested", dissimilarity=1.0)
    compare(settled(same.parameters).value, settled(plain.parameters).value, 1e-9)
    a, b = outcomes(same, R), outcomes(plain, R)
    for name in set(b) - {"stage_residual"}:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-6, atol=1e-7, err_msg=name)


# An oracle that shares nothing with the package: a market is a list of products, demand is the textbook formula, and
# marginal profits are complex-step derivatives of it.


def shares(products, markup, nu):
    """s of every product (nest, type, weight); nest None: the outside good's alternative in a nest of its own."""
    g = [t * np.exp(-mu) for (_, t, _), mu in zip(products, markup, strict=True)]
    inclusive = {}
    for k, (nest, _, weight) in enumerate(products):
        key = k if nest is None else nest
        inclusive[key] = inclusive.get(key, 0) + weight * g[k] ** (1 / nu)
    H = 1 + sum(D**nu for D in inclusive.values())
    keys = [k if nest is None else nest for k, (nest, _, _) in enumerate(products)]
    return [
        weight * g[k] ** (1 / nu) / inclusive[key] * inclusive[key] ** nu / H
        for k, (key, (_, _, weight)) in enumerate(zip(keys, products, strict=True))
    ]


def products_of(m, t, mix, cell, own=None):
    """The market of a cell; ``own`` (challenger, action): as that challenger sees it when it takes that action."""
    nest = ("us", None, "open")
    found = [("us", float(x), 1.0) for x in m.incumbent_type[:, cell]]
    for j, row in enumerate(np.asarray(mix)):
        row = np.eye(3)[own[1]] if own is not None and own[0] == j else row
        found += [(nest[a], float(t[j, a, cell]), float(row[a])) for a in range(3)]
    return [*found, ("open", float(m.outside[cell]) - 1, 1.0)]


def marginal_profit(products, markup, k, nu, wholesale=0.0, clients=()):
    """∂/∂μ_k of μ_k s_k + ω Σ clients' s, rivals' markups fixed."""
    moved = np.array(markup, complex)
    moved[k] += 1e-30j
    s = shares(products, moved, nu)
    return (moved[k] * s[k] + wholesale * sum(s[c] for c in clients)).imag / 1e-30


def conditions(flat, m, t, mix, nu, cell):
    """Marginal profits of every product that is offered, and of none else."""
    I, J = m.incumbent_type.shape[0], len(t)  # noqa: E741
    markup = np.append(flat, 0.0)  # the fringe sells at cost
    clients = [I + 3 * j for j in range(J)]
    realised = products_of(m, t, mix, cell)
    of_i = [marginal_profit(realised, markup, i, nu, float(m.wholesale[i, cell]), clients) for i in range(I)]
    of_j = [
        marginal_profit(products_of(m, t, mix, cell, own=(j, a)), markup, I + 3 * j + a, nu)
        for j in range(J)
        for a in range(3)
    ]
    return np.array(of_i + of_j)


MIXES = {"expected": None, "realised": np.eye(3)[[0, 1, 2, 0]]}


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES)
def test_prices_are_those_of_an_independent_market(nested, mix):
    """Every product's marginal profit is zero at ν = ½ with wholesale income, and a general solver finds the same prices."""
    m = market(nested, R, ONE)
    found = settled(nested) if mix is None else held(nested, jnp.asarray(mix))
    mix = found.value.mix if mix is None else mix
    t = types(nested, m, found.value.effort)
    for cell in (0, 3):
        got = np.concatenate([np.ravel(x[..., cell]) for x in found.value.prices])
        np.testing.assert_allclose(conditions(got, m, t, mix, 0.5, cell), 0, atol=1e-10)
        other = root(conditions, np.full(got.shape, 1.2), args=(m, t, mix, 0.5, cell), tol=1e-12)
        assert other.success, other.message
        np.testing.assert_allclose(got, other.x, atol=1e-8)


def test_expected_shares_are_those_of_an_independent_market(nested):
    m, stage = market(nested, R, ONE), settled(nested).value
    t = types(nested, m, stage.effort)
    got = nests.sales(nested, m, stage.mix, stage.effort, stage.prices)
    for cell in range(6):
        markup = np.append(np.concatenate([np.ravel(x[..., cell]) for x in stage.prices]), 0.0)
        want = shares(products_of(m, t, stage.mix, cell), markup, 0.5)
        flat = np.concatenate([got.incumbent[:, cell], np.ravel(got.challenger[..., cell]), got.fringe[cell, None]])
        np.testing.assert_allclose(flat, want, rtol=1e-12)
        assert 1 - sum(want) == pytest.approx(1 / float(got.aggregate[cell]), rel=1e-10)


def test_defining_equations(nested):
    """π = (M/α) μ s at the own view less costs, and the envelope of effort, s_S = 1 - 1/μ_S in a nest of its own."""
    m, stage = market(nested, R, ONE), settled(nested).value
    t = types(nested, m, stage.effort)
    gross = np.zeros((4, 3))
    for cell in range(6):
        markup = np.append(np.concatenate([np.ravel(x[..., cell]) for x in stage.prices]), 0.0)
        for j in range(4):
            for a in range(3):
                k = 3 + 3 * j + a
                s = shares(products_of(m, t, stage.mix, cell, own=(j, a)), markup, 0.5)[k]
                gross[j, a] += float(m.scale[cell]) * markup[k] * s
                if a == 1:
                    assert s == pytest.approx(1 - 1 / markup[k], rel=1e-9)
    payoff = np.asarray(stage.logits * nested.sigma)
    applied = gross[:, 2] - np.asarray(nested.applied_programme_cost)
    np.testing.assert_allclose(payoff[:, 2], applied, rtol=1e-9)


@pytest.mark.parametrize("nu", [1.0, 0.5])
def test_a_dearer_american_model_loses_to_its_own_stack(nested, nu):
    """Diversion to the rest of the nest is in proportion to shares at ν = 1 (IIA), and well above it at ν < 1."""
    p = eqx.tree_at(lambda q: q.dissimilarity, nested, jnp.asarray(nu))
    m, stage = market(p, R, ONE), settled(nested).value

    def sold(incumbent):
        return nests.sales(p, m, stage.mix, stage.effort, stage.prices._replace(incumbent=incumbent))

    prices = stage.prices.incumbent
    s, moved = jax.jvp(sold, (prices,), (jnp.zeros_like(prices).at[0].set(1.0),))
    gained = (moved.incumbent[1:].sum(0) + moved.challenger[:, 0].sum(0)) / -moved.incumbent[0]
    proportional = (s.incumbent[1:].sum(0) + s.challenger[:, 0].sum(0)) / (1 - s.incumbent[0])
    if nu == 1:
        np.testing.assert_allclose(gained, proportional, rtol=1e-12)
    else:
        assert (np.asarray(gained) > 1.3 * np.asarray(proportional)).all()


def test_prices_do_not_depend_on_the_start(nested):
    m, stage = market(nested, R, ONE), settled(nested).value

    @jax.jit
    def iterate(prices):
        step = lambda _, q: nests.price_step(nested, m, stage.mix, stage.effort, q)  # noqa: E731
        return jax.lax.fori_loop(0, 300, step, prices)

    rng = np.random.default_rng(0)
    for _ in range(4):
        start = jax.tree.map(lambda x: jnp.asarray(rng.uniform(0.1, 4.0, x.shape)), stage.prices)
        compare(iterate(start), stage.prices, 1e-9)


def test_one_challenger_fast_is_near_exact():
    """J = 1 as in plain logit, and with a second whom nobody buys from."""
    world = {"demand": "nested", "consortium": (), "programme_cost": 3.0}
    alone = {"challenger_bloc": ("CN",)}
    fast, exact = (play(RestrictionGame(mode=mode, **alone, **world)).mix for mode in ("fast", "exact"))
    assert np.abs(fast - exact).max() < 0.02
    assert 0.05 < float(fast.min())
    dear = {name: [float(getattr(RestrictionGame(**alone).parameters, name)[0]), 60.0]
            for name in ("client_cost", "sovereign_cost", "applied_cost")}  # fmt: skip
    both = play(RestrictionGame(mode="exact", challenger_bloc=("CN", "CN"), **dear, **world)).mix
    np.testing.assert_allclose(both[0], exact[0], atol=1e-8)


@pytest.mark.parametrize("mode", ["fast", "exact"])
def test_outcomes_add_up(mode):
    """Shares sum to one in every cell, in expectation over markets too; held mixes are followed mixes where they agree."""
    game = RestrictionGame(mode=mode, challenger_bloc=("CN", "TW"), consortium=(), **WORLD)
    got = play(game)
    assert bool(got.converged)
    total = got.incumbent_share.sum(0) + got.challenger_share.sum((0, 1)) + got.fringe_share + got.outside_share
    np.testing.assert_allclose(total, 1, atol=1e-10)
    same = eqx.filter_jit(play_at_mix)(game.parameters, R, got.mix, exact=mode == "exact")
    compare((same.effort, same.payoff, same.incumbent_payoff), (got.effort, got.payoff, got.incumbent_payoff), 1e-6)


@pytest.mark.parametrize("nu", [0.7, 0.2])
def test_draws_converge(nu):
    """200 draws of the prior, in trailing lanes, to 1e-8."""
    found = stages(batch(draw_worlds(200, seed=7), demand="nested", dissimilarity=nu), jnp.full((3, 1, 200), 0.5))
    assert found.converged.all()


@eqx.filter_jit
def stages(p, restriction):
    return solve_stage(p, market(p, restriction, jnp.ones(restriction.shape[2:])), lanes=1)


def test_return_to_moving_the_frontier(nested):
    """MR is d/dγ of the incumbents' profits at fixed prices, mixes and efforts: nests that move alike stay as they are."""
    m, s = market(nested, R, ONE), settled(nested).value

    @jax.jit
    def profit(gamma):
        now = market(nested, R, gamma)
        sold = nests.sales(nested, now, s.mix, s.effort, s.prices)
        income = s.prices.incumbent * sold.incumbent + m.wholesale * sold.challenger[:, 0].sum(axis=0)
        return (m.scale * income).sum()

    step = 1e-5
    slope = (profit(1.0 + step) - profit(1.0 - step)) / (2 * step)
    assert float(_books(nested, m, s, s.mix).return_) == pytest.approx(float(slope), rel=1e-7)


@eqx.filter_jit
def slope_of_stage(p, dp):
    def outcome(p):
        s = solve_stage(p, market(p, R, ONE), tolerance=1e-12).value
        return s.mix, s.effort, s.prices

    return eqx.filter_jvp(outcome, (p,), (dp,))[1]


@pytest.mark.parametrize("name", ["dissimilarity", "wholesale_price", "sigma"])
def test_derivatives_of_the_stage(nested, name):
    direction = eqx.tree_at(lambda q: getattr(q, name), jax.tree.map(jnp.zeros_like, nested), ONE)
    step = 1e-5
    up, down = (settled(jax.tree.map(lambda a, d, h=h: a + h * d, nested, direction)).value for h in (step, -step))
    want = jax.tree.map(lambda u, d: (u - d) / (2 * step), up, down)
    got = slope_of_stage(nested, direction)
    assert float(jnp.abs(got[0]).max()) > 1e-3
    for g, w in zip(jax.tree.leaves(got), jax.tree.leaves((want.mix, want.effort, want.prices)), strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-7)
