"""Published games by name, with the equilibria their sources give.

``CATALOG["von Stengel 3x2"].make()`` is the game; ``equilibria`` are profiles in fractions. ``complete``: these are all, for
two players in the sense of extreme equilibria. ``checked``: where else the payoffs were found; where it is empty they, and the
place in the source, are from memory. That the equilibria are equilibria is computed, for every entry (tests). ``CONTINUOUS``
holds the games of continuous actions, whose places in the sources are from memory: ``CONTINUOUS["Pigou's roads"].make()``,
and ``equilibria`` of that game from its closed form.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from games.bertrand import LinearBertrand, LogitBertrand
from games.classic import (
    battle_of_the_sexes,
    chicken,
    matching_pennies,
    prisoners_dilemma,
    rock_paper_scissors,
    stag_hunt,
)
from games.congestion import Congestion
from games.contests import Tullock, all_pay_auction, all_pay_equilibrium
from games.hotelling import Hotelling, HotellingPlaces
from games.oligopoly import AspremontJacquemin, BranderSpencer, Cournot, Stackelberg
from games.public_goods import BestShot, PublicGood
from solver import AbstractGame, NormalForm


class Entry(NamedTuple):
    make: Callable[[], NormalForm]
    equilibria: tuple
    source: str
    complete: bool = True
    checked: str = ""


def _pair(A, B) -> Callable[[], NormalForm]:
    return lambda: NormalForm.from_bimatrix(np.array(A, float), np.array(B, float))


def _nine() -> NormalForm:
    table = np.zeros((3, 2, 2, 2))
    table[:, 0, 0, 0], table[:, 1, 1, 0] = (9, 8, 12), (9, 8, 2)
    table[:, 0, 1, 1] = table[:, 1, 0, 1] = (3, 4, 6)
    return NormalForm(table)


def _jordan() -> NormalForm:
    a = np.indices((2, 2, 2))
    return NormalForm(np.stack([a[0] == a[1], a[1] == a[2], a[2] != a[0]]).astype(float))


def _horse() -> NormalForm:
    table = np.zeros((3, 2, 2, 2))  # C or D, c or d, L or R
    table[:, 0, 0] = 1
    table[:, 0, 1, 0], table[:, 0, 1, 1] = (4, 4, 0), (0, 0, 1)
    table[:, 1, :, 0] = np.array([3, 2, 2])[:, None]
    return NormalForm(table)


F = Fraction
_H = F(1, 2)
_FIRST, _SECOND = (1, 0), (0, 1)
_EVEN, _THIRDS = (_H, _H), (F(1, 3),) * 3

CATALOG: dict[str, Entry] = {
    "prisoners' dilemma": Entry(prisoners_dilemma, ((_SECOND, _SECOND),), "Tucker 1950; numbers of Axelrod 1984"),
    "battle of the sexes": Entry(
        battle_of_the_sexes,
        ((_FIRST, _FIRST), (_SECOND, _SECOND), ((F(2, 3), F(1, 3)), (F(1, 3), F(2, 3)))),
        "Luce and Raiffa 1957, sec. 5.3",
        checked="that Luce and Raiffa introduced it, and these numbers, in course notes; not the section",
    ),
    "chicken": Entry(
        chicken,
        ((_FIRST, _SECOND), (_SECOND, _FIRST), ((F(1, 3), F(2, 3)), (F(1, 3), F(2, 3)))),
        "Aumann 1974",
        checked="course exercises on correlated equilibrium; not Aumann's own numbers",
    ),
    "stag hunt": Entry(
        stag_hunt,
        ((_FIRST, _FIRST), (_SECOND, _SECOND), ((F(7, 8), F(1, 8)), (F(7, 8), F(1, 8)))),
        "Harsanyi and Selten 1988, sec. 10.12",
    ),
    "asymmetric matching pennies": Entry(
        lambda: matching_pennies(320.0), ((_EVEN, (F(1, 8), F(7, 8))),), "Goeree and Holt 2001, Table 1",
        checked="that the paper has such a game; not the numbers",
    ),
    "rock, paper, scissors": Entry(rock_paper_scissors, ((_THIRDS, _THIRDS),), "von Neumann 1928"),
    "Shapley's cycle": Entry(
        _pair([[0, 0, 1], [1, 0, 0], [0, 1, 0]], [[0, 1, 0], [0, 0, 1], [1, 0, 0]]), ((_THIRDS, _THIRDS),),
        "Shapley 1964, sec. 5.3",
        checked="Nashpy's documentation of fictitious play, the same up to the actions' order",
    ),
    "von Stengel 3x2": Entry(
        _pair([[3, 3], [2, 5], [0, 6]], [[3, 2], [2, 6], [3, 1]]),
        (
            ((1, 0, 0), _FIRST),
            ((F(4, 5), F(1, 5), 0), (F(2, 3), F(1, 3))),
            ((0, F(1, 3), F(2, 3)), (F(1, 3), F(2, 3))),
        ),
        "von Stengel 2007, Algorithmic Game Theory, ch. 3, example 3.3",
        checked="QuantEcon's tests of support_enumeration, with the equilibria; not the example's number",
    ),
    "degenerate 3x2": Entry(
        _pair([[3, 3], [2, 5], [0, 6]], [[3, 3], [2, 6], [3, 1]]),
        (
            ((1, 0, 0), _FIRST),
            ((1, 0, 0), (F(2, 3), F(1, 3))),
            ((0, F(1, 3), F(2, 3)), (F(1, 3), F(2, 3))),
        ),
        "von Stengel 2007, Algorithmic Game Theory, ch. 3, example 3.7",
        checked="QuantEcon's tests of vertex_enumeration; not the example's number",
    ),
    "nine equilibria": Entry(
        _nine,
        tuple((x, y, z) for x, y, z in ((_FIRST, _FIRST, _FIRST), (_SECOND, _SECOND, _FIRST), (_FIRST, _SECOND, _SECOND),
              (_SECOND, _FIRST, _SECOND))),
        "McKelvey and McLennan 1997: four of nine, the pure ones",
        complete=False,
        checked="Gambit's 2x2x2.nfg",
    ),
    "three pennies": Entry(
        _jordan,
        ((_EVEN,) * 3,),
        "Jordan 1993, Games and Economic Behavior 5",
        complete=False,
        checked="the paper's abstract: one equilibrium; OpenSpiel's matching_pennies_3p: who matches whom; not the scale",
    ),
    "Selten's horse": Entry(
        _horse,
        ((_SECOND, _FIRST, _FIRST), (_FIRST, _FIRST, _SECOND)),
        "Selten 1975, figure 1: the pure ones",
        complete=False,
        checked="Gambit's e01.efg, as the arrays of its tests",
    ),
}  # fmt: skip


class Continuous(NamedTuple):
    make: Callable[[], AbstractGame]
    source: str
    equilibria: Callable[[Any], tuple] = lambda game: (game.closed_form(),)


CONTINUOUS: dict[str, Continuous] = {
    "Cournot's duopoly": Continuous(Cournot, "Cournot 1838, ch. VII"),
    "two leaders, two followers": Continuous(
        lambda: Stackelberg(players=2, num_followers=2), "von Stackelberg 1934; Sherali 1984"
    ),
    "export subsidies": Continuous(BranderSpencer, "Brander and Spencer 1985"),
    "research with spillovers": Continuous(AspremontJacquemin, "d'Aspremont and Jacquemin 1988"),
    "research in concert": Continuous(lambda: AspremontJacquemin(kappa=1.0), "d'Aspremont and Jacquemin 1988"),
    "prices, linear demand": Continuous(LinearBertrand, "Singh and Vives 1984"),
    "prices, logit demand": Continuous(LogitBertrand, "Anderson, de Palma and Thisse 1992, ch. 7"),
    "prices, nested logit": Continuous(
        lambda: LogitBertrand(nesting=0.5, nests=2, players=4), "Anderson, de Palma and Thisse 1992, ch. 7"
    ),
    "prices on a line": Continuous(Hotelling, "d'Aspremont, Gabszewicz and Thisse 1979, sec. 3"),
    "Hotelling's line, firms far apart": Continuous(
        lambda: Hotelling(0.1, 0.1, transport="linear"), "Hotelling 1929; d'Aspremont, Gabszewicz and Thisse 1979"
    ),
    "places on a line": Continuous(HotellingPlaces, "d'Aspremont, Gabszewicz and Thisse 1979, sec. 3"),
    "contest": Continuous(lambda: Tullock(players=3), "Tullock 1980"),
    "contest of unequals": Continuous(lambda: Tullock((2.0, 1.0)), "Nti 1999: unequal valuations, by its abstract"),
    "all-pay auction": Continuous(
        all_pay_auction, "Baye, Kovenock and de Vries 1994", lambda game: (all_pay_equilibrium(),)
    ),
    "public good, mean": Continuous(PublicGood, "Cornes 1993", lambda game: game.closed_form()),
    "public good, weakest link": Continuous(
        lambda: PublicGood(rho=np.inf),
        "Hirshleifer 1983",
        lambda game: tuple((np.atleast_1d(end),) * 3 for end in game.weakest_link_interval()[:2]),
    ),
    "public good, best shot": Continuous(BestShot, "Hirshleifer 1983", lambda game: game.closed_form()),
    "Pigou's roads": Continuous(Congestion, "Pigou 1920; Orda, Rom and Shimkin 1993"),
}
