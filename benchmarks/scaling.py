"""How time and peak memory grow with the size of a problem, on log-log axes with the slope.

    python benchmarks/scaling.py [PART ...] [--quick]

points             a stored sweep of 10² to 10⁶ cheap points.
challengers        the challengers' stage in fast mode, 1 to 12 of them, a batch of draws of the restriction.
exact              the whole play in exact mode, 1 to 6 challengers, which enumerates 3ⁿ profiles.
incumbents         certified equilibria of 1 to 8 incumbents, a batch of worlds over ρ.
cells              the challengers' stage, 1 to 64 cells of consumers.
all                all equilibria of n×n games, a batch.
one                one equilibrium of n×n games by Lemke and Howson's path, a batch.
players            the logit path to the Nash limit, n players of two actions, a batch.

Every part is a process of its own that goes from small to large, so that its peak memory so far is that of the last size.
"Slope": of the logarithm of seconds (or of memory) in that of the size, by least squares over the upper half of the sizes.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from finite import all_equilibria, draw, one_equilibrium, path_end
from measure import Rows, clocked, main, peak_mb
from sweep import axes, duopoly

from games.restriction import Parameters, RestrictionGame
from games.restriction.challengers import solve_stages
from games.restriction.demand import market
from solver import Status, sweep

LANES = 1024


def grown(
    name: str, unit: str, sizes: Sequence[int], case: Callable[[int], Callable[[], Any]], per: Callable[[int], int]
) -> Rows:
    """Every size's time, the first call's, and the peak of memory; ``case(n)`` gives a call that does ``per(n)`` at once."""
    rows = []
    for size in sizes:
        run = case(size)
        first, _ = clocked(run)
        seconds, _ = clocked(run)
        if seconds < 5:
            seconds = min(seconds, *(clocked(run)[0] for _ in range(3)))
        rows.append(
            {"scaling": name, "unit": unit, "size": size, "seconds": seconds, "µs each": 1e6 * seconds / per(size)}
        )
        rows[-1] |= {"first call, s": first, "peak MB": peak_mb()}
    upper = rows[-max(2, (len(rows) + 1) // 2) :]
    time, memory = (slope([r["size"] for r in upper], [r[key] for r in upper]) for key in ("seconds", "peak MB"))
    last = {
        "scaling": name,
        "from": upper[0]["size"],
        "to": upper[-1]["size"],
        "µs each at the largest": rows[-1]["µs each"],
    }
    return [*rows, last | {"slope": time, "slope of memory": memory, "peak MB at the largest": rows[-1]["peak MB"]}]


def slope(sizes: Sequence[float], values: Sequence[float]) -> float:
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def points(quick: bool) -> Rows:
    def case(n):
        def run():
            with tempfile.TemporaryDirectory() as folder:
                return sweep(duopoly, axes(round(n**0.5)), store=Path(folder) / "s.zarr", progress=False).payoffs.values

        return run

    sizes = (100, 1024, 10_000) if quick else (100, 1024, 10_000, 99_856, 1_000_000)
    return grown("points of a stored sweep", "points", sizes, case, lambda n: n)


def world(challengers: int = 4, incumbents: int = 3, cells: int = 6) -> dict[str, Any]:
    return {
        "challenger_bloc": ("CN", "TW") * (challengers // 2) + ("CN",) * (challengers % 2),
        "incumbent_bloc": ("US",) * incumbents,
        "cell_region": [("US", "CN", "TW")[k // 2 % 3] for k in range(cells)],
        "cell_segment": [("G", "V")[k % 2] for k in range(cells)],
        "mass": np.full(cells, 105 / cells),
    }


def stages(name: str, unit: str, sizes: Sequence[int], **fixed: int) -> Rows:
    def case(n):
        own = Parameters(**world(**{unit: n} | fixed))
        p = jax.tree.map(lambda x: np.repeat(np.asarray(x)[..., None], LANES, -1), own)
        rest = jnp.asarray(np.random.default_rng(0).random((len(own.incumbents), 1, LANES)))
        m = jax.tree.map(np.asarray, jax.jit(market)(p, rest, jnp.ones(LANES)))
        return lambda: solve_stages(p, m, tolerance=1e-8, max_steps=400)

    return grown(name, unit, sizes, case, lambda n: LANES)


def challengers(quick: bool) -> Rows:
    return stages("challengers, fast mode", "challengers", (1, 4) if quick else (1, 2, 4, 8, 12))


def cells(quick: bool) -> Rows:
    return stages("cells of consumers", "cells", (1, 8) if quick else (1, 4, 16, 64))


def exact(quick: bool) -> Rows:
    points = 4
    restrictions = jnp.linspace(0, 1, points)

    def case(n):
        game = RestrictionGame(mode="exact", **world(challengers=n))
        run = jax.jit(jax.vmap(lambda r: game.followers((jnp.full(1, r),) * 3).incumbent_payoff))
        return lambda: run(restrictions)

    return grown(
        "challengers, exact mode", "challengers", (1, 2) if quick else (1, 2, 3, 4, 5, 6), case, lambda n: points
    )


def incumbents(quick: bool) -> Rows:
    points = 16
    grid = {"rho": np.linspace(1.8, 2.2, points)}

    def case(n):
        def make(rho):
            return RestrictionGame(rho=rho, **world(incumbents=n))

        def run():
            ds = sweep(make, grid, start=0.0, progress=False)
            certified = int((ds.status == int(Status.converged)).sum())
            if certified < points:
                print(f"{n} incumbents: {certified} of {points} certified", flush=True)
            return ds.payoffs.values

        return run

    return grown(
        "incumbents, certified equilibria", "incumbents", (1, 3) if quick else (1, 2, 4, 8), case, lambda n: points
    )


def finite(
    name: str, unit: str, sizes: Sequence[int], ours: Callable, games: int, shape: Callable[[int], tuple]
) -> Rows:
    def case(n):
        payoffs = jnp.asarray(draw(games, *shape(n)))
        return lambda: ours(payoffs)

    return grown(f"{name}, batch {games:,}", unit, sizes, case, lambda n: games)


def all_(quick: bool) -> Rows:
    sizes = (2, 3) if quick else (2, 3, 4, 5, 6)
    return finite("all equilibria of n×n games", "actions", sizes, all_equilibria, 1000, lambda n: (n, n))


def one(quick: bool) -> Rows:
    sizes = (2, 4) if quick else (2, 4, 8, 16, 32)
    return finite("one equilibrium of n×n games", "actions", sizes, one_equilibrium, 1000, lambda n: (n, n))


def players(quick: bool) -> Rows:
    return finite(
        "logit paths, 2 actions", "players", (2, 3) if quick else (2, 3, 4, 5, 6), path_end, 100, lambda n: (2,) * n
    )


def figure(parts: dict[str, Any], file: Path) -> None:
    """Seconds and peak memory against size, a row of two panels for each part of this script in ``parts``."""
    import matplotlib.pyplot as plt

    curves = [part["rows"] for name, part in parts.items() if name.startswith("scaling ")]
    curves = [rows for rows in curves if rows and "slope" in rows[-1]]
    if not curves:
        return
    columns = 4
    lines = -(-len(curves) // columns)
    drawn, every = plt.subplots(
        2 * lines, columns, figsize=(3.1 * columns, 4.4 * lines), squeeze=False, layout="constrained"
    )
    for ax in every.ravel():
        ax.set_axis_off()
    for k, (*rows, last) in enumerate(curves):
        for below, (key, exponent, label) in enumerate(
            (("seconds", "slope", "seconds"), ("peak MB", "slope of memory", "peak MB"))
        ):
            ax = every[2 * (k // columns) + below, k % columns]
            panel(ax, rows, last, key, exponent, label)
            if not below:
                ax.set_title(last["scaling"], fontsize=8)
    drawn.savefig(file, dpi=150)
    plt.close(drawn)


def panel(ax: Any, rows: Rows, last: dict, key: str, exponent: str, label: str) -> None:
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

    sizes, values = np.array([r["size"] for r in rows], float), np.array([r[key] for r in rows])
    upper = sizes[sizes >= last["from"]]
    centre = np.exp(np.log(values[sizes >= last["from"]]).mean() - last[exponent] * np.log(upper).mean())
    ax.set_axis_on()
    ax.loglog(sizes, values, "o-", color="black", ms=4, lw=1)
    ax.loglog(
        upper, centre * upper ** last[exponent], "--", color="tab:orange", lw=2, label=f"slope {last[exponent]:.2f}"
    )
    if sizes.max() < 1000:
        ax.xaxis.set_major_locator(FixedLocator(sizes.tolist()))
        ax.set_xticklabels([f"{n:.0f}" for n in sizes])
        ax.xaxis.set_minor_locator(NullLocator())
    if values.max() / values.min() < 10:  # a whole decade, so that a flat line looks flat
        middle = np.sqrt(values.max() * values.min())
        ax.set_ylim(middle / 10**0.7, middle * 10**0.7)
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel(rows[0]["unit"], fontsize=8)
    ax.set_ylabel(label, fontsize=8)
    ax.tick_params(labelsize=7)
    ax.legend(fontsize=7, frameon=False)


PARTS = {
    "points": points, "challengers": challengers, "exact": exact, "incumbents": incumbents, "cells": cells,
    "all": all_, "one": one, "players": players,
}  # fmt: skip

if __name__ == "__main__":
    main(__doc__, __file__, PARTS)
