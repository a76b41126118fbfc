"""From effects to verdicts, and from the verdicts of many worlds to shares with their uncertainty."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from games.restriction.claims.catalogue import CLAIMS, COUNTERFACTUALS, Claim

if TYPE_CHECKING:
    import xarray

HOLDS, FAILS, UNDECIDED, SILENT = 1, 0, -1, -2
VERDICT = {"long_name": "verdict", "flag_values": np.array([1, 0, -1, -2], np.int8),
           "flag_meanings": "holds fails undecided nothing_to_compare"}  # fmt: skip
SHAPES = ("flat", "rising", "falling", "single_peaked", "single_troughed", "other")
UNSOLVED = -1  # in place of a shape
CURVE = {"long_name": "shape of the effect along a common restriction", "flag_values": np.arange(-1, 6, dtype=np.int8),
         "flag_meanings": " ".join(("unsolved", *SHAPES))}  # fmt: skip
SELECTIONS = {  # of several certified Nash equilibria, the one with the highest score
    "lowest Nash": lambda ds: -ds.restriction.mean("incumbent"),
    "highest Nash": lambda ds: ds.restriction.mean("incumbent"),
    "Nash best for incumbents": lambda ds: ds.incumbent_payoff.sum("incumbent"),
    "Nash worst for incumbents": lambda ds: -ds.incumbent_payoff.sum("incumbent"),
    "Nash best for the world": lambda ds: ds.welfare,
    "Nash worst for the world": lambda ds: -ds.welfare,
}
NOISE = 1e-6  # of an effect, in its unit: the stages' tolerance with room
MOVED = 0.02  # from where on a restriction counts as changed
Z = 1.959963984540054


def pair(columns: Mapping[str, "xarray.Dataset"], counterfactual: str) -> tuple["xarray.Dataset", "xarray.Dataset"]:
    """The equilibria before and after."""
    before, after = counterfactual.split("_to_")
    return columns[before], columns[after]


def judge(claim: Claim, before: "xarray.Dataset", after: "xarray.Dataset") -> tuple[np.ndarray, np.ndarray]:
    """The verdict (draw,) and the effect (draw,) at the first certified equilibrium.

    Of several certified equilibria all must agree, else the verdict is undecided, as it is where none is certified.
    ``SILENT`` where there is nothing to compare.
    """
    return _judged(claim.effect(before, after), claim.threshold, before.certified & after.certified)


def _judged(effect: "xarray.DataArray", threshold: float, ok: "xarray.DataArray") -> tuple[np.ndarray, np.ndarray]:
    effects, certified = _by_equilibrium(effect, ok)
    known = certified & np.isfinite(effects)
    holds = (known & (effects > threshold + NOISE)).any(1)
    fails = (known & (effects <= threshold + NOISE)).any(1)
    verdict = np.where(holds & ~fails, HOLDS, np.where(fails & ~holds, FAILS, UNDECIDED))
    verdict = np.where(certified.any(1) & ~known.any(1), SILENT, verdict).astype(np.int8)
    first = np.take_along_axis(effects, known.argmax(1)[:, None], 1)[:, 0]
    return verdict, np.where(known.any(1), first, np.nan)


def _by_equilibrium(effect: "xarray.DataArray", certified: "xarray.DataArray") -> tuple[np.ndarray, np.ndarray]:
    import xarray

    effect, certified = xarray.broadcast(effect, certified)
    order = ("draw", *(dim for dim in effect.dims if dim != "draw"))
    return tuple(x.transpose(*order).values.reshape(x.sizes["draw"], -1) for x in (effect, certified))  # type: ignore[return-value]


def verdicts(columns: Mapping[str, "xarray.Dataset"], claims: Sequence[Claim] = CLAIMS) -> "xarray.Dataset":
    """``verdict`` and ``effect`` (draw, claim, counterfactual), ``moved`` (draw, counterfactual), ``curve`` (draw, claim).

    Without the column "curve" nothing is said of it.
    """
    import xarray

    tables = [_compared(columns, name, claims) for name in COUNTERFACTUALS]
    verdict, effect, moved = (np.stack(part, -1) for part in zip(*tables, strict=True))
    dims = ("draw", "claim", "counterfactual")
    attrs = {"long_name": "effect, in the claim's direction and unit"}
    data = {"verdict": (dims, verdict, VERDICT), "effect": (dims, effect, attrs)}
    data["moved"] = (("draw", "counterfactual"), moved, {"long_name": "whether an equilibrium's restriction changed"})
    shape = np.full(verdict.shape[:2], UNSOLVED, np.int8)
    for k, claim in enumerate(claims if "curve" in columns else ()):
        found = _effect(claim, columns["open"], columns["curve"])
        if found is not None:
            shape[:, k] = shapes(found, columns["curve"].stage_converged)
    data["curve"] = (("draw", "claim"), shape, CURVE)
    return xarray.Dataset(data, {"claim": [c.name for c in claims], "counterfactual": list(COUNTERFACTUALS)})


def _compared(
    columns: Mapping[str, "xarray.Dataset"], counterfactual: str, claims: Sequence[Claim]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Verdicts and effects (draw, claim) under one counterfactual, and where the restriction changed (draw,)."""
    before, after = pair(columns, counterfactual)
    ok = before.certified & after.certified
    change, certified = _by_equilibrium(abs(after.restriction - before.restriction).max("incumbent"), ok)
    verdict = np.full((len(change), len(claims)), SILENT, np.int8)
    effect = np.full(verdict.shape, np.nan)
    for k, claim in enumerate(claims):
        found = _effect(claim, before, after) if counterfactual in claim.counterfactuals else None
        if found is not None:
            verdict[:, k], effect[:, k] = _judged(found, claim.threshold, ok)
    return verdict, effect, np.asarray((certified & (change > MOVED)).any(1))


