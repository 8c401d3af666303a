"""What a text from the command line means for a parameter."""

from typing import Literal

import pydantic
import pytest
from methodical.components.base.parameters import Parameters
from methodical.pipeline.run.settings import Text, read_values


class Options(Parameters):
    epochs: int = pydantic.Field(default=2, ge=1)
    rate: float | None = None
    name: str = "plain"
    sizes: tuple[int, ...] = ()
    names: tuple[str, ...] | str = ()
    kind: Literal["a", "1"] = "a"
    exact: bool = False
    entries: tuple[dict[str, float], ...] = ()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("epochs", "3", 3),
        ("epochs", '"3"', "3"),
        ("epochs", "many", "many"),
        ("epochs", "3.5", 3.5),
        ("epochs", "0", 0),
        ("rate", "null", None),
        ("rate", "1e-3", 0.001),
        ("name", "3", "3"),
        ("name", "null", "null"),
        ("name", '"null"', "null"),
        ("name", "true", "true"),
        ("sizes", "[1, 2]", [1, 2]),
        ("sizes", "1", 1),
        ("names", '["a"]', ["a"]),
        ("names", "1", "1"),
        ("kind", "1", "1"),
        ("exact", "true", True),
        ("exact", "yes", "yes"),
        ("entries", '[{"rate": 0.5}]', [{"rate": 0.5}]),
        ("unknown", "[1]", "[1]"),
    ],
)
def test_text_is_read_as_its_parameter_tells(name, text, value):
    read = read_values({name: Text(text)}, Options)[name]
    assert (type(read) if name != "unknown" else str, read) == (type(value), value)


def test_a_text_names_a_key_once():
    with pytest.raises(ValueError, match="the key 'rate' stands there twice"):
        read_values({"entries": Text('[{"rate": 0.5, "rate": 0.3}]')}, Options)


def test_values_of_a_file_stay_as_they_are():
    assert read_values({"name": "[1]", "epochs": 3}, Options) == {"name": "[1]", "epochs": 3}
