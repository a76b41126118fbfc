"""Phase diagrams: which regime holds where in a plane of two parameters."""

import warnings
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
LEVELS = 6  # of a contoured outcome, about
FLAT = 0.02  # of the outcome's range: a part between jumps that varies less has no lines
JUMP = 0.3  # of the outcome's range between neighbours, if also ten times what is usual there: no line runs through it


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
    across, up = axis(ds[x]), axis(ds[y])
    colours = shades(len(found.labels))
    values = [None] if facet is None else range(ds.sizes[facet])
    tables = [
        {
            n: (part.isel({facet: k}) if facet in part.dims else part).transpose(y, x).values
            for n, part in layers.items()
        }
        for k in values
    ]
    levels = [] if contour is None else sorted({level for table in tables for level in _levels(table["contour"])})
    with panels(len(values), columns) as (figure, axes, room):
        for ax, k, table in zip(axes, values, tables, strict=True):
            _panel(ax, across, up, table, colours, levels)
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
    for part in _smooth(tables["contour"]) if levels else []:
        with np.errstate(invalid="ignore"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "No contour levels were found")
            lines = ax.contour(x.positions, y.positions, part, levels, colors="k", linewidths=0.8)
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
    """Round numbers inside the range of the values, of each part where they jump; none where they are constant."""
    from matplotlib.ticker import MaxNLocator

    levels, parts = [], _smooth(values)
    for part in parts:
        finite = part[np.isfinite(part)]
        if np.ptp(finite) > max(1e-9 * np.abs(finite).max(), FLAT * np.ptp(values[np.isfinite(values)])):
            ticks = MaxNLocator(max(2, LEVELS // len(parts))).tick_values(finite.min(), finite.max())
            levels += [float(t) for t in ticks if finite.min() < t < finite.max()]
    return levels


def _smooth(values: np.ndarray) -> list[np.ndarray]:
    """Tables of the parts between which the values (y, x) jump, elsewhere nan: what lies between is no outcome."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    finite, place = np.isfinite(values), np.arange(values.size).reshape(values.shape)
    values = np.where(finite, values, 0.0)
    if not finite.any():
        return []
    pairs = []
    for one, other in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        step, known = np.abs(values[one] - values[other]), finite[one] & finite[other]
        usual = np.median(step[known]) if known.any() else 0.0
        near = known & ~(step > max(JUMP * np.ptp(values[finite]), 10 * usual))
        pairs.append(np.stack([place[one][near], place[other][near]]))
    rows, columns = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(values.size, values.size))
    part = connected_components(graph, directed=False)[1].reshape(values.shape)
    sizes = np.bincount(part[finite])
    return [np.where(finite & (part == k), values, np.nan) for k in np.flatnonzero(sizes > 1)]


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
