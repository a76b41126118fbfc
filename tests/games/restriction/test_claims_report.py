"""The whole run and its report, on made-up equilibria: what is kept, what is said, and what a browser shows of it."""

import base64
import contextlib
import functools
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from made_up import made_up_columns
from numpy.testing import assert_allclose

from games.cli import main
from games.restriction.claims import CLAIMS, claims, lenses, wording, worlds
from games.restriction.claims.catalogue import COUNTERFACTUALS
from games.restriction.claims.latex import tex
from games.restriction.claims.run import Run
from games.restriction.claims.verdicts import SELECTIONS
from games.restriction.prior import PRIOR, placed, sobol_uniform

NUM = 24
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def pretend(monkeypatch):
    """Worlds already solved, whatever is asked; the list of how many were, chunk by chunk."""
    calls, columns = [], functools.cache(made_up_columns)

    def stages(games):
        calls.append(len(games.parameters.sigma))
        return {name: columns(calls[-1])[name] for name in ("open", "curve", "concerted")}

    def lens(games, restriction, certified):
        assert restriction.shape == (len(games.parameters.sigma), len(worlds.POINTS), 3)
        assert certified.all()
        return columns(len(games.parameters.sigma), seed=3)

    monkeypatch.setattr(worlds, "stages", stages)
    monkeypatch.setattr(worlds, "equilibria", lambda games, found: columns(len(games.parameters.sigma)))
    monkeypatch.setattr(worlds, "probed", lambda games, found: found)
    monkeypatch.setattr(lenses, "through", lambda measure, *rest: lens(*rest))
    monkeypatch.setattr(lenses, "subsidised", lens)
    monkeypatch.setattr(lenses, "simultaneous", lens)
    return calls


@pytest.fixture
def solved(monkeypatch):
    return pretend(monkeypatch)


def test_the_dataset(solved):
    ds = claims(NUM, seed=3)
    assert ds.sizes["claim"] == len(CLAIMS)
    assert list(ds.counterfactual.values) == list(COUNTERFACTUALS)
    assert ds.value.dims == ("draw", "parameter")
    assert (ds.value.sel(parameter="sigma") <= 1).all()
    assert (ds.value >= ds.low).where(ds.low > 0, True).all()
    assert {"share_low", "share_high", "share_undecided", "rule_accuracy", "median_effect"} <= set(ds.data_vars)
    assert ds.attrs["seed"] == 3
    assert solved == [NUM]
    assert list(ds.variant.values) == ["ε_γ = 0", "ε_γ > 0.5", *SELECTIONS]


def test_robustness_columns(solved):
    ds = claims(NUM, seed=3, robustness=8)
    names = ds.variant.values.tolist()
    assert {"nested logit", "ρ = 1", "ρ = 4", "ρ = ∞", "identical blocs", "τ = 0", "τ = 0, nested logit"} <= set(names)
    assert {"exact mode", "simultaneous timing", "consortium", "subsidy game", "open releases"} <= set(names)
    again = ds.robust_num_draws.sel(variant=names[2 + len(SELECTIONS) :])
    assert (again == 8).all()
    slow = ds.sel(claim="25", counterfactual="open_to_concerted")
    speeds = ds.value.sel(parameter="appropriability")
    verdict = slow.verdict.where(speeds == 0, drop=True)
    assert slow.robust_share_holding.sel(variant="ε_γ = 0") == (verdict == 1).mean()
    assert slow.robust_num_draws.sel(variant="ε_γ = 0") == (speeds == 0).sum()
    assert slow.robust_num_draws.sel(variant="ε_γ > 0.5") == (speeds > 0.5).sum()
    given = ds.robust_share_holding.sel(claim="1a", counterfactual="nash_to_concerted")
    assert np.isnan(given.sel(variant="exact mode"))  # incumbents do not choose anew there
    assert given.sel(variant="simultaneous timing").notnull()
    assert ((ds.robust_agreement >= 0) & (ds.robust_agreement <= 1)).where(ds.robust_agreement.notnull(), True).all()


def test_a_run_that_was_stopped_goes_on(tmp_path, monkeypatch):
    monkeypatch.setitem(Run.judged.__globals__, "CHUNK", 8)
    drawn, solved, stop = placed(sobol_uniform(20, 3, len(PRIOR))), [], [True]

    def solve(games, part, say):
        if part.start == 16 and stop:
            raise KeyboardInterrupt
        solved.append(len(games.parameters.sigma))
        assert_allclose(games.parameters.sigma, drawn["sigma"][part])
        return made_up_columns(part.stop - part.start, seed=part.start)

    run = Run(tmp_path, lambda message: None)
    with pytest.raises(KeyboardInterrupt):
        run.judged("draws", drawn, {}, solve)
    assert solved == [8, 8]
    stop.clear()
    ds = run.judged("draws", drawn, {}, solve)
    assert solved == [8, 8, 4]  # one chunk was left
    whole = Run(None, lambda message: None).judged("draws", drawn, {}, solve)
    xr.testing.assert_equal(ds, whole)
    del solved[:]
    xr.testing.assert_equal(run.judged("draws", drawn, {}, solve), whole)
    assert solved == []
    with pytest.raises(ValueError, match="another sweep: worlds was"):
        run.judged("draws", placed(sobol_uniform(20, 4, len(PRIOR))), {}, solve)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder, printed = tmp_path_factory.mktemp("report"), io.StringIO()
    command = ["claims", "--draws", str(NUM), "--robustness", "0", "--calibration", "--sensitivity", "2"]
    command += ["--out", str(folder)]
    with pytest.MonkeyPatch.context() as monkeypatch, contextlib.redirect_stdout(printed):
        pretend(monkeypatch)
        assert main(command) == 0
    return folder, printed.getvalue()


