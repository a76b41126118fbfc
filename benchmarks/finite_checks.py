"""Finite games: the same equilibria as QuantEcon and Gambit? And how long does a game take, beside them and Nashpy?

    python benchmarks/finite.py [--quick]               # microseconds a game and ratios; peers that are missing are named
    python benchmarks/finite.py check [--games 10000]   # every equilibrium, generic and degenerate games; Lemke-Howson

Ours is a batch of arrays on two threads; the peers take one game at a time from Python, first with their
game objects already built, then from arrays as our call takes them. Both sides run by turns, and a ratio is of the least
wall-clock times.
"""

import argparse
import functools
import importlib
import itertools
import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from solver import (
    NormalForm,
    extreme_equilibria,
    interop,
    lemke_howson,
    logit_path,
    support_enumeration,
    vertex_enumeration,
)

jax.config.update("jax_enable_x64", True)

GENERIC = ((2, 2), (3, 3), (4, 4), (5, 5), (3, 4), (4, 6))
SQUARE = (2, 3, 4, 5)
THREADS = ThreadPoolExecutor(2)


@cache
def peer(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"{name} is not installed: skipped")
        return None


@jax.jit
def enumerate_all(payoffs):
    def one(p):
        found = support_enumeration(NormalForm(p))
        return found.strategies, found.mask, found.count, found.complete, found.max_regret

    return jax.vmap(one)(payoffs)


def as_set(pairs) -> set:
    return {tuple(np.round(np.concatenate([np.asarray(s, float) for s in pair]), 5) + 0.0) for pair in pairs}


def quantecon_all(p) -> set:
    game = interop.to_quantecon(NormalForm(p))
    return as_set(peer("quantecon.game_theory").vertex_enumeration(game))


def gambit_profiles(result) -> list:
    return [[[float(profile[s]) for s in player.strategies] for player in profile.game.players] for profile in result]


def gambit_all(p, rational: bool = False) -> set:
    pygambit = peer("pygambit")
    tables = [np.vectorize(pygambit.Rational, otypes=[object])(t.astype(int)) if rational else t for t in p]
    result = pygambit.nash.enummixed_solve(pygambit.Game.from_arrays(*tables), rational=rational)
    return as_set(gambit_profiles(result.equilibria))


def regret_of(p, flat) -> float:
    x, y = np.array(flat[: p.shape[1]]), np.array(flat[p.shape[1] :])
    u, v = p[0] @ y, x @ p[1]
    return max(u.max() - x @ u, v.max() - v @ y)


def check_generic(games: int) -> None:
    print(f"\n{games} random games of each size: sets of equilibria beside complete methods")
    print(f"{'size':>6} {'complete':>9} {'even':>5} {'largest regret':>15}   ", end="")
    print("differing from QuantEcon, from Gambit (largest regret of what only they have)")
    for size in GENERIC:
        number = games if size in GENERIC[:4] else games // 10
        payoffs = np.random.default_rng(1).normal(size=(number, 2, *size))
        strategies, mask, count, complete, regret = jax.tree.map(np.asarray, enumerate_all(payoffs))
        line = f"{size[0]}x{size[1]:<4} {complete.mean():9.4f} {(count % 2 == 0).sum():5d} {np.nanmax(regret):15.1e}  "
        for name, theirs in (("quantecon.game_theory", quantecon_all), ("pygambit", gambit_all)):
            if peer(name) is None:
                continue
            wrong, worst = 0, 0.0
            for k, p in enumerate(payoffs):
                ours = as_set(zip(*(s[k][mask[k]] for s in strategies), strict=True))
                other = theirs(p)
                if ours != other:
                    wrong += 1
                    worst = max([worst, *(regret_of(p, flat) for flat in other - ours)])
            line += f" {wrong} ({worst:.1e})"
        print(line, flush=True)


