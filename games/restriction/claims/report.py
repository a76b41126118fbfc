"""The report: one HTML page that needs no network, the same in Markdown, LaTeX tables, figures, and the Dataset."""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from games.restriction.claims.catalogue import CLAIMS, COUNTERFACTUALS
from games.restriction.claims.figures import shape_figure, share_figure
from games.restriction.claims.verdicts import HOLDS, UNDECIDED

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

ARROWS = {
    "open_to_nash": "open → Nash",
    "open_to_concerted": "open → concerted",
    "nash_to_concerted": "Nash → concerted",
}
ANSWER = (  # whom it concerns, and the claims that speak of them
    ("US leaders", ("8", "9c", "1a")),
    ("Chinese companies", ("4a CN", "15b", "13b")),
    ("European and other Asian companies", ("4a TW", "5a", "22")),
    ("Firms that apply AI", ("10a", "10b")),
    ("Users", ("23", "24", "25")),
)
READING = (
    "A claim is a number compared between two equilibria of one world: open (nobody restricts), Nash (each incumbent "
    "restricts as it pays) and concerted (the restriction, one for all, of highest joint profit). It holds where the number "
    "moves as the claim says. Shares are of the draws decided, with 95 % Wilson intervals; undecided are draws without a "
    "certified equilibrium, or whose certified equilibria disagree. Where incumbents do not restrict in equilibrium nothing "
    "changes and no claim of change holds, so a second share counts only draws in which the restriction changes. Shares are "
    "relative to the prior; they are no probabilities of events."
)


