r"""Derivatives of an equilibrium in the game's parameters, by the implicit function theorem.

With equations F(x, θ) = 0 that hold at the equilibrium, by default the natural residual of ``conditions``,

.. math:: \frac{dx}{d\theta} = -\Bigl(\frac{\partial F}{\partial x}\Bigr)^{-1}\frac{\partial F}{\partial\theta},\qquad
    \frac{du}{d\theta} = \frac{\partial u}{\partial\theta} + \frac{\partial u}{\partial x}\frac{dx}{d\theta}

They exist where strict complementarity holds and the Jacobian is regular; elsewhere an error is raised or NaN returned.
The point is first polished by Newton's method, since a regret within tolerance leaves a strategy uncertain by its square
root.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jax.core import Tracer

from solver.continuous.conditions import bounds, flat, marginal_payoffs, natural_residual, payoff_scale, split
from solver.game import AbstractGame, Profile
from solver.linear import solver_of
from solver.solution import Solution

POLISH = 3  # Newton's steps; the last one shows that they have settled
FAR = 1e-2  # share of a set by which polishing may move a strategy: beyond, F = 0 is not what holds there
MESSAGE = (
    "the equilibrium has no derivative here: a bound is just active, payoffs have a kink, the Jacobian is singular (a fold, "
    "or a continuum of equilibria), or it was not found; the margin of comparative_statics tells the first"
)


def frozen(tree: Any) -> Any:
    """The same numbers, of no derivative."""
    return jax.tree.map(lambda leaf: jax.lax.stop_gradient(leaf) if eqx.is_inexact_array(leaf) else leaf, tree)


def with_derivative(game: AbstractGame, algorithm: Any, solution: Solution, *, throw: bool) -> Solution:
    """``solution`` itself, whose strategies and payoffs have the derivatives of the module's docstring.

    :param algorithm: None for a Nash equilibrium, or an algorithm with equations of its own, ``residual(game, profile)``.
    :param throw: an error where there is no derivative; otherwise NaN.
    """
    if not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((game, algorithm))):
        return solution  # nobody can ask; saves 2 ms
    return _attached((game, algorithm), solution, throw=throw)


@eqx.filter_custom_jvp
def _attached(problem: tuple[AbstractGame, Any], solution: Solution, *, throw: bool) -> Solution:
    del problem, throw
    return solution


@_attached.def_jvp
def _derivative(primals, tangents, *, throw):
    problem, solution = primals
    solution = _attached(problem, solution, throw=throw)
    moves = _moves(problem, solution, tangents[0], throw)
    nothing = jax.tree.map(lambda _: None, solution)
    slots = lambda s: (s.strategies, s.payoffs)  # noqa: E731
    return solution, eqx.tree_at(slots, nothing, moves, is_leaf=lambda leaf: leaf is None)


@eqx.filter_jit
def _moves(problem, solution: Solution, tangent, throw: bool) -> tuple[Profile, Array]:
    """The tangents of strategies and payoffs, along that of the problem."""
    game = problem[0]
    scale = frozen(payoff_scale(game, solution.certificate.payoff_range))
    point, exists = _polished(frozen(problem), frozen(solution), scale)
    x = flat(solution.strategies)
    x = point + (x - frozen(x))  # moves with the parameters, for derivatives of derivatives
    if throw:
        x = eqx.error_if(x, ~exists, MESSAGE)
    moving, held = eqx.partition(problem, jax.tree.map(lambda _, t: t is not None, problem, tangent))
    # linearised once for both, since F may hold equilibria of its own
    _, push = jax.linearize(lambda p, y: equations(eqx.combine(p, held), y, scale)[0], moving, x)
    jacobian = jax.vmap(lambda along: push(jax.tree.map(jnp.zeros_like, moving), along), out_axes=1)(jnp.eye(len(x)))
    pushed = push(tangent, jnp.zeros_like(x))
    # NaN in the matrix reaches both modes
    move = -solver_of(jnp.where(exists, jacobian, jnp.nan))[0](pushed)
    return split(game, move), _push(lambda p, y: p[0].payoffs(split(p[0], y)), (problem, x), (tangent, move))


def equations(problem: tuple[AbstractGame, Any], x: Array, scale: Array) -> tuple[Array, Array]:
    """F(x), 0 at what the algorithm looks for, and the distance of every coordinate from a kink of F.

    :raises NotImplementedError: if it looks for another equilibrium than Nash's and does not say by which equations.
    """
    game, algorithm = problem
    if hasattr(algorithm, "residual"):
        return flat(algorithm.residual(game, split(game, x))), jnp.full_like(x, jnp.inf)
    if hasattr(algorithm, "certify"):
        raise NotImplementedError(f"{type(algorithm).__name__} has no equations `residual` to differentiate")
    return natural_residual(game, x, marginal_payoffs(game, x), scale)


def _polished(problem, solution: Solution, scale: Array) -> tuple[Array, Array]:
    """The solution's profile after Newton's steps, and whether it has a derivative."""
    start = flat(solution.strategies)
    low, high = bounds(problem[0])
    width = jnp.where(high > low, high - low, 1)

    def newton(x, _):
        def shown(y):
            residual, margin = equations(problem, y, scale)
            return residual, (residual, margin)

        jacobian, (residual, margin) = jax.jacfwd(shown, has_aux=True)(x)
        inverse, condition = solver_of(jacobian)
        step = inverse(residual)
        return x - step, ((jnp.abs(step) / width).max(), margin.min(), condition)

    point, (steps, margins, conditions) = jax.lax.scan(newton, start, length=POLISH)
    eps = jnp.finfo(start.dtype).eps
    near = (jnp.abs(point - start) <= FAR * width).all() & (steps[-1] <= jnp.sqrt(eps))
    smooth = (margins[-1] > jnp.sqrt(eps)) & (conditions[-1] < 1e-2 / eps)
    return point, solution.converged & near & smooth


def _push(function, arguments, tangents) -> Array:
    """The derivative of ``function`` along the tangents, zeros where they are None."""
    value, pushed = eqx.filter_jvp(function, arguments, tangents)
    return jnp.zeros_like(value) if pushed is None else pushed
