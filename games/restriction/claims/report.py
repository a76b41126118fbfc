"""The report: one HTML page that needs no network, the same in Markdown, LaTeX tables, vector figures, and the Dataset."""

import base64
import html
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from games.restriction.claims.catalogue import CLAIMS, COUNTERFACTUALS
from games.restriction.claims.figures import index_figure, robust_figure, shape_figure, share_figure
from games.restriction.claims.latex import Table, latex
from games.restriction.claims.wording import (
    ARROWS,
    READING,
    VARIANTS,
    answer,
    convergence,
    details,
    percent,
    provenance,
    ranges,
    share,
    tells,
)

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

TITLE = "The claims, judged"


def write(ds: "xarray.Dataset", folder: Path) -> list[Path]:
    """Write ``claims`` as .html, .md, .tex and .nc, and the figures as PDF and SVG, into ``folder``; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn, where = figures(ds), provenance(ds)
    files = {f"claims_{n}.{kind}": _drawn(f, kind) for n, (f, _) in drawn.items() for kind in ("pdf", "svg")}
    texts = {"claims.html": page(ds, drawn), "claims.md": markdown(ds, drawn)}
    texts |= {f"claims{'' if n == 'shares' else f'_{n}'}.tex": latex(table, where) for n, table in tables(ds).items()}
    files |= {name: text.encode() for name, text in texts.items()}
    for name, raw in files.items():
        (folder / name).write_bytes(raw)
    part = folder / "claims.nc.part"
    ds.to_netcdf(part, engine="h5netcdf")
    return [*(folder / name for name in files), part.replace(folder / "claims.nc")]


def figures(ds: "xarray.Dataset") -> dict[str, tuple["Figure", str]]:
    """Every figure by name, with a caption that says what it shows and at which parameters."""
    where = f"{provenance(ds)} {ranges(ds)}"
    found = {
        "shares": (share_figure(ds), "Share of decided draws in which each claim holds, with its 95 % interval; grey: share "
                   "undecided."),
        "shapes": (shape_figure(ds), "How each effect, in the direction of its claim, moves along a restriction common to all "
                   "incumbents, from r = 0 to r = 1: rising and falling are monotone."),
        "robustness": (robust_figure(ds), "Share of decided draws in which each claim holds, under every variant. White: "
                       "nothing to compare or nothing decided."),
    }  # fmt: skip
    if "sobol_total" in ds:
        found["indices"] = (index_figure(ds), "Total Sobol indices of the verdicts, open → concerted.")
    return {name: (figure, f"{text} {where}") for name, (figure, text) in found.items()}


def _drawn(figure: "Figure", kind: str) -> bytes:
    from matplotlib import rc_context

    target = io.BytesIO()
    date = {"pdf": "CreationDate", "svg": "Date"}[kind]
    with rc_context({"svg.hashsalt": "claims", "pdf.fonttype": 42}):
        figure.savefig(target, format=kind, metadata={date: None})
    return target.getvalue()


# ---- tables ------------------------------------------------------------------------------------------------------------


def tables(ds: "xarray.Dataset") -> dict[str, Table]:
    return {"shares": _shares(ds), "robustness": _robustness(ds), "rules": _rules(ds)}


def _shares(ds: "xarray.Dataset") -> Table:
    head, rows = ["", "Claim", *ARROWS.values(), "undecided, at most"], []
    for name in ds.claim.values:
        one = ds.sel(claim=name)
        cells = [share(one.sel(counterfactual=c)) for c in COUNTERFACTUALS]
        rows.append([str(name), one.text.item(), *cells, percent(one.share_undecided.max())])
    return head, rows


def main_counterfactual(name: str) -> str:
    """Open → concerted; for claim 1 Nash → concerted."""
    claim = next(c for c in CLAIMS if c.name == name)
    return next(c for c in ("open_to_concerted", "nash_to_concerted") if c in claim.counterfactuals)


def _robustness(ds: "xarray.Dataset") -> Table:
    """Variants down, claims across would be wide: claims down, and the variants numbered."""
    head = ["", "all", *(str(k + 1) for k in range(ds.sizes["variant"]))]
    rows = []
    for name in ds.claim.values:
        one = ds.sel(claim=name, counterfactual=main_counterfactual(str(name)))
        values = [one.share_holding.item(), *one.robust_share_holding.values]
        rows.append([str(name), *("–" if not np.isfinite(v) else f"{100 * v:.0f}" for v in values)])
    return head, rows


def _rules(ds: "xarray.Dataset") -> Table:
    rows = []
    for name in ds.claim.values:
        one = ds.sel(claim=name, counterfactual=main_counterfactual(str(name)))
        if tells(one):
            rows.append([str(name), one.rule.item(), percent(one.rule_accuracy), percent(one.rule_baseline)])
    return ["", "Rule", "right", "usual verdict"], rows


def _variants(ds: "xarray.Dataset") -> list[str]:
    """The variants by the numbers of the table, with their draws and how often they agree with the base."""
    lines = []
    for k, name in enumerate(ds.variant.values):
        one = ds.isel(variant=k)
        agree = one.robust_agreement.mean(skipna=True)
        about = f"{k + 1}. {name}: {one.variant_meaning.item()} ({int(one.robust_num_draws)} draws"
        lines.append(f"{about}{f', same verdict in {percent(agree)}' if np.isfinite(agree) else ''})")
    return lines


# ---- Markdown and HTML -------------------------------------------------------------------------------------------------


def markdown(ds: "xarray.Dataset", drawn: dict[str, tuple["Figure", str]]) -> str:
    found = tables(ds)
    lines = [
        f"# {TITLE}",
        "",
        *(f"- {line}" for line in answer(ds)),
        "",
        READING,
        "",
        provenance(ds),
        "",
        convergence(ds),
    ]
    lines += ["", "## All claims", "", *_pipes(found["shares"]), ""]
    for name, (_, caption) in drawn.items():
        lines += [f"![{name}](claims_{name}.svg)", "", caption, ""]
    lines += ["## Do the verdicts stand?", "", VARIANTS, "", *_variants(ds), "", *_pipes(found["robustness"])]
    for name in ds.claim.values:
        lines += ["", f"## {name}. {ds.text.sel(claim=name).item()}", ""]
        lines += [f"- **{key}**: {text}" for key, text in details(ds, name)]
    return "\n".join(lines) + "\n"


def _pipes(table: Table) -> Iterator[str]:
    head, rows = table
    return (f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


STYLE_SHEET = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 1rem; color: #222; background: #fff }
h1 { line-height: 1.2 } h2 { margin-top: 2.5rem } h3 { margin: 1.8rem 0 .3rem; border-top: 1px solid #ddd; padding-top: .8rem }
li { margin-bottom: .4rem } sub, sup { line-height: 0; font-size: .75em }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: .85rem }
th, td { padding: .3rem .6rem; text-align: left; border-bottom: 1px solid #ddd; vertical-align: top }
td:first-child, td:nth-child(n+3) { white-space: nowrap } .dense th, .dense td { padding: .15rem .35rem; text-align: right }
ul.small { list-style: none; padding-left: 0 }
figure { margin: 1.5rem 0 } img { width: 100%; height: auto } figcaption, .small { font-size: .85rem; color: #555 }
dl { display: grid; grid-template-columns: 11rem 1fr; gap: .2rem 1rem; font-size: .9rem; margin-top: 0 }
dd { margin: 0; overflow-wrap: anywhere } dt { color: #555 }
@media (max-width: 40rem) { dl { display: block } dt { margin-top: .4rem } }
"""


