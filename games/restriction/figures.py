"""The figures of the restriction game: those of ``impact``, and the one that a study's [figure] table describes."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from solver.plot.data import label, near, tag
from solver.plot.lines import curves
from solver.plot.phase import phase_diagram
from solver.plot.style import legend, panels, save, shades, share_axes

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

PANELS = ("incumbent_payoff", "challenger_payoff", "sovereign_lag", "knowledge", "deployment", "welfare")
MARKS = {"open": "o", "nash": "s", "concerted": "^", "planner": "D"}
SIZES = {"open": 7.0}  # the largest mark, so that one on top of it leaves it visible
KINDS = {"phase_diagram": (phase_diagram, "regime"), "curves": (curves, "y")}  # and what each must be given
RESTRICTS = 0.02  # from where on a restriction counts as one


def draw(ds: "xarray.Dataset", folder: Path) -> list[Path]:
    """Write ``outcomes.pdf`` and ``mixes.pdf`` (and .png beside them) into ``folder``; return their paths."""
    return [*save(_outcomes(ds), folder / "outcomes"), *save(_mixes(ds), folder / "mixes")]


def draw_study(ds: "xarray.Dataset", table: Mapping[str, Any]) -> "Figure":
    """The figure that a study's table describes: ``kind``, ``select`` and the arguments of that kind's function.

    :param ds: the study's Dataset; its first dimensions are x and y where the table names none.
    :raises ValueError: in one line that begins with the table's key.
    """
    options = dict(table)
    kind = options.pop("kind", "phase_diagram")
    if kind not in KINDS:
        raise ValueError(f"kind = {kind!r}: give one of {', '.join(KINDS)}")
    draw, needed = KINDS[kind]
    known = [*inspect.signature(draw).parameters][1:]
    for name in options:
        if name not in (*known, "select"):
            raise ValueError(f"{name} is unknown: {near(name, (*known, 'select', 'kind'))}")
    if needed not in options:
        raise ValueError(f"{needed} is missing: name what the {kind.replace('_', ' ')} shows")
    ds = selected(ds, options.pop("select", {}))
    options = dict(zip(("x", "y"), map(str, ds.status.dims), strict=False)) | options
    if options.get("regime") == "restricting":
        options["regime"] = restricting
    return draw(ds, **options)


def selected(ds: "xarray.Dataset", choice: Mapping[str, Any]) -> "xarray.Dataset":
    """The Dataset at labels, or with lists of labels, of its dimensions; numbers need not agree in the last digits.

    What a variable is taken at becomes part of its name.
    """
    if not isinstance(choice, Mapping):
        raise ValueError(f"select = {choice!r}: write select = {{dimension = value}}")
    for name, wanted in choice.items():
        if name not in ds.dims:
            raise ValueError(f"select has {name!r}: there is no such dimension; {near(name, ds.dims)}")
        places = [_place(ds[name], value) for value in np.atleast_1d(wanted)]
        if isinstance(wanted, list):
            ds = ds.isel({name: places})
            continue
        one = ds.isel({name: places[0]})
        at = {n: f"{ds[n].attrs.get('long_name', n)}, {tag(one[name])}" for n in ds.data_vars if name in ds[n].dims}
        ds = one.assign({n: one[n].assign_attrs(long_name=text) for n, text in at.items()})
    return ds


def _place(coord: "xarray.DataArray", value: Any) -> int:
    values = coord.values
    numbers = values.dtype.kind in "fi" and np.asarray(value).dtype.kind in "fi"
    places = np.flatnonzero(np.isclose(values, value) if numbers else values == value)
    if not len(places):
        raise ValueError(f"select has {coord.name} = {value}: there is no such value; {near(str(value), values)}")
    return int(places[0])


def restricting(ds: "xarray.Dataset") -> "xarray.DataArray":
    """How many incumbents restrict (by more than ``RESTRICTS`` in some channel), as a regime: none, some, all."""
    who = (ds.strategies > RESTRICTS).any("action")
    attrs = {"long_name": "incumbents who restrict", "flag_values": [0, 1, 2], "flag_meanings": "none some all"}
    return (who.any("player").astype(int) + who.all("player")).rename("restricting").assign_attrs(attrs)


def _outcomes(ds: "xarray.Dataset") -> "Figure":
    """The outcomes along a common restriction; marks stand at the columns' mean restrictions."""
    figure = curves(ds, [f"{name}_curve" for name in PANELS], x="common_restriction", columns=2)
    for ax, name in zip(figure.axes, PANELS, strict=True):
        dims = [dim for dim in ds[name].dims if dim != "column"]
        for k, line in enumerate(ax.get_lines()):
            _mark(ax, ds, [ds[name].sel(column=c).isel({d: k for d in dims}) for c in MARKS], line.get_color())
    _legend_of_marks(figure, [])
    return figure


def _mixes(ds: "xarray.Dataset") -> "Figure":
    """Every challenger's mix of strategies along a common restriction."""
    from matplotlib.patches import Patch

    colours = shades(ds.sizes["strategy"])
    with panels(max(ds.sizes["challenger"], 1), 2, shape=0.5) as (figure, axes, room):
        for ax, name in zip(axes, ds.challenger.values, strict=False):
            mix = ds.mix_curve.sel(challenger=name).transpose("strategy", "common_restriction")
            ax.stackplot(ds.common_restriction, mix.values, colors=colours, edgecolor="#404040", linewidth=0.4)
            _mark(ax, ds, [1.0] * len(MARKS), "k")
            ax.set(xlabel=label(ds.common_restriction, room[0]), ylabel=label(ds.mix_curve, room[1]))
            ax.set(title=name, xlim=(0, 1), ylim=(0, 1))
        share_axes(axes)
        areas = zip(ds.strategy.values, colours, strict=True)
        _legend_of_marks(figure, [Patch(facecolor=c, edgecolor="#404040", label=name) for name, c in areas])
    return figure


def _mark(ax: Any, ds: "xarray.Dataset", heights: list[Any], colour: Any) -> None:
    for (column, mark), height in zip(MARKS.items(), heights, strict=True):
        at, size = float(ds.restriction.sel(column=column).mean()), SIZES.get(column, 4.0)
        ax.plot(at, float(height), mark, color=colour, mfc="white", ms=size, clip_on=False, zorder=3)


def _legend_of_marks(figure: "Figure", handles: list[Any]) -> None:
    from matplotlib.lines import Line2D

    marks = [
        Line2D([], [], color="k", marker=m, mfc="white", ms=SIZES.get(c, 4.0), ls="", label=c) for c, m in MARKS.items()
    ]
    legend(figure, [*handles, *marks], "marks: at the mean restriction of a column")
