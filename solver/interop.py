r"""Games from and to other tools: Gambit's .nfg files, pygambit, quantecon, nashpy.

An .nfg file lists profiles with player 1's action fastest, either all players' payoffs at each profile or the number of an
outcome (0: nothing) from a table. Numbers are decimals or fractions (Gambit Project, "The strategic game (.nfg) file format").
"""

import importlib
import re
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from solver.normal_form import NormalForm

TOKEN = re.compile(r'"(?:\\"|[^"])*"|[{}]|[^\s{},"]+')
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?(/\d+)?$")


class _Token(NamedTuple):
    text: str
    line: int
    column: int


class _Reader:
    """The file's tokens, and errors that say where and what was expected."""

    def __init__(self, text: str, name: str):
        self.name, self.at, self.tokens = name, 0, []
        line, start, last = 1, 0, 0
        for match in TOKEN.finditer(text):
            between = text[last : match.start()]
            if between.strip(" \t\r\n,\ufeff"):
                stray = next(i for i, c in enumerate(between) if c not in " \t\r\n,\ufeff") + last
                line += text.count("\n", last, stray)
                raise self.error(
                    _Token(text[stray], line, stray - text.rfind("\n", 0, stray)), "a closing quotation mark"
                )
            line += between.count("\n")
            start = text.rfind("\n", 0, match.start()) + 1
            self.tokens.append(_Token(match.group(), line, match.start() - start + 1))
            line += match.group().count("\n")
            last = match.end()
        self.end = _Token("the end of the file", line, len(text) - text.rfind("\n", 0, len(text)))

    def error(self, token: _Token, expected: str) -> ValueError:
        return ValueError(
            f"{self.name}, line {token.line}, column {token.column}: expected {expected}, found {token.text}"
        )

    def peek(self) -> _Token:
        return self.tokens[self.at] if self.at < len(self.tokens) else self.end

    def take(self, expected: str, *, fits=lambda text: True) -> str:
        token = self.peek()
        if token is self.end or not fits(token.text):
            raise self.error(token, expected)
        self.at += 1
        return token.text

    def word(self, text: str) -> None:
        self.take(text, fits=lambda found: found == text)

    def string(self, expected: str) -> str:
        return self.take(expected, fits=lambda text: text.startswith('"'))[1:-1].replace('\\"', '"')

    def whole(self, expected: str, least: int, most: float = float("inf")) -> int:
        return int(self.take(expected, fits=lambda text: text.isdecimal() and least <= int(text) <= most))

    def number(self, expected: str) -> float:
        token = self.peek()
        text = self.take(expected, fits=NUMBER.match)
        head, _, below = text.partition("/")
        if below and not int(below):
            raise self.error(token, f"{expected}, with a denominator above 0")
        return float(Fraction(head) / int(below)) if below else float(head)

    def listed(self, one) -> list:
        """What stands between braces, read item by item."""
        self.word("{")
        found = []
        while self.peek().text != "}":
            found.append(one())
        self.at += 1
        return found


def read_nfg(path: str | Path) -> NormalForm:
    """The game in a Gambit .nfg file, of payoffs or of outcomes; fractions become the nearest floats.

    :raises ValueError: for a malformed file, with line, column and what was expected.
    """
    reader = _Reader(Path(path).read_text(encoding="utf-8-sig"), Path(path).name)
    reader.word("NFG")
    reader.word("1")
    reader.take("R or D", fits=lambda text: text in "RD")
    reader.string("the title in quotation marks")
    players = tuple(reader.listed(lambda: reader.string("a player's name in quotation marks")))
    if not players:
        raise reader.error(reader.peek(), "at least one player before this")
    sizes = _sizes(reader, len(players))
    if reader.peek().text.startswith('"'):
        reader.string("a comment")
    profiles = int(np.prod(sizes))
    if reader.peek().text == "{":
        table = [[0.0] * len(players), *reader.listed(lambda: _outcome(reader, players))]
        about = f"the number of an outcome, 0 to {len(table) - 1}"
        values = [table[reader.whole(about, 0, len(table) - 1)] for _ in range(profiles)]
    else:
        values = [[reader.number(f"a payoff of {name!r}, a number") for name in players] for _ in range(profiles)]
    if reader.peek() is not reader.end:
        raise reader.error(reader.peek(), f"the end of the file after {profiles} profiles")
    return NormalForm(np.array(values).T.reshape(len(players), *sizes, order="F"), players)


