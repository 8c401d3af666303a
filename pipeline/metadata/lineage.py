"""Who made what from what, as the metadata store knows it."""

from __future__ import annotations

import datetime
from typing import Any

from .metadata_store import MetadataStore
from .records import ArtifactRecord, Execution


def lineage(store: MetadataStore, root: str, what: str | None) -> dict[str, Any]:
    """Returns who made what from what.

    Args:
        store: the metadata store.
        root: string. The pipeline root's path.
        what: a run's id, an execution's id, or an artifact's path (relative to the root or whole);
            `None` is the last run.

    Returns:
        `kind` (`run`, `execution` or `artifact`), `name`, and `executions`, those that led to it in
        order, each with id, component, state, when, parameters, inputs, outputs, runs. An artifact
        has `readers` as well.

    Raises:
        ValueError: there is no such thing.
    """
    if what is None:
        runs = store.runs()
        if not runs:
            raise ValueError(f"There is no run in this root. Received: {root}")
        what = runs[0].id
    relative = what.removeprefix(root).strip("/").removesuffix("/MANIFEST.json")
    parts = relative.split("/")
    number = parts[-1] if len(parts) == 4 and parts[0] == "artifacts" else what
    execution = store.execution(int(number)) if number.isdigit() else None
    if execution is not None:
        return {"kind": "execution", "name": number, "executions": _ancestors(store, execution)}
    of_run = store.executions_of_run(what)
    if of_run:
        described = [_execution(store, execution) for execution in of_run]
        return {"kind": "run", "name": what, "executions": described}
    artifact = store.artifact(relative)
    maker = store.execution(artifact.execution_id) if artifact is not None else None
    if artifact is None or maker is None:
        raise ValueError(
            "lineage takes a run's id (methodical runs), an execution's id, or an artifact's path. "
            f"Received: {what}"
        )
    return {
        "kind": "artifact",
        "name": artifact.uri,
        "executions": _ancestors(store, maker),
        "readers": [
            {"id": reader.id, "component": reader.type} for reader in store.readers(artifact.id)
        ],
    }


def _ancestors(store: MetadataStore, last: Execution) -> list[dict[str, Any]]:
    """Describes an execution and all that led to it, in order."""
    waiting, described = [last], {}
    while waiting:
        execution = waiting.pop()
        if execution.id in described:
            continue
        described[execution.id] = _execution(store, execution)
        makers = (
            store.execution(made.execution_id) for made in store.inputs(execution.id).values()
        )
        waiting += [maker for maker in makers if maker is not None]
    return [described[number] for number in sorted(described)]


def _execution(store: MetadataStore, execution: Execution) -> dict[str, Any]:
    properties = execution.properties
    return {
        "id": execution.id,
        "component": execution.type,
        "state": execution.state,
        "started": _time(execution.started),
        "ended": _time(execution.updated),
        "parameters": properties.get("parameters", {}),
        "summary": properties.get("summary", ""),
        "reason": properties.get("reason", ""),
        "source": properties.get("source"),
        "data": properties.get("fingerprint", {}).get("data", {}),
        "versions": properties.get("versions", {}),
        "error": properties.get("error"),
        "runs": store.runs_of_execution(execution.id),
        "inputs": _artifacts(store.inputs(execution.id)),
        "outputs": _artifacts(store.outputs(execution.id)),
    }


def _artifacts(records: dict[str, ArtifactRecord]) -> dict[str, dict[str, Any]]:
    return {
        name: {"type": record.type, "path": record.uri, "execution": record.execution_id}
        for name, record in records.items()
    }


def _time(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment).astimezone().isoformat(timespec="seconds")
