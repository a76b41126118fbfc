r"""Logit quantal response equilibria, followed from a start by predictor and corrector.

With precision :math:`\lambda` every player i mixes as (McKelvey and Palfrey 1995)

.. math:: p_{ia} = \frac{\exp(\lambda u_{ia}(p))}{\sum_b \exp(\lambda u_{ib}(p))}.

The branch that begins at the centroid at :math:`\lambda = 0` is followed by arc length in (log p, precision), so it
passes folds (Turocy 2005). From another start s the odds of s fade out along the way:

.. math:: \ln p_{ia} - \ln p_{i0} = \lambda (u_{ia} - u_{i0}) + (1 - \lambda/\Lambda)(\ln s_{ia} - \ln s_{i0}).

Inside, payoffs are divided by their largest range, so a precision has no unit there.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jax.core import Tracer

from solver.game import AbstractGame, Profile
from solver.linear import solve_linear
from solver.normal_form import NormalForm
from solver.solution import Certificate

CORRECTIONS = 4
FIRST_STEP = 0.05


class LogitResponse(eqx.Module):
    """The logit equilibrium at one precision, on the branch from the start (default: the centroid).

    "Regret" and "converged" are those of the game whose payoffs hold the noise too, :math:`u_i + H(p_i)/\\lambda`, of which a
    logit equilibrium is the Nash equilibrium: :math:`KL(p_i \\| \\mathrm{softmax}(\\lambda u_i)) / \\lambda`.

    :param precision: :math:`\\lambda \\ge 0`, in 1/payoff units.
    """

    precision: Array

    def __init__(self, precision: float | Array):
        self.precision = jnp.asarray(precision, jnp.result_type(float))
        if not isinstance(self.precision, Tracer) and not bool((self.precision >= 0).all()):
            raise ValueError(f"precision = {precision}: it must be 0 or more")

    def init(self, game: AbstractGame, profile: Profile, tolerance: Array) -> "Path":
        if not isinstance(game, NormalForm):
            raise ValueError(f"LogitResponse takes a NormalForm, and the game is a {type(game).__name__}")
        return begin(game, profile)

    def step(self, game: AbstractGame, state: "Path", tolerance: Array) -> "Path":
        assert isinstance(game, NormalForm)  # init saw to it
        return follow(game, state, self.precision * span(game))

    def terminated(self, state: "Path", tolerance: Array) -> Array:
        return state.arrived | (state.length < 1e-12)

    def profile(self, game: AbstractGame, state: "Path") -> Profile:
        return mixtures(game, state.z)

    def residual(self, game: AbstractGame, profile: Profile) -> Profile:
        """The equations that hold at the logit equilibrium, by which it is differentiated."""
        assert isinstance(game, NormalForm)
        replies = (jax.nn.softmax(self.precision * game.action_payoffs(profile, i)) for i in range(len(profile)))
        return tuple(p - reply for p, reply in zip(profile, replies, strict=True))

    def certify(self, game: AbstractGame, profile: Profile) -> tuple[Array, Array, Certificate]:
        assert isinstance(game, NormalForm)
        pays = [game.action_payoffs(profile, i) for i in range(len(profile))]
        gains = []
        for p, u in zip(profile, pays, strict=True):
            log_reply = jax.nn.log_softmax(self.precision * u)
            log_p = jnp.log(jnp.where(p > 0, p, 1))
            gains.append((p * (log_p - log_reply)).sum() / jnp.where(self.precision > 0, self.precision, 1))
        table = game.payoff_array.reshape(len(profile), -1)
        regret = jnp.maximum(jnp.stack(gains), 0)
        # the noise widens the range of what a player can get, up to ln(n) / precision
        noise = jnp.log(jnp.array([len(p) for p in profile])) / jnp.where(self.precision > 0, self.precision, 1)
        certificate = Certificate("exact", 0, regret.max(), table.max(axis=1) - table.min(axis=1) + noise)
        return game.payoffs(profile), regret, certificate


class Path(eqx.Module):
    z: Array  # log probabilities of all players, then the precision
    tangent: Array
    length: Array  # of the next step
    odds: Array  # log probabilities at the start
    arrived: Array
    num_steps: Array
    cycle: Array


def span(game: NormalForm) -> Array:
    """The largest range of a player's payoffs; 1 if all are constant."""
    table = game.payoff_array.reshape(game.payoff_array.shape[0], -1)
    widest = (table.max(axis=1) - table.min(axis=1)).max()
    return jnp.where(widest > 0, widest, 1)


