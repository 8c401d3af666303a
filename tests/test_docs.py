"""The code of the README and of the guides runs, and prints what they say."""

import contextlib
import importlib
import inspect
import io
import pathlib
import re

import keras
import methodical
import numpy as np
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


def _documented():
    """Yields the public names of each method that show code, with the method's public names."""
    for package in sorted(path.parent.name for path in HOUSE.glob("models/*/__init__.py")):
        method = importlib.import_module(f"methodical.models.{package}")
        for name in method.__all__:
            text = inspect.getdoc(getattr(method, name)) or ""
            for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
                yield pytest.param(method, code, id=f"{package}.{name}")


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
@pytest.mark.parametrize(("method", "code"), _documented())
def test_examples_of_docstrings_run(method, code):
    names = {name: getattr(method, name) for name in method.__all__}
    exec(code, {"np": np, "keras": keras, **names})
