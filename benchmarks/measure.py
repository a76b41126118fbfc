"""What the benchmarks share: clocks, floors, rows, and parts that run in processes of their own.

A part is a function of ``quick`` that returns rows, mappings of a column's name (with its unit) to words or numbers. Every
part runs in a process of its own, so that peak memory and cold starts are its own.
"""

import argparse
import importlib
import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Rows = list[dict[str, Any]]
VERSIONS = ("jax", "numpy", "scipy", "equinox", "nashpy", "quantecon", "pygambit", "nashopt", "numba")


def by_turns(repeats: int, *runs: Callable[[], Any]) -> np.ndarray:
    """Wall-clock seconds (repeats, runs) of runs that take turns; every one has run once before."""
    times = np.zeros((repeats, len(runs)))
    for run in runs:
        jax.block_until_ready(run())
    for k in range(repeats):
        for i, run in enumerate(runs):
            times[k, i] = clocked(run)[0]
    return times


def clocked(run: Callable[[], Any]) -> tuple[float, Any]:
    """Wall-clock seconds of one run, and what it returned."""
    began = time.perf_counter()
    result = jax.block_until_ready(run())
    return time.perf_counter() - began, result


def row(
    workload: str,
    ours: float,
    *,
    each: int = 1,
    beside: str = "",
    theirs: float = math.nan,
    aim: str = "",
    floor: float = math.nan,
    **more: Any,
) -> dict[str, Any]:
    """A workload beside a peer and above its floor: seconds for ``each`` items, of which the peer's are for one."""
    return {
        "workload": workload,
        "µs each": 1e6 * ours / each,
        "beside": beside,
        "its µs": 1e6 * theirs,
        "ratio": theirs * each / ours,
        "aim": aim,
        "floors": ours / floor,
        **more,
    }


def payoff_pass(batched_payoffs: Callable[..., Any], *args: Any) -> float:
    """Seconds of one evaluation of a batch's payoffs, compiled: nothing that looks at every game can be faster."""
    run = jax.jit(batched_payoffs)
    return float(by_turns(9, lambda: run(*args)).min())


def limits() -> dict[str, float]:
    """What this device does at most in this process: exponentials in float64 and bytes copied, a second."""
    small, large = jnp.linspace(0.0, 1.0, 2**16), jnp.zeros(2**25)
    exp = jax.jit(lambda x: jax.lax.fori_loop(0, 64, lambda _, y: jnp.exp(-y), x))
    copy = jax.jit(lambda x: x + 1)
    fast, wide = by_turns(9, lambda: exp(small), lambda: copy(large)).min(axis=0)
    return {"exponentials a second": 64 * small.size / fast, "bytes a second": 2 * large.nbytes / wide}


def peak_mb() -> float:
    """The most memory this process has had."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 1024)


@cache
def peer(name: str) -> Any:
    """A package to be beaten, or None, said aloud, where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        print(f"{name} is skipped: {error}", flush=True)
        return None


def machine() -> dict[str, Any]:
    """Device, versions, commit, precision and load."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=9"]
    commit = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    return {
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "dtype": "float64" if jax.config.read("jax_enable_x64") else "float32",
        "python": platform.python_version(),
        **{name: _version(name) for name in VERSIONS},
        "commit": commit or "unknown",
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def table(rows: Rows) -> str:
    """Rows in Markdown; a column without a value anywhere is left out."""
    columns = [c for c in dict.fromkeys(c for r in rows for c in r) if any(_cell(r.get(c)) for r in rows)]
    lines = [columns, ["---" if isinstance(rows[0].get(c), str) else "---:" for c in columns]]
    lines += [[_cell(r.get(c)) for c in columns] for r in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, (str, int)):
        return f"{value:,}" if isinstance(value, int) else value
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")


def measured(script: str | Path, part: str, quick: bool = False) -> Rows:
    """The rows of one part of a script, from a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.json"
        words = [sys.executable, str(script), part, "--here", str(file), *["--quick"] * quick]
        subprocess.run(words, check=True)
        return json.loads(file.read_text())


def main(doc: str | None, script: str, parts: Mapping[str, Callable[[bool], Rows]], argv: Sequence[str] | None = None):
    """The command line of a script of parts."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer repeats")
    parser.add_argument("--here", metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    unknown = [part for part in options.parts if part not in parts]
    if unknown:
        parser.error(f"no part {unknown[0]!r}: choose among {', '.join(parts)}")
    if options.here:
        jax.config.update("jax_enable_x64", True)
        rows = [{k: v for k, v in r.items() if v == v} for r in parts[options.parts[0]](options.quick)]  # JSON has no nan
        Path(options.here).write_text(json.dumps(rows, allow_nan=False))
        return
    for part in options.parts or parts:
        print(f"\n{part}", flush=True)
        print(table(measured(script, part, options.quick)), flush=True)
