"""Bertrand prices under logit demand, through the Newton step of the stage: known answers and independent methods."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import root
from scipy.special import lambertw

from games.restriction.demand import Market, Prices, newton_step, opening_prices

STEPS = 60


@jax.jit
def iterate(m, t, mix, prices):
    return jax.lax.fori_loop(0, STEPS, lambda _, q: newton_step(m, t, mix, q), prices)


def by_hand(incumbents, outside, *, wholesale=None, scale=1.0):
    """A market of one cell from the incumbents' types; only what the price stage reads is of consequence."""
    t = jnp.asarray(incumbents, float)[:, None]
    one, cell = jnp.zeros(()), jnp.ones(1)
    return Market(
        restriction=0 * t[:, 0], pool=cell, open_lag=one, open_slope=one, lag_at_rest=cell, lag_slope=cell, effort_bound=one,
        client_lag=cell, licence=jnp.full_like(t, 1 / len(t)), outside=outside * cell,
        incumbent_type=t, type_at_rest=jnp.ones((0, 3, 1)), scale=scale * cell,
        wholesale=jnp.zeros_like(t) if wholesale is None else jnp.asarray(wholesale, float)[:, None], queries=one,
    )  # fmt: skip


def solved(incumbents, challengers=(), mix=(), outside=1.0, wholesale=None, start=None):
    """Markups and the aggregate in one cell; ``challengers``: types (challenger, strategy)."""
    m = by_hand(incumbents, outside, wholesale=wholesale)
    t = jnp.asarray(challengers, float).reshape(-1, 3, 1)
    mix = jnp.asarray(mix, float).reshape(-1, 3)
    m = m._replace(type_at_rest=t)
    prices = iterate(m, t, mix, opening_prices(m, len(t)) if start is None else start)
    H = aggregate(m, t, mix, prices)
    return m, t, mix, prices, float(H[0])


def aggregate(m, t, mix, prices):
    sold = (mix[:, :, None] * t * jnp.exp(-prices.challenger)).sum(axis=(0, 1))
    return m.outside + sold + (m.incumbent_type * jnp.exp(-prices.incumbent)).sum(axis=0)


def test_symmetric_logit_without_an_outside_good():
    """p = c + n/(α(n-1)) = 1.75 at n = 3, α = 2, c = 1 (Anderson, de Palma and Thisse 1992, ch. 7)."""
    *_, prices, _ = solved([np.exp(0.7)] * 3, outside=0.0)
    np.testing.assert_allclose(1 + prices.incumbent[:, 0] / 2, 1.75, rtol=1e-10)


def test_monopoly():
    """v = 2, α = 1.5, c = 0.4: p = 1.5490433042, π = 0.4823766375 (from p = c + (1 + W(e^{v-αc-1}))/α)."""
    *_, prices, H = solved([np.exp(2 - 1.5 * 0.4)])
    mu = float(prices.incumbent[0, 0])
    assert 0.4 + mu / 1.5 == pytest.approx(1.5490433042, abs=1e-10)
    share = np.exp(2 - 1.5 * 0.4 - mu) / H
    assert mu / 1.5 * share == pytest.approx(0.4823766375, abs=1e-10)
    assert (mu - 1) / 1.5 == pytest.approx(0.4823766375, abs=1e-10)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_n_firms_with_an_outside_good(n):
    """T = e^{(n+1)/n}, H0 = 1: s = 1/(n+1), μ = (n+1)/n, H = n+1."""
    *_, prices, H = solved([np.exp((n + 1) / n)] * n)
    np.testing.assert_allclose(prices.incumbent, (n + 1) / n, rtol=1e-10)
    assert pytest.approx(n + 1, rel=1e-10) == H
    np.testing.assert_allclose(np.exp((n + 1) / n - prices.incumbent) / H, 1 / (n + 1), rtol=1e-10)


def test_three_firms():
    """T = e, H0 = 1: H = 3.2253926052, μ = 1.2986789368, s = 0.2299867414 (Nocke and Schutz 2018, type aggregation)."""
    *_, prices, H = solved([np.e] * 3)
    assert pytest.approx(3.2253926052, abs=1e-10) == H
    np.testing.assert_allclose(prices.incumbent, 1.2986789368, atol=1e-10)
    np.testing.assert_allclose(np.exp(1 - prices.incumbent) / H, 0.2299867414, atol=1e-10)


