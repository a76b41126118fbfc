"""Priors for the claims: that of model.md §10 by default, another from a TOML file, or a band around a base.

::

    title = "Weak links"

    [base]                                # default: the default world
    calibration = "2025"
    demand = "nested"                     # any parameter or choice

    [ranges]                              # default: those of PRIOR
    sigma = {low = 0.2, high = 1.0, log = true}
    appropriability = {low = 0, high = 1, zero = 0.5}
    effort_cost.CN = {low = 10, high = 60, log = true}
    effort_cost.TW = {low = 0.9, high = 1.6, times = "CN"}
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from games.restriction.incumbents import RestrictionGame, calibration
from games.restriction.parameters import STRUCTURE, Parameters, array_fields
from games.restriction.prior import PRIOR, Range, placed, world


class Prior(NamedTuple):
    """Ranges around a base: ``numbers`` are its parameters, ``choices`` its structure."""

    title: str
    ranges: tuple[Range, ...]
    numbers: dict[str, Any]
    choices: dict[str, Any]

    @property
    def base(self) -> Parameters:
        return Parameters(**self.numbers, **self.structure)

    @property
    def structure(self) -> dict[str, Any]:
        return {name: value for name, value in self.choices.items() if name in STRUCTURE}

    def worlds(self, uniform: np.ndarray) -> dict[str, np.ndarray]:
        """The worlds at ``uniform`` (draw, row): every parameter that a row or the base names, with the draw in front."""
        num, base = len(uniform), self.base
        kept = {name: np.asarray(getattr(base, name)) for name in self.numbers}
        kept = {name: np.broadcast_to(value, (num, *value.shape)) for name, value in kept.items()}
        return kept | placed(uniform, self.ranges, base)


def read_prior(path: str | Path) -> Prior:
    """A prior from a TOML file.

    :raises ValueError: in one line that names the file and what is wrong.
    :raises OSError: if there is no such file.
    """
    import tomllib

    file = Path(path)
    try:
        table = tomllib.loads(file.read_text())
        if unknown := set(table) - {"title", "base", "ranges"}:
            raise ValueError(f"{sorted(unknown)[0]} is unknown: give title, base, ranges")
        ranges = _ranges(table["ranges"]) if table.get("ranges") else PRIOR
        return prior(table.get("base", {}), ranges, table.get("title", file.stem))
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{file}: {error}") from error


def prior(base: Mapping[str, Any], ranges: Sequence[Range] = PRIOR, title: str = "the prior of model.md") -> Prior:
    """A prior around a base, tried at both ends of its ranges, where checks see numbers.

    :param base: ``calibration``, parameters and choices of ``RestrictionGame``.
    """
    settings = dict(base)
    settings = (calibration(settings.pop("calibration")) if "calibration" in settings else {}) | settings
    static = ("mode", "timing", *STRUCTURE)
    choices = {name: value for name, value in settings.items() if name in static}
    made = Prior(title, tuple(ranges), {k: v for k, v in settings.items() if k not in static}, choices)
    made = made._replace(ranges=tuple(row for row in ranges if _present(made.base, row)))
    for end in np.repeat([[0.0], [1.0]], len(made.ranges), axis=1):
        RestrictionGame(**world(made.worlds(end[None]), 0), **choices)
    return made


def _present(base: Parameters, row: Range) -> bool:
    """Whether the base has members of the row's group, and of the one that it multiplies."""
    axes = next(item.metadata["axes"] for item in array_fields() if item.name == row.parameter)
    return all(group is None or group in base._labels(axes[0]) for group in (row.group, row.times))


def _ranges(table: Mapping[str, Any]) -> tuple[Range, ...]:
    known, rows = [item.name for item in array_fields()], []
    for name, entry in table.items():
        if name not in known:
            raise ValueError(f"ranges.{name} is no parameter of the restriction game")
        groups = {None: entry} if "low" in entry else entry
        for group, values in groups.items():
            row = Range(name, group=group, **values)
            if not row.low <= row.high or (row.log and row.low <= 0) or not 0 <= row.zero < 1:
                raise ValueError(
                    f"ranges.{name} = {dict(values)}: give low <= high, low above 0 if log, and zero in [0, 1)"
                )
            if row.times is not None and not any((r.parameter, r.group) == (name, row.times) for r in rows):
                raise ValueError(f"ranges.{name}.{group} multiplies {row.times!r}: give that range before it")
            rows.append(row)
    return tuple(rows)


def band(made: Prior, width: float = 0.2) -> Prior:
    """A local band: every parameter that a row names within ``width`` of its base value, either side, all of it uniform.

    Where the base value is 0: from 0 to ``width`` of the row's range. Bounds of the parameters are kept.
    """
    rows, base = [], made.base
    about = {item.name: item.metadata for item in array_fields()}
    for row in made.ranges:
        value = np.asarray(getattr(base, row.parameter), float)
        axes, here = about[row.parameter]["axes"], np.ones(value.shape[:1], bool)
        if row.group is not None:
            here = np.array(base._labels(axes[0])) == row.group
        centre = float(value[here].mean() if axes else value)
        low, high = sorted((centre * (1 - width), centre * (1 + width)))
        if centre == 0:
            low, high = 0.0, width * (row.high - row.low)
        low, high = np.clip([low, high], about[row.parameter]["low"], about[row.parameter]["high"])
        rows.append(Range(row.parameter, float(low), float(high), row.group))
    return made._replace(title=f"{made.title}, within {width:.0%}", ranges=tuple(rows))
