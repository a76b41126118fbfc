"""Games of continuous actions beside nashopt and SciPy: how long does a game take, how exact is it, are all equilibria found?

    python benchmarks/continuous.py [cournot] [bertrand] [quadratic] [all] [--quick]

cournot, bertrand, quadratic   one equilibrium by ``Newton``, a batch of 10⁴.
all                            the three equilibria of one game.

All methods solve the same games from the same start, the middle of the players' sets, by turns, each on one thread.
``GNEP.solve`` of nashopt compiles whenever it is called: what it says it spent on that, and posing the game, are left out; "as
called" is with both. SciPy's ``root`` gets the natural residual of marginal payoffs written in NumPy, its ``minimize`` every
player's payoff in turn until no strategy moves. "Regret": the largest gain from deviating as a share of the payoffs' range,
measured by our code on everybody's answers. "Error": the largest distance from the closed form as a share of the sets.
"""

import contextlib
import io
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from measure import Row, Rows, by_turns, clocked, floor, main, on_all_cores, peer, row

from games.bertrand import LogitBertrand
from games.oligopoly import Cournot
from solver import AbstractGame, Box, Newton, find_equilibria, solve
from solver.continuous.conditions import split
from solver.game import midpoint
from solver.regret import certify_profile

ALONE = 20  # games solved one at a time
FRESH = 3  # of them by nashopt, which compiles each
STARTS = 64


class LinearQuadratic(AbstractGame):
    """u_i = x_i (v_i - Σ_j Q_ij x_j + Q_ii x_i / 2) on [0, 1]: the best reply is linear and cut off at the bounds."""

    v: jax.Array
    Q: jax.Array
    players: tuple[str, ...] = eqx.field(static=True, default=tuple("12345"))

    def actions(self):
        return (Box(0.0, 1.0),) * len(self.players)

    def payoffs(self, profile):
        x = jnp.concatenate(profile)
        return x * (self.v - self.Q @ x + jnp.diagonal(self.Q) * x / 2)


class Entry(AbstractGame):
    """Entry with logit noise; three equilibria where σ < 1/4."""

    sigma: jax.Array
    players: tuple[str, ...] = eqx.field(static=True, default=("one", "two"))

    def actions(self):
        return (Box(0.001, 0.999),) * 2

    def payoffs(self, profile):
        p = jnp.concatenate(profile)
        return p * (0.5 - p[::-1]) - self.sigma * (p * jnp.log(p) + (1 - p) * jnp.log1p(-p))


class Case(NamedTuple):
    """``payoff(game, x, i)`` and ``slopes(game, x)`` are the game again in NumPy, for SciPy."""

    name: str
    make: Callable[..., AbstractGame]
    draw: Callable
    payoff: Callable
    slopes: Callable


def draw_linear_quadratic(rng, count):
    Q = rng.uniform(-0.4, 0.4, (count, 5, 5)) + 2 * np.eye(5)
    return {"v": rng.uniform(-1, 3, (count, 5)), "Q": Q}


def logit_shares(game, x):
    weight = np.exp(-x / game.mu)
    return weight / weight.sum()


COURNOT = Case(
    "Cournot, 5 firms",
    lambda a, b, c: Cournot(a, b, c, players=5),
    lambda rng, n: {"a": rng.uniform(80, 120, n), "b": rng.uniform(0.5, 2, n), "c": rng.uniform(5, 20, n)},
    lambda g, x, i: (g.a - g.b * x.sum() - g.c) * x[i],
    lambda g, x: g.a - g.b * x.sum() - g.c - g.b * x,
)
BERTRAND = Case(
    "Bertrand, logit, 3 firms",
    lambda c, mu: LogitBertrand(c, mu),
    lambda rng, n: {"c": rng.uniform(0, 5, n), "mu": rng.uniform(0.5, 2, n)},
    lambda g, x, i: (x[i] - g.c) * logit_shares(g, x)[i],
    lambda g, x: logit_shares(g, x) * (1 - (x - g.c) * (1 - logit_shares(g, x)) / g.mu),
)
QUADRATIC = Case(
    "linear-quadratic, 5 players, active bounds",
    lambda v, Q: LinearQuadratic(v=v, Q=Q),
    draw_linear_quadratic,
    lambda g, x, i: x[i] * (g.v[i] - g.Q[i] @ x + g.Q[i, i] * x[i] / 2),
    lambda g, x: g.v - g.Q @ x,
)


