"""How long until a first answer: what an import costs, and every entry point in a process of its own.

    python benchmarks/starts.py [imports] [entries] [--quick]

imports   processor seconds of ``import solver`` beside ``import jax, equinox``, by turns in new processes, bytecode kept.
entries   the first call of every entry point, compilation included, and a second one, in new processes: as JAX comes; and with
          its persistent compilation cache, filled by a run before. JAX reads that from the environment:
          JAX_COMPILATION_CACHE_DIR=<folder>, and JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 to keep quick programs too.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measure import Rows, main, within

ROOT = Path(__file__).parents[1]
IMPORT = "import time; began = time.process_time(); import {}; print(time.process_time() - began)"
COURNOT = "from games.oligopoly import Cournot; make = lambda c: Cournot(a=100.0, b=1.0, c=c, players=2)"
# what is got ready, and the call
ENTRIES = {
    "solve, a small game": (
        f"{COURNOT}; from solver import solve; game = make(10.0)",
        "solve(game)",
    ),
    "support_enumeration, 3×3": (
        "from solver import NormalForm, support_enumeration as f; game = NormalForm(jnp.asarray(rng.normal(size=(2, 3, 3))))",
        "f(game)",
    ),
    "lemke_howson, 3×3": (
        "from solver import NormalForm, lemke_howson as f; game = NormalForm(jnp.asarray(rng.normal(size=(2, 3, 3))))",
        "f(game)",
    ),
    "logit_path, 3×3×3": (
        "from solver import NormalForm, logit_path as f; game = NormalForm(jnp.asarray(rng.normal(size=(3, 3, 3, 3))))",
        "f(game)",
    ),
    "find_equilibria, a small game": (
        f"{COURNOT}; from solver import find_equilibria; game = make(10.0)",
        "find_equilibria(game, key=jax.random.key(0))",
    ),
    "sweep, 100 points of a small game": (
        f"{COURNOT}; from solver import sweep",
        "sweep(make, {'c': np.linspace(5, 20, 100)}, progress=False)",
    ),
    "stages, a batch of 8,192": (
        "from restriction import _lanes, _ours; ready = _ours(*_lanes())",
        "ready()",
    ),
    "outcomes, default world": (
        "from games.restriction import RestrictionGame, outcomes; game = RestrictionGame()",
        "outcomes(game, 0.0)",
    ),
    "sweep, 16 points of the restriction game": (
        "from games.restriction import RestrictionGame; from solver import sweep; make = lambda rho: RestrictionGame(rho=rho)",
        "sweep(make, {'rho': np.linspace(1, 4, 16)}, start=0.0, progress=False)",
    ),
    "impact, default world": (
        "from games.restriction import RestrictionGame, impact; game = RestrictionGame()",
        "impact(game)",
    ),
}
QUICK = 2  # of them
PROGRAM = """
import json, time
import jax, jax.monitoring
compiling = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **_: compiling.append(seconds) if event == "/jax/core/compile/backend_compile_duration" else None
)
jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp
import numpy as np
rng = np.random.default_rng(0)
{ready}
times = []
for _ in range(2):
    compiling.clear()
    began = time.perf_counter()
    jax.block_until_ready({call})
    times.append((time.perf_counter() - began, sum(compiling), len(compiling)))
print(json.dumps(times))
"""


def python(code: str, **env: str) -> str:
    """What a new process prints; bytecode is kept, as for a package that is installed."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "JAX_COMPILATION_CACHE_DIR")}
    path = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean | {"PYTHONPATH": path} | env, cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return done.stdout.splitlines()[-1]


def imports(quick: bool) -> Rows:
    names, rounds = ("jax, equinox", "solver", "games.restriction"), 3 if quick else 12
    with tempfile.TemporaryDirectory() as bytecode:
        runs = [[float(python(IMPORT.format(n), PYTHONPYCACHEPREFIX=bytecode)) for n in names] for _ in range(rounds)]
    base, *ours = np.median(runs[1:], axis=0)  # the first round writes bytecode
    return [
        within(f"import {name}", seconds / base, "×", beside="import jax, equinox", aim=aim, s=seconds)
        | {"its s": base}
        for name, seconds, aim in zip(names[1:], ours, ("≤ 1.2 ×", ""), strict=True)
    ]


def first_and_second(ready: str, call: str, **env: str) -> list[Any]:
    return json.loads(python(PROGRAM.format(ready=ready, call=call), **env))


def entries(quick: bool) -> Rows:
    rows = []
    for name, (ready, call) in list(ENTRIES.items())[: QUICK if quick else None]:
        made: dict[str, Any] = {"entry point": name}
        try:
            (first, compiling, programs), (second, _, again) = first_and_second(ready, call)
            made |= {"first answer": first, "of it XLA compiling": compiling, "programs": programs}
            made |= {"second": second, "programs compiled again": again}
            with tempfile.TemporaryDirectory() as folder:
                cache = {"JAX_COMPILATION_CACHE_DIR": folder, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
                for about in ("filling the cache", "from the cache"):
                    made[about] = first_and_second(ready, call, **cache)[0][0]
                made["cache, MB"] = sum(f.stat().st_size for f in Path(folder).rglob("*") if f.is_file()) / 2**20
        except RuntimeError as error:
            made["failed"] = str(error)[:200]
        rows.append(made)
    return rows


PARTS = {"imports": imports, "entries": entries}

if __name__ == "__main__":
    main(__doc__, __file__, PARTS)
