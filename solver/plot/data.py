"""What a figure takes from a Dataset: variables by name, their labels and units, certified values, categories, axes."""

import dataclasses
import difflib
import re
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from solver.plot.style import LETTERS, MOST
from solver.solution import Status

if TYPE_CHECKING:
    import xarray


def variable(
    ds: "xarray.Dataset", source: Any, argument: str, dims: tuple[str, ...], spare: int = 0
) -> "xarray.DataArray":
    """A variable by name, by a function of the Dataset, or as it is; over ``dims`` and at most ``spare`` more.

    :raises ValueError: if there is none of that name, or it has further dimensions.
    """
    if isinstance(source, str) and source not in ds.data_vars:
        raise ValueError(f"{argument} = {source!r}: there is no such variable; {near(source, ds.data_vars)}")
    array: xarray.DataArray = ds[source] if isinstance(source, str) else source(ds) if callable(source) else source  # type: ignore[assignment]
    more = [str(dim) for dim in array.dims if dim not in dims]
    if len(more) > spare:
        name = argument if argument == array.name else f"{argument} = {array.name!r}"
        raise ValueError(
            f"{name} has the further dimensions {', '.join(more)}: draw one as facet, or take one "
            f"value of {'all but one' if spare else 'each'} with select, ds.sel({more[0]}=...)"
        )
    return array


def dimension(ds: "xarray.Dataset", name: Any, argument: str, least: int = 1) -> str:
    """A dimension of the Dataset by name, of at least so many values."""
    if not isinstance(name, str) or name not in ds.dims:
        raise ValueError(f"{argument} = {name!r}: there is no such dimension; {near(str(name), ds.dims)}")
    if ds.sizes[name] < least:
        raise ValueError(f"{argument} = {name!r} has {ds.sizes[name]} value: it takes at least {least}")
    return name


def near(name: str, names: Any) -> str:
    names = [str(n) for n in names]
    close = difflib.get_close_matches(name, names, 1)
    return f"did you mean {close[0]}?" if close else f"give one of {', '.join(names[:12])}"


def certified(ds: "xarray.Dataset", array: "xarray.DataArray", fill: Any = np.nan) -> "xarray.DataArray":
    """The array where the status is ``converged``, elsewhere ``fill``; unchanged if the status says nothing of it."""
    if "status" not in ds or not set(ds.status.dims) <= set(array.dims):
        return array
    return array.where(ds.status == Status.converged, fill)


@dataclasses.dataclass(frozen=True)
class Categories:
    """Integer ``codes`` (-1: none) into ``labels``, and what they are."""

    codes: "xarray.DataArray"
    labels: list[str]
    title: str


def categories(ds: "xarray.Dataset", source: Any, dims: tuple[str, ...]) -> Categories:
    """Regimes over ``dims``: a variable of labels, or along one more dimension the label of its largest value.

    :raises ValueError: if it is continuous, or has more categories than a reader can tell apart.
    """
    array = variable(ds, source, "regime", dims, spare=1)
    about = label(array.assign_attrs(units="1"))
    more = [str(dim) for dim in array.dims if dim not in dims]
    if more:
        names = array[more[0]].values if more[0] in array.coords else np.arange(array.sizes[more[0]])
        known = array.notnull().all(more[0])
        codes = array.fillna(-np.inf).argmax(more[0]).where(known, -1).astype(int)
        about = f"largest {about}"
    elif array.dtype.kind == "f":
        raise ValueError(f"regime = {array.name!r} is continuous: give labels or whole numbers, or draw it as contour")
    else:
        values = names = np.unique(array.values[certified(ds, array == array, False).values])
        if "flag_meanings" in array.attrs:
            names = str(array.attrs["flag_meanings"]).split()
            values = np.atleast_1d(array.attrs.get("flag_values", range(len(names))))
        elif array.dtype.kind == "b":
            names = np.where(names, "yes", "no")
        codes = sum(((array == v) * (k + 1) for k, v in enumerate(values.tolist())), (array != array) * 1) - 1
    labels = [str(name).replace("_", " ") for name in names]
    if len(labels) > MOST:
        raise ValueError(f"regime = {array.name!r} has {len(labels)} categories: a figure can tell {MOST} apart")
    return Categories(certified(ds, codes, -1), labels, about)


