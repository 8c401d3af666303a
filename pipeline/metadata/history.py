"""What a root's metadata store knows: its runs, and who made what from what."""

from __future__ import annotations

import datetime
from typing import IO, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from ..cli.screen import seconds
from ..run import lock, run_record
from ..run.root import Root
from ..run.run_record import Record
from .metadata_store import ArtifactRecord, Execution, MetadataStore, Run

_WIDE = 10_000


def open_store(root: Root) -> MetadataStore:
    """Opens a root's store for reading.

    Raises:
        FileNotFoundError: the root has no store yet.
        MetadataError: the store cannot be read.
    """
    try:
        return root.open_store(read_only=True)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"There is no run in this root; `methodical run METHOD --root {root.path}` makes one. "
            f"Received: {root.path}"
        ) from None


def runs(path: str) -> list[dict[str, Any]]:
    """Returns the runs of a root, the newest first; none if the root has no store.

    A run that neither ended nor holds the lock was killed.

    ```python
    runs("./methodical_root")[0]["state"]  # "complete"
    ```
    """
    root = Root(path)
    try:
        store = root.open_store(read_only=True)
    except FileNotFoundError:
        return []
    with store:
        found = store.runs()
    holder = lock.holder(root.lock) or {}
    return [{"run_id": run.id, **run.properties, "state": _state(run, holder)} for run in found]


def _state(run: Run, holder: dict[str, Any]) -> str:
    state = str(run.properties.get("state"))
    return "killed" if state == "running" and holder.get("run_id") != run.id else state


def runs_table(found: list[dict[str, Any]], stream: IO[str]) -> None:
    """Writes runs as a table."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("run", "method", "source", "state", "took", "main metric", "pushed model"):
        table.add_column(heading, no_wrap=True)
    for run in found:
        value = run.get("value")
        metric = "" if value is None else f"{run.get('metric')} {value:.4g}"
        table.add_row(
            run["run_id"],
            run.get("method", ""),
            run.get("source", ""),
            run["state"],
            seconds(run.get("seconds") or 0.0),
            metric,
            run.get("pushed_model") or "",
        )
    _console(stream).print(table)


def find_record(path: str, run_id: str | None) -> Record:
    """Returns a run's record, that of the last run for `None`.

    Raises:
        FileNotFoundError: the root has no run.
        ValueError: the root has no such run.
    """
    root = Root(path)
    with open_store(root) as store:
        known = [run.id for run in store.runs()]
    wanted = run_id or (known[0] if known else None)
    record = run_record.read(wanted, root) if wanted in known and wanted is not None else None
    if record is None:
        from ...components.base.errors import did_you_mean

        near = did_you_mean(run_id or "", known)
        raise ValueError(
            f"There is no run {run_id!r}{near} See: methodical runs --root {root.path}"
        )
    return record


def lineage(path: str, what: str | None) -> dict[str, Any]:
    """Returns who made what from what.

    Args:
        path: string. The pipeline root.
        what: a run's id, an execution's id, or an artifact's path (relative to the root or whole);
            `None` is the last run.

    Returns:
        `kind` (`run`, `execution` or `artifact`), `name`, and `executions`, those that led to it in
        order, each with id, component, state, when, parameters, inputs, outputs, runs. An artifact
        has `readers` as well.

    Raises:
        FileNotFoundError: the root has no run.
        ValueError: there is no such thing.
    """
    root = Root(path)
    with open_store(root) as store:
        if what is None:
            known = store.runs()
            if not known:
                raise ValueError(f"There is no run in this root. Received: {root.path}")
            what = known[0].id
        parts = what.removeprefix(root.path).strip("/").split("/")
        if len(parts) == 4 and parts[0] == "artifacts":
            what = parts[-1]
        if what.isdigit() and (execution := store.execution(int(what))) is not None:
            return {
                "kind": "execution",
                "name": what,
                "executions": _ancestors(store, [execution]),
            }
        used = store.executions_of_run(what)
        if used:
            return {
                "kind": "run",
                "name": what,
                "executions": [_execution(store, execution) for execution in used],
            }
        relative = what.removeprefix(root.path).strip("/").removesuffix("/MANIFEST.json")
        artifact = store.artifact(relative)
        if artifact is not None and (maker := store.execution(artifact.execution_id)) is not None:
            return {
                "kind": "artifact",
                "name": artifact.uri,
                "executions": _ancestors(store, [maker]),
                "readers": [
                    {"id": reader.id, "component": reader.type}
                    for reader in store.readers(artifact.id)
                ],
            }
    raise ValueError(
        "lineage takes a run's id (methodical runs), an execution's id, or an artifact's path. "
        f"Received: {what}"
    )


def _ancestors(store: MetadataStore, last: list[Execution]) -> list[dict[str, Any]]:
    waiting, found = list(last), {}
    while waiting:
        execution = waiting.pop()
        if execution.id in found:
            continue
        found[execution.id] = _execution(store, execution)
        for record in store.inputs(execution.id).values():
            maker = store.execution(record.execution_id)
            if maker is not None:
                waiting.append(maker)
    return [found[number] for number in sorted(found)]


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
        "inputs": {name: _artifact(found) for name, found in store.inputs(execution.id).items()},
        "outputs": {name: _artifact(found) for name, found in store.outputs(execution.id).items()},
    }


def _artifact(record: ArtifactRecord) -> dict[str, Any]:
    return {"type": record.type, "path": record.uri, "execution": record.execution_id}


def lineage_tree(found: dict[str, Any], stream: IO[str]) -> None:
    """Writes a lineage as a tree: each execution with what it read, made and was told."""
    tree = Tree(Text.assemble((f"{found['kind']} ", "dim"), (found["name"], "bold")))
    for execution in found["executions"]:
        branch = tree.add(
            Text.assemble(
                (f"{execution['component']} ", "bold"),
                f"execution {execution['id']}  {execution['state'].lower()}  ",
                (execution["started"], "dim"),
                f"  {execution['summary']}",
            )
        )
        for name, artifact in execution["inputs"].items():
            branch.add(Text.assemble(("from  ", "dim"), f"{name}  {artifact['path']}"))
        for name, content in execution["data"].items():
            branch.add(Text.assemble(("data  ", "dim"), f"{name}  sha256 {content[:16]}…"))
        for name, artifact in execution["outputs"].items():
            branch.add(Text.assemble(("made  ", "dim"), f"{name}  {artifact['path']}"))
        if execution["parameters"]:
            given = ", ".join(f"{name}={value}" for name, value in execution["parameters"].items())
            branch.add(Text.assemble(("with  ", "dim"), given))
        if execution["versions"]:
            given = ", ".join(f"{name} {value}" for name, value in execution["versions"].items())
            branch.add(Text.assemble(("by    ", "dim"), given))
        if execution["error"]:
            branch.add(Text.assemble(("error ", "bold red"), execution["error"]))
    for reader in found.get("readers", ()):
        tree.add(
            Text.assemble(("read by ", "dim"), f"{reader['component']} execution {reader['id']}")
        )
    _console(stream).print(tree)


def _console(stream: IO[str]) -> Console:
    console = Console(file=stream, highlight=False)
    return console if stream.isatty() else Console(file=stream, highlight=False, width=_WIDE)


def _time(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment).astimezone().isoformat(timespec="seconds")
