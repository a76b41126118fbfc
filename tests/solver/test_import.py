"""What an import costs, and which way imports point."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import solver

SOURCES = sorted(Path(solver.__file__).parent.rglob("*.py"))
HEAVY = {"cvxpy", "nashpy", "dask", "matplotlib", "zarr", "xarray", "scipy.optimize", "rich", "games"}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((name.name, node.col_offset) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or ""), node.col_offset


def test_there_is_something_to_read():
    assert len(SOURCES) > 8
    assert any(name.startswith("solver") for path in SOURCES for name, _ in imports(path))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(SOURCES[0].parent)))
def test_the_solver_never_imports_a_model(path):
    assert not [name for name, _ in imports(path) if name.lstrip(".").split(".")[0] == "games"]


def test_the_public_names():
    assert solver.__all__ == sorted(solver.__all__)
    assert all(getattr(solver, name).__doc__ for name in solver.__all__)


def test_import_is_light():
    """Heavy packages wait for their use, precision is left alone, and no device is touched."""
    code = (
        "import sys, jax, equinox; before = set(sys.modules); import solver; from jax._src import xla_bridge;"
        f"print(sorted({HEAVY!r} & (set(sys.modules) - before)), jax.config.jax_enable_x64, len(xla_bridge._backends))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] False 0"
