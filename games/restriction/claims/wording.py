"""What the report says, in words made from the numbers alone."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from games.restriction.claims.catalogue import CLAIMS, COUNTERFACTUALS
from games.restriction.claims.verdicts import HOLDS, NOISE, UNDECIDED

if TYPE_CHECKING:
    import xarray

ARROWS = {
    "open_to_nash": "open → Nash",
    "open_to_concerted": "open → concerted",
    "nash_to_concerted": "Nash → concerted",
}
ANSWER = (  # whom it concerns, and how to say what each claim about them compares
    ("US leaders", (("8", "their joint profit, before the cost of enforcement, rises"), ("9c", "their share of use rises"))),
    ("Chinese giants", (("15b", "their payoffs fall"), ("4a CN", "their own models fall further behind"))),
    ("Chinese giants, beside others", (("13a", "they gain on European and other Asian firms"),
                                       ("13b", "their share of the world's use rises"))),
    ("European and other Asian firms", (("5a", "their payoffs fall"), ("22", "they leave the frontier race"))),
    ("European and other Asian firms, what they can do", (("16", "pooling is worth more"),
                                                          ("17b", "a higher subsidy of their programmes pays"))),
    ("Applied firms", (("10a", "more firms live by applying AI"), ("15a", "the open models they build on fall behind"))),
    ("Users", (("23", "fewer use a model"), ("24", "the models in use lag further"), ("25", "world welfare falls"))),
)  # fmt: skip
READING = (
    "A claim is a number compared between two equilibria of one world: open (nobody restricts), Nash (each incumbent "
    "restricts as it pays) and concerted (the restriction, one for all, of highest joint profit). It holds where the number "
    "moves as the claim says. Shares are of the draws decided, with 95 % Wilson intervals; undecided are draws without a "
    "certified equilibrium, or whose certified equilibria disagree. Where incumbents do not restrict in equilibrium nothing "
    "changes and no claim of change holds, so a second share counts only draws in which the restriction changes. Shares are "
    "relative to the prior; they are no probabilities of events. In the answer, alone is open → Nash, in concert open → "
    "concerted, and what follows “by” is the median change in the direction said: with a minus, the other way."
)
VARIANTS = (
    "Each is one other way of asking: the same draws by the speed of the frontier, and by which of several certified Nash "
    "equilibria is selected; then the first draws again under another demand, pool, timing or mode, or through an extension "
    "of the model. “At the same restrictions” means that incumbents do not choose anew."
)


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
    """At most ten lines: how often incumbents restrict, what follows for each kind of company, and what decides it."""
    moved = {name: percent(ds.share_moved.sel(counterfactual=name)) for name in COUNTERFACTUALS}
    lines = [
        f"Restriction itself: from the open world incumbents restrict in {moved['open_to_nash']} of {ds.attrs['draws']:,} "
        f"draws when each acts alone and in {moved['open_to_concerted']} when they act in concert; {self_enforcing(ds)}."
    ]
    for who, parts in ANSWER:
        lines.append(f"{who}: {'; '.join(said(ds.sel(claim=name), words) for name, words in parts)}.")
    return [*lines, deciding(ds), depending(ds)]


def said(one: "xarray.Dataset", words: str) -> str:
    """A claim in the answer: its share in concert and alone, and the median change."""
    concert, alone = (one.sel(counterfactual=c) for c in ("open_to_concerted", "open_to_nash"))
    if not np.isfinite(concert.share_holding):
        return f"whether {words}, no draw decides"
    size = f"{signed(concert.median_effect)}{'' if one.unit.item() == '1' else ' ' + one.unit.item()}"
    return f"{words} in {share(concert)} of draws in concert, {percent(alone.share_holding)} alone, by {size} in the median"


def signed(value: Any) -> str:
    """Two digits; what is within the stages' noise is 0."""
    return "0" if abs(float(value)) <= NOISE else f"{float(value):+.2g}".replace("-", "−")


def self_enforcing(ds: "xarray.Dataset") -> str:
    one = ds.sel(claim="1b", counterfactual="nash_to_concerted")
    if not np.isfinite(one.share_holding):
        return "whether the concerted restriction is itself a Nash equilibrium, no draw decides"
    return f"the concerted restriction is itself a Nash equilibrium in {share(one)}"


def deciding(ds: "xarray.Dataset") -> str:
    """The parameters that the rules which beat the usual verdict name most."""
    rules = ds.sel(counterfactual="open_to_concerted")
    better = [r for r, a, b in zip(rules.rule.values, rules.rule_accuracy, rules.rule_baseline, strict=True) if a > b]
    if not better:
        return "What decides it: no rule of two thresholds beats the usual verdict at this number of draws."
    count = {s: sum(f" {s} " in str(rule) for rule in better) for s in ds.symbol.values}
    named = [f"{s} ({n})" for s, n in sorted(count.items(), key=lambda item: -item[1]) if n][:4]
    return (
        f"What decides it: of {ds.sizes['claim']} claims and parts, {len(better)} have a rule of at most two thresholds that "
        f"beats the usual verdict in concert; those rules name most often {', '.join(named)}."
    )


