"""What there is to say where there is no equilibrium: a supremum that no strategy attains, a cycle of best replies."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from solver.algorithms.best_response import BestResponse
from solver.algorithms.replicator import trajectory
from solver.game import AbstractGame, Profile, checked_profile
from solver.solution import Solution, Status
from solver.spaces import Box

GRID, ZOOM = 1025, 65  # points of the first look, and of each closer one
JUMP = 1e-6  # share of the payoffs' range that a payoff may change by between neighbouring numbers


@dataclasses.dataclass(frozen=True)
class Supremum:
    """The least upper bound of a player's payoffs over its own strategies, the others' as they are.

    ``value``: the supremum, in payoff units. ``at``: where it is approached. ``jump``: by how much the payoff falls between
    ``at`` and the next numbers; 0 where it is continuous. ``attained``: there is no jump; where there is one, a best reply
    exists only if the payoff has the higher value at the jump itself, which numbers of finite precision cannot show.
    ``strategies``, ``payoffs``: a sequence that approaches it.
    """

    player: str
    value: float
    at: float
    jump: float
    attained: bool
    strategies: np.ndarray
    payoffs: np.ndarray

    @property
    def statement(self) -> str:
        if self.attained:
            return f"{self.player} attains {self.value:.6g} at {self.at:.6g}"
        side = "from below" if self.strategies[0] < self.at else "from above"
        return (
            f"{self.player} has no best reply: its payoff tends to the supremum {self.value:.6g} as its strategy tends to "
            f"{self.at:.6g} {side}, and falls by {self.jump:.6g} there"
        )


def supremum(game: AbstractGame, profile: Profile, player: int) -> Supremum:
    """The supremum of a player's payoffs against the others' strategies in ``profile``, and whether it is attained.

    Its whole interval is looked at in 1025 points, then the neighbourhood of the best one, ever closer, down to neighbouring
    numbers; a peak narrower than the first grid may be missed.

    :param player: an index, of a player on a Box of one dimension.
    :raises ValueError: if ``profile`` does not fit the game, or the player's set has not one dimension.
    """
    profile = checked_profile(game, profile)
    if not 0 <= player < len(game.players):
        raise ValueError(f"player = {player}: the game has players 0 to {len(game.players) - 1}")
    space = game.actions()[player]
    if not isinstance(space, Box) or space.size != 1:
        raise ValueError(f"player = {player}: its set has {space.size} dimensions; give one on a Box of one dimension")
    dtype = profile[player].dtype

    def payoffs(x: np.ndarray) -> np.ndarray:
        points = np.full(GRID, x[0])  # one size, so that one compilation serves
        points[: len(x)] = x
        values = _deviations(game, profile, player, jnp.asarray(points[:, None], dtype))
        return np.nan_to_num(np.asarray(values, float)[: len(x)], nan=-np.inf)

    low, high = (float(bound[0]) for bound in (space.lower, space.upper))
    x = np.linspace(low, high, GRID)
    values = payoffs(x)
    finite = values[np.isfinite(values)]
    if not len(finite):
        raise ValueError(f"player = {player}: no payoff is finite over its set; check the parameters and the followers")
    span, finest = float(np.ptp(finite)), 4 * float(jnp.finfo(dtype).eps) * max(abs(low), abs(high))
    while True:
        best = int(values.argmax())
        left, right = x[max(best - 1, 0)], x[min(best + 1, len(x) - 1)]
        if right - left <= finest:
            break
        x = np.unique(np.concatenate([np.linspace(left, right, ZOOM), x[[best]]]))
        values = payoffs(x)
    around = values[max(best - 1, 0) : best + 2]
    jump = float(values[best] - around.min())
    attained = not jump > JUMP * span
    strategies, found = _approach(payoffs, low, float(x[best]), high, float(values[best]))
    return Supremum(
        game.players[player],
        float(values[best]),
        float(x[best]),
        0.0 if attained else jump,
        attained,
        strategies,
        found,
    )


def _approach(payoffs, low: float, at: float, high: float, value: float) -> tuple[np.ndarray, np.ndarray]:
    """A sequence that halves its distance from ``at``, on the side on which its payoffs are nearer to ``value``."""
    halves = 0.5 ** np.arange(1, 31)
    sides = [at + (end - at) * halves for end in (low, high) if end != at]
    found = [payoffs(side) for side in sides]
    nearer = min(range(len(sides)), key=lambda k: np.abs(found[k][8:16] - value).sum())
    return sides[nearer], found[nearer]


@eqx.filter_jit
def _deviations(game, profile, player, points):
    return game.deviation_payoffs(profile, jnp.asarray(player), points)


def best_reply_cycle(game: AbstractGame, solution: Solution, algorithm: BestResponse | None = None) -> Profile:
    """The profiles that best replies go round in, one array (length, size) per player.

    :param solution: of status ``cycle``, as ``solve(..., throw=False)`` returns it where no pure equilibrium was found.
    :param algorithm: that found it; default :class:`BestResponse`.
    :raises ValueError: if ``solution`` is no cycle.
    """
    if int(solution.status) != Status.cycle:
        raise ValueError(f"solution has status {Status(int(solution.status)).name}: only a cycle can be followed round")
    rule = BestResponse() if algorithm is None else algorithm
    plain = BestResponse(order=rule.order, damping=rule.damping, accelerate=False)
    path = trajectory(game, plain, start=solution.strategies, num_steps=int(solution.cycle_length))
    return tuple(strategies[1:] for strategies in path)
