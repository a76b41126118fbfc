"""Sets of strategies: intervals and boxes, and the mixtures over finitely many actions."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer


class Box(eqx.Module):
    """The strategies {x : lower <= x <= upper}, arrays of shape (n,); a scalar bound is broadcast.

    :raises ValueError: if a bound is not a number, or a lower one is above its upper one.
    """

    lower: Array
    upper: Array

    def __init__(self, lower: Any, upper: Any):
        low, high = (jnp.atleast_1d(jnp.asarray(bound, jnp.result_type(float))) for bound in (lower, upper))
        self.lower, self.upper = jnp.broadcast_arrays(low, high)
        if not any(isinstance(bound, Tracer) for bound in (low, high)):
            if not (np.isfinite(low).all() and np.isfinite(high).all()):
                raise ValueError(f"Box: lower = {lower} and upper = {upper} must be finite numbers")
            if (np.asarray(low) > np.asarray(high)).any():
                raise ValueError(f"Box: lower = {lower} lies above upper = {upper}; exchange them")

    @property
    def size(self) -> int:
        return self.lower.shape[0]

    def project(self, x: Array) -> Array:
        return jnp.clip(x, self.lower, self.upper)

    def midpoint(self) -> Array:
        return (self.lower + self.upper) / 2

    def sample(self, key: Array) -> Array:
        return jax.random.uniform(key, self.lower.shape, self.lower.dtype, self.lower, self.upper)


class Simplex(eqx.Module):
    """The mixtures over ``num_actions`` actions: arrays of shape (num_actions,), non-negative, of sum 1."""

    num_actions: int = eqx.field(static=True)

    def __check_init__(self):
        if self.num_actions < 1:
            raise ValueError(f"Simplex: num_actions = {self.num_actions} must be at least 1")

    @property
    def size(self) -> int:
        return self.num_actions

    def project(self, x: Array) -> Array:
        """The nearest mixture (Held, Wolfe and Crowder 1974)."""
        down = jnp.sort(x)[::-1]
        excess = (jnp.cumsum(down) - 1) / jnp.arange(1, self.num_actions + 1)
        last = jnp.sum(down > excess) - 1
        return jnp.maximum(x - excess[last], 0)

    def midpoint(self) -> Array:
        return jnp.full(self.num_actions, 1 / self.num_actions)

    def sample(self, key: Array) -> Array:
        return jax.random.dirichlet(key, jnp.ones(self.num_actions))
