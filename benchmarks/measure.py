"""What the benchmarks share: clocks, floors, rows, and parts that run in processes of their own.

A part is a function of ``quick`` that returns rows, mappings of a column's name (with its unit) to words or numbers. Every
part runs in a process of its own, so that peak memory and cold starts are its own.
"""

import argparse
import functools
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
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Row = dict[str, Any]
Rows = list[Row]
CORES = os.cpu_count() or 1
MOST = 900  # seconds that a part may take
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
    floor: tuple[str, float] = ("", math.nan),
    **more: Any,
) -> Row:
    """A workload beside a peer and above its floor: seconds for ``each`` items, of which the peer's are for one."""
    return {
        "workload": workload,
        "µs each": 1e6 * ours / each,
        "beside": beside,
        "its µs": 1e6 * theirs,
        "ratio": theirs * each / ours,
        "aim": aim,
        "floor": floor[0],
        "floors": ours / floor[1],
        **more,
    }


def within(workload: str, measured: float, unit: str, *, beside: str = "", aim: str = "", **more: Any) -> Row:
    """A workload that is to stay below a figure."""
    return {"workload": workload, "measured": measured, "unit": unit, "beside": beside, "aim": aim, **more}


def on_all_cores(function: Callable[..., Any], *batch: Any) -> Callable[[], list]:
    """A call of ``function`` on a batch (arrays lead with its items), cut into a part for each core of a CPU."""
    cores = CORES if jax.default_backend() == "cpu" else 1
    parts = [
        jax.block_until_ready([jnp.asarray(a) for a in part])
        for part in zip(*(np.array_split(b, cores) for b in batch), strict=True)
    ]
    pool = _threads()
    return lambda: list(pool.map(lambda part: jax.block_until_ready(function(*part)), parts))


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(CORES)


def floor(
    *, payoffs: Callable[..., Any] | None = None, batch: Sequence[Any] = (), nbytes: int = 0, exponentials: int = 0
):
    """What bounds a workload on all cores, and the least seconds it can take, each measured here.

    ``payoffs`` of ``batch`` evaluated once, bytes read or written once, exponentials at their peak: the largest of them.
    """
    able, bounds = limits(), {}
    if payoffs is not None:
        run = on_all_cores(jax.jit(payoffs), *batch)
        bounds["payoffs once"] = float(by_turns(5, run).min())
    bounds["memory"] = nbytes / able["bytes a second"]
    bounds["exponentials"] = exponentials / able["exponentials a second"]
    return max(bounds.items(), key=lambda item: item[1])


@cache
def limits() -> dict[str, float]:
    """What this device does at most in this process, on all cores: exponentials and bytes read or written, a second."""
    small, large = jnp.linspace(0.0, 1.0, 2**15), jnp.zeros(2**24)
    exp = jax.jit(lambda x: jax.lax.fori_loop(0, 64, lambda _, y: jnp.exp(-y), x))
    add = jax.jit(lambda x: x + 1)
    many = np.broadcast_to(small, (CORES, len(small)))
    fast, wide = by_turns(5, on_all_cores(exp, many), on_all_cores(add, large)).min(axis=0)
    return {"exponentials a second": 64 * many.size / fast, "bytes a second": 2 * large.nbytes / wide}


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
    root = Path(__file__).parents[1]
    git = functools.partial(subprocess.run, cwd=root, capture_output=True, text=True)
    measured = ["--", "solver", "games"]  # a commit of documents does not part figures from their code
    commit = git(["git", "log", "-1", "--abbrev=9", "--format=%h", *measured]).stdout.strip()
    changed = git(["git", "status", "--porcelain", *measured]).stdout.strip()
    return {
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "dtype": "float64" if jax.config.read("jax_enable_x64") else "float32",
        "python": platform.python_version(),
        **{name: _version(name) for name in VERSIONS},
        "commit": (commit or "unknown") + "-dirty" * bool(changed),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def table(rows: Rows) -> str:
    """Rows in Markdown; a column without a value anywhere is left out."""
    columns = [c for c in dict.fromkeys(c for r in rows for c in r) if any(cell(r.get(c)) for r in rows)]
    words = {c for r in rows for c, value in r.items() if isinstance(value, str) and value}
    lines = [columns, ["---" if c in words else "---:" for c in columns]]
    lines += [[cell(r.get(c)) for c in columns] for r in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _known(value: Any) -> bool:
    """JSON has no nan."""
    return value is not None and (isinstance(value, str) or bool(np.isfinite(value)))


def cell(value: Any) -> str:
    """A number to three places, a word as it is, nothing for what is not known."""
    if not _known(value):
        return ""
    if isinstance(value, (str, int)):
        return f"{value:,}" if isinstance(value, int) else value
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")


def measured(script: str | Path, part: str, quick: bool = False, env: Mapping[str, str] | None = None) -> Rows:
    """The rows of one part of a script, from a process of its own; one that fails or takes too long is a row that says so."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.json"
        words = [sys.executable, str(script), part, "--here", str(file), *["--quick"] * quick]
        try:
            done = subprocess.run(
                words, env=os.environ | dict(env or {}), timeout=MOST, stderr=subprocess.PIPE, text=True
            )
        except subprocess.TimeoutExpired:
            return [{"workload": part, "failed": f"not done in {MOST} s"}]
        if done.returncode or not file.exists():
            last = (done.stderr.strip().splitlines() or [""])[-1]
            print(done.stderr, file=sys.stderr, flush=True)
            return [{"workload": part, "failed": f"exit {done.returncode}: {last[:200]}"}]
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
        rows = [{k: v for k, v in r.items() if _known(v)} for r in parts[options.parts[0]](options.quick)]
        Path(options.here).write_text(json.dumps(rows, allow_nan=False, default=lambda x: x.item()))
        return
    for part in options.parts or parts:
        print(f"\n{part}", flush=True)
        print(table(measured(script, part, options.quick)), flush=True)
