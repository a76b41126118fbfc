"""Certificates on request: how far a profile is from an equilibrium, and exact proofs for finite games."""

import equinox as eqx
import jax.numpy as jnp

from solver.game import AbstractGame, Profile, checked_profile
from solver.normal_form import NormalForm
from solver.regret import certify_profile
from solver.solution import Certificate


def certify(game: AbstractGame, profile: Profile, *, exact: bool = False) -> Certificate:
    """What the profile's regret rests on; with ``exact``, a proof without rounding that an equilibrium has its support.

    Exact: payoffs are taken as the rational numbers their floats are; on the profile's support (actions above 1e-6) the
    indifference conditions are solved, and every condition verified, in fractions. Two players, or pure strategies.

    :return: a :class:`Certificate`. Exact: ``kind`` "exact", ``epsilon`` 0 and ``fractions`` the equilibrium, near the profile;
        or "refuted", with the profile's measured regret, where that support carries no equilibrium.
    :raises ValueError: if the profile does not fit the game, or ``exact`` is asked of another game than a NormalForm of two
        players (pure strategies: of any number).
    """
    profile = checked_profile(game, profile)
    _, _, measured = eqx.filter_jit(certify_profile)(game, profile)
    if not exact:
        return measured
    if not isinstance(game, NormalForm) or (len(profile) > 2 and any(int((p > 1e-6).sum()) > 1 for p in profile)):
        raise ValueError("exact = True: the game must be a NormalForm of two players, or the profile pure")
    from solver.finite.exact import certify_support

    fractions = certify_support(game, profile)
    if fractions is None:
        return Certificate("refuted", 0, measured.epsilon, measured.payoff_range)
    return Certificate("exact", 0, jnp.zeros_like(measured.epsilon), measured.payoff_range, fractions)
