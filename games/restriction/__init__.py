"""The restriction game (see the README's model section)."""

from games.restriction.incumbents import RestrictionGame
from games.restriction.parameters import Parameters

__all__ = ["Parameters", "RestrictionGame"]
