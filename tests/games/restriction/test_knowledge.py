"""Restriction, the knowledge pool and the lag: closed forms, limits and the kink at zero leak."""

from fractions import Fraction
from math import exp, factorial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from games.restriction.knowledge import decay, effective_restriction, mean_lag, pools, power_mean
from games.restriction.parameters import Parameters


def lag_path(z0, gamma, x, omega, years):
    """z(t) by numerical integration of the law of motion itself (Nelson and Phelps 1966)."""
    path = solve_ivp(
        lambda _, y: [gamma - x - omega * y[0], y[0]], (0, years), [z0, 0], rtol=1e-11, atol=1e-12, method="DOP853"
    )
    return path.y[0, -1], path.y[1, -1] / years


def test_lag_known_answer():
    """z0 = 1.5, x = 0.4, ω = 0.6, T = 5: mean 1.158368822, and z(T) = 1.024893534 by the law of motion."""
    mean, slope = mean_lag(1.5, jnp.asarray(0.6), 0.4, 1.0, 5.0)
    assert float(mean) == pytest.approx(1.158368822, abs=1e-9)
    end, integrated = lag_path(1.5, 1.0, 0.4, 0.6, 5)
    assert end == pytest.approx(1.024893534, abs=1e-8)
    assert float(mean) == pytest.approx(integrated, abs=1e-9)
    # z(T) = z* + (z0 - z*) e^{-ωT}, and the mean is z* + (z0 - z(T))/(ωT): z* = 1
    assert float(mean) == pytest.approx(1 + (1.5 - 1.024893534) / 3, abs=1e-9)
    assert float(slope) == pytest.approx(mean_lag(1.5, 0.6, 0.0, 1.0, 5.0)[0] - mean_lag(1.5, 0.6, 1.0, 1.0, 5.0)[0])


@pytest.mark.parametrize("omega", [0.0, 1e-13])
def test_lag_without_absorption(omega):
    """ω → 0: z0 + (1-x)T/2 = 3."""
    mean, _ = mean_lag(1.5, jnp.asarray(omega), 0.4, 1.0, 5.0)
    assert float(mean) == pytest.approx(3.0, abs=1e-10)


@pytest.mark.parametrize(
    ("z0", "gamma", "x", "omega", "years"), [(0.9, 1, 0.9, 0.05, 4), (0.2, 1.3, 0, 2.5, 8), (2, 0.4, 0.8, 1, 2)]
)
def test_lag_is_the_mean_of_the_path(z0, gamma, x, omega, years):
    mean, slope = mean_lag(z0, jnp.asarray(omega), x, gamma, years)
    assert float(mean) == pytest.approx(lag_path(z0, gamma, x, omega, years)[1], abs=1e-9)
    other = lag_path(z0, gamma, x + 0.1, omega, years)[1]
    assert float(slope) == pytest.approx((float(mean) - other) / 0.1, abs=1e-7)  # linear in x


def rational_decay(y):
    """E and G by their power series in exact arithmetic."""
    y = Fraction(y)
    e = sum((-y) ** k / factorial(k + 1) for k in range(40))
    g = sum((-y) ** k / factorial(k + 2) for k in range(40))
    return float(e), float(g)


@pytest.mark.parametrize("y", [0.0, 1e-12, 1e-6, 1e-3, 0.05, 0.0999999, 0.1, 0.1000001, 0.5, 2.0])
def test_decay_on_both_sides_of_its_switch(y):
    e, g = decay(jnp.asarray(y))
    np.testing.assert_allclose((e, g), rational_decay(y), rtol=2e-14 if y >= 0.1 else 1e-12)
    slope = jax.grad(lambda v: decay(v)[1])(jnp.asarray(y))
    h = Fraction(1, 10**6)
    want = (rational_decay(Fraction(y) + h)[1] - rational_decay(Fraction(y) - h)[1]) / (2 * float(h))
    assert float(slope) == pytest.approx(want, abs=1e-9)


LEAK = jnp.asarray([0.2, 0.9, 0.5])


@pytest.mark.parametrize(
    ("rho", "answer"),
    [(1.0, 1.6 / 3), (2.0, (1.10 / 3) ** 0.5), (jnp.inf, 0.9), (400.0, 0.9 * 3 ** (-1 / 400)), (1e5, 0.9 * 3**-1e-5)],
)
def test_power_mean(rho, answer):
    assert float(power_mean(LEAK, jnp.asarray(rho))) == pytest.approx(answer, rel=1e-13)


def test_power_mean_does_not_under_or_overflow():
    """At ρ = 300, 1e-3 to the power ρ is no float; the mean is homogeneous of degree one."""
    small = power_mean(LEAK * 1e-3, jnp.asarray(300.0))
    assert float(small) == pytest.approx(1e-3 * float(power_mean(LEAK, jnp.asarray(300.0))), rel=1e-13)


