"""The benchmarks' rows, their failures, and the README's tables, without measuring anything."""

import importlib
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = """
import sys
from measure import main, row, within
main("", __file__, {"good": lambda quick: [row("w", 2.0, each=4, theirs=5.0, aim="≥ 3")], "bad": lambda quick: [{}["aim"]]})
"""


@pytest.fixture(scope="module")
def run():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield importlib.import_module("run")
    sys.path.remove(str(ROOT / "benchmarks"))
    del sys.modules["run"], sys.modules["measure"]


def test_rows(run):
    import measure

    assert measure.row("w", 2.0, each=4, theirs=5.0, floor=("memory", 0.5))["ratio"] == 10
    assert measure.row("w", 2.0, each=4, floor=("memory", 0.5))["floors"] == 4
    text = measure.table([{"a": "x", "b": 1234.5}, {"a": "y", "c": 0.0123456}])
    assert text.splitlines() == ["| a | b | c |", "| --- | ---: | ---: |", "| x | 1,234 |  |", "| y |  | 0.0123 |"]


def test_a_part_that_fails_is_a_row_and_the_rest_goes_on(run, tmp_path, monkeypatch):
    import measure

    monkeypatch.setenv("PYTHONPATH", str(ROOT / "benchmarks"))
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    bad, good = (measure.measured(script, part, quick=True) for part in ("bad", "good"))
    assert good[0]["µs each"] == 5e5
    assert "KeyError: 'aim'" in bad[0]["failed"]


RESULTS = {
    "machine": {
        "device": "this",
        "cores": 2,
        "load": 0.1,
        "commit": "abc",
        "jax": "1",
        "dtype": "float64",
        "python": "3",
    }
    | dict.fromkeys(("quantecon", "pygambit", "nashpy", "nashopt", "scipy", "numba"), "not installed"),
    "quick": False,
    "parts": {
        "finite all": {
            "rows": [
                {"workload": "faster", "µs each": 0.5, "ratio": 123.4, "aim": "≥ 100"},
                {"workload": "without an aim", "µs each": 0.5},
                {"workload": "below", "measured": 1.21, "unit": "×", "aim": "≤ 1.2"},
                {"workload": "one slow lane", "ratio": 25.31, "aim": "", "steps wasted by one loop": 143.6},
                {"fast against exact": "mixes", "draws": 200, "median": 0.00295},
            ]
        },
        "sweep phase": {"rows": [{"workload": "phase", "failed": "not done in 900 s"}]},
    },
}


def test_the_readme_is_written_from_json_alone(run, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- benchmarks -->\nold 99.9\n<!-- /benchmarks -->\nafter\n")
    run.write_readme(json.loads(json.dumps(RESULTS)), readme)
    text = readme.read_text()
    assert text.startswith("before\n<!-- benchmarks -->\n`python benchmarks/run.py`")
    assert text.endswith("<!-- /benchmarks -->\nafter\n")
    assert "old" not in text
    assert "without an aim" not in text
    assert all(word in text for word in ("| faster | 0.500 |", "123", "1.21 ×", "not done in 900 s", "25.3", "0.00295"))
    run.write_readme(RESULTS, readme)
    assert readme.read_text() == text


def test_a_readme_without_markers(run, tmp_path):
    (tmp_path / "README.md").write_text("nothing")
    with pytest.raises(ValueError, match="<!-- benchmarks -->"):
        run.write_readme(RESULTS, tmp_path / "README.md")


def test_the_readme_says_what_was_measured(run):
    if not run.RESULTS.exists():
        pytest.skip("benchmarks/results.json is not there: python benchmarks/run.py makes it")
    block = run.BLOCK.search(run.README.read_text())
    tables = run.readme_tables(json.loads(run.RESULTS.read_text()))
    assert block[0] == f"<!-- benchmarks -->\n{tables}\n<!-- /benchmarks -->"
