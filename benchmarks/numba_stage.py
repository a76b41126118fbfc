r"""The challengers' stage as a hand-written loop with plain damping: what the accelerated solver has to beat.

The fixed point is that of ``games.restriction.challengers``. Damped by one half are the mixes, effort and aggregates:
each firm's expected :math:`t e^{-\mu}` (so H too) and the clients' sales. A markup is not damped: it takes one
Newton step a round from its last value, which in this form costs one exponential and one division,

.. math::
    \mu \leftarrow 1 + \mu\,\frac{g}{R + g},\qquad g = t e^{-\mu},\qquad m = 1 + \omega_w S_{C,i},\qquad
    \mu_i \leftarrow m\,(1 + u),\quad u = \frac{g\,(1 + \mu_i - m)}{R + m g}.

How it gains speed: a thread works on a tile of WIDTH lanes side by side, so that every inner loop runs over firm and
lane without a branch and becomes vector instructions; a lane that has arrived leaves, and the next one takes its place.
The exponential and the logarithm are polynomials, since a call into the C library would not vectorise. Loops are short
and touch few arrays each: the compiler has to check that they do not overlap, and gives up where there are many.
"""

# numba passes an intrinsic's typing context itself, which a type checker cannot know
# pyright: reportCallIssue=false

from collections import namedtuple

import numpy as np
from llvmlite import ir
from numba import get_num_threads, njit, prange, types
from numba.extending import intrinsic

WIDTH = 32  # lanes of a tile: enough to fill vectors, few enough to stay in the cache
DAMPING = 0.5
CLIENT, SOVEREIGN, APPLIED = 0, 1, 2
LOWEST_MARKUP = 1.0
AT_LOWEST = np.exp(-LOWEST_MARKUP)

# exp and log rely on x + big - big not being simplified; elsewhere sums may be reordered, and NaN stays NaN
EXACT = {"contract"}
FAST = {"fastmath": {"nsz", "arcp", "contract", "afn", "reassoc"}, "error_model": "numpy"}

MARKET = {
    "outside": "outside",
    "incumbent_type": "incumbent_type",
    "type_at_rest": "type_at_rest",
    "scale": "scale",
    "wholesale": "wholesale",
    "queries": "queries",
    "effort_effect": "lag_slope",  # D = -∂lag/∂effort; the parameter lag_slope is β
}
PARAMETERS = (
    "lag_slope", "sigma", "fee_share", "effort_cost", "subsidy", "pool", "programme_cost", "client_programme_cost",
    "applied_programme_cost", "effort_bound",
)  # fmt: skip
Lanes = namedtuple("Lanes", [*MARKET, *PARAMETERS, "mates"])
# the lanes under way: (…, cell, firm and lane), then (…, firm and lane), then (cell, lane) and (lane,)
Tile = namedtuple(
    "Tile",
    "incumbent incumbent_markup wholesale margin incumbent_rivals G incumbent_change "
    "t markup rivals own change sales share scale worth boost "
    "mix reply fixed effort best research effect cost bound borne pooled mates inverse_sigma fee_share firm_gap work "
    "outside H sold gap lane steps",
)


def lanes_from(parameters, market) -> dict[str, np.ndarray]:
    """The lanes of :func:`solve`, batch first, from ``Parameters`` and ``Market`` whose arrays have the batch last."""
    lanes = {name: getattr(market, source) for name, source in MARKET.items()}
    lanes |= {name: getattr(parameters, name) for name in PARAMETERS}
    lanes = {name: np.ascontiguousarray(np.moveaxis(np.asarray(a, dtype=float), -1, 0)) for name, a in lanes.items()}
    members = np.array([name in parameters.consortium for name in parameters.challengers], dtype=float)
    n = len(parameters.consortium)
    # csh = 1 - pool (1 - 1/n) mean_mates P_S, as a weight on the sum over mates
    return lanes | {"mates": members * (1 - 1 / max(n, 1)) / max(n - 1, 1)}


def solve(lanes, tolerance=1e-8, max_steps=2000):
    """mix (L, J, 3), effort (L, J), steps (L,) and converged (L,) of the lanes of :func:`lanes_from`.

    A lane has converged when no mix, effort or aggregate (as a share of H) moves by more than ``tolerance`` in a step
    before damping.
    """
    return _solve(Lanes(**lanes), float(tolerance), int(max_steps))


