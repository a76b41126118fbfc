"""Figures: every cell's colour on the page, hatches, certified values only, sizes, grey print, crossings in closed form."""

import ast
from pathlib import Path

import jax
import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from numpy.testing import assert_allclose
from small_games import Pursuit

import solver
from games.oligopoly import Cournot
from games.public_goods import PublicGood
from solver import Status, best_reply_curves, curves, phase_diagram
from solver.plot.best_reply import crossings
from solver.plot.data import axis, label, mathematics
from solver.plot.phase import SEVERAL, UNCERTIFIED
from solver.plot.style import save, shades, strokes

X, Y = np.linspace(0.0, 1.0, 6), np.geomspace(1.0, 16.0, 5)


@pytest.fixture(scope="module")
def ds():
    rng = np.random.default_rng(0)
    shape, dims = (6, 5, 2), ("tax", "rate", "world")
    mix = rng.dirichlet([1, 1, 1], shape)
    status = np.where(rng.random(shape) < 0.2, Status.cycle, Status.converged).astype(np.int8)
    return xr.Dataset(
        {
            "mix": ((*dims, "choice"), mix, {"long_name": "probability of a choice", "units": "1"}),
            "yield": (
                dims,
                rng.random(shape) + 10 * X[:, None, None],
                {"long_name": "tax yield", "units": "bn $/year"},
            ),
            "status": (dims, status),
            "num_equilibria": (dims, np.where(status == 0, rng.integers(1, 3, shape), 0)),
        },
        {
            "tax": ("tax", X, {"long_name": "tax on work", "units": "1", "symbol": "t_w"}),
            "rate": ("rate", Y, {"long_name": "interest", "units": "%"}),
            "choice": ["work", "save_up", "leave"],
            "world": ["old", "new"],
        },
    )


def page(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3] / 255


def pixels(image, ax, x, y, around=6):
    """The colours (n, 3) on the page near a point of the axes' coordinates."""
    column, row = ax.transData.transform((x, y)).round().astype(int)
    row = image.shape[0] - row
    return image[row - around : row + around + 1, column - around : column + around + 1].reshape(-1, 3)


def test_every_cell_has_its_regimes_colour(ds):
    figure = phase_diagram(ds, "mix", x="tax", y="rate", facet="world", columns=2)
    figure.set_dpi(150)
    image = page(figure)
    assert [ax.get_title() for ax in figure.axes] == ["old", "new"]
    assert figure.axes[0].get_yscale() == "log"
    assert figure.axes[0].get_xscale() == "linear"
    for k, ax in enumerate(figure.axes):
        for i, x in enumerate(X[1:-1], 1):
            for j, y in enumerate(Y[1:-1], 1):
                here = ds.isel(tax=i, rate=j, world=k)
                good = here.status == Status.converged
                colour = shades(3)[int(here.mix.argmax("choice"))][:3] if good else to_rgb(UNCERTIFIED["facecolor"])
                seen = pixels(image, ax, x, y)
                assert_allclose(np.median(seen, axis=0), colour, atol=0.02)
                hatched = np.abs(seen - to_rgb(SEVERAL["edgecolor"])).max(axis=1).min() < 0.1
                assert hatched == bool(here.num_equilibria > 1)


def test_regimes_however_they_are_given(ds):
    one = ds.isel(world=0)
    names = np.array(["work", "save_up", "leave"])[one.mix.argmax("choice").values]
    flags = one.mix.argmax("choice").assign_attrs(flag_values=[0, 1, 2], flag_meanings="work save_up leave")
    text = one.mix.argmax("choice").astype(str).copy(data=names)
    assert shown(phase_diagram(one, "mix", x="tax", y="rate")) >= {"work", "save up", "leave"}
    assert shown(phase_diagram(one, flags, x="tax", y="rate")) == shown(phase_diagram(one, text, x="tax", y="rate"))
    rich = shown(phase_diagram(one, lambda d: (d["yield"] > 4).rename("rich"), x="tax", y="rate"))
    assert rich == {"no", "yes", "no certified equilibrium", "several equilibria"}


def shown(figure):
    return {text.get_text() for text in figure.legends[0].get_texts()}


def test_contours_are_labelled_and_keep_off_uncertified_points(ds):
    one = ds.isel(world=0)
    one = one.assign({"yield": one["yield"].where(one.status == 0, 1e9)})
    figure = phase_diagram(one, "mix", x="tax", y="rate", contour="yield")
    assert r"tax yield (bn\$/year)" in {t.replace("\xa0", "").replace(" \\$", r"\$") for t in shown(figure)}
    levels = {float(text.get_text()) for text in figure.axes[0].texts}
    assert levels
    assert max(levels) < 20
    bounds = [text.get_position() for text in figure.axes[0].texts]
    assert all(0 < x < 1 and 1 < y < 16 for x, y in bounds)


