r"""Who offers what in which cell, and Bertrand prices by type aggregation (model.md §4).

With types :math:`t_f = e^{v_f - \alpha c_f}` and markups :math:`\mu_f = \alpha(p_f - c_f)`, logit demand is
:math:`s_f = t_f e^{-\mu_f}/H` with :math:`H = H_0 + \sum_f t_f e^{-\mu_f}`, and the first-order conditions are

.. math::
    \mu_i = \frac{1 + \omega_w S_{C,i}}{1 - s_i}\ \text{(an incumbent, with clients at the margin } \omega_w),\qquad
    \mu_{ja} = \frac{1}{1 - s_{ja}}\ \text{(a challenger)}

(Nocke and Schutz 2018). A challenger weighing action a sees the others' expected aggregate and its own product in full:
:math:`H_{ja} = H - \sum_{a'} P_{ja'} t_{ja'} e^{-\mu_{ja'}} + t_{ja} e^{-\mu_{ja}}`. With 0/1 mixes this is the realised
market. The clients' share that licensors serve is taken at the expected H.

Arrays put (incumbent | challenger, strategy), then cell, first; whatever follows is a batch.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from games.restriction.knowledge import effective_restriction, mean_lag, pools
from games.restriction.parameters import Parameters

CLIENT, SOVEREIGN, APPLIED = 0, 1, 2


class Market(NamedTuple):
    """All that prices, effort and strategies take as given: a restriction and a speed of the frontier, made concrete."""

    restriction: Array  # R (incumbent)
    pool: Array  # Λ (bloc)
    open_lag: Array  # z_o ()
    open_slope: Array  # D of the open base ()
    lag_at_rest: Array  # z_S at x = 0 (challenger)
    lag_slope: Array  # D (challenger)
    effort_bound: Array  # no effort may outrun the frontier ()
    client_lag: Array  # z_C (cell)
    licence: Array  # ς (incumbent, cell)
    outside: Array  # H0 (cell)
    incumbent_type: Array  # t (incumbent, cell)
    type_at_rest: Array  # t of C, S at x = 0, A; 0 of a strategy that sells nothing (challenger, strategy, cell)
    scale: Array  # M/α (cell)
    wholesale: Array  # ω_w ς (incumbent, cell)
    queries: Array  # Σ q (1 - R)/I ()


def market(p: Parameters, restriction: Array, gamma: Array) -> Market:
    """The market at r (incumbent, channel) and γ."""
    R = effective_restriction(p, restriction)
    pool, open_pool = pools(p, R)
    open_lag, open_slope = mean_lag(p.open_starting_lag, p.open_absorption * open_pool, p.open_effort, gamma, p.horizon)
    own_bloc = _positions(p.challenger_bloc, p.blocs)
    lag_at_rest, lag_slope = mean_lag(p.starting_lag, p.absorption * pool[own_bloc], jnp.zeros(()), gamma, p.horizon)

    beta = p.lag_slope
    licensed_lag = (p.incumbent_lag + p.client_degradation * R)[:, None]
    weight = jnp.exp(-beta[None] * (licensed_lag - licensed_lag.min(axis=0)))
    licence = weight / weight.sum(axis=0)
    client_lag = (licence * licensed_lag).sum(axis=0)

    value = p.base_value + beta * (gamma - 1) * p.horizon / 2
    alpha = p.price_sensitivity
    fringe = jnp.exp(value - beta * open_lag - p.open_handicap - alpha * p.open_cost)
    return Market(
        restriction=R,
        pool=pool,
        open_lag=open_lag,
        open_slope=open_slope,
        lag_at_rest=lag_at_rest,
        lag_slope=lag_slope,
        effort_bound=jnp.minimum(p.effort_bound, gamma),
        client_lag=client_lag,
        licence=licence,
        outside=1 + fringe,
        incumbent_type=jnp.exp(_incumbent_utility(p, R, value)),
        type_at_rest=_challenger_types(p, R, value, client_lag, lag_at_rest, open_lag),
        scale=p.mass / alpha,
        wholesale=(alpha * (p.wholesale_price - p.wholesale_cost))[None] * licence,
        queries=(p.query_price * (1 - R)).mean(axis=0),
    )


def _incumbent_utility(p: Parameters, R: Array, value: Array) -> Array:
    home, region = _positions(p.incumbent_bloc, p.blocs), _positions(p.cell_region, p.blocs)
    abroad = (home[:, None] != region[None]).astype(float)
    bias = p.home_bias[home][:, region]
    harm = (p.user_harm * R**2)[:, None] + _lanes(abroad, R.ndim - 1) * (p.distrust * R)[:, None]
    cost = p.price_sensitivity[None] * p.incumbent_cost[:, None]
    return value[None] - p.lag_slope[None] * p.incumbent_lag[:, None] + bias - harm - cost


def _challenger_types(
    p: Parameters, R: Array, value: Array, client_lag: Array, own_lag: Array, open_lag: Array
) -> Array:
    home, region = _positions(p.challenger_bloc, p.blocs), _positions(p.cell_region, p.blocs)
    lanes = R.ndim - 1
    vertical = np.array([segment == "V" for segment in p.cell_segment], dtype=float)
    at_home = _lanes((home[:, None] == region[None]).astype(float), lanes)
    licensors = sorted(set(p.incumbent_bloc))
    abroad = _lanes(np.array([r not in licensors for r in p.cell_region], dtype=float), lanes)
    vertical = _lanes(vertical, lanes)[None]
    bias = value[None] + p.home_bias[home][:, region]
    beta, alpha = p.lag_slope[None], p.price_sensitivity[None]
    client = (
        bias
        - beta * client_lag[None]
        + p.niche_client[:, None] * vertical
        - (abroad * (p.client_distrust * R.mean(axis=0)))[None]
        - alpha * (p.wholesale_price + p.client_cost)[:, None]
    )
    sovereign = (
        bias
        - beta * own_lag[:, None]
        + p.niche_sovereign[:, None] * vertical
        + p.home_trust[:, None] * at_home
        - alpha * p.sovereign_cost[:, None]
    )
    applied = (
        bias
        - beta * open_lag
        + p.niche_applied[:, None] * vertical
        - p.applied_penalty[:, None] * (1 - vertical)
        - alpha * p.applied_cost[:, None]
    )
    offered = [jnp.exp(utility) for utility in (client, sovereign, applied)]
    return jnp.stack(offered + [jnp.zeros_like(client)] * (len(p.strategies) - len(offered)), axis=1)


def types(p: Parameters, m: Market, effort: Array) -> Array:
    """t (challenger, strategy, cell): only the sovereign's moves, with its effort."""
    faster = jnp.exp(p.lag_slope[None] * (m.lag_slope * effort)[:, None])
    sovereign = np.arange(m.type_at_rest.shape[1]) == SOVEREIGN
    return m.type_at_rest * jnp.where(_lanes(sovereign[:, None], faster.ndim - 2), faster[:, None], 1)