@intrinsic
def _bits(typing, x):
    return types.uint64(types.float64), lambda _, builder, __, args: builder.bitcast(args[0], ir.IntType(64))


@intrinsic
def _float(typing, bits):
    return types.float64(types.uint64), lambda _, builder, __, args: builder.bitcast(args[0], ir.DoubleType())


MANTISSA, SQRT_HALF, TWO_52 = np.uint64(52), np.uint64(0x3FE6A09E667F3BCD), np.uint64(0x4330000000000000)


@njit(fastmath=EXACT)
def _exp(x):
    """e^x for |x| < 700: x = n ln 2 + r, a Taylor polynomial in r, and n added to the exponent's bits."""
    shifted = x * 1.4426950408889634 + 6755399441055744.0  # 1.5 * 2^52: the last bits hold n
    n = shifted - 6755399441055744.0
    r = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10
    y = r / 479001600 + 1 / 39916800
    y = y * r + 1 / 3628800
    y = y * r + 1 / 362880
    y = y * r + 1 / 40320
    y = y * r + 1 / 5040
    y = y * r + 1 / 720
    y = y * r + 1 / 120
    y = y * r + 1 / 24
    y = y * r + 1 / 6
    y = y * r + 0.5
    y = y * r + 1
    y = y * r + 1
    return _float(_bits(y) + (_bits(shifted) << MANTISSA))


@njit(fastmath=EXACT)
def _log(x):
    """ln x for x ≥ 1: x = 2^n m with m near 1, and the series of the inverse hyperbolic tangent."""
    n = (_bits(x) - SQRT_HALF) >> MANTISSA
    m = _float(_bits(x) - (n << MANTISSA))
    s = (m - 1) / (m + 1)
    z = s * s
    y = z / 19 + 1 / 17
    y = y * z + 1 / 15
    y = y * z + 1 / 13
    y = y * z + 1 / 11
    y = y * z + 1 / 9
    y = y * z + 1 / 7
    y = y * z + 1 / 5
    y = y * z + 1 / 3
    y = y * z + 1
    return (_float(n + TWO_52) - 4503599627370496.0) * 0.6931471805599453 + 2 * s * y


@njit(**FAST)
def _aggregates(outside, G, own, sold, wholesale, H, incumbent_rivals, margin, rivals):
    """H, what each firm's rivals add up to, and the incumbents' margin from their clients' share."""
    M, num_incumbents, W = G.shape
    for m in range(M):
        for w in range(W):
            H[m, w] = outside[m, w]
        for i in range(num_incumbents):
            for w in range(W):
                H[m, w] += G[m, i, w]
        for j in range(own.shape[1]):
            for w in range(W):
                H[m, w] += own[m, j, w]
        for i in range(num_incumbents):
            for w in range(W):
                incumbent_rivals[m, i, w] = H[m, w] - G[m, i, w]
            for w in range(W):
                margin[m, i, w] = 1 + wholesale[m, i, w] * (sold[m, w] / H[m, w])
        for j in range(own.shape[1]):
            for w in range(W):
                rivals[m, j, w] = H[m, w] - own[m, j, w]


@njit(**FAST)
def _incumbents(t, markup, margin, rivals, G, change):
    """A Newton step of the incumbents' markups; ``change`` is that of G = t exp(-μ), which is damped."""
    for m in range(t.shape[0]):
        for n in range(t.shape[1]):
            g = t[m, n] * _exp(-markup[m, n])
            change[m, n] = g * (1 + markup[m, n] - margin[m, n]) / (rivals[m, n] + margin[m, n] * g)
    for m in range(t.shape[0]):
        for n in range(t.shape[1]):
            markup[m, n] = margin[m, n] * (1 + change[m, n])
    for m in range(t.shape[0]):
        for n in range(t.shape[1]):
            change[m, n] = rivals[m, n] * change[m, n] - G[m, n]
    for m in range(t.shape[0]):
        for n in range(t.shape[1]):
            G[m, n] += DAMPING * change[m, n]


