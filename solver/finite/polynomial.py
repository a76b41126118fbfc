r"""Equilibria of small games of n players: for each support profile, the polynomial system from many starts.

On supports :math:`(S_1, \ldots, S_n)` an equilibrium solves :math:`u_{ia}(p) = v_i` for a in :math:`S_i`, p_ia = 0 elsewhere
and :math:`\sum_a p_{ia} = 1` (McKelvey and McLennan 1996; Porter, Nudelman and Shoham 2008). Newton's method runs from random
points of each support, all supports side by side; what has a regret is left out. Nothing proves that no root was missed.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from solver.linear import solve_linear
from solver.normal_form import NormalForm
from solver.regret import regret
from solver.solution import EquilibriumSet

LARGEST = 20_000  # support profiles
STEPS = 25


def polynomial_equilibria(game: NormalForm, starts: int, capacity: int) -> EquilibriumSet:
    """The equilibria found, smallest supports first; ``complete`` is false. See :func:`support_enumeration`."""
    sizes = game.payoff_array.shape[1:]
    if isinstance(game.payoff_array, Tracer):
        raise ValueError("support_enumeration of more than two players is not for jit or vmap: call it game by game")
    faces = [[f for f in itertools.product((False, True), repeat=n) if any(f)] for n in sizes]
    count = int(np.prod([len(f) for f in faces]))
    if count > LARGEST:
        raise ValueError(
            f"support_enumeration: {sizes} actions make {count} support profiles, above {LARGEST}; use logit_path"
        )
    masks = np.array([np.concatenate(f) for f in itertools.product(*faces)])
    masks = masks[np.argsort(masks.sum(axis=1), kind="stable")]
    points, good = _roots(game, jnp.asarray(masks), starts)
    points = np.asarray(points).reshape(-1, masks.shape[1])[np.asarray(good).ravel()]
    distinct: list[np.ndarray] = []
    for point in points:
        if not any(np.abs(point - other).max() < 1e-6 for other in distinct):
            distinct.append(point)
    kept = distinct[:capacity]
    table = jnp.asarray(np.array([*kept, *[np.zeros(masks.shape[1])] * (capacity - len(kept))]))
    strategies = tuple(_parts(table, sizes))
    mask = jnp.arange(capacity) < len(kept)
    gains = jax.vmap(lambda profile: regret(game, profile).max())(strategies)
    return EquilibriumSet(game, strategies, mask, mask.sum(), jnp.asarray(False), jnp.where(mask, gains, jnp.nan))


def _parts(flat: Array, sizes) -> list[Array]:
    ends = np.cumsum([0, *sizes])
    return [flat[..., a:b] for a, b in itertools.pairwise(ends)]


@functools.partial(jax.jit, static_argnums=2)
def _roots(game: NormalForm, masks: Array, starts: int):
    payoffs, sizes = game.payoff_array, game.payoff_array.shape[1:]
    table = payoffs.reshape(len(sizes), -1)
    spans = table.max(axis=1) - table.min(axis=1)
    scaled = NormalForm(payoffs / jnp.where(spans > 0, spans, 1).reshape(-1, *[1] * len(sizes)))
    total = sum(sizes)

    def system(z, mask):
        profile = tuple(_parts(z[:total], sizes))
        rows = []
        for i, inside in enumerate(_parts(mask, sizes)):
            rows.append(jnp.where(inside, scaled.action_payoffs(profile, i) - z[total + i], profile[i]))
        return jnp.concatenate([*rows, jnp.stack([p.sum() - 1 for p in profile])])

    def root(mask, draw):
        p = [jnp.where(m, d, 0) for m, d in zip(_parts(mask, sizes), _parts(draw, sizes), strict=True)]
        p = tuple(v / v.sum() for v in p)
        values = jnp.stack([v @ scaled.action_payoffs(p, i) for i, v in enumerate(p)])

        def newton(_, z):
            move = solve_linear(jax.jacfwd(system)(z, mask), -system(z, mask))
            return z + move * jnp.minimum(1, 1 / jnp.abs(move).max())

        z = jax.lax.fori_loop(0, STEPS, newton, jnp.concatenate([*p, values]))
        inside = jnp.where(mask, z[:total] > 1e-9, True).all() & jnp.isfinite(z).all()
        point = jnp.where(mask, z[:total], 0)
        profile = tuple(v / v.sum() for v in _parts(point, sizes))
        gains = [scaled.action_payoffs(profile, i) for i in range(len(sizes))]
        gain = jnp.stack([u.max() - u @ v for u, v in zip(gains, profile, strict=True)]).max()
        return jnp.concatenate(profile), inside & (gain <= 1e-8)

    draws = jax.random.exponential(jax.random.key(0), (starts, total), payoffs.dtype)
    return jax.lax.map(lambda mask: jax.vmap(lambda draw: root(mask, draw))(draws), masks, batch_size=64)
