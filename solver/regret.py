r"""Regret and best responses, measured on the game itself.

.. math:: \mathrm{regret}_i(s) = \max_{s_i'} u_i(s_i', s_{-i}) - u_i(s)

Nothing here is shared with an algorithm that looks for equilibria. A player on a Simplex compares all its actions. A
player on a Box of one dimension is searched on two panels that meet at its strategy, each with Chebyshev nodes, at some
points close to it (payoffs may have kinks), then by the payoff at the interpolants' maxima; the interpolation's error,
estimated from the decay of its coefficients, goes into the certificate. A Box of more dimensions is searched so along each
coordinate and along the diagonal: "local".
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from solver.chebyshev import vandermonde
from solver.game import AbstractGame, Profile, checked_profile, pad
from solver.normal_form import NormalForm
from solver.solution import Certificate
from solver.spaces import Box, Simplex

NODES = 17  # a panel
# steps to either side, as shares of the set, closer than the nodes: an equilibrium may lie at a kink nearby
NEAR = 4e-3 * 0.25 ** np.arange(4)
FINE = 65  # points at which a panel's interpolant is compared


class Deviation(NamedTuple):
    """The best deviation found for each player, padded to the longest strategy."""

    strategy: Array  # (players, width)
    gain: Array  # (players,), never negative
    error: Array  # (players,): by how much an unseen deviation may be better, as estimated
    payoff_range: Array  # (players,), over the deviations looked at
    payoffs: Array  # (players,), at the profile itself


def regret(game: AbstractGame, profile: Profile) -> Array:
    """Each player's gain from its best deviation found, shape (players,), in payoff units.

    :raises ValueError: if the profile does not fit the game.
    """
    return best_deviations(game, checked_profile(game, profile)).gain


def best_response(game: AbstractGame, profile: Profile, player: int) -> Array:
    """A strategy of ``player`` (an index) that maximises its payoff against the others' strategies in ``profile``.

    An action's unit vector for a Simplex (the first of several best ones). If no deviation does better than the player's
    own strategy, that strategy.
    """
    if not 0 <= player < len(game.players):
        raise ValueError(f"player = {player}: the game has players 0 to {len(game.players) - 1}")
    profile = checked_profile(game, profile)
    return best_deviations(game, profile).strategy[player, : profile[player].shape[0]]


def certify_profile(game: AbstractGame, profile: Profile) -> tuple[Array, Array, Certificate]:
    """The payoffs and the regret (players,), and what the regret rests on."""
    found = best_deviations(game, profile)
    return found.payoffs, found.gain, certificate_of(game, found)


def certificate_of(game: AbstractGame, found: Deviation) -> Certificate:
    spaces = game.actions()
    if isinstance(game, NormalForm):  # the whole table's range: where all actions are equally good, theirs is 0
        table = game.payoff_array.reshape(len(spaces), -1)
        return Certificate("exact", 0, found.gain.max(), table.max(axis=1) - table.min(axis=1))
    if all(isinstance(space, Simplex) for space in spaces):
        kind, nodes = "exact", 0
    else:
        kind = "local" if any(isinstance(s, Box) and s.size > 1 for s in spaces) else "interpolated"
        nodes = 2 * NODES
    return Certificate(kind, nodes, (found.gain + found.error).max(), found.payoff_range)


def best_deviations(game: AbstractGame, profile: Profile) -> Deviation:
    """The search described above, for all players in one batch, so that payoffs are traced twice and no more."""
    players = jnp.arange(len(profile))

    def values(deviations: Array) -> Array:
        return jax.vmap(lambda i, d: game.deviation_payoffs(profile, i, d))(players, deviations)

    first = first_deviations(game, profile)
    seen = values(first)
    if not _most_lines(game):
        return compared(first, seen, jnp.zeros_like(seen[:, 0]))
    second, error = second_deviations(game, profile, seen)
    points = jnp.concatenate([first, second], axis=1)
    return compared(points, jnp.concatenate([seen, values(second)], axis=1), error)


def first_deviations(game: AbstractGame, profile: Profile) -> Array:
    """Where each player is looked at first (players, deviations, width): its own strategy, then actions or nodes."""
    spaces, table, lines = game.actions(), pad(profile), _most_lines(game)
    count = max(_num_first(space, lines) for space in spaces)
    rows = [_first(s, x, table.shape[1]) for s, x in zip(spaces, profile, strict=True)]
    return jnp.stack([_fill(jnp.concatenate([table[i : i + 1], r]), count + 1) for i, r in enumerate(rows)])


def second_deviations(game: AbstractGame, profile: Profile, values: Array) -> tuple[Array, Array]:
    """The interpolants' maxima, given the values (players, deviations) at the first ones, and the errors that matter."""
    table, lines = pad(profile), _most_lines(game)
    peaks, errors = [], []
    for i, (space, strategy) in enumerate(zip(game.actions(), profile, strict=True)):
        peak, error = table[i : i + 1], jnp.zeros_like(values[i, 0])
        if isinstance(space, Box):
            seen = values[i, 1 : 1 + _num_lines(space) * 2 * NODES]
            peak, error = _peaks(space, strategy, seen, values[i].max(), table.shape[1])
        peaks.append(_fill(peak, 2 * lines))
        errors.append(error)
    return jnp.stack(peaks), jnp.stack(errors)


