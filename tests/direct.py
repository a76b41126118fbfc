r"""The challengers' stage once more, slowly and directly: an oracle for the fast implementation (model.md §2-8).

Every product of every cell is visited in a plain loop, its best reply is taken in closed form (Lambert's W), and the
whole is iterated with plain damping. Nothing here comes from the package but the numbers of a ``Parameters``.

.. math::
    \mu_{ja} = 1 + W\bigl(t_{ja}/(e\,R_j)\bigr),\quad R_j = H - \sum_{a'} P_{ja'} t_{ja'} e^{-\mu_{ja'}},\qquad
    \mu_i = m_i + W\bigl(m_i t_i e^{-m_i}/(H - t_i e^{-\mu_i})\bigr),\quad m_i = 1 + \omega_w \varsigma_i S_C

With 0/1 mixes R_j is what the rivals do in the realised market, so one loop serves both modes. Strategies are client,
sovereign, applied, in this order; the optional exit is not covered.
"""

from itertools import product
from math import exp, isinf
from types import SimpleNamespace

import numpy as np
from scipy.integrate import quad
from scipy.special import exprel, lambertw, logsumexp, softmax

C, S, A = 0, 1, 2


def effective_restriction(p, restriction):
    """R_i from r_i or r_ic, with shared detection (I,)."""
    r = np.asarray(restriction, dtype=float).reshape(len(p.incumbents), -1)
    eta = np.asarray(p.channel_effect)
    alone = [1 - np.prod([1 - eta[c] * r[i, c] for c in range(r.shape[1])]) for i in range(r.shape[0])]
    shared = []
    for i, own in enumerate(alone):
        others = [R for k, R in enumerate(alone) if k != i]
        detected = float(p.detection_sharing) * np.mean(others) if others else 0.0
        shared.append(1 - (1 - own) * (1 - detected))
    return np.array(shared)


def pool(p, R, bite, outside):
    """Λ of one bloc."""
    leaks = [exp(-float(p.theta) * float(z)) * (1 - bite * R_i) for z, R_i in zip(p.incumbent_lag, R, strict=True)]
    largest, rho = max(leaks), float(p.rho)
    mean = largest
    if largest > 0 and not isinf(rho):
        mean = largest * np.mean([(leak / largest) ** rho for leak in leaks]) ** (1 / rho)
    return outside + (1 - outside) * mean


def mean_lag(z0, omega, effort, gamma, horizon):
    """z̄ and D = -∂z̄/∂x; G by quadrature of its integral form, ∫ (1 - u) e^{-yu} du over [0, 1]."""
    y = omega * horizon
    G = quad(lambda u: (1 - u) * exp(-y * u), 0, 1, epsabs=1e-13, epsrel=1e-13)[0]
    return z0 * exprel(-y) + (gamma - effort) * horizon * G, horizon * G


def world(p, restriction, gamma=1.0):
    """All that prices, effort and strategies take as given."""
    p = SimpleNamespace(**{name: v if isinstance(v, tuple) else np.asarray(v) for name, v in vars(p).items()})
    w = SimpleNamespace(I=len(p.incumbents), J=len(p.challengers), M=len(p.cells), p=p, gamma=float(gamma))
    w.R = effective_restriction(p, restriction)
    bite, outside = np.asarray(p.bite), np.asarray(p.outside_knowledge)
    w.pool = np.array([pool(p, w.R, bite[b], outside[b]) for b in range(len(p.blocs))])
    Y = float(p.horizon)
    open_speed = float(p.open_absorption) * pool(p, w.R, 1.0, outside.mean())
    w.open_lag, _ = mean_lag(float(p.open_starting_lag), open_speed, float(p.open_effort), w.gamma, Y)
    w.lag_at_rest, w.D = np.zeros(w.J), np.zeros(w.J)
    for j, bloc in enumerate(p.challenger_bloc):
        speed = float(p.absorption[j]) * w.pool[p.blocs.index(bloc)]
        w.lag_at_rest[j], w.D[j] = mean_lag(float(p.starting_lag[j]), speed, 0.0, w.gamma, Y)

    w.alpha, w.beta = np.asarray(p.price_sensitivity), np.asarray(p.lag_slope)
    w.scale = np.asarray(p.mass) / w.alpha
    w.omega = w.alpha * (float(p.wholesale_price) - float(p.wholesale_cost))
    w.queries = float(p.query_price) * np.mean(1 - w.R)
    w.value = np.asarray(p.base_value) + w.beta * (w.gamma - 1) * Y / 2
    w.licence, w.H0 = np.zeros((w.I, w.M)), np.zeros(w.M)
    w.t_incumbent, w.t_rest = np.zeros((w.I, w.M)), np.zeros((w.J, 3, w.M))
    for m in range(w.M):
        _fill_cell(w, m)
    return w


