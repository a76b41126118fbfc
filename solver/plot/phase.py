"""Phase diagrams: which regime holds where in a plane of two parameters."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from solver.plot.data import Axis, axis, categories, certified, dimension, label, ordered, tag, variable
from solver.plot.style import legend, panels, shades, share_axes
from solver.solution import Status

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Source = str | xarray.DataArray | Callable[[xarray.Dataset], xarray.DataArray]

UNCERTIFIED: dict[str, Any] = {"facecolor": "#d0d0d0", "edgecolor": "#808080", "hatch": "....."}
SEVERAL: dict[str, Any] = {"facecolor": "none", "edgecolor": "#202020", "hatch": "/////"}
LEVELS = 6


def phase_diagram(
    ds: "xarray.Dataset",
    regime: "Source",
    *,
    x: str,
    y: str,
    contour: "Source | None" = None,
    facet: str | None = None,
    columns: Literal[1, 2] = 1,
) -> "Figure":
    """Areas of the plane (x, y) by regime, hatched where ``num_equilibria`` > 1, grey where the status is not converged.

    A point of the sweep colours the cell around it; contour lines run between certified points only. Where there are several
    equilibria the regime and the outcome are those of the one that the sweep selected.

    :param ds: a sweep's Dataset.
    :param regime: a variable's name, an array, or a function of the Dataset to one: labels, booleans, whole numbers (with
        attrs ``flag_values`` and ``flag_meanings`` as for a status); or numbers with one more dimension, along which the
        label of the largest is the regime (``mix`` along ``strategy``). At most six.
    :param x, y: dimensions of the sweep, logarithmic where their values are so spaced.
    :param contour: a continuous outcome, drawn as lines with their values.
    :param facet: a dimension with a panel for each of its values: a third parameter, or whose regime it is.
    :param columns: of a printed page: 1 (3.4 inches wide) or 2 (7 inches).
    :return: a matplotlib Figure; ``figure.savefig("x.pdf")``.
    :raises ValueError: if a name is unknown, or a variable has further dimensions.
    """
    import xarray

    dims = (dimension(ds, x, "x", 2), dimension(ds, y, "y", 2))
    dims += () if facet is None else (dimension(ds, facet, "facet"),)
    if len(set(dims)) < len(dims):
        raise ValueError(f"x, y and facet are {', '.join(dims)}: give different dimensions")
    ds = ordered(ds, x, y)
    found = categories(ds, regime, dims)
    layers = {"codes": found.codes}
    if "num_equilibria" in ds:
        layers["several"] = variable(ds, "num_equilibria", "num_equilibria", dims) > 1
    if "status" in ds:
        layers["doubtful"] = variable(ds, "status", "status", dims) != Status.converged
    if contour is not None:
        layers["contour"] = certified(ds, variable(ds, contour, "contour", dims)).astype(float)
    layers = {name: xarray.broadcast(part, ds[x], ds[y])[0].load() for name, part in layers.items()}
    levels = _levels(layers["contour"].values) if contour is not None else []
    across, up = axis(ds[x]), axis(ds[y])
    colours = shades(len(found.labels))
    values = [None] if facet is None else range(ds.sizes[facet])
    with panels(len(values), columns) as (figure, axes, room):
        for ax, k in zip(axes, values, strict=True):
            here = {n: part.isel({facet: k}) if facet in part.dims else part for n, part in layers.items()}
            tables = {n: part.transpose(y, x).values for n, part in here.items()}
            _panel(ax, across, up, tables, colours, levels)
            ax.set(xlabel=label(ds[x], room[0]), ylabel=label(ds[y], room[1]))
            if facet is not None:
                ax.set_title(tag(ds[facet][k]))
        share_axes(axes)
        legend(figure, _handles(found.labels, colours, layers, levels), found.title)
    return figure


def _panel(ax: "Axes", x: Axis, y: Axis, tables: Mapping[str, np.ndarray], colours: list[Any], levels: list[float]):
    x.apply(ax, "x")
    y.apply(ax, "y")
    for k, colour in enumerate(colours):
        _area(ax, x, y, tables["codes"] == k, {"facecolor": colour, "edgecolor": "#404040", "linewidth": 0.4})
    if "doubtful" in tables:
        _area(ax, x, y, tables["doubtful"] | (tables["codes"] < 0), UNCERTIFIED)
    if "several" in tables:
        _area(ax, x, y, tables["several"], SEVERAL)
    if levels:
        with np.errstate(invalid="ignore"):
            lines = ax.contour(x.positions, y.positions, tables["contour"], levels, colors="k", linewidths=0.8)
        lines.set_linestyle("-")
        _number(ax, lines)


def _area(ax: "Axes", x: Axis, y: Axis, mask: np.ndarray, look: Mapping[str, Any]) -> None:
    """The cells where ``mask`` (y, x) holds, as polygons: every cell's corners are contoured as points of their own."""
    if mask.any():
        corners = [np.repeat(scale.edges, 2)[1:-1] for scale in (x, y)]
        doubled = np.repeat(np.repeat(mask, 2, axis=0), 2, axis=1).astype(float)
        area = ax.contourf(*corners, doubled, [0.5, 1.5], colors=[look["facecolor"]], hatches=[look.get("hatch")])
        area.set(edgecolor=look["edgecolor"], linewidth=look.get("linewidth", 0))


