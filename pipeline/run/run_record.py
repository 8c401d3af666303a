"""The record of a run, `run.json`: what screen, report, `--json` and results page are made of."""

from __future__ import annotations

import datetime
import json
import os
import platform
import secrets
from typing import Any

from ...components.io import filesystem
from .root import Root

FILE = "run.json"
_VERSIONED = ("tensorflow", "keras", "apache-beam", "numpy", "tensorflow-datasets")

Record = dict[str, Any]


def new_record(
    *,
    method: str,
    title: str,
    source: str,
    data_dir: str | None,
    root: Root,
    command: str,
) -> Record:
    """Returns the record of a run that begins now."""
    now = datetime.datetime.now().astimezone()
    return {
        "run_id": f"{now:%Y%m%d-%H%M}-{secrets.token_hex(2)}",
        "method": method,
        "title": title,
        "source": source,
        "data_dir": data_dir,
        "root": root.path,
        "started": now.isoformat(timespec="seconds"),
        "seconds": 0.0,
        "state": "running",
        "exit_code": None,
        "command": command,
        "ask": "",
        "error": None,
        "stages": [],
        "metrics": {},
        "verdicts": {},
        "paths": {},
        "versions": versions(),
        "machine": machine(),
    }


def new_stage(component: str, state: str = "skipped", reason: str = "") -> Record:
    """Returns the record of a stage that did not run yet."""
    return {
        "component": component,
        "state": state,
        "verdict": None,
        "seconds": 0.0,
        "reason": reason,
        "summary": "",
        "execution_id": None,
        "parameters": {},
        "counters": {},
        "outputs": {},
        "properties": {},
        "inputs": {},
    }


def write(record: Record, root: Root) -> None:
    """Writes `runs/<run id>/run.json`; a reader sees the old or the new one, never a part."""
    path = root.run(record["run_id"], FILE)
    filesystem.make_dirs(root.run(record["run_id"]))
    staged = path if root.is_remote else f"{path}.tmp-{os.getpid()}"
    try:
        with filesystem.open_file(staged, "w") as writer:
            json.dump(record, writer, indent=1, ensure_ascii=False)
            writer.write("\n")
        if staged != path:
            os.replace(staged, path)
    finally:
        if staged != path and os.path.exists(staged):
            os.remove(staged)


def read(run_id: str, root: Root) -> Record | None:
    """Reads a run's record; `None` if there is none."""
    path = root.run(run_id, FILE)
    if not filesystem.exists(path):
        return None
    with filesystem.open_file(path) as reader:
        record: Record = json.load(reader)
    return record


def versions() -> dict[str, str]:
    """Returns the versions of Python, methodical and what it is built on."""
    import importlib.metadata

    from ... import __version__

    found = {"python": platform.python_version(), "methodical": __version__}
    for name in _VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Returns the machine's name, system, processor, cores and memory."""
    return {
        "host": platform.node(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": cores(),
        "memory_gib": memory_gib(),
    }


def cores() -> int:
    """Returns the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_gib() -> float | None:
    """Returns the machine's memory in GiB, or `None` where the system does not tell."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None
    return round(total / 2**30, 1)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as reader:
            for line in reader:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        return platform.processor() or platform.machine()
    return platform.machine()
