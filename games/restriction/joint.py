r"""One Newton step on all conditions of the challengers' stage together: prices, research effort and the choice of strategies.

The conditions are those of ``demand.py`` and ``strategies.py`` in plain logit demand. Firms meet only in the aggregates
:math:`q = (H_m, \Sigma)`, H of every cell and :math:`\Sigma = \sum_{\text{members}} P_{jS}` of the consortium, so the
Jacobian is an arrowhead. In a cell, with :math:`g_a = t_a e^{-\mu_a}`, :math:`s_a = g_a/(R + g_a)` and :math:`b = \beta D`,

.. math::
    \mu_a' = 1 + s_a\bigl(\mu_a + [a = S]\, b\,\delta x - \delta R/R\bigr),\qquad
    \delta R = D\,(\delta H - E - L\,\delta y),\qquad D^{-1} = 1 + \sum_a P_a g_a s_a / R,

where a firm's expected sales change by E anyhow and by :math:`L\,\delta y` with its unknowns
:math:`y`, its logits less that of the last strategy, and effort. Those reply by
:math:`\delta y = y_0 - N\,\delta R + Q\,(\delta\Sigma - \delta P_S)`, so that three equations a firm (four where it may
exit) give :math:`\delta y = z + Z\,\delta q`, and one more for every aggregate gives :math:`\delta q`.

An effort at which the first-order condition holds but the profit is lowest repels: the slope of the best reply counts up to
``STEEPEST`` only.

Arrays put (unknown | strategy), then challenger, then cell, first; whatever follows is a batch. What is ``apart`` is what
several others use.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.restriction.demand import CLIENT, SOVEREIGN, Market, Prices, add
from games.restriction.parameters import Parameters
from solver.compilation import apart

STEEPEST = 0.93
SOLD = 3  # strategies with a product


class _Firms(NamedTuple):
    """What challengers sell, and how it moves."""

    mix: Array  # of the strategies with a product (strategy, challenger)
    g: Array  # (strategy, challenger, cell)
    s: Array
    fixed: Array  # μ' - 1 where nothing else moves
    R: Array  # (challenger, cell)
    boost: Array  # b
    E: Array
    D: Array
    L: Array  # (unknown, challenger, cell)
    to_sovereign: Array  # ∂P_S/∂y (unknown, challenger)


class _Replies(NamedTuple):
    """δy = y0 - N δR + Q (δΣ - δP_S), and δ of the last strategy's logit = last - slope δR."""

    y0: Array  # (unknown, challenger)
    N: Array  # (unknown, challenger, cell)
    Q: Array  # (unknown, challenger)
    last: Array  # (challenger)
    slope: Array  # (challenger, cell)


class _Incumbents(NamedTuple):
    """δμ = E + F δH + T Σ C δy, the last by way of the clients' share."""

    G: Array  # (incumbent, cell)
    E: Array
    F: Array
    T: Array
    C: Array  # (unknown, challenger, cell)


def joint_step(p: Parameters, m: Market, logits: Array, effort: Array, prices: Prices) -> tuple[Array, Array, Prices]:
    """The logits (strategy, challenger), effort (challenger) and prices, strategies first, one Newton step on."""
    member, saving = _consortium(p, effort.ndim - 1)
    mix, g = _products(p, m, logits, effort, prices)
    G, own = _incumbents_products(m, prices), _own(mix, g)
    H = m.outside + add(own) + add(G)
    f = _firms(len(logits), mix, g, prices.challenger[:SOLD], own, _rivals(H, own), p.lag_slope * m.lag_slope[:, None])
    r = _replies(p, m, f, logits, effort, member, saving)
    i = _incumbents(m, f, prices, G, H)

    A, b, B = _firms_system(f, r)
    z, Z = _solved(A, b, B)
    load = _loads(f, i, member)
    (dq,) = _solved(*_aggregates_system(f, i, _coupling(load, z), _coupling(load, Z)))
    dq = dq[:, 0]
    dy = _firms_move(z, Z, dq)
    return _moved(m, f, r, i, dy, _rivals_move(f, dy, dq[:-1]), dq[:-1], logits, effort, prices)


@apart
def _products(p: Parameters, m: Market, logits: Array, effort: Array, prices: Prices) -> tuple[Array, Array]:
    mu, t = prices.challenger, jnp.moveaxis(m.type_at_rest, 1, 0)
    lift = p.lag_slope * (m.lag_slope * effort)[:, None]
    g = jnp.stack([t[0] * jnp.exp(-mu[0]), t[1] * jnp.exp(lift - mu[1]), t[2] * jnp.exp(-mu[2])])
    return jax.nn.softmax(logits, axis=0)[:SOLD], g


@apart
def _incumbents_products(m: Market, prices: Prices) -> Array:
    return m.incumbent_type * jnp.exp(-prices.incumbent)


