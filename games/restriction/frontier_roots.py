r"""Several speeds of the frontier: a frontier may stall because nobody expects it to move (model.md §7).

.. math:: \gamma = 1 + \varepsilon_\gamma\Bigl(\frac{\mathrm{MR}(r;\gamma)}{\mathrm{MR}(0)} - 1\Bigr)

may have several roots γ. They are searched on a scan: two roots between neighbouring speeds go unseen.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.restriction.challengers import Stage
from games.restriction.incumbents import RestrictionGame
from games.restriction.multiplicity import OUTCOMES, solved_stages, stage_at_one, with_variables
from games.restriction.outcomes import checked_restriction, label

if TYPE_CHECKING:
    import xarray

SCAN, FASTEST = 121, 3.0  # speeds of the frontier looked at, and the highest
ROOT = 1e-6  # a change of sign with a larger gap is a jump from one stage equilibrium to another


def frontier_speeds(game: RestrictionGame, restriction: Any) -> "xarray.Dataset":
    r"""All speeds γ of the frontier that agree with the return they bring, found on a scan of (0, 3].

    Changes of sign of :math:`1 + \varepsilon_\gamma(\mathrm{MR}(r;\gamma)/\mathrm{MR}(0) - 1) - \gamma`, each narrowed to
    1e-8; where the gap does not vanish the stage jumps, and there is no root.

    :param restriction: a number, one per incumbent, or (incumbent, channel).
    :return: over ``root``, slowest first: ``frontier_speed``, ``mix``, ``effort``, ``incumbent_payoff``,
        ``challenger_payoff``, ``welfare``, ``stage_residual``; and ``meant``, the root the ordinary solve stands for (the
        nearest to 1 on the side to which the right side points there; -1: none), ``num_jumps``, and ``open_above``
        (whether the right side still exceeds γ at the end of the scan).
    :raises ValueError: for a bad restriction.
    """
    r = jnp.stack(checked_restriction(game, restriction))
    speeds = np.linspace(0, FASTEST, SCAN + 1)[1:]
    solved = partial(_solved, game, r, stage_at_one(game, r))
    gap = solved(speeds).gap
    narrowed = [_narrowed(solved, *map(float, speeds[k : k + 2])) for k in _changes(gap)]
    roots = np.array([root for root, at_root in narrowed if at_root <= ROOT])
    found = solved(np.resize([*roots, 1.0], SCAN))
    names = ("frontier_speed", *OUTCOMES)
    over = ("root", np.arange(len(roots)), {"long_name": "root, slowest frontier first"})
    ds = label(game, {name: getattr(found, name)[: len(roots)] for name in names}, {"root": over})
    at_one = float(found.gap[len(roots)])
    extras = {
        "meant": ((), _meant(roots, at_one), "root next to 1 on the side the right side points to; -1: none"),
        "num_jumps": ((), len(narrowed) - len(roots), "changes of sign without a root, where the stage jumps"),
        "open_above": ((), bool(gap[-1] > 0), f"whether the right side exceeds γ at {FASTEST:g}"),
    }
    return with_variables(ds, extras).assign_attrs(complete=f"no: a scan of {SCAN} speeds")


def _solved(game: RestrictionGame, r: Array, at_one: Stage, speeds: np.ndarray) -> Any:
    """What stands at every speed, as NumPy arrays."""
    starts = jax.tree.map(lambda x: jnp.broadcast_to(x, (len(speeds), *x.shape)), at_one)
    return jax.tree.map(np.asarray, solved_stages(game, r, jnp.asarray(speeds), starts))


def _changes(gap: np.ndarray) -> np.ndarray:
    """The positions after which the sign changes."""
    return np.flatnonzero((gap[:-1] > 0) != (gap[1:] > 0))


def _narrowed(solved: Callable[[np.ndarray], Any], low: float, high: float) -> tuple[float, float]:
    """The first change of sign between two speeds, and the gap there."""
    below = above = np.inf
    while high - low > 1e-8:
        speeds = np.linspace(low, high, SCAN)
        gap = solved(speeds).gap
        k = int(_changes(gap)[0])
        low, high, below, above = (float(x) for x in (*speeds[k : k + 2], *gap[k : k + 2]))
    share = below / (below - above)
    return low + share * (high - low), max(abs(below), abs(above))


def _meant(roots: np.ndarray, at_one: float) -> int:
    """The nearest root above 1 if the right side exceeds 1 there, below if it falls short."""
    near = np.flatnonzero(np.abs(roots - 1) <= ROOT)
    if len(near):
        return int(near[0])
    side = np.flatnonzero(roots > 1) if at_one > 0 else np.flatnonzero(roots < 1)[::-1]
    return int(side[0]) if len(side) else -1
