"""How long does a finite game take, beside QuantEcon, Gambit and Nashpy?

    python benchmarks/finite.py [all] [one] [logit] [single] [--quick]

all      all equilibria of two-player games in a batch of 10⁵.
one      one equilibrium each, by Lemke and Howson's path from label 0.
logit    the logit path to its Nash limit, 3×3×3, a batch of 10³.
single   all equilibria of one large game.

Peers take one game at a time from Python, which holds them to one thread, so a ratio is of our one thread; what all cores make
of it stands beside. "Its µs" are of game objects built before, "from arrays" of the same with building them, as our call takes
arrays. All take turns on the same games, and times are the least. "Other answers": on how many of the games compared.
"""

import functools
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from measure import Row, Rows, by_turns, clocked, floor, main, on_all_cores, peer, row

from solver import NormalForm, lemke_howson, logit_path, support_enumeration, vertex_enumeration

AIMS = {"all": {2: "≥ 100", 3: "≥ 100", 4: "≥ 20", 5: "≥ 10"}, "one": dict.fromkeys((2, 3, 4, 5), "≥ 20")}
COMPARED = 50  # games
TURN = 0.2  # seconds of a peer's turn


class Entrant(NamedTuple):
    """A peer: what it makes of payoffs (player, ...), how it solves that, and the profiles in its answer."""

    name: str
    build: Callable[[np.ndarray], Any]
    solve: Callable[[Any], Any]
    profiles: Callable[[Any], Any]


def entrants(kind: str) -> Iterator[Entrant]:
    one = kind == "one"
    if qe := peer("quantecon.game_theory"):
        names = ("lemke_howson",) if one else ("support_enumeration", "vertex_enumeration")
        for name in names:
            yield Entrant(
                f"QuantEcon {name}", quantecon_game, getattr(qe, name), lambda found: [found] if one else found
            )
    if gambit := peer("pygambit"):
        name = "lcp_solve" if one else "enummixed_solve"
        solve = functools.partial(getattr(gambit.nash, name), rational=False)
        yield Entrant(f"Gambit {name}, floats", gambit_game, solve, gambit_profiles)
    if nashpy := peer("nashpy"):
        name = "lemke_howson" if one else "support_enumeration"
        solve = (lambda g: [g.lemke_howson(0)]) if one else (lambda g: list(g.support_enumeration()))
        yield Entrant(f"Nashpy {name}", lambda p: nashpy.Game(*p), solve, lambda found: found)


def quantecon_game(p: np.ndarray) -> Any:
    qe = peer("quantecon.game_theory")
    return qe.NormalFormGame((qe.Player(p[0]), qe.Player(np.ascontiguousarray(p[1].T))))


def gambit_game(p: np.ndarray) -> Any:
    return peer("pygambit").Game.from_arrays(*p)


def gambit_profiles(result: Any) -> list[list[list[float]]]:
    found = result.equilibria
    return [[[float(profile[s]) for s in player.strategies] for player in profile.game.players] for profile in found]


def as_set(profiles: Any) -> set[tuple[float, ...]]:
    return {tuple(np.round(np.concatenate([np.asarray(s, float) for s in x]), 4) + 0.0) for x in profiles}


def compete(
    workload: str, ours: Callable, payoffs: np.ndarray, rivals: list[Entrant], aim: str, turns: int, same: Callable
) -> Rows:
    """A row for each rival, the fastest first, which the aim is about. ``ours`` gives strategies (games, places, ...), mask."""
    games = len(payoffs)
    batch, whole = jax.block_until_ready(jnp.asarray(payoffs)), on_all_cores(ours, payoffs)
    first, found = clocked(lambda: ours(batch))
    strategies, mask = jax.tree.map(lambda a: np.asarray(a)[:COMPARED], found)
    answers = [as_set(zip(*(s[k][mask[k]] for s in strategies), strict=True)) for k in range(len(mask))]
    runs, numbers, differ = [], [], []
    for rival in rivals:
        objects = [rival.build(p) for p in payoffs[:COMPARED]]
        rival.solve(objects[0])
        began, theirs = time.perf_counter(), []
        while not theirs or (len(theirs) < len(objects) and time.perf_counter() - began < 5 * TURN):
            theirs.append(as_set(rival.profiles(rival.solve(objects[len(theirs)]))))
        number = int(np.clip(TURN * len(theirs) / (time.perf_counter() - began), 1, min(2000, games)))
        objects = [rival.build(p) for p in payoffs[:number]]
        differ.append(f"{sum(not same(a, b) for a, b in zip(answers, theirs, strict=False))} of {len(theirs)}")
        numbers.append(number)
        runs += [functools.partial(prebuilt, rival, objects), functools.partial(from_arrays, rival, payoffs[:number])]
    one, every, *times = by_turns(turns, lambda: ours(batch), whole, *runs).min(axis=0)
    bound = floor(
        payoffs=payoffs_once, batch=(payoffs,), nbytes=payoffs.nbytes + sum(a.nbytes for a in jax.tree.leaves(found))
    )
    rows = []
    for k, (rival, number) in enumerate(zip(rivals, numbers, strict=True)):
        built, arrays = times[2 * k] / number, times[2 * k + 1] / number
        made = row(workload, one, each=games, beside=rival.name, theirs=built)
        made |= {"from arrays, µs": 1e6 * arrays, "ratio from arrays": arrays * games / one}
        rows.append(made | {"ratio on all cores": built * games / every, "other answers": differ[k]})
    rows = sorted(rows, key=lambda r: r["its µs"]) or [row(workload, one, each=games)]
    more = {
        "floor": bound[0],
        "floors": every / bound[1],
        "on all cores, µs": 1e6 * every / games,
        "first call, s": first,
    }
    rows[0] |= {"aim": aim, **more}
    return rows


