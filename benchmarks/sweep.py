"""What a sweep costs: over the bare solve, with lanes of unequal difficulty, refined, on devices, and on the restriction game.

    python benchmarks/sweep.py [overhead] [compaction] [refine] [phase] [sharding] [--quick]

overhead     10⁴ cheap points of much the same difficulty, beside one batched ``solve``, which is their floor.
compaction   2,048 lanes beside one loop that waits for its slowest: one slow lane, and difficulties spread evenly.
refine       an adaptive sweep of a finite game whose regimes are known in closed form, beside its whole grid.
phase        a stored, certified 100 × 100 phase diagram of the default restriction game, in a new process and again.
sharding     the same sweep on one device and on four of one machine: the same results?

Time and memory against the number of points: ``benchmarks/scaling.py points``.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from measure import Rows, by_turns, clocked, floor, main, peak_mb, row, within

from games.restriction import RestrictionGame
from solver import AbstractGame, BestResponse, Box, NormalForm, Status, solve, sweep

FOUR = "--xla_force_host_platform_device_count=4"


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


def axes(side: int) -> dict[str, np.ndarray]:
    return {"slope": np.linspace(0.3, 0.5, side), "shift": np.linspace(0.0, 0.2, side)}


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


def overhead(quick: bool) -> Rows:
    grid = axes(100)
    slope, shift = (jnp.asarray(a.ravel()) for a in np.meshgrid(*grid.values(), indexing="ij"))

    def stored():
        with tempfile.TemporaryDirectory() as folder:
            return sweep(duopoly, grid, store=Path(folder) / "s.zarr", progress=False).payoffs.values

    plain, memory, disk = by_turns(
        5 if quick else 25,  # the least of five moved by 30 %
        lambda: bare(duopoly, BestResponse(), slope, shift, 200).payoffs,
        lambda: sweep(duopoly, grid, progress=False).payoffs.values,
        stored,
    ).min(axis=0)
    once = jax.vmap(lambda s, t: duopoly(s, t).payoffs((jnp.ones(1), jnp.ones(1))))
    bound = floor(payoffs=once, batch=(slope, shift), nbytes=10 * slope.nbytes)
    return [
        within(name, 100 * (seconds / plain - 1), "%", beside="bare batched solve", aim=aim, seconds=seconds)
        | {"bare, s": plain, "floor": bound[0], "floors": seconds / bound[1]}
        for name, seconds, aim in (
            ("sweep of 10⁴ points, overhead", memory, "≤ 5 %"),
            ("the same with a store", disk, ""),
        )
    ]


def compaction(quick: bool) -> Rows:
    lanes, rows = 256 if quick else 2048, []
    for name, slopes in (
        ("one slow lane", np.append(np.linspace(0.1, 0.3, lanes - 1), 0.99)),
        ("spread", 1 - np.geomspace(0.9, 0.01, lanes)),
    ):
        grid, arrays = {"slope": slopes, "shift": [0.0]}, (jnp.asarray(slopes), jnp.zeros(lanes))

        def packed(grid=grid):
            return sweep(eight, grid, GradientPlay(), max_steps=9999, progress=False)

        ds = packed()
        plain, ours = by_turns(
            1, lambda arrays=arrays: bare(eight, GradientPlay(), *arrays, 9999).payoffs, lambda: packed().payoffs.values
        ).min(axis=0)
        made = row(f"{lanes:,} lanes, {name}", ours, each=lanes, beside="one loop", theirs=plain / lanes)
        steps = ds.num_steps.values
        made |= {"median steps": float(np.median(steps)), "most steps": int(steps.max())}
        # no loop of lanes can do less than the steps that the lanes need
        rows.append(made | {"steps wasted by one loop": float(steps.max() * steps.size / steps.sum())})
    return rows


def entry(x, y):
    """Each has a dominant action: the first the largest of x, y^2 + 1/4 and 4/5 - xy/2, the second that of 1/2 and y."""
    one, two = jnp.stack([x, y**2 + 0.25, 0.8 - x * y / 2]), jnp.stack([0.5 + 0 * y, y, 0 * y])
    return NormalForm(jnp.stack([jnp.tile(one[:, None], (1, 3)), jnp.tile(two, (3, 1))]))


def regimes(ds):
    return ds.strategies.argmax("action")


def refine(quick: bool) -> Rows:
    side, rows = 128 if quick else 512, []
    grid = {"x": np.linspace(0.0, 1.0, side), "y": np.linspace(0.0, 1.0, side)}
    x, y = np.meshgrid(*grid.values(), indexing="ij")
    exact = np.stack([np.stack([x, y**2 + 0.25, 0.8 - x * y / 2]).argmax(0), (y > 0.5).astype(int)], axis=-1)
    for about in ("first", "again"):
        adaptive, ds = clocked(lambda: sweep(entry, grid, refine=regimes, progress=False))
        every, whole = clocked(lambda: sweep(entry, grid, progress=False))
        rows.append(
            {"workload": f"adaptive sweep, {side} × {side}, {about}", "s": adaptive, "whole grid, s": every}
            | {"points solved, %": 100 * float(ds.solved.mean())}
            | {"unlike the whole grid's": int((ds.regime != regimes(whole)).any("player").sum())}
            | {"unlike the closed form": int((ds.regime.values != exact).any(axis=-1).sum())}
        )
    return rows


def rho_sigma(rho, sigma):
    return RestrictionGame(rho=rho, sigma=sigma)


def phase(quick: bool) -> Rows:
    side, rows = 10 if quick else 100, []
    grid = {"rho": np.geomspace(1.0, 12.0, side), "sigma": np.geomspace(0.4, 1.0, side)}

    def solved():
        with tempfile.TemporaryDirectory() as folder:
            return sweep(rho_sigma, grid, store=Path(folder) / "s.zarr", progress=False).compute()

    for about, aim in (("cold", "" if quick else "≤ 60 s"), ("warm", "")):
        seconds, ds = clocked(solved)
        fine = ds.status == int(Status.converged)
        made = within(f"{side} × {side} certified phase diagram, {about}", seconds, "s", aim=aim)
        made |= {"certified, %": 100 * float(fine.mean()), "largest regret": float(ds.max_regret.where(fine).max())}
        rows.append(made | {"points a minute": 60 * side**2 / seconds, "peak MB": peak_mb()})
    return rows


def on_these_devices() -> dict:
    """What four devices and one are to agree on."""
    grid = {"slope": np.linspace(0.3, 0.5, 100), "shift": np.linspace(0.0, 0.2, 10)}
    ds = sweep(duopoly, grid, progress=False)
    return {
        "devices": jax.device_count(),
        "strategies": ds.strategies.values.tolist(),
        "status": ds.status.values.tolist(),
    }


def sharding(quick: bool) -> Rows:
    code = "import json, jax, sweep; jax.config.update('jax_enable_x64', True); print(json.dumps(sweep.on_these_devices()))"
    env = os.environ | {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {FOUR}".strip(), "JAX_PLATFORMS": "cpu"}
    there = Path(__file__).parent
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=there, capture_output=True, text=True, check=True)
    four, one = json.loads(done.stdout.splitlines()[-1]), on_these_devices()
    apart = np.abs(np.array(four["strategies"]) - np.array(one["strategies"])).max()
    unlike = int((np.array(four["status"]) != np.array(one["status"])).sum())
    made = {"workload": "1,000 points on four devices of a CPU beside one", "devices": four["devices"]}
    return [made | {"strategies, most apart": float(apart), "other status": unlike}]


PARTS = {"overhead": overhead, "compaction": compaction, "refine": refine, "phase": phase, "sharding": sharding}

if __name__ == "__main__":
    main(__doc__, __file__, PARTS)
