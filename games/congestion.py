r"""Congestion: carriers divide their traffic between two roads on which delay rises with use.

.. math::
    \text{cost}_i = x_i\,(a_1 + b_1 X) + (d - x_i)\,(a_2 + b_2 (nd - X)),\quad X = \sum_k x_k,\qquad
    X = \frac{(a_2 - a_1)\frac{n}{n+1} + b_2 nd}{b_1 + b_2}\ \text{in } [0, nd]

One carrier chooses the optimum; many approach what travellers choose each for itself (Wardrop 1952), where the delays are the
same. At a = (0, 1), b = (1, 0) and traffic of 1 the first road carries n/(n + 1) (Pigou 1920), and cost rises from 3/4 to 1.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax import Array
from jax.core import Tracer

from games.oligopoly import Profile, checked, named
from solver import AbstractGame, Box


class Congestion(AbstractGame):
    """Splittable traffic over two roads (Orda, Rom and Shimkin 1993), every carrier with an even part of it.

    :param traffic: n d, of all carriers. :param a1, a2: delays of the empty roads. :param b1, b2: by how much a unit of traffic
        adds to the delay, not both 0.
    :param players: the carriers' names, or how many there are. A strategy is the traffic on the first road.
    :raises ValueError: naming the parameter that is out of bounds.
    """

    traffic: Array
    a1: Array
    a2: Array
    b1: Array
    b2: Array
    players: tuple[str, ...] = eqx.field(static=True)

    def __init__(
        self,
        traffic: Any = 1.0,
        a1: Any = 0.0,
        a2: Any = 1.0,
        b1: Any = 1.0,
        b2: Any = 0.0,
        players: int | tuple[str, ...] = 2,
    ):
        self.traffic = checked("traffic", traffic, high=1e300, strict=True)
        self.a1, self.a2 = checked("a1", a1, high=1e300), checked("a2", a2, high=1e300)
        self.b1, self.b2 = checked("b1", b1, high=1e300), checked("b2", b2, high=1e300)
        self.players = named("carrier", players)
        if not isinstance(self.b1 + self.b2, Tracer) and not self.b1 + self.b2 > 0:
            raise ValueError(f"b1 = {b1} and b2 = {b2}: one should be above 0, or there is no congestion")

    def actions(self) -> tuple[Box, ...]:
        return (Box(0.0, self.traffic / len(self.players)),) * len(self.players)

    def payoffs(self, profile: Profile) -> Array:
        x = jnp.concatenate(profile)
        rest = self.traffic / len(self.players) - x
        return -x * (self.a1 + self.b1 * x.sum()) - rest * (self.a2 + self.b2 * rest.sum())

    def closed_form(self) -> Profile:
        n = len(self.players)
        total = ((self.a2 - self.a1) * n / (n + 1) + self.b2 * self.traffic) / (self.b1 + self.b2)
        return (jnp.atleast_1d(jnp.clip(total, 0, self.traffic) / n),) * n
