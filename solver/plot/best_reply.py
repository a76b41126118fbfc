r"""Best-reply curves of two players, and where they cross.

.. math:: x_1 = b_1(x_2),\quad x_2 = b_2(x_1),\qquad \text{crossings: } b_1(b_2(x_1)) = x_1
"""

from typing import TYPE_CHECKING, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from solver.algorithms.line_search import line_maximum
from solver.game import AbstractGame, Profile
from solver.plot.style import legend, panels, strokes
from solver.solution import Solution
from solver.solve import checked_tolerance, judge
from solver.spaces import Box

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 201  # of a curve
HALVINGS = 40
NEAR = 1e-6  # a strategy that returns to itself within this share of its interval is a crossing
SAME = 1e-3  # crossings nearer than this share are one
JUMP = 0.05  # a curve is broken where neighbours are further apart than this share
MARGIN = 0.03  # around the intervals, so that replies at a bound are seen


def best_reply_curves(game: AbstractGame, *, action: str = "strategy", columns: Literal[1, 2] = 1) -> "Figure":
    """The best replies of two players to each other, with every certified equilibrium found where they cross.

    Crossings are bracketed on 201 points and bisected, so unstable ones are found as well; an even number of them between
    two points is missed. Each must pass the regret test of ``solve``. Equilibria at neighbouring points are drawn as a line.

    :param game: two players, each on a Box of one dimension.
    :param action: what players choose, with its unit, for the axes: "quantity (t)".
    :param columns: of a printed page: 1 (3.4 inches wide) or 2 (7 inches).
    :return: a matplotlib Figure; ``figure.savefig("x.pdf")``.
    :raises ValueError: if the game is another.
    """
    boxes, replies = reply_curves(game)
    points = np.array([[float(s[0]) for s in found.strategies] for found in crossings(game)]).reshape(-1, 2)
    name, _, unit = action.partition(" (")
    labels = [f"{name} of {player}" + f" ({unit}" * bool(unit) for player in game.players]
    with panels(1, columns) as (figure, (ax,), _):
        looks = strokes(2)
        drawn = ax.plot(_broken(replies[0], boxes[0]), boxes[1], **looks[0])
        drawn += ax.plot(boxes[0], _broken(replies[1], boxes[1]), **looks[1])
        for line, player in zip(drawn, game.players, strict=True):
            line.set_label(f"best reply of {player}")
        step = np.abs(np.diff(points, axis=0)).max(axis=1) <= 2 * max(box[1] - box[0] for box in boxes)
        beside = np.append(step, False) | np.append(False, step) if len(points) else np.zeros(0, bool)
        if beside.any():
            whole = np.where(beside[:, None], points, np.nan)
            drawn += ax.plot(*whole.T, color="#808080", lw=4, alpha=0.6, zorder=1, label="equilibria")
        if (~beside).any():
            drawn += ax.plot(*points[~beside].T, "o", color="k", mfc="white", ms=5, zorder=3, label="equilibrium")
        ax.set(xlabel=labels[0], ylabel=labels[1], xlim=_around(boxes[0]), ylim=_around(boxes[1]))
        legend(figure, drawn)
    return figure


def reply_curves(game: AbstractGame) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Evenly spaced strategies of each player, and each player's best replies to the other's: (points,) each.

    :raises ValueError: if the game is not one of two players, each on a Box of one dimension.
    """
    spaces = game.actions()
    if len(spaces) != 2 or not all(isinstance(space, Box) and space.size == 1 for space in spaces):
        raise ValueError(
            f"game has players {', '.join(game.players)}: best-reply curves take two, each on a Box of one dimension"
        )
    share = np.linspace(0, 1, POINTS)
    boxes = [np.asarray(box.lower + share * (box.upper - box.lower)) for box in spaces]  # type: ignore[union-attr]
    return boxes, [replies(game, player, boxes[1 - player]) for player in (0, 1)]


def replies(game: AbstractGame, player: int, others: np.ndarray) -> np.ndarray:
    """A player's best replies to at most ``POINTS`` strategies of the other; one program serves every call."""
    return np.asarray(_replies(game, jnp.asarray(player), jnp.asarray(np.resize(others, POINTS))))[: len(others)]


@eqx.filter_jit
def _replies(game: AbstractGame, player: Array, others: Array) -> Array:
    low, high = (jnp.concatenate([getattr(space, end) for space in game.actions()]) for end in ("lower", "upper"))
    start, width = low[player], (high - low)[player]

    def reply(other: Array) -> Array:
        profile = tuple(jnp.where(player == i, start, other)[None] for i in (0, 1))

        def payoff(t: Array) -> Array:
            return game.deviation_payoffs(profile, player, (start + t * width)[:, None])

        return start + width * line_maximum(payoff, jnp.asarray(0.5, low.dtype), checked_tolerance(None)).at

    return jax.vmap(reply)(others)


def crossings(game: AbstractGame) -> list[Solution]:
    """Every certified equilibrium found where the curves cross, the first player's strategy ascending."""
    (grid, _), (_, second) = reply_curves(game)
    width = grid[-1] - grid[0]
    gap = replies(game, 0, second) - grid
    gap[np.abs(gap) <= NEAR * width] = 0
    cut = np.flatnonzero(gap[:-1] * gap[1:] < 0)
    at = np.sort(np.concatenate([grid[gap == 0], _bisected(game, grid[cut], grid[cut + 1], gap[cut] > 0)]))
    at = at[np.diff(at, prepend=-np.inf) > SAME * width]
    if not len(at):
        return []
    judged = _judge(game, tuple(jnp.asarray(np.resize(x, (POINTS, 1))) for x in (at, replies(game, 1, at))))
    found = [jax.tree.map(lambda leaf, k=k: leaf[k], judged) for k in range(len(at))]
    return [solution for solution in found if solution.converged]


def _bisected(game: AbstractGame, low: np.ndarray, high: np.ndarray, rising: np.ndarray) -> np.ndarray:
    """Where b₁(b₂(x)) − x changes its sign between ``low`` and ``high``; ``rising``: it is positive at ``low``."""
    for _ in range(HALVINGS if len(low) else 0):
        middle = (low + high) / 2
        right = (replies(game, 0, replies(game, 1, middle)) > middle) == rising
        low, high = np.where(right, middle, low), np.where(right, high, middle)
    return (low + high) / 2


@eqx.filter_jit
def _judge(game: AbstractGame, profiles: Profile) -> Solution:
    return jax.vmap(lambda profile: judge(game, profile))(profiles)


def _broken(curve: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The curve without the points before its jumps, so that no line bridges them."""
    jumps = np.abs(np.diff(curve, append=curve[-1])) > JUMP * (box[-1] - box[0])
    return np.where(jumps, np.nan, curve)


def _around(box: np.ndarray) -> tuple[float, float]:
    space = MARGIN * (box[-1] - box[0])
    return box[0] - space, box[-1] + space
