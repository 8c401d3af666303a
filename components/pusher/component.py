"""Pusher: publishes a blessed model for TensorFlow Serving, as a numbered version."""

from __future__ import annotations

import datetime
import errno
import hashlib
import os
import shlex
import socket
import sys
import uuid
from collections.abc import Mapping
from typing import ClassVar

from ..base.artifacts import Artifact, InfraBlessing, ModelBlessing, PushedModel, SavedModel
from ..base.component import Component, ExecutionContext
from ..io import filesystem
from . import versions

_GRAPH = "saved_model.pb"


class Pusher(Component):
    """Copies the SavedModel to `<serving folder>/<model>/<version>/`.

    Only a model that Evaluator and InfraValidator blessed is pushed. Its version is one more than
    the largest version. On a local file system the copy is made next to the versions and renamed,
    so that a server sees a whole model or none; on an object store `saved_model.pb`, by which a
    server recognizes a model, is written last. A version is never overwritten, not even if two
    processes push at once. A push ends a rollback: the new version is served.

    `receipt.json` has `model`, `version`, `destination` (relative to the serving folder),
    `sha256` (of the files' names and checksums), `files` (checksums by name), `source` (which
    execution made the model), `time` (UTC) and `command`.
    """

    INPUTS: ClassVar = {
        "saved_model": SavedModel,
        "blessing": ModelBlessing,
        "infra_blessing": InfraBlessing,
    }
    OUTPUTS: ClassVar = {"pushed_model": PushedModel}

    @staticmethod
    def execute(context: ExecutionContext) -> None:
        """Pushes and writes the receipt.

        Raises:
            ValueError: the model is not blessed.
        """
        for blessing in (context.inputs["blessing"], context.inputs["infra_blessing"]):
            if blessing.properties.get("blessed") is not True:
                raise ValueError(
                    "Only a model that Evaluator and InfraValidator blessed is pushed. Received: "
                    f"{blessing.TYPE_NAME} with {blessing.properties or 'no properties'}"
                )
        saved, output = context.inputs["saved_model"], context.outputs["pushed_model"]
        folder = saved.path(SavedModel.FOLDER)
        files = checksums(folder)
        if _GRAPH not in files:
            raise ValueError(
                f"A SavedModel must have the file {_GRAPH!r}. Received: {sorted(files) or 'none'}"
            )
        version = publish(folder, context.serving_dir, context.model_name)
        versions.write_config(context.serving_dir, {context.model_name: None})
        destination = f"{context.model_name}/{version}"
        receipt = {
            "model": context.model_name,
            "version": version,
            "destination": destination,
            "sha256": combined(files),
            "files": files,
            "source": "/".join(saved.uri.replace(os.sep, "/").rstrip("/").split("/")[-3:]),
            "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "command": _command(),
        }
        output.write_json("receipt.json", receipt)
        output.properties.update(version=version, destination=destination, sha256=receipt["sha256"])
        context.summary = f"serving/{destination}"

    @staticmethod
    def stale(outputs: Mapping[str, Artifact], serving_dir: str) -> str | None:
        """Returns why a pushed version is not as it was pushed, or `None`."""
        properties = outputs["pushed_model"].properties
        destination = properties["destination"]
        folder = filesystem.join(serving_dir, *destination.split("/"))
        if not filesystem.exists(filesystem.join(folder, _GRAPH)):
            return f"serving/{destination} is gone"
        if combined(checksums(folder)) != properties["sha256"]:
            return f"serving/{destination} was altered"
        return None


def publish(folder: str, serving_dir: str, model_name: str) -> int:
    """Copies a SavedModel to the next free version.

    Args:
        folder: string. The SavedModel.
        serving_dir: string. Folder of all served models.
        model_name: string. Name of the model.

    Returns:
        The version.
    """
    models = filesystem.join(serving_dir, model_name)
    filesystem.make_dirs(models)
    if filesystem.is_remote(models):
        version = versions.next_version(serving_dir, model_name)
        target = filesystem.join(models, str(version))
        for name in sorted(filesystem.walk(folder), key=lambda name: (name == _GRAPH, name)):
            filesystem.copy_file(filesystem.join(folder, name), filesystem.join(target, name))
        return version
    _clean(models)
    staging = os.path.join(
        models, f".tmp-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    )
    try:
        filesystem.copy_tree(folder, staging)
        while True:
            version = versions.next_version(serving_dir, model_name)
            try:
                os.rename(staging, os.path.join(models, str(version)))
            except OSError as error:
                # Another pusher took the number between the look and the rename.
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            else:
                return version
    finally:
        filesystem.remove_tree(staging)


def _clean(models: str) -> None:
    """Removes what a killed pusher of this machine left."""
    begin = f".tmp-{socket.gethostname()}-"
    for name in filesystem.list_dir(models):
        if name.startswith(begin):
            pid = int(name[len(begin) :].partition("-")[0])
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                filesystem.remove_tree(os.path.join(models, name))
            except PermissionError:
                continue


def checksums(folder: str) -> dict[str, str]:
    """Returns SHA-256 by file name, relative to the folder."""
    return {
        name: filesystem.sha256(filesystem.join(folder, name)) for name in filesystem.walk(folder)
    }


def combined(files: Mapping[str, str]) -> str:
    """Returns one SHA-256 over names and checksums."""
    lines = "".join(f"{checksum}  {name}\n" for name, checksum in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def _command() -> str:
    # No path of this machine enters an artifact: only the last part of each is kept.
    parts = []
    for argument in sys.argv:
        name, equals, value = argument.rpartition("=")
        parts.append(name + equals + (os.path.basename(value) if os.path.isabs(value) else value))
    return shlex.join(parts)
