r"""How an equilibrium and what follows from it move with every parameter of the game.

.. math:: \frac{d y}{d\theta} = \frac{\partial y}{\partial\theta} + \frac{\partial y}{\partial x}\frac{dx}{d\theta},\qquad
    \varepsilon = \frac{dy}{d\theta}\,\frac{\theta}{y},\qquad
    \frac{dx}{d\theta} = -\Bigl(\frac{\partial F}{\partial x}\Bigr)^{-1}\frac{\partial F}{\partial\theta}

Through the natural residual F a strategy at an active bound moves with the bound alone. That needs strict
complementarity, whose margin is reported: at 0 the derivatives on the two sides differ, and NaN is returned.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from solver.compilation import LARGE, jit_once
from solver.continuous.conditions import bounds, flat, natural_residual, payoff_scale, payoffs_and_slopes, split
from solver.continuous.implicit import FAR, POLISH
from solver.game import AbstractGame, Profile
from solver.solution import Solution, Status
from solver.sweep.lanes import _frozen

if TYPE_CHECKING:
    import xarray

Outputs = Callable[[AbstractGame, Profile], Mapping[str, Any]]


def comparative_statics(game: AbstractGame, solution: Solution, *, outputs: Outputs | None = None) -> "xarray.Dataset":
    """The derivatives and elasticities of a Nash equilibrium in every parameter, by the implicit function theorem.

    :param solution: a converged solution of ``game``; inner equilibria (of followers, by ``fixed_point`` or ``solve``) are
        followed through their own implicit derivatives.
    :param outputs: maps (game, strategies) to named arrays, or (dims, array), as for ``sweep``; differentiated too.
    :return: a Dataset. ``strategies``, ``payoffs`` and every output: the derivative, along "parameter" (every entry of
        every float array of the game, by its field's name), "player" and, where a strategy has several coordinates,
        "action". ``…_elasticity``: NaN where the value is 0. ``…_level``: the value itself. ``margin``: of strict
        complementarity, as a share of the player's set; ``bound``: -1 at the lower bound, 1 at the upper, 0 between. All
        derivatives are NaN where the margin is 0, payoffs have a kink, or the Jacobian is singular.
    :raises ValueError: if ``solution`` is not converged or of a batch, or an output has the name of another variable.

    Source: the implicit function theorem for generalised equations (Robinson 1980), where strict complementarity holds.
    """
    if solution.status.ndim:
        raise ValueError(f"solution has status of shape {solution.status.shape}, a batch: take one game's by its index")
    if not bool(solution.converged):
        status = Status(int(solution.status)).name
        raise ValueError(f"solution has status {status}: only a converged one has derivatives, solve again")
    named = {"strategies": _action_dims(solution), "payoffs": ("player",)}
    coords: dict[str, Any] = {"player": list(game.players)}
    for name, (dims, labels) in _output_dims(game, solution, outputs).items():
        if name in {*named, "margin", "bound", "parameter", "value", "player", "action"}:
            raise ValueError(f"outputs gives {name!r}, which the Dataset already holds: give it another name")
        named[name], coords = dims, coords | labels
    names, theta = parameters(game)
    coords |= {"parameter": names, "value": ("parameter", theta)}
    levels, slopes, conditions = _derivatives(game, solution, outputs)
    return _table(named, coords, levels, slopes, theta, conditions, float(solution.max_regret))


def parameters(game: AbstractGame) -> tuple[list[str], np.ndarray]:
    """The names and values of every entry of every float array of the game, in the order of its fields."""
    names, values = [], []
    for path, leaf in jax.tree_util.tree_leaves_with_path(eqx.filter(game, eqx.is_inexact_array)):
        name = jax.tree_util.keystr(path).lstrip(".")
        names += [name] if leaf.ndim == 0 else [f"{name}[{','.join(map(str, at))}]" for at in np.ndindex(leaf.shape)]
        values.append(np.asarray(leaf).ravel())
    return names, np.concatenate(values) if values else np.zeros(0)


def _derivatives(game: AbstractGame, solution: Solution, outputs: Outputs | None) -> tuple[dict, dict, dict]:
    """The values, their derivatives in every parameter (last axis), and the margin and the bound of every strategy."""
    start = np.asarray(flat(solution.strategies))
    x, here, exists = _polished(game, start, payoff_scale(game, solution.certificate.payoff_range), outputs)
    move = -_solved(here.residual.by_strategy, here.residual.by_parameter)
    move = move if exists else np.full_like(move, np.nan)
    slopes = {name: v.by_parameter + v.by_strategy @ move for name, v in here.named.items()}
    low, high = map(np.asarray, bounds(game))
    at_bound = np.minimum(x - low, high - x) <= np.finfo(x.dtype).eps ** 0.5 * (high - low)
    side = np.where(at_bound, np.where(x - low < high - x, -1, 1), 0).astype(x.dtype)
    level, along, margin, bound = (_ragged(game, v) for v in (x, move, here.margin, side))
    values = {name: v.value for name, v in here.named.items()}
    return values | {"strategies": level}, slopes | {"strategies": along}, {"margin": margin, "bound": bound}


def _polished(game, start: np.ndarray, scale: Array, outputs) -> tuple[np.ndarray, "Linearised", bool]:
    """The solution's profile after Newton's steps, linearised there, and whether it has derivatives; else as it came.

    The steps come from the same program as the derivatives: it takes far longer to compile than to run.
    """

    def at(x: np.ndarray) -> Linearised:
        return jax.tree.map(np.asarray, linearised(game, jnp.asarray(x), scale, outputs))

    low, high = map(np.asarray, bounds(game))
    width, eps = np.where(high > low, high - low, 1), np.finfo(start.dtype).eps
    x, here = start, at(start)
    first, moved = here, np.inf
    for _ in range(POLISH):
        step = _solved(here.residual.by_strategy, here.residual.value)
        x, moved = x - step, np.abs(step / width).max()
        here = at(x)
        if not moved > eps**0.75:
            break
    near = np.abs((x - start) / width).max() <= FAR and moved <= eps**0.5
    smooth = near and here.margin.min() > eps**0.5 and np.linalg.cond(here.residual.by_strategy) < 1e-2 / eps
    return (x, here, True) if smooth else (start, first, False)


class Value(NamedTuple):
    """An array and its derivatives, last axis, in the parameters and in the strategies."""

    value: Any
    by_parameter: Any
    by_strategy: Any


class Linearised(NamedTuple):
    """The natural residual, payoffs and outputs at a profile, and its margin of strict complementarity (flat)."""

    residual: Value
    named: dict[str, Value]
    margin: Any


@partial(jit_once, options=LARGE)
def linearised(game: AbstractGame, x: Array, scale: Array, outputs: Outputs | None) -> Linearised:
    """All of it with every inner equilibrium solved and linearised once, for all directions."""
    numbers, rest = eqx.partition(game, eqx.is_inexact_array)
    theta, rebuild = ravel_pytree(numbers)
    count = len(theta)

    def shown(place: Array):
        here, x = eqx.combine(rebuild(place[:count]), rest), place[count:]
        payoffs, slopes = payoffs_and_slopes(here, x)
        residual, margin = natural_residual(here, x, slopes, scale)
        named = {} if outputs is None else {n: _array(v) for n, v in outputs(here, split(here, x)).items()}
        return (residual, {"payoffs": payoffs} | named), margin

    place = jnp.concatenate([theta, x])
    pushed = jax.vmap(lambda along: jax.jvp(shown, (place,), (along,), has_aux=True), out_axes=(None, -1, None))
    values, moved, margin = pushed(jnp.eye(len(place), dtype=place.dtype))
    residual, named = jax.tree.map(lambda v, m: Value(v, m[..., :count], m[..., count:]), values, moved)
    return Linearised(residual, named, margin)


def _solved(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """NaN where the matrix is singular, or not finite."""
    try:
        return np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        return np.full(right.shape, np.nan, right.dtype)


def _array(output: Any) -> Array:
    return jnp.asarray(output[1] if isinstance(output, tuple) else output, jnp.result_type(float))


def _ragged(game: AbstractGame, values: np.ndarray) -> np.ndarray:
    """Rows of a flat profile by (player, action), or (player,) where each has one; what a player has fewer of is NaN."""
    sizes = [space.size for space in game.actions()]
    table = np.full((len(sizes), max(sizes), *values.shape[1:]), np.nan, values.dtype)
    for row, part in zip(table, np.split(values, np.cumsum(sizes)[:-1]), strict=True):
        row[: len(part)] = part
    return table[:, 0] if max(sizes) == 1 else table


def _action_dims(solution: Solution) -> tuple[str, ...]:
    return ("player",) if all(s.shape[-1] == 1 for s in solution.strategies) else ("player", "action")


def _output_dims(game, solution: Solution, outputs: Outputs | None) -> dict[str, tuple[tuple[str, ...], dict]]:
    """Each output's dimensions, and the labels of those that have some."""
    if outputs is None:
        return {}
    out = {}
    for name, given in eqx.filter_eval_shape(lambda g, s: dict(outputs(g, s)), game, solution.strategies).items():
        shape = given[1].shape if isinstance(given, tuple) else given.shape
        named = _frozen(given[0]) if isinstance(given, tuple) else None
        dims = tuple((f"{name}_{k}", None) for k in range(len(shape))) if named is None else named
        out[name] = tuple(d for d, _ in dims), {d: list(v) for d, v in dims if v is not None}
    return out


def _table(named, coords, levels, slopes, theta, conditions, max_regret) -> "xarray.Dataset":
    import xarray

    data: dict[str, Any] = {}
    for name, dims in named.items():
        level, slope = levels[name], np.moveaxis(slopes[name], -1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            elasticity = np.where(level != 0, slope * theta.reshape(-1, *(1,) * level.ndim) / level, np.nan)
        data[name] = (("parameter", *dims), slope, {"long_name": f"derivative of {name}"})
        data[f"{name}_elasticity"] = (("parameter", *dims), elasticity, {"long_name": f"elasticity of {name}"})
        data[f"{name}_level"] = (dims, level, {"long_name": f"{name} at the equilibrium"})
    about = {"margin": "margin of strict complementarity, share of the set", "bound": "-1 lower, 1 upper, 0 inside"}
    data |= {name: (named["strategies"], conditions[name], {"long_name": about[name]}) for name in about}
    return xarray.Dataset(data, coords, {"max_regret": max_regret})
