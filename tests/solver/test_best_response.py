"""Best-response iteration: global replies, orders and damping, cycles by their length, and what a failure says."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from small_games import (
    CURVES,
    Broken,
    Curve,
    Hills,
    Inspection,
    Jump,
    Pursuit,
    cournot,
    cournot_answer,
)

from solver import BestResponse, Box, EquilibriumError, NormalForm, Status, regret, solve
from solver.algorithms.line_search import line_maximum

GRID = jnp.linspace(0.0, 1.0, 100_001)
COSTS = (5.0, 10.0, 20.0)


def stacked(solution):
    return jnp.concatenate(solution.strategies)


@pytest.mark.parametrize("name", CURVES)
def test_the_line_search_is_global(name):
    """As high as the best of 100,001 points from wherever it starts, at the kink of a kinked curve too."""
    search = jax.jit(jax.vmap(lambda guess: line_maximum(CURVES[name], guess, jnp.asarray(1e-9))))
    found = search(jnp.linspace(0, 1, 201))
    values = CURVES[name](GRID)
    slack = 1e-5 * float(values.max() - values.min()) + 1e-9
    assert float(found.value.min()) >= float(values.max()) - slack
    assert_allclose(jax.vmap(CURVES[name])(found.at), found.value, atol=slack)


@eqx.filter_jit
def from_everywhere(game):
    return jax.vmap(lambda x: solve(game, start=(x[None],), throw=False))(jnp.linspace(-1.0, 3.0, 41))


@pytest.mark.parametrize("name", CURVES)
def test_converged_is_the_global_maximum(name):
    game = Curve(jnp.asarray(list(CURVES).index(name)), jnp.asarray(-1.0), jnp.asarray(3.0))
    solution = from_everywhere(game)
    values = CURVES[name](GRID)
    short = (values.max() - solution.payoffs[:, 0]) / (values.max() - values.min() + 1e-9)
    assert float(jnp.where(solution.converged, short, 0).max()) <= 1e-6
    assert float(short.max()) <= 1e-5
    if "kink" not in name:
        assert bool(solution.converged.all())


@pytest.mark.parametrize(
    "algorithm",
    [
        BestResponse(),
        BestResponse(accelerate=False, damping=0.7),
        BestResponse("simultaneous", damping=0.5),
        BestResponse("simultaneous", damping=0.4, accelerate=False),
    ],
    ids=["sequential", "damped", "simultaneous", "simultaneous, plain"],
)
def test_orders_and_damping_reach_the_same(algorithm):
    solution = solve(cournot(costs=COSTS), algorithm, max_steps=300)
    answer = cournot_answer(100.0, COSTS)
    # plain iteration ends where the regret, of second order in the distance, is within tolerance
    loose = 1.0 if algorithm.accelerate else 1e3
    assert_allclose(stacked(solution), answer, rtol=1e-6 * loose)
    assert_allclose(solution.payoffs, answer**2, rtol=1e-8 if algorithm.accelerate else 1e-3)
    assert float(solution.max_regret) <= 1e-8 * float(solution.certificate.payoff_range.max())
    assert solution.certificate.kind == "interpolated"
    assert int(solution.cycle_length) == 0


def test_relabelled_and_rescaled():
    plain = stacked(solve(cournot(costs=COSTS)))
    moved = stacked(solve(cournot(costs=COSTS[::-1])))
    assert_allclose(moved[::-1], plain, rtol=1e-6)
    for scale, shift in ((1e-6, 0.0), (1e6, 0.0), (1.0, 50.0)):
        assert_allclose(stacked(solve(cournot(costs=COSTS, scale=scale, shift=shift))), plain, rtol=1e-6)


@pytest.mark.parametrize("start", [0.0, 40.0, 100.0])
def test_starts(start):
    assert_allclose(stacked(solve(cournot(), start=(jnp.full(1, start),) * 3)), 22.5, rtol=1e-6)


def test_a_key_draws_the_start():
    keys = (jax.random.key(1), jax.random.key(1), jax.random.key(2))
    first, again, other = (stacked(solve(cournot(), key=k, max_steps=1, throw=False)) for k in keys)
    assert (np.asarray(first) == np.asarray(again)).all()
    assert (np.asarray(first) != np.asarray(other)).any()


def test_a_batch_agrees_with_single_solves():
    prices = jnp.linspace(40.0, 120.0, 5)
    batch = jax.jit(jax.vmap(lambda a: solve(cournot(a), throw=False)))(prices)
    assert (np.asarray(batch.status) == 0).all()
    for k, a in enumerate(prices):
        assert_allclose(jnp.stack(batch.strategies)[:, k, 0], stacked(solve(cournot(a))), rtol=1e-9)


def test_single_precision():
    with jax.enable_x64(False):
        solution = solve(cournot(costs=COSTS))
        assert stacked(solution).dtype == jnp.float32
        assert_allclose(stacked(solution), cournot_answer(100.0, COSTS), rtol=1e-2)
        assert_allclose(solution.payoffs, cournot_answer(100.0, COSTS) ** 2, rtol=1e-3)
        with pytest.warns(UserWarning, match=r"tolerance = 1e-08.*jax_enable_x64"):
            solve(cournot(), tolerance=1e-8, throw=False)


@pytest.mark.parametrize("cross", [0.0, 0.5, -0.8])
def test_boxes_of_two_dimensions(cross):
    """The first-order conditions are linear: 2 (x_i - t_i - w x_j) + z x_i reversed = 0."""
    target, w = np.array([[0.5, 0.2], [0.1, 0.4]]), 0.3
    swap = np.array([[0.0, 1.0], [1.0, 0.0]])
    block = 2 * np.eye(2) + cross * swap
    matrix = np.block([[block, -2 * w * np.eye(2)], [-2 * w * np.eye(2), block]])
    answer = np.linalg.solve(matrix, 2 * target.ravel())
    solution = solve(Hills(jnp.asarray(target), jnp.asarray(w), jnp.asarray(cross)))
    assert_allclose(stacked(solution), answer, atol=2e-4)
    assert solution.certificate.kind == "local"


def test_a_box_and_a_simplex():
    """Effort m (0.2 + 1)/2 against watching; watching is best once effort is above 0.1."""
    game = Inspection(jnp.asarray(1.0))
    solution = solve(game)
    assert_allclose(solution.strategies[0], 0.6, atol=1e-6)
    assert_allclose(solution.strategies[1], [0, 1, 0], atol=0)
    assert [s.shape for s in solution.strategies] == [(1,), (3,)]
    assert_allclose(regret(game, solution.strategies), 0, atol=1e-10)


def pennies():
    A = jnp.array([[1.0, -1.0], [-1.0, 1.0]])
    return NormalForm.from_bimatrix(A, -A)


def corner(*actions):
    return tuple(jnp.eye(2)[a] for a in actions)


@pytest.mark.parametrize(
    ("game", "start", "algorithm", "length"),
    [
        (Pursuit(jnp.asarray(1.0)), (jnp.zeros(1), jnp.zeros(1)), BestResponse(), 2),
        (Pursuit(jnp.asarray(1.0)), (jnp.zeros(1), jnp.zeros(1)), BestResponse("simultaneous"), 4),
        (pennies(), corner(0, 0), BestResponse(), 2),
        (pennies(), corner(0, 0), BestResponse("simultaneous"), 4),
    ],
    ids=["pursuit in turn", "pursuit at once", "pennies in turn", "pennies at once"],
)
def test_cycles_have_their_length(game, start, algorithm, length):
    solution = solve(game, algorithm, start=start, throw=False)
    assert int(solution.status) == Status.cycle
    assert not bool(solution.converged)
    assert int(solution.cycle_length) == length
    assert int(solution.num_steps) < 15
    assert float(solution.max_regret) > 0.5
    with pytest.raises(EquilibriumError, match=f"cycle of length {length}.*damping") as error:
        solve(game, algorithm, start=start)
    assert int(error.value.solution.status) == Status.cycle


def test_coordination_at_once_cycles_and_in_turn_does_not():
    both = NormalForm.from_bimatrix(np.eye(2), np.eye(2))
    at_once = solve(both, BestResponse("simultaneous"), start=corner(0, 1), throw=False)
    assert int(at_once.status) == Status.cycle
    assert int(at_once.cycle_length) == 2
    in_turn = solve(both, start=corner(0, 1))
    assert_allclose(in_turn.payoffs, 1.0, atol=0)


def test_a_mixed_equilibrium_is_recognised_from_its_start():
    """The even mixture of matching pennies has no regret, though every best reply leaves it."""
    even = (jnp.full(2, 0.5),) * 2
    solution = solve(pennies(), start=even, throw=False, max_steps=0)
    assert bool(solution.converged)
    assert int(solution.num_steps) == 0


@pytest.mark.parametrize("cliff", [0.3, 0.5, 0.617])
def test_no_equilibrium_at_a_jump(cliff):
    """sup u is not attained; what is returned may only be called converged within tolerance of the supremum."""
    solution = solve(Jump(jnp.asarray(cliff)), throw=False)
    gain = cliff - float(solution.payoffs[0])
    assert gain > 0
    if bool(solution.converged):
        assert gain <= min(1e-6, float(solution.certificate.epsilon))


def test_too_few_steps_are_named():
    solution = solve(cournot(), BestResponse(damping=0.1, accelerate=False), max_steps=3, throw=False)
    assert int(solution.status) == Status.max_steps
    assert int(solution.num_steps) == 3
    with pytest.raises(EquilibriumError, match=r"max_steps after 3 steps, max_regret .*raise max_steps"):
        solve(cournot(), BestResponse(damping=0.1, accelerate=False), max_steps=3)


def test_not_a_number_is_a_status():
    solution = solve(Broken(jnp.asarray(-1.0)), throw=False)
    assert int(solution.status) == Status.non_finite
    assert not bool(solution.converged)
    with pytest.raises(EquilibriumError, match=r"non_finite.*not finite"):
        solve(Broken(jnp.asarray(-1.0)))
    statuses = jax.jit(jax.vmap(lambda a: solve(Broken(a), throw=False).status))(jnp.array([-1.0, 1.0, 2.0]))
    assert statuses.tolist() == [Status.non_finite, Status.converged, Status.converged]


def test_throw_under_jit():
    run = eqx.filter_jit(lambda a: solve(Broken(a)).payoffs)
    assert_allclose(run(jnp.asarray(1.0)), 0, atol=1e-12)
    with pytest.raises(Exception, match="throw=False"):
        jax.block_until_ready(run(jnp.asarray(-1.0)))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: BestResponse("random"), ("order = 'random'", "sequential")),
        (lambda: BestResponse(damping=0.0), ("damping = 0.0", "above 0")),
        (lambda: BestResponse(damping=1.5), ("damping = 1.5", "at most 1")),
        (lambda: solve(cournot(), tolerance=0.0), ("tolerance = 0.0", "positive")),
        (lambda: solve(cournot(), start=([1.0], [1.0])), ("start", "2 strategies", "3 players")),
        (lambda: solve(cournot(), start=([1.0], [1.0, 2.0], [1.0])), ("start of two", "(2,)", "(1,)")),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(ValueError, match=words[0]) as error:
        make()
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize("status", Status)
def test_every_status_advises(status):
    assert len(status.advice) > 20


def test_a_point_is_a_set_of_strategies():
    """A Box with equal bounds leaves nothing to choose."""

    class Fixed(type(cournot())):
        def actions(self):
            return (Box(0.0, 100.0), Box(0.0, 100.0), Box(20.0, 20.0))

    game = Fixed(jnp.asarray(100.0), jnp.full(3, 10.0), jnp.asarray(1.0), jnp.asarray(0.0))
    assert_allclose(stacked(solve(game)), [70 / 3, 70 / 3, 20.0], rtol=1e-6)


def test_many_lanes_find_no_cycle_where_one_finds_none():
    """Each wants one more than the other: a climb of whole moves to the top, which is no cycle however many climb at once."""
    own, other = jnp.meshgrid(jnp.arange(8.0), jnp.arange(8.0), indexing="ij")
    table = -jnp.abs(own - jnp.minimum(other + 1, 7.0))
    climb = jnp.stack([table, table.T])
    scales = jnp.linspace(1.0, 2.0, 256)
    found = jax.jit(jax.vmap(lambda scale: solve(NormalForm(scale * climb), throw=False)))(scales)
    assert (found.status == Status.converged).all()
    assert (found.strategies[0][:, -1] == 1).all()
