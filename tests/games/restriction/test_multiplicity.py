"""Several equilibria of the stage and several speeds of the frontier: each holds by independent code, none is lost."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import lambertw

from games.restriction import RestrictionGame, diagnose_stage, frontier_speeds, outcomes, stage_equilibria
from games.restriction.challengers import opening, solve_stage
from games.restriction.demand import market
from games.restriction.frontier import fast_play
from games.restriction.many import Worlds
from games.restriction.multiplicity import _sure_profiles, stage_at_one
from games.restriction.prior import draw_worlds, world
from tests import direct

DRAWS = draw_worlds(100, seed=5)
R = np.full(3, 0.5)
SEVERAL = (7, 32, 48, 53, 64, 89)  # of 100 draws at σ = 0.1; model.md §6 puts the share at about 4 %


def game_of(draw, **changes):
    return RestrictionGame(**world(DRAWS, draw) | changes)


def prices_at(w, mix, effort):
    """Markups, H and the expected sales of each challenger, by plain best replies at given mixes and efforts."""
    mu_i, mu_c = np.ones((w.I, w.M)), np.ones((w.J, 3, w.M))
    H, own, S_C = np.zeros(w.M), np.zeros((w.J, w.M)), np.zeros(w.M)
    for m in range(w.M):
        for _ in range(3000):
            new_i, new_c, H[m], S_C[m] = direct.cell_replies(w, m, mix, effort, mu_i, mu_c, [range(3)] * w.J)
            gap = max(np.abs(new_i - mu_i[:, m]).max(), np.abs(new_c - mu_c[:, :, m]).max())
            mu_i[:, m], mu_c[:, :, m] = new_i, new_c
            if gap < 1e-13:
                break
        for j in range(w.J):
            t = w.t_rest[j, :, m] * [1, np.exp(w.beta[m] * w.D[j] * effort[j]), 1]
            own[j, m] = (mix[j] * t * np.exp(-mu_c[j, :, m])).sum()
    return mu_i, mu_c, H, own, S_C


def gain_from_effort(w, j, effort, rivals, csh):
    """The best of 401 efforts of a sovereign challenger, its markup following (Lambert's W), against its own."""
    borne = float(w.p.effort_cost[j]) * csh[j] * (1 - float(w.p.subsidy[j]))

    def payoff(x):
        y = lambertw(w.t_rest[j, 1] * np.exp(w.beta * w.D[j] * x) / (np.e * rivals)).real
        return (w.scale * y).sum() - borne * x**2 / 2

    return max(0, max(map(payoff, np.linspace(0, float(w.p.effort_bound), 401))) - payoff(effort))


@pytest.mark.parametrize("draw", [7, 32, 24, 0])
def test_each_is_an_equilibrium(draw):
    """Best replies of prices, effort and choices lead back to the mix; no other effort gains more than is said."""
    game = game_of(draw, sigma=0.1, appropriability=0)
    ds = stage_equilibria(game, R)
    w = direct.world(game.parameters, R)
    for k in ds.equilibrium.values:
        mix, effort = ds.mix.values[k], ds.effort.values[k]
        _, mu_c, H, own, _ = prices_at(w, mix, effort)
        gross, best, _ = direct.books(w, mix, effort, mu_c)
        np.testing.assert_allclose(direct.choice(w.p, gross)[0], mix, atol=1e-6)
        np.testing.assert_allclose(best, effort, atol=1e-6)
        csh = direct.cost_share(w.p, mix)
        gain = max(gain_from_effort(w, j, effort[j], H - own[j], csh) for j in range(w.J))
        assert float(ds.effort_gain[k]) == pytest.approx(gain, abs=0.03 * gain + 1e-8)
    assert int(ds.num_equilibria) == (ds.effort_gain <= 1e-6).sum()


def test_several_appear_as_shocks_become_small():
    """Of the draws known to have several at σ = 0.1 all are found again, and draws with one keep one."""
    few = (0, 1, 2, 5)
    found = {i: stage_equilibria(game_of(i, sigma=0.1), R) for i in (*SEVERAL, *few)}
    assert all(int(found[i].num_equilibria) > 1 for i in SEVERAL)
    assert all(int(found[i].num_equilibria) == 1 for i in few)
    for ds in found.values():
        assert (np.diff(ds.welfare) <= 1e-6).all()
        assert int(ds.num_starts_reaching.sum()) + int(ds.num_unconverged) == int(ds.num_starts) == 329
        assert not bool(ds.prices_disagree)


def test_worlds_of_the_prior_have_one():
    """20 draws, 329 starts each: nearly every start arrives, and one equilibrium is left (only draw 32 of 100 has more)."""
    for draw in [*range(19), 32]:
        ds = stage_equilibria(game_of(draw), R)
        assert int(ds.num_equilibria) == (3 if draw == 32 else 1)
        assert int(ds.num_unconverged) <= 5
        assert int(ds.selected.sel(selection="best_for_world")) >= 0


def test_no_effort_may_be_best():
    """Draw 24: every first-order condition that holds leaves a challenger a better effort, and it is said so."""
    ds = stage_equilibria(game_of(24, sigma=0.1), R)
    assert ds.sizes["equilibrium"] >= 3
    assert int(ds.num_equilibria) == 0
    assert (ds.selected.sel(selection=["best_for_world", "worst_for_incumbents"]) == -1).all()
    assert float(ds.effort_gain.min()) > 0.05


@pytest.mark.parametrize("draw", [3, 7, 32])
def test_selections(draw):
    """``reached`` is what the ordinary solve returns; best and worst are best and worst; the logit path is on the list."""
    game = game_of(draw, sigma=0.1)
    ds, solved = stage_equilibria(game, R), outcomes(game, R)
    at = {name: ds.isel(equilibrium=int(ds.selected.sel(selection=name))) for name in ds.selection.values}
    for name in ("mix", "effort", "incumbent_payoff", "challenger_payoff", "welfare", "frontier_speed"):
        np.testing.assert_allclose(at["reached"][name], solved[name], rtol=1e-6, atol=1e-6)
    true = ds.effort_gain <= 1e-6
    profit, welfare = ds.incumbent_payoff.sum("incumbent").where(true), ds.welfare.where(true)
    assert float(at["best_for_incumbents"].incumbent_payoff.sum()) == profit.max()
    assert float(at["worst_for_incumbents"].incumbent_payoff.sum()) == profit.min()
    assert float(at["best_for_world"].welfare) == welfare.max()
    assert float(at["worst_for_world"].welfare) == welfare.min()
    assert int(ds.selected.sel(selection="logit_path")) >= 0


def test_one_equilibrium_with_much_noise():
    """σ = 5 is above ¼ of what rivals can move: every start leads to the one, and the logit path takes small steps."""
    ds = stage_equilibria(RestrictionGame(sigma=5), R)
    assert ds.num_starts_reaching.values.tolist() == [329]
    assert (ds.selected == 0).all()
    assert float(ds.logit_path_step) < 0.02


@pytest.mark.parametrize("draw", [32, 53])
def test_alike_challengers_swap(draw):
    """The two Chinese firms are identical in the prior: with every equilibrium its mirror image is found."""
    ds = stage_equilibria(game_of(draw, sigma=0.1), R)
    mixes = ds.mix.values[ds.effort_gain.values <= 1e-6]
    mirrored = mixes[:, [1, 0, 2, 3]]
    gaps = np.abs(mixes[:, None] - mirrored[None]).max(axis=(2, 3))
    assert gaps.min(axis=1).max() < 1e-3
    assert (np.abs(mixes - mirrored).max(axis=(1, 2)) > 0.1).any()


def test_starts_of_many_challengers_are_a_fixed_choice():
    some = _sure_profiles(6, 3, 81)
    np.testing.assert_array_equal(some, _sure_profiles(6, 3, 81))
    assert 60 < len(some) <= 82
    assert len(_sure_profiles(4, 3, 81)) == 82
    np.testing.assert_array_equal(some[:-1].sum(axis=2), 1)
    np.testing.assert_array_equal(some[-1], 0)


def test_bad_input():
    with pytest.raises(ValueError, match=r"mode='fast'"):
        stage_equilibria(RestrictionGame(mode="exact"), 0.5)
    with pytest.raises(ValueError, match="starts = 0"):
        stage_equilibria(RestrictionGame(), 0.5, starts=0)
    for function in (stage_equilibria, frontier_speeds, diagnose_stage):
        with pytest.raises(ValueError, match="restriction = 2"):
            function(RestrictionGame(), 2)


def test_diagnosis():
    """Plain damping cycles between two equilibria at draw 32, and at draw 48, where acceleration fails as well."""
    assert diagnose_stage(RestrictionGame(), R) == "one equilibrium"
    assert diagnose_stage(game_of(7, sigma=0.1), R).startswith("several equilibria: ")
    stuck = game_of(48, sigma=0.02)
    assert diagnose_stage(stuck, R) == "cycle of length 2"
    assert diagnose_stage(game_of(32, sigma=0.1), R) == "cycle of length 2"


def relative_return(p, restriction, gamma):
    """MR(r; γ) from the slow stage, term by term (model.md §7)."""
    w, s = direct.world(p, restriction, gamma), direct.stage(p, restriction, gamma)
    _, slope = direct.mean_lag(0.0, float(p.open_absorption) * w_open(p, w), 0.0, gamma, float(p.horizon))
    total = 0.0
    for m in range(w.M):
        lifted = np.exp(w.beta[m] * w.D * s["effort"])
        sold = s["mix"] * w.t_rest[:, :, m] * np.exp(-s["challenger_markup"][:, :, m]) / s["H"][m]
        sold[:, 1] *= lifted
        copies = (sold[:, 1] * w.D).sum() + (sold[:, 2].sum() + (w.H0[m] - 1) / s["H"][m]) * slope
        margin = (s["incumbent_markup"][:, m] - 1).sum()
        total += w.scale[m] * w.beta[m] * margin * (float(p.horizon) / 2 / s["H"][m] + copies)
    return total


def w_open(p, w):
    return direct.pool(p, w.R, 1.0, np.mean(p.outside_knowledge))


STALLED = draw_worlds(64, seed=9)  # two draws with a slow frontier beside the usual one


@pytest.mark.parametrize(("draw", "num"), [(32, 3), (53, 3), (0, 1)])
def test_roots_of_the_frontier(draw, num):
    """As many as known, an odd number; each satisfies the condition by the slow stage; the ordinary solve's is meant."""
    game = RestrictionGame(**world(STALLED, draw))
    p = game.parameters
    ds = frontier_speeds(game, 0.75)
    assert ds.sizes["root"] == num
    assert int(ds.num_jumps) == 0
    assert not bool(ds.open_above)
    base = relative_return(p, np.zeros(3), 1.0)
    for gamma in ds.frontier_speed.values:
        right = 1 + float(p.appropriability) * (relative_return(p, np.full(3, 0.75), gamma) / base - 1)
        assert right == pytest.approx(gamma, abs=1e-6)
    solved = outcomes(game, 0.75)
    meant = ds.isel(root=int(ds.meant))
    for name in ("frontier_speed", "mix", "effort", "incumbent_payoff", "welfare"):
        np.testing.assert_allclose(meant[name], solved[name], rtol=1e-5, atol=1e-6)


TORN = draw_worlds(256, seed=0)  # of 256 at random r, four have another stage from the opening


@pytest.mark.parametrize("draw", [182, 203])
def test_a_stage_at_another_speed_is_found_from_that_at_one(draw):
    """Whose research is best at its bound before the frontier moves keeps it; batches may reach a third one, but not here."""
    game = RestrictionGame(**world(TORN, draw))
    p, r = game.parameters, jnp.asarray(np.random.default_rng(5).random((256, 3, 1))[draw])
    play, stage = fast_play(p, r), jax.jit(lambda gamma, start: solve_stage(p, market(p, r, gamma), start=start).value)
    assert bool(play.converged)
    near = stage(play.gamma, stage_at_one(game, r))
    np.testing.assert_allclose(play.effort, near.effort, atol=1e-6)
    np.testing.assert_allclose(play.mix, near.mix, atol=1e-6)
    opened = stage(play.gamma, opening(p, market(p, r, play.gamma)))
    assert np.abs(opened.effort - near.effort).max() > 0.1
    stack = jax.tree.map(lambda x: np.asarray(x)[None], game)
    payoffs = play.incumbent_payoff + p.cooperation * (play.incumbent_payoff.sum() - play.incumbent_payoff)
    np.testing.assert_allclose(Worlds(stack)(np.zeros(1, int), np.asarray(r)[None])[0], payoffs, rtol=1e-6)
    assert frontier_speeds(game, r).frontier_speed.values == pytest.approx([float(play.gamma)], abs=1e-6)


def test_frontier_that_does_not_respond():
    ds = frontier_speeds(RestrictionGame(), 0.5)
    assert ds.frontier_speed.values.tolist() == pytest.approx([1.0], abs=1e-12)
    assert int(ds.meant) == 0
