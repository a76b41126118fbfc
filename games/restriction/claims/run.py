"""Worlds judged chunk by chunk, each chunk kept, so that a run that was stopped goes on where it was."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from games.restriction.claims import worlds
from games.restriction.claims.catalogue import CLAIMS, COUNTERFACTUALS
from games.restriction.claims.variants import Columns
from games.restriction.claims.verdicts import CURVE, SELECTIONS, VERDICT, by_selection, verdicts
from solver.sweep.chunks import Memory
from solver.sweep.grid import Layout
from solver.sweep.labels import Schema, Variable
from solver.sweep.provenance import code
from solver.sweep.store import Store

if TYPE_CHECKING:
    import xarray

    from games.restriction.incumbents import RestrictionGame

CHUNK = 1024  # draws solved together

Solve = Callable[["RestrictionGame", slice, Callable[[str], Any]], Columns]  # games, their draws, what is told


@dataclasses.dataclass(frozen=True)
class Run:
    """Judges worlds; with a ``folder`` every chunk is written there once it is done.

    :param progress: is told what is being solved.
    """

    folder: Path | None
    progress: Callable[[str], Any]

    def judged(
        self,
        name: str,
        drawn: Mapping[str, np.ndarray],
        choices: Mapping[str, Any],
        solve: Solve,
        selections: bool = False,
    ) -> "xarray.Dataset":
        """The verdicts of the worlds ``drawn`` in the columns that ``solve`` makes of each chunk's games.

        :param name: of the store, unique in the run.
        :param selections: judge every selection among several Nash equilibria too.
        :raises ValueError: if the folder holds a store of that name made from other worlds or other code.
        """
        num = len(next(iter(drawn.values())))
        layout = Layout((num,), (min(CHUNK, num),))
        names = worlds.stacked({key: values[:1] for key, values in drawn.items()}, **choices).players
        target = self._target(name, layout, _schema(names, selections), drawn, choices)
        target.open(True, {})
        for k in range(layout.num_chunks):
            if target.done(k) is None:
                (part,) = layout.slices(k)
                games = worlds.stacked({key: values[part] for key, values in drawn.items()}, **choices)
                where = f"{name}, {part.start + 1} to {part.stop} of {num}"
                columns = solve(games, part, lambda what, where=where: self.progress(f"{where}: {what}"))
                target.write(k, _tables(columns, selections), {})
        return target.finish({}).load().assign_coords(draw=np.arange(num))

    def _target(
        self, name: str, layout: Layout, schema: Schema, drawn: Mapping[str, np.ndarray], choices: Mapping[str, Any]
    ) -> "Memory | Store":
        if self.folder is None:
            return Memory(layout, schema, ("draw",))
        self.folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        for key, values in sorted(drawn.items()):
            digest.update(key.encode() + np.ascontiguousarray(values, float).tobytes())
        drawn_from = f"{layout.num_points} draws, {digest.hexdigest()[:12]}"
        same = {"worlds": drawn_from, "choices": repr(sorted(choices.items())), "code": code(Run)}  # type: ignore[arg-type]
        return Store(self.folder / f"{name}.zarr", layout, schema, ("draw",), same)


def _tables(columns: Columns, selections: bool) -> dict[str, np.ndarray]:
    """What is kept of a chunk."""
    judged = verdicts(columns)
    tables = {name: judged[name].values for name in ("verdict", "effect", "moved", "curve")}
    tables["restriction"], tables["certified"] = worlds.points(columns)
    return tables | ({"selected_verdict": by_selection(columns)} if selections else {})


def _schema(incumbents: Sequence[str], selections: bool) -> Schema:
    """The variables kept, and their labels."""
    table, judged, points = ("claim", "counterfactual"), (len(CLAIMS), len(COUNTERFACTUALS)), len(worlds.POINTS)
    variables = {
        "verdict": (table, judged, np.int8, VERDICT),
        "effect": (table, judged, float, {"long_name": "effect, in the claim's direction and unit"}),
        "moved": (table[1:], judged[1:], bool, {"long_name": "whether an equilibrium's restriction changed"}),
        "curve": (table[:1], judged[:1], np.int8, CURVE),
        "selected_verdict": (("selection", *table), (len(SELECTIONS), *judged), np.int8, VERDICT),
        "restriction": (("point", "incumbent"), (points, len(incumbents)), float, {"long_name": "restriction", "units": "1"}),
        "certified": (("point",), (points,), bool, {"long_name": "whether it is certified"}),
    }  # fmt: skip
    if not selections:
        del variables["selected_verdict"]
    labels = {"claim": [c.name for c in CLAIMS], "counterfactual": COUNTERFACTUALS, "selection": SELECTIONS,
              "point": worlds.POINTS, "incumbent": incumbents}  # fmt: skip
    return Schema(
        {
            name: Variable(dims, shape, np.dtype(kind), dict(about))
            for name, (dims, shape, kind, about) in variables.items()
        },
        {name: (name, list(values), {}) for name, values in labels.items()},
    )