@njit(**FAST)
def _challengers(t, markup, rivals, boost, effort, share, work):
    """A Newton step of the challengers' markups; ``share`` is that of the sovereign product given S."""
    M, N = rivals.shape
    for a in range(0, 3, 2):  # client and applied
        for m in range(M):
            for n in range(N):
                g = t[a, m, n] * _exp(-markup[a, m, n])
                markup[a, m, n] = 1 + markup[a, m, n] * (g / (rivals[m, n] + g))
    for m in range(M):
        for n in range(N):
            work[m, n] = boost[m, n] * effort[n] - markup[SOVEREIGN, m, n]
    for m in range(M):
        for n in range(N):
            g = t[SOVEREIGN, m, n] * _exp(work[m, n])
            s = g / (rivals[m, n] + g)
            share[m, n] = s
            markup[SOVEREIGN, m, n] = 1 + markup[SOVEREIGN, m, n] * s


@njit(**FAST)
def _profits(markup, share, scale, worth, profit, research):
    """Profits before fixed costs by strategy, and what a unit of lag is worth given S."""
    M, N = share.shape
    for n in range(N):
        research[n] = 0
    for m in range(M):
        for n in range(N):
            research[n] += worth[m, n] * share[m, n]
    for a in range(3):
        for n in range(N):
            profit[a, n] = 0
        for m in range(M):
            for n in range(N):
                profit[a, n] += scale[m, n] * (markup[a, m, n] - 1)


@njit(**FAST)
def _sales(markup, mix, rivals, own, change, sales):
    """``change`` of each firm's expected t exp(-μ) = R (μ - 1), which is damped, and what clients sell of it."""
    M, N = rivals.shape
    for m in range(M):
        for n in range(N):
            sales[m, n] = rivals[m, n] * mix[CLIENT, n] * (markup[CLIENT, m, n] - 1)
        for n in range(N):
            change[m, n] = sales[m, n] - own[m, n]
    for a in range(SOVEREIGN, 3):
        for m in range(M):
            for n in range(N):
                change[m, n] += rivals[m, n] * mix[a, n] * (markup[a, m, n] - 1)
    for m in range(M):
        for n in range(N):
            own[m, n] += DAMPING * change[m, n]


@njit(**FAST)
def _efforts(profit, mix, fixed, effort, best, research, effect, cost, bound, borne, pooled, mates, firm_gap, work):
    """The best effort from what research is worth, damped; the programme is charged to the profits of S."""
    N = effort.size
    for n in range(N):
        work[n] = borne[n] * (1 - pooled[n] * (mates[n] - mix[SOVEREIGN, n]))
    for n in range(N):
        profit[SOVEREIGN, n] -= 0.5 * cost[n] * effort[n] * effort[n] * work[n]
    for n in range(N):
        profit[SOVEREIGN, n] -= fixed[3, n] * work[n]
    for n in range(N):
        best[n] = research[n] * effect[n] / (cost[n] * work[n])
    for n in range(N):
        best[n] = min(max(best[n], 0.0), bound[n])
    for n in range(N):
        firm_gap[n] = abs(best[n] - effort[n])
    for n in range(N):
        effort[n] += DAMPING * (best[n] - effort[n])


@njit(**FAST)
def _choices(value, mix, fixed, inverse_sigma, fee_share, firm_gap, work):
    """Logit choice from profits, in place, and the damped mix.

    With weights e = exp(π/σ) the fee multiplies that of C by (1 + e_C/(e_S + e_A))^-b.
    """
    N = work.size
    for a in range(3):
        for n in range(N):
            value[a, n] = (value[a, n] - fixed[a, n]) * inverse_sigma[n]
    for n in range(N):
        work[n] = max(value[0, n], max(value[1, n], value[2, n]))
    for a in range(3):
        for n in range(N):
            value[a, n] = _exp(max(value[a, n] - work[n], -700.0))
    for n in range(N):
        work[n] = value[SOVEREIGN, n] + value[APPLIED, n]
    for n in range(N):
        work[n] = -fee_share[n] * _log(1 + value[CLIENT, n] / work[n])
    for n in range(N):
        value[CLIENT, n] *= _exp(work[n])
    for n in range(N):
        work[n] = 1 / (value[0, n] + value[1, n] + value[2, n])
    for a in range(3):
        for n in range(N):
            value[a, n] *= work[n]
        for n in range(N):
            firm_gap[n] = max(firm_gap[n], abs(value[a, n] - mix[a, n]))
        for n in range(N):
            mix[a, n] += DAMPING * (value[a, n] - mix[a, n])


