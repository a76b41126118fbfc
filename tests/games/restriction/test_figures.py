"""A study's figure: what its table may say, what is refused before anything is solved, and the figures of ``impact``."""

import sys

import jax
import numpy as np
import pytest
import xarray as xr

from games.cli import main
from games.restriction import figures, study
from games.restriction.figures import PANELS, draw, restricting, selected
from games.restriction.study import STUDIES
from solver import Status

SHIPPED = sorted(path.stem for path in STUDIES.glob("*.toml"))


def filled(read, seed=0):
    """The Dataset of a study with numbers that were never solved for."""
    rng, ds = np.random.default_rng(seed), read.blank()
    ds = ds.map(lambda v: v.copy(data=rng.random(v.shape)), keep_attrs=True)
    whole = {"status": Status.converged, "num_equilibria": 1}
    return ds.assign({n: xr.full_like(ds[n], v, dtype=int) for n, v in whole.items() if n in ds})


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_studies_draw_themselves(name):
    read = study(name)
    figure = read.figure(filled(read))
    grid = list(read.arguments["grid"].values())
    for ax in figure.axes:
        assert ax.get_xlim() == (grid[0].min(), grid[0].max())
        assert ax.get_ylim() == (grid[1].min(), grid[1].max())
    assert figure.axes[0].get_xlabel().split()[0] in grid[0].attrs["long_name"]
    assert len(figure.legends[0].get_texts()) >= 3
    assert figure.get_figwidth() == (7.0 if read.figure_table.get("columns") == 2 else 3.4)


@pytest.mark.parametrize("name", ["cooperation_rho", "restriction_knowledge"])
def test_a_blank_dataset_is_like_a_sweeps(name, monkeypatch):
    """The dimensions of what ``sweep`` is going to return, from its own description of it."""
    read = study(name)
    monkeypatch.setattr(sys.modules["games.restriction.study"], "sweep", described)  # the name is a function's too
    wanted, blank = read.run(), read.blank()
    assert {n: v.dims for n, v in blank.data_vars.items()} == wanted


def described(make_game, grid, outputs, starts=None, **options):
    game = make_game(**{name: float(v[0]) for name, v in grid.items()})
    found = {}

    def traced(profile):
        found.update({name: tuple(dims) for name, (dims, *_) in outputs(game, profile).items()})
        return 0

    jax.eval_shape(traced, tuple(space.midpoint() for space in game.actions()))
    found |= {"strategies": ("player", "action"), "payoffs": ("player",), "regret": ("player",)}
    found |= dict.fromkeys(("max_regret", "status", "num_steps"), ())
    if starts is not None:
        found |= {f"{name}_2": dims for name, dims in found.items()} | {"num_equilibria": ()}
    return {name: (*grid, *dims) for name, dims in found.items()}


STUDY = 'outputs = ["mix", "welfare"]\n[grid]\nsigma = [0.5, 0.9]\nrho = [1.0, 2.0]\n[figure]\n'


