"""What the metadata store returns."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Execution:
    """One execution of a component.

    Args:
        id: integer, growing.
        type: the component's name.
        state: `RUNNING`, `COMPLETE`, `FAILED` or `CANCELED` (killed or interrupted).
        fingerprint: key under which it is found again.
        properties: JSON values: the fingerprint's parts, parameters, summary, counters, versions.
        started: seconds since the epoch.
        updated: seconds since the epoch.
    """

    id: int
    type: str
    state: str
    fingerprint: str
    properties: dict[str, Any]
    started: float
    updated: float


@dataclasses.dataclass(frozen=True)
class ArtifactRecord:
    """An artifact as the store knows it.

    Args:
        id: integer.
        type: the artifact's type name.
        uri: path relative to the pipeline root.
        properties: JSON values.
        key: name of the output or input in the event that it was found by.
        execution_id: the execution that made it.
        created: seconds since the epoch.
    """

    id: int
    type: str
    uri: str
    properties: dict[str, Any]
    key: str
    execution_id: int
    created: float


@dataclasses.dataclass(frozen=True)
class Run:
    """A `pipeline_run` context.

    Args:
        id: the run's id.
        properties: JSON values: method, source, state, seconds, metric, pushed version.
        started: seconds since the epoch.
        updated: seconds since the epoch.
    """

    id: str
    properties: dict[str, Any]
    started: float
    updated: float
