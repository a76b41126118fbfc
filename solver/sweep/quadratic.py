r"""Equilibria by quadratic models of the payoffs, for many games at once: a quick search that a certificate has to check.

Around a profile x every payoff is modelled from 1 + 2n + n(n - 1)/2 profiles,

.. math:: u_i(x + d) \approx u_i + g_i d_i + \tfrac12 H_{ii} d_i^2 + d_i \sum_{j \ne i} H_{ij} d_j,

and the players reply to each other in the model, within a radius, until the moves settle. Players hold a
:class:`solver.Box` of one dimension. Where payoffs have kinks this may go astray.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from solver.algorithms.best_response import calm
from solver.chebyshev import vandermonde

if TYPE_CHECKING:
    from solver.sweep.batches import Batches

NODES, FINE = 9, 129  # of the first replies
PATIENCE = 16  # rounds
INNER = 40  # replies in a model
RADIUS = 0.25  # at first, as a share of a player's set
FINEST = 0.001  # differences: closer nodes would show the payoffs' noise


def first_replies(games: "Batches", at: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Every player in turn replies to x: where its payoff's Chebyshev interpolant over the whole set is highest.

    Or at the best node, if that is better: at a kink, as in a corner, the interpolant goes astray.
    """
    u = -np.cos(np.pi * np.arange(NODES) / (NODES - 1))
    fine = np.linspace(-1, 1, FINE)
    curve = vandermonde(fine, NODES) @ np.linalg.inv(vandermonde(u, NODES))
    low, width = games.low[at], games.high[at] - games.low[at]
    x, game = x.copy(), np.arange(len(at))

    def heights(i, points):
        profiles = np.repeat(x[:, None], points.shape[1], axis=1)
        profiles[:, :, i] = low[:, i, None] + width[:, i, None] * (points + 1) / 2
        values = games.payoffs(at, profiles)[:, :, i]
        return np.where(np.isfinite(values), values, -np.inf)

    for i in range(x.shape[1]):
        points = np.tile(u, (len(at), 1))
        known = heights(i, points)
        smooth = np.where(np.isfinite(known).all(axis=1, keepdims=True), known, 0) @ curve.T
        points = np.column_stack([points, fine[smooth.argmax(axis=1)]])
        known = np.column_stack([known, heights(i, points[:, -1:])])
        best = points[game, known.argmax(axis=1)]
        x[:, i] = low[:, i] + width[:, i] * (best + 1) / 2
    return x


def settle(
    games: "Batches", at: np.ndarray, x: np.ndarray, tolerance: float, max_rounds: int, away: Any = RADIUS
) -> tuple[np.ndarray, np.ndarray]:
    """The profiles (game, player) where moves from x in games ``at`` settle, and the rounds taken.

    As for :class:`solver.BestResponse`, they have when their regret, of second order, is far within tolerance. ``away`` is
    how far the equilibria may be, as a share of the players' sets.
    """
    x, rounds = x.copy(), np.zeros(len(at), np.int32)
    radius, direction = np.clip(np.broadcast_to(away, x.shape), FINEST, RADIUS), np.zeros(x.shape)
    active, last = np.arange(len(at)), np.full(len(at), np.inf)
    for _ in range(min(PATIENCE, max_rounds)):
        if not active.size:
            break
        own, low, high = x[active], games.low[at[active]], games.high[at[active]]
        width = high - low
        h = np.maximum(0.2 * radius[active], FINEST) * width
        centre = np.clip(own, low + h, high - h)
        slope, bend = _model(games, at[active], centre, h)
        reach = radius[active] * width
        new = _model_replies(own, centre, slope, bend, np.maximum(low, own - reach), np.minimum(high, own + reach))
        share = (new - own) / np.where(width > 0, width, 1)
        move = np.abs(share).max(axis=1)
        turned = direction[active] * share < 0  # a radius grows while it holds a player back, shrinks as that one turns
        limit = np.minimum(radius[active] * np.where(turned, 1 / 2, 2), RADIUS)
        least = np.maximum(FINEST, radius[active] / 8)
        radius[active] = np.clip(4 * np.abs(share), np.minimum(least, limit), limit)
        direction[active] = np.sign(share)
        going = np.isfinite(move)
        x[active[going]] = new[going]
        rounds[active] += 1
        going &= ~calm(move, last, tolerance)
        active, last = active[going], move[going]
    return x, rounds


def _model(games: "Batches", at, centre, h) -> tuple[np.ndarray, np.ndarray]:
    """g (game, player) and H (game, player, player): derivatives of each player's payoff, by differences of h."""
    n = centre.shape[1]
    unit, own = np.eye(n), np.arange(n)
    pairs = [(i, j) for i in range(n) for j in range(i)]
    shifts = np.stack([np.zeros(n), *unit, *-unit, *(unit[i] + unit[j] for i, j in pairs)])
    values = games.payoffs(at, centre[:, None] + shifts * h[:, None])
    here, up, down = values[:, 0], values[:, 1 : n + 1], values[:, n + 1 : 2 * n + 1]
    h = np.where(h > 0, h, 1.0)
    slope = (up - down)[:, own, own] / (2 * h)
    bend = np.zeros((len(at), n, n))
    bend[:, own, own] = (up[:, own, own] - 2 * here + down[:, own, own]) / h**2
    for k, (i, j) in enumerate(pairs):
        cross = (values[:, 2 * n + 1 + k] - up[:, i] - up[:, j] + here) / (h[:, i] * h[:, j])[:, None]
        bend[:, i, j], bend[:, j, i] = cross[:, i], cross[:, j]
    return slope, bend


def _model_replies(own, centre, slope, bend, floor, ceiling) -> np.ndarray:
    """Best replies to each other in the model, each between ``floor`` and ``ceiling``."""
    x = own.copy()
    for _ in range(INNER):
        for i in range(x.shape[1]):
            away = x - centre
            away[:, i] = 0
            rise = slope[:, i] + (bend[:, i] * away).sum(axis=1)  # at the centre of i's own strategy
            curve = bend[:, i, i]
            top = centre[:, i] - rise / np.where(curve < 0, curve, -1.0)
            middle = (floor[:, i] + ceiling[:, i]) / 2 - centre[:, i]
            end = np.where(rise + curve * middle > 0, ceiling[:, i], floor[:, i])
            x[:, i] = np.clip(np.where(curve < 0, top, end), floor[:, i], ceiling[:, i])
    return x