@apart
def _own(mix: Array, g: Array) -> Array:
    return add(mix[:, :, None] * g)


@apart
def _rivals(H: Array, own: Array) -> Array:
    return H - own


def _firms(strategies: int, mix: Array, g: Array, mu: Array, own: Array, R: Array, boost: Array) -> _Firms:
    P, s, free = mix[:, :, None], _shares(g, R), strategies - 1
    fixed, E = _drift(P, g, s, mu)
    L = jnp.concatenate([_pull(P[:free], g[:free], own), _boosted(P, g, s, boost)])
    return _Firms(
        mix, g, s, fixed, R, boost, E, _inertia(P, g, s, R), L, _log_slopes(mix[:free], SOVEREIGN) * mix[SOVEREIGN]
    )


def _log_slopes(mix: Array, strategy: int) -> Array:
    """∂ln P/∂y of a strategy (unknown, challenger)."""
    own = [1 - P if k == strategy else -P for k, P in enumerate(mix)]
    return jnp.stack([*own, jnp.zeros_like(mix[0])])


@apart
def _shares(g: Array, R: Array) -> Array:
    return g / (R + g)


@apart
def _drift(P: Array, g: Array, s: Array, mu: Array) -> tuple[Array, Array]:
    fixed = s * mu
    return fixed, add(P * g * (mu - 1 - fixed))


@apart
def _inertia(P: Array, g: Array, s: Array, R: Array) -> Array:
    return 1 / (1 + add(P * g * s) / R)


@apart
def _pull(P: Array, g: Array, own: Array) -> Array:
    return P * (g - own)


@apart
def _boosted(P: Array, g: Array, s: Array, boost: Array) -> Array:
    return (P * g * (1 - s))[SOVEREIGN, None] * boost


def _replies(p: Parameters, m: Market, f: _Firms, logits: Array, effort: Array, member, saving) -> _Replies:
    borne, lost, best, slope, steep = _efforts(p, m, f, effort, member, saving)
    x0, give, x_Q = _effort_moves(m, effort, best, slope, lost, borne)
    x_R = give[:, None] * steep
    at, gain, by_mates = _payoffs(p, m, f, effort, borne, lost, x0, x_Q)
    net, own, to_s, to_a = _after_fee(p, at, logits[SOLD:])
    slopes = _payoff_slopes(p, m, f, gain, x_R)
    return _stacked(logits, (net, *at[1:]), slopes, (own, to_s, to_a), by_mates, (x0, x_R, x_Q))


@apart
def _efforts(p: Parameters, m: Market, f: _Firms, effort: Array, member: Array, saving: Array) -> tuple[Array, ...]:
    """The cost share and its fall in a mate's P_S; the best effort, its slopes in the own one and in -R."""
    sovereign = f.mix[SOVEREIGN]
    mates = add(member * sovereign) - sovereign
    borne, lost = (1 - p.subsidy) * (1 - saving * mates), (1 - p.subsidy) * saving
    markup, worth = 1 + f.fixed[SOVEREIGN], m.scale * p.lag_slope
    per = m.lag_slope / (p.effort_cost * borne)
    steep = worth * f.s[SOVEREIGN] / markup**2
    best = _total(worth * f.fixed[SOVEREIGN] / markup) * per
    return borne, lost, best, _total(steep * f.boost) * per, steep * per[:, None] / f.R


@apart
def _effort_moves(m: Market, effort: Array, best: Array, slope: Array, lost: Array, borne: Array):
    """What effort changes by anyhow, by how much its moves are drawn out, and its slope in Σ."""
    free = (best > 0) & (best < m.effort_bound)
    give = jnp.where(free, 1 / (1 - jnp.minimum(slope, STEEPEST)), 0.0)
    x0 = jnp.clip(effort + (best - effort) * jnp.where(free, give, 1), 0, m.effort_bound) - effort
    return x0, give, give * best * lost / borne


@apart
def _payoffs(p: Parameters, m: Market, f: _Firms, effort: Array, borne: Array, lost: Array, x0: Array, x_Q: Array):
    """The payoffs before the fee, over σ, where they go anyhow; and that of S in effort and in Σ."""
    gross = jnp.stack([_total(m.scale * fixed) for fixed in f.fixed])
    programme = p.programme_cost + p.effort_cost * effort**2 / 2
    gain = _total(m.scale * f.s[SOVEREIGN] * f.boost) - p.effort_cost * effort * borne
    costs = p.client_programme_cost, programme * borne + m.queries - gain * x0, p.applied_programme_cost
    at = tuple((gross[k] - cost) / p.sigma for k, cost in enumerate(costs))
    return at, gain / p.sigma, (programme * lost + gain * x_Q) / p.sigma