@pytest.mark.parametrize("as_challengers", [0, 1, 2, 4])
def test_five_firms_of_two_types(as_challengers):
    """Three of T = e² and two of T = e: H = 8.8532079137, μ = 1.2959718744 and 1.1122923930, whoever sells them."""
    firms = np.array([2.0, 2, 2, 1, 1])
    inside, outside = firms[: 5 - as_challengers], firms[5 - as_challengers :]
    kinds = np.eye(3)[np.arange(as_challengers) % 3]  # what a challenger does not choose must not matter
    types = np.where(kinds > 0, np.exp(outside)[:, None], 7.0)
    *_, prices, H = solved(np.exp(inside), types, kinds)
    got = np.concatenate([prices.incumbent[:, 0], prices.challenger[kinds > 0][:, 0]])
    assert pytest.approx(8.8532079137, abs=1e-9) == H
    np.testing.assert_allclose(got, np.where(firms == 2, 1.2959718744, 1.1122923930), atol=1e-9)


def test_multi_product_firms():
    """Firms {1,2}, {3}, {4,5}: a firm's products share one markup, so its type is the sum (PyBLP 1.3.0 agrees)."""
    value, cost, alpha = np.array([1, 0.3, 2, -0.5, 0.8]), np.array([0.2, 0.1, 0.7, 0, 0.4]), 1.3
    firm = np.array([0, 0, 1, 2, 2])
    *_, prices, _ = solved(np.bincount(firm, np.exp(value - alpha * cost)))
    price = cost + np.asarray(prices.incumbent)[firm, 0] / alpha
    np.testing.assert_allclose(price, [1.2443146, 1.1443146, 1.7205512, 0.9361439, 1.3361439], atol=1e-7)


@pytest.mark.parametrize("omega", [0.0, 0.4, 1.0])
def test_wholesale(omega):
    """T_I = e^{1.5+ω/2}, T_C = e^{1.5}, H0 = 1: both shares 1/3, μ_C = 1.5, μ_I = 1.5 + ω/2."""
    types = [[np.exp(1.5), 1.0, 1.0]]
    *_, prices, H = solved([np.exp(1.5 + omega / 2)], types, [[1, 0, 0]], wholesale=[omega])
    assert float(prices.incumbent[0, 0]) == pytest.approx(1.5 + omega / 2, abs=1e-9)
    assert float(prices.challenger[0, 0, 0]) == pytest.approx(1.5, abs=1e-9)
    assert pytest.approx(3, abs=1e-9) == H


def random_market(seed, wholesale):
    rng = np.random.default_rng(seed)
    num_i, num_j = rng.integers(1, 4), rng.integers(1, 5)
    licence = rng.dirichlet(np.ones(num_i))
    return {
        "incumbents": np.exp(rng.normal(0.8, 0.8, num_i)),
        "challengers": np.exp(rng.normal(0.5, 0.8, (num_j, 3))),
        "mix": rng.dirichlet(np.ones(3), num_j),
        "wholesale": wholesale * licence,
        "outside": 1 + rng.exponential(),
    }


MARKETS = [random_market(seed, wholesale) for seed in range(6) for wholesale in (0.0, 1.2)]


def conditions(flat, market):
    """First-order conditions, product by product: μ_i (1 - s_i) = 1 + ω_w ς_i S_C and μ_ja (1 - s_ja) = 1."""
    t_i, t_j, mix, wholesale, outside = (
        market[key] for key in ("incumbents", "challengers", "mix", "wholesale", "outside")
    )
    mu_i, mu_j = flat[: len(t_i)], flat[len(t_i) :].reshape(t_j.shape)
    g_i, g_j = t_i * np.exp(-mu_i), t_j * np.exp(-mu_j)
    H = outside + g_i.sum() + (mix * g_j).sum()
    H_ja = H - (mix * g_j).sum(axis=1, keepdims=True) + g_j
    clients = (mix[:, 0] * g_j[:, 0]).sum() / H
    of_i = mu_i * (1 - g_i / H) - 1 - wholesale * clients
    return np.concatenate([of_i, (mu_j * (1 - g_j / H_ja) - 1).ravel()])


@pytest.mark.parametrize("market", MARKETS)
def test_random_markets_against_a_general_solver(market):
    """From several starts: with a wholesale margin no theorem is known that there is but one set of prices."""
    *_, prices, _ = solved(**market)
    got = np.concatenate([np.ravel(prices.incumbent), np.ravel(prices.challenger)])
    for start in (1.0, 1.5, 3.0):
        found = root(conditions, np.full(got.shape, start), args=(market,), tol=1e-12)
        assert found.success, found.message
        np.testing.assert_allclose(got, found.x, atol=1e-8)
    np.testing.assert_allclose(conditions(got, market), 0, atol=1e-10)