def by_selection(columns: Mapping[str, "xarray.Dataset"], claims: Sequence[Claim] = CLAIMS) -> np.ndarray:
    """The verdicts (draw, selection, claim, counterfactual) at the Nash equilibrium that each of ``SELECTIONS`` picks."""
    nash, num = columns["nash"], columns["open"].sizes["draw"]
    found = np.full((num, len(SELECTIONS), len(claims), len(COUNTERFACTUALS)), SILENT, np.int8)
    base = _compared(columns, "open_to_concerted", claims)[0]
    picked: dict[bytes, dict[str, np.ndarray]] = {}
    for s, score in enumerate(SELECTIONS.values()):
        place = score(nash).where(nash.certified, -np.inf).argmax("start")
        key = place.values.tobytes()  # most selections agree
        if key not in picked:
            own = dict(columns) | {"nash": nash.isel(start=place)}
            picked[key] = {c: _compared(own, c, claims)[0] for c in COUNTERFACTUALS if "nash" in c}
        for c, name in enumerate(COUNTERFACTUALS):
            found[:, s, :, c] = picked[key].get(name, base)
    return found


def _effect(claim: Claim, before: "xarray.Dataset", after: "xarray.Dataset") -> "xarray.DataArray | None":
    """None where the columns lack what the claim asks for: a curve has not all that equilibria have."""
    try:
        return claim.effect(before, after)
    except (AttributeError, KeyError):
        return None


def shapes(effect: "xarray.DataArray", solved: "xarray.DataArray") -> np.ndarray:
    """The shape of every draw's effect along "common_restriction", a place in ``SHAPES``; -1 where a point is not solved.

    Points at which no draw has an effect are left out.
    """
    values, solves = (x.transpose("draw", "common_restriction").values for x in (effect, solved))
    there = np.isfinite(values).any(0)
    if not there.any():
        return np.full(len(values), UNSOLVED, np.int8)
    values, solves = values[:, there], solves[:, there]
    ok = np.asarray(solves.all(1) & np.isfinite(values).all(1))
    width = np.ptp(np.where(ok[:, None], values, 0.0), axis=1)
    step = np.diff(np.where(ok[:, None], values, 0.0), axis=1)
    sign = np.where(abs(step) > NOISE + 1e-4 * width[:, None], np.sign(step), 0)
    names = [_shape(row[row != 0]) if fine else "" for row, fine in zip(sign, ok, strict=True)]
    return np.array([SHAPES.index(name) if name else UNSOLVED for name in names], np.int8)


