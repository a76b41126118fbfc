"""What a sweep costs: over the bare solve, with lanes of unequal difficulty, in memory, and on the restriction game.

    python benchmarks/sweep.py [overhead] [compaction] [memory] [growth] [refine [SIDE]] [phase [SIDE]]

Every part runs in a process of its own, so that peak memory and cold starts are its own.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

from games.restriction import RestrictionGame  # noqa: E402
from solver import AbstractGame, BestResponse, Box, NormalForm, Status, solve, sweep  # noqa: E402

PARTS = ("overhead", "compaction", "memory", "growth", "refine", "phase")


class Differentiated(AbstractGame):
    """u_i = x_i (1 + shift - x_i/2 - slope * mean of the others): best replies of slope -slope to that mean."""

    slope: jax.Array
    shift: jax.Array
    players: tuple[str, ...] = eqx.field(static=True)

    def __init__(self, slope, shift, players):
        self.slope, self.shift, self.players = slope, shift, players

    def actions(self):
        return (Box(0.0, 2.0),) * len(self.players)

    def payoffs(self, profile):
        x = jnp.concatenate(profile)
        others = (x.sum() - x) / (len(x) - 1)
        return x * (1 + self.shift - x / 2 - self.slope * others)


def duopoly(slope, shift):
    return Differentiated(slope, shift, ("one", "two"))


def eight(slope, shift):
    return Differentiated(slope, shift, tuple(map(str, range(8))))


class GradientPlay(eqx.Module):
    """All move by their payoff's gradient: here the best reply, so that a slope near 1 takes thousands of cheap steps."""

    class State(eqx.Module):
        x: jax.Array
        move: jax.Array
        num_steps: jax.Array
        cycle: jax.Array

    def init(self, game, profile, tolerance):
        zero = jnp.asarray(0, jnp.int32)
        return self.State(jnp.concatenate(profile), jnp.asarray(jnp.inf), zero, zero)

    def step(self, game, state, tolerance):
        slopes = jax.jacobian(lambda x: game.payoffs(tuple(x[:, None])))(state.x)
        x = jnp.clip(state.x + jnp.diagonal(slopes), 0.0, 2.0)
        return self.State(x, jnp.abs(x - state.x).max(), state.num_steps + 1, state.cycle)

    def terminated(self, state, tolerance):
        return state.move <= 1e-3 * tolerance

    def profile(self, game, state):
        return tuple(state.x[:, None])


@eqx.filter_jit
def bare(make, algorithm, slope, shift, max_steps):
    """The plain batched solve: every lane waits for the slowest."""
    return jax.vmap(lambda s, t: solve(make(s, t), algorithm, max_steps=max_steps, throw=False))(slope, shift)


def fastest(*runs, repeats=5):
    """The shortest wall time of each, taking turns, compiled before."""
    times = np.full((len(runs), repeats), np.inf)
    for run in runs:
        jax.block_until_ready(run())
    for k in range(repeats):
        for i, run in enumerate(runs):
            began = time.perf_counter()
            jax.block_until_ready(run())
            times[i, k] = time.perf_counter() - began
    return times.min(axis=1)


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def overhead():
    """10^4 points, all of much the same difficulty."""
    axes = {"slope": np.linspace(0.3, 0.5, 100), "shift": np.linspace(0.0, 0.2, 100)}
    slope, shift = (jnp.asarray(a.ravel()) for a in np.meshgrid(*axes.values(), indexing="ij"))

    def stored():
        with tempfile.TemporaryDirectory() as folder:
            return sweep(duopoly, axes, store=Path(folder) / "s.zarr", progress=False).payoffs.values

    plain, memory, disk = fastest(
        lambda: bare(duopoly, BestResponse(), slope, shift, 200).payoffs,
        lambda: sweep(duopoly, axes, progress=False).payoffs.values,
        stored,
        repeats=25,  # of a third of a second each: the least of five moved by 30 %
    )
    print(f"10^4 points: bare {plain:.3f} s, sweep {memory:.3f} s ({memory / plain - 1:+.1%}), ", end="")
    print(f"with a store {disk:.3f} s ({disk / plain - 1:+.1%})")


def compaction():
    """2048 lanes: one slow, then difficulties spread evenly in the logarithm of the rounds needed."""
    for name, slopes in (
        ("one slow lane", np.append(np.linspace(0.1, 0.3, 2047), 0.99)),
        ("spread", 1 - np.geomspace(0.9, 0.01, 2048)),
    ):
        grid, lanes = {"slope": slopes, "shift": [0.0]}, (jnp.asarray(slopes), jnp.zeros(len(slopes)))
        plain, packed = fastest(
            lambda lanes=lanes: bare(eight, GradientPlay(), lanes[0], lanes[1], 9999).payoffs,
            lambda grid=grid: sweep(eight, grid, GradientPlay(), max_steps=9999, progress=False).payoffs.values,
            repeats=1,
        )
        ds = sweep(eight, grid, GradientPlay(), max_steps=9999, progress=False)
        steps = ds.num_steps.values
        print(f"{name}: plain {plain:.2f} s, sweep {packed:.2f} s: {plain / packed:.1f} times; ", end="")
        print(
            f"steps median {np.median(steps):.0f}, most {steps.max()}; certified {float((ds.status == 0).mean()):.1%}"
        )


