"""The code of the guide prints what the guide says."""

import contextlib
import io
import re
from pathlib import Path

import pytest


@pytest.mark.parametrize("page", ["tutorial", "how_to"])
def test_a_page_prints_what_it_says(page):
    text = (Path(__file__).parents[1] / "docs" / f"{page}.md").read_text()
    blocks, printed = re.findall(r"```(python|text)\n(.*?)```", text, re.S), io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec("".join(code for kind, code in blocks if kind == "python"), {"__name__": page})
    assert printed.getvalue() == "".join(out for kind, out in blocks if kind == "text")
