"""What ``nashgrid fit`` prints."""

from typing import TYPE_CHECKING

import numpy as np

from games.restriction.claims.verdicts import FAILS, HOLDS, SILENT, UNDECIDED

if TYPE_CHECKING:
    import xarray

WORDS = {HOLDS: "holds", FAILS: "fails", UNDECIDED: "undecided", SILENT: "-"}
NAMED = 3  # components of a direction that are named


def print_fit(ds: "xarray.Dataset") -> None:
    """The moments against the model, the parameters, the directions left open, and the verdicts along them."""
    from rich.console import Console

    console = Console(width=max(160, Console().width), highlight=False)
    console.print(
        _table("Moments", ("reported", "deviation", "calibrated", "fitted", "residual"), ds, "moment", "status")
    )
    names = ("value_calibrated", "value_fitted", "step", "openness", "at_bound")
    console.print(_table("Free parameters (step in widths; openness: share that the moments leave open)", names, ds,
                         "parameter"))  # fmt: skip
    console.print("[bold]Directions that the moments leave open[/bold] (singular value: components)")
    for line in open_directions(ds):
        console.print(f"  {line}")
    console.print(_verdicts(ds))
    few = (
        f"{int(ds.within.sum())} of {ds.within.size} points still fit; {int(ds.certified.sum())} of {ds.certified.size}"
    )
    nash = ds.restriction.isel(start=0).where(ds.certified.isel(start=0) & ds.within)
    console.print(
        f"{few} equilibria along the way are certified. Mean restriction reached from r = 0: "
        f"{float(nash.isel(along=0).sel(way=0).mean()):.3f} fitted, {float(nash.mean('incumbent').min()):.3f} to "
        f"{float(nash.mean('incumbent').max()):.3f} along the way."
    )
    console.print(f"[dim]misfit {ds.attrs['misfit']:.3g}, gradient {ds.attrs['optimality']:.1g}, mode fast[/dim]")


def open_directions(ds: "xarray.Dataset") -> list[str]:
    """Every direction below a standard deviation per width, by its largest components."""
    from games.restriction.fit import OPEN

    lines = []
    for value, vector in zip(ds.singular_value.values, ds.direction_vector.values, strict=True):
        if value < OPEN:
            order = np.argsort(-abs(vector))[:NAMED]
            parts = ", ".join(f"{vector[k]:+.2f} {ds.parameter.values[k]}" for k in order if abs(vector[k]) > 0.1)
            lines.append(f"{value:.2g}: {parts}")
    return lines


def _table(title: str, names: tuple[str, ...], ds: "xarray.Dataset", dim: str, *texts: str):
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold")
    for name in ("", *names, *texts):
        table.add_column(name.replace("_", " "), justify="right" if name in names else "left", no_wrap=True)
    for k, label in enumerate(ds[dim].values):
        kind = {"at_most": " (at most)", "at_least": " (at least)"}.get(str(ds.kind.values[k]), "") if texts else ""
        numbers = [f"{float(ds[name].values[k]):.4g}" for name in names]
        table.add_row(f"{label}{kind}", *numbers, *[str(ds[text].values[k]) for text in texts])
    return table


def _verdicts(ds: "xarray.Dataset"):
    from rich.table import Table

    table = Table(title="Claims in the fitted world, and where along the open directions the verdict is another",
                  title_justify="left", title_style="bold")  # fmt: skip
    table.add_column("claim", no_wrap=True)
    for name in ds.counterfactual.values:
        table.add_column(str(name).replace("_", " "))
    for claim in ds.claim.values:
        table.add_row(str(claim), *[changes(ds, claim, name) for name in ds.counterfactual.values])
    return table


def changes(ds: "xarray.Dataset", claim: str, counterfactual: str) -> str:
    """The fitted verdict, and the parameters along which a point that still fits decides otherwise, with the side (+ or -)."""
    one = ds.verdict.sel(claim=claim, counterfactual=counterfactual)
    fitted = int(one.isel(along=0).sel(way=0))
    others: dict[int, list[str]] = {}
    for name in ds.along.values:
        for sign, side in (("-", ds.way < 0), ("+", ds.way > 0)):
            for code in np.unique(one.sel(along=name).values[ds.within.sel(along=name).values & side.values]):
                if code != fitted and code in (HOLDS, FAILS):
                    others.setdefault(int(code), []).append(f"{name} {sign}")
    return "; ".join([WORDS[fitted], *(f"{WORDS[code]} along {', '.join(names)}" for code, names in others.items())])
