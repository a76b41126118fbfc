"""Complete and exact methods for finite games."""