def mixtures(game: AbstractGame, z: Array) -> Profile:
    return tuple(jax.nn.softmax(part) for part in _split(game, z[:-1]))


def _split(game: AbstractGame, flat: Array) -> list[Array]:
    sizes = [space.size for space in game.actions()]
    return [flat[sum(sizes[:i]) : sum(sizes[: i + 1])] for i in range(len(sizes))]


def residual(game: NormalForm, z: Array, odds: Array, target: Array) -> Array:
    """The equilibrium's equations in log probabilities: odds against the first action, and sums of 1."""
    logs, precision, widest = _split(game, z[:-1]), z[-1], span(game)
    profile = tuple(jnp.exp(part) for part in logs)
    fade = jnp.clip(1 - precision / jnp.where(target > 0, target, 1), 0, 1)
    parts = []
    for i, (log_p, start) in enumerate(zip(logs, _split(game, odds), strict=True)):
        u = game.action_payoffs(profile, i) / widest
        gap = log_p - log_p[0] - precision * (u - u[0]) - fade * (start - start[0])
        parts.append(gap.at[0].set(profile[i].sum() - 1))
    return jnp.concatenate(parts)


def begin(game: NormalForm, profile: Profile) -> Path:
    logs = [jnp.log(jnp.maximum(p, 1e-6)) for p in profile]
    odds = jnp.concatenate([log - jax.nn.logsumexp(log) for log in logs])
    z = jnp.append(odds, 0.0)
    up = jnp.zeros_like(z).at[-1].set(1.0)
    zero = jnp.asarray(0, jnp.int32)
    return Path(z, up, jnp.asarray(FIRST_STEP, z.dtype), odds, jnp.asarray(False), zero, zero)


def follow(game: NormalForm, path: Path, target: Array) -> Path:
    """One predictor and its corrections; a step that does not settle is halved and tried again."""

    def system(z):
        return residual(game, z, path.odds, target)

    jacobian = jax.jacfwd(system)
    tangent = _tangent(jacobian(path.z), path.tangent)
    climb = tangent[-1]
    last = path.z[-1] + path.length * climb >= target
    length = jnp.where(last, (target - path.z[-1]) / jnp.where(climb > 0, climb, 1), path.length)
    # the last step ends at the target precision, the others anywhere across the tangent
    across = jnp.where(last, jnp.zeros_like(tangent).at[-1].set(1.0), tangent)
    z, sizes = path.z + length * tangent, []
    for _ in range(CORRECTIONS):
        move = solve_linear(jnp.vstack([jacobian(z), across]), -jnp.append(system(z), 0.0))
        z, sizes = z + move, [*sizes, jnp.abs(move).max() / (1 + jnp.abs(z).max())]
    tiny = 1e-11 if z.dtype == jnp.float64 else 1e-4
    good = jnp.isfinite(z).all() & (sizes[-1] <= tiny) & (sizes[0] <= 0.3)
    growth = jnp.where(sizes[0] < 0.02, 2.0, jnp.where(sizes[0] < 0.1, 1.3, 0.8))
    return Path(
        z=jnp.where(good, z, path.z),
        tangent=jnp.where(good, tangent, path.tangent),
        length=jnp.where(good, path.length * growth, path.length / 3),
        odds=path.odds,
        arrived=good & last,
        num_steps=path.num_steps + 1,
        cycle=path.cycle,
    )


def _tangent(jacobian: Array, last: Array) -> Array:
    """The path's direction, which keeps an acute angle with the last one."""
    right = jnp.zeros(len(last), last.dtype).at[-1].set(1.0)
    tangent = solve_linear(jnp.vstack([jacobian, last]), right)
    return tangent / jnp.linalg.norm(tangent)
