r"""What was reported of a year, beside what the model has there, and what may move to bring them together (model.md §10).

.. math::
    m(\theta) = \bigl(\bar z_{S,b},\ \bar z_o,\ \text{shares},\ \text{prices},\ \tfrac{p_i - c_i}{p_i},\ \text{spend},\
    \Pi_i(\bar r, 0_{-i}) - \Pi_i(0)\bigr)

at the stage of r = 0. *Reported* are the figures, each with its source in ``calibration/moments``; *derived* those that are
arithmetic on reported ones; *assumed* are the mapping (what in the model a figure measures), deviations where no range was
published, and the widths of what may move.

"No restriction worth the name" is read as: none gains by restricting alone, to :math:`\bar r` = 0.1 or 1. These differences
need two stages and first derivatives only; the marginal gain at r = 0 would ask for second ones, and would not see the cost
of enforcement, whose slope is 0 there. An equilibrium itself is no smooth function of parameters where it jumps.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.restriction.frontier import fast_play
from games.restriction.incumbents import CALIBRATIONS
from games.restriction.outcomes import measured
from games.restriction.parameters import Parameters, array_fields

MILD, FULL = 0.1, 1.0
KINDS = ("equal", "at_most", "at_least")


class Moments(NamedTuple):
    """Reported figures, one entry each."""

    names: list[str]  # as in the file
    labels: list[str]  # with the incumbent or bloc
    columns: np.ndarray  # where in the model's moments
    value: np.ndarray
    deviation: np.ndarray
    kind: np.ndarray
    about: dict[str, list[str]]  # unit, status, source

    def residual(self, modelled: np.ndarray) -> np.ndarray:
        """(model - reported)/deviation; 0 where an "at_most" or "at_least" is met."""
        gap = (modelled - self.value) / self.deviation
        return np.where(self._met(gap), 0.0, gap)

    def slope(self, modelled: np.ndarray, jacobian: np.ndarray) -> np.ndarray:
        """The residual's derivatives (moment, parameter)."""
        gap = (modelled - self.value) / self.deviation
        return np.where(self._met(gap)[:, None], 0.0, jacobian / self.deviation[:, None])

    def _met(self, gap: np.ndarray) -> np.ndarray:
        return ((self.kind == "at_most") & (gap <= 0)) | ((self.kind == "at_least") & (gap >= 0))


class Free(eqx.Module):
    """A number that may move: ``parameter``, where ``mask`` is 1, times width ** t (``log``) or plus width * t."""

    name: str = eqx.field(static=True)
    parameter: str = eqx.field(static=True)
    log: bool = eqx.field(static=True)
    mask: Array
    width: Array

    def value(self, p: Parameters, t: Any) -> Array:
        """The parameter (own axes) at t."""
        own = getattr(p, self.parameter)
        return jnp.where(self.mask > 0, own * self.width**t if self.log else own + self.width * t, own)

    def bounds(self, p: Parameters) -> tuple[float, float]:
        """Lowest and highest t: within -1 and 1, and the parameter within its own bounds."""
        about = next(item.metadata for item in array_fields() if item.name == self.parameter)
        if self.log:
            return -1.0, 1.0
        own = np.asarray(getattr(p, self.parameter))[np.asarray(self.mask) > 0]
        low, high = (about["low"] - own.min()) / self.width, (about["high"] - own.max()) / self.width
        return max(-1.0, float(low)), min(1.0, float(high))


def modelled(p: Parameters) -> dict[str, Array]:
    """The model's moments by name: a number, one per incumbent or one per bloc; nan where a stage is not solved."""
    num, channels = len(p.incumbents), p.channel_effect.shape[0]
    alone = jnp.eye(num)
    profiles = jnp.concatenate([jnp.zeros((1, num)), MILD * alone, FULL * alone])
    plays = jax.vmap(lambda r: fast_play(p, jnp.broadcast_to(r[:, None], (num, channels))))(profiles)
    play = jax.tree.map(lambda x: x[0], plays)
    found = measured(p, jnp.zeros((num, channels)), play)
    profit = jnp.where(plays.converged[:, None], plays.incumbent_payoff, jnp.nan)
    own = profit[1:].reshape(2, num, num)[:, np.arange(num), np.arange(num)] - profit[0]

    home = _members(p.challenger_bloc, p.blocs)
    cost = jnp.stack([p.wholesale_price + p.client_cost, p.sovereign_cost, p.applied_cost], axis=1)[..., None]
    sold = play.challenger_share[:, : cost.shape[1]]  # exit sells nothing
    price = play.challenger_markup[:, : cost.shape[1]] / p.price_sensitivity + cost
    leaders = p.incumbent_cost[:, None] + play.incumbent_markup / p.price_sensitivity
    paid = p.mass * leaders * play.incumbent_share
    used = p.mass * play.incumbent_share
    fringe = p.mass * p.open_cost * play.fringe_share
    spend = paid.sum(axis=0) + (p.mass * price * sold).sum(axis=(0, 1)) + fringe
    margin = (paid - p.incumbent_cost[:, None] * used).sum(axis=1) / paid.sum(axis=1)
    firms = home @ found["sovereign_lag"] / jnp.maximum(home.sum(axis=1), 1)
    in_region = jnp.einsum("cbb->cb", found["region_share"])[0]
    values = {
        "lag": jnp.where(home.sum(axis=1) > 0, firms, jnp.nan),
        "open_lag": found["open_lag"],
        "open_token_share": found["fringe_use"] / found["deployment"],
        "open_spend_share": fringe.sum() / spend.sum(),
        "closed_price": paid.sum() / used.sum(),
        "open_price": p.open_cost,
        "margin": margin,
        "spend": spend.sum(),
        "spend_share": _members(p.cell_region, p.blocs) @ spend / spend.sum(),
        "gain_mild": own[0],
        "gain_full": own[1],
    }
    values |= {f"home_use_in_{bloc}": in_region[b] for b, bloc in enumerate(p.blocs)}
    return {name: jnp.where(play.converged, value, jnp.nan) for name, value in values.items()}


