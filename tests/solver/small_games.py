"""Games the solver's tests share. Numbers are leaves and names static, so that one compilation serves many cases."""

import equinox as eqx
import jax
import jax.numpy as jnp

from solver import AbstractGame, Box, Simplex

PAIR = ("one", "two")


class Cournot(AbstractGame):
    """P = a - Q, costs c_i: q_i = (a - (n + 1) c_i + Σ c)/(n + 1)."""

    a: jax.Array
    costs: jax.Array
    scale: jax.Array
    shift: jax.Array
    players: tuple[str, ...] = eqx.field(static=True, default=("one", "two", "three"))

    def actions(self):
        return (Box(0.0, 100.0),) * 3

    def payoffs(self, profile):
        q = jnp.concatenate(profile)
        return self.shift + self.scale * (self.a - q.sum() - self.costs) * q


def cournot(a=100.0, costs=(10.0, 10.0, 10.0), scale=1.0, shift=0.0):
    return Cournot(jnp.asarray(a), jnp.asarray(costs), jnp.asarray(scale), jnp.asarray(shift))


def cournot_answer(a, costs):
    costs = jnp.asarray(costs)
    return (a - 4 * costs + costs.sum()) / 4


class Pursuit(AbstractGame):
    """One flees two on [0, 1] and two pursues: no pure equilibrium."""

    scale: jax.Array
    players: tuple[str, ...] = eqx.field(static=True, default=("fleeing", "pursuing"))

    def actions(self):
        return (Box(0.0, 1.0),) * 2

    def payoffs(self, profile):
        distance = self.scale * (profile[0][0] - profile[1][0]) ** 2
        return jnp.stack([distance, -distance])


CURVES = {
    "one hump": lambda x: -((x - 0.37) ** 2),
    "many humps": lambda x: jnp.sin(13 * x) + 0.5 * jnp.sin(29 * x + 1) - 0.2 * x,
    "a narrow peak": lambda x: jnp.exp(-200 * (x - 0.73) ** 2) + 0.8 * jnp.exp(-50 * (x - 0.2) ** 2),
    "a kinked peak": lambda x: jnp.minimum(2 * x, 1.2 - 0.8 * x),
    "two kinked peaks": lambda x: jnp.maximum(1 - 5 * jnp.abs(x - 0.21), 1.1 - 9 * jnp.abs(x - 0.833)),
    "a kinked valley": lambda x: jnp.abs(x - 0.6),
    "the lower bound": lambda x: -jnp.exp(x),
    "the upper bound": lambda x: x**3,
    "constant": lambda x: 0 * x + 2.0,
}


class Curve(AbstractGame):
    """One player on [low, high], with one of the payoffs above as a function of its place in the interval."""

    which: jax.Array
    low: jax.Array
    high: jax.Array
    players: tuple[str, ...] = eqx.field(static=True, default=("alone",))

    def actions(self):
        return (Box(self.low, self.high),)

    def payoffs(self, profile):
        x = (profile[0][0] - self.low) / (self.high - self.low)
        return jnp.stack([curve(x) for curve in CURVES.values()])[self.which][None]


class Hills(AbstractGame):
    """Two players on boxes of two dimensions, coupled; unique equilibrium from the first-order conditions.

    u_i = -|x_i - t_i - w x_j|² - z x_i1 x_i2, the bounds slack.
    """

    target: jax.Array  # (2, 2)
    coupling: jax.Array
    cross: jax.Array
    players: tuple[str, ...] = eqx.field(static=True, default=PAIR)

    def actions(self):
        return (Box(jnp.full(2, -2.0), jnp.full(2, 3.0)),) * 2

    def payoffs(self, profile):
        x = jnp.stack(profile)
        gap = x - self.target - self.coupling * x[::-1]
        return -(gap**2).sum(axis=1) - self.cross * x[:, 0] * x[:, 1]


