"""The code of docs/factorization.md runs and prints what the page says."""

import contextlib
import io
import pathlib
import re

import methodical
import pytest

PAGE = pathlib.Path(methodical.__file__).parent / "docs" / "factorization.md"
FENCE = re.compile(r"^```python\n(.*?)^```\n(?:\n^```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
def test_code_prints_what_the_page_says():
    if not PAGE.exists():
        pytest.skip("an installed package has no docs")
    blocks = FENCE.findall(PAGE.read_text(encoding="utf-8"))
    assert len(blocks) > 5
    names = {}
    for code, expected in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(PAGE), "exec"), names)
        assert printed.getvalue() == expected, code
