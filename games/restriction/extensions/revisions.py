r"""Time: lags move in closed form, and strategies are revised at given dates (model.md §9).

.. math::
    \dot z = \gamma - x - \omega z,\qquad z(t) = z_0 e^{-\omega t} + (\gamma - x)\,t\,E(\omega t),\qquad \omega = \varphi\Lambda

with E(y) = (1 - e^-y)/y. At a date everybody plays the base game from the lags reached, with its horizon ahead; until the next
date a challenger's lag moves at its expected effort P_S x and its bloc's pool, the open community's at x_o and Λ_o. z is linear
in x, so this is the mean lag over who is sovereign. Incumbents' lags stay.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.restriction.demand import SOVEREIGN
from games.restriction.incumbents import RestrictionGame
from games.restriction.knowledge import decay, effective_restriction, pools
from games.restriction.outcomes import checked_restriction, label, measures
from games.restriction.parameters import Parameters
from solver.compilation import jit_once
from solver.game import Profile
from solver.solve import solve

if TYPE_CHECKING:
    import xarray


def lag(starting_lag: Array, speed: Array, effort: Array, gamma: Array, time: Array) -> Array:
    """z(t), years, of the Nelson-Phelps path (1966) from ``starting_lag``; ``speed`` is ω = φΛ, 1/year."""
    return starting_lag * jnp.exp(-speed * time) + (gamma - effort) * time * decay(speed * time)[0]


def path(
    game: RestrictionGame, restriction: Any, dates: Sequence[float], *, times: Sequence[float] | None = None
) -> "xarray.Dataset":
    """The outcomes at dates at which strategies are revised, and the lags between them.

    :param restriction: one r for all dates and incumbents, one per date (date,), or (date, incumbent); "nash": what incumbents
        choose at each date, in the equilibrium reached from that of the date before (at first from r = 0).
    :param dates: years, rising; the parameters' starting lags are those at the first.
    :param times: years, from the first date on, at which lags are given in closed form (default: the dates).
    :return: over ``date`` every variable of ``VARIABLES`` as seen with the horizon ahead, and ``certified``; over ``time``
        ``lag`` (time, challenger) and ``open_community_lag`` (time).
    :raises ValueError: for dates or times that do not rise from the first date, or a restriction that does not fit.
    """
    when = _checked_dates("dates", dates)
    shown = when if times is None else _checked_dates("times", times, when[0])
    given = None if isinstance(restriction, str) else _by_date(game, restriction, len(when))
    if given is None and restriction != "nash":
        raise ValueError(f"restriction = {restriction!r}: give numbers, or 'nash'")
    profile: Profile = tuple(jnp.zeros(game.num_channels) for _ in game.players)
    tables, lags, fine = [], [], []
    for k, date in enumerate(when):
        solution = None if given is not None else solve(game, start=profile, throw=False)
        profile = solution.strategies if given is None else given[k]  # type: ignore[union-attr]
        table = _measures(game, profile)
        fine.append(bool(table["stage_converged"]) and (solution is None or bool(solution.converged)))
        tables.append(table)
        until = when[k + 1] if k + 1 < len(when) else np.inf
        here = np.append(shown[(shown >= date) & (shown < until)], until if np.isfinite(until) else date) - date
        own, open_ = _moved(game.parameters, jnp.stack(profile), table, jnp.asarray(here))
        lags.append((np.asarray(own)[:-1], np.asarray(open_)[:-1]))
        start = (own[-1], open_[-1])
        game = eqx.tree_at(lambda g: (g.parameters.starting_lag, g.parameters.open_starting_lag), game, start)
    stacked = {name: np.stack([np.asarray(table[name]) for table in tables]) for name in tables[0]}
    ds = label(game, stacked, {"date": when}).assign(certified=("date", fine)).assign_coords(time=shown)
    own, open_ = (np.concatenate(parts) for parts in zip(*lags, strict=True))
    years = {"units": "years"}
    return ds.assign(
        lag=(("time", "challenger"), own, {"long_name": "mean lag of a challenger"} | years),
        open_community_lag=("time", open_, {"long_name": "lag of the open community"} | years),
    )


def later_game(game: RestrictionGame, restriction: Array, years: Array) -> RestrictionGame:
    """The game from the lags that ``years`` of its play at r (incumbent, channel) lead to."""
    own, open_ = _moved(game.parameters, restriction, measures(game, tuple(restriction)), years[None])
    return eqx.tree_at(lambda g: (g.parameters.starting_lag, g.parameters.open_starting_lag), game, (own[0], open_[0]))


_measures = jit_once(measures)


@jax.jit
def _moved(p: Parameters, restriction: Array, table: dict[str, Array], time: Array) -> tuple[Array, Array]:
    """The lags (time, challenger) and the open community's (time,) after ``time`` years of the strategies in ``table``."""
    pool, open_pool = pools(p, effective_restriction(p, restriction))
    home = np.array([p.blocs.index(bloc) for bloc in p.challenger_bloc], dtype=int)
    gamma, effort = table["frontier_speed"], table["mix"][:, SOVEREIGN] * table["effort"]
    own = lag(p.starting_lag, p.absorption * pool[home], effort, gamma, time[:, None])
    return own, lag(p.open_starting_lag, p.open_absorption * open_pool, p.open_effort, gamma, time)


def _checked_dates(name: str, values: Sequence[float], first: float = -np.inf) -> np.ndarray:
    dates = np.asarray(values, float)
    if (
        dates.ndim != 1
        or not dates.size
        or not np.isfinite(dates).all()
        or (np.diff(dates) <= 0).any()
        or dates[0] < first
    ):
        least = "" if first == -np.inf else f", from {first:g} on"
        raise ValueError(f"{name} = {list(np.ravel(dates))}: give rising numbers of years{least}")
    return dates


def _by_date(game: RestrictionGame, restriction: Any, num: int) -> list[Profile]:
    values = np.asarray(restriction, float)
    if values.ndim and values.shape[0] != num:
        raise ValueError(f"restriction has shape {values.shape}: give a number, or one row for each of {num} dates")
    return [checked_restriction(game, row) for row in (np.broadcast_to(values, num) if values.ndim == 0 else values)]
