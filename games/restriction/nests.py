r"""Nested logit demand, with stacks as nests, and the choice between it and plain logit (model.md §4).

In every cell the incumbents' products and their clients' are one nest (the US stack), the applied products and the fringe
another (the open base), every sovereign firm is one of its own, and the outside good stands alone. With dissimilarity
:math:`\nu` and :math:`g_f = t_f e^{-\mu_f}`,

.. math::
    D_n = \sum_{f\in n} g_f^{1/\nu},\quad H = 1 + \sum_n D_n^\nu,\quad s_{f|n} = g_f^{1/\nu}/D_n,\quad
    s_f = s_{f|n}\,D_n^\nu/H,\quad q_f = 1 - (1-\nu)\,s_{f|n} - \nu\,s_f.

A product loses :math:`s_f q_f/\nu` to its own markup, and a client gains :math:`s_{jC}(\frac{1-\nu}{\nu} s_{i|US} + s_i)` from
an incumbent's, so

.. math::
    \mu_{ja} = \nu/q_{ja},\qquad
    \mu_i = \nu\,\bigl[1 + \omega_w\varsigma_i S_C\,\bigl(1 + \tfrac{1-\nu}{\nu}/s_{US}\bigr)\bigr]/q_i

(McFadden 1978; Cardell 1997). ν = 1 is plain logit, and as there every aggregate is of expected products, to which a
challenger weighing an action adds its own in full after taking its expected ones out.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from games.restriction import demand
from games.restriction.demand import APPLIED, CLIENT, SOVEREIGN, Market, Prices, Sales, types
from games.restriction.parameters import Parameters


class _Weights(NamedTuple):
    """What products weigh in their nests, g^(1/ν); a sovereign firm, alone in its own, weighs g."""

    incumbent: Array  # (incumbent, cell)
    client: Array  # (challenger, cell)
    sovereign: Array
    applied: Array
    fringe: Array  # (cell)


class _Nests(NamedTuple):
    """D of the US stack and of the open base, and the worth of all else."""

    us: Array
    base: Array
    rest: Array


def _weights(p: Parameters, m: Market, effort: Array, prices: Prices) -> _Weights:
    power = 1 / p.dissimilarity
    g = types(p, m, effort) * jnp.exp(-prices.challenger)
    return _Weights(
        incumbent=(m.incumbent_type * jnp.exp(-prices.incumbent)) ** power,
        client=g[:, CLIENT] ** power,
        sovereign=g[:, SOVEREIGN],
        applied=g[:, APPLIED] ** power,
        fringe=(m.outside - 1) ** power,
    )


def _nests(w: _Weights, mix: Array, over: Callable[[Array], Array]) -> _Nests:
    """``over`` sums the expected products of the challengers (challenger, ...) that count."""
    tiny = jnp.finfo(w.fringe.dtype).tiny  # D^ν has no derivative at an empty nest
    us = w.incumbent.sum(axis=0) + over(mix[:, CLIENT, None] * w.client)
    base = w.fringe + over(mix[:, APPLIED, None] * w.applied)
    rest = 1 + over(mix[:, SOVEREIGN, None] * w.sovereign)
    return _Nests(jnp.maximum(us, tiny), jnp.maximum(base, tiny), rest)


def sales(p: Parameters, m: Market, mix: Array, effort: Array, prices: Prices) -> Sales:
    """The expected shares of all products."""
    nu = p.dissimilarity
    w = _weights(p, m, effort, prices)
    n = _nests(w, mix, lambda x: x.sum(axis=0))
    us, base = n.us**nu, n.base**nu
    H = us + base + n.rest
    in_us, in_base = us / (n.us * H), base / (n.base * H)
    product = [w.client * in_us, w.sovereign / H, w.applied * in_base]
    return Sales(
        incumbent=w.incumbent * in_us,
        challenger=mix[:, :, None] * _by_strategy(product, mix, none=0),
        fringe=w.fringe * in_base,
        aggregate=H,
    )


def _own_view(p: Parameters, m: Market, mix: Array, effort: Array, prices: Prices) -> tuple[Array, Array]:
    """s_{f|n} and s_f (challenger, strategy, cell), as each challenger sees them should it take the strategy."""
    nu = p.dissimilarity
    w = _weights(p, m, effort, prices)
    rivals = 1 - jnp.eye(mix.shape[0])
    n = _nests(w, mix, lambda x: jnp.tensordot(rivals, x, axes=1))
    us, base = n.us + w.client, n.base + w.applied
    within = [w.client / us, jnp.ones_like(us), w.applied / base]
    before = n.us**nu, n.base**nu
    after = us**nu, base**nu
    share = [
        within[CLIENT] * after[0] / (n.rest + before[1] + after[0]),
        w.sovereign / (n.rest + before[0] + before[1] + w.sovereign),
        within[APPLIED] * after[1] / (n.rest + before[0] + after[1]),
    ]
    return _by_strategy(within, mix, none=1), _by_strategy(share, mix, none=0)


def _by_strategy(product: list[Array], mix: Array, *, none: float) -> Array:
    """(challenger, strategy, ...); ``none`` for a strategy without a product."""
    return jnp.stack(product + [jnp.full_like(product[0], none)] * (mix.shape[1] - len(product)), axis=1)


def price_step(p: Parameters, m: Market, mix: Array, effort: Array, prices: Prices) -> Prices:
    """One Newton step of every markup on its own first-order condition, the others' markups as they are."""
    nu = p.dissimilarity
    s = sales(p, m, mix, effort, prices)
    clients = s.challenger[:, CLIENT].sum(axis=0)
    us = s.incumbent.sum(axis=0) + clients
    margin = 1 + m.wholesale * (clients * (1 + (1 - nu) / (nu * us)))[None]
    return Prices(
        _newton(nu, prices.incumbent, margin, s.incumbent / us, s.incumbent),
        _newton(nu, prices.challenger, 1.0, *_own_view(p, m, mix, effort, prices)),
    )


def _newton(nu: Array, markup: Array, margin: Array | float, within: Array, share: Array) -> Array:
    """From μ towards μ = ν margin/q; the right side falls in μ, so a step is never longer than to its value."""
    q = 1 - (1 - nu) * within - nu * share
    target = nu * margin / q
    slope = (1 - nu) / nu * within * (1 - within) + share * q  # ∂q/∂μ
    return markup + (target - markup) / (1 + target * slope / q)


def margins(p: Parameters, m: Market, mix: Array, effort: Array, prices: Prices) -> Array:
    """μ s at the own view: gross profit by strategy and cell in units of M/α (challenger, strategy, cell)."""
    return prices.challenger * _own_view(p, m, mix, effort, prices)[1]


class Demand(NamedTuple):
    """What the stage asks of a demand system; each takes (parameters, market, mix, effort, prices)."""

    price_step: Callable[..., Prices]
    margins: Callable[..., Array]
    sales: Callable[..., Sales]
    accelerated: Callable[[Any], Any]  # the part of a stage that does not converge fast by itself


SYSTEMS = {
    "logit": Demand(demand.price_step, demand.margins, demand.sales, lambda stage: (stage.logits, stage.effort)),
    "nested": Demand(price_step, margins, sales, lambda stage: stage),
}
