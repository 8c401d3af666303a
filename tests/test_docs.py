"""The code of the README and of the guides runs, and prints what they say."""

import contextlib
import io
import pathlib
import re

import methodical
import pytest

HOUSE = pathlib.Path(methodical.__file__).parent
FENCE = re.compile(r"^```python\n(.*?)^```\n(?:\n^```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
@pytest.mark.parametrize("name", ["README.md", "docs/factorization.md", "docs/facenet.md"])
def test_code_prints_what_the_page_says(name):
    page = HOUSE / name
    if not page.exists():
        pytest.skip("an installed package has no docs")
    blocks = FENCE.findall(page.read_text(encoding="utf-8"))
    assert blocks
    names = {}
    for code, expected in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(page), "exec"), names)
        if expected:
            assert printed.getvalue() == expected, code
