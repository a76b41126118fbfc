"""Extensions of the restriction game (model.md §9), each a room of its own that the base game does not know."""

from games.restriction.extensions.channels import ChannelGame, channel_figure, channel_use
from games.restriction.extensions.consortium import consortium_game, identical_firms, stable_consortia
from games.restriction.extensions.linked import LinkedGame, linked_outcomes
from games.restriction.extensions.markov import markov_perfect
from games.restriction.extensions.releases import open_release_game
from games.restriction.extensions.revisions import lag, path
from games.restriction.extensions.subsidies import LinearExports, SubsidyGame, subsidy_game

__all__ = [
    "ChannelGame",
    "LinearExports",
    "LinkedGame",
    "SubsidyGame",
    "channel_figure",
    "channel_use",
    "consortium_game",
    "identical_firms",
    "lag",
    "linked_outcomes",
    "markov_perfect",
    "open_release_game",
    "path",
    "stable_consortia",
    "subsidy_game",
]
