"""Gambit's files and other tools' games; the command that solves a file."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose

from games.cli import main
from solver import NormalForm, interop

PAYOFFS = 'NFG 1 R "A title" { "Row \\"x\\"" "Column" }\n'
SHAPES = ((2, 3), (2, 3, 2))


def drawn(shape):
    return NormalForm(np.random.default_rng(0).normal(size=(len(shape), *shape)))


@pytest.mark.parametrize("outcomes", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_written_and_read(tmp_path, shape, outcomes):
    game, path = drawn(shape), tmp_path / "game.nfg"
    game.to_nfg(path, outcomes=outcomes)
    again = NormalForm.from_nfg(path)
    assert again.players == game.players
    assert_allclose(again.payoff_array, game.payoff_array, rtol=0, atol=0)
    gambit = pytest.importorskip("pygambit")
    assert_allclose(interop.from_pygambit(gambit.read_nfg(str(path))).payoff_array, game.payoff_array)


def test_both_formats_by_hand(tmp_path):
    """Player 1's action runs fastest; fractions, decimals, comments, commas, outcome 0."""
    path = tmp_path / "game.nfg"
    path.write_text(PAYOFFS + '{ { "a" "b" } { "c" "d" "e" } }\n"a comment"\n1 -1 1/2 .5 3e1 4\n5 6 7 8 9 10\n')
    game = NormalForm.from_nfg(path)
    assert game.players == ('Row "x"', "Column")
    assert_allclose(game.payoff_array[0], [[1, 30, 7], [0.5, 5, 9]])
    assert_allclose(game.payoff_array[1], [[-1, 4, 8], [0.5, 6, 10]])
    path.write_text('NFG 1 D "t" { "a" "b" }\n{ 2 2 }\n{ { "win" 1, 2/3 } { "" -4, 5 } }\n1 0 2 1\n')
    assert_allclose(NormalForm.from_nfg(path).payoff_array, [[[1, -4], [0, 1]], [[2 / 3, 5], [0, 2 / 3]]])


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("", "line 1, column 1", "NFG"),
        ('NFG 1 R "t" { "a" "b" } { 2 2 }\n1 2 3 x\n', "line 2, column 7", "a payoff of 'b'"),
        ('NFG 1 R "t" { "a" "b" } { 2 }\n1', "line 1, column 25", "2 numbers of actions"),
        ('NFG 1 R "t { 1 }', "line 1, column 9", "closing quotation mark"),
        ('NFG 1 R "t" { "a" "b" } { 1 1 }\n1', "line 2, column 2", "a payoff of 'b'"),
        ('NFG 1 R "t" { "a" "b" } { 1 1 }\n1 2 3', "line 2, column 5", "the end of the file"),
        ('NFG 1 R "t" { "a" } { 1 }\n1/0', "line 2, column 1", "denominator"),
        ('NFG 1 R "t" { "a" } { 1 }\n{ { "o" 1 } }\n\n 2', "line 4, column 2", "0 to 1"),
    ],
)
def test_malformed_files_say_where(tmp_path, text, place, expected):
    path = tmp_path / "bad.nfg"
    path.write_text(text)
    with pytest.raises(ValueError, match=place) as error:
        NormalForm.from_nfg(path)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", SHAPES)
def test_quantecon_and_gambit_there_and_back(shape):
    theory, _ = pytest.importorskip("quantecon.game_theory"), pytest.importorskip("pygambit")
    game = drawn(shape)
    theirs = interop.to_quantecon(game)
    assert isinstance(theirs, theory.NormalFormGame)
    assert_allclose(theirs[(1,) * len(shape)], game.payoff_array[(slice(None), *(1,) * len(shape))])
    assert_allclose(interop.from_quantecon(theirs).payoff_array, game.payoff_array)
    assert_allclose(interop.from_pygambit(interop.to_pygambit(game)).payoff_array, game.payoff_array)


def test_nashpy_there_and_back():
    game = drawn((2, 3))
    assert_allclose(interop.from_nashpy(interop.to_nashpy(game)).payoff_array, game.payoff_array)
    with pytest.raises(ValueError, match="3 players"):
        interop.to_nashpy(drawn((2, 3, 2)))


@pytest.mark.parametrize("method", ["support", "exact", "lemke-howson", "pure", "logit", "vertex"])
def test_the_command(tmp_path, capsys, method):
    path = tmp_path / "sexes.nfg"
    NormalForm.from_bimatrix([[2, 0], [0, 1]], [[1, 0], [0, 2]]).to_nfg(path)
    assert main(["solve", str(path), "--all", "--json", "--method", method]) == 0
    report = json.loads(capsys.readouterr().out)
    assert len(report["equilibria"]) == {"support": 3, "exact": 3, "vertex": 3, "pure": 2}.get(method, 1)
    assert report["complete"] is (method in ("support", "exact", "vertex"))
    assert all(one["max_regret"] < 1e-6 for one in report["equilibria"])
    assert main(["solve", str(path)]) == 0
    assert "not proved" in capsys.readouterr().out


def test_the_command_names_what_is_wrong(tmp_path, capsys):
    path = tmp_path / "bad.nfg"
    path.write_text("NFG 2")
    assert main(["solve", str(path)]) == 2
    assert "line 1, column 5" in capsys.readouterr().err
    assert main(["solve", str(tmp_path / "absent.nfg")]) == 2
    assert "absent" in capsys.readouterr().err
