"""Curves of outcomes along a parameter, with bands over another dimension."""

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from solver.plot.data import Axis, axis, certified, dimension, label, ordered, tag, variable
from solver.plot.style import MOST, legend, panels, share_axes, strokes

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Source = str | xarray.DataArray | Callable[[xarray.Dataset], xarray.DataArray]

BAND = (0.05, 0.5, 0.95)


def curves(
    ds: "xarray.Dataset",
    y: "Source | Sequence[str]",
    *,
    x: str,
    band: str | None = None,
    facet: str | None = None,
    columns: Literal[1, 2] = 1,
) -> "Figure":
    """Outcomes along ``x``: a line for each label of one further dimension; gaps where the status is not converged.

    :param ds: a Dataset.
    :param y: a variable's name, an array, or a function of the Dataset to one; several names have a panel each.
    :param x: a dimension, logarithmic where its values are so spaced.
    :param band: a dimension (draws of a prior, say) over which the line is the median and the band runs from the 5 % to the
        95 % quantile, of the certified points.
    :param facet: a dimension with a panel for each of its values; for a single ``y``.
    :param columns: of a printed page: 1 (3.4 inches wide) or 2 (7 inches).
    :return: a matplotlib Figure; ``figure.savefig("x.pdf")``.
    :raises ValueError: if a name is unknown, or a variable has more than one further dimension.
    """
    import xarray

    names = [y] if isinstance(y, str) or not isinstance(y, Sequence) else list(y)
    if facet is not None and len(names) > 1:
        raise ValueError(f"facet = {facet!r} with {len(names)} variables y: give one of them")
    dimension(ds, x, "x", 2)
    dims = (x, *(dimension(ds, d, n) for d, n in ((band, "band"), (facet, "facet")) if d is not None))
    ds = ordered(ds, x)
    found = [certified(ds, variable(ds, name, "y", dims, spare=1)) for name in names]
    arrays = [xarray.broadcast(array, ds[x])[0].astype(float).load() for array in found]
    shown, titles = arrays, [""] * len(arrays)
    if facet is not None:
        titles = [tag(value) for value in ds[facet]]
        whole = xarray.broadcast(arrays[0], ds[facet])[0]
        shown, arrays = [whole.isel({facet: k}) for k in range(len(titles))], arrays * len(titles)
    across = axis(ds[x])
    with panels(len(shown), columns) as (figure, axes, room):
        for ax, part, array, title in zip(axes, shown, arrays, titles, strict=True):
            _panel(ax, part, across, x, band)
            ax.set(xlabel=label(ds[x], room[0]), ylabel=label(array, room[1]), title=title)
        _explain(figure, axes, band, apart=len(names) > 1)
        if facet is not None:
            share_axes(axes)
    return figure


def _panel(ax: "Axes", array: "xarray.DataArray", across: Axis, x: str, band: str | None) -> None:
    more = [dim for dim in array.dims if dim not in (x, band)]
    lines = [array.isel({more[0]: k}) for k in range(array.sizes[more[0]])] if more else [array]
    if len(lines) > MOST:
        raise ValueError(f"y = {array.name!r} has {len(lines)} lines along {more[0]}: a figure can tell {MOST} apart")
    for line, style in zip(lines, strokes(len(lines)), strict=True):
        text = tag(line[more[0]]) if more and more[0] in line.coords else ""
        values = line.transpose(x, ...).values
        if band in line.dims:
            low, values, high = _quantiles(values)
            ax.fill_between(across.positions, low, high, color=style["color"], alpha=0.25, linewidth=0)
        alone = _alone(values)
        ax.plot(across.positions, values, label=text, marker="." if alone else None, markevery=alone or None, **style)
    across.apply(ax, "x")


def _quantiles(values: np.ndarray) -> np.ndarray:
    """(quantile, x) of the numbers in values (x, draw)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where no draw is certified there is a gap
        return np.nanquantile(values, BAND, axis=1)


def _alone(values: np.ndarray) -> list[int]:
    """Points without a neighbour, which a line would not show."""
    there = np.pad(np.isfinite(values), 1)
    return np.flatnonzero(there[1:-1] & ~there[:-2] & ~there[2:]).tolist()


def _explain(figure: "Figure", axes: "Sequence[Axes]", band: str | None, *, apart: bool) -> None:
    """One legend below the figure, or where the panels show different lines one in each."""
    from matplotlib.patches import Patch

    shared = []
    for ax in axes:
        handles = [line for line in ax.get_lines() if not str(line.get_label()).startswith("_")]
        if apart and handles:
            ax.legend(handles=handles, frameon=False)
        elif ax is axes[0]:
            shared = handles
    if band is not None:
        text = f"{BAND[0]:.0%} to {BAND[-1]:.0%} over {band.replace('_', ' ')}; line: median"
        shared = [*shared, Patch(facecolor="k", alpha=0.25, label=text)]
    legend(figure, shared)
