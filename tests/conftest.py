"""Double precision and a modest number of random cases for every test."""

import jax
from hypothesis import settings

jax.config.update("jax_enable_x64", True)

settings.register_profile("nashgrid", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("nashgrid")