def numpy_game(game) -> tuple[Any, np.ndarray, np.ndarray]:
    low, high = (np.concatenate([np.asarray(getattr(s, end)) for s in game.actions()]) for end in ("lower", "upper"))
    return jax.tree.map(np.asarray, game), low, high


def by_root(case: Case, game) -> np.ndarray:
    from scipy.optimize import root

    g, low, high = game
    width, middle = high - low, (low + high) / 2
    rate = width / np.abs(case.slopes(g, middle)).max()
    found = root(lambda x: (x - np.clip(x + rate * case.slopes(g, x), low, high)) / width, middle, tol=1e-12)
    return np.clip(found.x, low, high)


def by_minimize(case: Case, game) -> np.ndarray:
    from scipy.optimize import minimize

    g, low, high = game
    x = (low + high) / 2
    for _ in range(200):
        before = x.copy()
        for i in range(len(x)):

            def loss(y, i=i):
                z = x.copy()
                z[i] = y[0]
                return -float(case.payoff(g, z, i))

            x[i] = minimize(loss, x[i : i + 1], bounds=[(low[i], high[i])]).x[0]
        if np.abs(x - before).max() <= 1e-7 * (high - low).max():
            break
    return x


def by_nashopt(game, start) -> tuple[np.ndarray, float, float]:
    """Its answer; the seconds of ``solve`` but for compiling; those as called, posing the game included."""
    _, low, high = numpy_game(game)
    losses = [lambda x, i=i: -game.payoffs(split(game, x))[i] for i in range(len(game.players))]

    def pose():
        return peer("nashopt").GNEP([s.size for s in game.actions()], losses, lb=low, ub=high)

    with contextlib.redirect_stdout(io.StringIO()):
        posing, posed = clocked(pose)
        seconds, found = clocked(lambda: posed.solve(x0=start, verbose=0))
    return np.asarray(found.x), seconds - float(found.stats.jax_jit_time), posing + seconds


def by_quadratic_nashopt(game) -> np.ndarray:
    """nashopt's solver of linear-quadratic games, by mixed-integer programming."""
    g, low, high = numpy_game(game)
    losses = []
    for i in range(5):
        Q = np.zeros((5, 5))
        Q[i], Q[:, i] = g.Q[i], g.Q[i]
        losses.append(Q)
    costs = [np.where(np.arange(5) == i, -g.v, 0) for i in range(5)]
    with contextlib.redirect_stdout(io.StringIO()):
        found = peer("nashopt").GNEP_LQ([1] * 5, losses, costs, lb=low, ub=high).solve()
    return np.asarray((found[0] if isinstance(found, list) else found).x)


@eqx.filter_jit
def measure(make, parameters, x):
    """The largest regret of each profile, and its distance from the closed form as a share of the sets."""

    def one(p, x):
        game = make(**p)
        _, regret, certificate = certify_profile(game, split(game, x))
        width = jnp.concatenate([s.upper - s.lower for s in game.actions()])
        known = jnp.concatenate(game.closed_form()) if hasattr(game, "closed_form") else jnp.full_like(x, jnp.nan)
        return (regret / certificate.payoff_range).max(), (jnp.abs(x - known) / width).max()

    return jax.vmap(one)(parameters, x)


def compete(case: Case, quick: bool) -> Rows:
    count, turns = (1000, 1) if quick else (10_000, 3)
    parameters = case.draw(np.random.default_rng(0), count)
    games = [case.make(**{k: v[i] for k, v in parameters.items()}) for i in range(ALONE)]
    plain = [numpy_game(game) for game in games]

    def solved(p):
        return jnp.concatenate(solve(case.make(**p), Newton(), throw=False).strategies)

    names, batch = list(parameters), jax.jit(jax.vmap(solved))
    arrays = [parameters[k] for k in names]
    runs = {"SciPy root": (lambda: [by_root(case, g) for g in plain], ALONE)}
    runs["SciPy minimize in turn"] = (lambda: [by_minimize(case, g) for g in plain[:5]], 5)
    alone = lambda: [np.concatenate(solve(g, Newton(), throw=False).strategies) for g in games]  # noqa: E731
    runs["ours, a game at a time"] = (alone, ALONE)
    if peer("nashopt") and case is QUADRATIC:
        runs["nashopt GNEP_LQ"] = (lambda: [by_quadratic_nashopt(g) for g in games], ALONE)
    every = on_all_cores(lambda *a: batch(dict(zip(names, a, strict=True))), *arrays)
    first, found = clocked(lambda: batch(parameters))
    one, whole, *times = by_turns(turns, lambda: batch(parameters), every, *(run for run, _ in runs.values())).min(
        axis=0
    )
    answers = {name: (np.stack(run()), t / n) for (name, (run, n)), t in zip(runs.items(), times, strict=True)}
    if peer("nashopt"):
        starts = [(low + high) / 2 for _, low, high in plain[:FRESH]]
        fresh = [by_nashopt(g, s) for g, s in zip(games, starts, strict=False)]
        answers |= {"nashopt, compiled": (np.stack([x for x, _, _ in fresh]), min(t for _, t, _ in fresh))}
        answers |= {"nashopt, as called": (np.stack([x for x, _, _ in fresh]), min(t for _, _, t in fresh))}
    bound = floor(
        payoffs=jax.vmap(lambda *a: payoffs_at_middle(case, dict(zip(names, a, strict=True)))),
        batch=arrays,
        nbytes=sum(a.nbytes for a in arrays),
    )
    return rows_of(case, count, parameters, answers, np.asarray(found), (first, one, whole), bound)