def test_weakest_link_sees_only_the_leakiest():
    """ρ = ∞: the others' leaks have slope exactly 0 and the leakiest's slope 1; every finite ρ mixes them."""
    np.testing.assert_array_equal(jax.grad(power_mean)(LEAK, jnp.asarray(jnp.inf)), [0, 1, 0])
    assert (np.asarray(jax.grad(power_mean)(LEAK, jnp.asarray(12.0))) > 0).all()


@pytest.mark.parametrize("rho", [1.0, 2.0, 5.0, 40.0])
def test_slope_at_a_symmetric_point(rho):
    """1/I for every finite ρ."""
    slope = jax.grad(power_mean)(jnp.full(3, 0.4), jnp.asarray(rho))
    np.testing.assert_allclose(slope, 1 / 3, rtol=1e-12)


@pytest.mark.parametrize("rho", [1.0, 2.0, 5.0, 40.0])
@pytest.mark.parametrize("num", [2, 3])
def test_kink_at_zero_leak(rho, num):
    """From r = 1 at bite 1, one who relaxes alone moves the pool with slope I^(-1/ρ), all together with slope 1."""
    p = Parameters(incumbent_lag=jnp.zeros(num), outside_knowledge=0.0, rho=rho)

    def pool(r):
        return pools(p, effective_restriction(p, r))[0][0]

    closed = jnp.ones((num, 1))
    assert float(pool(closed)) == 0
    for step in (1e-3, 0.1):  # exact: the mean is homogeneous of degree one
        assert float(pool(closed.at[0].add(-step))) / step == pytest.approx(num ** (-1 / rho), rel=1e-10)
        assert float(pool(closed - step)) / step == pytest.approx(1, rel=1e-10)


def test_no_restriction_no_lag_full_pool():
    """r = 0 and z_i = 0: Λ = 1 in every bloc and for the open community, whatever λ0, ρ and bite."""
    for rho in (1.0, 3.0, jnp.inf):
        p = Parameters(incumbent_lag=0.0, outside_knowledge=[0.1, 0.4, 0.7], rho=rho)
        bloc, community = pools(p, jnp.zeros(3))
        np.testing.assert_allclose(bloc, 1, rtol=1e-14)
        assert float(community) == pytest.approx(1, rel=1e-14)


def test_pools_by_hand():
    """ρ = 2: Λ_b = λ0 + (1-λ0) [mean ℓ²]^½ with ℓ = e^{-θz}(1 - bite R); the open one at bite 1, mean λ0."""
    p = Parameters(
        incumbent_lag=[0.0, 0.2], theta=1.5, rho=2.0, outside_knowledge=[0.1, 0.3, 0.8], bite=[1.0, 0.5, 0.8]
    )
    R = [0.6, 0.25]
    bloc, community = pools(p, jnp.asarray(R))
    cases = [(0.1, 1.0), (0.3, 0.5), (0.8, 0.8), (0.4, 1.0)]
    for got, (outside, bite) in zip([*bloc, community], cases, strict=True):
        leaks = (1 - bite * R[0], exp(-0.3) * (1 - bite * R[1]))
        mean = ((leaks[0] ** 2 + leaks[1] ** 2) / 2) ** 0.5
        assert float(got) == pytest.approx(outside + (1 - outside) * mean, rel=1e-13)


def test_detection_sharing_by_hand():
    """R_i ← 1 - (1-R_i)(1 - s_d mean of the others' R), at once for all."""
    p = Parameters(detection_sharing=0.5)
    got = effective_restriction(p, jnp.asarray([[0.2], [0.6], [0.0]]))
    want = [1 - 0.8 * (1 - 0.5 * 0.3), 1 - 0.4 * (1 - 0.5 * 0.1), 1 - (1 - 0.5 * 0.4)]
    np.testing.assert_allclose(got, want, rtol=1e-13)


def test_detection_sharing_needs_others():
    p = Parameters(incumbent_bloc=("US",), detection_sharing=0.5)
    assert float(effective_restriction(p, jnp.asarray([[0.3]]))[0]) == pytest.approx(0.3)


def test_channels_by_hand():
    """R = 1 - Π_c (1 - η_c r_c)."""
    p = Parameters(channel_effect=[0.5, 0.8, 1.0])
    r = jnp.asarray([[1.0, 0.5, 0.0], [0.0, 0.0, 1.0], [0.2, 0.2, 0.2]])
    np.testing.assert_allclose(effective_restriction(p, r), [1 - 0.5 * 0.6, 1.0, 1 - 0.9 * 0.84 * 0.8], rtol=1e-13)
