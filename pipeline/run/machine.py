"""The machine and the software that a run has."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from typing import Any

from ... import __version__

_VERSIONED = ("tensorflow", "keras", "apache-beam", "numpy", "tensorflow-datasets")


def versions() -> dict[str, str]:
    """Returns the versions of Python, methodical and what it is built on."""
    known = {"python": platform.python_version(), "methodical": __version__}
    for name in _VERSIONED:
        try:
            known[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return known


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
