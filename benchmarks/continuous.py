"""Games of continuous actions beside nashopt and scipy: how long does a game take, how exact is it, are all equilibria found?

    python benchmarks/continuous.py [--games 10000] [--turns 5]

All methods solve the same games from the same start, the middle of the players' sets, in turn; times are medians over the
turns, of the wall clock, in one run. Of nashopt two times: as its users wait for it, since ``GNEP.solve`` compiles whenever it
is called; and less what it says it spent on compiling. scipy's ``root`` gets the natural residual of
marginal payoffs written in numpy; its ``minimize`` gets every player's payoff in turn until no strategy moves.
"Regret": the largest gain from deviating as a share of the payoffs' range, measured by our code on everybody's answers.
"""

import argparse
import contextlib
import importlib
import io
import time
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from games.bertrand import LogitBertrand
from games.oligopoly import Cournot
from solver import AbstractGame, Box, Newton, find_equilibria, solve
from solver.continuous.conditions import split
from solver.regret import certify_profile

jax.config.update("jax_enable_x64", True)

ALONE = 20  # games solved one at a time
FRESH = 2  # games of one turn that nashopt compiles
STARTS = 64
COMPILING: list[float] = []  # seconds, of nashopt's last solves


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


def draw_linear_quadratic(rng, count):
    Q = rng.uniform(-0.4, 0.4, (count, 5, 5)) + 2 * np.eye(5)
    return {"v": rng.uniform(-1, 3, (count, 5)), "Q": Q}


def logit_shares(game, x):
    weight = np.exp(-x / game.mu)
    return weight / weight.sum()


class Case(NamedTuple):
    """``payoff(game, x, i)`` and ``slopes(game, x)`` are the game again in numpy, for scipy."""

    make: Callable[..., AbstractGame]
    draw: Callable
    payoff: Callable
    slopes: Callable


CASES = {
    "Cournot, 5 firms": Case(
        lambda a, b, c: Cournot(a, b, c, players=5),
        lambda rng, n: {"a": rng.uniform(80, 120, n), "b": rng.uniform(0.5, 2, n), "c": rng.uniform(5, 20, n)},
        lambda g, x, i: (g.a - g.b * x.sum() - g.c) * x[i],
        lambda g, x: g.a - g.b * x.sum() - g.c - g.b * x,
    ),
    "Bertrand, logit, 3 firms": Case(
        lambda c, mu: LogitBertrand(c, mu),
        lambda rng, n: {"c": rng.uniform(0, 5, n), "mu": rng.uniform(0.5, 2, n)},
        lambda g, x, i: (x[i] - g.c) * logit_shares(g, x)[i],
        lambda g, x: logit_shares(g, x) * (1 - (x - g.c) * (1 - logit_shares(g, x)) / g.mu),
    ),
    "linear-quadratic, 5 players, active bounds": Case(
        lambda v, Q: LinearQuadratic(v=v, Q=Q),
        draw_linear_quadratic,
        lambda g, x, i: x[i] * (g.v[i] - g.Q[i] @ x + g.Q[i, i] * x[i] / 2),
        lambda g, x: g.v - g.Q @ x,
    ),
}


def numpy_game(game) -> tuple[Any, np.ndarray, np.ndarray]:
    low, high = (np.concatenate([np.asarray(getattr(s, end)) for s in game.actions()]) for end in ("lower", "upper"))
    return jax.tree.map(np.asarray, game), low, high


def by_root(case: Case, game) -> np.ndarray:
    from scipy.optimize import root

    g, low, high = game
    width, scale = high - low, np.abs(case.slopes(g, (low + high) / 2)).max()
    found = root(
        lambda x: (x - np.clip(x + width / scale * case.slopes(g, x), low, high)) / width, (low + high) / 2, tol=1e-12
    )
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


@cache
def peer() -> Any:
    """nashopt's ``GNEP``; its package does not declare that it needs qpsolvers."""
    try:
        return importlib.import_module("nashopt").GNEP
    except ImportError as error:
        print(f"nashopt is not installed, or not all it needs: {error}; skipped")
        return None


def nashopt_game(game) -> Any:
    """The game as nashopt takes it; None if it is not installed."""
    GNEP = peer()
    if GNEP is None:
        return None
    _, low, high = numpy_game(game)
    losses = [lambda x, i=i: -game.payoffs(split(game, x))[i] for i in range(len(game.players))]
    return GNEP([s.size for s in game.actions()], losses, lb=low, ub=high)


def by_nashopt(posed, start) -> np.ndarray:
    with contextlib.redirect_stdout(io.StringIO()):
        found = posed.solve(x0=start, verbose=0)
    COMPILING.append(float(found.stats.jax_jit_time))
    return np.asarray(found.x)


def nashopt_quadratic(game) -> np.ndarray:
    """Its solver of linear-quadratic games, by mixed-integer programming."""
    GNEP_LQ = importlib.import_module("nashopt").GNEP_LQ

    g, low, high = numpy_game(game)
    losses = []
    for i in range(5):
        Q = np.zeros((5, 5))
        Q[i], Q[:, i] = g.Q[i], g.Q[i]
        losses.append(Q)
    costs = [np.where(np.arange(5) == i, -g.v, 0) for i in range(5)]
    with contextlib.redirect_stdout(io.StringIO()):
        found = GNEP_LQ([1] * 5, losses, costs, lb=low, ub=high).solve()
    return np.asarray((found[0] if isinstance(found, list) else found).x)


def timed(run: Callable) -> tuple[float, Any]:
    begin = time.perf_counter()
    out = jax.block_until_ready(run())
    return time.perf_counter() - begin, out