def _sizes(reader: _Reader, players: int) -> list[int]:
    start = reader.peek()

    def one() -> int:
        if reader.peek().text == "{":
            return len(reader.listed(lambda: reader.string("an action's name in quotation marks")))
        return reader.whole("a number of actions, or actions' names in braces", 1)

    sizes = reader.listed(one)
    if len(sizes) != players or 0 in sizes:
        raise reader.error(start, f"{players} numbers of actions, one for each player")
    return sizes


def _outcome(reader: _Reader, players: tuple[str, ...]) -> list[float]:
    reader.word("{")
    reader.string("an outcome's name in quotation marks")
    values = [reader.number(f"the outcome's payoff of {name!r}, a number") for name in players]
    reader.word("}")
    return values


def write_nfg(game: NormalForm, path: str | Path, *, outcomes: bool = False) -> None:
    """Write the game for Gambit: payoffs profile by profile, or a table of its different outcomes and their numbers.

    Floats are written so that reading them gives the same floats.
    """
    payoffs = np.asarray(game.payoff_array)
    names, sizes = " ".join(map(_quoted, game.players)), payoffs.shape[1:]
    rows = payoffs.reshape(len(payoffs), -1, order="F").T
    text = [[repr(float(value)) for value in row] for row in rows]
    lines = [f'NFG 1 R "" {{ {names} }}']
    if outcomes:
        actions = " ".join("{ " + " ".join(f'"{a + 1}"' for a in range(size)) + " }" for size in sizes)
        table = {tuple(row): at for at, row in enumerate(dict.fromkeys(map(tuple, text)), 1)}
        lines += [f"{{ {actions} }}", '""', "{"]
        lines += [f'{{ "" {", ".join(row)} }}' for row in table]
        lines += ["}", " ".join(str(table[tuple(row)]) for row in text)]
    else:
        lines[0] += f" {{ {' '.join(map(str, sizes))} }}"
        lines += ["", *(" ".join(row) for row in text)]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '\\"') + '"'


def to_pygambit(game: NormalForm) -> Any:
    """A ``pygambit.Game`` with the same payoffs and players' names."""
    pygambit: Any = importlib.import_module("pygambit")
    made = pygambit.Game.from_arrays(*np.asarray(game.payoff_array, float))
    for player, name in zip(made.players, game.players, strict=True):
        player.label = name
    return made


def from_pygambit(game: Any) -> NormalForm:
    """The normal form of a ``pygambit.Game``."""
    arrays = np.stack([np.asarray(array, float) for array in game.to_arrays(dtype=float)])
    return NormalForm(arrays, tuple(player.label or f"player {i + 1}" for i, player in enumerate(game.players)))


def to_quantecon(game: NormalForm) -> Any:
    """A ``quantecon.game_theory.NormalFormGame``; there each player's own action comes first, then those after it."""
    from quantecon.game_theory import NormalFormGame, Player  # type: ignore[import-not-found]

    tables = np.asarray(game.payoff_array, float)
    n = len(tables)
    turned = [np.transpose(table, [(i + k) % n for k in range(n)]) for i, table in enumerate(tables)]
    return NormalFormGame([Player(np.ascontiguousarray(table)) for table in turned])


def from_quantecon(game: Any) -> NormalForm:
    """The normal form of a ``quantecon.game_theory.NormalFormGame``."""
    n = game.N
    tables = [np.transpose(p.payoff_array, [(k - i) % n for k in range(n)]) for i, p in enumerate(game.players)]
    return NormalForm(np.stack(tables))


def to_nashpy(game: NormalForm) -> Any:
    """A ``nashpy.Game``; two players.

    :raises ValueError: unless there are two players.
    """
    import nashpy

    from solver.finite.support import two_players

    two_players(game)
    return nashpy.Game(*np.asarray(game.payoff_array, float))


def from_nashpy(game: Any) -> NormalForm:
    """The normal form of a ``nashpy.Game``."""
    return NormalForm.from_bimatrix(*game.payoff_matrices)