@apart
def _after_fee(p: Parameters, at: tuple[Array, ...], unsold: Array) -> tuple[Array, ...]:
    """The payoff of C after the fee, over σ, and its slopes in those of C, S and A before."""
    c, s, a = at
    top = jnp.maximum(s, a)
    e_s, e_a = jnp.exp(s - top), jnp.exp(a - top)
    total = e_s + e_a + (jnp.exp(-top) if len(unsold) else 0)  # exit pays 0
    z = c - top - jnp.log(total)
    small = jnp.exp(-jnp.abs(z))
    keen = p.fee_share * jnp.where(z > 0, 1, small) / (1 + small)
    share = keen / total
    return c - p.fee_share * (jnp.maximum(z, 0) + jnp.log1p(small)), 1 - keen, share * e_s, share * e_a


@apart
def _payoff_slopes(p: Parameters, m: Market, f: _Firms, gain: Array, x_R: Array) -> tuple[Array, ...]:
    c, s, a = m.scale * f.s / (p.sigma * f.R)
    return c, s + gain[:, None] * x_R, a


@apart
def _stacked(logits: Array, goal, slopes, shares, by_mates: Array, moves) -> _Replies:
    (c, s, a), (own, to_s, to_a), (x0, x_R, x_Q) = slopes, shares, moves
    c = own[:, None] * c + to_s[:, None] * s + to_a[:, None] * a
    mated = [to_s * by_mates, by_mates, *[jnp.zeros_like(by_mates)] * (len(logits) - 2)]
    gap = [v - logit for v, logit in zip([*goal, *logits[SOLD:]], logits, strict=True)]
    slope = [c, s, a, *[jnp.zeros_like(c)] * (len(logits) - SOLD)]
    return _Replies(
        y0=jnp.stack([*(v - gap[-1] for v in gap[:-1]), x0]),
        N=jnp.stack([*(v - slope[-1] for v in slope[:-1]), x_R]),
        Q=jnp.stack([*mated[:-1], x_Q]),
        last=gap[-1],
        slope=slope[-1],
    )


def _incumbents(m: Market, f: _Firms, prices: Prices, G: Array, H: Array) -> _Incumbents:
    sold, slack = _clients(f, H)
    S, S0, S1, C = _clients_move(f, H, sold, slack, prices.challenger[CLIENT])
    E, F, T = _incumbents_move(m, G, H, prices.incumbent, S, S0, S1)
    return _Incumbents(G, E, F, T, C)


@apart
def _clients(f: _Firms, H: Array) -> tuple[Array, Array]:
    """The clients' shares, and how they answer to -δR + ... of their own firm (challenger, cell)."""
    return f.mix[CLIENT, :, None] * f.g[CLIENT] / H, f.s[CLIENT] * f.D / f.R


@apart
def _clients_move(f: _Firms, H: Array, sold: Array, slack: Array, mu: Array) -> tuple[Array, ...]:
    """The clients' share S, with δS = S0 + S1 δH + C δy."""
    chosen = _log_slopes(f.mix[: len(f.L) - 1], CLIENT)
    S0 = add(sold * (mu - 1 - f.fixed[CLIENT] - slack * f.E))
    return add(sold), S0, add(sold * (slack - 1 / H)), sold * (chosen[:, :, None] - slack * f.L)


@apart
def _incumbents_move(m: Market, G: Array, H: Array, markup: Array, S: Array, S0: Array, S1: Array):
    """E, F, T from μ = (1 + ω S)(1 + Y), Y = G/(H - G)."""
    rivals = H - G
    Y = G / rivals
    margin = 1 + m.wholesale * S
    damp = 1 / (1 + margin * Y * (1 + Y))
    T = (1 + Y) * m.wholesale * damp
    return (margin * (1 + Y) - markup) * damp + T * S0, T * S1 - margin * Y / rivals * damp, T


def _firms_system(f: _Firms, r: _Replies) -> tuple[Array, Array, Array]:
    """A (unknown, unknown, challenger), b and B (unknown, aggregate, challenger) of A δy = b + B δq."""
    ND = _weights(f, r)
    return _own_effects(f, r, ND), *_others_effects(f, r, ND)


@apart
def _weights(f: _Firms, r: _Replies) -> Array:
    return r.N * f.D


@apart
def _own_effects(f: _Firms, r: _Replies, ND: Array) -> Array:
    both = sum(ND[:, None, :, k] * f.L[None, :, :, k] for k in range(ND.shape[2]))
    return _eye(len(r.y0), r.y0) - both + r.Q[:, None] * f.to_sovereign[None]


@apart
def _others_effects(f: _Firms, r: _Replies, ND: Array) -> tuple[Array, Array]:
    b = r.y0 + sum(ND[:, :, k] * f.E[:, k] for k in range(ND.shape[2]))
    return b[:, None], jnp.concatenate([-jnp.moveaxis(ND, 2, 1), r.Q[:, None]], axis=1)