def check_degenerate(games: int) -> None:
    print(f"\n{games} games full of ties, of each kind: extreme equilibria beside Gambit's enummixed in rationals")
    for most, size in itertools.product((1, 2), ((2, 2), (3, 3), (3, 4), (4, 4))):
        payoffs = np.random.default_rng(2).integers(0, most + 1, (games, 2, *size)).astype(float)
        exact = [as_set((e.x, e.y) for e in extreme_equilibria(NormalForm(p))) for p in payoffs]
        ours = jax.jit(jax.vmap(lambda p: vertex_enumeration(NormalForm(p), capacity=128)))(payoffs)
        x, y, mask = (np.asarray(v) for v in (*ours.strategies, ours.mask))
        floats = [as_set(zip(a[k], b[k], strict=True)) for a, b, k in zip(x, y, mask, strict=True)]
        wrong = sum(a != b for a, b in zip(exact, floats, strict=True))
        line = f"{size[0]}x{size[1]}, payoffs 0 to {most}: exact and vertex_enumeration differ in {wrong}"
        if peer("pygambit"):
            theirs = [gambit_all(p, rational=True) for p in payoffs]
            line += f"; exact and Gambit in {sum(a != b for a, b in zip(exact, theirs, strict=True))}"
        claimed = np.asarray(enumerate_all(payoffs)[3])
        more = [len(s) % 2 == 0 for s, c in zip(exact, claimed, strict=True) if c]
        print(f"{line}; {claimed.mean():.3f} proved nondegenerate, of these even {sum(more)}", flush=True)


def check_lemke_howson(games: int) -> None:
    print(f"\nLemke-Howson on {games} games of whole payoffs 0 to 3, a random label each")
    run = jax.jit(jax.vmap(lambda p, k: lemke_howson(NormalForm(p), k)))
    for size in ((3, 3), (4, 4), (5, 5)):
        rng = np.random.default_rng(3)
        payoffs = rng.integers(0, 4, (games, 2, *size)).astype(float)
        found = run(payoffs, rng.integers(0, sum(size), games))
        mask = np.asarray(found.mask)[:, 0]
        x, y = (np.asarray(s)[:, 0] for s in found.strategies)
        worst = max(regret_of(p, np.concatenate(s)) for p, *s, ok in zip(payoffs, x, y, mask, strict=True) if ok)
        print(
            f"{size[0]}x{size[1]}: {(~mask).sum()} without an answer, largest regret of the rest {worst:.1e}",
            flush=True,
        )


def by_turns(repeats: int, *runs) -> list[float]:
    """Microseconds of the wall clock, the least of each run, which take turns."""
    times = [[] for _ in runs]
    for _ in range(repeats):
        for run, taken in zip(runs, times, strict=True):
            began = time.perf_counter()
            run()
            taken.append(time.perf_counter() - began)
    return [1e6 * min(taken) for taken in times]


def beside(name: str, solve, build, payoffs, ours, games: int) -> None:
    objects = [build(p) for p in payoffs]
    solve(objects[0])
    mine, built, arrays = by_turns(
        5, ours, lambda: [solve(g) for g in objects], lambda: [solve(build(p)) for p in payoffs]
    )
    mine, built, arrays = mine / games, built / len(payoffs), arrays / len(payoffs)
    print(
        f"    {name:30} {built:9.4g} us, {built / mine:7.4g}x; from arrays {arrays:9.4g} us, {arrays / mine:7.4g}x",
        end="",
    )
    print(f"   (nashgrid {mine:.4g} us)", flush=True)


def on_two_threads(function, payoffs):
    """A call of ``function`` on both halves of a batch at once."""
    halves = [jax.block_until_ready(jnp.asarray(half)) for half in np.array_split(payoffs, 2)]
    return lambda: list(THREADS.map(lambda half: jax.block_until_ready(function(half)), halves))


def peers_of(kind: str):
    qe, gambit, nashpy = peer("quantecon.game_theory"), peer("pygambit"), peer("nashpy")
    if qe:
        build = lambda p: qe.NormalFormGame((qe.Player(p[0]), qe.Player(np.ascontiguousarray(p[1].T))))  # noqa: E731
        if kind == "all":
            yield "QuantEcon support_enumeration", qe.support_enumeration, build, 2000
            yield "QuantEcon vertex_enumeration", qe.vertex_enumeration, build, 300
        else:
            yield "QuantEcon lemke_howson", qe.lemke_howson, build, 2000
    if gambit:
        build = lambda p: gambit.Game.from_arrays(*p)  # noqa: E731
        if kind == "all":
            yield "Gambit enummixed, floats", lambda g: gambit.nash.enummixed_solve(g, rational=False), build, 100
        else:
            yield "Gambit lcp, floats", lambda g: gambit.nash.lcp_solve(g, rational=False), build, 100
    if nashpy:
        build = lambda p: nashpy.Game(*p)  # noqa: E731
        solve = (lambda g: list(g.support_enumeration())) if kind == "all" else lambda g: g.lemke_howson(0)
        yield f"Nashpy {'support_enumeration' if kind == 'all' else 'lemke_howson'}", solve, build, 10