def _shape(signs: np.ndarray) -> str:
    turns = int((np.diff(signs) != 0).sum())
    if not signs.size:
        return "flat"
    if turns > 1:
        return "other"
    return (("falling", "rising"), ("single_troughed", "single_peaked"))[turns][int(signs[0] > 0)]


def wilson(holds: Any, decided: Any) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % interval of a share (Wilson 1927); nan of nothing."""
    holds, n = np.asarray(holds, float), np.asarray(decided, float)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = holds / n
        centre, width = share + Z**2 / (2 * n), Z * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
        low, high = (centre - width) / (1 + Z**2 / n), (centre + width) / (1 + Z**2 / n)
    return np.clip(np.minimum(low, share), 0, 1), np.clip(np.maximum(high, share), 0, 1)


def shares(judged: "xarray.Dataset") -> "xarray.Dataset":
    """Over the draws: the share of decided ones that hold with its interval, the share undecided, the median effect, shapes.

    ``share_holding_moved`` counts only draws in which the restriction changed: where it did not, no claim of change holds.
    """
    import xarray

    dims = ("claim", "counterfactual")
    v, moved = judged.verdict.transpose("draw", *dims).values, judged.moved.transpose("draw", dims[1]).values[:, None]
    holds, fails, open_ = ((v == code) for code in (HOLDS, FAILS, UNDECIDED))
    decided, known = (holds | fails).sum(0), (holds | fails | open_).sum(0)
    low, high = wilson(holds.sum(0), decided)
    with np.errstate(invalid="ignore", divide="ignore"):
        table = {
            "share_holding": (holds.sum(0) / decided, "share of decided draws in which the claim holds"),
            "share_low": (low, "lower end of its 95 % interval (Wilson)"),
            "share_high": (high, "upper end of its 95 % interval (Wilson)"),
            "share_undecided": (np.where(known > 0, open_.sum(0) / known, np.nan), "share of draws undecided"),
            "share_holding_moved": (
                (holds & moved).sum(0) / ((holds | fails) & moved).sum(0),
                "share that holds among decided draws in which the restriction changes",
            ),
            "median_effect": (_median(judged.effect.transpose("draw", *dims).values), "median effect"),
        }
    data: dict[str, Any] = {
        name: (dims, values, {"long_name": text, "units": "1"}) for name, (values, text) in table.items()
    }
    data["median_effect"][2]["units"] = "the claim's"
    data["num_decided"] = (dims, decided, {"long_name": "draws decided"})
    data["share_moved"] = (
        "counterfactual",
        moved[:, 0].mean(0) if len(moved) else np.full(len(COUNTERFACTUALS), np.nan),
        {"long_name": "share of draws that change restriction"},
    )
    curves = judged.curve.transpose("draw", "claim").values
    solved = curves != UNSOLVED
    seen = np.maximum(solved.sum(0), 1)
    share = np.stack([np.where(solved.any(0), (curves == s).sum(0) / seen, np.nan) for s in range(len(SHAPES))], 1)
    data["share_shape"] = (
        ("claim", "shape"),
        share,
        {"long_name": "share of draws by shape of the effect in a common r"},
    )
    return xarray.Dataset(data, {name: judged[name] for name in dims} | {"shape": list(SHAPES)})


def _median(effect: np.ndarray) -> np.ndarray:
    known = np.isfinite(effect).any(0)
    if not known.any():
        return np.full(known.shape, np.nan)
    return np.where(known, np.nanmedian(np.where(known, effect, 0.0), axis=0), np.nan)
