"""The one loop: an algorithm's steps until it says it has ended, then a certificate measured on the game itself."""

import warnings
from typing import Any, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jax.core import Tracer

from solver.algorithms.best_response import BestResponse
from solver.continuous.implicit import frozen, with_derivative
from solver.game import AbstractGame, Profile, checked_profile, midpoint
from solver.regret import Deviation, certificate_of, certify_profile
from solver.solution import Solution, Status

NOISE = 16  # units in the last place of a payoff that a measured regret cannot be told from


class Algorithm(Protocol):
    """What ``solve`` needs of an algorithm; its state holds ``num_steps`` and ``cycle`` (0, or a cycle's length)."""

    def init(self, game: AbstractGame, profile: Profile, tolerance: Array) -> Any: ...
    def step(self, game: AbstractGame, state: Any, tolerance: Array) -> Any: ...
    def terminated(self, state: Any, tolerance: Array) -> Array: ...
    def profile(self, game: AbstractGame, state: Any) -> Profile: ...


class EquilibriumError(RuntimeError):
    """No equilibrium was found; the message says what was, ``.solution`` holds it."""

    solution: Solution


def solve(
    game: AbstractGame,
    algorithm: Algorithm | None = None,
    *,
    start: Profile | None = None,
    tolerance: float | Array | None = None,
    max_steps: int | Array = 200,
    key: Array | None = None,
    throw: bool = True,
) -> Solution:
    """A Nash equilibrium of ``game`` by ``algorithm`` (default: :class:`BestResponse`).

    :param start: one strategy per player; default: drawn by ``key``, or without one the middle of every set.
    :param tolerance: largest accepted regret relative to the range of the player's payoffs over its own deviations;
        default 1e-8 in double and 1e-4 in single precision.
    :param max_steps: steps after which an algorithm is stopped.
    :param throw: raise :class:`EquilibriumError` unless converged; otherwise the status says what happened. Under
        ``vmap`` and in sweeps use ``throw=False``.
    :return: a :class:`Solution`; its ``regret`` is measured by code the algorithm does not use. Its strategies and payoffs
        can be differentiated in the arrays of ``game``, in forward and reverse mode (see ``continuous.implicit``); where
        no derivative exists that is an error, or with ``throw=False`` a NaN.
    :raises ValueError: if a strategy of ``start`` has the wrong shape, or ``tolerance`` is not positive.
    """
    algorithm = BestResponse() if algorithm is None else algorithm
    start = starting_profile(game, start, key)
    limits = checked_tolerance(tolerance), jnp.asarray(max_steps)
    solution = _solve(frozen(game), frozen(algorithm), frozen(start), *limits)
    if throw:
        solution = _raise_unless_converged(solution)
    return with_derivative(game, algorithm, solution, throw=throw)


def starting_profile(game: AbstractGame, start: Profile | None, key: Array | None) -> Profile:
    if start is not None:
        return checked_profile(game, start, "start")
    if key is None:
        return checked_profile(game, midpoint(game))
    spaces = game.actions()
    keys = jax.random.split(key, len(spaces))
    return checked_profile(game, tuple(space.sample(k) for space, k in zip(spaces, keys, strict=True)))


def checked_tolerance(tolerance: float | Array | None) -> Array:
    dtype = jnp.result_type(float)
    double = dtype == jnp.float64
    if tolerance is None:
        tolerance = 1e-8 if double else 1e-4
    if not isinstance(tolerance, Tracer):
        if not tolerance > 0:
            raise ValueError(f"tolerance = {tolerance} must be positive")
        if tolerance < 100 * jnp.finfo(dtype).eps:
            warnings.warn(
                f"tolerance = {tolerance} is below what {dtype} can show; enable jax_enable_x64 or use "
                f"{100 * float(jnp.finfo(dtype).eps):.0e} or more",
                stacklevel=3,
            )
    return jnp.asarray(tolerance, dtype)


@eqx.filter_jit
def _solve(game, algorithm, start, tolerance, max_steps) -> Solution:
    state = algorithm.init(game, start, tolerance)
    state = advance(game, algorithm, state, tolerance, max_steps)
    return finish(game, algorithm, state, tolerance)


def advance(game, algorithm, state, tolerance, max_steps):
    """Steps until the algorithm has ended, or ``max_steps`` are taken in all."""

    def running(s):
        return ~algorithm.terminated(s, tolerance) & (s.num_steps < max_steps)

    return jax.lax.while_loop(running, lambda s: algorithm.step(game, s, tolerance), state)


def finish(game, algorithm, state, tolerance) -> Solution:
    """Measure the regret where the algorithm stopped, and name the outcome.

    An algorithm with a ``certify`` of its own seeks another equilibrium than Nash's, and says what a deviation gains there.
    """
    profile = algorithm.profile(game, state)
    certify = getattr(algorithm, "certify", certify_profile)
    ended = algorithm.terminated(state, tolerance), state.num_steps, state.cycle
    return _named(profile, certify(game, profile), *ended, tolerance)


def concluded(game, profile: Profile, found: Deviation, settled, num_steps, cycle, tolerance) -> Solution:
    """As :func:`finish`, given the best deviations found."""
    measured = found.payoffs, found.gain, certificate_of(game, found)
    return _named(profile, measured, settled, num_steps, cycle, tolerance)


def _named(profile, measured, settled, num_steps, cycle, tolerance) -> Solution:
    payoffs, regret, certificate = measured
    within = _within(payoffs, regret, certificate, tolerance)
    finite = jnp.isfinite(payoffs).all() & jnp.isfinite(regret).all()
    ended = jnp.where(settled, int(Status.uncertified), int(Status.max_steps))
    status = jnp.where(within, int(Status.converged), jnp.where(cycle > 0, int(Status.cycle), ended))
    status = jnp.where(finite, status, int(Status.non_finite))
    cycle = jnp.where(status == int(Status.cycle), cycle, 0)
    return Solution(profile, payoffs, regret, regret.max(), status, num_steps, certificate, cycle)


def judge(game: AbstractGame, profile: Profile) -> Solution:
    """A Solution of a profile that was found otherwise than by ``solve``, at the default tolerance."""
    payoffs, regret, certificate = certify_profile(game, profile)
    within = _within(payoffs, regret, certificate, checked_tolerance(None))
    status = jnp.where(within, int(Status.converged), int(Status.uncertified))
    status = jnp.where(jnp.isfinite(payoffs).all(), status, int(Status.non_finite))
    zero = jnp.asarray(0, jnp.int32)
    return Solution(profile, payoffs, regret, regret.max(), status, zero, certificate, zero)


def _within(payoffs, regret, certificate, tolerance) -> Array:
    noise = NOISE * jnp.finfo(payoffs.dtype).eps * jnp.abs(payoffs)
    return jnp.all(regret <= tolerance * certificate.payoff_range + noise)


def _raise_unless_converged(solution: Solution) -> Solution:
    if isinstance(solution.status, Tracer):
        return eqx.error_if(
            solution, ~solution.converged, "solve found no equilibrium here; use throw=False and read the status"
        )
    if not bool(solution.converged):
        status = Status(int(solution.status))
        about = f" of length {int(solution.cycle_length)}" if status is Status.cycle else ""
        error = EquilibriumError(
            f"no equilibrium: {status.name}{about} after {int(solution.num_steps)} steps, "
            f"max_regret {float(solution.max_regret):.2g}; {status.advice}"
        )
        error.solution = solution
        raise error
    return solution