def test_no_contour_runs_through_a_jump():
    """Two slopes far apart, the jump along a line that is slanted: nothing between them, levels on both."""
    x, y = np.linspace(0.0, 1.0, 12), np.linspace(0.0, 1.0, 9)
    above = x[:, None] > 0.3 + 0.2 * y
    outcome = x[:, None] + 0 * y + 10 * above
    ds = xr.Dataset({"regime": (("x", "y"), above), "outcome": (("x", "y"), outcome)}, {"x": ("x", x), "y": ("y", y)})
    ax = phase_diagram(ds, "regime", x="x", y="y", contour="outcome").axes[0]
    levels = {float(text.get_text()) for text in ax.texts}
    assert min(levels) < 1
    assert max(levels) > 10
    assert not [level for level in levels if outcome[~above].max() < level < outcome[above].min()]


def test_what_is_all_uncertified_or_constant_is_drawn(ds):
    bad = ds.isel(world=0).assign(status=xr.zeros_like(ds.status.isel(world=0)) + Status.max_steps)
    assert shown(phase_diagram(bad, "mix", x="tax", y="rate", contour="yield")) >= {"no certified equilibrium"}
    flat = ds.isel(world=0).assign({"yield": xr.full_like(ds["yield"].isel(world=0), 3.0)})
    assert not phase_diagram(flat, "mix", x="tax", y="rate", contour="yield").axes[0].texts


def test_sizes_vectors_and_the_same_bytes(ds, tmp_path):
    for columns, width in ((1, 3.4), (2, 7.0)):
        figure = phase_diagram(ds, "mix", x="tax", y="rate", contour="yield", facet="world", columns=columns)
        assert figure.get_figwidth() == width
    figure = phase_diagram(ds.isel(world=0), "mix", x="tax", y="rate", contour="yield")
    files = [save(figure, tmp_path / name) for name in ("a", "b")]
    assert [path.name for path in files[0]] == ["a.pdf", "a.png"]
    for one, other in zip(*files, strict=True):
        assert one.read_bytes() == other.read_bytes()
    pdf = files[0][0].read_bytes()
    assert b"/Subtype /Image" not in pdf
    assert b"/Subtype /Type3" not in pdf
    assert sorted(tmp_path.iterdir()) == sorted(path for pair in files for path in pair)


def test_no_two_regimes_are_one_in_grey_print():
    grey = np.array([0.299, 0.587, 0.114])
    for count, apart in ((2, 0.4), (3, 0.2), (4, 0.13), (6, 0.08)):
        steps = -np.diff([np.asarray(colour)[:3] @ grey for colour in shades(count)])
        assert (steps > apart).all()
        assert len({str(style["ls"]) for style in strokes(count)}) == count


def test_axes():
    logs = axis(xr.DataArray(Y, dims="y"))
    assert logs.scale == "log"
    assert_allclose(logs.edges, [1, 2**0.5, 2**1.5, 2**2.5, 2**3.5, 16])
    even = axis(xr.DataArray(X, dims="x"))
    assert even.scale == "linear"
    assert_allclose(even.edges, [0, 0.1, 0.3, 0.5, 0.7, 0.9, 1])
    places = axis(xr.DataArray([1.0, 2.0, np.inf], dims="rho"))
    assert places.names == ["1", "2", "∞"]
    assert [mathematics(s) for s in ("λ0", "z0_o", "x̄", "bite", "")] == ["$λ_{0}$", "$z_{0,o}$", r"$\bar{x}$", "", ""]
    assert label(xr.DataArray(0, name="tax_rate", attrs={"units": "1"})) == "tax rate"


def test_lines_are_the_certified_values(ds):
    one = ds.isel(rate=2)
    figure = curves(one, "mix", x="tax", facet="world")
    for k, ax in enumerate(figure.axes):
        wanted = one.mix.where(one.status == 0).isel(world=k)
        for line, choice in zip(ax.get_lines(), ds.choice.values, strict=True):
            assert line.get_label() == choice
            assert_allclose(line.get_ydata(), wanted.sel(choice=choice))
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


def test_a_point_without_neighbours_is_seen():
    one = xr.Dataset({"y": ("x", [1.0, np.nan, 2.0, np.nan, 3.0, 4.0])}, {"x": np.arange(6.0)})
    line = curves(one, "y", x="x").axes[0].get_lines()[0]
    assert line.get_markevery() == [0, 2]


def test_bands_are_quantiles(ds):
    rng = np.random.default_rng(1)
    many = xr.Dataset({"y": (("draw", "x"), rng.normal(size=(40, 6)))}, {"x": X})
    many["status"] = (("draw", "x"), np.where(rng.random((40, 6)) < 0.3, 2, 0))
    ax = curves(many, "y", x="x", band="draw").axes[0]
    good = [many.y.values[:, i][many.status.values[:, i] == 0] for i in range(6)]
    assert_allclose(ax.get_lines()[0].get_ydata(), [np.median(v) for v in good])
    low, high = (np.array([np.quantile(v, q) for v in good]) for q in (0.05, 0.95))
    corners = ax.collections[0].get_paths()[0].vertices
    for x, a, b in zip(X, low, high, strict=True):
        here = corners[np.isclose(corners[:, 0], x), 1]
        assert_allclose((here.min(), here.max()), (a, b))


