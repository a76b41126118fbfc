"""How fast the restriction game is solved, and how far its fast mode is from the exact one.

    python benchmarks/restriction.py [--quick] [--json FILE]

1. The challengers' stage on 8,192 draws from the prior, restrictions drawn too, tolerance 1e-8: ``solve_stages`` beside
   a hand-written numba loop with plain damping, in turns, and the median of the ratios. A batch cannot take less than
   its exponentials: one pass over lanes x cells x products is timed in the same run.
2. Incumbents' equilibria with their certificates, by ``solver.sweep``, in units of one stage of 1.
3. The challengers' mixes and the incumbents' profits in fast mode against exact mode.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

from games.restriction import RestrictionGame  # noqa: E402
from games.restriction.challengers import solve_stages  # noqa: E402
from games.restriction.demand import market  # noqa: E402
from games.restriction.frontier import exact_play, fast_play  # noqa: E402
from games.restriction.prior import batch, draw_worlds  # noqa: E402
from solver import Status, sweep  # noqa: E402

LANES, TOLERANCE, MAX_STEPS = 8192, 1e-8, 400
SEED = 2025


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repeats and worlds")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE")
    options = parser.parse_args()
    report = {"machine": machine()}
    print(" | ".join(f"{key} {value}" for key, value in report["machine"].items()), flush=True)
    report["stages"] = stages(3 if options.quick else 11)
    report["incumbents"] = incumbents(64 if options.quick else 512, report["stages"]["us_per_stage"])
    report["modes"] = modes(20 if options.quick else 200)
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=1) + "\n")


def machine() -> dict[str, str]:
    here = Path(__file__).parent
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True)
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    versions = {"Python": platform.python_version(), "jax": jax.__version__, "numpy": np.__version__}
    device = f"{jax.devices()[0].device_kind} x {os.cpu_count()}"
    return {"device": device, "load": load, **versions, "commit": git.stdout.strip() or "unknown"}


def clocked(function: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds on the wall and of processors, and what the function returned."""
    wall, processor = time.perf_counter(), time.process_time()
    result = jax.block_until_ready(function())
    return time.perf_counter() - wall, time.process_time() - processor, result


def stages(repeats: int) -> dict:
    p = batch(draw_worlds(LANES, SEED))
    restriction = np.random.default_rng(SEED).random((3, 1, LANES))
    p, m = jax.tree.map(np.asarray, (p, jax.jit(market)(p, jnp.asarray(restriction), jnp.ones(LANES))))
    floor = exponentials(m)

    def ours():
        return solve_stages(p, m, tolerance=TOLERANCE, max_steps=MAX_STEPS)

    first = clocked(ours)[0]
    theirs, compiling = numba_loop(p, m)
    walls, processors = [], []
    for _ in range(repeats):
        passed = clocked(lambda: floor(m))
        found = clocked(ours)
        other = clocked(theirs) if theirs else (np.nan, np.nan, None)
        walls.append([found[0], other[0], passed[0]])
        processors.append([found[1], other[1], passed[1]])
    walls, processors = np.array(walls), np.array(processors)
    wall, processor = np.median(walls, axis=0), np.median(processors, axis=0)
    solution, lanes = found[2], 1e6 / LANES
    out = {
        "us_per_stage": wall[0] * lanes,
        "per_minute": 60 * LANES / wall[0],
        "converged": float(solution.converged.mean()),
        "steps_mean": float(solution.num_steps.mean()),
        "compile_seconds": first - wall[0],
        "passes_of_exponentials": float(np.median(processors[:, 0] / processors[:, 2])),
    }
    print(f"\n1. Challengers' stage, {LANES:,} draws, tolerance {TOLERANCE:g}, medians of {repeats} turns")
    line = "   {:<14} {:>11,.0f} a minute {:>7.2f} µs each ({:.2f} µs of processors)  {:.2%} converged  {:.1f} steps"
    print(line.format("solve_stages", out["per_minute"], out["us_per_stage"], processor[0] * lanes, out["converged"],
                      out["steps_mean"]), f"(first call {first:.1f} s)")  # fmt: skip
    if theirs:
        mix, _, steps, converged = theirs()
        both = solution.converged & converged
        gaps = np.abs(np.moveaxis(np.asarray(solution.value.mix), -1, 0) - mix).max(axis=(1, 2))[both]
        out |= {
            "numba_us_per_stage": wall[1] * lanes,
            "numba_converged": float(converged.mean()),
            "ratio_wall": statistics.median(walls[:, 1] / walls[:, 0]),
            "ratio_processors": statistics.median(processors[:, 1] / processors[:, 0]),
            "share_agreeing": float((gaps < 1e-6).mean()),
            "largest_gap_agreeing": float(gaps[gaps < 1e-6].max()),
        }
        print(line.format("numba, damping", 60 * LANES / wall[1], wall[1] * lanes, processor[1] * lanes,
                          converged.mean(), steps.mean()), f"(first call {compiling:.1f} s)")  # fmt: skip
        print(f"   ratio {out['ratio_wall']:.2f} on the wall, {out['ratio_processors']:.2f} in processor time (aim: 3)")
        print(f"   same mixes in {out['share_agreeing']:.3%} of lanes, to {out['largest_gap_agreeing']:.1e} there; "
              f"{(gaps >= 1e-6).sum()} lanes differ by more (largest gap {gaps.max():.2f})")  # fmt: skip
    print(f"   one pass of the exponentials: {processor[2] * lanes:.2f} µs of processors; the solution takes "
          f"{out['passes_of_exponentials']:.0f} of them", flush=True)  # fmt: skip
    return out


