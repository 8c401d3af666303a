"""Versions of served models, and TensorFlow Serving's `models.config` that names the one to serve.

TensorFlow Serving serves the largest version, unless the configuration pins one: that is what a
roll-back does. Pins are kept in `models.config` alone.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Mapping

from ..io import filesystem

CONFIG = "models.config"
CONTAINER_FOLDER = "/models"
"""Where the serving folder is mounted in the server: `-v <serving folder>:/models`."""

_MODEL = re.compile(r'name:\s*"([^"]+)"(.*?)(?=\bconfig\s*\{|\Z)', re.DOTALL)
_PINNED = re.compile(r"specific\s*\{\s*versions:\s*(\d+)")


def versions(serving_dir: str, model_name: str) -> list[int]:
    """Returns the pushed versions of a model, sorted."""
    names = filesystem.list_dir(filesystem.join(serving_dir, model_name))
    return sorted(int(name) for name in names if name.isascii() and name.isdecimal())


def next_version(serving_dir: str, model_name: str) -> int:
    """Returns the version of the next push: one more than the largest."""
    return max(versions(serving_dir, model_name), default=0) + 1


def current_version(serving_dir: str, model_name: str) -> int | None:
    """Returns the version that is served: the pinned one, else the largest, `None` without any."""
    known = versions(serving_dir, model_name)
    pinned = pins(serving_dir).get(model_name)
    if pinned in known:
        return pinned
    return known[-1] if known else None


def roll_back(serving_dir: str, model_name: str, version: int | None = None) -> int:
    """Makes another version the one that is served; nothing is removed.

    Args:
        serving_dir: string. Folder of all served models.
        model_name: string. Name of the model.
        version: int. The version to serve; `None` for the one before the served one.

    Returns:
        The version that is now served.

    Raises:
        ValueError: there is no such version.
    """
    known = versions(serving_dir, model_name)
    served = current_version(serving_dir, model_name)
    text = ", ".join(map(str, known)) or "none"
    if version is None:
        earlier = [number for number in known if served is not None and number < served]
        if not earlier:
            raise ValueError(
                f"There must be a version of {model_name!r} before the served one to roll back to. "
                f"Received: served version {served} of {text}"
            )
        version = earlier[-1]
    elif version not in known:
        raise ValueError(
            f"The version of {model_name!r} must be one that was pushed: {text}. "
            f"Received: {version}"
        )
    write_config(serving_dir, {model_name: None if version == known[-1] else version})
    return version


def pins(serving_dir: str) -> dict[str, int]:
    """Returns the pinned version of each model that has one."""
    path = filesystem.join(serving_dir, CONFIG)
    if not filesystem.exists(path):
        return {}
    with filesystem.open_file(path) as reader:
        text = re.sub(r"#.*", "", reader.read())
    policies = {name: _PINNED.search(rest) for name, rest in _MODEL.findall(text)}
    return {name: int(match.group(1)) for name, match in policies.items() if match}


def write_config(serving_dir: str, changes: Mapping[str, int | None]) -> None:
    """Writes `models.config` for all models that have a version.

    Args:
        serving_dir: string. Folder of all served models.
        changes: versions to pin by model, or `None` to serve the largest; other models stay as
            they are.
    """
    pinned = {**pins(serving_dir), **changes}
    lines = [
        "# Written by `methodical`. Serve with `-v <this folder>:/models tensorflow/serving",
        "# --model_config_file=/models/models.config`.",
        "model_config_list {",
    ]
    for name in filesystem.list_dir(serving_dir):
        known = versions(serving_dir, name)
        if not known:
            continue
        lines += [
            "  config {",
            f'    name: "{name}"',
            f'    base_path: "{CONTAINER_FOLDER}/{name}"',
            '    model_platform: "tensorflow"',
        ]
        version = pinned.get(name)
        if version in known:
            lines.append(f"    model_version_policy {{ specific {{ versions: {version} }} }}")
        lines.append("  }")
    lines.append("}")
    target = filesystem.join(serving_dir, CONFIG)
    staging = f"{target}.tmp-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    if filesystem.is_remote(target):
        staging = target
    with filesystem.open_file(staging, "w") as writer:
        writer.write("\n".join(lines) + "\n")
    if staging != target:
        os.replace(staging, target)
