"""The robustness columns: the same claims in other worlds, by other rules, or seen through other lenses."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from games.restriction.claims import lenses, worlds
from games.restriction.claims.priors import Prior

if TYPE_CHECKING:
    import xarray

    from games.restriction.incumbents import RestrictionGame

Drawn = dict[str, np.ndarray]
Columns = dict[str, "xarray.Dataset"]
Columned = Callable[["RestrictionGame", np.ndarray, np.ndarray], Columns]
FEW = 8  # draws of a variant whose equilibria are not found in batches


class Variant(NamedTuple):
    """Draws judged again.

    ``solve`` makes columns from games and the base's restrictions (draw, point, incumbent) with their certificates; None:
    equilibria are sought anew. ``change`` gives other worlds, ``choices`` other rules. Of ``most`` draws at most.
    """

    name: str
    meaning: str
    solve: Columned | None = None
    change: Callable[[Drawn, Prior], Drawn] = lambda drawn, made: drawn
    choices: Mapping[str, Any] = {}
    most: int = 1 << 30

    @property
    def given(self) -> bool:
        """Whether incumbents' restrictions are those of the base, so that nothing is said of what they choose."""
        return self.solve is not None and "timing" not in self.choices

    def columns(self, games: "RestrictionGame", restriction: np.ndarray, certified: np.ndarray) -> Columns:
        if self.solve is not None:
            return self.solve(games, restriction, certified)
        found = worlds.stages(worlds.together(games))
        return worlds.probed(games, found | worlds.equilibria(games, found))


def _with(drawn: Drawn, made: Prior, **numbers: Any) -> Drawn:
    num = len(next(iter(drawn.values())))
    shapes = {name: np.shape(getattr(made.base, name)) for name in numbers}
    return drawn | {name: np.broadcast_to(np.asarray(v, float), (num, *shapes[name])) for name, v in numbers.items()}


def fixed(**numbers: Any) -> Callable[[Drawn, Prior], Drawn]:
    """The same numbers in every draw."""
    return lambda drawn, made: _with(drawn, made, **numbers)


def identical_blocs(drawn: Drawn, made: Prior) -> Drawn:
    """bite, φ and home bias the same in CN and TW: the mean of both."""
    base, num = made.base, len(next(iter(drawn.values())))
    held = {name: np.asarray(getattr(base, name), float) for name in ("bite", "absorption", "home_bias")}
    bite, speed, bias = (
        np.array(np.broadcast_to(drawn.get(name, own), (num, *own.shape))) for name, own in held.items()
    )
    pair = [base.blocs.index("CN"), base.blocs.index("TW")]
    bite[:, pair] = bite[:, pair].mean(1, keepdims=True)
    means = [speed[:, [b == bloc for b in base.challenger_bloc]].mean(1) for bloc in ("CN", "TW")]
    speed[:, [b in ("CN", "TW") for b in base.challenger_bloc]] = np.mean(means, axis=0)[:, None]
    swapped = [pair[1] if b == pair[0] else pair[0] if b == pair[1] else b for b in range(len(base.blocs))]
    bias = (bias + bias[:, swapped][:, :, swapped]) / 2
    return drawn | {"bite": bite, "absorption": speed, "home_bias": bias}


def plain(drawn: Drawn, made: Prior) -> Drawn:
    return {name: values for name, values in drawn.items() if name != "dissimilarity"}


TRUSTED = fixed(distrust=0.0)


def variants(made: Prior) -> list[Variant]:
    """Those that make sense around a prior: not what it assumes already, nor blocs that it lacks."""
    nested = made.choices.get("demand") == "nested"
    other = Variant("plain logit", "without nests", change=plain, choices={"demand": "logit"})
    if not nested:
        other = Variant("nested logit", "stacks as nests of closer substitutes, ν = 0.7", choices={"demand": "nested"})
    found = [other]
    found += [
        Variant(f"ρ = {'∞' if np.isinf(rho) else f'{rho:g}'}", meaning, change=fixed(rho=rho))
        for rho, meaning in ((1.0, "the mean leak"), (4.0, "between"), (np.inf, "one copies from the leakiest"))
    ]
    if {"CN", "TW"} <= set(made.base.challenger_bloc):
        found.append(
            Variant("identical blocs", "bite, φ and home bias as in the mean of CN and TW", change=identical_blocs)
        )
    found.append(Variant("τ = 0", "no distrust of a restricting incumbent", change=TRUSTED))
    if not nested:
        found.append(Variant("τ = 0, nested logit", "both", change=TRUSTED, choices={"demand": "nested"}))
    years = lenses.YEARS * lenses.REVISIONS
    found += [
        Variant("exact mode", "all profiles of strategies, at the same restrictions", partial(lenses.through, lenses.exact)),
        Variant("simultaneous timing", "mixes do not answer a deviation", lenses.simultaneous,
                choices={"timing": "simultaneous"}, most=FEW),
        Variant("consortium", "TW firms share programmes and pool effort, at the same restrictions",
                partial(lenses.through, lenses.consortium)),
        Variant("subsidy game", "blocs choose subsidies in equilibrium, at the same restrictions", lenses.subsidised),
        Variant("open releases", f"released weights add up to {lenses.OPENNESS:g} to λ0, at the same restrictions",
                partial(lenses.through, lenses.releases)),
        Variant(f"after {years:g} years", f"strategies revised every {lenses.YEARS:g} years, at the same restrictions",
                partial(lenses.through, lenses.later)),
    ]  # fmt: skip
    return found
