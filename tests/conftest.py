"""Double precision, a modest number of random cases, and quick compilation for every test."""

import os
import subprocess
import sys

# the suite is nearly all compilation: XLA is told to optimise little, if this version of it knows the words; not at all
# would be a third quicker still, but derivatives in reverse then come out as NaN now and then
FLAGS = "--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=1"
if "XLA_FLAGS" not in os.environ and "PYTEST_XDIST_WORKER" not in os.environ:
    probe = [sys.executable, "-c", "import jax; jax.numpy.zeros(1)"]
    if subprocess.run(probe, env=os.environ | {"XLA_FLAGS": FLAGS}, capture_output=True).returncode == 0:
        os.environ["XLA_FLAGS"] = FLAGS

import jax  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

jax.config.update("jax_enable_x64", True)

settings.register_profile("nashgrid", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("nashgrid")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A file stays with one worker, so that what its tests share is compiled once; in order, since the dear ones come first."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log) if config.option.dist == "load" else None