def compared(points: Array, values: Array, error: Array) -> Deviation:
    """The best of all deviations looked at; the first is the player's own strategy."""
    own, best, top = values[:, 0], values.argmax(axis=1), values.max(axis=1)
    strategy = points[jnp.arange(len(own)), jnp.where(top > own, best, 0)]
    gain = jnp.where(jnp.isfinite(values).all(axis=1), jnp.maximum(top - own, 0), jnp.nan)
    return Deviation(strategy, gain, error, top - values.min(axis=1), own)


def _most_lines(game: AbstractGame) -> int:
    return max(_num_lines(space) for space in game.actions())


def _num_lines(space) -> int:
    if isinstance(space, Simplex):
        return 0
    return space.size + (space.size > 1)


def _num_first(space, lines: int) -> int:
    return space.num_actions if isinstance(space, Simplex) else 2 * (NODES + len(NEAR)) * lines


def _panels(position: Array) -> tuple[Array, Array]:
    """The ends of the two panels of [0, 1] that meet at ``position``."""
    return jnp.stack([jnp.zeros_like(position), position]), jnp.stack([position, jnp.ones_like(position)])


def _line(space: Box, strategy: Array, line: int) -> tuple[Array, Array, Array]:
    """start + t direction, t in [0, 1], and the t where the panels meet: a coordinate's line, or last the diagonal."""
    width = space.upper - space.lower
    if line < space.size:
        start = strategy.at[line].set(space.lower[line])
        direction = jnp.zeros_like(width).at[line].set(width[line])
        position = (strategy[line] - space.lower[line]) / jnp.where(width[line] > 0, width[line], 1)
    else:
        start, direction, position = space.lower, width, jnp.asarray(0.5, width.dtype)
    return start, direction, position


def _first(space, strategy: Array, width: int) -> Array:
    if isinstance(space, Simplex):
        points = jnp.eye(space.num_actions)
    else:
        nodes = (1 - np.cos(np.pi * np.arange(NODES) / (NODES - 1))) / 2
        rows, near = [], []
        for line in range(_num_lines(space)):
            start, direction, position = _line(space, strategy, line)
            low, high = _panels(position)
            t = (low[:, None] + (high - low)[:, None] * nodes).reshape(-1)
            rows.append(start + t[:, None] * direction)
            t = jnp.clip(position + jnp.asarray(np.concatenate([NEAR, -NEAR]), position.dtype), 0, 1)
            near.append(start + t[:, None] * direction)
        rows += near
        points = jnp.concatenate(rows)
    return jnp.pad(points, ((0, 0), (0, width - points.shape[1])))


def _fill(points: Array, count: int) -> Array:
    """Repeat the first row until there are ``count`` rows, so that players can share a batch."""
    return jnp.concatenate([points, jnp.broadcast_to(points[:1], (count - points.shape[0], points.shape[1]))])


def _peaks(space: Box, strategy: Array, values: Array, top: Array, width: int) -> tuple[Array, Array]:
    """The maxima of the panels' interpolants, and the largest error that could matter."""
    u = -np.cos(np.pi * np.arange(NODES) / (NODES - 1))
    fit = np.linalg.inv(vandermonde(u, NODES))
    fine = np.linspace(-1, 1, FINE)
    points, errors = [], []
    for line in range(_num_lines(space)):
        start, direction, position = _line(space, strategy, line)
        low, high = _panels(position)
        coefficients = values[2 * NODES * line : 2 * NODES * (line + 1)].reshape(2, NODES) @ fit.T
        curve = coefficients @ vandermonde(fine, NODES).T
        at = curve[:, 1:-1].argmax(axis=1) + 1
        left, mid, right = (jnp.take_along_axis(curve, (at + k)[:, None], 1)[:, 0] for k in (-1, 0, 1))
        bend = left - 2 * mid + right
        shift = jnp.where(bend < 0, (left - right) / (2 * jnp.where(bend < 0, bend, -1.0)), 0.0)
        peak = jnp.asarray(fine)[at] + jnp.clip(shift, -1, 1) * (fine[1] - fine[0])
        points.append(start + (low + (high - low) * (peak + 1) / 2)[:, None] * direction)
        tail = jnp.abs(coefficients[:, -4:]).sum(axis=1) * NODES / 2
        tail = jnp.where(high > low, tail, 0.0)
        errors.append(jnp.clip(curve.max(axis=1) + tail - top, 0, None))
    peaks = jnp.concatenate(points)
    return jnp.pad(peaks, ((0, 0), (0, width - space.size))), jnp.concatenate(errors).max()
