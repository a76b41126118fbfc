r"""How an equilibrium and what follows from it move with every parameter of the game.

.. math:: \frac{d y}{d\theta} = \frac{\partial y}{\partial\theta} + \frac{\partial y}{\partial x}\frac{dx}{d\theta},\qquad
    \varepsilon = \frac{dy}{d\theta}\,\frac{\theta}{y},\qquad
    \frac{dx}{d\theta} = -\Bigl(\frac{\partial F}{\partial x}\Bigr)^{-1}\frac{\partial F}{\partial\theta}

Through the natural residual F a strategy at an active bound moves with the bound alone. That needs strict
complementarity, whose margin is reported: at 0 the derivatives on the two sides differ, and NaN is returned.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from solver.continuous.conditions import bounds, flat, natural_residual, payoff_scale, split
from solver.continuous.implicit import with_derivative
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
    levels, slopes, margin, bound = jax.tree.map(np.asarray, _derivatives(game, solution, outputs))
    return _table(named, coords, levels, slopes, theta, {"margin": margin, "bound": bound}, float(solution.max_regret))


def parameters(game: AbstractGame) -> tuple[list[str], np.ndarray]:
    """The names and values of every entry of every float array of the game, in the order of its fields."""
    names, values = [], []
    for path, leaf in jax.tree_util.tree_leaves_with_path(eqx.filter(game, eqx.is_inexact_array)):
        name = jax.tree_util.keystr(path).lstrip(".")
        names += [name] if leaf.ndim == 0 else [f"{name}[{','.join(map(str, at))}]" for at in np.ndindex(leaf.shape)]
        values.append(np.asarray(leaf).ravel())
    return names, np.concatenate(values) if values else np.zeros(0)


@eqx.filter_jit
def _derivatives(game, solution: Solution, outputs):
    numbers, rest = eqx.partition(game, eqx.is_inexact_array)
    theta, rebuild = ravel_pytree(numbers)
    x = flat(solution.strategies)

    def values(theta: Array) -> dict[str, Array]:
        here = eqx.combine(rebuild(theta), rest)
        moved = with_derivative(here, None, solution, throw=False)
        shown = {} if outputs is None else {n: _array(v) for n, v in outputs(here, moved.strategies).items()}
        return {"strategies": _ragged(moved.strategies), "payoffs": moved.payoffs} | shown

    scale = payoff_scale(game, solution.certificate.payoff_range)
    _, margin = natural_residual(game, x, scale)
    low, high = bounds(game)
    side = jnp.where(x - low < high - x, -1.0, 1.0)
    fine = jnp.sqrt(jnp.finfo(x.dtype).eps) * (high - low)
    bound = jnp.where(jnp.minimum(x - low, high - x) <= fine, side, 0.0)
    where = (_ragged(split(game, v)) for v in (margin, bound))
    return values(theta), jax.jacfwd(values)(theta), *where


def _array(output: Any) -> Array:
    return jnp.asarray(output[1] if isinstance(output, tuple) else output, jnp.result_type(float))


def _ragged(profile: Profile) -> Array:
    """(player, action), or (player,) where each has one; what a player has fewer of is NaN."""
    width = max(s.shape[0] for s in profile)
    table = jnp.stack([jnp.pad(s, (0, width - s.shape[0]), constant_values=jnp.nan) for s in profile])
    return table[:, 0] if width == 1 else table


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
