"""Curves with known folds, branch points and bounds: places, kinds, stability, and what is no equilibrium."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit, logit
from small_games import Entry, Linear, adopters

from games.bertrand import LoyalBertrand
from solver import AbstractGame, Box, NormalForm, trace
from solver.plot.bifurcation import bifurcation

DELTA, SIGMA = 1.0, 0.15


def adoption(threshold):
    return Entry(SIGMA, -DELTA, threshold)


@pytest.fixture(scope="module")
def pitchfork():
    return trace(Entry, "sigma", (0.35, 0.15))


def test_the_pitchfork_of_the_entry_game(pitchfork):
    """One equilibrium iff σ ≥ δ/4, else three; the symmetric one loses its stability there (oracle of the entry game)."""
    (point,) = pitchfork.special_points
    assert point.kind == "branch point"
    assert point.exchange
    assert_allclose(point.value, DELTA / 4, atol=1e-7)
    assert_allclose(point.strategies, 0.5, atol=1e-7)
    assert pitchfork.curve.max() == 1
    symmetric = pitchfork.curve == 0
    assert_allclose(pitchfork.strategies[0][symmetric], 0.5, atol=1e-9)
    assert_allclose(pitchfork.spectral_radius[symmetric], DELTA / 4 / pitchfork.value[symmetric], rtol=1e-6)
    arms = pitchfork.value[~symmetric]
    p, q = (s[~symmetric, 0] for s in pitchfork.strategies)
    assert_allclose(p, expit((DELTA / 2 - DELTA * q) / arms), atol=1e-8)
    assert p.min() < 0.1
    assert p.max() > 0.9
    assert pitchfork.equilibrium.all()
    assert pitchfork.stable[~symmetric & (pitchfork.value < 0.249)].all()


def test_the_statement_and_the_dataset(pitchfork):
    assert "2 curves: 2 from equilibria found" in pitchfork.statement
    assert "3 at sigma = 0.15" in pitchfork.statement
    table = pitchfork.to_dataset()
    assert table.strategies.dims == ("point", "player", "action")
    assert table.special_kind.values.tolist() == ["branch point"]
    assert_allclose(table.sigma, pitchfork.value)


def test_the_arms_are_found_from_the_branch_point_alone(pitchfork):
    """From the symmetric equilibrium: what leaves it at δ/4, to both sides, is what the search of equilibria had found."""
    branch = trace(Entry, "sigma", (0.35, 0.15), starts=[([0.5], [0.5])])
    assert "1 from branch points" in branch.statement
    assert [point.kind for point in branch.special_points] == ["branch point"]
    ours, theirs = (b.strategies[0][b.curve == 1, 0] for b in (branch, pitchfork))
    assert_allclose([ours.min(), ours.max()], [theirs.min(), theirs.max()], atol=1e-8)
    assert_allclose(branch.value[branch.curve == 1][[0, -1]], 0.15, rtol=1e-9)


def crossing(t):
    """u_1 = t x²/2 - x³/3 on [-1, 1] with another player who copies: the curves x = 0 and x = t cross at t = 0."""
    return Crossing(jnp.asarray(t))


class Crossing(AbstractGame):
    t: jax.Array
    players: tuple[str, ...] = eqx.field(static=True, default=("one", "two"))

    def actions(self):
        return (Box(-1.0, 1.0),) * 2

    def payoffs(self, profile):
        x, y = profile[0][0], profile[1][0]
        return jnp.stack([-((x - 0.5 * y - 0.5 * (y + self.t * y - y**2)) ** 2), -((y - x) ** 2)])


def test_curves_that_cross_exchange_their_stability():
    """Best replies x = y + (ty - y²)/2 and y = x: first-order points 0 and t, which cross at t = 0."""
    branch = trace(crossing, "t", (-0.5, 0.6), starts=[([0.0], [0.0])])
    (point,) = branch.special_points
    assert (point.kind, point.exchange) == ("branch point", True)
    assert_allclose(point.value, 0, atol=1e-6)
    for curve, slope in ((0, 0.0), (1, 1.0)):
        at = branch.curve == curve
        assert_allclose(branch.strategies[0][at, 0], slope * branch.value[at], atol=1e-8)
        assert_allclose([branch.value[at].min(), branch.value[at].max()], [-0.5, 0.6], rtol=1e-9)
        clear = at & (np.abs(branch.value) > 0.01)
        assert_allclose(branch.stable[clear], (branch.value[clear] < 0) == (curve == 0))


def test_a_gap_between_equilibria_is_searched():
    """Nine first-order points at n = 2700, two of them equilibria (Judd, Renner and Schmedders 2012), on curves of their own.

    Symmetric equilibria are left at high prices by n = 2500 and found at low ones from 3300 on; between, one firm skims and
    the other sells to all.
    """
    branch = trace(lambda n: LoyalBertrand(n=n), "n", (2300.0, 3400.0))
    at = branch.equilibrium & (branch.value > 2600) & (branch.value < 3200)
    assert at.any()
    p = np.concatenate(branch.strategies, axis=1)
    assert (np.abs(p[at, 0] - p[at, 1]) > 15).all()
    symmetric = branch.equilibrium & (np.abs(p[:, 0] - p[:, 1]) < 1e-6)
    assert ((branch.value[symmetric] < 2500) | (branch.value[symmetric] > 3300)).all()
    assert len(np.unique(branch.curve[branch.equilibrium])) == 4
    assert branch.stable[branch.equilibrium].all()


def test_figure(pitchfork):
    ax = bifurcation(pitchfork, "one").axes[0]
    dashes = {line.get_label(): line.get_linestyle() for line in ax.get_lines()}
    assert dashes == {"stable": "-", "unstable": "--", "branch point": "None"}
    assert len(bifurcation(pitchfork).axes) == 2
    with pytest.raises(ValueError, match="player = 'three'"):
        bifurcation(pitchfork, "three")


def check_folds(atol):
    """δ p(1 − p) = σ at a fold, and a = δp − σ logit p."""
    branch = trace(adoption, "a", (0.2, 0.8), starts=[([0.995], [0.995])])
    p = (1 + np.array([1, -1]) * np.sqrt(1 - 4 * SIGMA / DELTA)) / 2
    assert [point.kind for point in branch.special_points] == ["fold", "fold"]
    assert all(point.exchange for point in branch.special_points)
    assert_allclose([point.value for point in branch.special_points], DELTA * p - SIGMA * logit(p), atol=atol)
    assert_allclose([point.strategies[0][0] for point in branch.special_points], p, atol=10 * atol**0.5)
    middle = (branch.strategies[0][:, 0] > p[1] + 0.01) & (branch.strategies[0][:, 0] < p[0] - 0.01)
    assert not branch.stable[middle].any()
    assert branch.equilibrium.all()
    assert_allclose(branch.value[[0, -1]], [0.2, 0.8], rtol=1e-6)
    return branch


def test_folds():
    branch = check_folds(1e-9)
    p, q = (s[:, 0] for s in branch.strategies)
    assert_allclose(p, expit((DELTA * q - branch.value) / SIGMA), atol=1e-8)


def test_single_precision():
    with jax.enable_x64(False):
        check_folds(1e-5)


class Hump(AbstractGame):
    """u = tx + x²/2 − x⁴/4: first-order points x³ − x = t, folds at t = ∓2/(3√3), the maximum on the side of t."""

    t: jax.Array
    players: tuple[str, ...] = eqx.field(static=True, default=("alone",))

    def actions(self):
        return (Box(-2.0, 2.0),)

    def payoffs(self, profile):
        x = profile[0]
        return self.t * x + x**2 / 2 - x**4 / 4


def test_first_order_points_that_are_no_equilibria():
    branch = trace(Hump, "t", (-0.6, 0.6), starts=[([-1.2],)])
    folds = [point for point in branch.special_points if point.kind == "fold"]
    assert_allclose([point.value for point in folds], [2 / 27**0.5, -2 / 27**0.5], atol=1e-9)
    assert not any(point.equilibrium for point in folds)
    x, clear = branch.strategies[0][:, 0], np.abs(branch.value) > 1e-6
    assert_allclose(branch.equilibrium[clear], (x * branch.value > 0)[clear] & (np.abs(x) > 1 - 1e-6)[clear])
    assert not branch.stable[~branch.equilibrium].any()


def duopoly(c):
    """P = 10 − Q, costs 1 and c: the second leaves at c = 5.5, where the first is a monopoly with q = 4.5."""
    return Linear(jnp.stack([jnp.asarray(4.5), (10 - c) / 2]), jnp.asarray(-0.5), jnp.asarray(10.0))


@pytest.mark.parametrize(("interval", "kind"), [((4.0, 7.0), "bound active"), ((7.0, 4.0), "bound slack")])
def test_a_bound(interval, kind):
    branch = trace(duopoly, "c", interval, starts=[([3.9], [1.1])] if interval[0] == 4 else [([4.5], [0.0])])
    (point,) = branch.special_points
    assert point.kind == kind
    assert_allclose(point.value, 5.5, atol=1e-8)
    exact = np.maximum(11 - 2 * branch.value, 0) / 3
    assert_allclose(branch.strategies[1][:, 0], exact, atol=1e-8)
    assert_allclose(branch.strategies[0][:, 0], (9 - exact) / 2, atol=1e-8)
    assert branch.stable.all()


def test_a_curve_turns_where_two_bounds_give_way_together():
    branch = trace(adopters, "t", (-2.0, 1.0), starts=[([0.0], [0.0])])
    turns = [point for point in branch.special_points if point.kind == "fold at a bound"]
    assert_allclose([point.value for point in turns], [0, -1], atol=1e-8)
    x, t = branch.strategies[0][:, 0], branch.value
    assert_allclose((x * (x - 1) * (x + t)), 0, atol=1e-8)
    assert branch.equilibrium.all()
    inner = (x > 0.01) & (x < 0.99)
    assert inner.any()
    assert_allclose(branch.spectral_radius[inner], 2)
    assert_allclose([x[-1], t[-1]], 1, atol=1e-8)


@pytest.mark.parametrize(
    ("make", "interval", "starts", "words"),
    [
        (Hump, (1.0, 1.0), None, "interval = "),
        (lambda t: NormalForm(jnp.zeros((2, 2, 2)) + t), (0.0, 1.0), None, "on a Simplex"),
        (Hump, (-0.6, 0.6), [([0.9],)], "no first-order point"),
    ],
)
def test_bad_input_is_named(make, interval, starts, words):
    with pytest.raises(ValueError, match=words):
        trace(make, "t", interval, starts=starts)