def test_several_outcomes_have_a_panel_each(ds):
    figure = curves(ds.isel(rate=0), ["yield", "num_equilibria"], x="tax", columns=2)
    assert [ax.get_ylabel().partition("\xa0")[0][:9] for ax in figure.axes] == ["tax yield", "num equil"]
    assert all(ax.get_legend() for ax in figure.axes)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"regime": "mox"}, ("regime = 'mox'", "did you mean mix?")),
        ({"x": "taxi"}, ("x = 'taxi'", "did you mean tax?")),
        ({"y": "choice"}, ("further dimensions rate",)),
        ({"facet": None}, ("regime = 'mix'", "choice", "world", "facet", "ds.sel")),
        ({"facet": "tax"}, ("different dimensions",)),
        ({"contour": "mix"}, ("contour = 'mix'", "choice")),
        ({"contour": "gain"}, ("contour = 'gain'", "give one of mix")),
        ({"regime": "yield"}, ("regime = 'yield'", "continuous")),
        ({"columns": 3}, ("columns = 3", "1 or 2")),
    ],
)
def test_what_cannot_be_drawn_is_said_in_a_line(ds, options, words):
    options = {"regime": "mix", "x": "tax", "y": "rate", "facet": "world"} | options
    with pytest.raises(ValueError, match=words[0]) as caught:
        phase_diagram(ds, **options)
    assert all(word in str(caught.value) for word in words), caught.value
    assert "\n" not in str(caught.value)


def test_curves_that_cannot_be_drawn(ds):
    with pytest.raises(ValueError, match="y = 'mix' has the further dimensions rate, world, choice"):
        curves(ds, "mix", x="tax")
    with pytest.raises(ValueError, match="give one of them"):
        curves(ds, ["mix", "yield"], x="tax", facet="world")
    with pytest.raises(ValueError, match="band = 'draw'"):
        curves(ds, "yield", x="tax", band="draw")


REPLY_CASES = [
    (Cournot(), [30.0]),
    (Cournot(kappa=0.5), Cournot(kappa=0.5).closed_form()[0]),
    (PublicGood(1.5, rho=4.0, players=2), [0.75, 1.0]),  # stable inside, and all at the corner
]


@pytest.mark.parametrize(("game", "wanted"), REPLY_CASES, ids=["cournot", "cooperation", "public good"])
def test_crossings_are_the_equilibria(game, wanted):
    found = crossings(game)
    assert_allclose([np.concatenate(s.strategies) for s in found], np.stack([wanted, wanted], axis=1), rtol=1e-6)
    assert all(bool(s.converged) for s in found)


def test_crossings_that_fill_a_line_or_are_none():
    link = PublicGood(0.6, rho=np.inf, players=2)
    at = np.array([float(s.strategies[0][0]) for s in crossings(link)])
    assert_allclose((at.min(), at.max()), (0, link.weakest_link_interval().upper), atol=0.005)
    assert len(at) > 100
    assert "equilibria" in shown(best_reply_curves(link))
    alone = Pursuit(scale=jax.numpy.asarray(1.0))
    assert crossings(alone) == []
    assert shown(best_reply_curves(alone)) == {"best reply of fleeing", "best reply of pursuing"}


def test_replies_in_single_precision():
    double = Cournot()
    with jax.enable_x64(False):
        game = jax.tree.map(lambda leaf: leaf.astype(jax.numpy.float32), double)
        figure = best_reply_curves(game, action="quantity (t)")
    ax = figure.axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("quantity of firm 1 (t)", "quantity of firm 2 (t)")
    mine, yours, point = (np.array(line.get_xydata()) for line in ax.get_lines())
    assert_allclose(mine[:, 0], np.maximum(45 - mine[:, 1] / 2, 0), atol=1e-2)
    assert_allclose(yours[:, 1], np.maximum(45 - yours[:, 0] / 2, 0), atol=1e-2)
    assert_allclose(point, [[30, 30]], rtol=1e-3)


def test_best_replies_take_two_players_on_intervals():
    with pytest.raises(ValueError, match="two, each on a Box of one dimension"):
        best_reply_curves(Cournot(players=3))


def test_pyplot_is_left_alone():
    for path in (Path(solver.__file__).parent / "plot").glob("*.py"):
        names = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.alias | ast.ImportFrom)]
        assert not [n for n in names if "pyplot" in str(getattr(n, "module", "")) + str(getattr(n, "name", ""))]
