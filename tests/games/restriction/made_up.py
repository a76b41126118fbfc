"""Equilibria made up of numbers, for what is said of them: nothing is solved."""

import numpy as np

from games.restriction import VARIABLES, RestrictionGame
from games.restriction.claims import worlds
from games.restriction.outcomes import coordinates, dimensions, label


def made_up(over, noise=0.0, seed=0):
    """A column in which everything is 1, over the dimensions ``over`` (name to size), give or take ``noise``."""
    game, rng = RestrictionGame(), np.random.default_rng(seed)
    sizes = {name: len(values) for name, values in coordinates(game).items()}
    lead = tuple(over.values())

    def values(*dims):
        return 1 + noise * rng.uniform(-1, 1, (*lead, *(sizes[dim] for dim in dims)))

    table = {name: values(*dimensions(game, name)) for name in VARIABLES}
    table |= {"stage_converged": np.ones(lead, bool)}
    ds = label(game, table, {name: np.arange(size) for name, size in over.items()})
    ds = ds.assign_coords(challenger_bloc=("challenger", list(game.parameters.challenger_bloc)))
    extra = {"pooling_gain": (), "best_subsidy": (), "nash_gain": (), "gross_profit": ("incumbent",)}
    extra |= {"force_multiplier": ("challenger",), "break_even_cost": ("bloc",)}
    ds = ds.assign({name: ((*over, *dims), values(*dims)) for name, dims in extra.items()})
    ds["best_subsidy"] = ds.best_subsidy - 1  # no claim of a level holds by itself
    own = {name: np.asarray(getattr(game.parameters, name)) for name in ("absorption", "starting_lag")}
    num = over["draw"]
    ds = ds.assign({n: (("draw", "challenger"), np.broadcast_to(v, (num, v.size))) for n, v in own.items()})
    return ds.assign(horizon=("draw", np.full(num, 4.0)), certified=(tuple(over), np.ones(lead, bool)))


def made_up_columns(num, seed=0):
    """All columns of ``num`` draws, at random."""
    restriction = {"open": 0.0, "concerted": 0.8}
    columns = {
        name: made_up({"draw": num}, 0.1, seed + k).assign(
            restriction=(("draw", "incumbent"), np.full((num, 3), restriction[name]))
        )
        for k, name in enumerate(restriction)
    }
    nash = made_up({"draw": num}, 0.1, seed + 2)  # the same from every start
    columns["nash"] = nash.expand_dims(start=len(worlds.STARTS), axis=1).assign(horizon=nash.horizon)
    curve = made_up({"draw": num, "common_restriction": len(worlds.CURVE)}, 0.1, seed + 3)
    columns["curve"] = curve.assign_coords(common_restriction=worlds.CURVE)
    return {name: ds.drop_vars("start", errors="ignore") for name, ds in columns.items()}
