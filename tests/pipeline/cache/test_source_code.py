"""What the hash of a function or of plain data is made of."""

import dataclasses
import functools
import importlib
import textwrap

import numpy as np
import pytest
from methodical.components.base.lazy import Lazy
from methodical.components.io import example_proto
from methodical.components.statistics_gen.component import StatisticsGen
from methodical.pipeline.cache.source_code import SourceCode


@dataclasses.dataclass
class Figure:
    value: float
    where: dict


@dataclasses.dataclass
class CallableFigure:
    value: float

    def __call__(self):
        return self.value


@dataclasses.dataclass(frozen=True)
class Metric:
    name: str
    meaning: str = dataclasses.field(metadata={"text": True})


class Reader:
    def __init__(self, size):
        self.size = size

    def __call__(self):
        return self.size

    def read(self):
        return self.size


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


def test_function_that_calls_itself_is_described():
    def outer(number):
        def count(value):
            return value and count(value - number)

        return count

    assert described(outer(1)) == described(outer(1))
    assert described(outer(1)) != described(outer(2))


def test_component_is_made_of_its_modules_and_what_they_import():
    code = SourceCode().of_component(StatisticsGen)
    assert {
        "components/statistics_gen/component.py",
        "components/statistics_gen/sketches.py",
        "components/base/artifacts.py",
        "components/io/filesystem.py",
    } <= set(code)
    assert not any(name.startswith(("pipeline", "models")) for name in code)
    assert not any(name.endswith("__init__.py") for name in code)
    assert "components/base/component.py" not in code


def test_lazy_counts_as_what_it_names():
    described_name, code = described(Lazy("methodical.components.io.example_proto"))
    assert described_name == {"lazy": "methodical.components.io.example_proto"}
    assert code == described(example_proto.encode)[1]
    assert "components/io/example_proto.py" in code
    code = described(Lazy("methodical.models.memory_network:BagOfFeatures"))[1]
    assert "models/memory_network/bag_of_features.py" in code
    assert "models/memory_network/losses.py" not in code
    assert described(Lazy("methodical.pipeline.report.report"))[1] == {}
    assert described(Lazy("json:dumps"))[1] == {}


def test_parts_of_partials_methods_and_objects_count():
    code = described(example_proto.encode)[1]
    assert described(functools.partial(max, example_proto.encode))[1] == code
    assert described(functools.partial(example_proto.encode, 1))[1] == code
    own = described(Reader)[1]
    assert len(own) > 1
    for value in (Reader(1), Reader(1).read, [Reader(1)], CallableFigure(1)):
        assert described(value)[1] == own
    assert described(Reader(1).read)[0] != described(Reader(2).read)[0]


def test_texts_for_people_are_left_out():
    assert described(Metric("accuracy", "a share")) == described(Metric("accuracy", "a part"))
    assert described(Metric("accuracy", "a share")) != described(Metric("loss", "a share"))


def test_function_without_a_source_file_is_refused():
    content = {"__name__": "nowhere"}
    exec("def run(): pass", content)
    with pytest.raises(TypeError, match=r"whose source file can be read. Received: <function run"):
        described(content["run"])


@pytest.fixture
def project(tmp_path, monkeypatch, request):
    """Writes a package and returns a function that hashes what its `method.run` uses."""
    package = f"project_{abs(hash(request.node.name))}"

    def write(files):
        for name, text in {"__init__.py": "", **files}.items():
            path = tmp_path / package / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(textwrap.dedent(text))

    def hashes():
        module = importlib.import_module(f"{package}.method")
        code = described(module.run)[1]
        return {name.removeprefix(f"{package}/"): digest for name, digest in code.items()}

    monkeypatch.syspath_prepend(str(tmp_path))
    return write, hashes


def test_imports_are_followed_wherever_they_stand(project):
    write, hashes = project
    write(
        {
            "__init__.py": "from . import other\n",
            "method.py": """
            from __future__ import annotations
            import json
            from typing import TYPE_CHECKING
            from . import used
            from .named import table as lookup

            if TYPE_CHECKING:
                from .typed import Thing

            def run(thing: Thing):
                from .lazy import late
                return late
            """,
            "used.py": "def work(x): return x",
            "other.py": "",
            "named.py": "from .deep import table",
            "deep.py": "table = 1",
            "lazy.py": "late = 1",
            "typed.py": "class Thing: pass",
        }
    )
    assert set(hashes()) == {"method.py", "used.py", "named.py", "deep.py", "lazy.py"}


def test_reexported_names_are_followed_to_their_modules(project):
    write, hashes = project
    write(
        {
            "method.py": """
            def run():
                from .layers import Deep, Late, Renamed, inner, own
            """,
            "layers/__init__.py": """
            from .unused import Unused
            from .plain import Plain as Renamed
            from .inner import Deep

            def __getattr__(name):
                from .late import Late
                return Late
            """,
            "layers/unused.py": "class Unused: pass",
            "layers/plain.py": "class Plain: pass",
            "layers/inner.py": "from . import Renamed\nclass Deep: pass",
            "layers/late.py": "class Late: pass",
        }
    )
    used = {"method.py", "layers/plain.py", "layers/inner.py", "layers/late.py"}
    # `own` is defined by no import: the package's own code counts, and all that it imports.
    assert set(hashes()) == used | {"layers/__init__.py", "layers/unused.py"}
    write({"method.py": "def run():\n    from .layers import Deep, Late, Renamed, inner\n"})
    assert set(hashes()) == used


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ('"""Two."""\nrun = lambda size: size  # Why.\n', False),
        ('"""One."""\n\n\nrun = (\n    lambda size: size\n)\n"""Of an attribute."""\n', False),
        ("run = lambda size: size\nfrom typing import TYPE_CHECKING\n", True),
        ("run = lambda size: size + 1\n", True),
        ("run = lambda size: size\nunused = 1\n", True),
    ],
)
def test_only_code_counts(project, text, counts):
    write, hashes = project
    write({"method.py": '"""One."""\nrun = lambda size: size\n'})
    before = hashes()
    write({"method.py": text})
    assert (hashes() != before) == counts


def test_descriptions_of_parameters_do_not_count(project):
    write, hashes = project
    text = "import pydantic\nsize = pydantic.Field({}, description={!r})\ndef run(): return size\n"
    write({"method.py": text.format(1, "the size")})
    before = hashes()
    write({"method.py": text.format(1, "its size")})
    assert hashes() == before
    write({"method.py": text.format(2, "its size")})
    assert hashes() != before


def test_lambdas_of_one_module_are_told_apart():
    first, second, third = (lambda x: x + 1), (lambda x: x + 2), (lambda x: x * 1)
    assert len({described(value)[0] for value in (first, second, third)}) == 3


def test_lone_module_and_its_neighbors_count(tmp_path, monkeypatch):
    (tmp_path / "lone_method.py").write_text("def run():\n    import lone_helper\n")
    (tmp_path / "lone_helper.py").write_text("import numpy, json\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    code = described(importlib.import_module("lone_method").run)[1]
    assert set(code) == {"lone_method.py", "lone_helper.py"}