def exponentials(m):
    @jax.jit
    def floor(m):
        return jnp.exp(-m.type_at_rest), jnp.exp(-m.incumbent_type)

    jax.block_until_ready(floor(m))
    return floor


def numba_loop(p, m):
    """The loop to be beaten on the same lanes, and the seconds its first call took; (None, 0) without numba."""
    try:
        import numba_stage
    except ModuleNotFoundError as error:
        print(f"\nthe numba loop is skipped: {error.name} is not installed (pip install numba)")
        return None, 0.0
    lanes = numba_stage.lanes_from(p, m)

    def run():
        return numba_stage.solve(lanes, TOLERANCE, MAX_STEPS)

    return run, clocked(run)[0]


def incumbents(worlds: int, stage_us: float) -> dict:
    """Equilibria from r = 0 by ``sweep``; compiled in a first run, timed in a second."""
    draws = {name: jnp.asarray(values) for name, values in draw_worlds(worlds, SEED).items()}

    def make(draw):
        world: dict[str, Any] = {name: values[draw.astype(int)] for name, values in draws.items()}
        return RestrictionGame(**world)

    def solved_in(steps):
        grid = {"draw": np.arange(worlds, dtype=float)}
        return sweep(make, grid, start=(jnp.zeros(1),) * 3, max_steps=steps, chunk=worlds, progress=False)

    first = clocked(lambda: solved_in(60))[0]
    seconds, _, solved = clocked(lambda: solved_in(60))
    clocked(lambda: solved_in(0))
    certificate = clocked(lambda: solved_in(0))[0]
    status = solved.status.values
    certified = status == int(Status.converged)
    ended = {Status(k).name: int(n) for k, n in zip(*np.unique(status, return_counts=True), strict=True)}
    each = 1e6 * seconds / max(certified.sum(), 1)
    out = {
        "worlds": worlds,
        "certified": float(certified.mean()),
        "ended": ended,
        "steps_mean": float(solved.num_steps.mean()),
        "ms_per_certified": each / 1e3,
        "per_minute": 6e7 / each,
        "stages_per_certified": each / stage_us,
        "share_of_certificate": certificate / seconds,
        "compile_seconds": first - seconds,
    }
    print(f"\n2. Incumbents' equilibria from r = 0 in {worlds} worlds of the prior: {out['certified']:.0%} certified, "
          f"{ended}, {out['steps_mean']:.1f} rounds of best replies")  # fmt: skip
    print(f"   {out['per_minute']:,.0f} certified a minute, {each / 1e3:.1f} ms each = {out['stages_per_certified']:,.0f} "
          f"challengers' stages (aim: 150); compiling took {first - seconds:.0f} s")  # fmt: skip
    print(
        f"   {out['share_of_certificate']:.0%} of the time goes into the certificates, the rest into best replies",
        flush=True,
    )
    return out


def modes(instances: int) -> dict:
    """Fast against exact mode, at r = 0 and r = 0.75 in turn."""
    p = batch(draw_worlds(instances, SEED + 1))
    restriction = jnp.asarray(np.where(np.arange(instances) % 2, 0.75, 0.0) * np.ones((3, 1, 1)))

    def solver(play):
        def outcome(p, r):
            found = play(p, r)
            return found.mix, found.incumbent_payoff, found.converged

        return jax.jit(jax.vmap(outcome, in_axes=-1))

    def solved(play, size=20):
        run, parts = solver(play), []
        for first in range(0, instances, size):
            part = jax.tree.map(lambda x, at=first: x[..., at : at + size], (p, restriction))
            parts.append(jax.tree.map(np.asarray, run(*part)))
        return jax.tree.map(lambda *xs: np.concatenate(xs), *parts)

    fast, exact = solved(fast_play), solved(exact_play)
    fine = fast[2] & exact[2]
    gap = np.abs(fast[0] - exact[0]).max(axis=(1, 2))[fine]
    profit = np.abs(fast[1] / exact[1] - 1).max(axis=1)[fine]
    out: dict[str, Any] = {"instances": instances, "solved_in_both": int(fine.sum())}
    print(f"\n3. Fast against exact mode, {instances} draws, r = 0 and 0.75 in turn; solved in both: {fine.sum()}")
    for name, values in (("mix", gap), ("profit", profit)):
        out[name] = dict(zip(("median", "p90", "max"), np.percentile(values, (50, 90, 100)).tolist(), strict=True))
    print("   largest |ΔP|: median {median:.4f}, 90th percentile {p90:.4f}, maximum {max:.4f}".format(**out["mix"]))
    print("   incumbents' profits, relative: median {median:.1e}, 90th percentile {p90:.1e}, maximum {max:.1e}".format(
        **out["profit"]))  # fmt: skip
    edges = [0, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 1]
    counts = np.histogram(gap, edges)[0]
    for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
        print(f"   {low:>6g} – {high:<6g} {count:>4} {'#' * round(50 * count / max(counts.max(), 1))}", flush=True)
    return out


if __name__ == "__main__":
    main()