def _number(ax: "Axes", lines: Any) -> None:
    """The level of every contour line written on it once, away from the border and from the numbers already there."""
    from matplotlib.patheffects import withStroke

    to_axes = ax.transData + ax.transAxes.inverted()
    between = np.linspace(0, 1, 5)[:, None, None]
    placed: list[np.ndarray] = []
    for path in lines.get_paths():
        pieces = [to_axes.transform(piece) for piece in path.to_polygons(closed_only=False)]
        fine = [(piece[:-1] * (1 - between) + piece[1:] * between).reshape(-1, 2) for piece in pieces]
        points = np.concatenate([np.zeros((0, 2)), *fine])
        points = points[(np.abs(points - 0.5) < 0.45).all(axis=1)]
        if len(points):
            apart = [np.linalg.norm(points - other, axis=1) for other in placed]
            room = np.min([np.full(len(points), 0.25), *apart], axis=0)
            placed.append(points[(room - 0.1 * np.linalg.norm(points - 0.5, axis=1)).argmax()])
    if placed:
        places = to_axes.inverted().transform(np.array(placed))
        for text in ax.clabel(lines, fontsize=6, fmt="%g", manual=[tuple(place) for place in places]):
            text.set_path_effects([withStroke(linewidth=1.5, foreground="white")])


def _levels(values: np.ndarray) -> list[float]:
    """Round numbers inside the range of the values; none where they are constant, or all missing."""
    from matplotlib.ticker import MaxNLocator

    finite = values[np.isfinite(values)]
    if not finite.size or np.ptp(finite) <= 1e-9 * np.abs(finite).max():
        return []
    ticks = MaxNLocator(LEVELS).tick_values(finite.min(), finite.max())
    return [float(t) for t in ticks if finite.min() < t < finite.max()]


def _handles(labels: list[str], colours: list[Any], layers: Mapping[str, Any], levels: list[float]) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    codes = layers["codes"].values
    shown: list[Any] = [
        Patch(facecolor=colour, edgecolor="#404040", linewidth=0.4, label=text)
        for k, (text, colour) in enumerate(zip(labels, colours, strict=True))
        if (codes == k).any()
    ]
    if (codes < 0).any():
        shown.append(Patch(**UNCERTIFIED, linewidth=0, label="no certified equilibrium"))
    if "several" in layers and layers["several"].any():
        shown.append(Patch(**SEVERAL, linewidth=0, label="several equilibria"))
    if levels:
        shown.append(Line2D([], [], color="k", linewidth=0.8, label=label(layers["contour"]).replace("\n", " ")))
    return shown
