"""The code of the README and of the guides runs, and prints what they say."""

import contextlib
import importlib
import inspect
import io
import pathlib
import pkgutil
import re

import keras
import methodical
import numpy as np
import pytest
from methodical import models

HOUSE = pathlib.Path(methodical.__file__).parent
FENCE = re.compile(r"^```python\n(.*?)^```\n(?:\n^```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "docs/memory_network.md",
        "docs/batch_norm.md",
        "docs/facenet.md",
        "docs/factorization.md",
    ],
)
def test_code_prints_what_the_page_says(name):
    page = HOUSE / name
    if not page.exists():
        pytest.skip("an installed package has no docs")
    blocks = FENCE.findall(page.read_text(encoding="utf-8"))
    assert blocks
    # Layers are named by their number in the process, and some pages print these names.
    keras.utils.clear_session()
    names = {}
    for code, expected in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(page), "exec"), names)
        if expected:
            assert printed.getvalue() == expected, code


def _documented():
    """Yields the examples of the public docstrings of `models`, with the names in reach."""
    prefix = f"{models.__name__}."
    for module in pkgutil.walk_packages(models.__path__, prefix):
        room = module.name.removeprefix(prefix).split(".")
        package = importlib.import_module(prefix + room[0])
        defining = importlib.import_module(module.name)
        names = {name: getattr(package, name) for name in getattr(package, "__all__", ())}
        names |= {name: value for name, value in vars(defining).items() if name[0] != "_"}
        for name, value in vars(defining).items():
            if name.startswith("_") or getattr(value, "__module__", "") != module.name:
                continue
            for code in re.findall(r"```python\n(.*?)```", inspect.getdoc(value) or "", re.DOTALL):
                yield pytest.param(names, code, id=f"{'.'.join(room)}.{name}")


@pytest.mark.parametrize(("names", "code"), list(_documented()))
def test_examples_of_docstrings_run(names, code):
    exec(code, {"np": np, "keras": keras, **names})
