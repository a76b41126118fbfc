"""Nested logit demand: its limit, its first-order conditions, and what it does that plain logit cannot."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import root

from games.restriction import RestrictionGame, nests
from games.restriction.challengers import solve_held, solve_stage
from games.restriction.demand import market, types
from games.restriction.frontier import _books, _exact, _fast
from games.restriction.prior import batch, draw_worlds
from games.restriction.strategies import cost_share
from solver.compilation import jit_once

R = jnp.asarray([[0.3], [0.6], [0.1]])
ONE = jnp.ones(())
market, books = jit_once(market), jit_once(_books)  # op by op, each operation is compiled
WORLD = {"demand": "nested", "dissimilarity": 0.5, "wholesale_price": 1.8}


@jit_once
def settled(p):
    return solve_stage(p, market(p, R, ONE), tolerance=1e-12)


@jit_once
def held(p, mix):
    return solve_held(p, market(p, R, ONE), mix, tolerance=1e-12)


@jit_once
def staged(p, mix=None, exact=False):
    return (_exact if exact else _fast)(p, market(p, R, ONE), mix)


@pytest.fixture(scope="module")
def nested():
    return RestrictionGame(**WORLD).parameters


def assert_alike(got, want, tolerance):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_no_dissimilarity_is_plain_logit():
    """ν = 1: mixes, effort and prices, and all that the outcomes are made of."""
    plain, same = RestrictionGame().parameters, RestrictionGame(demand="nested", dissimilarity=1.0).parameters
    a, b = settled(same).value, settled(plain).value
    assert_alike(a, b, 1e-9)
    m = market(plain, R, ONE)
    assert_alike(books(same, m, a, a.mix), books(plain, m, b, b.mix), 1e-9)


# An oracle that shares nothing with the package: a market is a list of products, demand is the textbook formula, and
# marginal profits are complex-step derivatives of it.


def shares(products, markup, nu):
    """s of every product (nest, type, weight), the outside good apart; nest None: one of its own.

    A nest of one is offered or not as a whole, so what is expected there is its worth, weight g.
    """
    keys = [k if nest is None else nest for k, (nest, _, _) in enumerate(products)]
    D = dict.fromkeys(keys, 0.0)
    part = []
    for key, (nest, t, weight), mu in zip(keys, products, markup, strict=True):
        part.append((weight ** (1 / nu) if nest is None else weight) * (t * np.exp(-mu)) ** (1 / nu))
        D[key] = D[key] + part[-1]
    H = 1 + sum(total**nu for total in D.values())
    return [
        x / D[key] * D[key] ** nu / H if weight else 0.0
        for x, key, (_, _, weight) in zip(part, keys, products, strict=True)
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
    """∂/∂μ_k of μ_k s_k + ω Σ clients' s, rivals' markups fixed, as a share of sales."""
    moved = np.array(markup, complex)
    moved[k] += 1e-30j
    s = shares(products, moved, nu)
    return (moved[k] * s[k] + wholesale * sum(s[c] for c in clients)).imag / 1e-30 / s[k].real


def conditions(flat, m, t, mix, nu, cell):
    """Marginal profits of every product, a challenger's in the market as it sees it."""
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


def numbers(p, stage, mix):
    """Market, types, mix and prices as numpy arrays: plain loops over jax arrays are slow."""
    m = market(p, R, ONE)
    return jax.tree.map(np.asarray, (m, types(p, m, stage.effort), mix, stage.prices))


MIXES = {"expected": None, "realised": np.eye(3)[[0, 1, 2, 0]]}


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES)
def test_prices_are_those_of_an_independent_market(nested, mix):
    """Every product's marginal profit is zero at ν = ½ with wholesale income, and a general solver finds the same prices."""
    stage = (settled(nested) if mix is None else held(nested, jnp.asarray(mix))).value
    mix = stage.mix if mix is None else mix
    m, t, mix, prices = numbers(nested, stage, mix)
    for cell in (0, 3):
        got = np.concatenate([np.ravel(x[..., cell]) for x in prices])
        np.testing.assert_allclose(conditions(got, m, t, mix, 0.5, cell), 0, atol=1e-10)
        other = root(conditions, np.full(got.shape, 1.2), args=(m, t, mix, 0.5, cell), tol=1e-12)
        assert other.success, other.message
        np.testing.assert_allclose(got, other.x, atol=1e-8)


def test_expected_shares_are_those_of_an_independent_market(nested):
    stage = settled(nested).value
    got = nests.sales(nested, market(nested, R, ONE), stage.mix, stage.effort, stage.prices)
    m, t, mix, prices = numbers(nested, stage, stage.mix)
    for cell in range(6):
        markup = np.append(np.concatenate([np.ravel(x[..., cell]) for x in prices]), 0.0)
        want = shares(products_of(m, t, mix, cell), markup, 0.5)
        flat = np.concatenate([got.incumbent[:, cell], np.ravel(got.challenger[..., cell]), got.fringe[cell, None]])
        np.testing.assert_allclose(flat, want, rtol=1e-12)
        assert 1 - sum(want) == pytest.approx(1 / float(got.aggregate[cell]), rel=1e-10)


