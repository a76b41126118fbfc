"""The claims of model.md §11 over a prior: where each holds, where it fails, and what decides it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from games.restriction.claims import deciders, worlds
from games.restriction.claims.catalogue import CLAIMS, Claim
from games.restriction.claims.priors import Prior, band, prior, read_prior
from games.restriction.claims.robustness import with_robustness
from games.restriction.claims.run import Run
from games.restriction.claims.verdicts import shares
from games.restriction.prior import checked_number, sobol_uniform

if TYPE_CHECKING:
    import xarray

__all__ = ["CLAIMS", "Claim", "claims"]

BAND = 128  # draws, at most, of the band around a calibration
KEPT = ("verdict", "effect", "moved", "curve", "restriction", "certified")  # of every draw
FIRST = ("share_holding", "share_low", "share_high")  # of the first half of the draws


def claims(
    draws: int = 1024,
    seed: int = 0,
    *,
    prior_file: str | Path | None = None,
    calibration: str | None = None,
    sensitivity: int = 0,
    robustness: int = 0,
    store: str | Path | None = None,
    progress: Callable[[str], Any] = lambda message: None,
) -> "xarray.Dataset":
    """Judge every claim in worlds drawn from a prior by a scrambled Sobol sequence.

    Of a world the claims compare ``open`` (r = 0), ``nash`` (from the starts 0, ½ and 1) and ``concerted`` (joint profit, one
    r for all). A verdict is undecided where an equilibrium is not certified or where several certified ones disagree.

    :param draws: best a power of two.
    :param prior_file: a TOML file with another prior (see :mod:`games.restriction.claims.priors`; default: model.md §10).
    :param calibration: judge this calibration too, and a band of 20 % around it.
    :param sensitivity: base draws, a power of two, of Sobol indices for open → concerted, where
        ``sensitivity * (ranges + 2)`` worlds are solved; 0: none.
    :param robustness: draws, the first ones, judged again under every variant (:mod:`games.restriction.claims.variants`): other
        demand, ρ, timing, modes, and the extensions; 0: only what the draws themselves show, by ε_γ and by which Nash
        equilibrium is selected.
    :param store: a folder where every chunk of draws is kept once it is judged; a run that was stopped goes on from there.
    :return: over ``claim`` and ``counterfactual``: ``share_holding`` (of decided draws; nan where a claim does not speak of
        the counterfactual) with the 95 % interval ``share_low``, ``share_high``; ``share_undecided``; ``median_effect``;
        ``share_shape``; ``first_half_share_holding`` and its interval, of the first half of the draws; ``rule``,
        ``rule_accuracy`` and ``rule_baseline``; ``sobol_first`` and ``sobol_total`` (claim, parameter); over ``variant`` too
        ``robust_share_holding`` and its like, with ``robust_agreement``; of every draw ``verdict``, ``effect``, ``curve``,
        ``restriction`` (point, incumbent) and ``value`` (draw, parameter). With a calibration its ``calibrated_verdict`` and
        ``calibrated_effect``, and the shares again as ``band_...``.
    :raises ValueError: for a bad number, prior or calibration, or a store that was made from other draws.
    """
    made = prior({}) if prior_file is None else read_prior(prior_file)
    num, u = checked_number(draws), sobol_uniform(draws, seed, len(made.ranges))
    run = Run(None if store is None else Path(store), progress)
    drawn = made.worlds(u)
    judged = run.judged("draws", drawn, made.choices, _in_full, selections=True)
    ds = shares(judged).merge(judged[list(KEPT)]).assign_coords(_about())
    ds = ds.assign(_first_half(judged))
    ds = _with_rules(ds, made, u)
    ds = with_robustness(ds, judged, made, drawn, min(num, robustness), run)
    if sensitivity:
        ds = _with_indices(ds, made, sensitivity, seed, run)
    if calibration is not None:
        ds = _with_calibration(ds, prior({"calibration": calibration}), min(num, BAND), seed, run)
    settings = {"draws": num, "seed": seed, "prior": made.title, "calibration": calibration or "", "mode": "fast"}
    settings |= {"sensitivity": sensitivity, "robustness": min(num, robustness), "timing": "observed"}
    return ds.assign_attrs(settings, starts=list(worlds.STARTS))


def _in_full(games, part: slice, say: Callable[[str], Any]) -> dict[str, "xarray.Dataset"]:
    """All columns, with all that claims ask of them."""
    del part
    worlds.together(games)
    say("outcomes along a common restriction")
    columns = worlds.stages(games)
    say("equilibria")
    columns |= worlds.equilibria(games, columns)
    say("pooling, subsidies, costs")
    return worlds.probed(games, columns)


def _without_nash(games, part: slice, say: Callable[[str], Any]) -> dict[str, "xarray.Dataset"]:
    """What open → concerted needs; the columns of Nash equilibria repeat the open one."""
    del part
    say("outcomes along a common restriction")
    columns = worlds.stages(worlds.together(games))
    columns = {"open": columns["open"], "concerted": columns["concerted"]}
    columns |= {"nash": columns["open"].expand_dims(start=len(worlds.STARTS), axis=1)}
    say("pooling, subsidies, costs")
    return worlds.probed(games, columns)


def _first_half(judged: "xarray.Dataset") -> dict[str, Any]:
    """The shares of the first half of the draws, a Sobol sequence itself: do they lie in the whole's intervals?"""
    half = shares(judged.isel(draw=slice(0, max(1, judged.sizes["draw"] // 2))))
    return {f"first_half_{name}": half[name] for name in FIRST}


def _about() -> dict[str, Any]:
    fields = ("number", "text", "proposition", "quantity", "unit", "scope", "note")
    return {name: ("claim", [getattr(claim, name) for claim in CLAIMS]) for name in fields}


def _with_rules(ds: "xarray.Dataset", made: Prior, u: np.ndarray) -> "xarray.Dataset":
    values = np.stack([row.quantile(column) for row, column in zip(made.ranges, u.T, strict=True)], 1)
    symbols = [deciders.symbol(row) for row in made.ranges]
    found = [
        [
            deciders.rule(values, ds.verdict.sel(claim=c, counterfactual=f).values, symbols)
            for f in ds.counterfactual.values
        ]
        for c in ds.claim.values
    ]
    ds = ds.assign_coords(
        parameter=deciders.names(made.ranges),
        symbol=("parameter", symbols),
        low=("parameter", [row.low for row in made.ranges]),
        high=("parameter", [row.high for row in made.ranges]),
    )
    dims, table = ("claim", "counterfactual"), np.array(found, dtype=object)
    about = ("rule of two thresholds at most", "share of draws not fitted to that the rule has right",
             "share of them that the more frequent verdict has right")  # fmt: skip
    kinds = zip(("rule", "rule_accuracy", "rule_baseline"), (str, float, float), about, strict=True)
    ds = ds.assign(
        {name: (dims, table[..., k].astype(kind), {"long_name": text}) for k, (name, kind, text) in enumerate(kinds)}
    )
    return ds.assign(
        value=(("draw", "parameter"), values, {"long_name": "value drawn (a factor, if the symbol is a ratio)"})
    )


def _with_indices(ds: "xarray.Dataset", made: Prior, num: int, seed: int, run: Run) -> "xarray.Dataset":
    def evaluate(u: np.ndarray) -> np.ndarray:
        found = run.judged("sobol", made.worlds(u), made.choices, _without_nash)
        return found.verdict.sel(counterfactual="open_to_concerted").transpose("draw", "claim").values

    found = deciders.sobol_indices(evaluate, made.ranges, num, seed)
    text = {"long_name": "Sobol index of the verdict, open to concerted"}
    return ds.assign({name: (("claim", "parameter"), values, text) for name, values in found.items()})


def _with_calibration(ds: "xarray.Dataset", made: Prior, num: int, seed: int, run: Run) -> "xarray.Dataset":
    """The calibrated world itself is solved with its band, in front of it."""
    near = band(made)
    drawn = near.worlds(sobol_uniform(num, seed, len(near.ranges)))
    base = made.base
    drawn = {name: np.concatenate([np.asarray(getattr(base, name))[None], v]) for name, v in drawn.items()}
    judged = run.judged("band", drawn, near.choices, _in_full)
    around = shares(judged.isel(draw=slice(1, None)))
    ds = ds.assign({f"band_{name}": variable for name, variable in around.data_vars.items()})
    return ds.assign(
        {f"calibrated_{name}": judged[name].isel(draw=0, drop=True) for name in ("verdict", "effect", "curve")}
    )