def label(array: "xarray.DataArray", inches: float = 99) -> str:
    """A variable's or coordinate's name, symbol and unit from its attrs, broken to a width."""
    text = str(array.attrs.get("long_name", str(array.name).replace("_", " ")))
    symbol = mathematics(str(array.attrs.get("symbol", "")))
    # spaces that do not break keep together what belongs together
    text += f",\u00a0{symbol}" * bool(symbol) + _units(array, " ({})")
    return textwrap.fill(text, max(12, int(inches * LETTERS)))


def _units(array: "xarray.DataArray", pattern: str) -> str:
    units = str(array.attrs.get("units", "1")).replace("$", r"\$").replace(" ", "\u00a0")
    return "" if units == "1" else pattern.format(units)


def mathematics(symbol: str) -> str:
    """A symbol such as "λ0" with its index lowered; one that is a word says nothing a name does not."""
    parts = re.fullmatch(r"([^\W\d_])(\u0304?)(\d*)(?:_(\w+))?", symbol)
    if not parts:
        return ""
    letter = rf"\bar{{{parts[1]}}}" if parts[2] else parts[1]
    index = ",".join(part for part in parts.groups()[2:] if part)
    return f"${letter}_{{{index}}}$" if index else f"${letter}$"


def tag(array: "xarray.DataArray") -> str:
    """A coordinate's single value, as a panel's title: "ρ = 2", "TW 1"."""
    value = array.values.item()
    if array.dtype.kind not in "fiu":
        return str(value)
    name = mathematics(str(array.attrs.get("symbol", ""))) or str(array.name).replace("_", " ")
    return f"{name} = {number(value)}{_units(array, ' {}')}"


def number(value: float) -> str:
    return "∞" if value == np.inf else f"{value:.4g}"


@dataclasses.dataclass(frozen=True)
class Axis:
    """Where the values of a coordinate stand: in themselves, in logarithms, or one after the other ("places")."""

    positions: np.ndarray
    scale: str
    names: list[str] | None

    @property
    def edges(self) -> np.ndarray:
        """The borders of the cells around the positions, the outer ones at the first and last position."""
        p = np.log(self.positions) if self.scale == "log" else self.positions
        cut = np.concatenate([p[:1], (p[1:] + p[:-1]) / 2, p[-1:]])
        return np.exp(cut) if self.scale == "log" else cut

    def apply(self, ax: Any, which: str) -> None:
        from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

        axis = getattr(ax, f"{which}axis")
        if self.scale == "log":
            getattr(ax, f"set_{which}scale")("log")
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        elif self.names is None:
            axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        else:
            axis.set_ticks(self.positions, self.names)
        getattr(ax, f"set_{which}lim")(self.positions[0], self.positions[-1])


def axis(coord: "xarray.DataArray") -> Axis:
    """Logarithmic where the values are more evenly spaced so; places for labels, and where infinity is among the values."""
    values = coord.values
    if values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        names = [number(v) if values.dtype.kind == "f" else str(v) for v in values]
        return Axis(np.arange(len(values), dtype=float), "places", names)
    values = values.astype(float)
    steps = [_unevenness(values)] + ([_unevenness(np.log(values))] if (values > 0).all() else [])
    return Axis(values, "log" if len(values) > 2 and steps[-1] < 0.9 * steps[0] - 1e-9 else "linear", None)


def _unevenness(values: np.ndarray) -> float:
    steps = np.diff(values)
    return float(steps.std() / steps.mean()) if len(steps) else 0.0


def ordered(ds: "xarray.Dataset", *names: str) -> "xarray.Dataset":
    """The Dataset with numbers along these dimensions ascending."""
    return ds.sortby([n for n in names if n in ds.coords and ds[n].dtype.kind in "fiu" and (ds[n].diff(n) < 0).any()])
