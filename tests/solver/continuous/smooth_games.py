"""Games with smooth payoffs that the tests of derivatives and paths share."""

import equinox as eqx
import jax
import jax.numpy as jnp

from solver import AbstractGame, Box, FixedPoint, fixed_point


class Effort(AbstractGame):
    """u_i = w_i log(1 + x_i) - x_i²/2 - z x_i x_j on [0, most_i]: smooth, not quadratic, with bounds that can bind."""

    gain: jax.Array
    cross: jax.Array
    most: jax.Array
    players: tuple[str, ...] = eqx.field(static=True, default=("one", "two"))

    def actions(self):
        return tuple(Box(-0.2, self.most[i]) for i in range(2))

    def payoffs(self, profile):
        x = jnp.concatenate(profile)
        return self.gain * jnp.log1p(x) - x**2 / 2 - self.cross * x * x[::-1]


def effort(vector):
    return Effort(vector[:2], vector[2], vector[3:])


class Inner(AbstractGame):
    """u = -(x - y)², y = cos(y + a x)/2: the payoff holds a fixed point. y* solves y = cos((1 + a) y)/2, and x = y."""

    a: jax.Array
    players: tuple[str, ...] = eqx.field(static=True, default=("alone",))

    def actions(self):
        return (Box(0.0, 1.0),)

    def payoffs(self, profile):
        inner: FixedPoint = fixed_point(
            lambda y, ax: jnp.cos(y + ax) / 2, jnp.zeros(1), self.a * profile[0], tolerance=1e-13
        )
        return -((profile[0] - inner.value) ** 2)