def memory(side=1000):
    """10^6 cheap points to disk; the peak against that of 10^4 points."""
    for n in (100, side):
        axes = {"slope": np.linspace(0.3, 0.5, n), "shift": np.linspace(0.0, 0.2, n)}
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            ds = sweep(duopoly, axes, store=Path(folder) / "s.zarr", progress=False)
            seconds = time.perf_counter() - began
            size = sum(f.stat().st_size for f in Path(folder).rglob("*") if f.is_file()) / 2**20
            print(f"{n * n:>9,} points: {seconds:.1f} s, peak {peak():.0f} MB, store {size:.0f} MB", flush=True)
            del ds


def growth():
    """Cold and warm points a minute, from 10^2 to 10^5 points."""
    for n in (10, 32, 100, 316):
        axes = {"slope": np.linspace(0.3, 0.5, n), "shift": np.linspace(0.0, 0.2, n)}
        seconds = []
        for _ in range(2):
            began = time.perf_counter()
            sweep(duopoly, axes, progress=False)
            seconds.append(time.perf_counter() - began)
        print(
            f"{n * n:>9,} points: first {seconds[0]:.2f} s, again {seconds[1]:.2f} s, {n * n / seconds[1] * 60:,.0f} a minute"
        )


def entry(x, y):
    """Each has a dominant action: the first the largest of x, y^2 + 1/4 and 4/5 - xy/2, the second that of 1/2 and y."""
    one, two = jnp.stack([x, y**2 + 0.25, 0.8 - x * y / 2]), jnp.stack([0.5 + 0 * y, y, 0 * y])
    return NormalForm(jnp.stack([jnp.tile(one[:, None], (1, 3)), jnp.tile(two, (3, 1))]))


def refine(side=512):
    """The regimes of a finite game, all boundaries in closed form: an adaptive sweep against the whole grid's."""
    grid = {"x": np.linspace(0.0, 1.0, side), "y": np.linspace(0.0, 1.0, side)}
    x, y = np.meshgrid(*grid.values(), indexing="ij")
    exact = np.stack([np.stack([x, y**2 + 0.25, 0.8 - x * y / 2]).argmax(0), (y > 0.5).astype(int)], axis=-1)

    def regimes(ds):
        return ds.strategies.argmax("action")

    for about in ("first", "again"):
        began = time.perf_counter()
        ds = sweep(entry, grid, refine=regimes, progress=False)
        middle = time.perf_counter()
        whole = sweep(entry, grid, progress=False)
        ended = time.perf_counter()
        print(f"{side} x {side} {about}: adaptive {middle - began:.2f} s, whole {ended - middle:.2f} s; ", end="")
        print(f"{float(ds.solved.mean()):.2%} of the points solved, ", end="")
        print(f"regime unlike the whole grid's at {int((ds.regime != regimes(whole)).any('player').sum())}, ", end="")
        print(f"unlike the closed form at {int((ds.regime.values != exact).any(axis=-1).sum())} points", flush=True)


def phase(side=20):
    """A certified phase diagram of the default restriction game over ρ and σ, cold."""
    grid = {"rho": np.geomspace(1.0, 12.0, side), "sigma": np.geomspace(0.4, 1.0, side)}

    def make(rho, sigma):
        return RestrictionGame(rho=rho, sigma=sigma)

    for about in ("cold", "warm"):
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            ds = sweep(make, grid, store=Path(folder) / "s.zarr").compute()
        seconds = time.perf_counter() - began
        share = float((ds.status == int(Status.converged)).mean())
        print(f"{side} x {side} {about}: {seconds:.1f} s, {side**2 / seconds * 60:,.0f} points a minute, ", end="")
        print(
            f"certified {share:.1%}, largest regret there {float(ds.max_regret.where(ds.status == 0).max()):.1e}, ",
            end="",
        )
        print(f"peak {peak():.0f} MB", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--here"]:
        globals()[sys.argv[2]](*map(int, sys.argv[3:]))
    else:
        words = sys.argv[1:] or list(PARTS)
        for k, word in enumerate(words):
            if word in PARTS:
                size = [w for w in words[k + 1 : k + 2] if w.isdigit()]
                print(f"--- {word}", flush=True)
                subprocess.run([sys.executable, __file__, "--here", word, *size], check=True)
