r"""Contests: effort is spent by all, and the prize goes to one.

.. math::
    \text{Tullock: } \pi_i = v_i\frac{x_i^r}{\sum_k x_k^r} - x_i,\qquad
    x = r v\,\frac{n-1}{n^2}\ \text{(equal prizes)},\qquad
    x_i = r\,\frac{v_i^{1+r} v_j^r}{(v_i^r + v_j^r)^2}\ \text{(two)}

    \text{all-pay, whole bids: } \pi_i = v\,\Pr(\text{win}) - x_i,\qquad
    x \sim \text{uniform on } \{0, \ldots, v - 1\},\quad \pi = \tfrac12

In the all-pay auction a bid must be worth what it costs: with ties divided, a bid's gain over the one below is
:math:`\tfrac v2(f_x + f_{x-1}) - 1`, zero where each of v bids has probability 1/v. There is no pure equilibrium.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from games.oligopoly import Profile, checked, named
from solver import AbstractGame, Box, NormalForm


class Tullock(AbstractGame):
    """A contest with a lottery by effort (Tullock 1980; two who value the prize differently: Nti 1999).

    :param prize: v, one number or one per player (payoff, as is effort). :param r: how decisive effort is, in (0, n/(n-1)].
    :param players: the contestants' names, or how many there are; at least 2.
    :raises ValueError: naming the parameter that is out of bounds.
    """

    prize: Array  # (players,)
    r: Array
    players: tuple[str, ...] = eqx.field(static=True)

    def __init__(self, prize: Any = 1.0, r: Any = 1.0, players: int | tuple[str, ...] = 2):
        self.players = named("contestant", players)
        n = len(self.players)
        if n < 2:
            raise ValueError(f"players = {players!r}: a contest has at least 2")
        self.r = checked("r", r, high=n / (n - 1), strict=True)
        value = jnp.asarray(prize, jnp.result_type(float))
        if value.shape not in ((), (n,)):
            raise ValueError(f"prize has shape {value.shape}: give one number or one for each of {n} contestants")
        if not isinstance(value, Tracer) and not (np.isfinite(value) & (np.asarray(value) > 0)).all():
            raise ValueError(f"prize = {prize} should be above 0")
        self.prize = jnp.broadcast_to(value, (n,))

    def actions(self) -> tuple[Box, ...]:
        return tuple(Box(0.0, v) for v in self.prize)

    def payoffs(self, profile: Profile) -> Array:
        """Where nobody makes an effort, the prize goes to each with the same probability."""
        x = jnp.concatenate(profile)
        power = x**self.r
        total = power.sum()
        chance = jnp.where(total > 0, power / jnp.where(total > 0, total, 1), 1 / len(self.players))
        return self.prize * chance - x

    def closed_form(self) -> Profile:
        """Parameters must be numbers where there are more than two contestants.

        :raises ValueError: of more than two contestants with different prizes.
        """
        n, v = len(self.players), self.prize
        if n == 2:
            power = v**self.r
            x = self.r * v * power.prod() / power.sum() ** 2
        else:
            if not isinstance(v, Tracer) and np.ptp(v) > 0:
                raise ValueError(f"prize = {v}: no closed form for more than 2 contestants with different prizes")
            x = self.r * v * (n - 1) / n**2
        return tuple(x[i : i + 1] for i in range(n))


def all_pay_auction(prize: int = 5) -> NormalForm:
    """Two bidders for a prize worth ``prize``, in whole bids 0 to ``prize``, a tie divided (Baye, Kovenock and de Vries 1994).

    :raises ValueError: if ``prize`` is not a whole number of at least 1.
    """
    if prize != int(prize) or prize < 1:
        raise ValueError(f"prize = {prize} should be a whole number of at least 1")
    bids = np.arange(int(prize) + 1)
    won = np.heaviside(bids[:, None] - bids, 0.5) * prize
    return NormalForm.from_bimatrix(won - bids[:, None], prize - won - bids)


def all_pay_equilibrium(prize: int = 5) -> Profile:
    """The uniform mixture of the module's docstring, for both."""
    mixture = jnp.asarray(np.append(np.full(int(prize), 1 / prize), 0.0), jnp.result_type(float))
    return mixture, mixture