@pytest.mark.parametrize("market", MARKETS[::2])
def test_best_reply_is_lamberts(market):
    """Without wholesale each markup is 1 + W(t/(e R)), R the rivals and the outside good."""
    m, t, mix, prices, H = solved(**market)
    G = np.asarray(m.incumbent_type * jnp.exp(-prices.incumbent))
    np.testing.assert_allclose(
        prices.incumbent, 1 + lambertw(np.asarray(m.incumbent_type) / (np.e * (H - G))).real, atol=1e-9
    )
    own = np.asarray((mix[:, :, None] * t * jnp.exp(-prices.challenger)).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(prices.challenger, 1 + lambertw(np.asarray(t) / (np.e * (H - own))).real, atol=1e-9)


@pytest.mark.parametrize("market", MARKETS)
def test_prices_do_not_depend_on_the_start(market):
    m, t, mix, prices, _ = solved(**market)
    rng = np.random.default_rng(0)
    for _ in range(4):
        # a start may be off by a unit of 1/α; Newton's step is not global
        start = jax.tree.map(lambda x: x + jnp.asarray(rng.uniform(-0.5, 1.0, x.shape)), prices)
        again = iterate(m, t, mix, start)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-9), again, prices)


@pytest.mark.parametrize("market", MARKETS)
def test_profit_gradients_vanish(market):
    """Central differences of each product's profit in its own markup, rivals' fixed; wholesale income included."""
    m, t, mix, prices, _ = solved(**market)

    def incumbents_profit(q):
        H = aggregate(m, t, mix, q)
        clients = (mix[:, 0, None] * t[:, 0] * jnp.exp(-q.challenger[:, 0])).sum(axis=0) / H
        return (q.incumbent * m.incumbent_type * jnp.exp(-q.incumbent) / H + m.wholesale * clients)[:, 0]

    step = 1e-5
    for i in range(len(prices.incumbent)):
        moved = [prices._replace(incumbent=prices.incumbent.at[i].add(h)) for h in (step, -step)]
        up, down = (incumbents_profit(q)[i] for q in moved)
        assert abs(float(up - down)) / (2 * step) < 1e-8
    H = aggregate(m, t, mix, prices)
    rivals = np.asarray(H - (mix[:, :, None] * t * jnp.exp(-prices.challenger)).sum(axis=1, keepdims=True))

    def challengers_profit(mu):
        g = np.asarray(t) * np.exp(-mu)
        return mu * g / (rivals + g)

    mu = np.asarray(prices.challenger)
    slope = (challengers_profit(mu + step) - challengers_profit(mu - step)) / (2 * step)
    np.testing.assert_allclose(slope, 0, atol=1e-8)


def test_shares_sum_to_one_in_the_realised_market():
    """With 0/1 mixes μ = 1/(1 - s) for everyone, and these shares with the outside good's add up to one."""
    kinds = np.eye(3)[[0, 1, 2, 1]]
    types = np.exp(np.random.default_rng(3).normal(size=(4, 3)))
    m, *_, prices, H = solved([2.0, 3.0], types, kinds, outside=1.7)
    shares = np.concatenate([1 - 1 / prices.incumbent[:, 0], (1 - 1 / prices.challenger[..., 0])[kinds > 0]])
    assert shares.sum() + float(m.outside[0]) / H == pytest.approx(1, abs=1e-10)


def test_cells_do_not_interact():
    """Two cells solved together are two cells solved apart."""
    first, second = MARKETS[1], {**MARKETS[1], "outside": 5.0}
    (m, t, mix, a, _), (_, _, _, b, _) = solved(**first), solved(**second)
    both = jax.tree.map(lambda x: jnp.concatenate([x, x], axis=-1) if x.ndim and x.shape[-1] == 1 else x, m)
    both = both._replace(outside=jnp.asarray([first["outside"], second["outside"]]))
    t = jnp.concatenate([t, t], axis=-1)
    got = iterate(both, t, mix, opening_prices(both, len(t)))
    want = Prices(*(jnp.concatenate(pair, axis=-1) for pair in zip(a, b, strict=True)))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-10), got, want)
