"""What the hash of a function or of plain data is made of."""

import dataclasses
import functools
import importlib
import textwrap

import numpy as np
import pytest
from methodical.components.base.component import Component
from methodical.pipeline.cache.source_code import SourceCode


@dataclasses.dataclass
class Figure:
    value: float
    where: dict


def described(value):
    code = {}
    return SourceCode().describe("it", value, code), code


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ((1, 2.5, None, True), (1, 2.5, None, False)),
        (Figure(0.93, {"task": "1"}), Figure(0.94, {"task": "1"})),
        (functools.partial(max, 1), functools.partial(max, 2)),
        (frozenset({1, 2}), frozenset({1, 3})),
        (b"a", b"b"),
        (float("nan"), float("inf")),
        (np.arange(3), np.arange(3) + 1),
    ],
)
def test_data_counts_by_value(one, other):
    assert described(one) == described(one)
    assert described(one) != described(other)


def test_equal_objects_count_as_one():
    assert described(Figure(0.93, {"task": "1"})) == described(Figure(0.93, {"task": "1"}))
    assert described({3, 1, 2}) == described({2, 3, 1})


def test_value_that_cannot_be_told_is_refused():
    with pytest.raises(TypeError, match=r"'it' takes functions, plain data.*Received: <object"):
        described(object())


def test_closure_counts_by_value():
    def outer(number):
        return lambda: number

    assert described(outer(1)) == described(outer(1))
    assert described(outer(1)) != described(outer(2))


def test_component_is_made_of_its_module_and_what_that_imports():
    code = SourceCode().of_component(Component)
    assert {
        "components/base/component.py",
        "components/base/artifacts.py",
        "components/io/filesystem.py",
    } <= set(code)
    assert not any(name.startswith(("pipeline", "models")) for name in code)


@pytest.fixture
def project(tmp_path, monkeypatch, request):
    """Writes a package and returns a function that hashes one of its names."""
    package = f"project_{abs(hash(request.node.name))}"

    def write(**files):
        (tmp_path / package).mkdir(exist_ok=True)
        for name, text in {"__init__": "", **files}.items():
            (tmp_path / package / f"{name}.py").write_text(textwrap.dedent(text))

    def symbols(name="run"):
        module = importlib.import_module(f"{package}.method")
        code = {}
        SourceCode().describe("it", getattr(module, name), code)
        return {key.replace(package, "p"): value for key, value in code.items()}

    monkeypatch.syspath_prepend(str(tmp_path))
    return write, symbols


def test_symbols_are_followed_through_names_classes_and_imports(project):
    write, symbols = project
    write(
        method="""
        from __future__ import annotations
        from typing import TYPE_CHECKING
        from . import used, unused
        from .named import table as lookup

        if TYPE_CHECKING:
            from .typed import Thing

        class Base:
            size = 3

        class Child(Base):
            def go(self):
                return used.work(lookup)

        def run(thing: Thing):
            from .lazy import late
            return Child().go() + late

        def other(number):
            # Its parameters and loops are named as other symbols are.
            return [run for run in number if (lambda Child: Child)(run)]

        number = unused
        """,
        used="def work(x): return x",
        unused="",
        named="from .deep import table",
        deep="table = 1",
        lazy="late = 1",
        typed="class Thing: pass",
    )
    assert set(symbols()) == {
        "p/__init__.py",
        "p/method.py:run",
        "p/method.py:Child",
        "p/method.py:Base",
        "p/used.py",
        "p/named.py",
        "p/deep.py",
        "p/lazy.py",
    }
    assert set(symbols("other")) == {"p/method.py:other"}


def test_lambda_inside_a_call_is_found_by_its_line(project):
    write, symbols = project
    write(method="SCALE = 2\ntable = dict(run=lambda x: x * SCALE)\nrun = table['run']\n")
    before = symbols()
    assert set(before) >= {"p/method.py:SCALE"}
    write(method="SCALE = 3\ntable = dict(run=lambda x: x * SCALE)\nrun = table['run']\n")
    assert symbols()["p/method.py:SCALE"] != before["p/method.py:SCALE"]


def test_version_and_docstring_of_a_package_do_not_count(project, tmp_path):
    write, symbols = project
    text = "def run():\n    from . import helper\n    return helper\n"
    write(method=text, helper="", __init__='"""One."""\n__version__ = "1"\n')
    before = symbols()
    write(method=text, helper="", __init__='"""Two."""\n__version__ = "2"\n')
    assert symbols() == before
    write(method=text, helper="", __init__="import os\n")
    assert symbols() != before
