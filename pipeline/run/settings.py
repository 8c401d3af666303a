"""Settings of a run from `--set` and from configuration files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pydantic

from ...components.base.suggestions import did_you_mean

_OPTIONS: dict[str, type] = {
    "data": str,
    "data_dir": str,
    "root": str,
    "from_stage": str,
    "to_stage": str,
    "no_cache": bool,
}


class Text(str):
    """A value from the command line: JSON or the text itself, as the parameter's type tells."""

    __slots__ = ()


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """Parses `component.parameter=value` from the command line.

    ```python
    >>> parse_assignments(["trainer.epochs=3"])
    {'trainer.epochs': '3'}
    ```

    Raises:
        ValueError: a text has no `=` or no `.` before it.
    """
    settings: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        component, dot, parameter = name.strip().partition(".")
        if not (equals and dot and component and parameter):
            raise ValueError(f"--set takes component.parameter=value. Received: {assignment!r}")
        settings[name.strip()] = Text(value)
    return settings


def read_values(
    settings: Mapping[str, Any], parameters: type[pydantic.BaseModel]
) -> dict[str, Any]:
    """Reads the texts among a component's settings as the types of its parameters tell.

    ```python
    >>> class Options(pydantic.BaseModel):
    ...     epochs: int = 2
    ...     name: str = "plain"
    >>> read_values({"epochs": Text("3"), "name": Text("3")}, Options)
    {'epochs': 3, 'name': '3'}
    ```

    Args:
        settings: values by parameter name.
        parameters: the component's parameters.

    Returns:
        The same settings, values for the texts. A text that does not suit its parameter is left
        for the validation of the parameters, which names it.

    Raises:
        ValueError: an object in a text names a key twice.
    """
    fields = parameters.model_fields
    return {
        name: _read(value, fields[name].annotation)
        if isinstance(value, Text) and name in fields
        else value
        for name, value in settings.items()
    }


def _read(text: str, annotation: Any) -> Any:
    """Returns the JSON value where its type suits, else the text, else the JSON value after all."""
    try:
        value = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError:
        return str(text)
    adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(annotation)
    for meaning in (value, str(text)):
        try:
            adapter.validate_python(meaning)
        except pydantic.ValidationError:
            continue
        return meaning
    return value


def read_config(path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads a JSON file of options and settings.

    ```json
    {"data": "simulated", "trainer.epochs": 3, "transform": {"max_bad_fraction": 0.02}}
    ```

    Args:
        path: string. An object whose keys are the options of `methodical run` (`data`, `data_dir`,
            `root`, `from_stage`, `to_stage`, `no_cache`), `component.parameter`, or a component
            with an object of parameters.

    Returns:
        The options, and the settings by `component.parameter`.

    Raises:
        ValueError: the file cannot be read, or a key or the type of its value is wrong.
    """
    try:
        with open(path, encoding="utf-8") as reader:
            content = json.load(reader, object_pairs_hook=_unique)
    except (OSError, ValueError) as error:
        raise ValueError(f"The configuration {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a JSON object. Received: {type(content).__name__}")
    options: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    for name, value in content.items():
        if name in _OPTIONS:
            kind = _OPTIONS[name]
            if not isinstance(value, kind):
                raise ValueError(
                    f"{path}: {name!r} takes a {_kind(kind)}. Received: {json.dumps(value)}"
                )
            options[name] = value
        elif "." in name:
            settings[name] = value
        elif isinstance(value, Mapping):
            settings.update({f"{name}.{inner}": entry for inner, entry in value.items()})
        else:
            raise ValueError(
                f"{path} has an unknown key {name!r}{did_you_mean(name, _OPTIONS)} Known: "
                f"{', '.join(_OPTIONS)}, component.parameter. Received: {name!r}"
            )
    return options, settings


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the key {name!r} stands there twice")
    return dict(pairs)


def _kind(kind: type) -> str:
    return {str: "text", bool: "truth value (true or false)"}[kind]