def write(ds: "xarray.Dataset", folder: Path) -> list[Path]:
    """Write ``claims`` as .html, .md, .tex and .nc, and the figures as PDF and SVG, into ``folder``; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {"shares": share_figure(ds), "shapes": shape_figure(ds)}
    paths = []
    for name, figure in figures.items():
        for kind in ("pdf", "svg"):
            paths.append(folder / f"claims_{name}.{kind}")
            paths[-1].write_bytes(_drawn(figure, kind))
    texts = {"html": page(ds, figures), "md": markdown(ds), "tex": latex(ds)}
    for kind, text in texts.items():
        paths.append(folder / f"claims.{kind}")
        paths[-1].write_text(text, encoding="utf-8")
    part = folder / "claims.nc.part"
    ds.to_netcdf(part, engine="h5netcdf")
    paths.append(part.replace(folder / "claims.nc"))
    return paths


def _drawn(figure: "Figure", kind: str) -> bytes:
    from matplotlib import rc_context

    target = io.BytesIO()
    date = {"pdf": "CreationDate", "svg": "Date"}[kind]
    with rc_context({"svg.hashsalt": "claims", "pdf.fonttype": 42}):
        figure.savefig(target, format=kind, metadata={date: None})
    return target.getvalue()


def percent(value: Any) -> str:
    return "–" if not np.isfinite(value) else f"{100 * float(value):.0f} %"


def share(one: "xarray.Dataset") -> str:
    """A share with its interval, "68 % (61–74)"; "–" where the claim does not speak of the counterfactual."""
    if not np.isfinite(one.share_holding):
        return "–"
    return f"{percent(one.share_holding)} ({100 * float(one.share_low):.0f}–{100 * float(one.share_high):.0f})"


def reading(one: "xarray.Dataset") -> str:
    """In words, from the interval alone."""
    if not np.isfinite(one.share_holding):
        return "not judged"
    if float(one.share_low) > 0.5:
        return "holds in most draws"
    return "fails in most draws" if float(one.share_high) < 0.5 else "holds in about half, or too few draws to tell"


def answer(ds: "xarray.Dataset") -> list[str]:
    """At most ten lines: how often incumbents restrict, then for each kind of company what the claims about it say."""
    moved = {name: percent(ds.share_moved.sel(counterfactual=name)) for name in COUNTERFACTUALS}
    lines = [
        f"From the open world, incumbents restrict in {moved['open_to_nash']} of {ds.attrs['draws']:,} draws when each acts "
        f"alone, and in {moved['open_to_concerted']} when they act in concert."
    ]
    for who, names in ANSWER:
        parts = []
        for name in names:
            one = ds.sel(claim=name)
            where = [c for c in COUNTERFACTUALS if np.isfinite(one.share_holding.sel(counterfactual=c))][:2]
            text = ", ".join(f"{ARROWS[c]} {share(one.sel(counterfactual=c))}" for c in where)
            parts.append(f"{one.proposition.item()}: {text}")
        lines.append(f"{who}. {'; '.join(parts)}.")
    return lines


def tells(one: "xarray.Dataset") -> bool:
    """Whether the rule is right more often than the usual verdict, where neither was fitted."""
    return float(one.rule_accuracy) > float(one.rule_baseline)


def decides(one: "xarray.Dataset") -> str:
    """What decides a claim under one counterfactual."""
    if not one.rule.item():
        return "no rule: one of the verdicts is too rare"
    if not tells(one):
        return "no rule of two thresholds beats the usual verdict on draws it was not fitted to"
    gain = f"right in {percent(one.rule_accuracy)} of draws it was not fitted to"
    return f"{one.rule.item()} ({gain}; always the usual verdict: {percent(one.rule_baseline)})"


def influences(ds: "xarray.Dataset", name: str, most: int = 3) -> str:
    """The parameters with the largest total Sobol indices, or ""."""
    if "sobol_total" not in ds or not np.isfinite(ds.sobol_total.sel(claim=name)).any():
        return ""
    total = ds.sobol_total.sel(claim=name).fillna(0)
    parts = []
    for k in np.argsort(-total.values)[:most]:
        width = float(ds.sobol_total_width.sel(claim=name)[k])
        parts.append(f"{ds.symbol.values[k]} {float(total[k]):.2f} ± {width:.2f}")
    return ", ".join(parts)


def details(ds: "xarray.Dataset", name: str) -> list[tuple[str, str]]:
    """Everything said of one claim, as pairs of a heading and a text."""
    one = ds.sel(claim=name)
    found = [("Proposition", one.proposition.item()), ("Compared", f"{one.quantity.item()} ({one.unit.item()})")]
    for c in COUNTERFACTUALS:
        at = one.sel(counterfactual=c)
        if not np.isfinite(at.share_holding):
            continue
        text = f"{share(at)}, {reading(at)}; of draws that change restriction {percent(at.share_holding_moved)}; undecided "
        text += f"{percent(at.share_undecided)}; median effect {float(at.median_effect):+.3g}"
        found += [(ARROWS[c], text), ("What decides it", decides(at))]
    if text := influences(ds, name):
        found.append(("Largest total Sobol indices", text))
    shapes = one.share_shape
    if np.isfinite(shapes).any():
        parts = [
            f"{s.replace('_', '-')} {percent(v)}" for s, v in zip(ds["shape"].values, shapes.values, strict=True) if v
        ]
        found.append(("Along a common r", ", ".join(parts)))
    found += _calibrated(one)
    found += [(head, text) for head, text in (("Scope", one.scope.item()), ("Note", one.note.item())) if text]
    return found


def _calibrated(one: "xarray.Dataset") -> list[tuple[str, str]]:
    if "calibrated_verdict" not in one:
        return []
    parts = []
    for c in COUNTERFACTUALS:
        at = one.sel(counterfactual=c)
        if (code := int(at.calibrated_verdict)) >= UNDECIDED:
            verdict = "undecided" if code == UNDECIDED else "holds" if code == HOLDS else "fails"
            parts.append(f"{ARROWS[c]} {verdict}, in the band around it {percent(at.band_share_holding)}")
    return [("Calibrated world", "; ".join(parts))] if parts else []


def provenance(ds: "xarray.Dataset") -> str:
    a = ds.attrs
    text = (
        f"{a['draws']:,} draws of {a['prior']}, scrambled Sobol sequence, seed {a['seed']}; mode {a['mode']}, timing "
    )
    text += f"{a['timing']}; Nash equilibria searched from r = {', '.join(f'{s:g}' for s in a['starts'])}."
    return text + (f" Calibration: {a['calibration']}, and within 20 % of it." if a["calibration"] else "")


def _table(ds: "xarray.Dataset") -> tuple[list[str], list[list[str]]]:
    head = ["", "Claim", *ARROWS.values(), "undecided, at most"]
    rows = []
    for name in ds.claim.values:
        one = ds.sel(claim=name)
        cells = [share(one.sel(counterfactual=c)) for c in COUNTERFACTUALS]
        rows.append([str(name), one.text.item(), *cells, percent(one.share_undecided.max())])
    return head, rows


def markdown(ds: "xarray.Dataset") -> str:
    head, rows = _table(ds)
    lines = ["# The claims, judged", "", *(f"- {line}" for line in answer(ds)), "", READING, "", provenance(ds), ""]
    lines += [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
    lines += ["", "![Shares](claims_shares.svg)", "", "![Shapes](claims_shapes.svg)"]
    for name in ds.claim.values:
        lines += ["", f"## {name}. {ds.text.sel(claim=name).item()}", ""]
        lines += [f"- **{key}**: {text}" for key, text in details(ds, name)]
    return "\n".join(lines) + "\n"


def latex(ds: "xarray.Dataset") -> str:
    """A booktabs table of the shares, for ``\\input``."""
    head, rows = _table(ds)
    lines = [f"% {provenance(ds)}", r"\begin{tabular}{llrrrr}", r"\toprule"]
    body = [[_tex(cell) for cell in row] for row in (head, *rows)]
    lines += [f"{' & '.join(body[0])} \\\\", r"\midrule", *(f"{' & '.join(row)} \\\\" for row in body[1:])]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _tex(text: str) -> str:
    for plain, tex in (("%", r"\%"), ("→", r"$\to$"), ("–", "--"), ("&", r"\&"), ("_", r"\_")):
        text = text.replace(plain, tex)
    return text


STYLE_SHEET = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; color: #222; background: #fff }
h1 { line-height: 1.2 } h2 { margin-top: 2.5rem } h3 { margin-bottom: .3rem }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: .85rem } th, td { padding: .3rem .6rem; text-align:
left; border-bottom: 1px solid #ddd; vertical-align: top } td:nth-child(n+3) { white-space: nowrap }
figure { margin: 1.5rem 0 } img { width: 100%; height: auto } figcaption, .small { font-size: .85rem; color: #555 }
dl { display: grid; grid-template-columns: 11rem 1fr; gap: .2rem 1rem; font-size: .9rem; margin-top: 0 } dd { margin: 0;
overflow-wrap: anywhere } dt { color: #555 } @media (max-width: 40rem) { dl { display: block } dt { margin-top: .4rem } }
"""