def _fill_cell(w, m):
    """Types and licences of cell m."""
    p = w.p
    region, vertical = p.cell_region[m], p.cell_segment[m] == "V"
    bias = np.asarray(p.home_bias)[:, p.blocs.index(region)]
    licensed = [float(p.incumbent_lag[i]) + float(p.client_degradation) * w.R[i] for i in range(w.I)]
    w.licence[:, m] = softmax([-w.beta[m] * z for z in licensed])
    client_lag = np.dot(w.licence[:, m], licensed)
    fringe = w.value[m] - w.beta[m] * w.open_lag - float(p.open_handicap) - w.alpha[m] * float(p.open_cost)
    w.H0[m] = 1 + exp(fringe)
    for i, bloc in enumerate(p.incumbent_bloc):
        v = w.value[m] - w.beta[m] * float(p.incumbent_lag[i]) + bias[p.blocs.index(bloc)]
        v -= float(p.user_harm) * w.R[i] ** 2 + (bloc != region) * float(p.distrust) * w.R[i]
        w.t_incumbent[i, m] = exp(v - w.alpha[m] * float(p.incumbent_cost[i]))
    for j, bloc in enumerate(p.challenger_bloc):
        v = w.value[m] + bias[p.blocs.index(bloc)]
        abroad = region not in p.incumbent_bloc
        client = v - w.beta[m] * client_lag + vertical * float(p.niche_client[j])
        client -= abroad * float(p.client_distrust) * np.mean(w.R)
        sovereign = v - w.beta[m] * w.lag_at_rest[j] + vertical * float(p.niche_sovereign[j])
        sovereign += (bloc == region) * float(p.home_trust[j])
        applied = v - w.beta[m] * w.open_lag
        applied += float(p.niche_applied[j]) if vertical else -float(p.applied_penalty[j])
        costs = (p.wholesale_price + p.client_cost[j], p.sovereign_cost[j], p.applied_cost[j])
        for a, (utility, cost) in enumerate(zip((client, sovereign, applied), costs, strict=True)):
            w.t_rest[j, a, m] = exp(utility - w.alpha[m] * float(cost))


def cell_replies(w, m, mix, effort, markup_i, markup_c, offered):
    """Best replies of the products of cell m to each other's markups, with H and S_C there."""
    P, mu_i, mu_c = mix.tolist(), markup_i[:, m].tolist(), markup_c[:, :, m].tolist()
    t_i, t = w.t_incumbent[:, m].tolist(), w.t_rest[:, :, m].tolist()
    for j in range(w.J):
        t[j][S] *= exp(w.beta[m] * w.D[j] * effort[j])
    G = [t_i[i] * exp(-mu_i[i]) for i in range(w.I)]
    own = [sum(P[j][a] * t[j][a] * exp(-mu_c[j][a]) for a in offered[j]) for j in range(w.J)]
    H = float(w.H0[m]) + sum(G) + sum(own)
    S_C = sum(P[j][C] * t[j][C] * exp(-mu_c[j][C]) / H for j in range(w.J))
    margin = [1 + float(w.omega[m] * w.licence[i, m]) * S_C for i in range(w.I)]
    reply_i = [margin[i] + _lambert(margin[i] * t_i[i] * exp(-margin[i]) / (H - G[i])) for i in range(w.I)]
    reply_c = np.ones((w.J, 3))
    for j in range(w.J):
        for a in offered[j]:
            reply_c[j, a] = 1 + _lambert(t[j][a] / (exp(1) * (H - own[j])))
    return reply_i, reply_c, H, S_C


def _lambert(x):
    return lambertw(x).real


def cost_share(p, mix):
    """csh (J,): the consortium bears a part of a member's programme, more when its mates go sovereign."""
    n, share = len(p.consortium), np.ones(len(p.challengers))
    for j, name in enumerate(p.challengers):
        mates = [mix[k, S] for k, other in enumerate(p.challengers) if other in p.consortium and k != j]
        if name in p.consortium and mates:
            share[j] = 1 - float(p.pool) * (1 - 1 / n) * np.mean(mates)
    return share


