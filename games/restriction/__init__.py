"""The restriction game (see the README's model section)."""

from games.restriction.frontier_roots import frontier_speeds
from games.restriction.impact import impact
from games.restriction.incumbents import RestrictionGame
from games.restriction.multiplicity import diagnose_stage, stage_equilibria
from games.restriction.outcomes import VARIABLES, measures, outcomes
from games.restriction.parameters import Parameters

__all__ = [
    "VARIABLES",
    "Parameters",
    "RestrictionGame",
    "diagnose_stage",
    "frontier_speeds",
    "impact",
    "measures",
    "outcomes",
    "stage_equilibria",
]
