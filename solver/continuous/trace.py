"""The bifurcation diagram of a game: its equilibria followed through a parameter."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from solver.continuous.conditions import split
from solver.continuous.find_equilibria import find_equilibria
from solver.continuous.path import Event, branches, follow
from solver.continuous.path_system import Point, System
from solver.game import AbstractGame, Profile, checked_profile
from solver.solve import judge
from solver.spaces import Box

if TYPE_CHECKING:
    import xarray

Curve = tuple[list[Point], list[Event]]

MOST = 64  # curves
BLOCK = 64  # points measured at once
GAP = 0.05  # share of the interval without an equilibrium, beyond which one is looked for there
SAME = 1e-5  # share of a set within which a start lies on a curve
INNER = (
    0.382  # where in the interval curves are looked for that reach neither end; in a game's middle it often bifurcates
)


@dataclasses.dataclass(frozen=True)
class SpecialPoint:
    """Where something happens on a curve.

    ``kind``: "fold", "branch point", "stability" (the spectral radius passes 1, and nothing else), "bound active",
    "bound slack", "fold at a bound", "lost" (the curve could not be followed further: payoffs have a kink, say), "closed"
    (the curve returns to its start), "unfinished" (too many points). ``exchange``: whether stability under best
    reply changes here.
    """

    value: float
    strategies: tuple[np.ndarray, ...]
    kind: str
    exchange: bool
    curve: int
    equilibrium: bool
    max_regret: float


@dataclasses.dataclass(frozen=True)
class Branch:
    """The curves of first-order points of a game in a parameter; every array leads with the points, in order on each curve.

    ``value``: the parameter's. ``strategies``: one array (points, size) per player. ``payoffs`` (points, players).
    ``max_regret``: measured, in payoff units. ``equilibrium``: the regret is within tolerance; a first-order point that is
    none is False. ``spectral_radius`` of the best replies' Jacobian; ``stable``: an equilibrium where it is below 1.
    ``curve``: the number of the curve. ``special_points``: see :class:`SpecialPoint`. ``statement``: what was searched.
    """

    parameter: str
    players: tuple[str, ...]
    value: np.ndarray
    strategies: tuple[np.ndarray, ...]
    payoffs: np.ndarray
    max_regret: np.ndarray
    equilibrium: np.ndarray
    spectral_radius: np.ndarray
    stable: np.ndarray
    curve: np.ndarray
    special_points: tuple[SpecialPoint, ...]
    statement: str

    def to_dataset(self) -> "xarray.Dataset":
        """The same along "point", "player" and "action", the special points along "special_point"."""
        import xarray

        width = max(s.shape[1] for s in self.strategies)
        table = [np.pad(s, ((0, 0), (0, width - s.shape[1])), constant_values=np.nan) for s in self.strategies]
        data: dict[str, Any] = {
            "strategies": (("point", "player", "action"), np.stack(table, axis=1)),
            "payoffs": (("point", "player"), self.payoffs),
            **{
                n: ("point", getattr(self, n))
                for n in ("max_regret", "equilibrium", "spectral_radius", "stable", "curve")
            },
            "special_value": ("special_point", np.array([p.value for p in self.special_points], float)),
            "special_kind": ("special_point", np.array([p.kind for p in self.special_points], str)),
        }
        coords = {self.parameter: ("point", self.value), "player": list(self.players)}
        return xarray.Dataset(data, coords, {"parameter": self.parameter, "statement": self.statement})


def trace(
    make_game: Callable[..., AbstractGame],
    parameter: str,
    interval: tuple[float, float],
    *,
    starts: Sequence[Profile] | None = None,
    key: Array | None = None,
) -> Branch:
    """Equilibria followed through a parameter, past folds and branch points: the bifurcation diagram in one call.

    The curves are those of the first-order conditions, complementary where a bound is active (see ``path``); each point's
    regret is measured, and what is no equilibrium is marked so.

    :param make_game: maps the parameter's value (a scalar array, traced) to a game of Box players with smooth payoffs.
    :param parameter: its name. :param interval: (first, last) value, in either order.
    :param starts: profiles within a tenth of the sets from equilibria at the first value. Default: all that
        ``find_equilibria`` finds at both ends, at one value between, and where the curves so far hold no equilibrium; one on
        a curve already followed begins none. From branch points the curves that leave there are followed too.
    :param key: of the search's starts.
    :return: a :class:`Branch`.
    :raises ValueError: if the interval is empty or not finite, a player is on a Simplex, or no start is an equilibrium.

    Source: Keller (1977); Allgower and Georg (1990), ch. 6 and 8.
    """
    first, last = (float(value) for value in interval)
    if not (np.isfinite([first, last]).all() and first != last):
        raise ValueError(f"interval = {interval}: give two different finite values")
    game = make_game(jnp.asarray(first, jnp.result_type(float)))
    for name, space in zip(game.players, game.actions(), strict=True):
        if not isinstance(space, Box):
            raise ValueError(
                f"make_game: {name} is on a Simplex, and trace takes Box players; see logit_path for mixtures"
            )
    system = System(make_game, (first, last))
    found: list[Curve] = []
    tried: list[str] = []

    def search(value: float) -> bool:
        """Follow what no curve goes through so far; whether there was any."""
        here, before = _starts(make_game, value, starts, key), len(found)
        tried.append(f"{len(here)} at {parameter} = {value:g}")
        begins = (system.begin(x, value) for x in here)
        _add(system, found, [begin for begin in begins if begin is not None])
        return len(found) > before

    for value in (first, last, first + INNER * (last - first)) if starts is None else (first,):
        search(value)
    if not found:
        raise ValueError(
            f"starts: no first-order point near an equilibrium was found ({', '.join(tried)}); give starts"
        )
    branched = 0
    while True:
        branched += _branch_off(system, found)
        branch = _branch(make_game, game, parameter, system, found, _statement(len(found), branched, tried))
        gap = _gap(branch, first, last) if starts is None else None
        if gap is None or not search(gap):
            return dataclasses.replace(branch, statement=_statement(len(found), branched, tried))


def _statement(count: int, branched: int, tried: list[str]) -> str:
    more = f", {branched} from branch points" if branched else ""
    curves = f"{count} curve{'s' * (count > 1)}: {count - branched} from equilibria found"
    return f"{curves} ({', '.join(tried)}){more}; others may exist"


def _gap(branch: Branch, first: float, last: float) -> float | None:
    """The middle of the widest range of the parameter without an equilibrium, if it is wide."""
    place = np.sort(np.concatenate([[first, last], branch.value[branch.equilibrium]]))
    widest = int(np.diff(place).argmax())
    return float(place[widest : widest + 2].mean()) if np.diff(place)[widest] > GAP * abs(last - first) else None


def _add(system: System, found: list[Curve], begins: list[Point]) -> None:
    """The curves through points that no curve goes through so far."""
    for begin in begins:
        if not any(_passes(system, points, begin) for points, _ in found):
            found.append(_both_ways(system, begin))


def _branch_off(system: System, found: list[Curve]) -> int:
    """Follow the curves that leave at branch points, and those that leave from them in turn; how many there were."""
    done: list[np.ndarray] = []
    before = len(found)
    for _, events in found:  # grows while it is gone through
        for event in events:
            y = event.point.y
            if event.kind == "branch point" and len(found) < MOST and not any(_near(y, other) for other in done):
                done.append(y)
                _add(system, found, branches(system, event.point))
    return len(found) - before


def _near(y: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.abs(y - other).max() < 1e-3)


def _starts(make_game, value: float, starts, key) -> list[np.ndarray]:
    game = make_game(jnp.asarray(value, jnp.result_type(float)))
    if starts is not None:
        return [np.concatenate([np.asarray(s) for s in checked_profile(game, one, "starts")]) for one in starts]
    found = find_equilibria(game, key=jax.random.key(0) if key is None else key)
    table = np.concatenate([np.asarray(s) for s in found.strategies], axis=1)
    return list(table[np.asarray(found.mask)])


def _both_ways(system: System, begin: Point) -> Curve:
    """A curve from one end to the other through ``begin``."""
    backward = dataclasses.replace(begin, tangent=-begin.tangent)
    points, events = [begin], []
    for way in (begin, backward):
        outward = begin.y[-1] + 1e-12 * np.sign(way.tangent[-1])
        if not 0 <= outward <= 1:
            continue
        ahead = list(follow(system, way))
        events += [e for e in ahead if isinstance(e, Event)]
        more = [p for p in ahead if isinstance(p, Point)]
        points = points + more if way is begin else more[::-1] + points
        if events and events[-1].kind == "closed":
            break
    return points, [event for event in events if event.kind != "end"]


def _passes(system: System, points: list[Point], begin: Point) -> bool:
    """Whether a curve goes through ``begin``: where it crosses that value it is corrected, and compared."""
    up = np.append(np.zeros(len(begin.held)), 1.0)
    for old, new in itertools.pairwise(points):
        ahead, behind = new.y[-1] - begin.y[-1], old.y[-1] - begin.y[-1]
        if ahead * behind > 0:
            continue
        share = behind / (behind - ahead) if behind != ahead else 0.0
        guess = old.y + share * (new.y - old.y)
        guess[-1] = begin.y[-1]
        if np.abs(guess - begin.y).max() > 0.1:
            continue
        crossing = system.correct(guess, new.held, up)
        if crossing is not None and np.abs(crossing - begin.y).max() < SAME:
            return True
    return False


def _branch(make_game, game, parameter, system: System, found, statement: str) -> Branch:
    points = [point for part, _ in found for point in part]
    curve = np.repeat(np.arange(len(found)), [len(part) for part, _ in found])
    events = _distinct([(number, event) for number, (_, part) in enumerate(found) for event in part])
    places = np.stack([p.y for p in points] + [event.point.y for _, event in events])
    x, value = np.stack([system.x(y) for y in places]), np.array([system.value(y) for y in places])
    payoffs, regret, good = _certified(make_game, x, value)
    strategies = tuple(x[:, system.owners == player] for player in range(len(game.players)))
    radius, n = np.array([system.spectral_radius(p) for p in points]), len(points)
    special = tuple(
        SpecialPoint(
            float(value[n + k]),
            tuple(s[n + k] for s in strategies),
            event.kind,
            bool(event.exchange),
            number,
            bool(good[n + k]),
            float(regret[n + k]),
        )
        for k, (number, event) in enumerate(events)
    )
    return Branch(
        parameter=parameter,
        players=game.players,
        value=value[:n],
        strategies=tuple(s[:n] for s in strategies),
        payoffs=payoffs[:n],
        max_regret=regret[:n],
        equilibrium=good[:n],
        spectral_radius=radius,
        stable=good[:n] & (radius < 1),
        curve=curve,
        special_points=special,
        statement=statement,
    )


def _distinct(events: list[tuple[int, Event]]) -> list[tuple[int, Event]]:
    """A branch point lies on several curves: it is listed once, of the curve on which stability changes."""
    kept: list[tuple[int, Event]] = []
    for number, event in sorted(events, key=lambda one: (not one[1].exchange, one[0])):
        near = (_near(event.point.y, other.point.y) for _, other in kept if other.kind == event.kind)
        if event.kind != "branch point" or not any(near):
            kept.append((number, event))
    return sorted(kept, key=lambda one: one[0])


def _certified(make_game, x: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Payoffs, the largest regret and whether it is within tolerance, at every point."""
    dtype, games = jnp.result_type(float), eqx.filter_jit(eqx.filter_vmap(make_game))
    parts = []
    for begin in range(0, len(x), BLOCK):
        rows = np.minimum(np.arange(begin, begin + BLOCK), len(x) - 1)  # always as many, so that it is compiled once
        parts.append(_measure(games(jnp.asarray(value[rows], dtype)), jnp.asarray(x[rows], dtype)))
    payoffs, regret, good = (np.concatenate(part)[: len(x)] for part in zip(*parts, strict=True))
    return payoffs, regret, good


@eqx.filter_jit
def _measure(games: AbstractGame, points: Array) -> tuple[Array, Array, Array]:
    def one(game, point):
        profile = tuple(s.project(part) for s, part in zip(game.actions(), split(game, point), strict=True))
        solution = judge(game, profile)
        return solution.payoffs, solution.max_regret, solution.converged

    return eqx.filter_vmap(one)(games, points)
