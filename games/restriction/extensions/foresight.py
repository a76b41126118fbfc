r"""One round of the Markov-perfect game: choices and efforts with an eye to what follows (see :mod:`.markov`).

Between knots of the B-spline a challenger's objective in its effort is a parabola, so the best effort is one of a few points.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.restriction.challengers import Stage, respond
from games.restriction.demand import SOVEREIGN, Market
from games.restriction.extensions.revisions import lag
from games.restriction.knowledge import decay
from games.restriction.parameters import Parameters
from games.restriction.strategies import cost_share


class Lags(NamedTuple):
    """The grid and how lags move on it."""

    grid: Array  # years (challenger, point)
    state: Array  # years (state, challenger)
    speed: Array  # ω (challenger)
    period: Array  # Δ ()
    discount: Array  # δ ()


class Plan(NamedTuple):
    """The unknowns: the stage in every state, and values."""

    stage: Stage  # every array leads with the state
    value: Array  # (state, challenger)


def spread(z: Array, grid: Array) -> Array:
    """The B-spline weights (.., challenger, .., point) of lags z (.., challenger, ..), axis 1 being the challenger."""
    points = grid.shape[1]
    shape = (1, -1, *[1] * (z.ndim - 2))
    at = jnp.clip((z - grid[:, 0].reshape(shape)) / _step(grid).reshape(shape), 0, points - 1)[..., None]
    distance = jnp.abs(at - jnp.arange(-1, points + 1))
    near, far = 0.75 - distance**2, jnp.maximum(1.5 - distance, 0) ** 2 / 2
    weight = jnp.where(distance < 0.5, near, far)
    inside = weight[..., 1:-1]  # what falls beyond an end stays at it
    return inside.at[..., 0].add(weight[..., 0]).at[..., -1].add(weight[..., -1])


def _continued(value: Array, arrival: Array) -> Array:
    """E[V_j] by where j itself arrives (state, challenger, point), the others by ``arrival`` (likewise)."""
    states, num, points = arrival.shape
    rows = []
    for j in range(num):
        total = value[:, j].reshape(1, *[points] * num)
        for i in range(num):
            if i != j:
                chance = arrival[:, i].reshape(states, *[points if k == i else 1 for k in range(num)])
                total = (total * chance).sum(axis=i + 1, keepdims=True)
        rows.append(jnp.broadcast_to(total, (states, *total.shape[1:])).reshape(states, points))
    return jnp.stack(rows, axis=1)


def look_ahead(plan: Plan, args: tuple[Parameters, Market, Lags]) -> Plan:
    """The stage's round in every state, choices and efforts with an eye to what follows, and the values of it."""
    p, m, lags = args
    static = jax.vmap(respond, in_axes=(0, (None, 0)))(plan.stage, (p, m))
    mix = jax.nn.softmax(plan.stage.logits, axis=2)
    kinds = mix.shape[2]
    effort = plan.stage.effort[:, :, None] * (np.arange(kinds) == SOVEREIGN)
    speed = lags.speed[:, None]
    after = lag(lags.state[:, :, None], speed, effort, jnp.ones(()), lags.period)
    weight = spread(after, lags.grid)
    ahead = _continued(plan.value, jnp.einsum("sja,sjak->sjk", mix, weight))
    logits = static.logits + lags.discount * jnp.einsum("sjk,sjak->sja", ahead, weight) / p.sigma
    stage = Stage(logits, _best_effort(p, m, static, mix, lags, lags.discount * ahead), static.prices)
    return Plan(stage, p.sigma * jax.nn.logsumexp(logits, axis=2))


def _best_effort(p: Parameters, m: Market, stage: Stage, mix: Array, lags: Lags, ahead: Array) -> Array:
    """x (state, challenger) that maximises BD x - c x²/2 + E[``ahead``] at the present B: between knots a parabola.

    :param ahead: δ E[V_j] by where j arrives (state, challenger, point).
    """
    share = 1 - 1 / stage.prices.challenger[:, :, SOVEREIGN]
    gain = ((m.scale[:, None] * p.lag_slope * share).sum(axis=2) * m.lag_slope)[..., None]
    cost = (p.effort_cost * (1 - p.subsidy) * jax.vmap(lambda row: cost_share(p, row))(mix))[..., None]
    points, bound = lags.grid.shape[1], m.effort_bound[:, None, None]
    idle = lag(lags.state, lags.speed, jnp.zeros(()), jnp.ones(()), lags.period)
    rate = (lags.period * decay(lags.speed * lags.period)[0] / _step(lags.grid))[
        None, :, None
    ]  # steps of the grid for x
    start = ((idle - lags.grid[:, 0]) / _step(lags.grid))[..., None] - np.arange(points)
    below, above = (jnp.concatenate(parts, axis=2) for parts in ((ahead[..., :1], ahead), (ahead, ahead[..., -1:])))
    slope, bend = (above[..., 1:] - below[..., :-1]) / 2, above[..., 1:] - 2 * ahead + below[..., :-1]
    edge = 0.5 + np.where(
        np.arange(points) == np.array([[0], [points - 1]]), np.inf, 0.0
    )  # below the first, above the last
    ends = [jnp.clip((start - side) / rate, 0, bound) for side in (edge[1], -edge[0])]
    curve = cost - rate**2 * bend
    vertex = (gain - rate * (slope + bend * start)) / jnp.where(curve > 0, curve, 1.0)
    inner = jnp.where(curve > 0, jnp.clip(vertex, *ends), ends[0])
    x = jnp.stack([*ends, inner])
    t = start - rate * x
    worth = (
        gain * x - cost * x**2 / 2 + (below[..., :-1] + 6 * ahead + above[..., 1:]) / 8 + slope * t + bend * t**2 / 2
    )
    inside = (t <= edge[1] + 1e-9) & (t >= -edge[0] - 1e-9)
    x, worth = (jnp.moveaxis(v, 0, -1).reshape(*v.shape[1:3], -1) for v in (x, jnp.where(inside, worth, -jnp.inf)))
    return jnp.take_along_axis(x, worth.argmax(axis=2)[..., None], axis=2)[..., 0]


def _step(grid: Array) -> Array:
    return grid[:, 1] - grid[:, 0] if grid.shape[1] > 1 else jnp.ones_like(grid[:, 0])
