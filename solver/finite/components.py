r"""The equilibria of a degenerate two-player game, as Gambit's enummixed gives them: maximal Nash subsets and components.

Join an extreme x with an extreme y where the pair is an equilibrium. A complete bipartite piece :math:`U \times V` of this
graph that cannot be enlarged spans a maximal Nash subset :math:`\mathrm{conv}\,U \times \mathrm{conv}\,V`; the pieces in
one connected part make a topological component (Winkels 1979; Avis, Rosenberg, Savani and von Stengel 2010). All in
fractions.
"""

from fractions import Fraction
from typing import NamedTuple

from solver.finite.exact import extreme_equilibria
from solver.normal_form import NormalForm

Mixture = tuple[Fraction, ...]


class Component(NamedTuple):
    """A connected set of equilibria: the union of conv(U) x conv(V) over its ``subsets`` (U, V)."""

    extremes: list[tuple[Mixture, Mixture]]
    subsets: list[tuple[list[Mixture], list[Mixture]]]

    @property
    def isolated(self) -> bool:
        return len(self.extremes) == 1


def components(game: NormalForm) -> list[Component]:
    """All equilibria of a two-player game, grouped into connected components; exact, and so always complete.

    :raises ValueError: unless there are two players and at most 20,000 supports.
    """
    pairs = [(e.x, e.y) for e in extreme_equilibria(game)]
    partners: dict[tuple[int, Mixture], set[tuple[int, Mixture]]] = {}
    for x, y in pairs:
        partners.setdefault((0, x), set()).add((1, y))
        partners.setdefault((1, y), set()).add((0, x))
    result, seen = [], set()
    for x, _ in pairs:
        if (0, x) in seen:
            continue
        part = _reached((0, x), partners)
        seen |= part
        inside = [(a, b) for a, b in pairs if (0, a) in part]
        result.append(Component(inside, _bicliques([a for side, a in part if side == 0], partners)))
    return result


def _reached(start, partners) -> set:
    part, todo = {start}, [start]
    while todo:
        new = partners[todo.pop()] - part
        part |= new
        todo += new
    return part


def _bicliques(xs: list[Mixture], partners) -> list[tuple[list[Mixture], list[Mixture]]]:
    """Every maximal complete bipartite piece: the sets of partners closed under intersection."""
    closed = {frozenset(partners[0, x]) for x in xs}
    todo = list(closed)
    while todo:
        one = todo.pop()
        for x in xs:
            common = one & partners[0, x]
            if common and common not in closed:
                closed.add(common)
                todo.append(common)
    pieces = []
    for vs in closed:
        us = [x for x in xs if vs <= partners[0, x]]
        pieces.append((sorted(us, reverse=True), sorted((y for _, y in vs), reverse=True)))
    return sorted(pieces, reverse=True)
