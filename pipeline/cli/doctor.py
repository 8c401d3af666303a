"""Examines a machine: what `methodical run` needs, and what of it is missing."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import shutil
import sys
import tempfile
from typing import Any

from packaging.requirements import Requirement

from ..metadata.database import MetadataError
from ..run import lock
from ..run.machine import cores, memory_gib
from ..run.root import Root

_PYTHON = ((3, 10), (3, 14))
_FREE_GB = 2.0
_MEMORY_GIB = 4.0

Finding = dict[str, Any]


def examine(root: str) -> list[Finding]:
    """Examines Python, the dependencies, the machine and a root.

    Args:
        root: string. The pipeline root that is to be used; it need not exist.

    Returns:
        Findings with `name`, `state` (`ok`, `warning` or `broken`) and `detail`.
    """
    place = Root(root)
    machine = [_python(), *_requirements(), _crc32c(), _beam_runner(), _cores(), _memory()]
    writable = [] if place.is_remote else [_writable(place)]
    return [*machine, _disk(place), *writable, _store(place), _lock(place)]


def _finding(name: str, state: str, detail: str) -> Finding:
    return {"name": name, "state": state, "detail": detail}


def _python() -> Finding:
    low, high = _PYTHON
    version = ".".join(map(str, sys.version_info[:3]))
    if low <= sys.version_info[:2] < high:
        return _finding("Python", "ok", f"{version} ({sys.executable})")
    expected = f"{low[0]}.{low[1]} to {high[0]}.{high[1] - 1}"
    return _finding("Python", "broken", f"methodical runs on {expected}. Received: {version}")


def _requirements() -> list[Finding]:
    """Compares the installed packages with the requirements of this package."""
    try:
        texts = importlib.metadata.requires("methodical") or []
    except importlib.metadata.PackageNotFoundError:
        return [_finding("methodical", "broken", "not installed: pip install -e .")]
    required = [Requirement(text) for text in texts]
    # A requirement of an extra does not count without that extra.
    return [
        _requirement(requirement)
        for requirement in required
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    ]


def _requirement(requirement: Requirement) -> Finding:
    name, text = requirement.name, f"{requirement.name}{requirement.specifier}"
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return _finding(name, "broken", f"missing: pip install '{text}'")
    if not requirement.specifier.contains(version, prereleases=True):
        return _finding(name, "broken", f"{text} is needed. Received: {version}")
    return _finding(name, "ok", version)


def _crc32c() -> Finding:
    name = "TFRecord checksums"
    with contextlib.suppress(ImportError):
        import google_crc32c

        how = getattr(google_crc32c, "implementation", "")
        return _finding(name, "ok" if how == "c" else "warning", f"google-crc32c ({how})")
    return _finding(name, "broken", "Beam cannot write TFRecords: pip install google-crc32c")


def _beam_runner() -> Finding:
    name = "Beam runner"
    if importlib.util.find_spec("apache_beam") is None:
        return _finding(name, "broken", "missing: pip install apache-beam")
    return _finding(name, "ok", "FnApiRunner, in this process; others with: -- --runner=…")


def _cores() -> Finding:
    return _finding("processor cores", "ok", str(cores()))


def _memory() -> Finding:
    memory = memory_gib()
    if memory is None:
        return _finding("memory", "warning", "the system does not tell")
    state = "ok" if memory >= _MEMORY_GIB else "warning"
    return _finding("memory", state, f"{memory} GiB (4 GiB or more is comfortable)")


def _disk(root: Root) -> Finding:
    folder = _nearest(root.local)
    free = shutil.disk_usage(folder).free / 1e9
    state = "ok" if free >= _FREE_GB else "warning"
    return _finding("disk", state, f"{free:.1f} GB free at {folder}")


def _nearest(folder: str) -> str:
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def _writable(root: Root) -> Finding:
    folder = _nearest(root.path)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return _finding("root", "broken", f"{folder} cannot be written: {error.strerror}")
    what = root.path if folder == root.path else f"{root.path} (will be made)"
    return _finding("root", "ok", what)


def _store(root: Root) -> Finding:
    if not root.has_store:
        return _finding("metadata store", "ok", "none yet")
    try:
        with root.open_store(read_only=True) as store:
            count = len(store.runs())
    except MetadataError as error:
        return _finding("metadata store", "broken", str(error))
    return _finding("metadata store", "ok", f"{count} runs in {root.metadata}")


def _lock(root: Root) -> Finding:
    holder = lock.holder(root.lock)
    if holder is None:
        return _finding("lock", "ok", "free")
    return _finding(
        "lock", "warning", f"held by run {holder.get('run_id')}, pid {holder.get('pid')}"
    )
