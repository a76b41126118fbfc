r"""The claims of model.md §11, each as a number compared between two equilibria of one world.

A claim holds where its effect, from the equilibrium ``before`` to the one ``after``, exceeds its threshold. Effects are
signed so that more is more of what the claim says. Both arguments are Datasets as :mod:`games.restriction.claims.worlds`
makes them, over "draw" and perhaps more.

Where a part of a claim says the opposite of another ("rival readings of one fact"), and where a part is true by
construction of the model, its ``note`` says so. Three cannot fail from open to any restriction r > 0 that binds, for then

.. math::
    \frac{\partial\Lambda_b}{\partial R_i} \le 0,\qquad
    \frac{\partial\bar z_o}{\partial\Lambda_o} < 0\ \text{at a given } \gamma,\qquad
    \sum_i \Pi_i^{\text{gross}}(r^C) = \sum_i \Pi_i(r^C) + \tfrac{c_r}{2}\sum_i (r_i^C)^2
        > \sum_i \Pi_i(0) = \sum_i \Pi_i^{\text{gross}}(0)

(claim 3; 15a; and 8, in concert, since r^C is best for joint profit). They fail where nothing is restricted, or where
incumbents restrict more alone than in concert; 8 fails alone, where profits fall in equilibrium.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

Number = Callable[[Any], Any]  # Dataset -> DataArray
COUNTERFACTUALS = ("open_to_nash", "open_to_concerted", "nash_to_concerted")
ENOUGH = 0.1  # total variation from which a mix is said to be reshaped
GAIN = 1e-4  # bn $/year: what an incumbent may gain by leaving the concerted restriction if that is to be Nash
BLOCS, TRUST = ("identical blocs", "after 4 years"), ("τ = 0", "nested logit", "τ = 0, nested logit")
COMMONS = ("open releases", "after 4 years")


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim, or a part of one: ``name`` begins with its number in model.md §11.

    ``lenses`` are the variants (:mod:`games.restriction.claims.variants`) that it should be seen through too.
    """

    name: str
    text: str
    proposition: str
    quantity: str
    unit: str
    effect: Callable[[Any, Any], Any]
    threshold: float = 0.0
    counterfactuals: tuple[str, ...] = COUNTERFACTUALS
    lenses: tuple[str, ...] = ()
    note: str = ""

    @property
    def scope(self) -> str:
        return f"base game; also through {'; '.join(self.lenses)}" if self.lenses else "base game"

    @property
    def number(self) -> int:
        return int("".join(c for c in self.name.split()[0] if c.isdigit()))


def rises(number: Number) -> Callable[[Any, Any], Any]:
    return lambda before, after: number(after) - number(before)


def falls(number: Number) -> Callable[[Any, Any], Any]:
    return lambda before, after: number(before) - number(after)


def all_fall(number: Number, dim: str) -> Callable[[Any, Any], Any]:
    """The smallest fall along ``dim``."""
    return lambda before, after: (number(before) - number(after)).min(dim)


def both(first: Callable, second: Callable) -> Callable[[Any, Any], Any]:
    """The smaller of two effects in one unit."""

    def smaller(before, after):
        a, b = first(before, after), second(before, after)
        return a.where(a < b, b)

    return smaller


def of_bloc(ds: Any, name: str, bloc: str) -> Any:
    """A variable's challengers that sit in ``bloc``."""
    return ds[name].isel(challenger=np.flatnonzero(ds.challenger_bloc.values == bloc))


def chance(strategy: str, bloc: str | None = None) -> Number:
    """The expected number of challengers (of a bloc) with a strategy."""

    def expected(ds):
        mix = ds.mix if bloc is None else of_bloc(ds, "mix", bloc)
        return mix.sel(strategy=strategy).sum("challenger")

    return expected


def joint(bloc: str) -> Number:
    return lambda ds: of_bloc(ds, "challenger_payoff", bloc).sum("challenger")


def everyone(ds):
    return ds.challenger_payoff.sum("challenger")


def gross(ds):
    return ds.gross_profit.sum("incumbent")


def home(ds):
    return ds.home_sourced_world.sel(convention="owner")


def world_share(bloc: str) -> Number:
    return lambda ds: ds.world_share.sel(convention="owner", bloc=bloc)


def share_of_tw(bloc: str) -> Number:
    return lambda ds: ds.region_share.sel(convention="model", bloc=bloc, region="TW")


def mean_of(name: str, bloc: str | None = None) -> Number:
    return lambda ds: (ds[name] if bloc is None else of_bloc(ds, name, bloc)).mean("challenger")


def total_variation(before, after):
    return (abs(after.mix - before.mix).sum("strategy") / 2).max("challenger")


def relative_gain(before, after):
    """How much more CN's payoffs gain than TW's, each relative to what they were."""

    def gain(bloc):
        old = joint(bloc)(before)
        return (joint(bloc)(after) - old) / abs(old)

    return gain("CN") - gain("TW")


