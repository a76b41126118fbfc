"""The default restriction game as a good researcher would write it with NumPy and SciPy: the peer of its equilibrium.

The challengers' stage (prices, effort, mixes: 106 equations) goes to ``scipy.optimize.root`` from its last solution; incumbents
take turns in best replies by ``minimize_scalar``. Only utilities and lags, which no solver changes, come from the package.
"""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize_scalar, root
from scipy.special import logsumexp, softmax

from games.restriction import RestrictionGame
from games.restriction.demand import CLIENT, SOVEREIGN, market


class SciPyGame:
    """Payoffs and best replies of a :class:`RestrictionGame` in fast mode with logit demand and a given frontier speed."""

    def __init__(self, game: RestrictionGame):
        if float(game.parameters.appropriability):
            raise ValueError("appropriability must be 0: the frontier's speed is held at 1 here")
        self.p = jax.tree.map(np.asarray, game.parameters)
        self.market = jax.jit(lambda r: market(game.parameters, r[:, None], jnp.ones(())))
        self.players, self.firms = len(self.p.incumbents), len(self.p.challengers)
        self.member = np.array([name in self.p.consortium for name in self.p.challengers], float)
        self.last, self.num_stages = None, 0

    def payoffs(self, r: np.ndarray) -> np.ndarray:
        """The incumbents' payoffs at restrictions (incumbent,)."""
        p, m = self.p, jax.tree.map(np.asarray, self.market(r))
        mix, effort, mu_i, mu_c = self.stage(m)
        own, sold, H = self.sales(m, mix, effort, mu_i, mu_c)
        fee = mix[:, CLIENT] @ self.books(m, mix, effort, mu_c)[1]
        products = m.scale * (mu_i * own.sum(0) / H + m.wholesale * sold[:, CLIENT].sum(0) / H)
        queries = p.query_price * (1 - m.restriction) * mix[:, SOVEREIGN].sum()
        return products.sum(1) + (fee + queries) / self.players - p.enforcement_cost * r**2 / 2

    def stage(self, m):
        """The mixes, effort and markups at which none moves."""
        cells = len(m.outside)
        sizes = np.cumsum([3 * self.firms, self.firms, self.players * cells])

        def unpack(z):
            mix, effort, mu_i, mu_c = np.split(z, sizes)
            return (
                mix.reshape(self.firms, 3),
                effort,
                mu_i.reshape(self.players, cells),
                mu_c.reshape(self.firms, 3, cells),
            )

        def residual(z):
            return np.concatenate([new.ravel() for new in self.replies(m, *unpack(z))]) - z

        rest = np.full(sizes[0], 1 / 3), np.full(self.firms, 0.5), np.full((self.players + 3 * self.firms) * cells, 1.1)
        first = np.concatenate(rest)
        found = root(residual, first if self.last is None else self.last, tol=1e-10)
        if not found.success:
            found = root(residual, first, tol=1e-10)
        if np.abs(found.fun).max() > 1e-8:
            raise RuntimeError(f"the stage was not solved: {found.message}")
        self.last, self.num_stages = found.x, self.num_stages + 1
        return unpack(found.x)

    def sales(self, m, mix, effort, mu_i, mu_c):
        t = m.type_at_rest.copy()
        t[:, SOVEREIGN] *= np.exp(self.p.lag_slope * (m.lag_slope * effort)[:, None])
        own, sold = (m.incumbent_type * np.exp(-mu_i))[None], mix[:, :, None] * t * np.exp(-mu_c)
        return own, sold, m.outside + own.sum((0, 1)) + sold.sum((0, 1))

    def replies(self, m, mix, effort, mu_i, mu_c):
        own, sold, H = self.sales(m, mix, effort, mu_i, mu_c)
        alone = sold / mix[:, :, None]  # what a firm sells if it has this strategy
        rest = H - sold.sum(1)
        new_c = 1 + alone / rest[:, None]
        new_i = (1 + m.wholesale * (sold[:, CLIENT].sum(0) / H)) / (1 - own[0] / H)
        net, _, best = self.books(m, mix, effort, mu_c)
        return softmax(net / self.p.sigma, axis=1), best, new_i, new_c

    def books(self, m, mix, effort, mu_c):
        """Payoffs net of the fee, the fee, and the best effort."""
        p, n = self.p, max(len(self.p.consortium), 1)
        mates = ((self.member * mix[:, SOVEREIGN]).sum() - mix[:, SOVEREIGN]) / max(n - 1, 1)
        borne = (1 - p.subsidy) * (1 - self.member * p.pool * (1 - 1 / n) * mates)
        gross = (m.scale * (mu_c - 1)).sum(2)
        programme = (p.programme_cost + p.effort_cost * effort**2 / 2) * borne + m.queries
        payoff = gross - np.stack([p.client_programme_cost, programme, p.applied_programme_cost], 1)
        outside = p.sigma * logsumexp(payoff[:, SOVEREIGN:] / p.sigma, axis=1)
        fee = p.fee_share * p.sigma * np.logaddexp(0, (payoff[:, CLIENT] - outside) / p.sigma)
        payoff[:, CLIENT] -= fee
        worth = (m.scale * p.lag_slope * (1 - 1 / mu_c[:, SOVEREIGN])).sum(1)
        return payoff, fee, np.clip(worth * m.lag_slope / (p.effort_cost * borne), 0, m.effort_bound)

    def equilibrium(self, start: float = 0.0, tolerance: float = 1e-5) -> np.ndarray:
        """Best replies in turn until no restriction moves by more than ``tolerance``."""
        r = np.full(self.players, start)
        for _ in range(100):
            before = r.copy()
            for i in range(self.players):

                def loss(own, i=i):
                    tried = r.copy()
                    tried[i] = own
                    return -self.payoffs(tried)[i]

                r[i] = minimize_scalar(loss, bounds=(0, 1), method="bounded", options={"xatol": tolerance / 10}).x
            if np.abs(r - before).max() <= tolerance:
                return r
        raise RuntimeError("best replies did not settle in 100 rounds")