def test_defining_equations(nested):
    """π = (M/α) μ s at the own view less costs, and the envelope of effort, s_S = 1 - 1/μ_S in a nest of its own."""
    stage = settled(nested).value
    m, t, mix, prices = numbers(nested, stage, stage.mix)
    gross, weight = np.zeros((4, 3)), np.zeros(4)
    for cell in range(6):
        markup = np.append(np.concatenate([np.ravel(x[..., cell]) for x in prices]), 0.0)
        for j in range(4):
            for a in range(3):
                k = 3 + 3 * j + a
                s = shares(products_of(m, t, mix, cell, own=(j, a)), markup, 0.5)[k]
                gross[j, a] += float(m.scale[cell]) * markup[k] * s
                if a == 1:
                    assert s == pytest.approx(1 - 1 / markup[k], rel=1e-9)
                    weight[j] += float(m.scale[cell] * nested.lag_slope[cell]) * s
    p, payoff, x = jax.tree.map(np.asarray, nested), np.asarray(stage.logits * nested.sigma), np.asarray(stage.effort)
    borne = (1 - p.subsidy) * np.asarray(cost_share(nested, stage.mix))
    np.testing.assert_allclose(x, np.clip(weight * m.lag_slope / (p.effort_cost * borne), 0, 1), rtol=1e-8)
    programme = (p.programme_cost + p.effort_cost * x**2 / 2) * borne + m.queries
    np.testing.assert_allclose(
        payoff[:, 1:], gross[:, 1:] - np.stack([programme, p.applied_programme_cost], 1), rtol=1e-8
    )
    before = gross[:, 0] - p.client_programme_cost
    out = p.sigma * np.logaddexp(*(payoff[:, 1:] / p.sigma).T)
    fee = p.fee_share * p.sigma * np.logaddexp(0, (before - out) / p.sigma)
    np.testing.assert_allclose(payoff[:, 0], before - fee, rtol=1e-8)


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
        assert_alike(iterate(start), stage.prices, 1e-9)


def test_one_challenger_fast_is_near_exact():
    """J = 1 as in plain logit, and exact with a second from whom nobody buys."""
    world = {"demand": "nested", "consortium": (), "programme_cost": 3.0}
    alone = RestrictionGame(challenger_bloc=("CN",), **world).parameters
    fast, exact = staged(alone), staged(alone, None, True)
    assert np.abs(fast.mix - exact.mix).max() < 0.02
    assert float(fast.mix.min()) > 0.05
    costs = ("client_cost", "sovereign_cost", "applied_cost")
    dear = {name: [float(getattr(alone, name)[0]), 60.0] for name in costs}
    both = staged(RestrictionGame(challenger_bloc=("CN", "CN"), **dear, **world).parameters, None, True)
    np.testing.assert_allclose(both.mix[0], exact.mix[0], atol=1e-8)
    np.testing.assert_allclose(both.books.incumbent_share, exact.books.incumbent_share, rtol=1e-7)
    for one in (fast, exact, both):
        sold = one.books.incumbent_share.sum(0) + one.books.challenger_share.sum((0, 1)) + one.books.fringe_share
        np.testing.assert_allclose(sold + one.books.outside_share, 1, atol=1e-10)


def test_held_mixes_are_the_chosen_ones(nested):
    """At the mix of the equilibrium, simultaneous timing meets the same effort, payoffs and profits."""
    chosen = staged(nested)
    same = staged(nested, chosen.mix)
    assert_alike((same.payoff, same.fee, same.books), (chosen.payoff, chosen.fee, chosen.books), 1e-6)


def test_draws_converge():
    """200 draws of the prior with ν from 0.2 to 1, in trailing lanes, to 1e-8."""
    draws = draw_worlds(200, seed=7) | {"dissimilarity": np.linspace(0.2, 1, 200)}
    found = stages(batch(draws, demand="nested"), jnp.full((3, 1, 200), 0.5))
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
    assert float(books(nested, m, s, s.mix).return_) == pytest.approx(float(slope), rel=1e-7)


@eqx.filter_jit
def slope_of_stage(p, dp):
    def outcome(p):
        s = solve_stage(p, market(p, R, ONE), tolerance=1e-12).value
        return s.mix, s.effort, s.prices

    return eqx.filter_jvp(outcome, (p,), (dp,))[1]


@pytest.mark.parametrize("name", ["dissimilarity", "wholesale_price", "programme_cost"])
def test_derivatives_of_the_stage(name):
    """Against central differences; with exit, so that a product that is never sold passes through every power."""
    p = RestrictionGame(exit=True, **WORLD).parameters
    zero = jax.tree.map(jnp.zeros_like, p)
    direction = eqx.tree_at(lambda q: getattr(q, name), zero, jnp.ones_like(getattr(p, name)))
    step = 1e-5
    up, down = (settled(jax.tree.map(lambda a, d, h=h: a + h * d, p, direction)).value for h in (step, -step))
    got = slope_of_stage(p, direction)
    assert float(jnp.abs(got[0]).max()) > 1e-3
    ends = ((s.mix, s.effort, s.prices) for s in (up, down))
    assert_alike(got, jax.tree.map(lambda u, d: (u - d) / (2 * step), *ends), 1e-5)
