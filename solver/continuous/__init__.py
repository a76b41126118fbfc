"""Games with continuous actions: their equilibria's derivatives, and how they move with a parameter."""
