r"""Restriction as a public good: private effort, a common benefit of an aggregate of efforts.

.. math::
    u_i = B\,g(r) + D\,1[g(r) \ge \hat r] - \tfrac{c}{2}r_i^2,\qquad
    g(r) = 1 - \Bigl[\tfrac1I\sum_k (1-r_k)^\rho\Bigr]^{1/\rho},\qquad
    \Omega_i = u_i + \kappa\sum_{k\ne i}u_k

The power mean is taken of the leaks 1 − r. At ρ = 1 the aggregate is the mean; at ρ = ∞, a case of its own, it is the
least effort, the weakest link (Hirshleifer 1983; Cornes 1993 for what lies between). With B' = B(1 + κ(I − 1)):

.. math::
    \rho < \infty:\ \Bigl\{\tfrac{B'}{Ic}\ \text{if below 1}\Bigr\} \cup
        \Bigl\{1\ \text{if}\ B' I^{-1/\rho} \ge c\Bigr\},\qquad
    \rho = \infty:\ \bigl[0,\ \min(1, B'/c)\bigr] \cup \{\hat r\ \text{if}\ D' \ge (c\hat r - B')^2/(2c)\}

All are symmetric: where some leak is left, the first-order condition :math:`B' (1-r_i)^{\rho-1} L^{1-\rho}/I = c\,r_i`,
with L the power mean of the leaks, falls on the left and rises on the right in r_i: one root, for all players the same.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from games.oligopoly import checked, cooperate, named
from games.restriction.knowledge import power_mean
from solver import AbstractGame, Box

Profile = tuple[Array, ...]


class Interval(NamedTuple):
    """Every common effort in [lower, upper] is an equilibrium, and ``threshold`` too unless it is NaN."""

    lower: Array
    upper: Array
    threshold: Array


class PublicGood(AbstractGame):
    """Players in [0, 1] contribute to a public good with the aggregate of the module's docstring.

    :param benefit: B, payoff per unit of the aggregate. :param cost: c, payoff per squared effort (twice).
    :param rho: exponent of the power mean of leaks, 1 (mean) to inf (weakest link); at 1 or above payoffs are concave
        in own effort.
    :param cooperation: κ in [0, 1].
    :param threshold_benefit: D, payoff, had once the aggregate reaches ``threshold`` r̂ in (0, 1].
    :param players: names, or how many.
    :raises ValueError: naming the parameter that is out of bounds.
    """

    benefit: Array
    cost: Array
    rho: Array
    cooperation: Array
    threshold_benefit: Array
    threshold: Array
    players: tuple[str, ...] = eqx.field(static=True)

    def __init__(
        self,
        benefit: Any = 0.6,
        cost: Any = 1.0,
        *,
        rho: Any = 1.0,
        cooperation: Any = 0.0,
        threshold_benefit: Any = 0.0,
        threshold: Any = 1.0,
        players: int | tuple[str, ...] = 3,
    ):
        self.benefit, self.cost = checked("benefit", benefit, high=1e300), checked("cost", cost, strict=True)
        self.rho, self.cooperation = checked("rho", rho, 1.0), checked("cooperation", cooperation, high=1.0)
        self.threshold_benefit = checked("threshold_benefit", threshold_benefit, high=1e300)
        self.threshold = checked("threshold", threshold, 0.0, 1.0, strict=True)
        self.players = named("contributor", players)

    def actions(self) -> tuple[Box, ...]:
        return (Box(0.0, 1.0),) * len(self.players)

    def aggregate(self, effort: Array) -> Array:
        """g(r) of efforts (players,); at ρ = ∞ the least effort itself, so that r̂ is reached without rounding."""
        weakest_link = jnp.isinf(self.rho)
        mixed = 1 - power_mean(1 - effort, jnp.where(weakest_link, 1.0, self.rho))
        return jnp.where(weakest_link, effort.min(), mixed)

    def payoffs(self, profile: Profile) -> Array:
        effort = jnp.concatenate(profile)
        reached = self.aggregate(effort)
        common = self.benefit * reached + jnp.where(reached >= self.threshold, self.threshold_benefit, 0.0)
        return cooperate(common - self.cost / 2 * effort**2, self.cooperation)

    def _weight(self) -> Array:
        """By how much a player values the common benefit: 1 + κ(I − 1)."""
        return 1 + self.cooperation * (len(self.players) - 1)

    def closed_form(self) -> tuple[Profile, ...]:
        """All pure equilibria for finite ρ without a threshold, from the least effort up; parameters must be numbers.

        :raises ValueError: at ρ = ∞, where they fill an interval, and where a threshold pays.
        """
        if np.isinf(self.rho):
            raise ValueError("rho = inf: equilibria fill an interval; use weakest_link_interval()")
        if self.threshold_benefit > 0:
            raise ValueError(f"threshold_benefit = {self.threshold_benefit}: no closed form with a finite rho; give 0")
        value, n = self.benefit * self._weight(), len(self.players)
        inside = value / (n * self.cost)
        corner = value * n ** (-1 / self.rho) >= self.cost
        levels = [inside] * bool(inside < 1) + [jnp.ones_like(inside)] * bool(corner)
        return tuple((jnp.atleast_1d(level),) * n for level in levels)

    def weakest_link_interval(self) -> Interval:
        """The pure equilibria under the weakest link.

        :raises ValueError: for a finite ρ.
        """
        if not isinstance(self.rho, Tracer) and not np.isinf(self.rho):
            raise ValueError(f"rho = {self.rho}: the weakest link is rho = inf; use closed_form()")
        weight = self._weight()
        value, step, rhat = self.benefit * weight, self.threshold_benefit * weight, self.threshold
        upper = jnp.minimum(1.0, value / self.cost)
        # alone above the interval, r̂ is held by the fear of losing D; the best way to give it up is to B'/c
        pays = (rhat > upper) & (step >= (self.cost * rhat - value) ** 2 / (2 * self.cost))
        return Interval(jnp.zeros_like(upper), upper, jnp.where(pays, rhat, jnp.nan))


class BestShot(AbstractGame):
    r"""The greatest effort alone counts (Hirshleifer 1983): one contributes, and the others wait.

    .. math:: u_i = B \max_k r_k - \tfrac c2 r_i^2,\qquad r_i = \min(1, B/c)\ \text{for one } i,\quad 0\ \text{for the others}

    None of the others gains by more: what exceeds min(1, B/c) costs more than it brings, and up to there nothing is brought.

    :param benefit: B, payoff per unit of the aggregate. :param cost: c, payoff per squared effort (twice).
    :param players: names, or how many.
    :raises ValueError: naming the parameter that is out of bounds.
    """

    benefit: Array
    cost: Array
    players: tuple[str, ...] = eqx.field(static=True)

    def __init__(self, benefit: Any = 0.6, cost: Any = 1.0, players: int | tuple[str, ...] = 3):
        self.benefit = checked("benefit", benefit, high=1e300)
        self.cost = checked("cost", cost, high=1e300, strict=True)
        self.players = named("contributor", players)

    def actions(self) -> tuple[Box, ...]:
        return (Box(0.0, 1.0),) * len(self.players)

    def payoffs(self, profile: Profile) -> Array:
        effort = jnp.concatenate(profile)
        return self.benefit * effort.max() - self.cost / 2 * effort**2

    def closed_form(self) -> tuple[Profile, ...]:
        """All pure equilibria, one for each player who may be the one who contributes."""
        level, n = jnp.atleast_1d(jnp.minimum(1.0, self.benefit / self.cost)), len(self.players)
        return tuple(tuple(level if i == one else 0 * level for i in range(n)) for one in range(n))