def page(ds: "xarray.Dataset", figures: dict[str, "Figure"]) -> str:
    captions = (
        "Share of decided draws in which each claim holds, with its 95 % interval; grey: share undecided. "
        + provenance(ds),
        "How each effect, in the direction of its claim, moves along a restriction common to all incumbents. "
        + provenance(ds),
    )
    head, rows = _table(ds)
    drawn = zip(figures.items(), captions, strict=True)
    parts = [
        "<h1>The claims, judged</h1>",
        f"<ul>{''.join(_tag('li', line) for line in answer(ds))}</ul>",
        _tag("p", READING),
        _tag("p", provenance(ds), "small"),
        '<h2>All claims</h2><div class="wide"><table>' + _row(head, "th") + "".join(_row(row, "td") for row in rows),
        "</table></div>",
        *(_figure(name, figure, caption) for (name, figure), caption in drawn),
        "<h2>One by one</h2>",
    ]
    for name in ds.claim.values:
        pairs = "".join(_tag("dt", key) + _tag("dd", text) for key, text in details(ds, name))
        parts.append(_tag("h3", f"{name}. {ds.text.sel(claim=name).item()}") + f"<dl>{pairs}</dl>")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width, initial-scale=1"><link rel="icon" href="data:,"><title>The claims, judged</title>'
        f"<style>{STYLE_SHEET}</style></head><body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _tag(name: str, text: str, kind: str = "") -> str:
    return f"<{name}{f' class={kind!r}' if kind else ''}>{html.escape(text)}</{name}>"


def _row(cells: Sequence[str], tag: str) -> str:
    return f"<tr>{''.join(_tag(tag, cell) for cell in cells)}</tr>"


def _figure(name: str, figure: "Figure", caption: str) -> str:
    data = base64.b64encode(_drawn(figure, "svg")).decode()
    return f'<figure><img alt="{name}" src="data:image/svg+xml;base64,{data}">{_tag("figcaption", caption)}</figure>'


def print_table(ds: "xarray.Dataset") -> None:
    """The shares in the terminal, with the rule for open → concerted (for claim 1, Nash → concerted)."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=max(160, Console().width), highlight=False)
    head, rows = _table(ds)
    table = Table(*head, "what decides it", title="The claims, judged", title_justify="left", box=None)
    for claim, row in zip(CLAIMS, rows, strict=True):
        which = next(c for c in ("open_to_concerted", "nash_to_concerted") if c in claim.counterfactuals)
        one = ds.sel(claim=claim.name, counterfactual=which)
        table.add_row(*row, one.rule.item() if tells(one) else "–")
    console.print(table)
    for line in answer(ds):
        console.print(line, markup=False)
    console.print(f"[dim]{provenance(ds)}[/dim]")