@apart
def _loads(f: _Firms, i: _Incumbents, member: Array) -> Array:
    """How the aggregates load on the firms' unknowns (aggregate, unknown, challenger)."""
    load = f.D * f.L - add(i.G * i.T) * i.C
    return jnp.concatenate([jnp.moveaxis(load, 2, 0), (member * f.to_sovereign)[None]])


def _coupling(load: Array, Z: Array) -> Any:
    """(aggregate, columns of Z), a challenger at a time."""
    return sum(_coupling_of_one(load[:, :, j], Z[:, :, j]) for j in range(load.shape[2]))


@apart
def _coupling_of_one(load: Array, Z: Array) -> Any:
    return sum(load[:, k, None] * Z[None, k] for k in range(load.shape[1]))


def _aggregates_system(f: _Firms, i: _Incumbents, fixed: Array, coupling: Array) -> tuple[Array, Array]:
    """A (aggregate, aggregate) and b (aggregate, 1) of A δq = b."""
    return _assembled(*_stiffness(f, i), fixed, coupling)


@apart
def _stiffness(f: _Firms, i: _Incumbents) -> tuple[Array, Array]:
    return 1 + add(i.G * i.F) - add(1 - f.D), add(f.D * f.E) - add(i.G * i.E)


@apart
def _assembled(stiffness: Array, moved: Array, fixed: Array, coupling: Array) -> tuple[Array, Array]:
    diagonal = jnp.concatenate([stiffness, jnp.ones_like(stiffness[:1])])
    b = jnp.concatenate([moved, jnp.zeros_like(moved[:1])])[:, None] + fixed
    return _eye(len(diagonal), stiffness) * diagonal[:, None] - coupling, b


@apart
def _firms_move(z: Array, Z: Array, dq: Array) -> Array:
    return z[:, 0] + sum(Z[:, k] * dq[k] for k in range(len(dq)))


@apart
def _rivals_move(f: _Firms, dy: Array, dH: Array) -> Array:
    return f.D * (dH - f.E - sum(f.L[k] * dy[k, :, None] for k in range(len(dy))))


@apart
def _moved(m: Market, f: _Firms, r: _Replies, i: _Incumbents, dy: Array, dR: Array, dH: Array, logits, effort, prices):
    last = r.last - _total(r.slope * dR)
    of_clients = sum(i.C[k, j] * dy[k, j] for k in range(len(dy)) for j in range(dy.shape[1]))
    lift, shift = f.boost * dy[-1, :, None], dR / f.R
    sold = [1 + f.fixed[0] - f.s[0] * shift, 1 + f.fixed[1] + f.s[1] * (lift - shift), 1 + f.fixed[2] - f.s[2] * shift]
    return (
        jnp.concatenate([logits[:-1] + dy[:-1], logits[-1:]]) + last,
        jnp.clip(effort + dy[-1], 0, m.effort_bound),
        Prices(
            prices.incumbent + i.E + i.F * dH + i.T * of_clients,
            jnp.concatenate([jnp.stack(sold), prices.challenger[SOLD:]]),
        ),
    )


def _consortium(p: Parameters, lanes: int) -> tuple[Array, Array]:
    """Who is a member (challenger), and what P_S of a mate takes off one's cost share."""
    n = max(len(p.consortium), 1)
    member = np.array([name in p.consortium for name in p.challengers], dtype=float)
    member = jnp.asarray(member.reshape(member.shape + (1,) * lanes), p.pool.dtype)
    return member, member * p.pool * (1 - 1 / n) / max(n - 1, 1)


def _total(x: Array) -> Array:
    """The sum over cells (challenger, cell)."""
    return add(jnp.moveaxis(x, 1, 0))


def _eye(size: int, like: Array) -> Array:
    return jnp.asarray(np.eye(size).reshape(size, size, *(1,) * (like.ndim - 1)), like.dtype)


@apart
def _solved(A: Array, *right: Array) -> tuple[Array, ...]:
    """x (n, k, ...) of A x = B by elimination, for each B on the right."""

    def cleared(k, parts):
        own = (jnp.arange(len(A)) == k).reshape(-1, *(1,) * (A.ndim - 1))
        column = jax.lax.dynamic_index_in_dim(parts[0], k, 1)
        pivot = 1 / jax.lax.dynamic_index_in_dim(column, k, 0, keepdims=False)

        def reduced(rows):
            row = jax.lax.dynamic_index_in_dim(rows, k, 0, keepdims=False) * pivot
            return jnp.where(own, row, rows - column * row)

        return tuple(map(reduced, parts))

    return jax.lax.fori_loop(0, len(A), cleared, (A, *right))[1:]
