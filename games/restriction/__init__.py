"""The restriction game (see the README's model section)."""

from games.restriction.claims import claims
from games.restriction.fit import fit
from games.restriction.frontier_roots import frontier_speeds
from games.restriction.impact import impact
from games.restriction.incumbents import ImposedRestriction, RestrictionGame
from games.restriction.multiplicity import diagnose_stage, stage_equilibria
from games.restriction.outcomes import VARIABLES, Outputs, measures, outcomes
from games.restriction.parameters import Parameters
from games.restriction.study import Study, study

__all__ = [
    "VARIABLES",
    "ImposedRestriction",
    "Outputs",
    "Parameters",
    "RestrictionGame",
    "Study",
    "claims",
    "diagnose_stage",
    "fit",
    "frontier_speeds",
    "impact",
    "measures",
    "outcomes",
    "stage_equilibria",
    "study",
]