def test_the_command_writes_a_report_that_needs_no_network(written):
    folder, printed = written
    assert all(claim.text.split(",")[0][:20] in printed for claim in CLAIMS)
    page = (folder / "claims.html").read_text()
    assert not re.search(r"https?://", page)
    assert page.count('src="data:image/svg+xml;base64,') == 4
    assert all(f"<h3>{claim.name}. " in page for claim in CLAIMS)
    for name in ("claims.html", "claims.md", "claims.tex", "claims_robustness.tex", "claims_rules.tex"):
        text = re.sub(r"base64,[^\"]*", "", (folder / name).read_text())
        assert not re.search(r"\bnan\b", text), name
    with xr.open_dataset(folder / "claims.nc", engine="h5netcdf") as ds:
        assert ds.verdict.dims == ("draw", "claim", "counterfactual")
        assert ds.robust_share_holding.dims == ("variant", "claim", "counterfactual")
    files = [path for path in folder.iterdir() if path.is_file()]
    assert {path.suffix for path in files} == {".html", ".md", ".tex", ".nc", ".pdf", ".svg"}


def test_the_answer_has_at_most_ten_lines_and_names_everyone(written):
    page = (written[0] / "claims.html").read_text()
    lines = re.findall("<li><b>(.*?)</li>", page.split("</ul>")[0])
    assert 5 <= len(lines) <= 10
    for who in ("US leaders", "Chinese giants", "European and other Asian firms", "Applied firms", "Users"):
        assert any(line.startswith(who) for line in lines), who


def test_captions_state_the_parameters(written):
    page = (written[0] / "claims.html").read_text()
    for caption in re.findall("<figcaption>(.*?)</figcaption>", page):
        assert f"{NUM} draws" in caption
        assert "seed 0" in caption
        assert "σ 0.2–1" in caption


def test_latex_is_plain_letters_and_mathematics(written):
    for name in ("claims.tex", "claims_robustness.tex", "claims_rules.tex"):
        text = (written[0] / name).read_text().split("\n", 1)[1]  # the first line is a comment
        assert text.isascii(), [c for c in text if not c.isascii()]
        assert r"\toprule" in text
        assert text.count("$") % 2 == 0
    assert tex("holds when ε_γ ≤ 0.3 and v̄_G > 2") == (
        r"holds when $\varepsilon_{\gamma}$ $\le$ 0.3 and $\bar{v}_{G}$ $>$ 2"
    )
    assert tex("λ0 and σ") == r"$\lambda_0$ and $\sigma$"


def test_what_a_report_says_of_a_share():
    one = xr.Dataset({"share_holding": 0.8, "share_low": 0.6, "share_high": 0.9})
    assert wording.share(one) == "80 % (60–90)"
    assert wording.reading(one) == "holds in most draws"
    assert wording.reading(1 - one.rename(share_low="share_high", share_high="share_low")) == "fails in most draws"
    assert "about half" in wording.reading(one.assign(share_low=0.4))
    assert wording.reading(one * np.nan) == "not judged"


PROBE = """
<!doctype html><body style="margin:0"><iframe id="f" width="WIDTH" height="900" style="border:0"></iframe><script>
const f = document.getElementById("f");
f.onload = async () => {
  const d = f.contentDocument, box = e => e.getBoundingClientRect();
  await Promise.all([...d.images].map(i => i.decode().catch(() => 0)));
  const blocks = [...d.querySelectorAll("h1,h2,h3,p,ul,figure,dl,.wide,img,figcaption,dt,dd,li")];
  const hits = [];
  for (const a of blocks) for (const b of blocks) {
    const p = box(a), q = box(b);
    if (a === b || a.contains(b) || b.contains(a)) continue;
    if (Math.min(p.right, q.right) - Math.max(p.left, q.left) > 1 && Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top) > 1)
      hits.push(a.textContent.slice(0, 40) + " | " + b.textContent.slice(0, 40));
  }
  const images = [...d.images].map(i => i.complete && i.naturalWidth > 0 && box(i).height > 50);
  const text = JSON.stringify({wide: d.documentElement.scrollWidth, hits: hits.slice(0, 5), images});
  document.body.innerHTML = "<pre id=found>" + btoa(unescape(encodeURIComponent(text))) + "</pre>";
};
f.srcdoc = PAGE;
</script></body>
"""


@pytest.mark.skipif(BROWSER is None, reason="no browser is installed: chromium, chromium-browser or google-chrome")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_it(written, width):
    """At the width of a desktop and of a phone: nothing overlaps or scrolls sideways, figures load, the console is clean."""
    folder, _ = written
    page = json.dumps((folder / "claims.html").read_text()).replace("</", "<\\/")
    file = folder / "probe.html"
    file.write_text(PROBE.replace("WIDTH", str(width)).replace("PAGE", page))
    done = browse(folder, "--dump-dom", "--virtual-time-budget=20000", file.as_uri())
    found = re.search('<pre id="?found"?>(.*?)</pre>', done.stdout)
    assert found, done.stderr[-2000:]
    seen = json.loads(base64.b64decode(found[1]))
    assert seen["wide"] <= width
    assert seen["hits"] == []
    assert seen["images"] == [True] * 4
    assert "CONSOLE" not in done.stderr, done.stderr


def browse(folder: Path, *words: str):
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
             "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr")  # fmt: skip
    return subprocess.run(
        [str(BROWSER), *quiet, f"--user-data-dir={folder / 'profile'}", *words],
        capture_output=True,
        text=True,
        timeout=120,
    )
