"""Newton's steps on the whole stage: they end where the separate conditions hold, and double their digits on the way."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import solver.batch
from games.restriction import RestrictionGame
from games.restriction.challengers import Stage, _joint_step, _turned, respond, solve_stage, solve_stages
from games.restriction.demand import market
from games.restriction.prior import batch, draw_worlds
from solver.compilation import in_one_kernel

LANES = 64
KINDS = {
    "default": {},
    "exit": {"exit": True},
    "no challengers": {"challengers": (), "challenger_bloc": (), "consortium": ()},
    "no consortium": {"consortium": ()},
    "one of each": {
        "incumbents": ("i",), "incumbent_bloc": ("US",), "challengers": ("j",), "challenger_bloc": ("CN",), "consortium": (),
        "cell_region": ("CN",), "cell_segment": ("G",), "mass": 10.0,
    },
    "too many for one kernel": {
        "challengers": tuple("abcdefghij"), "challenger_bloc": ("CN", "TW") * 5, "consortium": ("b", "d"),
    },
}  # fmt: skip


def lanes(parameters, seed):
    restriction = np.random.default_rng(seed).random((len(parameters.incumbents), 1, LANES))
    return parameters, jax.tree.map(np.asarray, jax.jit(market)(parameters, jnp.asarray(restriction), jnp.ones(LANES)))


def repeated(game):
    return jax.tree.map(lambda x: np.repeat(np.asarray(x)[..., None], LANES, -1), game.parameters)


def largest_gap(a, b):
    gaps = [np.abs(np.asarray(x) - np.asarray(y)).reshape(-1, LANES) for x, y in zip(a, b, strict=True)]
    return np.concatenate(gaps).max(axis=0)


@pytest.fixture(scope="module")
def drawn():
    args = lanes(batch(draw_worlds(LANES, 7)), 7)
    return args, solve_stages(*args)


def test_the_end_meets_every_condition_by_itself(drawn):
    args, found = drawn
    assert found.converged.all()
    again = jax.jit(respond)(found.value, args)
    assert largest_gap(jax.tree.leaves(again), jax.tree.leaves(found.value)).max() < 1e-7


def test_a_step_squares_the_distance_where_no_effort_is_at_a_bound(drawn):
    args, found = drawn
    inside = ((found.value.effort > 0.01) & (found.value.effort < args[1].effort_bound - 0.01)).all(axis=0)
    rng = np.random.default_rng(0)
    near = jax.tree.map(lambda x: x + 1e-4 * rng.standard_normal(x.shape), found.value)
    new: Stage = _turned(jax.jit(_joint_step)(_turned(near), args))
    gap = largest_gap(jax.tree.leaves(new), jax.tree.leaves(found.value))[inside]
    assert gap.size > 10
    assert np.median(gap) < 1e-6
    assert np.quantile(gap, 0.9) < 1e-5


def test_a_step_of_usual_size_is_one_kernel(monkeypatch):
    """XLA does not refuse it: else stages would take longer, and nothing would say so."""
    monkeypatch.setattr(solver.batch, "_kernels", lambda: solver.batch._blocks(in_one_kernel))
    assert solve_stages(*lanes(repeated(RestrictionGame()), 1)).converged.all()


@pytest.mark.parametrize("kind", KINDS)
def test_it_finds_what_the_single_stage_finds(kind):
    args = lanes(repeated(RestrictionGame(**KINDS[kind])), 1)
    found, single = solve_stages(*args), jax.jit(lambda p, m: solve_stage(p, m, lanes=1))(*args)
    assert found.converged.all()
    assert found.num_steps.max(initial=0) <= 12
    assert largest_gap(jax.tree.leaves(found.value), jax.tree.leaves(single.value)).max() < 1e-6
