r"""One curve of first-order points in a parameter, through folds, by pseudo-arclength (Keller 1977).

A step goes along the tangent of the system H = 0 (see ``path_system``) and is corrected across it. A curve goes on where a
bound becomes active or slack, in the direction in which complementarity holds. Between two points are located: a fold, where
:math:`\dot\lambda` changes sign; a branch point, where :math:`\det(DH; \dot x, \dot\lambda)` does (Allgower and Georg 1990,
§8.1); and where the spectral radius of the best replies' Jacobian passes 1. At a branch point another curve leaves along what
else DH maps to zero there (§8.3).
"""

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from solver.continuous.path_system import Point, System

FIRST, LONGEST, SHORTEST = 1e-3, 2e-2, 1e-8  # steps, as shares of the sets and of the parameter's interval
TURN = 0.98  # least cosine between two tangents
MOST = 4000  # points of a curve
TOGETHER = 1e-4  # a fold at which stability changes is one event


@dataclasses.dataclass(frozen=True)
class Event:
    """What happens at a point, and whether stability changes there."""

    point: Point
    kind: str
    exchange: bool = False


def follow(system: System, begin: Point) -> Iterator[Point | Event]:
    """The points from ``begin`` along its tangent, and the events between them in order, until the curve leaves.

    Ends after an event "end" (of the interval), "closed" (back at ``begin``), "lost" or "unfinished".
    """
    point, length = begin, FIRST
    for count in range(MOST):
        new = _step(system, point, length)
        if new is None:
            length /= 2
            if length < SHORTEST:
                yield Event(point, "lost")
                return
            continue
        room, _ = system.slack(new.y, new.held)
        if not 0 <= new.y[-1] <= 1:
            new, length = _end(system, point, new, length)
            room, _ = system.slack(new.y, new.held)
            if room.min() >= -system.tolerance:
                yield from smooth_events(system, point, new, length)
                yield new
                yield Event(new, "end")
                return
        if room.min() < -system.tolerance:
            event = _switch(system, point, length, room)
            if event is None:
                yield Event(point, "lost")
                return
            yield from smooth_events(system, point, dataclasses.replace(event.point, held=point.held), length)
            yield event.point
            yield event
            point, length = event.point, FIRST
            continue
        yield from smooth_events(system, point, new, length)
        yield new
        if count > 3 and np.linalg.norm(new.y - begin.y) < length and new.tangent @ begin.tangent > TURN:
            yield Event(new, "closed")
            return
        point, length = new, min(LONGEST, 1.5 * length)
    yield Event(point, "unfinished")


def _end(system: System, point: Point, new: Point, length: float) -> tuple[Point, float]:
    """The point at the end of the interval that the step from ``point`` to ``new`` leaves, and the step to it."""
    end = float(new.y[-1] > 1)
    length = _locate(system, point, length, lambda p: p.y[-1] - end)
    new = _step(system, point, length) or new
    y = system.correct(np.append(new.y[:-1], end), new.held, np.append(np.zeros(len(new.held)), 1.0))
    return (new if y is None else dataclasses.replace(new, y=y)), length


def _step(system: System, point: Point, length: float) -> Point | None:
    if length == 0:
        return point
    y = system.correct(point.y + length * point.tangent, point.held, point.tangent)
    if y is None or np.linalg.norm(y - point.y) > 1.5 * abs(length):
        return None
    tangent = system.tangent(y, point.held, point.tangent)
    return Point(y, point.held, tangent) if tangent @ point.tangent >= TURN else None


def _locate(system: System, point: Point, length: float, test: Callable[[Point], float]) -> float:
    """Where on the step a function of the point changes its sign; the step's end if it does not."""
    low, high = 0.0, length

    def at(part):
        there = _step(system, point, part)
        return np.nan if there is None else test(there)

    first = at(low)
    if not first * at(high) < 0:
        return low if abs(first) <= system.tolerance else high
    while high - low > 1e-12:
        middle = (low + high) / 2
        value = at(middle)
        if np.isnan(value):
            return middle  # next to a branch point the tangent is not determined
        low, high = (middle, high) if first * value > 0 else (low, middle)
    return (low + high) / 2


def _switch(system: System, point: Point, length: float, room: np.ndarray) -> Event | None:
    """The first place on the step where a bound becomes active or slack, and the direction from there on."""
    found = []
    for which, i in zip(*np.nonzero(room < -system.tolerance), strict=True):
        found.append((_locate(system, point, length, partial(_room, system, which, i)), which, i))
    at, which, i = min(found)
    there = _step(system, point, at)
    if there is None:
        return None
    held = there.held.copy()
    held[i] = 0 if held[i] else (-1, 1)[which]
    tangent = system.tangent(there.y, held, there.tangent)
    side = 0 if there.held[i] <= 0 and held[i] <= 0 else 1
    inward = system.slack(there.y, held)[1][side, i] @ tangent
    if abs(inward) < 1e-9:
        return None
    tangent = tangent if inward > 0 else -tangent
    turned = tangent[-1] * there.tangent[-1] < 0
    kind = "bound active" if held[i] else "bound slack"
    return Event(Point(there.y, held, tangent), "fold at a bound" if turned else kind)


def _room(system: System, which: int, i: int, point: Point) -> float:
    return float(system.slack(point.y, point.held)[0][which, i])


def smooth_events(system: System, old: Point, new: Point, length: float) -> list[Event]:
    """Folds, branch points and changes of stability between two points, in order."""
    tests = {
        "branch point": system.determinant,
        "fold": lambda p: p.tangent[-1],
        "stability": partial(_unstable, system),
    }
    found: list[list] = []
    for kind, test in tests.items():
        if not test(old) * test(new) < 0:
            continue
        at = _locate(system, old, length, test)
        same = [event for event in found if abs(event[0] - at) < max(1e-2 * length, TOGETHER)]
        if same:
            same[0][2] |= kind == "stability"
        else:
            between = dataclasses.replace(old, y=old.y + at / length * (new.y - old.y))
            found.append([at, Event(_step(system, old, at) or between, kind), kind == "stability"])
    return [dataclasses.replace(event, exchange=exchange) for _, event, exchange in sorted(found, key=lambda f: f[0])]


def _unstable(system: System, point: Point) -> float:
    return min(system.spectral_radius(point), 1e6) - 1


def branches(system: System, point: Point) -> list[Point]:
    """Points to both sides of a branch point, on a curve that leaves along the other direction."""
    across, found = system.other_direction(point), []
    for way in (across, -across):
        for length in (LONGEST, LONGEST / 4, LONGEST / 16):
            y = system.correct(point.y + length * way, point.held, way)
            if y is None or np.linalg.norm(y - point.y) > 2 * length or not 0 <= y[-1] <= 1:
                continue
            if system.slack(y, point.held)[0].min() >= -system.tolerance:
                found.append(Point(y, point.held, system.tangent(y, point.held, way)))
                break
    return found
