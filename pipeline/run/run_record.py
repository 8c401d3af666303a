"""The record of a run, `run.json`: what screen, report, `--json` and results page are made of."""

from __future__ import annotations

import datetime
import json
import os
import secrets
from collections.abc import Mapping
from typing import Any

from ...components.base.artifacts import ModelEvaluation
from ...components.io import filesystem
from ..metadata.records import ArtifactRecord
from .machine import machine, versions
from .pipeline import Pipeline
from .root import Root

FILE = "run.json"

Record = dict[str, Any]


def new_record(
    pipeline: Pipeline, root: Root, command: str = "", skipped: Mapping[str, str] | None = None
) -> Record:
    """Returns the record of a run that begins now.

    Args:
        pipeline: what is run.
        root: the pipeline root.
        command: string. The command line that gives this run again.
        skipped: reasons by name of component, for those that take no part.
    """
    now = datetime.datetime.now().astimezone()
    return {
        "run_id": f"{now:%Y%m%d-%H%M}-{secrets.token_hex(2)}",
        "method": pipeline.method,
        "title": pipeline.title,
        "source": pipeline.source,
        "data_dir": pipeline.data_dir,
        "root": root.path,
        "started": now.isoformat(timespec="seconds"),
        "seconds": 0.0,
        "state": "running",
        "exit_code": None,
        "command": command,
        "ask": "",
        "error": None,
        "stages": [new_stage(name, (skipped or {}).get(name, "")) for name in pipeline.names],
        "metrics": {},
        "verdicts": {},
        "paths": {},
        "versions": versions(),
        "machine": machine(),
    }


def new_stage(component: str, reason: str = "") -> Record:
    """Returns the record of a stage that did not run yet."""
    return {
        "component": component,
        "state": "skipped",
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


def fill_stage(
    stage: Record,
    state: str,
    execution_id: int,
    properties: Mapping[str, Any],
    outputs: Mapping[str, ArtifactRecord],
) -> None:
    """Notes in a stage's record what its execution made and said."""
    stage["state"], stage["execution_id"] = state, execution_id
    stage["summary"] = properties.get("summary", "")
    stage["counters"] = properties.get("counters", {})
    stage["outputs"] = {name: artifact.uri for name, artifact in outputs.items()}
    stage["properties"] = {name: artifact.properties for name, artifact in outputs.items()}
    for artifact in outputs.values():
        if artifact.type in ("ModelBlessing", "InfraBlessing"):
            stage["verdict"] = "BLESSED" if artifact.properties.get("blessed") else "NOT BLESSED"


def take_results(
    record: Record, stage: Record, outputs: Mapping[str, ArtifactRecord], root: Root
) -> None:
    """Lifts what a run is asked for out of a stage: metrics, verdicts, the pushed model."""
    if stage["verdict"]:
        record["verdicts"][stage["component"]] = stage["verdict"]
    for artifact in outputs.values():
        if artifact.type == ModelEvaluation.TYPE_NAME:
            evaluation = ModelEvaluation(root.absolute(artifact.uri))
            if filesystem.exists(evaluation.path("evaluation.json")):
                record["metrics"] = evaluation.read_json("evaluation.json")
        if artifact.type == "PushedModel" and "version" in artifact.properties:
            version = artifact.properties["version"]
            record["paths"]["pushed_model"] = f"serving/{record['method']}/{version}"


def in_short(record: Record) -> dict[str, Any]:
    """Returns what `methodical runs` shows of a run."""
    metrics = record["metrics"]
    kept = (
        "method", "source", "data_dir", "state", "exit_code", "started", "seconds", "command",
        "verdicts",
    )  # fmt: skip
    return {
        **{name: record[name] for name in kept},
        "metric": metrics.get("main_label", metrics.get("main")),
        "value": metrics.get("main_value"),
        "pushed_model": record["paths"].get("pushed_model"),
        "pid": os.getpid(),
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
