r"""Two firms on a line of length 1: prices at given places, and the choice of places (d'Aspremont, Gabszewicz, Thisse 1979).

Firm one is at a, firm two at 1 − b, with :math:`\ell = 1 - a - b > 0` between them; consumers lie evenly between 0 and 1.

.. math::
    \text{distance squared: } D_1 = a + \frac{\ell}{2} + \frac{p_2 - p_1}{2t\ell},\qquad
    p_1 = c + t\ell\Bigl(1 + \frac{a-b}{3}\Bigr),\quad p_2 = c + t\ell\Bigl(1 + \frac{b-a}{3}\Bigr)

    \text{distance: } D_1 = a + \frac{\ell}{2} + \frac{p_2 - p_1}{2t}\ \text{if } |p_2 - p_1| \le t\ell,\qquad
    p_1 = c + t\Bigl(1 + \frac{a-b}{3}\Bigr),\quad p_2 = c + t\Bigl(1 + \frac{b-a}{3}\Bigr)

With distance itself (Hotelling 1929) a lower price beyond tℓ takes the whole market, and those prices are an equilibrium
only if :math:`(1 + \frac{a-b}3)^2 \ge \frac43(a + 2b)` and the same with a and b exchanged (their proposition 1).
With its square, profits after the choice of prices are :math:`t\ell(3 + a - b)^2/18`, which fall in a: firms move apart.
"""

from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from games.oligopoly import Profile, checked
from solver import AbstractGame, Box, LeaderFollower

PAIR = ("one", "two")


class Hotelling(AbstractGame):
    """Prices of two firms at given places.

    :param a, b: their distances from the two ends, a + b < 1. :param t: transport cost per unit of distance (or of its square).
    :param c: unit cost (price). :param transport: "quadratic" or "linear" in distance.
    :raises ValueError: naming the parameter that is out of bounds.
    """

    a: Array
    b: Array
    t: Array
    c: Array
    transport: Literal["linear", "quadratic"] = eqx.field(static=True)
    players: tuple[str, ...] = eqx.field(static=True, default=PAIR)

    def __init__(
        self,
        a: Any = 0.1,
        b: Any = 0.2,
        t: Any = 1.0,
        c: Any = 1.0,
        transport: Literal["linear", "quadratic"] = "quadratic",
    ):
        self.a, self.b = checked("a", a, high=1.0), checked("b", b, high=1.0)
        self.t, self.c = checked("t", t, high=1e300, strict=True), checked("c", c, high=1e300)
        if transport not in ("linear", "quadratic"):
            raise ValueError(f"transport = {transport!r}: give 'linear' or 'quadratic'")
        self.transport, self.players = transport, PAIR
        if not isinstance(self.a + self.b, Tracer) and not self.a + self.b < 1:
            raise ValueError(f"b = {b}: a + b should be below 1, the firms apart")

    def _spread(self) -> Array:
        """The difference of prices that moves half the market."""
        return self.t * (1 - self.a - self.b if self.transport == "quadratic" else 1.0)

    def actions(self) -> tuple[Box, ...]:
        return (Box(self.c, self.c + 4 * self.t),) * 2

    def payoffs(self, profile: Profile) -> Array:
        p, gap = jnp.concatenate(profile), 1 - self.a - self.b
        ahead = p[1] - p[0]
        demand = jnp.clip(self.a + gap / 2 + ahead / (2 * self._spread()), 0.0, 1.0)
        if self.transport == "linear":
            demand = jnp.where(ahead > self.t * gap, 1.0, jnp.where(ahead < -self.t * gap, 0.0, demand))
        return (p - self.c) * jnp.stack([demand, 1 - demand])

    def closed_form(self) -> Profile:
        """The prices where both first-order conditions hold; with linear cost no equilibrium unless :meth:`exists`."""
        third = (self.a - self.b) / 3
        return tuple(jnp.atleast_1d(self.c + self._spread() * (1 + sign * third)) for sign in (1, -1))

    def exists(self) -> Array:
        """Whether there is an equilibrium in pure strategies."""
        third = (self.a - self.b) / 3
        far = (1 + third) ** 2 >= 4 / 3 * (self.a + 2 * self.b)
        near = (1 - third) ** 2 >= 4 / 3 * (self.b + 2 * self.a)
        return far & near | (self.transport == "quadratic")


class HotellingPlaces(LeaderFollower):
    """Two firms choose their distances from the ends, then prices under quadratic cost: both go to their ends.

    :param t: transport cost per squared distance. :param players: two names.
    :raises ValueError: naming the parameter that is out of bounds.
    """

    t: Array
    players: tuple[str, ...] = eqx.field(static=True)

    def __init__(self, t: Any = 1.0, players: tuple[str, ...] = PAIR):
        self.t, self.players = checked("t", t, high=1e300, strict=True), tuple(players)
        if len(self.players) != 2:
            raise ValueError(f"players = {players!r}: the line has two firms")

    def actions(self) -> tuple[Box, ...]:
        """Each in its own half."""
        return (Box(0.0, 0.5),) * 2

    def followers(self, profile: Profile) -> Array:
        """The firms' markups (2,)."""
        place = jnp.concatenate(profile)
        return self.t * (1 - place.sum()) * (1 + (place - place[::-1]) / 3)

    def leader_payoffs(self, profile: Profile, followers: Array) -> Array:
        place = jnp.concatenate(profile)
        return followers * (3 + place - place[::-1]) / 6

    def closed_form(self) -> Profile:
        return (jnp.asarray(np.zeros(1), self.t.dtype),) * 2