class Bench:
    """One case's games, and all methods' answers with their times, turn by turn."""

    def __init__(self, case: Case, games: int):
        self.case, self.parameters = case, case.draw(np.random.default_rng(0), games)
        self.games = [case.make(**{k: v[i] for k, v in self.parameters.items()}) for i in range(ALONE)]
        self.numpy = [numpy_game(game) for game in self.games]
        self.batch = jax.jit(jax.vmap(lambda p: solve(case.make(**p), Newton(), throw=False)))
        self.times: dict[str, list[float]] = {}
        self.answers: dict[str, np.ndarray] = {}

    def turn(self, number: int) -> None:
        seconds, found = timed(lambda: self.batch(self.parameters))
        self.note("nashgrid, a batch", seconds / len(found.status), np.concatenate(found.strategies, axis=1))
        self.each("nashgrid, alone", lambda i: np.concatenate(solve(self.games[i], Newton(), throw=False).strategies))
        if peer() is not None:
            starts = [(low + high) / 2 for _, low, high in self.numpy]
            fresh = range(FRESH * number % ALONE, FRESH * number % ALONE + FRESH)
            COMPILING.clear()
            self.each("nashopt, a game", lambda i: by_nashopt(nashopt_game(self.games[i]), starts[i]), fresh)
            bare = float(self.times["nashopt, a game"][-1] - np.mean(COMPILING))
            self.note("nashopt, but for compiling", bare, self.answers["nashopt, a game"])
            if isinstance(self.games[0], LinearQuadratic):
                self.each("nashopt, GNEP_LQ", lambda i: nashopt_quadratic(self.games[i]))
        self.each("scipy root", lambda i: by_root(self.case, self.numpy[i]))
        self.each("scipy minimize in turn", lambda i: by_minimize(self.case, self.numpy[i]), range(5))

    def each(self, name: str, run: Callable, which=range(ALONE)) -> None:
        seconds, found = timed(lambda: np.stack([run(i) for i in which]))
        full = self.answers.get(name, np.full((ALONE, found.shape[1]), np.nan))
        full[which.start : which.stop] = found
        self.note(name, seconds / len(which), full)

    def note(self, name: str, seconds: float, found: np.ndarray) -> None:
        self.times.setdefault(name, []).append(seconds)
        self.answers[name] = found

    def table(self) -> None:
        ours = np.median(self.times["nashgrid, a batch"][1:])
        print(f"{'':28} {'us a game':>10} {'ratio':>8} {'games':>6}  largest regret   largest error (share of the set)")
        for name, times in self.times.items():
            x = self.answers[name]
            done = np.flatnonzero(np.isfinite(x).all(axis=1))
            some = {k: v[done] for k, v in self.parameters.items()}
            regret, error = (np.asarray(v) for v in measure(self.case.make, some, x[done]))
            seconds = np.median(times[1:] if len(times) > 1 else times)
            off = f"{error.max():.1e}" if np.isfinite(error).all() else "no closed form"
            print(
                f"{name:28} {1e6 * seconds:10.4g} {seconds / ours:8.3g} {len(done):6} {regret.max():15.1e}   {off}",
                flush=True,
            )


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


def time_cases(games: int, turns: int) -> None:
    for name, case in CASES.items():
        print(f"\n{name}; a batch of {games}")
        bench = Bench(case, games)
        for number in range(turns + 1):  # the first one compiles, and is left out
            bench.turn(number)
        bench.table()


def count_equilibria() -> None:
    """The entry game at σ = 0.2: three equilibria, the middle one unstable under best replies."""
    from scipy.optimize import root

    print(f"\nall equilibria of the entry game at sigma = 0.2 (there are 3), from {STARTS} starts")
    game = Entry(sigma=jnp.asarray(0.2))
    starts = np.random.default_rng(0).uniform(0.001, 0.999, (STARTS, 2))

    def ours():
        return find_equilibria(game, key=jax.random.key(0), starts=STARTS)

    (first, _), (again, found) = timed(ours), timed(ours)
    print(f"nashgrid: {found.statement}; {again:.2f} s, with compilation {first:.2f} s")

    def equations(x):
        return 0.5 - x[::-1] - 0.2 * (np.log(x) - np.log1p(-x))

    with np.errstate(all="ignore"):
        seconds, ends = timed(lambda: [root(equations, x, tol=1e-12) for x in starts])
    report("scipy root", seconds, [end.x for end in ends])
    posed = nashopt_game(game)
    if posed is not None:  # fewer starts: it compiles at each
        seconds, ends = timed(lambda: [by_nashopt(posed, x) for x in starts[:8]])
        report("nashopt", seconds, ends)


def report(name: str, seconds: float, ends: list) -> None:
    game = Entry(sigma=jnp.asarray(0.2))
    tried, ends = len(ends), [x for x in ends if np.isfinite(x).all() and (x > 0).all() and (x < 1).all()]
    regrets = np.asarray(
        jax.jit(jax.vmap(lambda x: certify_profile(game, split(game, x))[1].max()))(jnp.asarray(np.array(ends)))
    )
    good = {tuple(np.round(x, 5)) for x, regret in zip(ends, regrets, strict=True) if regret < 1e-8}
    print(f"{name}: {len(good)} found, {tried - (regrets < 1e-8).sum()} of {tried} starts without; {seconds:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    print(f"jax {jax.__version__} on {jax.devices()[0]}")
    time_cases(options.games, options.turns)
    count_equilibria()


if __name__ == "__main__":
    main()
