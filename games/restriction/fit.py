r"""The calibrated world fitted to reported moments, by derivatives through the equilibrium (model.md §10).

.. math::
    \min_\theta \tfrac12\sum_m \rho_m(\theta)^2 + \tfrac{\epsilon^2}2\|\theta\|^2,\qquad
    \rho_m = \frac{m(\theta) - \hat m_m}{s_m}
    \ \text{(its excess alone where } \hat m_m \text{ is a bound)},\qquad
    J = \frac{\partial\rho}{\partial\theta} = U\,\mathrm{diag}(\varsigma)\,V^{\mathsf T}

by a trust region within bounds (Branch, Coleman and Li 1999); J comes from the implicit derivatives of the challengers' stage.
θ is in units of the widths: a singular value below 1 belongs to a direction along which a step of one width moves the
moments by less than a standard deviation, so what the moments leave open is the span of those vectors V₂. A parameter's
*openness* :math:`\|V_2^{\mathsf T} e_k\|^2` in [0, 1] does not depend on the basis; :math:`V_2 V_2^{\mathsf T} e_k` is the
direction in which it can move, the others making up for it.

Reported, derived and assumed: see :mod:`games.restriction.moments`. There are more free parameters than moments: the small
weight :math:`\epsilon` picks, of parameters that fit alike, those nearest to the calibration in widths. J leaves it out.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.restriction.claims import worlds
from games.restriction.claims.verdicts import VERDICT, verdicts
from games.restriction.incumbents import RestrictionGame, calibration
from games.restriction.moments import Free, Moments, flat, modelled, read
from games.restriction.parameters import STRUCTURE, Parameters

if TYPE_CHECKING:
    import xarray

OPEN = 1.0  # a singular value below it: less than a standard deviation per width
LEAST = 0.1  # openness from which on the claims are judged along a parameter
SLACK = 4.0  # a point fits if its misfit is not larger than the fitted one by more: two standard deviations
STEPS = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])  # of the way to the bounds
NEAR = 0.1  # ε: standard deviations that a step of one width from the calibration counts as
ACTIVE = 1e-3  # widths: nearer to a bound than this is at it


@eqx.filter_jit
def _linearised(t: Array, p: Parameters, free: list[Free]) -> tuple[Array, Array]:
    """The moments at t and their derivatives (moment, parameter): one program for both."""

    def moments(u):
        found = flat(modelled(place(p, free, u)))
        return found, found

    slope, value = jax.jacfwd(moments, has_aux=True)(t)
    return value, slope


def linearised(moments: Moments, free: list[Free], p: Parameters, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The model's moments (moment,) at t, and their derivatives (moment, parameter)."""
    value, slope = _linearised(jnp.asarray(t), p, free)
    return np.asarray(value)[moments.columns], np.asarray(slope)[moments.columns]


def place(p: Parameters, free: list[Free], t: Array) -> Parameters:
    """``p`` with every free parameter at its t."""
    for k, one in enumerate(free):
        p = eqx.tree_at(lambda q, n=one.parameter: getattr(q, n), p, one.value(p, t[k]))
    return p


def fit(name: str = "2025", *, progress: Callable[[str], Any] = lambda message: None) -> "xarray.Dataset":
    """Fit the free parameters of a calibration to its moments, and judge the claims along what these leave open.

    :param name: a calibration with a file of moments.
    :return: over ``moment``: ``reported``, ``deviation``, ``kind``, ``unit``, ``status``, ``source``, the model's at the
        ``calibrated`` and the ``fitted`` parameters, and ``residual`` (deviations). Over ``parameter``: ``step`` (widths), its
        ``value_calibrated`` and ``value_fitted``, ``at_bound``, ``openness``; ``jacobian`` (moment, parameter);
        ``singular_value`` (direction), rising, and ``direction_vector`` (direction, parameter). Over ``along``, the parameters
        that are open, and ``way`` (-1 and 1 are at bounds, 0 is the fitted world): ``way_step`` (.., parameter), ``misfit``
        (sum of squared residuals) and ``within``, whether it still fits; the equilibrium from each start (``restriction``,
        ``certified``, ``max_regret``); ``verdict`` and ``effect`` (.., claim, counterfactual).
    :raises ValueError: if there is no such calibration, or its stage is not solved at the start.
    """
    game = RestrictionGame.calibrated(name)
    moments, free, p = read(name, game.parameters)
    progress("fitting")
    found = _least_squares(moments, free, p)
    ds = _table(game, moments, free, p, found)
    progress("equilibria and claims along what is left open")
    return ds.merge(_along(name, game, moments, free, p, ds, found))


def _least_squares(moments: Moments, free: list[Free], p: Parameters) -> Any:
    from scipy.optimize import least_squares

    def residual(t: np.ndarray) -> np.ndarray:
        return np.append(moments.residual(linearised(moments, free, p, t)[0]), NEAR * t)

    def slope(t: np.ndarray) -> np.ndarray:
        return np.concatenate([moments.slope(*linearised(moments, free, p, t)), NEAR * np.eye(len(free))])

    start, num = np.zeros(len(free)), len(moments.labels)
    at_start = linearised(moments, free, p, start)[0]
    if not np.isfinite(at_start).all():
        raise ValueError("the challengers' stage is not solved at the calibrated parameters")
    bounds = np.transpose([one.bounds(p) for one in free])
    found = least_squares(residual, start, slope, bounds, max_nfev=200)  # type: ignore[arg-type]
    found["model"], found["at_start"], found["bounds"] = linearised(moments, free, p, found.x)[0], at_start, bounds
    found["fun"], found["jac"] = found.fun[:num], found.jac[:num]
    return found