def time_batches(games: int) -> None:
    one = jax.jit(jax.vmap(lambda p: lemke_howson(NormalForm(p)).strategies))
    for kind, ours in (("all", enumerate_all), ("one", one)):
        for size in SQUARE:
            payoffs = np.random.default_rng(0).normal(size=(games, 2, size, size))
            call = on_two_threads(ours, payoffs)
            half = payoffs[: games // 2]
            (first,) = by_turns(1, lambda f=ours, p=half: jax.block_until_ready(f(p)))
            (again,) = by_turns(5, call)
            what = "all equilibria" if kind == "all" else "one equilibrium"
            print(f"\n{what}, {size}x{size}: nashgrid {again / games:.4g} us a game; first call {first / 1e6:.2f} s")
            for name, solve, build, number in peers_of(kind):
                beside(name, solve, build, payoffs[:number], call, games)


def time_single() -> None:
    qe, gambit = peer("quantecon.game_theory"), peer("pygambit")
    for size in (8, 12):
        game = NormalForm(jnp.asarray(np.random.default_rng(0).normal(size=(2, size, size))))
        runs = {f"nashgrid {m.__name__}": functools.partial(m, game) for m in (support_enumeration, vertex_enumeration)}
        if size == 12:  # millions of supports
            del runs["nashgrid support_enumeration"]
        if qe:
            runs["QuantEcon vertex_enumeration"] = functools.partial(qe.vertex_enumeration, interop.to_quantecon(game))
        if gambit and size == 8:
            solve = functools.partial(gambit.nash.enummixed_solve, rational=False)
            runs["Gambit enummixed, floats"] = functools.partial(solve, interop.to_pygambit(game))
        for run in runs.values():
            jax.block_until_ready(run())
        times = by_turns(7, *(lambda run=run: jax.block_until_ready(run()) for run in runs.values()))
        print(f"\none {size}x{size} game, all equilibria")
        for name, taken in zip(runs, times, strict=True):
            print(f"    {name:30} {taken:9.4g} us", flush=True)


@jax.jit
def path_ends(payoffs):
    def one(p):
        found = logit_path(NormalForm(p))
        last = found.mask.cumsum().argmax()
        return [s[last] for s in found.strategies], found.mask[last]

    return jax.vmap(one)(payoffs)


def time_logit(games: int) -> None:
    payoffs = np.random.default_rng(0).normal(size=(games, 3, 3, 3, 3))

    call = on_two_threads(path_ends, payoffs)
    (first,) = by_turns(1, lambda: jax.block_until_ready(path_ends(payoffs[: games // 2])))
    ends, arrived = jax.tree.map(lambda *halves: np.concatenate(halves), *call())
    print(
        f"\nlogit path to the Nash limit, 3x3x3, {games} games: {arrived.sum()} arrived; first call {first / 1e6:.2f} s"
    )
    gambit = peer("pygambit")
    if gambit:
        some = payoffs[:20]
        theirs = [gambit_profiles(gambit.nash.logit_solve(gambit.Game.from_arrays(*p)).equilibria)[0] for p in some]
        apart = [max(np.abs(e[k] - s).max() for e, s in zip(ends, one, strict=True)) for k, one in enumerate(theirs)]
        print(f"    ends further than 1e-3 apart from Gambit's: {sum(a > 1e-3 for a in apart)} of {len(some)}")
        beside("Gambit logit_solve", gambit.nash.logit_solve, lambda p: gambit.Game.from_arrays(*p), some, call, games)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("check", "time"), default="time")
    parser.add_argument("--games", type=int)
    parser.add_argument("--quick", action="store_true", help="a fifth of the games")
    options = parser.parse_args()
    print(f"jax {jax.__version__} on {jax.devices()[0]}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    share = 5 if options.quick else 1
    if options.what == "check":
        games = options.games or 10_000 // share
        check_generic(games)
        check_degenerate(games // 10)
        check_lemke_howson(games * 10)
    else:
        time_batches(options.games or 100_000 // share)
        time_single()
        time_logit(1000 // share)


if __name__ == "__main__":
    main()
