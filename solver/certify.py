"""Certificates on request: how far a profile is from an equilibrium, and proofs."""

import warnings

import equinox as eqx
import jax.numpy as jnp

from solver.game import AbstractGame, Profile, checked_profile
from solver.normal_form import NormalForm
from solver.regret import certify_profile
from solver.solution import Certificate


def certify(game: AbstractGame, profile: Profile, *, exact: bool = False, epsilon: float | None = None) -> Certificate:
    """What the profile's regret rests on; on request, a proof.

    ``exact``: without rounding, that an equilibrium has the profile's support. Payoffs are taken as the rational numbers their
    floats are; on the support (actions above 1e-6) the indifference conditions are solved, and every condition verified, in
    fractions. Two players, or pure strategies.

    ``epsilon``: that no deviation gains more than so many units of payoff. Payoffs written in ``jax.numpy`` are bounded over
    all own strategies by interval arithmetic and branch and bound (``continuous.proof``), as functions of real numbers.

    :return: a :class:`Certificate`. Exact: ``kind`` "exact", ``epsilon`` 0 and ``fractions`` the equilibrium, near the profile;
        or "refuted", with the profile's measured regret, where that support carries no equilibrium. With ``epsilon``:
        "proved" with the ε that was proved, at most the one asked for; "refuted" with what some deviation surely gains; or,
        after a warning that says why, the measured certificate where neither could be shown.
    :raises ValueError: if the profile does not fit the game, ``exact`` is asked of another game than a NormalForm of two
        players (pure strategies: of any number), ``epsilon`` is not positive, or both are given.
    """
    profile = checked_profile(game, profile)
    if epsilon is not None and (exact or not epsilon > 0):
        raise ValueError(f"epsilon = {epsilon}: give a positive number of payoff units, and not together with exact")
    _, _, measured = eqx.filter_jit(certify_profile)(game, profile)
    if epsilon is not None:
        return _proved(game, profile, epsilon, measured)
    if not exact:
        return measured
    if not isinstance(game, NormalForm) or (len(profile) > 2 and any(int((p > 1e-6).sum()) > 1 for p in profile)):
        raise ValueError("exact = True: the game must be a NormalForm of two players, or the profile pure")
    from solver.finite.exact import certify_support

    fractions = certify_support(game, profile)
    if fractions is None:
        return Certificate("refuted", 0, measured.epsilon, measured.payoff_range)
    return Certificate("exact", 0, jnp.zeros_like(measured.epsilon), measured.payoff_range, fractions)


def _proved(game: AbstractGame, profile: Profile, epsilon: float, measured: Certificate) -> Certificate:
    from solver.continuous.interval_arithmetic import UnsupportedPrimitiveError
    from solver.continuous.proof import bound_gain

    most, boxes = 0.0, 0
    for player, name in enumerate(game.players):
        try:
            bound = bound_gain(game, profile, player, epsilon)
        except UnsupportedPrimitiveError as error:
            warnings.warn(f"epsilon = {epsilon}: nothing proved, {error}; the regret is measured", stacklevel=3)
            return measured
        if bound.low > epsilon:
            return _certificate("refuted", boxes + bound.num_boxes, bound.low, measured)
        most, boxes = max(most, bound.high), boxes + bound.num_boxes
        if not bound.high <= epsilon:
            warnings.warn(
                f"epsilon = {epsilon}: only {bound.high:.2g} proved for {name} on {bound.num_boxes} boxes; the regret is "
                "measured. Ask for more, or give a profile closer to the equilibrium",
                stacklevel=3,
            )
            return measured
    return _certificate("proved", boxes, most, measured)


def _certificate(kind: str, boxes: int, epsilon: float, measured: Certificate) -> Certificate:
    dtype = measured.epsilon.dtype
    rounded = jnp.asarray(epsilon, dtype)
    if float(rounded) < epsilon and kind == "proved":  # single precision may have rounded it down
        rounded = jnp.nextafter(rounded, jnp.asarray(jnp.inf, dtype))
    return Certificate(kind, boxes, rounded, measured.payoff_range)