@njit(**FAST)
def _gaps(gap, H, incumbent_change, change, firm_gap):
    """The largest change of each lane before damping, that of an aggregate as a share of H."""
    M, J, W = change.shape
    for w in range(W):
        gap[w] = 0
    for m in range(M):
        for i in range(incumbent_change.shape[1]):
            for w in range(W):
                gap[w] = max(gap[w], abs(incumbent_change[m, i, w]) / H[m, w])
        for j in range(J):
            for w in range(W):
                gap[w] = max(gap[w], abs(change[m, j, w]) / H[m, w])
    for j in range(J):
        for w in range(W):
            gap[w] = max(gap[w], firm_gap[j, w])


@njit(**FAST)
def _sums(sold, sales, mix, mates, weights):
    """What is summed over firms: the clients' sales, damped, and the sovereignty of the consortium."""
    M, J, W = sales.shape
    for m in range(M):
        for w in range(W):
            sold[m, w] *= 1 - DAMPING
        for j in range(J):
            for w in range(W):
                sold[m, w] += DAMPING * sales[m, j, w]
    for j in range(J):
        for w in range(W):
            mates[j, w] = 0
        for k in range(J):
            if weights[k] > 0:
                for w in range(W):
                    mates[j, w] += mix[SOVEREIGN, k, w]


@njit
def _empty_tile(num_incumbents, num_challengers, M):
    NI, N, W = num_incumbents * WIDTH, num_challengers * WIDTH, WIDTH
    return Tile(
        np.ones((M, NI)), np.ones((M, NI)), np.ones((M, NI)), np.ones((M, NI)), np.ones((M, NI)), np.ones((M, NI)),
        np.ones((M, NI)),
        np.ones((3, M, N)), np.ones((3, M, N)), np.ones((M, N)), np.ones((M, N)), np.ones((M, N)), np.ones((M, N)),
        np.ones((M, N)), np.ones((M, N)), np.ones((M, N)), np.ones((M, N)),
        np.ones((3, N)), np.ones((3, N)), np.ones((4, N)), np.ones(N), np.ones(N), np.ones(N), np.ones(N), np.ones(N),
        np.ones(N), np.ones(N), np.ones(N), np.ones(N), np.ones(N), np.ones(N), np.ones(N), np.ones(N),
        np.ones((M, W)), np.ones((M, W)), np.ones((M, W)), np.ones(W), np.full(W, -1), np.zeros(W, np.int64),
    )  # fmt: skip


@njit
def _load(s, w, lanes, lane):
    """Lane ``lane`` enters column w: even mixes, half effort, lowest markups."""
    s.lane[w], s.steps[w] = lane, 0
    _, J, _, M = lanes.type_at_rest.shape
    for m in range(M):
        s.outside[m, w], s.sold[m, w] = lanes.outside[lane, m], 0
        for i in range(lanes.incumbent_type.shape[1]):
            n = i * WIDTH + w
            s.incumbent[m, n], s.wholesale[m, n] = lanes.incumbent_type[lane, i, m], lanes.wholesale[lane, i, m]
            s.incumbent_markup[m, n], s.G[m, n] = LOWEST_MARKUP, lanes.incumbent_type[lane, i, m] * AT_LOWEST
        for j in range(J):
            n = j * WIDTH + w
            s.scale[m, n], s.worth[m, n] = lanes.scale[lane, m], lanes.scale[lane, m] * lanes.lag_slope[lane, m]
            s.boost[m, n], s.own[m, n] = lanes.lag_slope[lane, m] * lanes.effort_effect[lane, j], 0
            for a in range(3):
                s.t[a, m, n], s.markup[a, m, n] = lanes.type_at_rest[lane, j, a, m], LOWEST_MARKUP
                s.own[m, n] += lanes.type_at_rest[lane, j, a, m] * AT_LOWEST / 3
            s.sold[m, w] += lanes.type_at_rest[lane, j, CLIENT, m] * AT_LOWEST / 3
    for j in range(J):
        n = j * WIDTH + w
        s.mix[:, n], s.effort[n], s.bound[n] = 1 / 3, 0.5, lanes.effort_bound[lane]
        s.effect[n], s.cost[n] = lanes.effort_effect[lane, j], lanes.effort_cost[lane, j]
        s.borne[n], s.pooled[n] = 1 - lanes.subsidy[lane, j], lanes.pool[lane] * lanes.mates[j]
        s.mates[n] = (lanes.mates > 0).sum() / 3
        s.inverse_sigma[n], s.fee_share[n] = 1 / lanes.sigma[lane], lanes.fee_share[lane]
        s.fixed[CLIENT, n], s.fixed[SOVEREIGN, n] = lanes.client_programme_cost[lane, j], lanes.queries[lane]
        s.fixed[APPLIED, n], s.fixed[3, n] = lanes.applied_programme_cost[lane, j], lanes.programme_cost[lane, j]


