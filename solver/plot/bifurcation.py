"""The bifurcation diagram: equilibria against a parameter."""

from typing import TYPE_CHECKING, Literal

import numpy as np

from solver.plot.style import legend, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from solver.continuous.trace import Branch

MARKS = {
    "fold": "o",
    "branch point": "s",
    "stability": "D",
    "bound active": "v",
    "bound slack": "^",
    "fold at a bound": "P",
}


def bifurcation(branch: "Branch", player: str | None = None, *, columns: Literal[1, 2] = 1) -> "Figure":
    """Strategies along the parameter: stable solid, unstable dashed, first-order points that are no equilibria dotted.

    :param branch: what ``trace`` returns.
    :param player: whose strategies are drawn; default: a panel for each player.
    :param columns: of a printed page: 1 (3.4 inches wide) or 2 (7 inches).
    :return: a matplotlib Figure; ``figure.savefig("x.pdf")``.
    :raises ValueError: if there is no such player.
    """
    if player is not None and player not in branch.players:
        raise ValueError(f"player = {player!r}: give one of {', '.join(branch.players)}")
    shown = list(branch.players) if player is None else [player]
    with panels(len(shown), columns) as (figure, axes, _):
        for ax, name in zip(axes, shown, strict=True):
            strategies = branch.strategies[branch.players.index(name)]
            for k in range(strategies.shape[1]):
                _lines(ax, branch, strategies[:, k])
            _marks(ax, branch, branch.players.index(name))
            ax.set(xlabel=branch.parameter, ylabel=f"strategy of {name}")
        handles = {h.get_label(): h for ax in axes for h in ax.get_lines() if not str(h.get_label()).startswith("_")}
        legend(figure, list(handles.values()))
    return figure


def _lines(ax: "Axes", branch: "Branch", y: np.ndarray) -> None:
    """One line for each run of points of a curve that are alike; a run begins at the last point of the one before."""
    looks = {0: ("no equilibrium", ":", "0.6"), 1: ("unstable", "--", "k"), 2: ("stable", "-", "k")}
    kind = branch.equilibrium.astype(int) + branch.stable
    for curve in np.unique(branch.curve):
        at = np.flatnonzero(branch.curve == curve)
        for run in np.split(at, np.flatnonzero(np.diff(kind[at])) + 1):
            first = run[:1] - 1 if run[0] > at[0] else run[:0]
            text, dash, color = looks[int(kind[run[0]])]
            run = np.concatenate([first, run])
            ax.plot(branch.value[run], y[run], ls=dash, color=color, label=text)


def _marks(ax: "Axes", branch: "Branch", player: int) -> None:
    for point in branch.special_points:
        if point.kind in MARKS:
            values = point.strategies[player]
            look = {"marker": MARKS[point.kind], "mfc": "w", "color": "k", "ms": 4, "ls": "", "label": point.kind}
            ax.plot(np.full(len(values), point.value), values, **look)