def depending(ds: "xarray.Dataset") -> str:
    """The variants under which most claims cross the half, from one interval beyond it to the other."""
    c = {"counterfactual": "open_to_concerted"}
    base = np.sign(ds.share_holding.sel(c).values - 0.5) * clear(
        ds.share_low.sel(c).values, ds.share_high.sel(c).values
    )
    turned = {}
    for name in ds.variant.values:
        one = ds.sel(c).sel(variant=name)
        own = np.sign(one.robust_share_holding.values - 0.5)
        own = own * clear(one.robust_share_low.values, one.robust_share_high.values)
        turned[str(name)] = int((own * base == -1).sum())
    most = [f"{name} ({n})" for name, n in sorted(turned.items(), key=lambda item: -item[1]) if n][:4]
    if not most:
        return "What it depends on: no variant that was tried turns a clear majority of draws, for any claim, into the other."
    return f"What it depends on: claims whose clear majority turns into the other, in concert: {', '.join(most)}."


def clear(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Whether an interval lies on one side of the half."""
    return (low > 0.5) | (high < 0.5)


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
        text += f"{percent(at.share_undecided)}; median effect {signed(at.median_effect)}"
        found += [(ARROWS[c], text), ("What decides it", decides(at))]
    if text := influences(ds, name):
        found.append(("Largest total Sobol indices", text))
    shapes = one.share_shape
    if np.isfinite(shapes).any():
        parts = [
            f"{s.replace('_', '-')} {percent(v)}" for s, v in zip(ds["shape"].values, shapes.values, strict=True) if v
        ]
        found.append(("Along a common r", ", ".join(parts)))
    found += lensed(one, {claim.name: claim.lenses for claim in CLAIMS}.get(name, ()))
    if text := robust(one):
        found.append(("Under variants", text))
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


def lensed(one: "xarray.Dataset", lenses: Sequence[str]) -> list[tuple[str, str]]:
    """What a claim's own lenses show, under every counterfactual that it speaks of."""
    found = []
    for lens in lenses:
        if lens not in one.variant.values:
            continue
        at = one.sel(variant=lens)
        parts = []
        for c in COUNTERFACTUALS:
            here = at.sel(counterfactual=c)
            if np.isfinite(here.robust_share_holding):
                low, high = 100 * float(here.robust_share_low), 100 * float(here.robust_share_high)
                effect = f"median effect {signed(here.robust_median_effect)}"
                parts.append(f"{ARROWS[c]} {percent(here.robust_share_holding)} ({low:.0f}–{high:.0f}), {effect}")
        if parts:
            draws = int(at.robust_num_draws)
            found.append((f"Lens: {lens}", f"{at.variant_meaning.item()}; {'; '.join(parts)}; {draws} draws"))
    return found


def robust(one: "xarray.Dataset") -> str:
    """The shares under every variant that says something, in concert (for claim 1, Nash → concerted)."""
    which = next(
        (c for c in ("open_to_concerted", "nash_to_concerted") if np.isfinite(one.share_holding.sel(counterfactual=c))),
        "",
    )
    if not which:
        return ""
    at = one.sel(counterfactual=which)
    parts = [(str(v), at.robust_share_holding.sel(variant=v)) for v in at.variant.values]
    return ", ".join(f"{name} {percent(value)}" for name, value in parts if np.isfinite(value))


def convergence(ds: "xarray.Dataset") -> str:
    """How the shares of the first half of the draws lie in the intervals of all."""
    share, low, high = (ds[name].values for name in ("first_half_share_holding", "share_low", "share_high"))
    known = np.isfinite(share) & np.isfinite(low)
    inside = (share >= low) & (share <= high)
    overlap = (ds.first_half_share_low.values <= high) & (ds.first_half_share_high.values >= low)
    return (
        f"Convergence: of {int(known.sum())} shares, {int((inside & known).sum())} are, for the first "
        f"{ds.attrs['draws'] // 2:,} draws alone, within the interval of all, and "
        f"{int((overlap & known).sum())} have intervals that overlap."
    )


def provenance(ds: "xarray.Dataset") -> str:
    a = ds.attrs
    text = (
        f"{a['draws']:,} draws of {a['prior']}, scrambled Sobol sequence, seed {a['seed']}; mode {a['mode']}, timing "
    )
    text += f"{a['timing']}; Nash equilibria searched from r = {', '.join(f'{s:g}' for s in a['starts'])}."
    return text + (f" Calibration: {a['calibration']}, and within 20 % of it." if a["calibration"] else "")


def ranges(ds: "xarray.Dataset") -> str:
    """Every parameter that is drawn, with its range."""
    rows = zip(ds.symbol.values, ds.low.values, ds.high.values, strict=True)
    return "Drawn: " + ", ".join(f"{s} {low:g}–{high:g}" for s, low, high in rows) + "; the rest as in the base world."