def _open(jacobian: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Singular values, rising, and right-singular vectors (direction, parameter), of parameters that are not at bounds."""
    size = len(inside)
    wide = np.concatenate([jacobian[:, inside], np.zeros((max(0, inside.sum() - len(jacobian)), inside.sum()))])
    _, values, vectors = np.linalg.svd(wide, full_matrices=False)
    whole = np.zeros((len(values), size))
    whole[:, inside] = vectors
    return values[::-1], whole[::-1]


def _table(game: RestrictionGame, moments: Moments, free: list[Free], p: Parameters, found: Any) -> "xarray.Dataset":
    import xarray

    low, high = found["bounds"]
    bound = np.where(found.x - low < ACTIVE, -1, np.where(high - found.x < ACTIVE, 1, 0))
    values, vectors = _open(found.jac, bound == 0)
    openness = (vectors[values < OPEN] ** 2).sum(axis=0)
    free_values = [
        [_mean(one, getattr(game.parameters, one.parameter)) for one in free],
        [_mean(one, one.value(p, t)) for one, t in zip(free, found.x, strict=True)],
    ]
    deviations = {"units": "standard deviations"}
    data = {
        "reported": ("moment", moments.value, {"long_name": "reported figure, or bound"}),
        "deviation": ("moment", moments.deviation, {"long_name": "its standard deviation"}),
        "kind": ("moment", moments.kind),
        "calibrated": ("moment", found["at_start"], {"long_name": "the model's, where the search starts"}),
        "fitted": ("moment", found["model"], {"long_name": "the model's, fitted"}),
        "residual": ("moment", found.fun, deviations),
        "step": ("parameter", found.x, {"long_name": "step from the start", "units": "widths"}),
        "value_calibrated": ("parameter", free_values[0], {"long_name": "calibrated value (mean of those that move)"}),
        "value_fitted": ("parameter", free_values[1], {"long_name": "fitted value (mean of those that move)"}),
        "at_bound": ("parameter", bound, {"long_name": "-1: at its lowest, 1: at its highest"}),
        "openness": ("parameter", openness, {"long_name": "share of it that the moments leave open", "units": "1"}),
        "jacobian": (("moment", "parameter"), found.jac, {"units": "standard deviations per width"}),
        "singular_value": ("direction", values, {"units": "standard deviations per width"}),
        "direction_vector": (("direction", "parameter"), vectors, {"units": "widths"}),
    }
    coords = {"moment": moments.labels, "parameter": [one.name for one in free]}
    coords |= {name: ("moment", texts) for name, texts in moments.about.items()}
    attrs = {
        "misfit": float((found.fun**2).sum()),
        "optimality": float(found.optimality),
        "evaluations": int(found.nfev),
    }
    return xarray.Dataset(data, coords, attrs | {"converged": int(found.success), "mode": "fast"})


def _mean(one: Free, value: Any) -> float:
    return float((value * one.mask).sum() / one.mask.sum())


def _along(name, game, moments, free, p, ds, found) -> "xarray.Dataset":
    """The claims at points on the way to the bounds, along each of the most open parameters."""
    kept = ds.openness.values >= LEAST
    vectors = ds.direction_vector.values[ds.singular_value.values < OPEN]
    ways = (vectors.T @ vectors)[kept]
    at = np.stack([found.x + _reach(way, found.x, found["bounds"])[:, None] * way for way in ways])
    flat_at = at.reshape(-1, at.shape[-1])
    worlds_at = _worlds(name, game, free, p, flat_at)
    games = worlds.stacked(worlds_at, **{k: getattr(game.parameters, k) for k in STRUCTURE})
    columns = worlds.stages(games)
    columns |= worlds.equilibria(games, columns)
    judged = verdicts(worlds.probed(games, columns))[["verdict", "effect"]]
    fits = np.array([(moments.residual(linearised(moments, free, p, t)[0]) ** 2).sum() for t in flat_at])
    judged = judged.merge(columns["nash"][["restriction", "certified", "max_regret"]])
    judged = judged.assign(misfit=("draw", fits), way_step=(("draw", "parameter"), flat_at))
    places = [np.repeat(ds.parameter.values[kept], len(STEPS)), np.tile(STEPS, kept.sum())]
    placed = {name: ("draw", values) for name, values in zip(("along", "way"), places, strict=True)}
    out = (
        judged.drop_vars("draw", errors="ignore").assign_coords(placed).set_index(draw=["along", "way"]).unstack("draw")
    )
    out = out.reindex(along=ds.parameter.values[kept])
    out["verdict"].attrs.update(VERDICT)
    out["within"] = out.misfit <= ds.attrs["misfit"] + SLACK
    return out.transpose("along", "way", ...)


def _reach(way: np.ndarray, x: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Steps along ``way`` (way,) that reach from bound to bound in even parts on either side."""
    with np.errstate(divide="ignore", invalid="ignore"):
        to_low, to_high = (np.where(abs(way) > 1e-9, (bound - x) / way, np.nan) for bound in bounds)
    forward, back = np.nanmin(np.fmax(to_low, to_high)), np.nanmax(np.fmin(to_low, to_high))
    return np.where(STEPS > 0, STEPS * forward, -STEPS * back)


def _worlds(name: str, game: RestrictionGame, free: list[Free], p: Parameters, at: np.ndarray) -> dict[str, np.ndarray]:
    """The calibration's parameters at every row of ``at``."""
    numbers = [key for key in calibration(name) if key not in STRUCTURE]
    moved = eqx.filter_vmap(lambda t: place(p, free, t))(jnp.asarray(at))
    names = {one.parameter for one in free}
    return {
        key: np.asarray(getattr(moved, key))
        if key in names
        else np.broadcast_to(np.asarray(getattr(game.parameters, key)), (len(at), *getattr(game.parameters, key).shape))
        for key in numbers
    }
