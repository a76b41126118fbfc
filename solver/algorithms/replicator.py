r"""Evolutionary dynamics in continuous time, by Runge and Kutta's fourth-order steps; time series; evolutionary stability."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from solver.algorithms.fictitious_play import Learning, action_payoffs, begin, gap
from solver.game import AbstractGame, Profile
from solver.normal_form import NormalForm


def _advance(game: AbstractGame, state: Learning, rate: Callable[[Profile], Profile], step: Array) -> Learning:
    def ahead(direction: Profile, share: float) -> Profile:
        return tuple(p + share * step * d for p, d in zip(state.mixtures, direction, strict=True))

    one = rate(state.mixtures)
    two = rate(ahead(one, 0.5))
    three = rate(ahead(two, 0.5))
    four = rate(ahead(three, 1.0))
    moved = (
        jnp.maximum(p + step / 6 * (a + 2 * b + 2 * c + d), 0)
        for p, a, b, c, d in zip(state.mixtures, one, two, three, four, strict=True)
    )
    new = tuple(p / p.sum() for p in moved)
    return Learning(new, state.sums, new, gap(game, new), state.num_steps + 1, state.cycle)


class Replicator(eqx.Module):
    r"""Shares grow by how much better than average they do (Taylor and Jonker 1978).

    .. math:: \dot s_{ia} = s_{ia} (u_{ia} - s_i \cdot u_i)

    :param step: time between two points of the numerical solution, in 1/payoff units; keep step x range of payoffs below 1.

    Stops at a rest point of small regret. A start on a face stays there.
    """

    step_size: Array

    def __init__(self, step: float | Array = 0.1):
        self.step_size = jnp.asarray(step, jnp.result_type(float))

    def init(self, game: AbstractGame, profile: Profile, tolerance: Array) -> Learning:
        return begin(profile)

    def step(self, game: AbstractGame, state: Learning, tolerance: Array) -> Learning:
        def rate(profile: Profile) -> Profile:
            return tuple(p * (u - p @ u) for p, u in zip(profile, action_payoffs(game, profile), strict=True))

        return _advance(game, state, rate, self.step_size)

    def terminated(self, state: Learning, tolerance: Array) -> Array:
        return state.gap <= tolerance

    def profile(self, game: AbstractGame, state: Learning) -> Profile:
        return state.mixtures


class LogitDynamics(eqx.Module):
    r"""Shares move to the logit reply (Fudenberg and Levine 1998, ch. 4).

    .. math:: \dot s_i = \mathrm{softmax}(\lambda u_i(s)) - s_i

    Its rest points are logit equilibria, so the regret stays above 0; it stops only where that is within tolerance.

    :param precision: :math:`\lambda`, in 1/payoff units. :param step: time between two points.
    """

    precision: Array
    step_size: Array

    def __init__(self, precision: float | Array, step: float | Array = 0.1):
        self.precision, self.step_size = (jnp.asarray(v, jnp.result_type(float)) for v in (precision, step))

    def init(self, game: AbstractGame, profile: Profile, tolerance: Array) -> Learning:
        return begin(profile)

    def step(self, game: AbstractGame, state: Learning, tolerance: Array) -> Learning:
        def rate(profile: Profile) -> Profile:
            pays = action_payoffs(game, profile)
            return tuple(jax.nn.softmax(self.precision * u) - p for p, u in zip(profile, pays, strict=True))

        return _advance(game, state, rate, self.step_size)

    def terminated(self, state: Learning, tolerance: Array) -> Array:
        return state.gap <= tolerance

    def profile(self, game: AbstractGame, state: Learning) -> Profile:
        return state.mixtures


def trajectory(game: AbstractGame, algorithm, *, start: Profile | None = None, num_steps: int = 1000) -> Profile:
    """The profiles an algorithm passes through: one array (num_steps + 1, actions) per player, the start first.

    :param algorithm: any that ``solve`` takes; it is not stopped when it has settled.
    """
    from solver.solve import starting_profile

    return _trajectory(game, algorithm, starting_profile(game, start, None), num_steps)


@eqx.filter_jit
def _trajectory(game, algorithm, start, num_steps: int) -> Profile:
    tolerance = jnp.asarray(0.0, start[0].dtype)

    def onward(state, _):
        new = algorithm.step(game, state, tolerance)
        return new, algorithm.profile(game, new)

    _, series = jax.lax.scan(onward, algorithm.init(game, start, tolerance), length=num_steps)
    return tuple(jnp.concatenate([first[None], rest]) for first, rest in zip(start, series, strict=True))


def is_evolutionarily_stable(game: NormalForm, strategy: Array) -> bool:
    r"""Whether a strategy of a symmetric two-player game is evolutionarily stable (Maynard Smith and Price 1973).

    x is stable iff it is an equilibrium against itself and :math:`u(x, y) > u(y, y)` for every other best reply y to it: a
    quadratic form strictly positive on a cone, tested on all its faces (Haigh 1975; Bomze 1992). Ties are payoffs within
    1e-9 of their range.

    :raises ValueError: unless the game is symmetric, B = A'.
    """
    A = np.asarray(game.payoff_array[0], float)
    if len(game.players) != 2 or not np.allclose(np.asarray(game.payoff_array[1], float), A.T):
        raise ValueError("is_evolutionarily_stable: the game must have two players and be symmetric, B = A'")
    x = np.asarray(strategy, float)
    pays, near = A @ x, 1e-9 * (np.ptp(A) or 1.0)
    support, best = np.flatnonzero(x > 1e-9), np.flatnonzero(pays >= pays.max() - near)
    if not set(support) <= set(best):
        return False
    base, free = support[0], list(support[1:])
    signed = [b for b in best if b not in support]
    others = [*free, *signed]
    D = A[np.ix_(others, others)] - A[others, base][:, None] - A[base, others][None] + A[base, base]
    M = -(D + D.T) / 2
    k = len(free)
    if k and np.linalg.eigvalsh(M[:k, :k]).min() <= near:
        return False
    rest = M[k:, k:] - M[k:, :k] @ np.linalg.solve(M[:k, :k], M[:k, k:]) if k else M
    return _strictly_copositive(rest, near)


def _strictly_copositive(M: np.ndarray, near: float) -> bool:
    """z'Mz > 0 for all z >= 0 but 0: no face has an eigenvector inside it with an eigenvalue of 0 or less (Kaplan 2000)."""
    n = len(M)
    for face in range(1, 2**n):
        at = [i for i in range(n) if face >> i & 1]
        values, vectors = np.linalg.eigh(M[np.ix_(at, at)])
        for value, vector in zip(values, vectors.T, strict=True):
            if value <= near and (np.all(vector > 1e-12) or np.all(vector < -1e-12)):
                return False
    return True
