"""The command ``nashgrid``."""

import argparse
import ast
import json
import sys
from pathlib import Path
from typing import Any

from games import solve_file


def main(arguments: list[str] | None = None) -> int:
    """Run a subcommand; bad input is one line on standard error and exit status 2."""
    parser = argparse.ArgumentParser(prog="nashgrid", description="Certified equilibria of the restriction game.")
    commands = parser.add_subparsers(dest="command", required=True)
    impact = commands.add_parser(
        "impact", help="what the restriction does: open, Nash, concerted, planner side by side"
    )
    impact.add_argument("--calibration", help="a calibration by name, e.g. 2025 (default: the default world)")
    impact.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change a parameter; repeatable"
    )
    impact.add_argument("--out", type=Path, help="folder for impact.nc and the figures")
    impact.add_argument("--json", action="store_true", help="the Dataset as JSON on standard output, and nothing else")
    study = commands.add_parser("sweep", help="equilibria across a grid of parameters, as a study's TOML file says")
    study.add_argument("study", metavar="STUDY", help="a TOML file, or a shipped study by name, e.g. cooperation_rho")
    study.add_argument(
        "--store",
        type=Path,
        required=True,
        help="directory of the zarr store that is written; the study's figure, PDF and PNG, beside it",
    )
    study.add_argument("--resume", action="store_true", help="continue the store that is there")
    study.add_argument("--workers", type=int, default=0, help="processes that solve chunks (default: this one)")
    study.set_defaults(run=_sweep)
    judged = commands.add_parser("claims", help="the 25 claims over a prior: where each holds, and what decides it")
    judged.add_argument("--draws", type=int, default=1024, help="worlds drawn, best a power of two (default: 1024)")
    judged.add_argument("--seed", type=int, default=0, help="of the scrambled Sobol sequence (default: 0)")
    judged.add_argument("--prior", type=Path, metavar="FILE", help="a TOML file with another prior")
    judged.add_argument(
        "--calibration", nargs="?", const="2025", help="judge a calibrated world too, and a band around it (2025)"
    )
    judged.add_argument(
        "--sensitivity", type=int, default=0, metavar="N", help="base draws of Sobol indices (default: none)"
    )
    judged.add_argument(
        "--robustness", type=int, default=0, metavar="N", help="draws judged again under every variant (default: none)"
    )
    judged.add_argument(
        "--out",
        type=Path,
        help="folder for the report (.html, .md, .tex), the figures and claims.nc; a run that was stopped goes on there",
    )
    judged.set_defaults(run=_claims)
    fitted = commands.add_parser(
        "fit", help="a calibration fitted to reported moments, and the claims along what they leave open"
    )
    fitted.add_argument("--out", type=Path, help="folder for fit.nc")
    fitted.set_defaults(run=_fit)
    solve_file.add_to(commands)
    impact.set_defaults(run=_impact)
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except (ValueError, OSError) as error:
        print(f"nashgrid: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _impact(options: argparse.Namespace) -> int:
    import jax

    jax.config.update("jax_enable_x64", True)
    from rich.console import Console

    from games.restriction import RestrictionGame, impact
    from games.restriction.figures import draw
    from games.restriction.incumbents import calibration

    settings = calibration(options.calibration) if options.calibration else {}
    game = RestrictionGame(**(settings | dict(_setting(text) for text in options.set)))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    with console.status("starting") as status:
        ds = impact(game, progress=lambda message: status.update(f"{message} ..."))
    ds.attrs["calibration"] = options.calibration or "default world"
    ds.attrs["changes"] = " ".join(options.set)
    if options.out:
        target = options.out / "impact.nc"
        part = target.with_suffix(".part")
        ds.to_netcdf(part, engine="h5netcdf")
        part.replace(target)
        draw(ds, options.out)
    if options.json:
        print(json.dumps(_jsonable(ds.to_dict())))
    else:
        _print(ds)
        if options.out:
            print(f"\nwritten to {options.out}: impact.nc, outcomes and mixes (.pdf, .png)")
    return 0


def _sweep(options: argparse.Namespace) -> int:
    import contextlib

    import jax

    jax.config.update("jax_enable_x64", True)
    from games.restriction.study import study
    from solver import Status

    chosen = study(options.study)
    with contextlib.ExitStack() as stack:
        client = None
        if options.workers > 0:
            from distributed import Client, LocalCluster

            cluster = stack.enter_context(LocalCluster(n_workers=options.workers, threads_per_worker=1, processes=True))
            client = stack.enter_context(Client(cluster))
        try:
            ds = chosen.run(store=options.store, resume=options.resume, client=client)
        except KeyboardInterrupt:
            print(f"nashgrid: stopped; --resume continues {options.store}", file=sys.stderr)
            return 130
    status, size = ds.status.values, ds.status.size
    seconds = ds.attrs["wall_seconds"]
    print(f"{chosen.title}: {' x '.join(f'{name} ({ds.sizes[name]})' for name in ds.status.dims)}")
    for kind in Status:
        if count := int((status == kind).sum()):
            print(f"  {kind.name:<12} {count:>10,} points, {count / size:.1%}")
    if (status == Status.converged).any():
        print(
            f"  largest regret where converged: {float(ds.max_regret.where(ds.status == Status.converged).max()):.2g}"
        )
    if "num_equilibria" in ds:
        print(f"  several equilibria: {float((ds.num_equilibria > 1).mean()):.1%} of the points")
    print(f"  {size:,} points in the store {options.store}, this call {seconds:.1f} s")
    if chosen.figure_table:
        from solver.plot.style import save

        target = options.store.with_name(options.store.name.removesuffix(".zarr"))
        beside = target if target != options.store else target.with_name(f"{target.name}_figure")
        print(f"  figure: {', '.join(str(path) for path in save(chosen.figure(ds), beside))}")
    return 0


def _claims(options: argparse.Namespace) -> int:
    import jax

    jax.config.update("jax_enable_x64", True)
    from rich.console import Console

    from games.restriction.claims import claims, report

    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
    with Console(stderr=True).status("starting") as status:
        ds = claims(
            options.draws,
            options.seed,
            prior_file=options.prior,
            calibration=options.calibration,
            sensitivity=options.sensitivity,
            robustness=options.robustness,
            store=options.out and options.out / "kept",
            progress=lambda message: status.update(f"{message} ..."),
        )
    report.print_table(ds)
    if options.out:
        report.write(ds, options.out)
        print(f"\nwritten to {options.out}: claims (.html, .md, .tex, .nc), further tables, and the figures")
    return 0


def _fit(options: argparse.Namespace) -> int:
    import jax

    jax.config.update("jax_enable_x64", True)
    from rich.console import Console

    from games.restriction import fit_report
    from games.restriction.fit import fit

    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
    with Console(stderr=True).status("starting") as status:
        ds = fit(progress=lambda message: status.update(f"{message} ..."))
    fit_report.print_fit(ds)
    if options.out:
        ds.to_netcdf(options.out / "fit.nc", engine="h5netcdf")
        print(f"\nwritten to {options.out}: fit.nc")
    return 0


def _setting(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign or not name or not value:
        raise ValueError(f"--set {text!r}: write NAME=VALUE, for instance --set rho=inf")
    try:
        return name.strip(), ast.literal_eval(value)
    except (ValueError, SyntaxError):
        pass
    try:
        return name.strip(), float(value)
    except ValueError:
        return name.strip(), tuple(value.split(",")) if "," in value else value


def _jsonable(value: Any) -> Any:
    """Standard JSON has no NaN: it becomes null."""
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    if hasattr(value, "tolist"):
        return _jsonable(value.tolist())
    return None if isinstance(value, float) and value != value else value


# what the tables show: the dimension that makes rows, and for each row the variables
BLOCKS = (
    ("Incumbents", "incumbent", ("restriction", "incumbent_payoff", "incumbent_use")),
    ("Challengers", "challenger", ("mix", "challenger_payoff", "challenger_use", "sovereign_lag", "effort",
                                   "effort_regret", "fee")),
    ("Blocs", "bloc", ("knowledge", "consumer_surplus", "profits", "subsidies", "bloc_welfare", "world_share",
                       "home_sourced", "share_abroad")),
    ("World", None, ("welfare", "frontier_speed", "deployment", "mean_lag", "relative_quality", "open_lag", "hhi_inside",
                     "hhi_total", "incumbents_share", "fringe_use", "labs_near_frontier", "tiering", "duplicated_cost",
                     "total_effort", "home_sourced_world", "lost_knowledge", "num_stacks")),
    ("Certificates", None, ("max_regret", "epsilon", "certificate", "status", "objective")),
)  # fmt: skip


def _print(ds) -> None:
    from rich.console import Console
    from rich.table import Table

    from solver import Status

    console = Console(width=max(160, Console().width), highlight=False)
    for title, dimension, names in BLOCKS:
        table = Table(title=title, title_justify="left", title_style="bold")
        table.add_column("", no_wrap=True)
        for column in ds.column.values:
            table.add_column(column.replace("_", " "), justify="right")
        for label in [None] if dimension is None else ds[dimension].values:
            for name in names:
                row = ds[name] if label is None else ds[name].sel({dimension: label})
                rest = [d for d in row.dims if d != "column"]
                flat = row.stack(row=rest) if rest else row.expand_dims(row=[None])
                for key in flat.row.values:
                    values = flat.sel(row=key).values if rest else row.values
                    about = "" if not rest else f" {' '.join(map(str, key))}"
                    head = f"{label}: " if label is not None else ""
                    if name == "status":
                        values = [Status(int(v)).name for v in values]
                    table.add_row(f"{head}{name}{about}", *[v if isinstance(v, str) else f"{v:.4g}" for v in values])
        console.print(table)
    console.print("[bold]From each start, the equilibrium reached[/bold]")
    for start in ds.start.values:
        one = ds.sel(start=start)
        r = ", ".join(f"{v:.4f}" for v in one.start_restriction.values.ravel())
        console.print(f"  r = {start:g}: {one.start_column.item()} ({r}), {Status(int(one.start_status)).name}")
    console.print(f"[dim]mode {ds.attrs['mode']}, timing {ds.attrs['timing']}; regrets in bn $/year[/dim]")


if __name__ == "__main__":
    sys.exit(main())