def _members(names: tuple[str, ...], blocs: tuple[str, ...]) -> np.ndarray:
    return np.array([[name == bloc for name in names] for bloc in blocs], float).reshape(len(blocs), -1)


def flat(values: Mapping[str, Array]) -> Array:
    """All moments in one array, by name in order."""
    return jnp.concatenate([jnp.atleast_1d(values[name]) for name in sorted(values)])


def read(name: str, p: Parameters) -> tuple[Moments, list[Free], Parameters]:
    """The moments and the free parameters of ``calibration/moments/NAME.toml``, and ``p`` with their starting values.

    :raises ValueError: naming the entry and what is wrong with it.
    """
    import tomllib

    folder = CALIBRATIONS / "moments"
    known = sorted(path.stem for path in folder.glob("*.toml"))
    if name not in known:
        raise ValueError(f"name = {name!r}: there are no moments of it; give one of {', '.join(known)}")
    table = tomllib.loads((folder / f"{name}.toml").read_text())
    shapes = {key: value.shape for key, value in jax.eval_shape(modelled, p).items()}
    free = []
    for key, entry in table["free"].items():
        mask = _mask(p, key, entry["parameter"], entry.get("at", []))
        if "start" in entry:
            own = getattr(p, entry["parameter"])
            p = eqx.tree_at(lambda q, n=entry["parameter"]: getattr(q, n), p, jnp.where(mask > 0, entry["start"], own))
        free.append(Free(key, entry["parameter"], entry.get("log", False), mask, jnp.asarray(entry["width"], float)))
    return _moments(table["moments"], shapes, p), free, p


def _moments(table: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], p: Parameters) -> Moments:
    order, first = sorted(shapes), {}
    for name in order:
        first[name] = sum(int(np.prod(shapes[other])) for other in order[: order.index(name)])
    rows = []
    for name, entry in table.items():
        if name not in shapes:
            raise ValueError(f"moments.{name} is none of {', '.join(order)}")
        kind, shape = entry.get("kind", "equal"), shapes[name]
        if kind not in KINDS:
            raise ValueError(f"moments.{name}: kind = {kind!r}: give one of {', '.join(KINDS)}")
        value, deviation = (np.broadcast_to(entry[key], shape).ravel() for key in ("value", "deviation"))
        of = {(): [""], (len(p.incumbents),): p.incumbents}
        members = p.blocs if name in BY_BLOC else of[shape]
        for k in np.flatnonzero(np.isfinite(value)):
            about = (entry["unit"], entry["status"], entry["source"].strip())
            rows.append((name, f"{name} {members[k]}".strip(), first[name] + k, value[k], deviation[k], kind, about))
    names, labels, columns, value, deviation, kind, about = map(list, zip(*rows, strict=True))
    texts: dict[str, list[str]] = dict(
        zip(("unit", "status", "source"), map(list, zip(*about, strict=True)), strict=True)
    )
    return Moments(names, labels, np.array(columns), np.array(value), np.array(deviation), np.array(kind), texts)


BY_BLOC = ("lag", "spend_share")


def _mask(p: Parameters, key: str, parameter: str, at: list[str]) -> Array:
    """1 at the members that ``at`` names, one label per axis; without labels everywhere."""
    axes = next(item.metadata["axes"] for item in array_fields() if item.name == parameter)
    groups = {"incumbent": (p.incumbents, p.incumbent_bloc), "challenger": (p.challengers, p.challenger_bloc)}
    groups |= {"cell": (p.cells, p.cell_region, p.cell_segment), "bloc": (p.blocs,), "region": (p.blocs,)}
    mask = np.ones(getattr(p, parameter).shape)
    for k, (axis, label) in enumerate(zip(axes, at, strict=bool(at))):
        own = np.any([np.array(names) == label for names in groups[axis]], axis=0)
        if not own.any():
            raise ValueError(f"free.{key}: {label!r} names no {axis}")
        mask = mask * np.expand_dims(own, tuple(range(1, len(axes) - k)))
    return jnp.asarray(mask)
