r"""Oligopolies in quantities, subsidies and research, each with its closed form.

.. math::
    P = a - bQ,\qquad \pi_i = (P - c_i)\,q_i,\qquad
    \Omega_i = \pi_i + \kappa\sum_{k \ne i}\pi_k

    \text{Cournot: } q = \frac{a-c}{b\,(n+1+\kappa(n-1))},\qquad
    \text{Stackelberg: } q_L = \frac{a-c}{b\,(m+1)},\quad q_F = \frac{q_L}{J+1}

    \text{Brander-Spencer: } s = \frac{a-c}{4}\ \text{(one)},\quad \frac{a-c}{5}\ \text{(both)},\qquad
    \text{d'Aspremont-Jacquemin: } x = \frac{(a-A)\,k}{\tfrac92 b\gamma - k(1+\beta)},\quad k = 2-\beta+\kappa(2\beta-1)

The coefficient of cooperation κ is Cyert and DeGroot's (1973): 0 for rivals, 1 for joint profit. Demand is not cut off
at a price of zero, so that a firm's profit is concave in its own quantity everywhere.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from solver import AbstractGame, Box, LeaderFollower

Profile = tuple[Array, ...]


def checked(name: str, value: Any, low: float = 0.0, high: float = np.inf, *, strict: bool = False) -> Array:
    """``value`` as a float scalar; traced values pass unseen.

    :raises ValueError: if it is not a number in [low, high] (above ``low`` if ``strict``).
    """
    array = jnp.asarray(value, jnp.result_type(float))
    if isinstance(array, Tracer):
        return array
    number = np.asarray(array, float)  # a bound of 1e300 is none in single precision
    inside = number.ndim == 0 and (low < number if strict else low <= number) and number <= high
    if not inside:
        interval = f"above {low:g}" if strict else f"at least {low:g}"
        most = f" and at most {high:g}" if high < np.inf else ""
        raise ValueError(f"{name} = {value} should be one number {interval}{most}")
    return array


def market(a: Any, b: Any, c: Any, names: tuple[str, str] = ("c", "a")) -> tuple[Array, Array, Array]:
    """The three numbers of a linear market, checked: b > 0 and 0 <= c < a, both finite."""
    slope, cost = checked("b", b, high=1e300, strict=True), checked(names[0], c, high=1e300)
    low = 0.0 if isinstance(cost, Tracer) else float(cost)
    return checked(names[1], a, low, 1e300, strict=True), slope, cost


def named(kind: str, players: int | tuple[str, ...]) -> tuple[str, ...]:
    """Players given by number or by name."""
    names = tuple(f"{kind} {i + 1}" for i in range(players)) if isinstance(players, int) else tuple(players)
    if not names:
        raise ValueError(f"players = {players!r}: give at least one {kind}")
    return names


def cooperate(payoffs: Array, kappa: Array) -> Array:
    """Ω_i = π_i + κ Σ_{k≠i} π_k (players,)."""
    return payoffs + kappa * (payoffs.sum() - payoffs)


def duopoly(a: Array, b: Array, cost: Array) -> Array:
    """Cournot quantities (2,) of two firms with costs (2,); a firm too costly to sell leaves a monopoly."""
    both = (a - 2 * cost + cost[::-1]) / (3 * b)
    alone = jnp.maximum(a - cost, 0) / (2 * b)
    return jnp.where(both < 0, 0.0, jnp.where(both[::-1] < 0, alone, both))


class Cournot(AbstractGame):
    r"""Firms choose quantities (Cournot 1838, ch. VII), with a coefficient of cooperation (Cyert and DeGroot 1973).

    .. math:: \Omega_i = (a - bQ - c)\,(q_i + \kappa\,(Q - q_i)),\qquad q = \frac{a-c}{b\,(n+1+\kappa(n-1))}

    :param a, b, c: the demand's intercept (price) and slope (price per quantity), the unit cost (price).
    :param kappa: in [0, 1]. At 1 only the total is determined, and the closed form is the even split of it.
    :param players: the firms' names, or how many there are.
    :raises ValueError: naming the parameter that is out of bounds.
    """

    a: Array
    b: Array
    c: Array
    kappa: Array
    players: tuple[str, ...] = eqx.field(static=True)

    def __init__(
        self, a: Any = 100.0, b: Any = 1.0, c: Any = 10.0, kappa: Any = 0.0, players: int | tuple[str, ...] = 2
    ):
        self.a, self.b, self.c = market(a, b, c)
        self.kappa = checked("kappa", kappa, high=1.0)
        self.players = named("firm", players)

    def actions(self) -> tuple[Box, ...]:
        """From nothing to what would bring the price down to zero."""
        return (Box(0.0, self.a / self.b),) * len(self.players)

    def payoffs(self, profile: Profile) -> Array:
        q = jnp.concatenate(profile)
        return cooperate((self.a - self.b * q.sum() - self.c) * q, self.kappa)

    def closed_form(self) -> Profile:
        n = len(self.players)
        return (jnp.atleast_1d((self.a - self.c) / (self.b * (n + 1 + self.kappa * (n - 1)))),) * n


class Stackelberg(LeaderFollower):
    r"""m leaders choose quantities, then J followers do (von Stackelberg 1934; Sherali 1984, for several leaders).

    .. math:: q_F(Q_L) = \frac{\max(0,\ a - c - bQ_L)}{b\,(J+1)},\qquad q_L = \frac{a-c}{b\,(m+1)}

    :param a, b, c: as in :class:`Cournot`.
    :param num_followers: J, 0 or more (0 leaves Cournot's game among the leaders).
    :param players: the leaders' names, or how many there are.
    :raises ValueError: naming the parameter that is out of bounds.
    """

    a: Array
    b: Array
    c: Array
    num_followers: int = eqx.field(static=True)
    players: tuple[str, ...] = eqx.field(static=True)

    def __init__(
        self, a: Any = 100.0, b: Any = 1.0, c: Any = 10.0, num_followers: int = 1, players: int | tuple[str, ...] = 1
    ):
        self.a, self.b, self.c = market(a, b, c)
        if num_followers < 0:
            raise ValueError(f"num_followers = {num_followers} should be 0 or more")
        self.num_followers, self.players = num_followers, named("leader", players)

    def actions(self) -> tuple[Box, ...]:
        return (Box(0.0, self.a / self.b),) * len(self.players)

    def followers(self, profile: Profile) -> Array:
        """Each follower's quantity (J,) at the leaders' quantities."""
        left = jnp.maximum(self.a - self.c - self.b * jnp.concatenate(profile).sum(), 0)
        return jnp.full(self.num_followers, left / (self.b * (self.num_followers + 1)))

    def leader_payoffs(self, profile: Profile, followers: Array) -> Array:
        q = jnp.concatenate(profile)
        return (self.a - self.b * (q.sum() + followers.sum()) - self.c) * q

    def closed_form(self) -> Profile:
        m = len(self.players)
        return (jnp.atleast_1d((self.a - self.c) / (self.b * (m + 1))),) * m


class BranderSpencer(LeaderFollower):
    r"""Governments subsidise exports to a third market, where their firms play Cournot (Brander and Spencer 1985).

    .. math::
        q_i = \frac{a - c + 2s_i - s_j}{3b},\qquad W_i = (a - bQ - c)\,q_i,\qquad
        s = \tfrac{a-c}{4}\ \text{(one government)},\quad \tfrac{a-c}{5}\ \text{(both)}

    A government's welfare is its firm's profit less the subsidy, so the subsidy itself cancels.

    :param a, b, c: as in :class:`Cournot`; a subsidy is a price per quantity.
    :param players: two names, or one where the other government stays out (the unilateral case).
    :raises ValueError: naming the parameter that is out of bounds.
    """

    a: Array
    b: Array
    c: Array
    players: tuple[str, ...] = eqx.field(static=True)

    def __init__(
        self, a: Any = 100.0, b: Any = 2.0, c: Any = 10.0, players: int | tuple[str, ...] = ("home", "foreign")
    ):
        self.a, self.b, self.c = market(a, b, c)
        self.players = named("government", players)
        if len(self.players) > 2:
            raise ValueError(f"players = {self.players}: give one government, or two")

    def actions(self) -> tuple[Box, ...]:
        return (Box(0.0, self.a - self.c),) * len(self.players)

    def followers(self, profile: Profile) -> Array:
        """The two firms' quantities (2,)."""
        subsidy = jnp.pad(jnp.concatenate(profile), (0, 2 - len(self.players)))
        return duopoly(self.a, self.b, self.c - subsidy)

    def leader_payoffs(self, profile: Profile, followers: Array) -> Array:
        del profile
        welfare = (self.a - self.b * followers.sum() - self.c) * followers
        return welfare[: len(self.players)]

    def closed_form(self) -> Profile:
        share = 5 if len(self.players) == 2 else 4
        return (jnp.atleast_1d((self.a - self.c) / share),) * len(self.players)


class AspremontJacquemin(LeaderFollower):
    r"""Two firms choose cost-reducing research that spills over, then quantities (d'Aspremont and Jacquemin 1988).

    .. math::
        C_i = A - x_i - \beta x_j,\quad q_i = \frac{a - 2C_i + C_j}{3b},\quad
        \pi_i = (a - bQ - C_i)\,q_i - \tfrac{\gamma}{2}x_i^2,\quad
        x = \frac{(a-A)\,k}{\tfrac92 b\gamma - k(1+\beta)},\quad k = 2-\beta+\kappa(2\beta-1)

    κ = 0 is their noncooperative game (k = 2 − β), κ = 1 cooperation in research alone (k = 1 + β).

    :param a, b: the demand's intercept (price) and slope (price per quantity).
    :param A: unit cost before research (price). :param beta: the spillover, in [0, 1].
    :param gamma: the cost of research. :param kappa: cooperation in research, in [0, 1].
    :raises ValueError: naming the parameter that is out of bounds, or γ if research is too cheap for a maximum inside.
    """

    a: Array
    b: Array
    A: Array
    beta: Array
    gamma: Array
    kappa: Array
    players: tuple[str, ...] = eqx.field(static=True)

    def __init__(
        self,
        a: Any = 10.0,
        b: Any = 1.0,
        A: Any = 4.0,
        beta: Any = 0.3,
        gamma: Any = 4.0,
        kappa: Any = 0.0,
        players: int | tuple[str, ...] = 2,
    ):
        self.a, self.b, self.A = market(a, b, A, ("A", "a"))
        self.beta, self.kappa = checked("beta", beta, high=1.0), checked("kappa", kappa, high=1.0)
        self.gamma, self.players = checked("gamma", gamma, strict=True), named("firm", players)
        if len(self.players) != 2:
            raise ValueError(f"players = {self.players}: the model has two firms")
        bend = self.gamma - self._least_gamma()
        if not isinstance(bend, Tracer) and not bend > 0:
            least = float(self._least_gamma())
            raise ValueError(f"gamma = {gamma}: research pays without bound; give more than {least:.6g}")

    def _spill(self) -> Array:
        return 2 - self.beta + self.kappa * (2 * self.beta - 1)

    def _least_gamma(self) -> Array:
        """Above it a payoff is concave in own research, and the symmetric first-order condition has a root."""
        own = (2 - self.beta) ** 2 + self.kappa * (2 * self.beta - 1) ** 2
        return jnp.maximum(own, self._spill() * (1 + self.beta)) / (4.5 * self.b)

    def actions(self) -> tuple[Box, ...]:
        """Research up to where both firms' costs would vanish."""
        return (Box(0.0, self.A / (1 + self.beta)),) * 2

    def followers(self, profile: Profile) -> tuple[Array, Array]:
        """The firms' quantities and unit costs, each (2,)."""
        x = jnp.concatenate(profile)
        cost = self.A - x - self.beta * x[::-1]
        return duopoly(self.a, self.b, cost), cost

    def leader_payoffs(self, profile: Profile, followers: tuple[Array, Array]) -> Array:
        x = jnp.concatenate(profile)
        quantity, cost = followers
        profit = (self.a - self.b * quantity.sum() - cost) * quantity - self.gamma / 2 * x**2
        return cooperate(profit, self.kappa)

    def closed_form(self) -> Profile:
        k = self._spill()
        x = (self.a - self.A) * k / (4.5 * self.b * self.gamma - k * (1 + self.beta))
        return (jnp.atleast_1d(jnp.minimum(x, self.A / (1 + self.beta))),) * 2
