"""Other numbers are no new programs: what XLA compiles is counted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import monitoring
from small_games import cournot

from solver import NormalForm, lemke_howson, solve, support_enumeration, sweep
from solver.batch import fixed_points

PROGRAMS: list[float] = []
CHUNK = 8


def note(event: str, seconds: float, **_):
    if event == "/jax/core/compile/backend_compile_duration":
        PROGRAMS.append(seconds)


monitoring.register_event_duration_secs_listener(note)


def programs(call) -> int:
    """How many a call compiles."""
    before = len(PROGRAMS)
    jax.block_until_ready(call())
    return len(PROGRAMS) - before


def test_what_is_new_is_counted():
    assert programs(lambda: jax.jit(lambda x: x + 1)(1.0)) == 1


def make(a, c):
    return cournot(a, jnp.stack([c, jnp.asarray(10.0), jnp.asarray(10.0)]))


def run(points, low=50.0, start=1.0, **options):
    grid = {"a": np.linspace(low, 120.0, points), "c": [5.0]}
    return sweep(make, grid, start=start, chunk=CHUNK, progress=False, **options).payoffs.values


@pytest.fixture(scope="module")
def swept():
    """Sweeps of less than a chunk, and of several with one that is not full: what there is to compile."""
    return programs(lambda: (run(5), run(19)))


@pytest.mark.parametrize(
    "again",
    [{"points": k} for k in (1, 3, 8, 9, 40)]
    + [{"points": 19, "low": 70.0}, {"points": 5, "tolerance": 1e-5}, {"points": 5, "max_steps": 31}]
    + [{"points": 5, "start": 7.0}, {"points": 19, "start": 30.0, "low": 40.0}],
    ids=str,
)
def test_sweeps(swept, again):
    """Of any length, with other parameters, tolerances, limits and starts."""
    assert swept > 0
    assert programs(lambda: run(**again)) == 0


STARTS = [tuple(np.full(1, x) for _ in range(3)) for x in (2.0, 5.0)]
TABLES = np.random.default_rng(0).normal(size=(2, 2, 2, 2))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lambda: solve(cournot(), start=STARTS[0]), lambda: solve(cournot(70.0), start=STARTS[1], tolerance=1e-5)),
        (lambda: support_enumeration(NormalForm(TABLES[0])), lambda: support_enumeration(NormalForm(TABLES[1]))),
        (lambda: lemke_howson(NormalForm(TABLES[0])), lambda: lemke_howson(NormalForm(TABLES[1]), 3, max_steps=50)),
    ],
    ids=["solve", "support_enumeration", "lemke_howson"],
)
def test_single_answers(first, second):
    programs(first)
    assert programs(second) == 0


def shrink(x, args):
    return args[0] * jnp.cos(x)


def zeros(args):
    return jnp.zeros_like(args[0])[None]


def stages(lanes, tolerance=1e-10, max_steps=100):
    rates = np.linspace(0.1, 0.9, lanes)
    return fixed_points(shrink, zeros, (rates,), tolerance=tolerance, max_steps=max_steps, chunk=32).value


def test_batches_of_fixed_points():
    """Of any length; batches of few lanes are a program of their own."""
    assert programs(lambda: (stages(7), stages(700))) > 0
    assert programs(lambda: (stages(12), stages(130), stages(1111), stages(300, 1e-6, 37))) == 0