@njit
def _refill(s, lanes, waiting, last, tolerance, max_steps, mix, effort, steps, converged):
    """Lanes that have arrived leave with their last replies, the better end of a step; others take their place."""
    for w in range(WIDTH):
        lane = s.lane[w]
        if lane >= 0 and s.gap[w] > tolerance and s.steps[w] < max_steps:
            continue
        if lane >= 0:
            steps[lane], converged[lane], s.lane[w] = s.steps[w], s.gap[w] <= tolerance, -1
            for j in range(mix.shape[1]):
                effort[lane, j], mix[lane, j] = s.best[j * WIDTH + w], s.reply[:, j * WIDTH + w]
                converged[lane] &= np.isfinite(mix[lane, j].sum() + effort[lane, j])  # a largest gap can hide a NaN
        if waiting < last:
            _load(s, w, lanes, waiting)
            waiting += 1
    return waiting


@njit
def _run(lanes, first, last, tolerance, max_steps, mix, effort, steps, converged):
    """Lanes first..last on one thread."""
    _, J, _, M = lanes.type_at_rest.shape
    s = _empty_tile(lanes.incumbent_type.shape[1], J, M)
    G, wholesale, margin = s.G.reshape(M, -1, WIDTH), s.wholesale.reshape(M, -1, WIDTH), s.margin.reshape(M, -1, WIDTH)
    incumbent_rivals, incumbent_change = s.incumbent_rivals.reshape(G.shape), s.incumbent_change.reshape(G.shape)
    own, rivals = s.own.reshape(M, J, WIDTH), s.rivals.reshape(M, J, WIDTH)
    change, sales = s.change.reshape(M, J, WIDTH), s.sales.reshape(M, J, WIDTH)
    mixes, mates, firm_gap = s.mix.reshape(3, J, WIDTH), s.mates.reshape(J, WIDTH), s.firm_gap.reshape(J, WIDTH)
    waiting = _refill(s, lanes, first, last, tolerance, max_steps, mix, effort, steps, converged)
    busy = last > first
    while busy:
        _aggregates(s.outside, G, own, s.sold, wholesale, s.H, incumbent_rivals, margin, rivals)
        _incumbents(s.incumbent, s.incumbent_markup, s.margin, s.incumbent_rivals, s.G, s.incumbent_change)
        _challengers(s.t, s.markup, s.rivals, s.boost, s.effort, s.share, s.change)
        _profits(s.markup, s.share, s.scale, s.worth, s.reply, s.research)
        _sales(s.markup, s.mix, s.rivals, s.own, s.change, s.sales)
        _efforts(
            s.reply, s.mix, s.fixed, s.effort, s.best, s.research, s.effect, s.cost, s.bound, s.borne, s.pooled,
            s.mates, s.firm_gap, s.work,
        )  # fmt: skip
        _choices(s.reply, s.mix, s.fixed, s.inverse_sigma, s.fee_share, s.firm_gap, s.work)
        _gaps(s.gap, s.H, incumbent_change, change, firm_gap)
        _sums(s.sold, sales, mixes, mates, lanes.mates)
        busy = arrived = False
        for w in range(WIDTH):
            s.steps[w] += 1
            busy |= s.lane[w] >= 0
            arrived |= s.lane[w] >= 0 and (not s.gap[w] > tolerance or s.steps[w] >= max_steps)
        if arrived:
            waiting = _refill(s, lanes, waiting, last, tolerance, max_steps, mix, effort, steps, converged)


@njit(parallel=True)
def _solve(lanes, tolerance, max_steps):
    L, J, _, _ = lanes.type_at_rest.shape
    mix, effort = np.empty((L, J, 3)), np.empty((L, J))
    steps, converged = np.zeros(L, np.int64), np.zeros(L, np.bool_)
    parts = get_num_threads()
    for part in prange(parts):
        first, last = part * L // parts, (part + 1) * L // parts
        _run(lanes, first, last, tolerance, max_steps, mix, effort, steps, converged)
    return mix, effort, steps, converged