class Prices(NamedTuple):
    """Markups in units of 1/α: ``incumbent`` (incumbent, cell) and ``challenger`` (challenger, strategy, cell)."""

    incumbent: Array
    challenger: Array


def newton_step(m: Market, t: Array, mix: Array, prices: Prices) -> Prices:
    """One Newton step on all first-order conditions of all cells, at given mixes and types.

    The Jacobian is an arrowhead (products meet only in H and in the clients' share), so the step is explicit: every
    product's change is linear in δH, and one scalar equation a cell gives δH.
    """
    P = mix[:, :, None]
    g = t * jnp.exp(-prices.challenger)
    G = m.incumbent_type * jnp.exp(-prices.incumbent)
    own = (P * g).sum(axis=1)
    H = m.outside + add(own) + add(G)

    # challengers: μ = 1 + g/R with R = H - own, a step to 1 + s (μ - δR/R), s = g/(R + g); δown = (B + A δH)/(1 + A)
    R = H[None] - own
    s = g / (R[:, None] + g)
    h = (prices.challenger - 1) * (1 - s) - s
    B = (P * g * h).sum(axis=1)
    A = (P * g * s).sum(axis=1) / R
    damp = 1 / (1 + A)

    # the clients' share S = Σ_j P_jC g/H, at the expected H, moves by S0 + S1 δH
    sold = mix[:, CLIENT, None] * g[:, CLIENT] / H[None]
    slack = s[:, CLIENT] * damp / R
    S = sold.sum(axis=0)
    S0 = (sold * (h[:, CLIENT] - slack * B)).sum(axis=0)
    S1 = (sold * (slack - 1 / H[None])).sum(axis=0)

    # incumbents: μ = (1 + ω S)(1 + Y) with Y = G/(H - G)
    rivals = H[None] - G
    Y = G / rivals
    margin = 1 + m.wholesale * S[None]
    own_slope = 1 + margin * Y * (1 + Y)
    E = (margin * (1 + Y) - prices.incumbent + (1 + Y) * m.wholesale * S0[None]) / own_slope
    F = ((1 + Y) * m.wholesale * S1[None] - margin * Y / rivals) / own_slope

    dH = (add(B * damp) - add(G * E)) / (1 + add(G * F) - add(A * damp))
    dR = (dH[None] - B) * damp
    return Prices(prices.incumbent + E + F * dH[None], 1 + s * (prices.challenger - (dR / R)[:, None]))


