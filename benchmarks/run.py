"""Every benchmark in one command; its figures as JSON; the README's tables from that JSON.

    python benchmarks/run.py [SCRIPT ...] [--quick] [--out FILE]   # measure, write FILE after every part, print its tables
    python benchmarks/run.py --readme [--out FILE]                 # write FILE's tables between the README's markers

Scripts not named keep the figures that FILE has, if they are of this commit, precision and size. Every part runs in a process
of its own; peers that are not installed are named and skipped; a part that fails is a row that says so.
"""

import argparse
import importlib
import json
import re
import time
from pathlib import Path
from typing import Any

import jax
from measure import Rows, machine, measured, table

HERE = Path(__file__).parent
RESULTS, README = HERE / "results.json", HERE.parent / "README.md"
SCRIPTS = ("starts", "restriction", "sweep", "finite", "finite_checks", "continuous", "scaling")
BLOCK = re.compile(r"(<!-- benchmarks -->\n).*?(<!-- /benchmarks -->)", re.S)
SAME = ("device", "devices", "dtype", "commit")  # what figures have in common that stand in one file


def run(scripts: list[str], quick: bool, file: Path) -> dict[str, Any]:
    """Measure, and write what is known so far after every part."""
    jax.config.update("jax_enable_x64", True)
    results = {"machine": machine(), "quick": quick, "parts": {}}
    if file.exists():
        old = json.loads(file.read_text())
        if old["quick"] == quick and all(old["machine"].get(k) == results["machine"][k] for k in SAME):
            results["parts"] = {k: v for k, v in old["parts"].items() if k.split()[0] not in scripts}
    for script in scripts:
        for part in importlib.import_module(script).PARTS:
            began = time.perf_counter()
            rows = measured(HERE / f"{script}.py", part, quick)
            seconds = round(time.perf_counter() - began, 1)
            print(f"\n{script} {part} ({seconds} s)\n{table(rows)}", flush=True)
            results["parts"][f"{script} {part}"] = {"seconds": seconds, "rows": rows}
            file.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    if "scaling" in scripts:
        importlib.import_module("scaling").figure(results["parts"], file.with_name("scaling.png"))
    return results


def readme_tables(results: dict[str, Any]) -> str:
    """What stands in the README: the machine, every workload that has an aim, what failed, first answers, slopes."""
    rows: Rows = [row | {"part": name} for name, part in results["parts"].items() for row in part["rows"]]
    aims = [_summary(row) for row in rows if row.get("aim")]
    firsts = [row for row in rows if "entry point" in row]
    slopes = [row for row in rows if "slope" in row]
    failed = [{"part": row["part"], "failed": row["failed"]} for row in rows if "failed" in row]
    told = [_machine(results), table(aims)]
    told += ["What failed:", table(failed)] if failed else []
    told += ["First answers in a new process, seconds:", table([_without(row, "part") for row in firsts])] if firsts else []
    told += ["Time against size (s ∝ size^slope, over the upper half of the sizes):", table([_without(row, "part") for row in slopes])] if slopes else []
    return "\n\n".join(told)


def _summary(row: dict[str, Any]) -> dict[str, Any]:
    """A workload in one line, whether it is a ratio to a peer or a figure to stay below."""
    if "ratio" in row:
        each = {"µs each": row["µs each"], "beside": row.get("beside", ""), "its µs": row.get("its µs"), "ratio": row["ratio"]}
    else:
        each = {"measured": f"{table_number(row['measured'])} {row['unit']}", "beside": row.get("beside", "")}
    order = ("workload", "µs each", "measured", "beside", "its µs", "ratio", "aim", "floor", "floors")
    full = row | each
    return {name: full.get(name, "") for name in order}


def table_number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k != name}


def _machine(results: dict[str, Any]) -> str:
    m = results["machine"]
    peers = ", ".join(f"{name} {m[name]}" for name in ("quantecon", "pygambit", "nashpy", "nashopt", "scipy", "numba"))
    size = "`--quick` sizes, " if results["quick"] else ""
    return (
        f"Measured by `python benchmarks/run.py`{' --quick' * 0}: {size}{m['device']}, {m['devices']} device, {m['cores']} cores, "
        f"load {m['load']}, jax {m['jax']}, {m['dtype']}, Python {m['python']}, commit {m['commit']}; beside {peers}."
    )


def write_readme(results: dict[str, Any], readme: Path = README) -> None:
    """Put the tables between the markers.

    :raises ValueError: if the markers are not there.
    """
    text = readme.read_text()
    if not BLOCK.search(text):
        raise ValueError(f"{readme.name} has no <!-- benchmarks --> ... <!-- /benchmarks -->: put these lines where tables go")
    readme.write_text(BLOCK.sub(lambda found: f"{found[1]}{readme_tables(results)}\n{found[2]}", text))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scripts", nargs="*", metavar="SCRIPT", help=f"of {', '.join(SCRIPTS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer repeats: about two minutes")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FILE", help="the JSON (default: benchmarks/results.json)")
    parser.add_argument("--readme", action="store_true", help="measure nothing: write the README's tables from the JSON")
    options = parser.parse_args()
    unknown = [name for name in options.scripts if name not in SCRIPTS]
    if unknown:
        parser.error(f"no script {unknown[0]!r}: choose among {', '.join(SCRIPTS)}")
    if options.readme:
        write_readme(json.loads(options.out.read_text()))
        return
    print(f"\n{readme_tables(run(options.scripts or list(SCRIPTS), options.quick, options.out))}")


if __name__ == "__main__":
    main()
