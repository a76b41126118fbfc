"""The parameters of the restriction game, each with its symbol, meaning, unit, range and source.

Everything that describes a parameter (tables, ``--help``, checks of the input, attributes of a Dataset) is generated from
the fields of :class:`Parameters`; a new parameter is one line here.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

STRATEGIES = ("client", "sovereign", "applied")
DEMANDS = ("logit", "nested")
SEGMENTS = ("G", "V")

ByBloc = Mapping[str, float | tuple[float, ...]]


def parameter(
    symbol: str,
    meaning: str,
    unit: str = "1",
    axes: tuple[str, ...] = (),
    *,
    usual: Any,
    low: float = -math.inf,
    high: float = math.inf,
    open_low: bool = False,
    infinite: bool = False,
    source: str = "assumed",
) -> Any:
    """A field of :class:`Parameters`. ``low`` itself is refused if ``open_low``; infinity only if not ``infinite``."""
    return eqx.field(
        metadata={
            "symbol": symbol,
            "meaning": meaning,
            "unit": unit,
            "axes": axes,
            "default": usual,
            "low": low,
            "high": high,
            "open_low": open_low,
            "infinite": infinite,
            "source": source,
        }
    )


INCUMBENT, CHALLENGER, BLOC, CELL = ("incumbent",), ("challenger",), ("bloc",), ("cell",)
HOME_BIAS = ((0.4, -2.5, 0.0), (-1.5, 0.6, -0.5), (-0.8, -1.5, 0.4))


class Parameters(eqx.Module):
    """The parameters of the restriction game (money in billion US dollars a year, time in years).

    Who belongs where is static: ``blocs``; the bloc of each incumbent and challenger; the region (a bloc) and segment ("G"
    or "V") of each cell of consumers; the members of the consortium, by the challengers' names. The numbers of players,
    blocs and cells follow from these and from the lengths of the arrays given. Static too: the ``demand`` system; whether
    challengers may ``exit``, a fourth strategy without sales or profit; and whether a challenger's effort is one at which its
    first-order condition holds ("first_order"; ``effort_regret`` says what another would gain) or moves on while another pays
    more ("global"): ``effort_optimum``. A scalar given where several are held is broadcast; a default of several values
    repeats its last where a bloc has more members.
    """

    blocs: tuple[str, ...] = eqx.field(static=True)
    incumbents: tuple[str, ...] = eqx.field(static=True)
    challengers: tuple[str, ...] = eqx.field(static=True)
    cells: tuple[str, ...] = eqx.field(static=True)
    incumbent_bloc: tuple[str, ...] = eqx.field(static=True)
    challenger_bloc: tuple[str, ...] = eqx.field(static=True)
    cell_region: tuple[str, ...] = eqx.field(static=True)
    cell_segment: tuple[str, ...] = eqx.field(static=True)
    consortium: tuple[str, ...] = eqx.field(static=True)
    demand: Literal["logit", "nested"] = eqx.field(static=True)
    exit: bool = eqx.field(static=True)
    effort_optimum: Literal["first_order", "global"] = eqx.field(static=True)

    incumbent_lag: Array = parameter(
        "z_i", "lag of an incumbent behind the frontier", "years", INCUMBENT, usual=(0.0, 0.05, 0.1), low=0
    )
    incumbent_cost: Array = parameter("c_i", "unit cost of an incumbent", "1/α", INCUMBENT, usual=1.0, low=0)

    absorption: Array = parameter(
        "φ",
        "absorptive speed",
        "1/year",
        CHALLENGER,
        usual={"CN": 0.9, "TW": 1.1},
        low=0,
        source="Nelson-Phelps 1966",
    )
    starting_lag: Array = parameter(
        "z0", "lag at the start", "years", CHALLENGER, usual={"CN": 0.6, "TW": (0.9, 1.0)}, low=0
    )
    effort_cost: Array = parameter(
        "k", "slope of the marginal cost of research effort", "bn $/year", CHALLENGER,
        usual={"CN": 28.0, "TW": 31.0}, low=0, open_low=True,
    )  # fmt: skip
    programme_cost: Array = parameter(
        "F", "fixed cost of a sovereign programme", "bn $/year", CHALLENGER, usual=0.6, low=0
    )
    subsidy: Array = parameter(
        "g", "share of a sovereign programme paid by the state", "1", CHALLENGER,
        usual={"CN": 0.3, "TW": 0.4}, low=0, high=0.999,
    )  # fmt: skip
    sovereign_cost: Array = parameter(
        "c_S", "unit cost of a sovereign model", "1/α", CHALLENGER, usual={"CN": 0.8, "TW": 1.0}, low=0
    )

    bite: Array = parameter(
        "bite", "share of a restriction that binds in a bloc", "1", BLOC,
        usual={"US": 1.0, "CN": 0.85, "TW": 0.9}, low=0, high=1,
    )  # fmt: skip
    outside_knowledge: Array = parameter(
        "λ0", "share of knowledge that needs no distillation", "1", BLOC, usual=0.3, low=0, high=1
    )
    home_bias: Array = parameter(
        "h", "taste of a region for a bloc's products", "utility", ("bloc", "region"), usual=HOME_BIAS
    )

    mass: Array = parameter(
        "M", "mass of consumers", "bn $/year at α = 1", CELL, usual=(30.0, 20.0, 15.0, 10.0, 20.0, 15.0), low=0
    )
    price_sensitivity: Array = parameter("α", "price sensitivity", "1/price", CELL, usual=1.0, low=0, open_low=True)
    lag_slope: Array = parameter(
        "β", "utility lost for a year of lag", "utility/year", CELL, usual={"G": 1.0, "V": 0.45}, low=0
    )
    base_value: Array = parameter("v̄", "value of a frontier model", "utility", CELL, usual={"G": 1.7, "V": 1.6})
    dissimilarity: Array = parameter(
        "ν", "dissimilarity of a stack's products, with nested demand (1: plain logit)", "1", usual=0.7, low=0, high=1,
        open_low=True, source="McFadden 1978",
    )  # fmt: skip

    open_absorption: Array = parameter("φ_o", "absorptive speed of the open community", "1/year", usual=1.2, low=0)
    open_effort: Array = parameter("x_o", "research effort of the open community", "1", usual=0.4, low=0)
    open_starting_lag: Array = parameter("z0_o", "lag of the open community at the start", "years", usual=0.3, low=0)
    open_cost: Array = parameter("c_o", "unit cost of the open fringe", "1/α", usual=0.5, low=0)
    open_handicap: Array = parameter("h_o", "distaste for the open fringe", "utility", usual=0.0)

    niche_client: Array = parameter("d_C", "niche data of a client in V", "utility", CHALLENGER, usual=0.6)
    niche_sovereign: Array = parameter("d_S", "niche data of a sovereign firm in V", "utility", CHALLENGER, usual=0.65)
    niche_applied: Array = parameter("d_A", "niche data of applied AI in V", "utility", CHALLENGER, usual=0.5)
    applied_penalty: Array = parameter("pen_A", "handicap of applied AI in G", "utility", CHALLENGER, usual=0.9)
    home_trust: Array = parameter(
        "trust", "trust of a region in its sovereign models", "utility", CHALLENGER, usual=0.3
    )
    client_cost: Array = parameter("c_C", "unit cost of a client above w", "1/α", CHALLENGER, usual=0.2, low=0)
    applied_cost: Array = parameter("c_A", "unit cost of applied AI", "1/α", CHALLENGER, usual=0.6, low=0)
    client_programme_cost: Array = parameter("F_C", "fixed cost of a client", "bn $/year", CHALLENGER, usual=0.1, low=0)
    applied_programme_cost: Array = parameter(
        "F_A", "fixed cost of applied AI", "bn $/year", CHALLENGER, usual=0.3, low=0
    )

    wholesale_price: Array = parameter("w", "list price of a licence", "1/α", usual=1.2, low=0)
    wholesale_cost: Array = parameter("c_w", "incumbents' cost of serving a client", "1/α", usual=1.0, low=0)
    fee_share: Array = parameter("b_N", "share of a client's surplus taken as a fee", "1", usual=0.5, low=0, high=1)
    query_price: Array = parameter("q", "price of the queries distilled from", "bn $/year", usual=0.04, low=0)

    rho: Array = parameter(
        "ρ",
        "exponent of the pool of leaks; infinity is the weakest link",
        "1",
        usual=2.0,
        low=0,
        open_low=True,
        infinite=True,
    )
    theta: Array = parameter("θ", "decay of a leak's worth in the leaker's lag", "1/year", usual=1.0, low=0)
    detection_sharing: Array = parameter("s_d", "sharing of detection", "1", usual=0.0, low=0, high=1)
    user_harm: Array = parameter("χ", "harm of a restriction to honest users", "utility", usual=0.05, low=0)
    client_degradation: Array = parameter("χ_C", "lag a restriction adds to licensed tiers", "years", usual=0.1, low=0)
    distrust: Array = parameter("τ", "distrust of a restricting incumbent abroad", "utility", usual=0.07)
    client_distrust: Array = parameter("τ_C", "distrust of clients abroad", "utility", usual=0.0)
    enforcement_cost: Array = parameter(
        "c_r", "slope of the marginal cost of enforcement", "bn $/year", usual=0.8, low=0
    )
    channel_effect: Array = parameter(
        "η", "effect of each channel of restriction", "1", ("channel",), usual=(1.0,), low=0, high=1
    )

    sigma: Array = parameter(
        "σ", "scale of the private shocks", "bn $/year", usual=0.95, low=0, open_low=True, source="Seim 2006"
    )
    horizon: Array = parameter("Y", "horizon", "years", usual=4.0, low=0, open_low=True)
    effort_bound: Array = parameter("x̄", "highest research effort", "1", usual=1.0, low=0)
    pool: Array = parameter(
        "pool", "share of a programme's cost that a consortium shares", "1", usual=0.35, low=0, high=1
    )
    cooperation: Array = parameter("κ", "weight of the rivals' profits", "1", usual=0.0, low=0, high=1)
    appropriability: Array = parameter(
        "ε_γ", "elasticity of the frontier's speed in its private return", "1", usual=0.0, low=0, high=1
    )
    public_funds_cost: Array = parameter("mcpf", "marginal cost of public funds", "1", usual=0.3, low=0)

    def __init__(
        self,
        *,
        blocs: Sequence[str] = ("US", "CN", "TW"),
        incumbent_bloc: Sequence[str] | None = None,
        challenger_bloc: Sequence[str] | None = None,
        cell_region: Sequence[str] | None = None,
        cell_segment: Sequence[str] | None = None,
        incumbents: Sequence[str] | None = None,
        challengers: Sequence[str] | None = None,
        consortium: Sequence[str] | None = None,
        demand: str = "logit",
        exit: bool = False,
        effort_optimum: str = "first_order",
        **values: Any,
    ):
        _refuse_unknown(values)
        self.blocs = tuple(blocs)
        self.incumbent_bloc = _membership(
            "incumbent_bloc", "incumbent", incumbent_bloc, ("US",) * 3, values, uniform=True
        )
        self.challenger_bloc = _membership(
            "challenger_bloc", "challenger", challenger_bloc, ("CN", "CN", "TW", "TW"), values
        )
        self.cell_region = _membership("cell_region", "cell", cell_region, ("US", "US", "CN", "CN", "TW", "TW"), values)
        self.cell_segment = _membership("cell_segment", "cell", cell_segment, ("G", "V") * 3, values)
        _check_members("incumbent_bloc", self.incumbent_bloc, self.blocs, "blocs")
        _check_members("challenger_bloc", self.challenger_bloc, self.blocs, "blocs")
        _check_members("cell_region", self.cell_region, self.blocs, "blocs")
        _check_members("cell_segment", self.cell_segment, SEGMENTS, "the segments")
        if not self.incumbent_bloc:
            raise ValueError("incumbent_bloc is empty: the game needs at least one incumbent; name the bloc of each")
        if len(self.cell_region) != len(self.cell_segment) or not self.cell_region:
            raise ValueError(
                f"cell_region names {len(self.cell_region)} cells and cell_segment {len(self.cell_segment)}: "
                "give both, of one length, at least one cell"
            )
        self.cells = tuple(
            f"{region}-{segment}" for region, segment in zip(self.cell_region, self.cell_segment, strict=True)
        )
        self.incumbents = _names("incumbents", incumbents, self.incumbent_bloc)
        self.challengers = _names("challengers", challengers, self.challenger_bloc)
        members = tuple(n for n, b in zip(self.challengers, self.challenger_bloc, strict=True) if b == "TW")
        self.consortium = members if consortium is None else tuple(consortium)
        _check_members("consortium", self.consortium, self.challengers, "challengers")
        self.demand, self.exit = _checked_demand(demand, values), bool(_one_of("exit", exit, (True, False)))  # type: ignore[assignment]
        self.effort_optimum = _one_of("effort_optimum", effort_optimum, ("first_order", "global"))
        for item in array_fields():
            value = values.get(item.name)
            value = self._default(item) if value is None else value
            setattr(self, item.name, _checked(item, value, self._shape(item, value)))

    def _labels(self, axis: str) -> tuple[str, ...]:
        """What a default by group is keyed by, along an axis."""
        return {
            "incumbent": self.incumbent_bloc,
            "challenger": self.challenger_bloc,
            "bloc": self.blocs,
            "region": self.blocs,
            "cell": self.cell_segment,
        }[axis]

    def _shape(self, item: dataclasses.Field, value: Any) -> tuple[int, ...]:
        axes = item.metadata["axes"]
        if axes == ("channel",):
            return (max(1, int(np.size(value))) if not isinstance(value, Tracer) else value.shape[0],)
        return tuple(len(self._labels(axis)) for axis in axes)

    def _default(self, item: dataclasses.Field) -> Any:
        default, axes = item.metadata["default"], item.metadata["axes"]
        if item.name == "dissimilarity" and self.demand == "logit":
            return 1.0
        if isinstance(default, dict):
            return _by_group(item.name, default, self._labels(axes[0]))
        if axes == INCUMBENT and isinstance(default, tuple):
            return _by_group(item.name, {"any": default}, ("any",) * len(self.incumbent_bloc))
        if isinstance(default, tuple) and axes != ("channel",) and np.shape(default) != self._shape(item, default):
            raise ValueError(
                f"{item.name} has no default for {' x '.join(map(str, self._shape(item, default)))} values "
                f"(one per {', '.join(axes)}): pass {item.name}=..."
            )
        return default

    @property
    def strategies(self) -> tuple[str, ...]:
        return (*STRATEGIES, "exit") if self.exit else STRATEGIES


def array_fields() -> tuple[dataclasses.Field, ...]:
    """The fields that hold numbers, in order; ``.metadata`` describes each."""
    return tuple(item for item in dataclasses.fields(Parameters) if "symbol" in item.metadata)


STRUCTURE = tuple(
    item.name for item in dataclasses.fields(Parameters) if "symbol" not in item.metadata and item.name != "cells"
)


def _refuse_unknown(values: Mapping[str, Any]) -> None:
    import difflib

    known = [item.name for item in array_fields()]
    for name in values:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else "see Parameters for the names"
            raise ValueError(f"{name} is no parameter of the restriction game: {hint}")


def _checked_demand(demand: str, values: Mapping[str, Any]) -> str:
    if _one_of("demand", demand, DEMANDS) == "logit" and values.get("dissimilarity") is not None:
        raise ValueError(
            f"dissimilarity = {values['dissimilarity']} has no effect with demand = 'logit': "
            "pass demand='nested', or leave it out"
        )
    return demand


def _one_of(name: str, value: Any, allowed: tuple[Any, ...]) -> Any:
    if value not in allowed:
        raise ValueError(f"{name} = {value!r}: give one of {', '.join(map(repr, allowed))}")
    return value


def _membership(name, axis, given, default, values, *, uniform=False) -> tuple[str, ...]:
    """Who belongs where: as given, else the default, else (if all belong alike) as many as the arrays given hold."""
    if given is not None:
        return (given,) if isinstance(given, str) else tuple(given)
    lengths = {
        item.name: np.shape(values[item.name])[0]
        for item in array_fields()
        if item.metadata["axes"][:1] == (axis,) and np.ndim(values.get(item.name)) > 0
    }
    for key, length in lengths.items():
        if length == len(default):
            continue
        if uniform or length == 0:
            return default[:1] * length
        raise ValueError(
            f"{key} has {length} values, and {name} names {len(default)} by default: pass {name}=(...) with {length} entries"
        )
    return default


def _check_members(name: str, values: Sequence[str], allowed: Sequence[str], what: str) -> None:
    for value in values:
        if value not in allowed:
            raise ValueError(f"{name} names {value!r}, which is not one of {what} {tuple(allowed)}")


def _names(name: str, given: Sequence[str] | None, blocs: tuple[str, ...]) -> tuple[str, ...]:
    if given is not None:
        if len(given) != len(blocs) or len(set(given)) != len(given):
            raise ValueError(f"{name} = {tuple(given)}: give {len(blocs)} different names")
        return tuple(given)
    seen: dict[str, int] = {}
    names = []
    for bloc in blocs:
        seen[bloc] = seen.get(bloc, 0) + 1
        names.append(f"{bloc} {seen[bloc]}")
    return tuple(names)


def _by_group(name: str, default: ByBloc, labels: tuple[str, ...]) -> list[float]:
    """Values for members of groups: the k-th member of a group takes its k-th value, or the last."""
    seen: dict[str, int] = {}
    values = []
    for label in labels:
        if label not in default:
            raise ValueError(f"{name} has no default for {label!r} (only for {', '.join(default)}): pass {name}=...")
        group = np.atleast_1d(default[label])
        values.append(float(group[min(seen.get(label, 0), len(group) - 1)]))
        seen[label] = seen.get(label, 0) + 1
    return values


def _checked(item: dataclasses.Field, value: Any, shape: tuple[int, ...]) -> Array:
    about = item.metadata
    try:
        array = jnp.asarray(value, dtype=jnp.result_type(float))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{item.name} = {value!r} is not a number or an array of numbers") from error
    if array.shape != shape:
        if array.ndim:
            per = f"one per {', '.join(about['axes'])}" if about["axes"] else "a single number"
            raise ValueError(f"{item.name} has shape {array.shape}, which should be {shape} ({per})")
        array = jnp.broadcast_to(array, shape)
    if not isinstance(value, Tracer) and not isinstance(array, Tracer):
        problem = _problem(about, np.asarray(value, dtype=float))
        if problem:
            raise ValueError(f"{item.name} = {_shown(value)} ({about['symbol']}, {about['meaning']}): {problem}")
    return array


def _problem(about: Mapping[str, Any], value: np.ndarray) -> str | None:
    low, high = about["low"], about["high"]
    if np.isnan(value).any():
        return "is not a number; give a finite value"
    if not about["infinite"] and np.isinf(value).any():
        return "must be finite"
    if (value < low).any() or (about["open_low"] and (value <= low).any()):
        return f"must be {'above' if about['open_low'] else 'at least'} {low:g}"
    if (value > high).any():
        return f"must be at most {high:g}"
    return None


def _shown(value: Any) -> str:
    return np.array2string(np.asarray(value), separator=", ", threshold=8)
