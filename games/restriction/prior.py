"""The prior over parameters for which claims are made (model.md §10): its ranges, as one table, and draws from it.

A draw is independent across the rows of :data:`PRIOR`, uniform or log-uniform on the row's range; what no row names
(starting lags, masses, home bias, ...) stays at the default world.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from games.restriction.parameters import Parameters, array_fields


class Range(NamedTuple):
    """One independent draw: the values it may take and where it goes.

    ``parameter``: a keyword of ``RestrictionGame``. ``group``: the segment or bloc whose members share the draw; None:
    all of them do. ``log``: uniform in the logarithm. ``times``: the group whose draw of this parameter it multiplies.
    ``zero``: probability of exactly 0; the rest is spread over the range.
    """

    parameter: str
    low: float
    high: float
    group: str | None = None
    log: bool = False
    times: str | None = None
    zero: float = 0.0

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """The inverse of the distribution function, at u in [0, 1)."""
        v = (u - self.zero) / (1 - self.zero)
        linear = self.low + v * (self.high - self.low)
        value = self.low * (self.high / self.low) ** v if self.log else linear
        return np.where(v < 0, 0.0, np.clip(value, self.low, self.high))


PRIOR = (
    Range("base_value", 1, 3, "G"),
    Range("base_value", 0.8, 2.8, "V"),
    Range("lag_slope", 0.8, 3, "G"),
    Range("lag_slope", 0.3, 1.8, "V"),
    Range("user_harm", 0, 0.2),
    Range("client_degradation", 0, 0.5),
    Range("distrust", 0, 0.5),
    Range("niche_applied", 0, 1.8),
    Range("niche_client", 0, 1.2),
    Range("niche_sovereign", 0, 0.8),
    Range("applied_penalty", 0.2, 1.5),
    Range("home_trust", 0, 0.6),
    Range("wholesale_price", 1.1, 2.2),
    Range("sigma", 0.2, 1, log=True),
    Range("fee_share", 0, 0.8),
    Range("enforcement_cost", 0.05, 2, log=True),
    Range("detection_sharing", 0, 0.5),
    Range("appropriability", 0, 1, zero=0.5),
    Range("outside_knowledge", 0.1, 0.7),
    Range("rho", 1, 12, log=True),
    Range("bite", 0.3, 1, "CN"),
    Range("bite", 0.6, 1, "TW"),
    Range("absorption", 0.5, 1.6, "CN"),
    Range("absorption", 0.4, 1.3, "TW"),
    Range("open_absorption", 0.7, 2),
    Range("open_effort", 0.2, 0.6),
    Range("effort_cost", 10, 60, "CN", log=True),
    Range("effort_cost", 0.9, 1.6, "TW", times="CN"),
    Range("programme_cost", 0.3, 3, log=True),
    Range("subsidy", 0, 0.6, "CN"),
    Range("subsidy", 0, 0.6, "TW"),
    Range("open_handicap", 0, 1.2),
    Range("open_cost", 0.4, 1.2),
    Range("query_price", 0.005, 0.3, log=True),
    Range("pool", 0, 1),
    Range("horizon", 2, 8),
)


def draw_worlds(num: int, seed: int) -> dict[str, np.ndarray]:
    """``num`` independent draws from :data:`PRIOR`: keywords of ``RestrictionGame``, each array with the draw in front.

    :param seed: of ``numpy.random.default_rng``; more draws from the same seed begin with the same ones.
    :return: an array (num, own axes...) for every parameter :data:`PRIOR` names, float64, in the parameters' units.
    :raises ValueError: if ``num`` is not a positive integer.
    """
    return placed(np.random.default_rng(seed).random((checked_number(num), len(PRIOR))))


def sobol_uniform(num: int, seed: int, rows: int) -> np.ndarray:
    """``num`` points (draw, row) of a scrambled Sobol sequence in [0, 1) (Owen 1998), evenest if a power of two.

    More points from the same seed begin with the same ones.

    :raises ValueError: if ``num`` is not a positive integer.
    """
    from scipy.stats import qmc

    size = checked_number(num)
    return qmc.Sobol(rows, scramble=True, rng=seed).random_base2((size - 1).bit_length())[:size]


def checked_number(num: int) -> int:
    if num != int(num) or num < 1:
        raise ValueError(f"num = {num}: give the number of draws, a positive integer")
    return int(num)


def placed(
    uniform: np.ndarray, ranges: Sequence[Range] = PRIOR, base: Parameters | None = None
) -> dict[str, np.ndarray]:
    """The worlds at ``uniform`` (draw, row) in [0, 1); what no row names keeps its value in ``base``."""
    default, num = Parameters() if base is None else base, len(uniform)
    axes = {item.name: item.metadata["axes"] for item in array_fields()}
    worlds: dict[str, np.ndarray] = {}
    drawn: dict[tuple[str, str | None], np.ndarray] = {}
    for row, u in zip(ranges, uniform.T, strict=True):
        own = np.asarray(getattr(default, row.parameter), dtype=float)
        values = worlds.setdefault(row.parameter, np.tile(own, (num,) + (1,) * own.ndim))
        value = row.quantile(u)
        if row.times is not None:
            value = value * drawn[row.parameter, row.times]
        drawn[row.parameter, row.group] = value
        if row.group is None:
            values[...] = value.reshape((-1,) + (1,) * own.ndim)
        else:
            members = np.array(default._labels(axes[row.parameter][0])) == row.group
            values[:, members] = value.reshape((-1,) + (1,) * own.ndim)
    return worlds


def world(draws: Mapping[str, np.ndarray], i: int) -> dict[str, np.ndarray]:
    """The keywords of draw ``i`` alone: ``RestrictionGame(**world(draws, i))``."""
    return {name: values[i] for name, values in draws.items()}


def batch(draws: Mapping[str, np.ndarray], **common: Any) -> Parameters:
    """All draws at once: :class:`Parameters` in which every array has its own axes first and the draw last.

    The stage carries such a trailing axis along (``solve_stage(..., lanes=1)``); the restriction then has one too.
    ``common``: further keywords, the same in every draw.
    """
    (num,) = {len(values) for values in draws.values()}
    default = Parameters(**common)
    fields = {}
    for item in array_fields():
        own = getattr(default, item.name)
        values = np.moveaxis(draws[item.name], 0, -1) if item.name in draws else np.asarray(own)[..., None]
        fields[item.name] = jnp.broadcast_to(jnp.asarray(values, own.dtype), (*own.shape, num))
    return eqx.tree_at(lambda p: [getattr(p, name) for name in fields], default, list(fields.values()))
