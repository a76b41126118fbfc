"""How fast the restriction game is solved, and how far its fast mode is from the exact one.

    python benchmarks/restriction.py [stages] [incumbents] [scipy] [modes] [claims] [--quick]

stages      the challengers' stage on 8,192 draws from the prior, restrictions drawn too, tolerance 1e-8: ``solve_stages``
            beside a hand-written numba loop with plain damping. Its floor is one pass of the batch's exponentials.
incumbents  equilibria with their certificates of draws from the prior, in units of one such stage.
scipy       the default world beside NumPy and SciPy; and in units of its own stage.
modes       the challengers' mixes and the incumbents' profits in fast mode against exact mode.
claims      all claims over 1,024 draws, in a new process; the aim is that of 8,192 draws, 15 minutes.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from measure import Row, Rows, by_turns, clocked, floor, main, peer, row, within

from games.restriction import RestrictionGame
from games.restriction.challengers import solve_stages
from games.restriction.claims import claims
from games.restriction.demand import market
from games.restriction.frontier import exact_play, fast_play
from games.restriction.prior import batch, draw_worlds
from solver import Status, sweep

LANES, TOLERANCE, MAX_STEPS = 8192, 1e-8, 400
SEED = 2025
SAME = 1e-6  # mixes closer than this are the same equilibrium


def _lanes():
    p = batch(draw_worlds(LANES, SEED))
    restriction = np.random.default_rng(SEED).random((3, 1, LANES))
    return jax.tree.map(np.asarray, (p, jax.jit(market)(p, jnp.asarray(restriction), jnp.ones(LANES))))


def _ours(p, m):
    return lambda: solve_stages(p, m, tolerance=TOLERANCE, max_steps=MAX_STEPS)


def _floor(p, m):
    """Every product's attraction exponentiated once, and the batch's numbers read once."""
    exponentials = m.type_at_rest.size + m.incumbent_type.size
    return floor(exponentials=exponentials, nbytes=sum(x.nbytes for x in jax.tree.leaves((p, m))))


def stages(quick: bool) -> Rows:
    p, m = _lanes()
    ours, bound = _ours(p, m), _floor(p, m)
    runs: list[Any] = [ours]
    if peer("numba"):
        import numba_stage

        lanes = numba_stage.lanes_from(p, m)
        runs.append(lambda: numba_stage.solve(lanes, TOLERANCE, MAX_STEPS))
    times = by_turns(3 if quick else 11, *runs)
    found, more = ours(), {}
    if len(runs) == 2:
        mix, _, _, converged = runs[1]()
        both = found.converged & converged
        gaps = np.abs(np.moveaxis(np.asarray(found.value.mix), -1, 0) - mix).max(axis=(1, 2))[both]
        more = {"other mixes than its": int((gaps >= SAME).sum())}
    mine, theirs = (*np.median(times, axis=0), np.nan)[:2]
    return [
        row(
            f"challengers' stage, {LANES:,} draws", mine, each=LANES, beside="numba loop, both cores",
            theirs=theirs / LANES, aim="≥ 5", floor=bound,
            **{"converged": float(found.converged.mean()), "a minute": 60 * LANES / mine}, **more,
        )
    ]  # fmt: skip


def _one_stage() -> float:
    """Seconds of one stage in a batch."""
    p, m = _lanes()
    return float(np.median(by_turns(3, _ours(p, m)))) / LANES


def incumbents(quick: bool) -> Rows:
    """From r = 0 by ``sweep``, compiled in a first run."""
    worlds, stage = 64 if quick else 512, _one_stage()
    draws = {name: jnp.asarray(values) for name, values in draw_worlds(worlds, SEED).items()}

    def make(draw):
        world: dict[str, Any] = {name: values[draw.astype(int)] for name, values in draws.items()}
        return RestrictionGame(**world)

    def solved(steps=60):
        grid = {"draw": np.arange(worlds, dtype=float)}
        return sweep(make, grid, start=0.0, max_steps=steps, chunk=worlds, progress=False)

    first, _ = clocked(solved)
    seconds, ds = clocked(solved)
    certified = int((ds.status == int(Status.converged)).sum())
    return [_in_stages(f"incumbents' equilibria, {worlds} draws", seconds, certified, worlds, stage, first)]


def _in_stages(workload, seconds, certified, points, stage, first) -> Row:
    """In units of one stage, which is also the floor: a payoff takes no less."""
    made = within(workload, seconds / certified / stage, "stages each", beside="one challengers' stage", aim="≤ 100")
    made |= {"ms each": 1e3 * seconds / certified, "certified": f"{certified:,} of {points:,}", "floor": "one stage"}
    return made | {"floors": made["measured"], "a minute": 60 * certified / seconds, "first call, s": first}


def scipy(quick: bool) -> Rows:
    """The default world over σ and ρ, close to it, against the default world solved by SciPy once."""
    from scipy_restriction import SciPyGame

    side = 8 if quick else 32
    grid = {"rho": np.linspace(1.9, 2.1, side), "sigma": np.linspace(0.9, 1.0, side)}

    def solved():
        return sweep(lambda rho, sigma: RestrictionGame(rho=rho, sigma=sigma), grid, start=0.0, progress=False)

    first, _ = clocked(solved)
    seconds, ds = clocked(solved)
    theirs, found = clocked(SciPyGame(RestrictionGame()).equilibrium)
    default = sweep(lambda rho: RestrictionGame(rho=rho), {"rho": [2.0]}, start=0.0, progress=False)
    certified = int((ds.status == int(Status.converged)).sum())
    about = f"equilibria near the default world, {side**2:,} points"
    made = row(about, seconds, each=certified, beside="SciPy, once", theirs=theirs, aim="≥ 1,000")
    made |= {"certified": f"{certified:,} of {side**2:,}", "first call, s": first}
    made |= {"largest difference in r": float(np.abs(default.strategies.values.ravel() - found).max())}
    return [made, _in_stages(about, seconds, certified, side**2, _default_stage(), first)]


def _default_stage() -> float:
    """Seconds of one stage in a batch of default worlds."""
    p = jax.tree.map(lambda x: np.repeat(np.asarray(x)[..., None], LANES, -1), RestrictionGame().parameters)
    rest = jnp.asarray(np.random.default_rng(SEED).random((3, 1, LANES)))
    m = jax.tree.map(np.asarray, jax.jit(market)(p, rest, jnp.ones(LANES)))
    return float(np.median(by_turns(3, _ours(p, m)))) / LANES


def modes(quick: bool) -> Rows:
    """Fast against exact mode, at r = 0 and r = 0.75 in turn."""
    instances, size = 20 if quick else 200, 20
    p = batch(draw_worlds(instances, SEED + 1))
    restriction = jnp.asarray(np.where(np.arange(instances) % 2, 0.75, 0.0) * np.ones((3, 1, 1)))

    def solved(play):
        def outcome(p, r):
            found = play(p, r)
            return found.mix, found.incumbent_payoff, found.converged

        run, parts = jax.jit(jax.vmap(outcome, in_axes=-1)), []
        for first in range(0, instances, size):
            part = jax.tree.map(lambda x, at=first: x[..., at : at + size], (p, restriction))
            parts.append(jax.tree.map(np.asarray, run(*part)))
        return jax.tree.map(lambda *xs: np.concatenate(xs), *parts)

    fast, exact = solved(fast_play), solved(exact_play)
    fine = fast[2] & exact[2]
    gaps = {
        "mixes, largest difference": np.abs(fast[0] - exact[0]).max(axis=(1, 2))[fine],
        "incumbents' profits, relative": np.abs(fast[1] / exact[1] - 1).max(axis=1)[fine],
    }
    return [
        {"fast against exact": name, "draws": instances, "solved in both": int(fine.sum())}
        | dict(zip(("median", "90th percentile", "most"), np.percentile(gap, (50, 90, 100)).tolist(), strict=True))
        for name, gap in gaps.items()
    ]


def judged(quick: bool) -> Rows:
    """Open, Nash from three starts and concerted, with all that claims ask of them."""
    draws = 64 if quick else 1024
    seconds, ds = clocked(lambda: claims(draws))
    made = within(f"claims over {draws:,} draws, cold", seconds, "s", aim="" if quick else "≤ 112 s")
    return [made | {"certified, of their equilibria": float(ds.certified.mean())}]


PARTS = {"stages": stages, "incumbents": incumbents, "scipy": scipy, "modes": modes, "claims": judged}

if __name__ == "__main__":
    main(__doc__, __file__, PARTS)
