r"""Restriction, the knowledge pool, and the lag behind the frontier (model.md §2-3).

.. math::
    R_i = 1 - \prod_c (1 - \eta_c r_{ic}),\qquad
    R_i \leftarrow 1 - (1 - R_i)(1 - s_d\,\overline{R_{-i}}),\qquad
    \ell_{ib} = e^{-\theta z_i}(1 - \mathrm{bite}_b R_i)

    \Lambda_b = \lambda_{0b} + (1 - \lambda_{0b})\Bigl[\tfrac1I \sum_i \ell_{ib}^\rho\Bigr]^{1/\rho},\qquad
    \bar z = z_0 E(\omega Y) + (\gamma - x) Y G(\omega Y),\quad \omega = \varphi\Lambda

Arrays put their own axes first; whatever follows them is a batch ("lanes"), carried along by broadcasting.
"""

import jax.numpy as jnp
from jax import Array

from games.restriction.parameters import Parameters


def effective_restriction(p: Parameters, restriction: Array) -> Array:
    """R_i (incumbent,) from r_ic (incumbent, channel), shared detection included."""
    alone = 1 - jnp.prod(1 - p.channel_effect[None] * restriction, axis=1)
    others = (alone.sum(axis=0) - alone) / max(len(p.incumbents) - 1, 1)
    return 1 - (1 - alone) * (1 - p.detection_sharing * others)


def power_mean(leak: Array, rho: Array) -> Array:
    """[mean_i leak_i^rho]^(1/rho) over the first axis; at rho = inf the largest leak, as a case of its own."""
    largest = leak.max(axis=0)
    weakest_link = jnp.isinf(rho)
    finite = jnp.where(weakest_link, 1.0, rho)
    dry = largest <= 0
    ratio = leak / jnp.where(dry, 1.0, largest)
    positive = ratio > 0  # 0 ** rho has no derivative in rho
    powers = jnp.where(positive, jnp.where(positive, ratio, 1.0) ** finite, 0.0)
    mean = jnp.where(dry, 1.0, powers.mean(axis=0))
    return jnp.where(weakest_link | dry, largest, largest * mean ** (1 / finite))


def pools(p: Parameters, effective: Array) -> tuple[Array, Array]:
    """Λ_b (bloc,) and Λ_o, the open community's pool (at bite 1 and the mean λ0), from R (incumbent,)."""
    bite = jnp.concatenate([p.bite, jnp.ones_like(p.bite[:1])])
    outside = jnp.concatenate([p.outside_knowledge, p.outside_knowledge.mean(axis=0, keepdims=True)])
    worth = jnp.exp(-p.theta * p.incumbent_lag)
    leak = worth[:, None] * (1 - bite[None] * effective[:, None])
    pool = outside + (1 - outside) * power_mean(leak, p.rho)
    return pool[:-1], pool[-1]


def decay(y: Array) -> tuple[Array, Array]:
    """E(y) = (1 - exp(-y))/y and G(y) = (1 - E(y))/y, by their series near 0."""
    near = jnp.abs(y) < 0.1
    safe = jnp.where(near, 1.0, y)
    e_far = -jnp.expm1(-safe) / safe
    e_near = g_near = jnp.ones_like(y)
    for k in range(7, 0, -1):  # sum_k (-y)^k/(k+1)! and sum_k (-y)^k/(k+2)!, by Horner: 1e-13 at 0.1
        e_near = 1 - y / (k + 1) * e_near
        g_near = 1 - y / (k + 2) * g_near
    return jnp.where(near, e_near, e_far), jnp.where(near, g_near / 2, (1 - e_far) / safe)


def mean_lag(starting_lag: Array, speed: Array, effort: Array, gamma: Array, horizon: Array) -> tuple[Array, Array]:
    """The mean lag over the horizon, and D = -∂lag/∂effort (Nelson and Phelps 1966); ``speed`` is ω = φΛ."""
    e, g = decay(speed * horizon)
    D = horizon * g
    return starting_lag * e + (gamma - effort) * D, D