def multiplier_by_lag(before, after):
    """By how much |∂lag/∂Λ| is larger for the firm that starts further behind, at equal φ: the least over such pairs.

    At equal effort it cannot be negative: its derivatives are -φY E′ > 0 in z0 and φY² G′ < 0 in x. Efforts are chosen, so
    it can. Without a pair of equal φ and unequal z0 there is nothing to compare: nan.
    """
    del before

    def apart(name):  # of one who is behind (challenger) over one ahead (rival)
        own = after[name].drop_vars(["challenger", "challenger_bloc"], errors="ignore")
        return own, own.rename(challenger="rival")

    (speed, rival_speed), (lag, rival_lag), (force, rival_force) = map(
        apart, ("absorption", "starting_lag", "force_multiplier")
    )
    return (force - rival_force).where((speed == rival_speed) & (lag > rival_lag)).min(("challenger", "rival"))


MONEY, ONE, YEARS, FIRMS = "bn $/year", "1", "years", "firms"
CONCERTED = COUNTERFACTUALS[2:]
BY_CONSTRUCTION = "true by construction wherever restriction rises and binds: read its size, not its verdict"

BEST = (
    "cannot fail from open to concerted where restriction rises: there joint profit is highest net of enforcement, so no less "
    "than at r = 0, where none is spent, and more before that cost; alone it can fail"
)