def books(w, mix, effort, markup_c):
    """Payoffs before the fee (J, 3), best effort (J,), and the subsidy paid given S (J,)."""
    p, csh = w.p, cost_share(w.p, mix)
    payoff, best, subsidy = np.zeros((w.J, 3)), np.zeros(w.J), np.zeros(w.J)
    for j in range(w.J):
        for a in range(3):
            payoff[j, a] = sum(w.scale[m] * (markup_c[j, a, m] - 1) for m in range(w.M))
        k, g = float(p.effort_cost[j]), float(p.subsidy[j])
        programme = (float(p.programme_cost[j]) + k * effort[j] ** 2 / 2) * csh[j]
        payoff[j, C] -= float(p.client_programme_cost[j])
        payoff[j, S] -= programme * (1 - g) + w.queries
        payoff[j, A] -= float(p.applied_programme_cost[j])
        B = sum(w.scale[m] * w.beta[m] * (1 - 1 / markup_c[j, S, m]) for m in range(w.M))
        best[j] = np.clip(B * w.D[j] / (k * (1 - g) * csh[j]), 0, float(p.effort_bound))
        subsidy[j] = g * programme
    return payoff, best, subsidy


def fees(p, payoff):
    """The licence fee given C (J,), from payoffs before it."""
    sigma = float(p.sigma)
    outside = [sigma * logsumexp(row[S:] / sigma) for row in payoff]
    surplus = [(row[C] - out) / sigma for row, out in zip(payoff, outside, strict=True)]
    return float(p.fee_share) * sigma * np.logaddexp(0, np.array(surplus, dtype=float))


def choice(p, payoff):
    """P and the payoffs net of the fee (J, 3), and the fee (J,), from payoffs before it."""
    fee = fees(p, payoff)
    net = payoff.copy()
    net[:, C] -= fee
    return np.array([softmax(row / float(p.sigma)) for row in net]).reshape(payoff.shape), net, fee


def settle(w, actions=None, *, damping=0.5, tolerance=1e-12, max_rounds=4000):
    """Prices, effort and mixes in equilibrium, or the first two for given actions; less damping where 0.5 fails."""
    P = np.full((w.J, 3), 1 / 3) if actions is None else np.eye(3)[list(actions)].reshape(w.J, 3)
    offered = [range(3) if actions is None else (actions[j],) for j in range(w.J)]
    x, mu_i, mu_c = np.full(w.J, 0.5), np.ones((w.I, w.M)), np.ones((w.J, 3, w.M))
    H, S_C, gap = np.zeros(w.M), np.zeros(w.M), np.inf
    for _ in range(max_rounds):
        new_i, new_c = np.zeros_like(mu_i), np.zeros_like(mu_c)
        for m in range(w.M):
            new_i[:, m], new_c[:, :, m], H[m], S_C[m] = cell_replies(w, m, P, x, mu_i, mu_c, offered)
        gross, new_x, subsidy = books(w, P, x, new_c)
        new_P, payoff, fee = choice(w.p, gross)
        pairs = [(mu_i, new_i), (mu_c, new_c), (x, new_x), (P, new_P if actions is None else P)]
        gap = max(np.abs(new - old).max(initial=0) for old, new in pairs)
        if gap <= tolerance:
            P = pairs[-1][1]  # the reply: a mix damped from 1/3 is wrong where a probability is below the tolerance
            found = {"mix": P, "effort": x, "markup_i": mu_i, "markup_c": mu_c, "H": H, "S_C": S_C}
            return SimpleNamespace(**found, gross=gross, payoff=payoff, fee=fee, subsidy=subsidy)
        mu_i, mu_c, x, P = (old + damping * (new - old) for old, new in pairs)
    if damping < 0.05:
        raise RuntimeError(f"the direct stage did not settle: still moving by {gap:.1e}")
    return settle(w, actions, damping=damping / 2, tolerance=tolerance, max_rounds=2 * max_rounds)


def stage(p, restriction, gamma=1.0):
    """The stage in fast mode.

    :return: mix and payoff, net of the fee (J, 3); effort, sovereign_lag and subsidy given S, and fee given C (J,);
        incumbent_markup (I, M), challenger_markup (J, 3, M), H and S_C (M,), client_share S_C,i (I, M); and R (I,).
    """
    w = world(p, restriction, gamma)
    s = settle(w)
    found = {name: getattr(s, name) for name in ("mix", "effort", "fee", "payoff", "subsidy", "H", "S_C")}
    return found | {
        "sovereign_lag": w.lag_at_rest - w.D * s.effort,
        "incumbent_markup": s.markup_i,
        "challenger_markup": s.markup_c,
        "client_share": w.licence * s.S_C,
        "R": w.R,
        "incumbent_sales": _incumbent_sales(w, s),
    }