def page(ds: "xarray.Dataset", drawn: dict[str, tuple["Figure", str]]) -> str:
    found = tables(ds)
    shown = {name: _figure(name, figure, caption) for name, (figure, caption) in drawn.items()}
    robust = shown.pop("robustness")
    parts = [
        _tag("h1", TITLE),
        _tag("h2", "The answer"),
        f"<ul>{''.join(_line(line) for line in answer(ds))}</ul>",
        _tag("p", READING),
        _tag("p", f"{provenance(ds)} {convergence(ds)}", "small"),
        _tag("h2", "All claims"),
        _grid(found["shares"]),
        *shown.values(),
        _tag("h2", "Do the verdicts stand?"),
        _tag("p", VARIANTS),
        f'<ul class="small">{"".join(_tag("li", line) for line in _variants(ds))}</ul>',
        robust,
        _tag("p", "Shares in per cent, by the numbers above; all: the draws as they are.", "small"),
        _grid(found["robustness"], "dense"),
        _tag("h2", "One by one"),
    ]
    for name in ds.claim.values:
        pairs = "".join(_tag("dt", key) + _tag("dd", text) for key, text in details(ds, name))
        parts.append(_tag("h3", f"{name}. {ds.text.sel(claim=name).item()}") + f"<dl>{pairs}</dl>")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width, initial-scale=1"><link rel="icon" href="data:,"><title>{TITLE}</title>'
        f"<style>{STYLE_SHEET}</style></head><body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _tag(name: str, text: str, kind: str = "") -> str:
    return f"<{name}{f' class={kind!r}' if kind else ''}>{_rich(text)}</{name}>"


def _rich(text: str) -> str:
    """Escaped, with the indices of symbols below or above the line, and numbers that stay with their per cent."""
    text = re.sub("([^\\W_]\u0304?)_([^\\W_]+)", r"\1<sub>\2</sub>", html.escape(text))
    return re.sub(r"\^(\w)", r"<sup>\1</sup>", text).replace(" %", "&nbsp;%")


def _line(line: str) -> str:
    """A line of the answer, whom or what it is about in bold."""
    head, rest = line.split(": ", 1)
    return f"<li><b>{_rich(head)}</b>: {_rich(rest)}</li>"


def _grid(table: Table, kind: str = "") -> str:
    head, rows = table
    body = _row(head, "th") + "".join(_row(row, "td") for row in rows)
    return f'<div class="wide {kind}"><table>{body}</table></div>'


def _row(cells: Sequence[str], tag: str) -> str:
    return f"<tr>{''.join(_tag(tag, cell) for cell in cells)}</tr>"


def _figure(name: str, figure: "Figure", caption: str) -> str:
    data = base64.b64encode(_drawn(figure, "svg")).decode()
    return f'<figure><img alt="{name}" src="data:image/svg+xml;base64,{data}">{_tag("figcaption", caption)}</figure>'


def print_table(ds: "xarray.Dataset") -> None:
    """The answer and the shares in the terminal, with the rule for open → concerted (for claim 1, Nash → concerted)."""
    from rich.console import Console
    from rich.table import Table as Rich

    console = Console(width=max(160, Console().width), highlight=False)
    head, rows = _shares(ds)
    table = Rich(*head, "what decides it", title=TITLE, title_justify="left", box=None)
    for row in rows:
        one = ds.sel(claim=row[0], counterfactual=main_counterfactual(row[0]))
        table.add_row(*row, one.rule.item() if tells(one) else "–")
    console.print(table)
    for line in answer(ds):
        console.print(line, markup=False)
    console.print(f"[dim]{provenance(ds)} {convergence(ds)}[/dim]")