def add(terms: Array) -> Array:
    """The sum over the first axis as plain additions: they join the loops of their users, which a reduction does not."""
    return sum(terms[i] for i in range(1, terms.shape[0])) + terms[0] if terms.shape[0] else terms.sum(axis=0)


def price_step(p: Parameters, m: Market, mix: Array, effort: Array, prices: Prices) -> Prices:
    """A Newton step of all prices together at given mixes and effort."""
    return newton_step(m, types(p, m, effort), mix, prices)


def margins(p: Parameters, m: Market, mix: Array, effort: Array, prices: Prices) -> Array:
    """μ s = μ - 1 at equilibrium prices: gross profit in units of M/α (challenger, strategy, cell)."""
    return prices.challenger - 1


class Sales(NamedTuple):
    """Shares of a cell's consumers; a challenger's is expected, times the probability of the strategy."""

    incumbent: Array  # (incumbent, cell)
    challenger: Array  # (challenger, strategy, cell)
    fringe: Array  # (cell)
    aggregate: Array  # H (cell)


def sales(p: Parameters, m: Market, mix: Array, effort: Array, prices: Prices) -> Sales:
    """The expected shares of all products."""
    sold = mix[:, :, None] * types(p, m, effort) * jnp.exp(-prices.challenger)
    own = m.incumbent_type * jnp.exp(-prices.incumbent)
    H = m.outside + sold.sum(axis=(0, 1)) + own.sum(axis=0)
    return Sales(own / H, sold / H, (m.outside - 1) / H, H)


def opening_prices(m: Market, num_challengers: int) -> Prices:
    """Every markup at 1, its lowest: from there Newton's steps rise towards the answer."""
    cells = m.outside.shape
    challenger = num_challengers, m.type_at_rest.shape[1], *cells
    return Prices(jnp.ones_like(m.incumbent_type), jnp.ones(challenger, m.outside.dtype))


def _positions(names: tuple[str, ...], among: tuple[str, ...]) -> np.ndarray:
    return np.array([among.index(name) for name in names], dtype=int)


def _lanes(constant: np.ndarray, lanes: int) -> np.ndarray:
    """A constant array with room for the batch axes behind."""
    return constant.reshape(constant.shape + (1,) * lanes)
