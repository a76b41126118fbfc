r"""The restriction game: incumbents lead with restrictions, challengers follow (model.md §7).

.. math::
    \Pi_i = \sum_m \tfrac{M_m}{\alpha}\bigl[\mu_i s_i + \omega_w S_{C,i}\bigr] + \tfrac{\text{fees}}{I}
        + \tfrac{q(1-R_i)}{I}\sum_j P_{jS} - \tfrac{c_r}{2}\sum_c r_{ic}^2 - \tfrac{K(\gamma)}{I},\qquad
    \Omega_i = \Pi_i + \kappa\sum_{k\ne i}\Pi_k
"""

from pathlib import Path
from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp
from jax import Array
from jax.core import Tracer

from games.restriction.frontier import Play, exact_play, fast_play, play_at_mix
from games.restriction.parameters import STRUCTURE, Parameters, array_fields
from solver.game import AbstractGame, LeaderFollower, Profile
from solver.spaces import Box, Simplex

EXACT_LIMIT = 3**6
CALIBRATIONS = Path(__file__).parent / "calibration"


class RestrictionGame(LeaderFollower):
    """Incumbents choose how far to restrict distillation; every challenger becomes a client, sovereign or applied, or exits.

    :param mode: "fast": expected-aggregate (oblivious) equilibrium of the challengers, for sweeps; "exact": all profiles
        of their strategies, prices and effort solved in each (at most six challengers of three strategies).
    :param timing: "observed": challengers' mixes respond to a deviation; "simultaneous": mixes are taken as given, effort,
        prices and fees respond.
    :param parameters: any of :class:`Parameters`, by keyword; the rest is the default world.
    :raises ValueError: naming the parameter, the value and the remedy.
    """

    parameters: Parameters
    mode: Literal["fast", "exact"] = eqx.field(static=True)
    timing: Literal["observed", "simultaneous"] = eqx.field(static=True)
    players: tuple[str, ...] = eqx.field(static=True)

    def __init__(self, *, mode: str = "fast", timing: str = "observed", **parameters: Any):
        for name, value, allowed in (
            ("mode", mode, ("fast", "exact")),
            ("timing", timing, ("observed", "simultaneous")),
        ):
            if value not in allowed:
                raise ValueError(f"{name} = {value!r}: give one of {', '.join(map(repr, allowed))}")
        self.parameters = p = Parameters(**parameters)
        profiles = len(p.strategies) ** len(p.challengers)
        if mode == "exact" and profiles > EXACT_LIMIT:
            raise ValueError(
                f"mode = 'exact' with {len(p.challengers)} challengers enumerates {profiles:,} strategy profiles, more than "
                f"{EXACT_LIMIT}; use mode='fast' or fewer challengers"
            )
        self.mode, self.timing, self.players = mode, timing, p.incumbents  # type: ignore[assignment]

    @classmethod
    def calibrated(cls, name: str = "2025", **changes: Any) -> "RestrictionGame":
        """The game at a calibration of ``games/restriction/calibration``; ``changes`` replace single parameters."""
        return cls(**(calibration(name) | changes))

    @property
    def num_channels(self) -> int:
        return self.parameters.channel_effect.shape[0]

    def actions(self) -> tuple[Box, ...]:
        ones = jnp.ones(self.num_channels)
        return tuple(Box(0 * ones, ones) for _ in self.players)

    def followers(self, profile: Profile) -> Play:
        """The challengers' equilibrium, prices and the frontier's speed at a profile of restrictions."""
        play = fast_play if self.mode == "fast" else exact_play
        return play(self.parameters, jnp.stack(profile))

    def leader_payoffs(self, profile: Profile, followers: Play) -> Array:
        # payoffs of followers who are not in equilibrium mean nothing: such a solve ends as non_finite, never as converged
        profit = jnp.where(followers.converged, followers.incumbent_payoff, jnp.nan)
        return profit + self.parameters.cooperation * (profit.sum() - profit)

    def committed_payoffs(self, profile: Profile, deviated: Profile) -> Array:
        if self.timing == "observed":
            return self.payoffs(deviated)
        expected = self.followers(profile)
        held = play_at_mix(self.parameters, jnp.stack(deviated), expected.mix, exact=self.mode == "exact")
        return self.leader_payoffs(deviated, held)

    def payoffs_in_batches(self):
        """What solves the stages of many games together (see :mod:`solver.sweep.batches`), or None."""
        from games.restriction.many import Worlds

        return Worlds if (self.mode, self.timing) == ("fast", "observed") else None

    def replace(self, **changes: Any) -> "RestrictionGame":
        """The same game with some parameters changed."""
        p = self.parameters
        given = {item.name: getattr(p, item.name) for item in array_fields()}
        given |= {name: getattr(p, name) for name in STRUCTURE}
        if {p.demand, changes.get("demand", p.demand)} != {"nested"}:  # without nests there is no dissimilarity to keep
            del given["dissimilarity"]
        return RestrictionGame(**({"mode": self.mode, "timing": self.timing} | given | changes))


class ImposedRestriction(AbstractGame):
    """The world at one restriction of all incumbents that nobody chooses: every incumbent has a single action.

    A sweep over ``restriction`` solves this game. Its regret is zero by construction; it converges where the challengers'
    stage does.
    """

    game: RestrictionGame
    restriction: Array
    players: tuple[str, ...] = eqx.field(static=True)

    def __init__(self, game: RestrictionGame, restriction: Any):
        if not isinstance(restriction, Tracer) and not 0 <= restriction <= 1:
            raise ValueError(f"restriction = {restriction} must lie in [0, 1]")
        self.game, self.restriction = game, jnp.asarray(restriction, jnp.result_type(float))
        self.players = game.players

    @property
    def profile(self) -> Profile:
        return tuple(jnp.full(self.game.num_channels, self.restriction) for _ in self.players)

    def actions(self) -> tuple[Simplex, ...]:
        return (Simplex(1),) * len(self.players)

    def payoffs(self, profile: Profile) -> Array:
        del profile
        return self.game.payoffs(self.profile)


def calibration(name: str) -> dict[str, Any]:
    """The keywords of a calibration, read from its TOML file."""
    import tomllib

    known = sorted(path.stem for path in CALIBRATIONS.glob("*.toml"))
    if name not in known:
        raise ValueError(f"calibration = {name!r} is unknown: give one of {', '.join(known)}")
    table = tomllib.loads((CALIBRATIONS / f"{name}.toml").read_text())
    return dict(table["structure"]) | {key: entry["value"] for key, entry in table["parameters"].items()}
