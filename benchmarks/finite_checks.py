"""The same equilibria of finite games as QuantEcon and Gambit find? Sets of all equilibria, game by game.

    python benchmarks/finite_checks.py [generic] [degenerate] [lemke_howson] [--quick]

generic        random normal payoffs: all equilibria beside two complete methods.
degenerate     payoffs full of ties: extreme equilibria beside Gambit's in rationals.
lemke_howson   whole payoffs, many ties, a random label each: is there always an answer, and how exact is it?
"""

import itertools

import jax
import numpy as np
from finite import as_set, entrants, gambit_profiles
from measure import Rows, main, peer

from solver import NormalForm, extreme_equilibria, lemke_howson, support_enumeration, vertex_enumeration

GENERIC = ((2, 2), (3, 3), (4, 4), (5, 5), (3, 4), (4, 6))
TIED = tuple(itertools.product((1, 2), ((2, 2), (3, 3), (3, 4), (4, 4))))


@jax.jit
@jax.vmap
def enumerate_all(p):
    found = support_enumeration(NormalForm(p))
    return found.strategies, found.mask, found.count, found.complete, found.max_regret


@jax.jit
@jax.vmap
def extreme(p):
    found = vertex_enumeration(NormalForm(p), capacity=128)
    return found.strategies, found.mask


@jax.jit
@jax.vmap
def one_from(p, label):
    found = lemke_howson(NormalForm(p), label)
    return found.strategies, found.mask, found.max_regret


def sets(strategies, mask) -> list[set]:
    return [as_set(zip(*(np.asarray(s[k][mask[k]]) for s in strategies), strict=True)) for k in range(len(mask))]


def in_rationals(p) -> set:
    gambit = peer("pygambit")
    tables = [np.vectorize(gambit.Rational, otypes=[object])(t.astype(int)) for t in p]
    return as_set(gambit_profiles(gambit.nash.enummixed_solve(gambit.Game.from_arrays(*tables))))


def regret_of(p, flat) -> float:
    x, y = np.array(flat[: p.shape[1]]), np.array(flat[p.shape[1] :])
    u, v = p[0] @ y, x @ p[1]
    return max(u.max() - x @ u, v.max() - v @ y)


def generic(quick: bool) -> Rows:
    rows, games = [], 100 if quick else 2000
    complete = [e for e in entrants("all") if "vertex" in e.name or "enummixed" in e.name]
    for size in GENERIC[:2] if quick else GENERIC:
        payoffs = np.random.default_rng(1).normal(size=(games, 2, *size))
        *found, count, proved, regret = jax.tree.map(np.asarray, enumerate_all(payoffs))
        made = {
            "workload": f"random games, {size[0]}×{size[1]}",
            "games": games,
            "proved complete": float(proved.mean()),
        }
        made |= {"even in number": int((count % 2 == 0).sum()), "largest regret": float(np.nanmax(regret))}
        for rival in complete:
            pairs = zip(payoffs, sets(*found), strict=True)
            apart = [
                (p, theirs - own)
                for p, own in pairs
                if own != (theirs := as_set(rival.profiles(rival.solve(rival.build(p)))))
            ]
            worst = max([0.0, *(regret_of(p, flat) for p, more in apart for flat in more)])
            made |= {f"unlike {rival.name}": len(apart), f"regret of what only {rival.name} has": worst}
        rows.append(made)
    return rows


def degenerate(quick: bool) -> Rows:
    rows, games = [], 50 if quick else 500
    for most, size in TIED[:2] if quick else TIED:
        payoffs = np.random.default_rng(2).integers(0, most + 1, (games, 2, *size)).astype(float)
        exact = [as_set((e.x, e.y) for e in extreme_equilibria(NormalForm(p))) for p in payoffs]
        floats, proved = sets(*jax.tree.map(np.asarray, extreme(payoffs))), np.asarray(enumerate_all(payoffs)[3])
        made = {"workload": f"payoffs 0 to {most}, {size[0]}×{size[1]}", "games": games}
        made |= {"exact unlike floats": sum(a != b for a, b in zip(exact, floats, strict=True))}
        if peer("pygambit"):
            made["exact unlike Gambit"] = sum(a != in_rationals(p) for a, p in zip(exact, payoffs, strict=True))
        even = sum(len(s) % 2 == 0 for s, c in zip(exact, proved, strict=True) if c)
        rows.append(made | {"proved nondegenerate": float(proved.mean()), "of these even in number": even})
    return rows


def lemke_howson_(quick: bool) -> Rows:
    rows, games = [], 1000 if quick else 100_000
    for size in ((3, 3),) if quick else ((3, 3), (4, 4), (5, 5)):
        rng = np.random.default_rng(3)
        payoffs = rng.integers(0, 4, (games, 2, *size)).astype(float)
        _, mask, regret = one_from(payoffs, rng.integers(0, sum(size), games))
        made = {"workload": f"Lemke and Howson, payoffs 0 to 3, {size[0]}×{size[1]}", "games": games}
        rows.append(made | {"without an answer": int((~mask).sum()), "largest regret": float(np.nanmax(regret))})
    return rows


PARTS = {"generic": generic, "degenerate": degenerate, "lemke_howson": lemke_howson_}

if __name__ == "__main__":
    main(__doc__, __file__, PARTS)