def payoffs_at_middle(case: Case, p: dict) -> jax.Array:
    game = case.make(**p)
    return game.payoffs(midpoint(game))


def rows_of(case, count, parameters, answers, found, seconds, bound) -> Rows:
    first, one, whole = seconds
    rows: list[Row] = []
    quality = quality_of(case, parameters, found)
    more = {"on all cores, µs": 1e6 * whole / count, "first call, s": first}
    for name, (x, each) in answers.items():
        aim = "≥ 100" if name == "nashopt, compiled" else ""
        made = row(f"{case.name}, batch {count:,}", one, each=count, beside=name, theirs=each, aim=aim)
        made |= {"its regret": quality_of(case, parameters, x)[0], "its error": quality_of(case, parameters, x)[1]}
        made |= {"ratio on all cores": each * count / whole, "most apart": float(np.abs(x - found[: len(x)]).max())}
        rows.append(made)
    rows[0] |= {"regret": quality[0], "error": quality[1], **more}
    for made in rows:
        if made["aim"] or made is rows[0]:
            made |= {"floor": bound[0], "floors": whole / bound[1]}
    return rows


def quality_of(case, parameters, x) -> tuple[float, float]:
    regret, error = measure(case.make, {k: v[: len(x)] for k, v in parameters.items()}, x)
    return float(regret.max()), float(error.max())


def all_(quick: bool) -> Rows:
    """The entry game at σ = 0.2: three equilibria, the middle one unstable under best replies."""
    from scipy.optimize import root

    game, starts = Entry(sigma=jnp.asarray(0.2)), np.random.default_rng(0).uniform(0.001, 0.999, (STARTS, 2))

    def ours():
        return find_equilibria(game, key=jax.random.key(0), starts=STARTS)

    (first, _), (again, found) = clocked(ours), clocked(ours)

    def equations(x):
        return 0.5 - x[::-1] - 0.2 * (np.log(x) - np.log1p(-x))

    with np.errstate(all="ignore"):
        seconds, ends = clocked(lambda: [root(equations, x, tol=1e-12) for x in starts])
    told = {"found of 3": int(found.mask.sum()), "statement": found.statement, "first call, s": first}
    rows = [{"all equilibria of an entry game": "ours", "starts": STARTS, "seconds": again, **told}]
    rows.append(searched("SciPy root", game, seconds, [end.x for end in ends]))
    if peer("nashopt"):  # fewer starts: it compiles at each
        fresh = [by_nashopt(game, x) for x in starts[: 2 if quick else 8]]
        rows.append(searched("nashopt, compiled", game, sum(t for _, t, _ in fresh), [x for x, _, _ in fresh]))
    return rows


def searched(name: str, game: Entry, seconds: float, ends: list) -> Row:
    inside = [x for x in ends if np.isfinite(x).all() and (x > 0).all() and (x < 1).all()]
    regret = jax.jit(jax.vmap(lambda x: certify_profile(game, split(game, x))[1].max()))
    regrets = np.asarray(regret(jnp.asarray(np.array(inside)))) if inside else []
    good = {tuple(np.round(x, 5)) for x, r in zip(inside, regrets, strict=True) if r < 1e-8}
    return {"all equilibria of an entry game": name, "starts": len(ends), "seconds": seconds, "found of 3": len(good)}


PARTS: dict[str, Callable[[bool], Rows]] = {
    "cournot": lambda quick: compete(COURNOT, quick),
    "bertrand": lambda quick: compete(BERTRAND, quick),
    "quadratic": lambda quick: compete(QUADRATIC, quick),
    "all": all_,
}

if __name__ == "__main__":
    main(__doc__, __file__, PARTS)