def _incumbent_sales(w, s):
    """Σ_m (M/α)[μ_i s_i + ω_w S_C,i] (I,)."""
    sales = np.zeros(w.I)
    for i in range(w.I):
        for m in range(w.M):
            own = s.markup_i[i, m] * w.t_incumbent[i, m] * exp(-s.markup_i[i, m]) / s.H[m]
            sales[i] += w.scale[m] * (own + w.omega[m] * w.licence[i, m] * s.S_C[m])
    return sales


def incumbent_profits(p, stage, restriction):
    """Π_i (I,) at ε_γ = 0, where moving the frontier costs nothing beyond what is sunk."""
    num = len(p.incumbents)
    r = np.asarray(restriction, dtype=float).reshape(num, -1)
    fee = np.dot(stage["mix"][:, C], stage["fee"]) / num
    queries = float(p.query_price) * (1 - stage["R"]) * stage["mix"][:, S].sum() / num
    return stage["incumbent_sales"] + fee + queries - float(p.enforcement_cost) * (r**2).sum(axis=1) / 2


def consumer_surplus(p, H):
    """By cell (M,)."""
    return np.asarray(p.mass) / np.asarray(p.price_sensitivity) * np.log(H)


def welfare(p, stage, restriction):
    """W of the world in fast mode at ε_γ = 0."""
    subsidies = np.dot(stage["mix"][:, S], stage["subsidy"])
    private = incumbent_profits(p, stage, restriction).sum() + (stage["mix"] * stage["payoff"]).sum()
    return consumer_surplus(p, stage["H"]).sum() + private - (1 + float(p.public_funds_cost)) * subsidies


def exact_stage(p, restriction, gamma=1.0, *, damping=0.5, tolerance=1e-12, max_rounds=4000):
    """The stage in exact mode, J ≤ 4: prices, effort and csh in each of the 3^J profiles, fees on expected payoffs.

    :return: mix, payoff net of the fee, fee as in :func:`stage`; effort and sovereign_lag are expectations given S;
        incumbent_payoff (I,), consumer_surplus (M,) and welfare are expectations over the profiles.
    """
    w = world(p, restriction, gamma)
    if w.J > 4:
        raise ValueError(f"{3**w.J} profiles are too many for a direct solution: at most 4 challengers")
    markets = {actions: settle(w, actions) for actions in product(range(3), repeat=w.J)}
    mix = np.full((w.J, 3), 1 / 3)
    for _ in range(max_rounds):
        gross = _given_own_action(markets, mix, lambda s, j, a: s.gross[j, a])
        reply, net, fee = choice(p, gross)
        if np.abs(reply - mix).max(initial=0) <= tolerance:
            mix = reply
            break
        mix = mix + damping * (reply - mix)
    else:
        raise RuntimeError("the mixes of the exact stage did not settle")
    effort = _given_own_action(markets, mix, lambda s, j, a: s.effort[j])[:, S]
    outcome = {"mix": mix, "payoff": net, "fee": fee, "effort": effort, "sovereign_lag": w.lag_at_rest - w.D * effort}
    return outcome | _expected_outcomes(w, markets, outcome, restriction)


def _chance(mix, actions, without=None):
    return np.prod([mix[k, a] for k, a in enumerate(actions) if k != without])


def _given_own_action(markets, mix, quantity):
    """E[quantity(market, j, a) | j plays a] (J, 3)."""
    expected = np.zeros_like(mix)
    for actions, s in markets.items():
        for j, a in enumerate(actions):
            expected[j, a] += _chance(mix, actions, without=j) * quantity(s, j, a)
    return expected


def _expected_outcomes(w, markets, outcome, restriction):
    p, mix = w.p, outcome["mix"]
    sales, surplus, subsidies = np.zeros(w.I), np.zeros(w.M), 0.0
    for actions, s in markets.items():
        chance = _chance(mix, actions)
        sales += chance * _incumbent_sales(w, s)
        surplus += chance * consumer_surplus(p, s.H)
        subsidies += chance * sum(s.subsidy[j] for j, a in enumerate(actions) if a == S)
    profits = incumbent_profits(p, outcome | {"R": w.R, "incumbent_sales": sales}, restriction)
    private = profits.sum() + (mix * outcome["payoff"]).sum()
    total = surplus.sum() + private - (1 + float(p.public_funds_cost)) * subsidies
    return {"incumbent_payoff": profits, "consumer_surplus": surplus, "welfare": total}
