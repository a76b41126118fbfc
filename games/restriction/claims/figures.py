"""The report's figures: where claims hold, and how their effects move along a common restriction."""

from typing import TYPE_CHECKING

import numpy as np

from solver.plot.style import STYLE, shades

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

ROW = 0.17  # inches of a claim


def share_figure(ds: "xarray.Dataset") -> "Figure":
    """Every claim's share that holds, with its interval, one panel a counterfactual; below it the share undecided, as a bar."""
    figure, axes = _panels(ds, ds.sizes["counterfactual"])
    y = np.arange(ds.sizes["claim"])
    for ax, name in zip(axes, ds.counterfactual.values, strict=True):
        one = ds.sel(counterfactual=name)
        ax.barh(y, one.share_undecided, height=0.7, color="#d9d9d9", label="share undecided")
        ax.hlines(y, one.share_low, one.share_high, color="k", lw=1)
        ax.plot(one.share_holding, y, "o", color="k", ms=2.5, label="share that holds, 95 % interval")
        ax.axvline(0.5, color="#808080", lw=0.5, ls=":")
        ax.set_title(name.replace("_", " "), fontsize=8)
        ax.set(xlim=(-0.02, 1.02), xlabel="share of draws")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=7)
    return figure


def shape_figure(ds: "xarray.Dataset") -> "Figure":
    """The shares of draws by the shape of a claim's effect along a common restriction."""
    figure, (ax,) = _panels(ds, 1)
    y, left = np.arange(ds.sizes["claim"]), np.zeros(ds.sizes["claim"])
    for name, colour in zip(ds["shape"].values, shades(ds.sizes["shape"]), strict=True):
        width = ds.share_shape.sel(shape=name).fillna(0).values
        ax.barh(
            y, width, left=left, height=0.75, color=colour, edgecolor="#404040", lw=0.3, label=name.replace("_", "-")
        )
        left = left + width
    ax.set(xlim=(0, 1), xlabel="share of draws, by the shape of the effect from r = 0 to r = 1")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=7)
    return figure


def _panels(ds: "xarray.Dataset", count: int):
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(7.0, ROW * ds.sizes["claim"] + 1.0), layout="constrained")
        axes = figure.subplots(1, count, sharey=True, squeeze=False)[0]
        axes[0].set_yticks(np.arange(ds.sizes["claim"]), ds.claim.values)
        axes[0].set_ylim(ds.sizes["claim"] - 0.4, -0.6)
        for ax in axes:
            ax.grid(axis="y", color="#eeeeee", lw=0.5)
            ax.set_axisbelow(True)
    return figure, axes


def robust_figure(ds: "xarray.Dataset") -> "Figure":
    """The share that holds, claims down, all draws and every variant across; in concert (claim 1: Nash → concerted)."""
    columns = ["all draws", *map(str, ds.variant.values)]
    where = ds.share_holding.sel(counterfactual="open_to_concerted").notnull()
    main = ("open_to_concerted", "nash_to_concerted")
    base, robust = (ds[name].sel(counterfactual=main[0]).where(where, ds[name].sel(counterfactual=main[1]))
                    for name in ("share_holding", "robust_share_holding"))  # fmt: skip
    table = np.column_stack([base.values, robust.transpose("claim", "variant").values])
    return _heat(ds.claim.values, columns, table, "share of decided draws in which the claim holds")


def index_figure(ds: "xarray.Dataset") -> "Figure":
    """Total Sobol indices, claims down, parameters across."""
    known = np.isfinite(ds.sobol_total).any("parameter").values
    table = ds.sobol_total.transpose("claim", "parameter").values[known]
    return _heat(ds.claim.values[known], ds.symbol.values, table, "total Sobol index of the verdict")


def _heat(rows, columns, table: np.ndarray, label: str) -> "Figure":
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(7.0, ROW * len(rows) + 1.9), layout="constrained")
        ax = figure.subplots()
        seen = ax.imshow(np.clip(table, 0, 1), cmap="YlGnBu", vmin=0, vmax=1, aspect="auto", interpolation="none")
        ax.set_yticks(np.arange(len(rows)), rows)
        ax.set_xticks(np.arange(len(columns)), columns, rotation=60, ha="right", rotation_mode="anchor")
        ax.tick_params(length=0)
        figure.colorbar(seen, ax=ax, shrink=0.6, aspect=30, label=label)
    return figure