class Inspection(AbstractGame):
    """A Box player chooses effort e in [0, 1], a Simplex player whether to work by hand (-e) or watch (m e - k)."""

    reward: jax.Array
    players: tuple[str, ...] = eqx.field(static=True, default=("effort", "choice"))

    def actions(self):
        return (Box(0.0, 1.0), Simplex(3))

    def payoffs(self, profile):
        effort, mix = profile[0][0], profile[1]
        own = self.reward * effort * (0.2 + mix[1]) - effort**2
        return jnp.stack([own, (mix * jnp.stack([0.1 + 0 * effort, effort, 0.3 * effort])).sum()])


class Jump(AbstractGame):
    """u = x below the cliff, -1 from it on: no best reply exists, and no equilibrium."""

    cliff: jax.Array
    players: tuple[str, ...] = eqx.field(static=True, default=("alone",))

    def actions(self):
        return (Box(0.0, 1.0),)

    def payoffs(self, profile):
        x = profile[0]
        return jnp.where(x < self.cliff, x, -1.0)


class Broken(AbstractGame):
    """log(a) + ...: not a number for a < 0."""

    a: jax.Array
    players: tuple[str, ...] = eqx.field(static=True, default=PAIR)

    def actions(self):
        return (Box(0.0, 1.0),) * 2

    def payoffs(self, profile):
        x = jnp.concatenate(profile)
        return jnp.log(self.a) - (x - 0.25 * x[::-1] - 0.3) ** 2


class Entry(AbstractGame):
    """Probabilities with logit noise: p = Λ(δ(θ - q)/σ); for θ = 1/2 one equilibrium iff σ >= |δ|/4, else three.

    Entry for δ > 0; for δ < 0 adoption of what is worth more where the other adopts it.
    """

    sigma: jax.Array
    delta: jax.Array
    threshold: jax.Array
    players: tuple[str, ...] = eqx.field(static=True, default=PAIR)

    def __init__(self, sigma, delta=1.0, threshold=0.5):
        dtype = jnp.result_type(float)
        self.sigma, self.delta, self.threshold = (jnp.asarray(v, dtype) for v in (sigma, delta, threshold))

    def actions(self):
        return (Box(0.001, 0.999),) * 2

    def payoffs(self, profile):
        p = jnp.concatenate(profile)
        entropy = -p * jnp.log(p) - (1 - p) * jnp.log(1 - p)
        return self.delta * p * (self.threshold - p[::-1]) + self.sigma * entropy


class Linear(AbstractGame):
    """Best replies a_i + b x_j on [0, most]: u_i = (a_i + b x_j) x_i - x_i²/2."""

    a: jax.Array  # (2,)
    b: jax.Array
    most: jax.Array
    players: tuple[str, ...] = eqx.field(static=True, default=PAIR)

    def actions(self):
        return (Box(0.0, self.most),) * 2

    def payoffs(self, profile):
        x = jnp.concatenate(profile)
        return (self.a + self.b * x[::-1]) * x - x**2 / 2


def adopters(t):
    """Best replies t + 2x_j on [0, 1]: 0 for t ≤ 0, 1 for t ≥ -1, and -t between, unstable."""
    return Linear(jnp.stack([t, t]), jnp.asarray(2.0), jnp.asarray(1.0))


class Effort(AbstractGame):
    """u_i = w_i log(1 + x_i) - x_i²/2 - z x_i x_j on [-0.2, most_i]: smooth, not quadratic, with bounds that can bind."""

    gain: jax.Array
    cross: jax.Array
    most: jax.Array
    players: tuple[str, ...] = eqx.field(static=True, default=PAIR)

    def actions(self):
        return tuple(Box(-0.2, self.most[i]) for i in range(2))

    def payoffs(self, profile):
        x = jnp.concatenate(profile)
        return self.gain * jnp.log1p(x) - x**2 / 2 - self.cross * x * x[::-1]


def effort(vector):
    return Effort(vector[:2], vector[2], vector[3:])