CLAIMS: tuple[Claim, ...] = (
    Claim("1a", "Acting in concert, incumbents restrict more", "mean r^C > mean r^N, for every Nash equilibrium found",
          "mean restriction", ONE, rises(lambda ds: ds.restriction.mean("incumbent")), counterfactuals=CONCERTED),
    Claim("1b", "The concerted restriction enforces itself", "r^C is itself a Nash equilibrium",
          "minus the largest gain from leaving r^C alone", MONEY, lambda before, after: -after.nash_gain + 0 * before.welfare,
          threshold=-GAIN, counterfactuals=CONCERTED),
    Claim("2", "Challengers' strategies are profoundly reshaped", "some mix moves by more than 0.1 in total variation",
          "largest total variation of a mix", ONE, total_variation, threshold=ENOUGH),
    Claim("3", "Knowledge is made scarce", "Λ_b falls in every bloc", "smallest fall of Λ", ONE,
          all_fall(lambda ds: ds.knowledge, "bloc"), note=BY_CONSTRUCTION),
    Claim("4a CN", "A tiered ecosystem: own models of CN fall behind", "mean lag of CN's own models rises",
          "mean lag, CN", YEARS, rises(mean_of("sovereign_lag", "CN"))),
    Claim("4a TW", "A tiered ecosystem: own models of TW fall behind", "mean lag of TW's own models rises",
          "mean lag, TW", YEARS, rises(mean_of("sovereign_lag", "TW"))),
    Claim("4b", "A tiered ecosystem: fewer firms build their own models", "Σ P_jS falls", "expected sovereign programmes",
          FIRMS, falls(chance("sovereign")), note="the opposite of 6a: rival readings of one fact"),
    Claim("4c", "A tiered ecosystem: fewer labs near the frontier", "labs within 0.25 years of the frontier fall",
          "labs within 0.25 years", "labs", falls(lambda ds: ds.labs_near_frontier.sel(distance=0.25))),
    Claim("5a", "European and Asian challengers lose together", "the sum of TW payoffs falls", "TW payoffs", MONEY,
          falls(joint("TW"))),
    Claim("5b", "Each European and Asian challenger loses", "each TW payoff falls", "smallest fall of a TW payoff", MONEY,
          all_fall(lambda ds: of_bloc(ds, "challenger_payoff", "TW"), "challenger")),
    Claim("6a", "Challengers turn to models of their own", "Σ P_jS rises", "expected sovereign programmes", FIRMS,
          rises(chance("sovereign")), note="the opposite of 4b: rival readings of one fact"),
    Claim("6b", "A programme of one's own needs more capital", "mean programme cost, given sovereign, rises",
          "mean programme cost", MONEY, rises(mean_of("programme_cost"))),
    Claim("7", "Distillation multiplies the force of those who are behind",
          "|∂lag/∂Λ| is larger for larger z0 at equal φ, at the efforts chosen",
          "difference of |∂lag/∂Λ|, at the later equilibrium", YEARS, multiplier_by_lag),
    Claim("8", "Restriction protects incumbents' core value", "ΣΠ_i rises, gross of enforcement",
          "incumbents' gross profit", MONEY, rises(gross), note=BEST),
    Claim("9a", "Use concentrates", "HHI among products rises", "HHI inside", ONE, rises(lambda ds: ds.hhi_inside)),
    Claim("9b", "Use concentrates, with the outside good", "HHI with the outside good rises", "HHI total", ONE,
          rises(lambda ds: ds.hhi_total)),
    Claim("9c", "Incumbents' share rises", "incumbents' share of use rises", "incumbents' share", ONE,
          rises(lambda ds: ds.incumbents_share)),
    Claim("10a", "More firms compete by applying AI", "Σ P_jA rises", "expected applied firms", FIRMS,
          rises(chance("applied"))),
    Claim("10b", "Challengers turn to verticals", "V's share of challengers' revenue rises", "V's share of revenue", ONE,
          rises(lambda ds: ds.vertical_revenue)),
    Claim("11a", "Restriction spurs research by those who go sovereign", "mean x_j, given sovereign, rises", "mean effort",
          ONE, rises(mean_of("effort"))),
    Claim("11b", "Restriction spurs research in all", "Σ P_jS x_j rises", "total expected effort", ONE,
          rises(lambda ds: ds.total_effort)),
    Claim("12a", "Effort is duplicated", "duplicated programme cost rises", "duplicated cost", MONEY,
          rises(lambda ds: ds.duplicated_cost)),
    Claim("12b", "Use fragments", "home-sourced share of the world's use rises (by owner)", "home-sourced share", ONE,
          rises(home)),
    Claim("13a", "Chinese firms gain on European and Asian ones", "CN's payoffs gain more, relatively, than TW's",
          "difference of relative gains", ONE, relative_gain, lenses=BLOCS,
          note="rests on how bite, φ and home bias differ by bloc"),
    Claim("13b", "Chinese firms gain a larger share of the world", "CN's share of the world's use rises (by owner)",
          "CN's share of use", ONE, rises(world_share("CN")), lenses=BLOCS),
    Claim("13c", "Chinese firms gain on American ones", "CN's use relative to US use rises (by owner)",
          "ratio of use", ONE, rises(lambda ds: world_share("CN")(ds) / world_share("US")(ds)), lenses=BLOCS),
    Claim("14a", "Europe and the rest of Asia use less American AI", "US models' share of use in TW falls",
          "US share in TW", ONE, falls(share_of_tw("US")), lenses=TRUST, note="rests on τ"),
    Claim("14b", "Europe and the rest of Asia use more Chinese AI", "CN models' share of use in TW rises",
          "CN share in TW", ONE, rises(share_of_tw("CN")), lenses=TRUST, note="rests on τ"),
    Claim("15a", "The open commons falls behind", "the open community's lag rises", "open lag", YEARS,
          rises(lambda ds: ds.open_lag), lenses=COMMONS, note=BY_CONSTRUCTION),
    Claim("15b", "Chinese firms, too, lose by it", "the sum of CN payoffs falls", "CN payoffs", MONEY, falls(joint("CN")),
          lenses=COMMONS),
    Claim("16", "Pooling is worth more", "TW payoffs at pool = 1 less at pool = 0 rise", "gain of TW from pooling", MONEY,
          rises(lambda ds: ds.pooling_gain), lenses=("consortium",)),
    Claim("17a", "State aid is justified", "the subsidy that maximises TW welfare is positive", "best subsidy of TW", ONE,
          lambda before, after: after.best_subsidy + 0 * before.best_subsidy,
          lenses=("subsidy game",)),
    Claim("17b", "State aid is more justified", "the subsidy that maximises TW welfare rises", "best subsidy of TW", ONE,
          rises(lambda ds: ds.best_subsidy), lenses=("subsidy game",)),
    Claim("18", "The world is more balkanised", "every Λ_b falls and home sourcing rises",
          "the smaller of both changes", ONE, both(all_fall(lambda ds: ds.knowledge, "bloc"), rises(home)), lenses=COMMONS,
          note="its first half is true by construction"),
    Claim("19 CN", "Fewer can take part, CN", "the effort cost at which mean P_S = ½ in CN falls",
          "log of the factor on k", ONE, falls(lambda ds: ds.break_even_cost.sel(bloc="CN")), 
          lenses=("open releases",)),
    Claim("19 TW", "Fewer can take part, TW", "the effort cost at which mean P_S = ½ in TW falls",
          "log of the factor on k", ONE, falls(lambda ds: ds.break_even_cost.sel(bloc="TW")), 
          lenses=("consortium", "open releases")),
    Claim("20", "Leaders are consolidated and challengers burdened", "ΣΠ_i rises, gross, and challengers' payoffs fall",
          "the smaller of both changes", MONEY, both(rises(gross), falls(everyone))),
    Claim("21a", "Challengers become clients", "Σ P_jC rises", "expected clients", FIRMS, rises(chance("client"))),
    Claim("21b", "Clients pay a tighter oligopoly", "the mean fee, given client, rises", "mean fee", MONEY,
          rises(mean_of("fee"))),
    Claim("22", "Europe and the rest of Asia leave the frontier race", "Σ P_jC + P_jA in TW rises",
          "expected TW clients and applied firms", FIRMS, falls(chance("sovereign", "TW")),
          note="the opposite of 6a for TW: rival readings of one fact"),
    Claim("23", "Deployment slows", "the share of consumers who use a model falls", "deployment", ONE,
          falls(lambda ds: ds.deployment)),
    Claim("24", "The funnel narrows", "the mean deployed lag rises", "mean deployed lag", YEARS, rises(lambda ds: ds.mean_lag)),
    Claim("25", "The world is worse off", "world welfare falls", "world welfare", MONEY, falls(lambda ds: ds.welfare),
          note="nearly true by construction where the frontier's speed is given (ε_γ = 0)"),
)  # fmt: skip
