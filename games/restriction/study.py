"""Studies: a sweep of the restriction game written down in a TOML file.

::

    title = "Who bears the restriction"
    outputs = ["mix", "welfare"]          # names of VARIABLES; default: all

    [base]                                # default: the default world
    calibration = "2025"
    timing = "observed"
    sigma = 0.8                           # any parameter

    [grid]                                # parameters, or "restriction": imposed on all incumbents, nobody choosing
    restriction = {start = 0.0, stop = 1.0, num = 21}
    effort_cost = {start = 10, stop = 60, num = 11, scale = "log"}
    rho = [1.0, 2.0, inf]

    [algorithm]
    name = "best_response"                # or "none": no step from the start
    starts = [0.0, 1.0]                   # or start; also damping, order, accelerate, tolerance, max_steps

    [figure]                              # the arguments of solver.phase_diagram (default) or solver.curves
    kind = "phase_diagram"
    regime = "mix"                        # or "restricting": how many incumbents restrict
    contour = "welfare"
    facet = "challenger"
    select = {challenger = ["CN 1", "TW 1"]}  # of these labels; of one: challenger = "TW 1"
"""

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.restriction.figures import draw_study
from games.restriction.incumbents import ImposedRestriction, RestrictionGame, calibration
from games.restriction.outcomes import VARIABLES, Outputs, coordinates, dimensions, label
from games.restriction.parameters import STRUCTURE, array_fields
from solver.algorithms.best_response import BestResponse
from solver.sweep import sweep

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

STUDIES = Path(__file__).parent / "studies"
CHOICES = ("mode", "timing", *STRUCTURE)
PARAMETERS = {item.name: item.metadata for item in array_fields()}
RANGE = ("start", "stop", "num", "scale")
OPTIONS = ("tolerance", "max_steps", "start", "starts")
KNOWN = {
    "": ("title", "outputs", "base", "grid", "algorithm", "figure"),
    "base": ("calibration", "restriction", *CHOICES, *PARAMETERS),
    "grid": ("restriction", *PARAMETERS),
    "algorithm": ("name", "order", "damping", "accelerate", *OPTIONS),
}


class World(eqx.Module):
    """A ``make_game``: the restriction game at a base, some of its parameters given by the point of the grid."""

    numbers: dict[str, Array]
    choices: tuple[tuple[str, Any], ...] = eqx.field(static=True)

    def __call__(self, **point: Any) -> RestrictionGame | ImposedRestriction:
        given: dict[str, Any] = self.numbers | dict(self.choices) | point
        restriction = given.pop("restriction", None)
        game = RestrictionGame(**given)
        return game if restriction is None else ImposedRestriction(game, restriction)


@dataclasses.dataclass(frozen=True)
class Study:
    """What a study's file says: ``sweep(**study.arguments)`` runs it; ``figure_table`` describes its figure."""

    title: str
    arguments: dict[str, Any]
    figure_table: dict[str, Any]

    def run(self, **options: Any) -> "xarray.Dataset":
        """Run it, with any further options of ``sweep``: ``store``, ``client``, ``progress``, ..."""
        return sweep(**(self.arguments | options))

    def figure(self, ds: "xarray.Dataset") -> "Figure":
        """The study's figure from its Dataset; ``figure.savefig("x.pdf")``.

        :raises ValueError: if its file has no [figure], or names what the Dataset lacks.
        """
        if not self.figure_table:
            raise ValueError(f"the study {self.title!r} describes no figure: write [figure] with regime, or with y")
        return draw_study(ds, self.figure_table)

    def blank(self) -> "xarray.Dataset":
        """A Dataset as ``run`` returns it, every number of it 0, with nothing solved."""
        grid, starts = self.arguments["grid"], self.arguments.get("starts")
        game = self.arguments["make_game"](**{name: float(values[0]) for name, values in grid.items()})
        whole = game.game if isinstance(game, ImposedRestriction) else game
        sizes = {name: len(values) for name, values in (coordinates(whole) | grid).items()}

        def zeros(*dims: str) -> np.ndarray:
            return np.broadcast_to(0.0, [sizes[dim] for dim in dims])

        outputs = self.arguments["outputs"].names
        ds = label(whole, {n: zeros(*grid, *dimensions(whole, n)) for n in outputs}, grid)
        sizes |= {"player": len(game.players), "action": game.actions()[0].size}
        own = {"strategies": ("player", "action"), "payoffs": ("player",), "regret": ("player",)}
        own |= dict.fromkeys(("max_regret", "status", "num_steps"), ())
        ds = ds.assign({n: ((*grid, *dims), zeros(*grid, *dims)) for n, dims in own.items()})
        ds = ds.assign_coords(player=list(game.players))
        if starts is None:
            return ds
        second = {f"{name}_2": array for name, array in ds.data_vars.items()}
        return ds.assign(second | {"num_equilibria": (tuple(grid), zeros(*grid))})


