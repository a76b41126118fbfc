"""The tutorial's code prints what the tutorial says."""

import contextlib
import io
import re
from pathlib import Path


def test_the_tutorial_prints_what_it_says():
    text = (Path(__file__).parents[1] / "docs" / "tutorial.md").read_text()
    blocks, printed = re.findall(r"```(python|text)\n(.*?)```", text, re.S), io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec("".join(code for kind, code in blocks if kind == "python"), {"__name__": "tutorial"})
    assert printed.getvalue() == "".join(out for kind, out in blocks if kind == "text")
