"""The figures of ``impact``: outcomes as curves in a common restriction, and each challenger's mix."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray

PANELS = ("incumbent_payoff", "challenger_payoff", "sovereign_lag", "knowledge", "deployment", "welfare")
MARKS = {"open": "o", "nash": "s", "concerted": "^", "planner": "D"}
STYLES = ("-", "--", "-.", ":", (0, (1, 3)))
GREYS = ("#0b3c5d", "#b8860b", "#7a9e9f")


def draw(ds: "xarray.Dataset", folder: Path) -> list[Path]:
    """Write ``outcomes.pdf`` and ``mixes.pdf`` (and .png beside them) into ``folder``; return their paths."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    paths = []
    for name, figure in (("outcomes", _outcomes(ds, plt)), ("mixes", _mixes(ds, plt))):
        for suffix in (".pdf", ".png"):
            path = folder / f"{name}{suffix}"
            figure.savefig(path, dpi=150)
            paths.append(path)
        plt.close(figure)
    return paths


def _outcomes(ds, plt):
    figure, axes = plt.subplots(2, 3, figsize=(10, 6), layout="constrained")
    for ax, name in zip(axes.flat, PANELS, strict=True):
        curve = ds[f"{name}_curve"]
        lines = [d for d in curve.dims if d != "common_restriction"]
        labels = ds[lines[0]].values if lines else [None]
        for k, label in enumerate(labels):
            values = curve.sel({lines[0]: label}) if lines else curve
            colour = plt.get_cmap("cividis")(0.85 * k / max(len(labels) - 1, 1))
            ax.plot(ds.common_restriction, values, color=colour, ls=STYLES[k % len(STYLES)], label=label)
            for column, mark in MARKS.items():
                at = float(ds.restriction.sel(column=column).mean())
                value = ds[name].sel(column=column)
                ax.plot(
                    at,
                    value.sel({lines[0]: label}) if lines else value,
                    mark,
                    color=colour,
                    mfc="white",
                    ms=9 if column == "open" else 5,
                )
        unit = ds[name].attrs["units"]
        words = textwrap.fill(ds[name].attrs["long_name"], 26)
        ax.set(xlabel="common restriction r", ylabel=words if unit == "1" else f"{words}\n({unit})")
        if lines:
            ax.legend(frameon=False, fontsize="small")
    handles = [plt.Line2D([], [], color="k", marker=m, mfc="white", ls="", label=c) for c, m in MARKS.items()]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=4, frameon=False, title="marks at the mean restriction"
    )
    return figure


def _mixes(ds, plt):
    names, strategies = ds.challenger.values, ds.strategy.values
    columns = min(max(len(names), 1), 4)
    rows = -(-max(len(names), 1) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2.6 * columns, 2.8 * rows), layout="constrained", squeeze=False)
    for ax, name in zip(axes.flat, names, strict=False):
        mix = ds.mix_curve.sel(challenger=name)
        bands = ax.stackplot(ds.common_restriction, mix.values.T, colors=[*GREYS, "#dddddd"], labels=strategies)
        for band, hatch in zip(bands, ("", "//", "..", "xx"), strict=False):
            band.set(hatch=hatch, edgecolor="white", linewidth=0.0)
        for column, mark in MARKS.items():
            ax.plot(
                float(ds.restriction.sel(column=column).mean()),
                1.03,
                mark,
                color="k",
                mfc="white",
                ms=8 if column == "open" else 4,
                clip_on=False,
            )
        ax.set(title=name, xlim=(0, 1), ylim=(0, 1), xlabel="common restriction r", yticks=np.linspace(0, 1, 5))
    for ax in axes[:, 0]:
        ax.set_ylabel("probability of a strategy")
    for ax in list(axes.flat)[len(names) :]:
        ax.remove()
    handles, labels = axes[0, 0].get_legend_handles_labels() if len(names) else ([], [])
    handles += [plt.Line2D([], [], color="k", marker=m, mfc="white", ls="", label=c) for c, m in MARKS.items()]
    figure.legend(handles, [*labels, *MARKS], loc="outside lower center", ncols=7, frameon=False, fontsize="small")
    return figure
