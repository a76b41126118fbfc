"""Studies: the files that are shipped, errors by line, and one run from the command to the store."""

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from games.cli import main
from games.restriction import VARIABLES, ImposedRestriction, RestrictionGame, outcomes, study
from games.restriction.study import STUDIES

SHIPPED = sorted(path.stem for path in STUDIES.glob("*.toml"))


def test_what_is_shipped():
    assert SHIPPED == [
        "appropriability_horizon", "bite_trust", "cooperation_rho", "restriction_knowledge", "subsidy_effort_cost",
    ]  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_studies_are_read(name):
    read = study(name)
    assert len(read.arguments["grid"]) == 2
    assert read.title != name
    for axis in read.arguments["grid"].values():
        assert {"long_name", "units"} <= set(axis.attrs)
    assert set(read.arguments["outputs"].names) <= set(VARIABLES)
    assert read.figure_table["contour"] in read.arguments["outputs"].names
    game = read.arguments["make_game"](**{k: float(v[0]) for k, v in read.arguments["grid"].items()})
    assert isinstance(game, ImposedRestriction) == (name == "restriction_knowledge")


def test_base_and_scalars_are_spread(tmp_path):
    file = tmp_path / "s.toml"
    file.write_text(
        '[base]\ncalibration = "2025"\nsigma = 0.5\n[grid]\nbite = {start=0.1, stop=1, num=3, scale="log"}\n'
    )
    arguments = study(file).arguments
    assert_allclose(arguments["grid"]["bite"], [0.1, np.sqrt(0.1), 1.0])
    game, wanted = arguments["make_game"](bite=0.4), RestrictionGame.calibrated("2025", sigma=0.5, bite=0.4)
    assert game.players == wanted.players
    for name in ("bite", "sigma", "absorption", "mass"):
        assert_allclose(getattr(game.parameters, name), getattr(wanted.parameters, name), err_msg=name)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[grid]\nrho = [1.0, oops]\n", ("line 2",)),
        ("[grid]\nroh = [1.0]\n", ("line 2", "roh is unknown", "rho")),
        ("[gird]\nrho = [1.0]\n", ("line 1", "gird is unknown", "grid")),
        ("title = 'x'\n\n[base]\n", ("there is no grid",)),
        ("[base]\nsigma = -1\n[grid]\nrho = [1.0]\n", ("line 2", "sigma = -1", "above 0")),
        ("[grid]\nsigma = [1.0]\nrho = [1.0, -2.0]\n", ("line 3", "rho = -2", "above 0")),
        ("[grid]\nrho = {start = 1, stop = 2}\n", ("line 2", "num")),
        ("[grid]\nrestriction = [0.0, 1.5]\n", ("line 2", "restriction = 1.5", "[0, 1]")),
        ("outputs = ['mox']\n[grid]\nrho = [1.0]\n", ("line 1", "'mox'", "mix")),
        ("[grid]\nrho = [1.0]\n[algorithm]\nname = 'newton'\n", ("line 4", "'newton'", "best_response")),
        ("[base]\ncalibration = '1925'\n[grid]\nrho = [1.0]\n", ("line 2", "1925", "2025")),
    ],
)
def test_errors_are_one_line_with_its_number(tmp_path, capsys, text, words):
    file = tmp_path / "s.toml"
    file.write_text(text)
    assert main(["sweep", str(file), "--store", str(tmp_path / "s.zarr")]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert all(word in message for word in ("s.toml", *words)), message


def test_the_command_from_file_to_store(tmp_path, capsys):
    """An imposed restriction: what the sweep stores is what ``outcomes`` says there."""
    file, store = tmp_path / "s.toml", tmp_path / "s.zarr"
    file.write_text(
        'title = "Small"\noutputs = ["mix", "welfare"]\n[grid]\nrestriction = [0.0, 0.5]\noutside_knowledge = [0.2]\n'
        '[algorithm]\nname = "none"\n'
    )
    command = ["sweep", str(file), "--store", str(store)]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "Small: restriction (2) x outside_knowledge (1)" in said
    assert "100.0%" in said
    ds = xr.open_zarr(store)
    assert ds.mix.dims == ("restriction", "outside_knowledge", "challenger", "strategy")
    assert list(ds.strategy.values) == ["client", "sovereign", "applied"]
    assert ds.welfare.attrs["units"] == "bn $/year"
    assert ds.outside_knowledge.attrs["symbol"] == "λ0"
    for r in (0.0, 0.5):
        wanted = outcomes(RestrictionGame(outside_knowledge=0.2), r)
        here = ds.sel(restriction=r, outside_knowledge=0.2)
        assert_allclose(here.mix, wanted.mix, atol=1e-9)
        assert_allclose(here.welfare, wanted.welfare, rtol=1e-9)
        assert_allclose(here.payoffs, wanted.incumbent_payoff, rtol=1e-9)
    assert main(command) == 2
    assert "exists" in capsys.readouterr().err
    assert main([*command, "--resume"]) == 0


def test_a_restriction_nobody_chooses():
    game = ImposedRestriction(RestrictionGame(), 0.3)
    assert all(space.size == 1 for space in game.actions())
    assert_allclose(jnp.stack(game.profile), 0.3)
    with pytest.raises(ValueError, match="restriction"):
        ImposedRestriction(RestrictionGame(), -0.1)