def prebuilt(rival: Entrant, objects: list) -> list:
    return [rival.solve(g) for g in objects]


def from_arrays(rival: Entrant, payoffs: np.ndarray) -> list:
    return [rival.solve(rival.build(p)) for p in payoffs]


@jax.vmap
def payoffs_once(table: jax.Array) -> jax.Array:
    """Expected payoffs of uniform play."""
    return table.reshape(len(table), -1).mean(axis=1)


@jax.jit
@jax.vmap
def all_equilibria(p: jax.Array) -> tuple:
    found = support_enumeration(NormalForm(p))
    return found.strategies, found.mask


@jax.jit
@jax.vmap
def one_equilibrium(p: jax.Array) -> tuple:
    found = lemke_howson(NormalForm(p))
    return found.strategies, found.mask


@jax.jit
@jax.vmap
def path_end(p: jax.Array) -> tuple:
    found = logit_path(NormalForm(p))
    last = found.mask.cumsum().argmax()
    return [s[last][None] for s in found.strategies], found.mask[last][None]


def draw(games: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(games, len(shape), *shape))


def batches(kind: str, ours: Callable, what: str, same: Callable, quick: bool) -> Rows:
    games, rows = 10_000 if quick else 100_000, []
    for size in (2, 3) if quick else (2, 3, 4, 5):
        rivals, workload = list(entrants(kind)), f"{what}, {size}×{size}, batch {games:,}"
        rows += compete(workload, ours, draw(games, size, size), rivals, AIMS[kind][size], 3 if quick else 7, same)
    return rows


def all_(quick: bool) -> Rows:
    return batches("all", all_equilibria, "all equilibria", lambda a, b: a == b, quick)


def one(quick: bool) -> Rows:
    return batches("one", one_equilibrium, "one equilibrium", lambda a, b: bool(a & b), quick)


def logit(quick: bool) -> Rows:
    gambit, games = peer("pygambit"), 100 if quick else 1000
    rivals = [Entrant("Gambit logit_solve", gambit_game, gambit.nash.logit_solve, gambit_profiles)] if gambit else []

    def close(a: set, b: set) -> bool:
        return bool(a and b) and np.abs(np.array(*a) - np.array(*b)).max() < 1e-3

    workload = f"logit path to the Nash limit, 3×3×3, batch {games:,}"
    return compete(workload, path_end, draw(games, 3, 3, 3), rivals, "≥ 20", 2 if quick else 3, close)


def single(quick: bool) -> Rows:
    rows = []
    for size in (8,) if quick else (8, 12):
        p = draw(1, size, size)[0]
        game, sets = NormalForm(jnp.asarray(p)), []
        calls = {f.__name__: functools.partial(f, game) for f in (support_enumeration, vertex_enumeration)}
        if size == 12:  # millions of supports
            del calls["support_enumeration"]
        rivals = [r for r in entrants("all") if "QuantEcon vertex" in r.name or (size == 8 and "Nashpy" not in r.name)]
        objects = [r.build(p) for r in rivals]
        runs = [*calls.values(), *(functools.partial(r.solve, g) for r, g in zip(rivals, objects, strict=True))]
        for found in (run() for run in calls.values()):
            sets.append(as_set(zip(*(np.asarray(s)[np.asarray(found.mask)] for s in found.strategies), strict=True)))
        times = by_turns(3 if quick else 7, *runs).min(axis=0)
        ours = int(times[: len(calls)].argmin())
        theirs = [as_set(r.profiles(r.solve(g))) for r, g in zip(rivals, objects, strict=True)]
        rows += single_rows(
            size, list(calls)[ours], times[ours], rivals, times[len(calls) :], [s == sets[ours] for s in theirs]
        )
    return rows


def single_rows(
    size: int, name: str, ours: float, rivals: list[Entrant], times: np.ndarray, same: list[bool]
) -> list[Row]:
    workload = f"all equilibria of one {size}×{size} game, {name}"
    made = [
        row(workload, ours, beside=r.name, theirs=t) | {"other answers": f"{int(not s)} of 1"}
        for r, t, s in zip(rivals, times, same, strict=True)
    ]
    made = sorted(made, key=lambda r: r["its µs"]) or [row(workload, ours)]
    made[0]["aim"] = "≥ 1"
    return made


PARTS = {"all": all_, "one": one, "logit": logit, "single": single}

if __name__ == "__main__":
    main(__doc__, __file__, PARTS)
