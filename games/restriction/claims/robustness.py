"""Do the verdicts stand? Shares by ε_γ and by selection, of the draws at hand, and under variants of the first ones."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from games.restriction.claims.catalogue import CLAIMS
from games.restriction.claims.priors import Prior
from games.restriction.claims.run import Run
from games.restriction.claims.variants import Variant, variants
from games.restriction.claims.verdicts import FAILS, HOLDS, SELECTIONS, SILENT, shares

if TYPE_CHECKING:
    import xarray

FAST = 0.5  # ε_γ from which on the frontier's speed is said to depend on its return
TOLD = ("share_holding", "share_low", "share_high", "share_undecided", "median_effect")
AGREEMENT = {"long_name": "share of draws decided in both that have the base's verdict", "units": "1"}


def with_robustness(
    ds: "xarray.Dataset", judged: "xarray.Dataset", made: Prior, drawn: Mapping[str, np.ndarray], num: int, run: Run
) -> "xarray.Dataset":
    """``ds`` with ``robust_...`` over "variant"; the first ``num`` draws are judged again."""
    import xarray

    tables = _of_the_draws(judged, made, drawn)
    base = judged.isel(draw=slice(0, num))
    for one in variants(made) if num else ():
        part = base.isel(draw=slice(0, one.most))
        tables.append((one.name, one.meaning, _again(one, made, drawn, part, run), part))
    rows = []
    for _, _, found, base in tables:
        told = shares(found)[list(TOLD)]
        rows.append(told.assign(agreement=_agreement(found, base), num_draws=((), found.sizes["draw"])))
    whole = xarray.concat(rows, "variant").rename({name: f"robust_{name}" for name in rows[0].data_vars})
    names, meanings, *_ = zip(*tables, strict=True)
    return ds.merge(whole.assign_coords(variant=list(names), variant_meaning=("variant", list(meanings))))


def _of_the_draws(judged: "xarray.Dataset", made: Prior, drawn: Mapping[str, np.ndarray]) -> list[tuple]:
    """Variants that need no further solving: name, meaning, what is judged, and the base to compare it with, if another."""
    num = judged.sizes["draw"]
    speed = np.broadcast_to(np.asarray(drawn.get("appropriability", made.base.appropriability), float), num)
    found = []
    for name, meaning, here in (
        ("ε_γ = 0", "the frontier's speed is given", speed == 0),
        (f"ε_γ > {FAST:g}", "the frontier's speed follows its return", speed > FAST),
    ):
        part = judged.isel(draw=np.flatnonzero(here))
        found.append((name, f"{meaning}; of the draws", part, None))
    for name in SELECTIONS:
        picked = judged.assign(verdict=judged.selected_verdict.sel(selection=name, drop=True))
        found.append((name, "of several equilibria; of the draws", picked, judged))
    return found


def _again(
    one: Variant, made: Prior, drawn: Mapping[str, np.ndarray], base: "xarray.Dataset", run: Run
) -> "xarray.Dataset":
    """The base's draws judged under a variant."""
    num = base.sizes["draw"]
    own = one.change({name: values[:num] for name, values in drawn.items()}, made)
    restriction = np.nan_to_num(base.restriction.transpose("draw", "point", "incumbent").values)
    certified = base.certified.transpose("draw", "point").values

    def solve(games, part: slice, say) -> Any:
        say("judged again")
        return one.columns(games, restriction[part], certified[part])

    found = run.judged(one.name, own, {**made.choices, **one.choices}, solve)
    if not one.given:
        return found
    chosen = [claim.number == 1 for claim in CLAIMS]
    return found.assign(verdict=found.verdict.where(~np.array(chosen)[None, :, None], SILENT))


def _agreement(found: "xarray.Dataset", base: "xarray.Dataset | None") -> tuple:
    dims = ("draw", "claim", "counterfactual")
    if base is None:
        return dims[1:], np.full([found.sizes[dim] for dim in dims[1:]], np.nan), AGREEMENT
    a, b = (x.verdict.transpose(*dims).values for x in (found, base))
    both = np.isin(a, (HOLDS, FAILS)) & np.isin(b, (HOLDS, FAILS))
    with np.errstate(invalid="ignore"):
        return dims[1:], (both & (a == b)).sum(0) / both.sum(0), AGREEMENT
