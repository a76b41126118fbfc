"""Every benchmark in one command; its figures as JSON; the README's tables from that JSON.

    python benchmarks/run.py [SCRIPT ...] [--quick] [--out FILE]   # measure, write FILE after every part, print its tables
    python benchmarks/run.py --readme [--out FILE]                 # write FILE's tables between the README's markers

Scripts not named keep the figures that FILE has, if they are of this commit, precision and size. Every part runs in a process
of its own; peers that are not installed are named and skipped; a part that fails is a row that says so. ``--quick`` is for a
first look, two minutes on two cores: smaller sizes, without names only the parts in ``ROUGHLY``, two parts at a time, so that
each disturbs the other, and programs shared by JAX's compilation cache, so that first calls are not cold.
"""

import argparse
import importlib
import json
import re
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
from measure import Rows, cell, machine, measured, table

HERE = Path(__file__).parent
RESULTS, README = HERE / "results.json", HERE.parent / "README.md"
SCRIPTS = ("starts", "restriction", "sweep", "finite", "finite_checks", "continuous", "scaling")
ROUGHLY = {
    "starts": ["imports"],
    "restriction": ["stages", "incumbents", "scipy"],
    "sweep": ["overhead", "phase"],
    "finite": ["all", "one", "logit"],
    "continuous": ["cournot"],
}
BLOCK = re.compile(r"(<!-- benchmarks -->\n).*?(<!-- /benchmarks -->)", re.S)
CACHE = ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")
SAME = ("device", "devices", "dtype", "commit")  # what figures have in common that stand in one file


def run(scripts: list[str], quick: bool, file: Path) -> dict[str, Any]:
    """Measure some scripts, or all, and write what is known so far after every part."""
    chosen = {name: parts_of(name) for name in scripts} or (ROUGHLY if quick else {s: parts_of(s) for s in SCRIPTS})
    parts = [(script, part) for script, some in chosen.items() for part in some]
    jax.config.update("jax_enable_x64", True)
    results = {"machine": machine(), "quick": quick, "parts": {}}
    if file.exists():
        old = json.loads(file.read_text())
        if old["quick"] == quick and all(old["machine"].get(k) == results["machine"][k] for k in SAME):
            results["parts"] = {k: v for k, v in old["parts"].items() if k not in {f"{s} {p}" for s, p in parts}}
    with tempfile.TemporaryDirectory() as folder:
        env: dict[str, str] = dict(zip(CACHE, (folder, "0"), strict=True)) if quick else {}

        def timed(name: str, part: str) -> tuple[float, Rows]:
            began = time.perf_counter()
            rows = measured(HERE / f"{name}.py", part, quick, env)
            return time.perf_counter() - began, rows

        with ThreadPoolExecutor(2 if quick else 1) as pool:
            for (name, part), (seconds, rows) in zip(parts, pool.map(timed, *zip(*parts, strict=True)), strict=True):
                print(f"\n{name} {part} ({seconds:.0f} s)\n{table(rows)}", flush=True)
                results["parts"][f"{name} {part}"] = {"seconds": seconds, "rows": rows}
                file.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    if "scaling" in chosen and not quick:
        importlib.import_module("scaling").figure(results["parts"], file.with_name("scaling.png"))
    return results


def parts_of(script: str) -> list[str]:
    """The parts of a script; one that cannot be imported fails as a whole, when it is run."""
    try:
        return list(importlib.import_module(script).PARTS)
    except Exception:
        return ["all"]


def readme_tables(results: dict[str, Any]) -> str:
    """What stands in the README: the machine, every workload that has an aim, what failed, and a few tables of their own."""
    rows: Rows = [row | {"part": name} for name, part in results["parts"].items() for row in part["rows"]]
    tables = {
        "": [summary(row) for row in rows if row.get("aim")],
        "What failed:": [{"part": row["part"], "failed": row["failed"]} for row in rows if "failed" in row],
        "First answers in a new process, in seconds:": [without_part(row) for row in rows if "entry point" in row],
        "Time and memory against size, as size^slope over the upper half of the sizes (`benchmarks/scaling.png`):": [
            without_part(row) for row in rows if "slope" in row
        ],
        "Lanes of a sweep that give way when they have ended, beside one loop that waits for the last:": [
            without_part(row) for row in rows if "steps wasted by one loop" in row
        ],
        "Fast mode beside exact mode:": [without_part(row) for row in rows if "fast against exact" in row],
    }
    told = [f"{title}\n\n{table(some)}".strip() for title, some in tables.items() if some]
    return "\n\n".join([about(results), *told])


def summary(row: dict[str, Any]) -> dict[str, Any]:
    """A workload in one line, whether it is a ratio to a peer or a figure to stay below."""
    if "measured" in row:
        row = row | {"measured": f"{cell(row['measured'])} {row['unit']}"}
    names = "workload,µs each,measured,beside,its µs,ratio,ratio from arrays,ratio on all cores,aim,floor,floors"
    return {name: row.get(name, "") for name in names.split(",")}


def without_part(row: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k != "part"}


def about(results: dict[str, Any]) -> str:
    m = results["machine"]
    peers = ", ".join(f"{name} {m[name]}" for name in ("quantecon", "pygambit", "nashpy", "nashopt", "scipy", "numba"))
    how = "` on" if not results["quick"] else " --quick`, two parts at a time, on"
    return (
        f"`python benchmarks/run.py{how} {m['device']}, {m['cores']} cores, load {m['load']}: commit {m['commit']}, jax "
        f"{m['jax']}, {m['dtype']}, Python {m['python']}; beside {peers}. A ratio is of one thread to one where the peer "
        "has one, its objects built before (from arrays: their building timed too); floors: how many times the least time that "
        "payoffs, memory or exponentials need here."
    )


def write_readme(results: dict[str, Any], readme: Path = README) -> None:
    """Put the tables between the markers.

    :raises ValueError: if the markers are not there.
    """
    text = readme.read_text()
    if not BLOCK.search(text):
        raise ValueError(
            f"{readme.name} has no <!-- benchmarks --> ... <!-- /benchmarks -->: put these lines where tables go"
        )
    readme.write_text(BLOCK.sub(lambda found: f"{found[1]}{readme_tables(results)}\n{found[2]}", text))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scripts", nargs="*", metavar="SCRIPT", help=f"of {', '.join(SCRIPTS)} (default: all)")
    parser.add_argument(
        "--quick", action="store_true", help="smaller sizes, fewer repeats, two parts at a time: two minutes"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the JSON (default: benchmarks/results.json, or results-quick.json)"
    )
    parser.add_argument(
        "--readme", action="store_true", help="measure nothing: write the README's tables from the JSON"
    )
    options = parser.parse_args()
    unknown = [name for name in options.scripts if name not in SCRIPTS]
    if unknown:
        parser.error(f"no script {unknown[0]!r}: choose among {', '.join(SCRIPTS)}")
    file = options.out or (RESULTS.with_stem("results-quick") if options.quick else RESULTS)
    if options.readme:
        write_readme(json.loads(file.read_text()))
        return
    print(f"\n{readme_tables(run(options.scripts, options.quick, file))}")


if __name__ == "__main__":
    main()
