r"""Price competition between differentiated products, each with its closed form.

.. math::
    \pi_i = (p_i - c)\,q_i(p),\qquad
    \text{linear: } q_i = a - b p_i + d\sum_{k \ne i} p_k,\quad p = \frac{a + bc}{2b - d(n-1)}

    \text{logit, nests } g \text{ of } m \text{ firms: } q_i =
    \frac{e^{-p_i/\lambda\mu}}{V_g}\,\frac{V_g^\lambda}{\sum_h V_h^\lambda},\quad
    V_g = \sum_{k \in g} e^{-p_k/\lambda\mu},\quad
    p = c + \mu\Bigl[\tfrac1\lambda - \tfrac1m\bigl(\tfrac1\lambda - 1\bigr) - \tfrac1n\Bigr]^{-1}

The markup follows from :math:`\partial q_i/\partial p_i = -\tfrac{q_i}{\mu}[\tfrac1\lambda - (\tfrac1\lambda - 1) q_{i|g} -
q_i]`; at λ = 1 it is the logit's μn/(n − 1). Logit profits are not concave in the own price, only single-peaked.
:class:`LoyalBertrand`'s have two peaks: it has no closed form, and several equilibria or fewer as its market grows.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from games.oligopoly import Profile, checked, named
from solver import AbstractGame, Box

MARKUPS = 10.0  # prices looked at reach to that many times μ above cost; the markup is at most 2 μ


class LinearBertrand(AbstractGame):
    """Firms choose prices under linear demand (Singh and Vives 1984, sec. 2; here n symmetric firms).

    :param a: demand at prices of zero (quantity). :param b, d: its slopes in the own and in every other price (quantity per
        price), 0 <= d (n - 1) < b. :param c: unit cost (price), below a/b.
    :param players: the firms' names, or how many there are.
    :raises ValueError: naming the parameter that is out of bounds.
    """

    a: Array
    b: Array
    d: Array
    c: Array
    players: tuple[str, ...] = eqx.field(static=True)

    def __init__(
        self, a: Any = 12.0, b: Any = 2.0, d: Any = 1.0, c: Any = 1.0, players: int | tuple[str, ...] = ("one", "two")
    ):
        self.players = named("firm", players)
        self.b, self.d = checked("b", b, high=1e300, strict=True), checked("d", d, high=1e300)
        self.a, self.c = checked("a", a, high=1e300, strict=True), checked("c", c, high=1e300)
        if isinstance(self.a + self.b + self.c + self.d, Tracer):
            return
        if not self.d * (len(self.players) - 1) < self.b:
            raise ValueError(f"d = {d}: d (n - 1) should be below b = {b}, or all could raise prices without end")
        if not self.b * self.c < self.a:
            raise ValueError(f"c = {c} should be below a/b = {float(self.a / self.b):g}, or nothing is sold")

    def actions(self) -> tuple[Box, ...]:
        """From cost to where nothing is sold if all ask it."""
        return (Box(self.c, self.a / (self.b - self.d * (len(self.players) - 1))),) * len(self.players)

    def payoffs(self, profile: Profile) -> Array:
        p = jnp.concatenate(profile)
        return (p - self.c) * (self.a - self.b * p + self.d * (p.sum() - p))

    def closed_form(self) -> Profile:
        n = len(self.players)
        return (jnp.atleast_1d((self.a + self.b * self.c) / (2 * self.b - self.d * (n - 1))),) * n


class LogitBertrand(AbstractGame):
    r"""Firms choose prices where consumers choose by (nested) logit and all buy (Anderson, de Palma and Thisse 1992, ch. 7).

    :param c: unit cost (price). :param mu: μ, how much consumers differ (price).
    :param nesting: λ in (0, 1], 1 for the plain logit (McFadden 1978).
    :param nests: how many nests the firms are divided into evenly, in the order of the players.
    :param players: the firms' names, or how many there are; at least 2.
    :raises ValueError: naming the parameter that is out of bounds.
    """

    c: Array
    mu: Array
    nesting: Array
    nests: int = eqx.field(static=True)
    players: tuple[str, ...] = eqx.field(static=True)

    def __init__(
        self,
        c: Any = 1.0,
        mu: Any = 1.0,
        nesting: Any = 1.0,
        nests: int = 1,
        players: int | tuple[str, ...] = 3,
    ):
        self.c, self.mu = checked("c", c, high=1e300), checked("mu", mu, high=1e300, strict=True)
        self.nesting = checked("nesting", nesting, 0.0, 1.0, strict=True)
        self.nests, self.players = nests, named("firm", players)
        if len(self.players) < 2:
            raise ValueError(f"players = {players!r}: all consumers buy, give at least 2 firms")
        if nests < 1 or len(self.players) % nests:
            raise ValueError(f"nests = {nests} should divide the {len(self.players)} firms evenly")

    def actions(self) -> tuple[Box, ...]:
        return (Box(self.c, self.c + MARKUPS * self.mu),) * len(self.players)

    def shares(self, prices: Array) -> Array:
        """The firms' shares of the market (players,) at prices (players,)."""
        n = len(self.players)
        weight = jnp.exp(-(prices - self.c) / (self.nesting * self.mu))
        member = jnp.asarray(np.repeat(np.eye(self.nests), n // self.nests, axis=1), weight.dtype)
        value = member @ weight
        nest = value**self.nesting / (value**self.nesting).sum()
        return weight * ((nest / value) @ member)

    def payoffs(self, profile: Profile) -> Array:
        p = jnp.concatenate(profile)
        return (p - self.c) * self.shares(p)

    def closed_form(self) -> Profile:
        n, m = len(self.players), len(self.players) // self.nests
        steep = 1 / self.nesting - (1 / self.nesting - 1) / m - 1 / n
        return (jnp.atleast_1d(self.c + self.mu / steep),) * n


class LoyalBertrand(AbstractGame):
    r"""Two firms, each with loyal customers, and others who compare prices (Judd, Renner and Schmedders 2012, sec. 5).

    .. math:: \pi_i = (p_i - c)\Bigl[a - p_i + n\,p_i^{-\sigma}
        \bigl(p_1^{1-\sigma} + p_2^{1-\sigma}\bigr)^{(\gamma-\sigma)/(\sigma-1)}\Bigr]

    A high price skims the loyal, a low one wins the others: each is a local maximum. At the default numbers nine pairs of
    prices meet the first-order conditions, and two of them are equilibria, in which one firm does each.

    :param a: the loyal demand of a firm at a price of zero (quantity). :param n: how many compare.
    :param sigma, gamma: their elasticities of substitution, between the firms and with all else, σ > γ > 0, σ > 1.
    :param c: unit cost (price), above 0 and below a.
    :raises ValueError: naming the parameter that is out of bounds.
    """

    a: Array
    n: Array
    sigma: Array
    gamma: Array
    c: Array
    players: tuple[str, ...] = eqx.field(static=True, default=("one", "two"))

    def __init__(self, a: Any = 50.0, n: Any = 2700.0, sigma: Any = 3.0, gamma: Any = 2.0, c: Any = 1.0):
        self.n, self.sigma = checked("n", n, high=1e300), checked("sigma", sigma, 1.0, 1e300, strict=True)
        low = np.inf if isinstance(self.sigma, Tracer) else float(self.sigma)
        self.gamma, self.c = checked("gamma", gamma, high=low, strict=True), checked("c", c, high=1e300, strict=True)
        self.a = checked("a", a, 0.0 if isinstance(self.c, Tracer) else float(self.c), 1e300, strict=True)
        self.players = ("one", "two")

    def actions(self) -> tuple[Box, ...]:
        """From cost to where no loyal customer is left."""
        return (Box(self.c, self.a),) * 2

    def payoffs(self, profile: Profile) -> Array:
        p = jnp.concatenate(profile)
        index = (p ** (1 - self.sigma)).sum()
        compared = self.n * p**-self.sigma * index ** ((self.gamma - self.sigma) / (self.sigma - 1))
        return (p - self.c) * (self.a - p + compared)