def study(path: str | Path) -> Study:
    """Read a study from a TOML file, or one of those shipped, by its name.

    :raises ValueError: in one line, with the line of the file.
    :raises OSError: if there is no such file.
    """
    file = Path(path)
    if not file.exists() and (STUDIES / f"{path}.toml").exists():
        file = STUDIES / f"{path}.toml"
    text = file.read_text()
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{file}: {error}") from error
    section, name = "", ""
    try:
        for section, names in KNOWN.items():
            for name in table.get(section, {}) if section else table:
                if name not in names:
                    raise ValueError(f"{name} is unknown: give one of {_near(name, names)}")
        section, name = "grid", ""
        if not table.get("grid"):
            raise ValueError("there is no grid: write [grid] with a parameter and its values")
        grid = {}
        for name, values in table["grid"].items():
            grid[name] = _axis(name, values)
        section, name = "base", ""
        world = _world(table.get("base", {}), grid)
        section, name = "algorithm", ""
        options = _options(table.get("algorithm", {}))
        section, name = "", "outputs"
        outputs = Outputs(tuple(table.get("outputs", [v for v in VARIABLES if v not in grid])))
        arguments = {"make_game": world, "grid": grid, "outputs": outputs, **options}
        read = Study(table.get("title", file.stem), arguments, table.get("figure", {}))
        section, name = "figure", ""
        if read.figure_table:
            read.figure(read.blank())  # what it cannot draw it says before anything is solved
        return read
    except (ValueError, TypeError) as error:
        named = re.match(r"\w+", str(error))
        line = _line(text, section, name or (named[0] if named else "")) or _line(
            text, "grid", named[0] if named else ""
        )
        raise ValueError(f"{file}, line {line or _line(text, section, '') or 1}: {error}") from error


def _axis(name: str, values: Any) -> "xarray.DataArray":
    import xarray

    if isinstance(values, Mapping):
        if not {"start", "stop", "num"} <= set(values) <= set(RANGE) or values.get("scale", "linear") not in SCALES:
            raise ValueError(f'{name} = {values}: give start, stop, num and perhaps scale = "log", or a list')
        values = SCALES[values.get("scale", "linear")](values["start"], values["stop"], values["num"])
    about = PARAMETERS.get(name, {"meaning": "restriction imposed on every incumbent", "unit": "1", "symbol": "r"})
    attrs = {"long_name": about["meaning"], "units": about["unit"], "symbol": about["symbol"]}
    return xarray.DataArray(np.asarray(values, dtype=float), dims=name, attrs=attrs)


SCALES = {"linear": np.linspace, "log": np.geomspace}


def _world(base: Mapping[str, Any], grid: Mapping[str, Any]) -> World:
    """The base, tried at the ends of every axis, where checks see numbers."""
    settings = calibration(base["calibration"]) if "calibration" in base else {}
    settings |= {name: value for name, value in base.items() if name != "calibration"}
    choices = tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in settings.items() if k in CHOICES)
    first = {name: float(values[0]) for name, values in grid.items()}
    numbers = {name: value for name, value in settings.items() if name not in CHOICES and name not in grid}
    for name, values in grid.items():
        for end in (values.min(), values.max()):
            World(numbers, choices)(**first | {name: float(end)})
    return World({name: jnp.asarray(value, float) for name, value in numbers.items()}, choices)


def _options(table: Mapping[str, Any]) -> dict[str, Any]:
    table = dict(table)
    options: dict[str, Any] = {name: table.pop(name) for name in OPTIONS if name in table}
    match table.pop("name", "best_response"):
        case "best_response":
            return options | {"algorithm": BestResponse(**table)}
        case "none":
            return options | {"max_steps": 0}
        case other:
            raise ValueError(f"name = {other!r}: give 'best_response' or 'none'")


def _near(name: str, names: tuple[str, ...]) -> str:
    import difflib

    return ", ".join(difflib.get_close_matches(name, names, 3) or (names if len(names) < 15 else names[:8]))


def _line(text: str, section: str, name: str) -> int | None:
    """The line where a section's key stands; without a key, the section's head."""
    here = ""
    for number, line in enumerate(text.splitlines(), 1):
        if head := re.match(r"\s*\[\s*([\w.-]+)\s*\]", line):
            here, key = head[1].partition(".")[::2]
            if (here == section and key == name) or (not section and head[1] == name):
                return number
        elif here == section and re.match(rf'\s*"?{re.escape(name)}"?\s*[.=]', line) and name:
            return number
    return None
