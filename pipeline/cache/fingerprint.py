"""Fingerprints of executions: everything that an execution's result depends on.

The whole fingerprint is kept beside its hash, so that a miss can say what changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ...components.base.component import Component
from ...components.base.parameters import HOW, Parameters
from ...components.io import filesystem
from .source_code import SourceCode

Fingerprint = dict[str, Any]


def static_part(
    component: Component, source: str | None, data: Mapping[str, str] | None, code: SourceCode
) -> Fingerprint:
    """Returns the part of a fingerprint that is known before anything runs.

    Args:
        component: the component in its pipeline.
        source: name of the source of examples; `None` for a component that reads no data.
        data: `data_files` of the user's data, for the component that reads it.
        code: hashes of source files.

    Raises:
        TypeError: one of the component's functions cannot be described.
    """
    files = code.of_component(type(component))
    values = {
        name: code.describe(name, value, files)
        for name, value in sorted(component.functions.items())
    }
    return {
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "code": dict(sorted(files.items())),
        "functions": values,
        "parameters": _that_matter(component.parameters),
        "source": source,
        "data": dict(data or {}),
    }


def _that_matter(parameters: Parameters) -> dict[str, Any]:
    """Returns the parameters' values without those that only say how the work is done."""
    how = {
        name
        for name, field in type(parameters).model_fields.items()
        if field.json_schema_extra == HOW
    }
    return parameters.model_dump(mode="json", exclude=how)


def key(fingerprint: Fingerprint) -> str:
    """Returns the hash under which an execution is found again."""
    text = json.dumps(fingerprint, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def data_files(path: str | None) -> dict[str, str]:
    """Returns size and SHA-256 of a data file, or of all files in a folder, by name."""
    if not path:
        return {}
    names = list(filesystem.walk(path))
    if not names:
        return {os.path.basename(path.rstrip("/")): _content(path)}
    return {name: _content(filesystem.join(path, name)) for name in names}


def _content(path: str) -> str:
    return f"{filesystem.sha256(path)}:{filesystem.size(path)}"


def differences(
    old: Fingerprint,
    new: Fingerprint,
    producers: Mapping[str, tuple[str, bool]],
    resolved: Collection[str] = (),
) -> list[str]:
    """Says what differs between two fingerprints of one component.

    Args:
        old: fingerprint of an earlier execution.
        new: fingerprint of the execution to come. An input whose value is `None` is not made yet.
        producers: by input name, the component that makes it and whether it runs in this run.
        resolved: names of the inputs that come of the last blessed model.

    Returns:
        Short statements, for example `parameter epochs 20 → 30`.
    """
    changes = []
    if old.get("python") != new["python"]:
        changes.append(f"Python {old.get('python')} → {new['python']}")
    changes += _changed("", old.get("code", {}), new["code"])
    changes += _changed("function ", old.get("functions", {}), new["functions"])
    before, after = old.get("parameters", {}), new["parameters"]
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            changes.append(f"parameter {name} is new ({_short(after[name])})")
        elif name not in after:
            changes.append(f"parameter {name} is gone")
        elif before[name] != after[name]:
            changes.append(f"parameter {name} {_short(before[name])} → {_short(after[name])}")
    changes += source_change(old, new)
    changes += _changed("data file ", old.get("data", {}), new["data"])
    before, after = dict(old.get("inputs", {})), dict(new.get("inputs", {}))
    blessed = [(before.pop(name, None), after.pop(name, None)) for name in resolved]
    known = len(changes)
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            changes.append(f"input {name} is new{_from(name, producers)}")
        elif name not in after:
            changes.append(f"input {name} is gone")
        elif before[name] != after[name] or after[name] is None:
            changes.append(f"input {name} changed{_from(name, producers)}")
    # Another model is compared with another one: that alone is worth no words.
    if len(changes) == known and any(then != now for then, now in blessed):
        changes.append("another last blessed model")
    return changes


def source_change(old: Fingerprint, new: Fingerprint, data_dir: str | None = None) -> list[str]:
    """Says that the examples come from another source, in a list that is otherwise empty.

    Args:
        old: fingerprint of an earlier execution.
        new: fingerprint of the execution to come.
        data_dir: the user's data that it reads.
    """
    if old.get("source") == new["source"]:
        return []
    folder, _, name = (data_dir or "").replace("\\", "/").rstrip("/").rpartition("/")
    place = f" ({'…/' if folder else ''}{name})" if name else ""
    return [f"data {old.get('source')} → {new['source']}{place}"]


def reason(changes: Sequence[str]) -> str:
    """Joins differences into the reason of a miss: two at most, and how many more.

    Inputs change as a consequence of what the stages before show, so they are named last.
    """
    own = [change for change in changes if not change.startswith("input ")]
    shown = own[:2] or changes[:1]
    more = f" and {len(changes) - len(shown)} more" if len(changes) > len(shown) else ""
    return f"miss: {'; '.join(shown)}{more}"


def _changed(what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    changes = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            changes.append(f"{what}{name} is new")
        elif name not in new:
            changes.append(f"{what}{name} is gone")
        elif old[name] != new[name]:
            changes.append(f"{what}{name} changed")
    return changes


def _from(name: str, producers: Mapping[str, tuple[str, bool]]) -> str:
    if name not in producers:
        return ""
    component, runs = producers[name]
    return f" ({component} ran again)" if runs else f" (other settings of {component})"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}…"
