"""The runs of a root."""

from __future__ import annotations

from typing import Any

from ...components.base.suggestions import did_you_mean
from ..metadata.metadata_store import MetadataStore
from . import lock, run_record
from .root import Root
from .run_record import Record


def open_store(root: Root) -> MetadataStore:
    """Opens a root's store for reading.

    Raises:
        FileNotFoundError: the root has no store yet.
        MetadataError: the store cannot be read.
    """
    if not root.has_store:
        raise FileNotFoundError(
            f"There is no run in this root; `methodical run METHOD --root {root.path}` makes one. "
            f"Received: {root.path}"
        )
    return root.open_store(read_only=True)


def runs(path: str) -> list[dict[str, Any]]:
    """Returns the runs of a root, the newest first; none if the root has no store.

    A run that neither ended nor holds the lock was killed.

    ```python
    runs("./methodical_root")[0]["state"]  # "complete"
    ```
    """
    root = Root(path)
    if not root.has_store:
        return []
    with root.open_store(read_only=True) as store:
        known = store.runs()
    alive = (lock.holder(root.lock) or {}).get("run_id")
    rows = [{"run_id": run.id, **run.properties} for run in known]
    for row in rows:
        if row.get("state") == "running" and row["run_id"] != alive:
            row["state"] = "killed"
    return rows


def find_record(path: str, run_id: str | None) -> Record:
    """Returns a run's record, that of the last run for `None`.

    Raises:
        FileNotFoundError: the root has no run.
        ValueError: the root has no such run.
    """
    root = Root(path)
    with open_store(root) as store:
        known = [run.id for run in store.runs()]
    chosen = run_id or next(iter(known), None)
    record = run_record.read(chosen, root) if chosen is not None and chosen in known else None
    if record is None:
        near = did_you_mean(run_id or "", known)
        raise ValueError(
            f"There is no run {run_id!r}{near} See: methodical runs --root {root.path}"
        )
    return record
