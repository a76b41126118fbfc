r"""Regret in a Markov-perfect equilibrium, measured by other code than finds it.

The value of following the plan (P, x) is linear, :math:`V_j = (I - \delta T)^{-1} u_j` with
:math:`u_j = \sum_a P_{ja}(\pi_{ja} - \sigma\ln P_{ja})`; what j gains in a state by one other choice, of strategies and of an
effort, is

.. math:: \sigma\ln\sum_a \exp\frac{\max_{x}\pi_{ja}(x) + \delta E[V_j(s')\mid a, x]}{\sigma} - V_j(s) \ge 0.

If no single choice gains more than ε, no plan gains more than ε/(1 - δ) (one-shot deviation principle, Blackwell 1965).
Transitions are built state by state as Kronecker products, weights from truncated powers, and markups at another effort from
Wright's ω function.
"""

from typing import Any

import numpy as np
from scipy.special import logsumexp, wrightomega

from games.restriction.demand import SOVEREIGN

EFFORTS = 65


def weights(z: Any, grid: np.ndarray) -> np.ndarray:
    """Quadratic B-spline weights (.., point) of lags z on an even grid, what falls beyond an end kept there."""
    points = len(grid)
    step = grid[1] - grid[0] if points > 1 else 1.0
    u = np.clip((np.asarray(z, float) - grid[0]) / step, 0, points - 1)[..., None] - np.arange(-1, points + 1)
    power = np.sum([c * np.maximum(u + a, 0) ** 2 for c, a in ((1, 1.5), (-3, 0.5), (3, -0.5), (-1, -1.5))], axis=0) / 2
    inside = power[..., 1:-1].copy()
    inside[..., 0] += power[..., 0]
    inside[..., -1] += power[..., -1]
    return inside


def moved(z: Any, speed: float, effort: Any, period: float) -> np.ndarray:
    """The lag a period later."""
    rest = np.exp(-speed * period)
    gone = period if speed == 0 else (1 - rest) / speed
    return np.asarray(z) * rest + (1 - np.asarray(effort)) * gone


def arrivals(state: np.ndarray, effort: np.ndarray, kinds: int, lags: Any) -> np.ndarray:
    """Where a challenger arrives by its strategy (state, challenger, strategy, point)."""
    out = np.empty((*state.shape, kinds, lags.grid.shape[1]))
    for j, grid in enumerate(np.asarray(lags.grid)):
        for a in range(kinds):
            x = effort[:, j] if a == SOVEREIGN else 0.0
            out[:, j, a] = weights(moved(state[:, j], float(lags.speed[j]), x, float(lags.period)), grid)
    return out


def transitions(mix: np.ndarray, arrive: np.ndarray) -> np.ndarray:
    """T (state, state): challengers arrive independently of each other."""
    each = np.einsum("sja,sjak->sjk", mix, arrive)
    return np.stack([_product(row) for row in each])


def _product(rows: Any) -> np.ndarray:
    total = np.ones(1)
    for row in rows:
        total = np.kron(total, row)
    return total


def one_shot_gain(plan: dict[str, np.ndarray], lags: Any, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """V and the gain (state, challenger).

    :param plan: ``mix``, ``payoff`` (state, challenger, strategy); ``effort``, ``effort_bound``, ``cost`` = k (1 - g) csh
        (state, challenger); ``markup``, ``slope`` = βD and ``scale`` = M/α of sovereign products (state, challenger, cell).
    """
    mix, payoff, discount = plan["mix"], plan["payoff"], float(lags.discount)
    state, kinds = np.asarray(lags.state), mix.shape[2]
    arrive = arrivals(state, plan["effort"], kinds, lags)
    each, T = np.einsum("sja,sjak->sjk", mix, arrive), transitions(mix, arrive)
    flow = (mix * (payoff - sigma * np.log(mix))).sum(axis=2)
    value = np.linalg.solve(np.eye(len(T)) - discount * T, flow)
    gain = np.empty_like(flow)
    for s, j in np.ndindex(*gain.shape):
        # E[V_j] by where j arrives
        basis = np.eye(arrive.shape[3])
        ahead = np.array([_product([*each[s, :j], row, *each[s, j + 1 :]]) @ value[:, j] for row in basis])
        v = payoff[s, j] + discount * arrive[s, j] @ ahead
        v[SOVEREIGN] += _better_effort(plan, lags, s, j, ahead, discount)
        gain[s, j] = sigma * logsumexp(v / sigma) - value[s, j]
    return value, gain


def _better_effort(plan, lags, s: int, j: int, ahead: np.ndarray, discount: float) -> float:
    """What the best effort on a grid gains, given sovereign, the own markups adapted."""
    x, bound = plan["effort"][s, j], plan["effort_bound"][s]
    efforts = np.append(np.linspace(0, bound, EFFORTS), x)
    y = plan["markup"][s, j] - 1
    other = wrightomega(y + np.log(y) + plan["slope"][s, j] * (efforts[:, None] - x)).real
    now = other @ plan["scale"][s] - plan["cost"][s, j] * efforts**2 / 2
    to = weights(moved(lags.state[s, j], float(lags.speed[j]), efforts, float(lags.period)), np.asarray(lags.grid[j]))
    total = now + discount * to @ ahead
    return float(total.max() - total[-1])


def path_of(T: np.ndarray, start: np.ndarray, periods: int) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities (period, state) from ``start`` (state,), and those in the long run (state,)."""
    rows = [start]
    for _ in range(periods):
        rows.append(rows[-1] @ T)
    size = len(T)
    system = np.vstack([T.T - np.eye(size), np.ones(size)])
    return np.stack(rows), np.linalg.lstsq(system, np.append(np.zeros(size), 1.0), rcond=None)[0]
