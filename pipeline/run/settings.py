"""Settings of a run from `--set` and from configuration files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ...components.base.errors import did_you_mean

_OPTIONS: dict[str, type] = {
    "data": str,
    "data_dir": str,
    "root": str,
    "from_stage": str,
    "to_stage": str,
    "no_cache": bool,
}


class Text(str):
    """A value from the command line, whose type is not known yet: JSON, or the text itself."""

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


def candidates(value: Any) -> list[Any]:
    """Returns what a setting's value may mean, in the order in which to try it."""
    if not isinstance(value, Text):
        return [value]
    text = str(value)
    try:
        parsed = json.loads(text)
    except ValueError:
        return [text]
    return [parsed] if isinstance(parsed, str) else [parsed, text]


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
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands there twice")
    return found


def _kind(kind: type) -> str:
    return {str: "text", bool: "truth value (true or false)"}[kind]
