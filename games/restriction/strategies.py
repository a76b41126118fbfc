r"""What each strategy pays, the research effort, and the choice among them (model.md §4-6).

.. math::
    x^* = \mathrm{clip}\Bigl(\frac{B D}{k(1-g)\,\mathrm{csh}}, 0, \bar x\Bigr),\quad
    B = \sum_m \tfrac{M_m}{\alpha_m}\beta_m s_{jS,m},\quad
    \mathrm{csh} = 1 - \mathrm{pool}\,(1 - \tfrac1n)\,P_{\mathrm{mates}}(S)

    \mathrm{fee} = b_N\,\sigma \ln\bigl(1 + e^{(\pi_C - \mathrm{out})/\sigma}\bigr),\quad
    \mathrm{out} = \sigma\ln\bigl(e^{\pi_S/\sigma} + e^{\pi_A/\sigma}\bigr),\qquad
    P_j = \mathrm{softmax}(\pi_j/\sigma)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.restriction.demand import CLIENT, SOVEREIGN, Market, Prices
from games.restriction.nests import SYSTEMS
from games.restriction.parameters import Parameters


class Accounts(NamedTuple):
    """A challenger's books, by strategy, at given prices and mixes (conditional on the strategy)."""

    payoff: Array  # net of the fee (challenger, strategy)
    fee: Array  # given C (challenger)
    best_effort: Array  # given S (challenger)
    programme: Array  # F + k x²/2, before subsidy and sharing, given S (challenger)
    cost_share: Array  # csh (challenger)


def cost_share(p: Parameters, mix: Array) -> Array:
    """csh: what a member of the consortium bears of its programme (challenger,)."""
    member = np.array([name in p.consortium for name in p.challengers], dtype=mix.dtype)
    n = len(p.consortium)
    member = member.reshape(member.shape + (1,) * (mix.ndim - 2))
    sovereign = mix[:, SOVEREIGN]
    mates = ((member * sovereign).sum(axis=0) - sovereign) / max(n - 1, 1)
    return 1 - member * p.pool * (1 - 1 / max(n, 1)) * mates


def accounts(p: Parameters, m: Market, mix: Array, effort: Array, prices: Prices) -> Accounts:
    """The books at ``mix`` (challenger, strategy), ``effort`` (challenger) and equilibrium ``prices``."""
    gross = (m.scale * SYSTEMS[p.demand].margins(p, m, mix, effort, prices)).sum(axis=2)
    share = 1 - 1 / prices.challenger[:, SOVEREIGN]  # alone in its nest, whatever the demand
    borne = (1 - p.subsidy) * cost_share(p, mix)
    best_effort = (m.scale * p.lag_slope * share).sum(axis=1) * m.lag_slope / (p.effort_cost * borne)
    programme = p.programme_cost + p.effort_cost * effort**2 / 2
    fixed = [p.client_programme_cost, programme * borne + m.queries, p.applied_programme_cost]
    fixed += [jnp.zeros_like(programme)] * (mix.shape[1] - len(fixed))
    payoff = gross - jnp.stack([jnp.broadcast_to(cost, programme.shape) for cost in fixed], axis=1)
    fee = client_fee(p, payoff)
    return Accounts(
        payoff=payoff.at[:, CLIENT].add(-fee),
        fee=fee,
        best_effort=jnp.clip(best_effort, 0, m.effort_bound),
        programme=programme,
        cost_share=borne / (1 - p.subsidy),
    )


def client_fee(p: Parameters, payoff: Array) -> Array:
    """The licence fee (challenger,) from the payoffs before it (challenger, strategy)."""
    scaled = payoff / p.sigma
    outside = jax.nn.logsumexp(scaled[:, SOVEREIGN:], axis=1)
    return p.fee_share * p.sigma * jax.nn.softplus(scaled[:, CLIENT] - outside)