@pytest.mark.parametrize(
    ("table", "line", "words"),
    [
        ('regime = "mox"', 6, ("regime = 'mox'", "did you mean mix?")),
        ('regime = "mix"', 6, ("challenger", "facet", "select")),
        ('regime = "restricting"\ncontour = "knowledge"', 7, ("contour = 'knowledge'", "no such variable")),
        ('regime = "restricting"\nx = "roh"', 7, ("x = 'roh'", "did you mean rho?")),
        ('regime = "restricting"\ncolour = "red"', 7, ("colour is unknown", "did you mean contour?")),
        ('kind = "pie"', 6, ("kind = 'pie'", "phase_diagram", "curves")),
        ('contour = "welfare"', 5, ("regime is missing",)),
        ('kind = "curves"', 5, ("y is missing",)),
        ('regime = "mix"\nselect = {challenger = "TW 9"}', 7, ("challenger = TW 9", "did you mean TW")),
        ('regime = "mix"\nselect = {chalenger = "TW 1"}', 7, ("'chalenger'", "did you mean challenger?")),
        ('kind = "curves"\ny = "mix"', 7, ("y = 'mix'", "rho, challenger, strategy")),
        ("columns = 3\nregime = 'restricting'", 6, ("columns = 3",)),
    ],
)
def test_a_wrong_figure_is_refused_before_the_sweep(tmp_path, capsys, table, line, words):
    file, store = tmp_path / "s.toml", tmp_path / "s.zarr"
    file.write_text(STUDY + table + "\n")
    assert main(["sweep", str(file), "--store", str(store)]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert all(word in message for word in (f"s.toml, line {line}:", *words)), message
    assert not store.exists()


def test_a_third_parameter_is_a_facet_or_one_value(tmp_path):
    file = tmp_path / "s.toml"
    text = STUDY.replace("rho =", "bite = [0.5, 0.7, 1.0]\nrho =") + 'regime = "restricting"\n'
    file.write_text(text + 'facet = "rho"\n')
    read = study(file)
    titles = [ax.get_title() for ax in read.figure(filled(read)).axes]
    assert titles == ["$ρ$ = 1", "$ρ$ = 2"]
    file.write_text(text + 'contour = "welfare"\nselect = {rho = 2.0000000001}\n')
    read = study(file)
    figure = read.figure(filled(read))
    assert "world welfare, $ρ$ = 2" in figure.legends[0].get_texts()[-1].get_text()


def test_curves_of_a_study(tmp_path):
    file = tmp_path / "s.toml"
    file.write_text(STUDY + 'kind = "curves"\ny = "mix"\nx = "sigma"\nfacet = "rho"\nselect = {challenger = "CN 1"}\n')
    read = study(file)
    ds = filled(read)
    line = read.figure(ds).axes[1].get_lines()[2]
    wanted = ds.mix.sel(challenger="CN 1", strategy="applied").isel(rho=1)
    np.testing.assert_allclose(line.get_ydata(), wanted)


def test_who_restricts():
    strategies = xr.DataArray(
        np.array([[0.0, 0.01], [0.5, 0.0], [0.5, 1.0]])[..., None], dims=("p", "player", "action")
    )
    regime = restricting(xr.Dataset({"strategies": strategies}))
    assert regime.values.tolist() == [0, 1, 2]
    assert regime.attrs["flag_meanings"] == "none some all"


def test_selection_keeps_lists_and_names_single_values():
    ds = study("subsidy_effort_cost").blank()
    some = selected(ds, {"challenger": ["TW 1", "CN 1"], "bloc": "TW"})
    assert some.challenger.values.tolist() == ["TW 1", "CN 1"]
    assert some.bloc_welfare.attrs["long_name"] == "welfare of a bloc, TW"
    assert some.welfare.attrs["long_name"] == "world welfare"


def test_the_figures_of_impact(tmp_path):
    rng, curve, columns = np.random.default_rng(0), np.linspace(0, 1, 5), ["open", "nash", "concerted", "planner"]
    coords = {"column": columns, "common_restriction": curve, "challenger": ["A", "B", "C"]}
    coords |= {"strategy": ["client", "sovereign", "applied"], "incumbent": ["I", "J"], "bloc": ["X", "Y"]}
    own = {"incumbent_payoff": ["incumbent"], "challenger_payoff": ["challenger"], "sovereign_lag": ["challenger"]}
    own |= {"knowledge": ["bloc"], "mix": ["challenger", "strategy"], "restriction": ["incumbent"]}
    ds = xr.Dataset(coords=coords)
    for name in (*PANELS, "mix", "restriction"):
        for over, suffix in (("column", ""), ("common_restriction", "_curve")):
            dims = (over, *own.get(name, ()))
            ds[name + suffix] = (dims, rng.random([ds.sizes[d] for d in dims]), {"long_name": name, "units": "1"})
    paths = draw(ds, tmp_path)
    assert [p.name for p in paths] == ["outcomes.pdf", "outcomes.png", "mixes.pdf", "mixes.png"]
    assert all(p.stat().st_size > 10_000 for p in paths)
    assert len(figures._mixes(ds.isel(challenger=[])).axes) == 1
