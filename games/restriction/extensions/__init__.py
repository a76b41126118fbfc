"""Extensions of the restriction game (model.md §9), each a room of its own that the base game does not know."""
