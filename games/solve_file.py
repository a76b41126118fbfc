"""``nashgrid solve FILE.nfg``: the equilibria of a finite game in a file."""

import argparse
import json
import time
from typing import Any

METHODS = ("support", "vertex", "exact", "lemke-howson", "pure", "logit", "zero-sum")


def add_to(commands: Any) -> None:
    """The subcommand's arguments."""
    parser = commands.add_parser("solve", help="equilibria of a finite game in Gambit's .nfg format")
    parser.add_argument("file", help="an .nfg file, of payoffs or of outcomes")
    parser.add_argument(
        "--method",
        choices=METHODS,
        help="default with --all: support; default for one equilibrium: lemke-howson (two players) or logit",
    )
    parser.add_argument("--all", action="store_true", help="every equilibrium the method finds, and whether it is all")
    parser.add_argument("--json", action="store_true", help="JSON on standard output, and nothing else")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    import jax

    jax.config.update("jax_enable_x64", True)
    from solver import NormalForm

    game = NormalForm.from_nfg(options.file)
    method = options.method or _default(game, options.all)
    began = time.perf_counter()
    report = _exact(game) if method == "exact" else _floats(game, method)
    if not options.all:
        report["equilibria"] = report["equilibria"][-1:] if method == "logit" else report["equilibria"][:1]
    report = {"file": options.file, "players": game.players, "method": method, **report}
    report["seconds"] = round(time.perf_counter() - began, 4)
    print(json.dumps(report)) if options.json else _print(report)
    return 0 if report["equilibria"] else 1


def _default(game, everything: bool) -> str:
    if everything:
        return "support"
    return "lemke-howson" if len(game.players) == 2 else "logit"


def _floats(game, method: str) -> dict[str, Any]:
    import solver

    if method == "zero-sum":
        found, complete = [solver.zero_sum(game)], False
    else:
        equilibria = {
            "support": solver.support_enumeration,
            "vertex": solver.vertex_enumeration,
            "lemke-howson": solver.lemke_howson,
            "pure": solver.pure_equilibria,
            "logit": solver.logit_path,
        }[method](game)
        found, complete = equilibria.to_list(), bool(equilibria.complete) and method != "pure"
        found = found[-1:] if method == "logit" else found
    return {
        "complete": complete,
        "equilibria": [
            {
                "strategies": [strategy.tolist() for strategy in one.strategies],
                "payoffs": one.payoffs.tolist(),
                "max_regret": float(one.max_regret),
                "status": solver.Status(int(one.status)).name,
            }
            for one in found
        ],
    }


def _exact(game) -> dict[str, Any]:
    from solver import components

    parts = components(game)
    equilibria = [
        {"strategies": [[str(v) for v in s] for s in pair], "max_regret": 0.0, "status": "exact", "component": at}
        for at, part in enumerate(parts)
        for pair in part.extremes
    ]
    return {"complete": True, "components": len(parts), "equilibria": equilibria}


def _print(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{report['file']}: {report['method']}", title_justify="left")
    for name in ("", *report["players"], "payoffs", "max_regret", "status"):
        table.add_column(name)
    for at, one in enumerate(report["equilibria"], 1):
        mixtures = [", ".join(v if isinstance(v, str) else f"{v:.6g}" for v in s) for s in one["strategies"]]
        payoffs = ", ".join(f"{v:.6g}" for v in one.get("payoffs", []))
        status = one["status"] + (f", component {one['component'] + 1}" if "component" in one else "")
        table.add_row(str(at), *mixtures, payoffs, f"{one['max_regret']:.2g}", status)
    console = Console(highlight=False)
    console.print(table)
    known = "proved to be all" if report["complete"] else "not proved to be all"
    console.print(f"{len(report['equilibria'])} found, {known}; {report['seconds']:.3g} s")
