"""The metadata store: SQLite with the concepts and names of ML Metadata.

Contexts (`pipeline`, one a method, and `pipeline_run`), executions of components, artifacts, events
that say which execution read (`INPUT`) and wrote (`OUTPUT`) which artifact, attributions of
artifacts and associations of executions to contexts. A cached execution is associated with every
run that uses it. URIs are relative to the pipeline root, so that a root can be moved.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .database import Database, now
from .records import ArtifactRecord, Execution, Run

_ARTIFACT = """
SELECT a.id, a.type, a.uri, a.properties, {key}, made.execution_id, a.create_time_since_epoch
FROM Artifact a JOIN Event made ON made.artifact_id = a.id AND made.type = 'OUTPUT'
"""
_EXECUTION = """
SELECT e.id, e.type, e.last_known_state, e.fingerprint, e.properties, e.create_time_since_epoch,
       e.last_update_time_since_epoch FROM Execution e
"""
_IN_PIPELINE = """
JOIN Association s ON s.execution_id = e.id
JOIN Context c ON c.id = s.context_id AND c.type = 'pipeline' AND c.name = ?
"""


class MetadataStore(Database):
    """Opens a store, and makes it if the file is missing.

    ```python
    with MetadataStore("/tmp/root/metadata.sqlite") as store:
        runs = store.runs()
    ```

    Args:
        path: string. A local file; its folder exists.
        read_only: boolean. Opens without writing anything, not even a journal.
        first_execution: integer. In a new store executions are numbered from here.

    Raises:
        MetadataError: the file belongs to another program or a newer version, or is damaged.
        FileNotFoundError: read-only, and the file is missing.
    """

    def __enter__(self) -> MetadataStore:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def put_run(self, run_id: str, properties: Mapping[str, Any]) -> None:
        """Makes a run, or changes the given ones of its properties."""
        with self._transaction():
            self._update("Context", self._context("pipeline_run", run_id), properties)

    def runs(self) -> list[Run]:
        """Returns all runs, the newest first."""
        rows = self._rows(
            "SELECT name, properties, create_time_since_epoch, last_update_time_since_epoch "
            "FROM Context WHERE type = 'pipeline_run' ORDER BY id DESC"
        )
        return [Run(row[0], json.loads(row[1]), row[2] / 1000, row[3] / 1000) for row in rows]

    def start_execution(
        self,
        component: str,
        method: str,
        run_id: str,
        fingerprint: str,
        inputs: Mapping[str, int],
        properties: Mapping[str, Any],
    ) -> int:
        """Records an execution that begins, with its inputs (artifact ids by name).

        Returns:
            The new execution's id.
        """
        with self._transaction():
            execution_id = self._insert_dated(
                "Execution",
                type=component,
                last_known_state="RUNNING",
                fingerprint=fingerprint,
                properties=_text(properties),
            )
            for kind, name in (("pipeline", method), ("pipeline_run", run_id)):
                self._associate(execution_id, self._context(kind, name))
            for key, artifact_id in inputs.items():
                self._event(artifact_id, execution_id, "INPUT", key)
        return execution_id

    def publish(
        self,
        execution_id: int,
        outputs: Mapping[str, tuple[str, str, Mapping[str, Any]]],
        properties: Mapping[str, Any],
    ) -> None:
        """Records in one transaction that an execution is complete and what it made.

        Args:
            execution_id: from `start_execution`.
            outputs: `(type, uri, properties)` by output name.
            properties: further properties of the execution.
        """
        with self._transaction():
            for key, (kind, uri, values) in outputs.items():
                artifact_id = self._insert_dated(
                    "Artifact", type=kind, uri=uri, state="LIVE", properties=_text(values)
                )
                self._event(artifact_id, execution_id, "OUTPUT", key)
            for (context,) in self._rows(
                "SELECT context_id FROM Association WHERE execution_id = ?", execution_id
            ):
                self._attribute(execution_id, context)
            self._end(execution_id, "COMPLETE", properties)

    def end_execution(self, execution_id: int, state: str, properties: Mapping[str, Any]) -> None:
        """Records that an execution ended without outputs: `FAILED` or `CANCELED`."""
        with self._transaction():
            self._end(execution_id, state, properties)

    def reuse(self, execution_id: int, run_id: str) -> None:
        """Associates a complete execution and its outputs with a further run."""
        with self._transaction():
            context = self._context("pipeline_run", run_id)
            self._associate(execution_id, context)
            self._attribute(execution_id, context)

    def _context(self, kind: str, name: str) -> int:
        """Returns the id of a context, which is made if it is new."""
        rows = self._rows("SELECT id FROM Context WHERE type = ? AND name = ?", kind, name)
        if rows:
            return int(rows[0][0])
        return self._insert_dated("Context", type=kind, name=name, properties="{}")

    def _associate(self, execution_id: int, context_id: int) -> None:
        self._rows(
            "INSERT OR IGNORE INTO Association (execution_id, context_id) VALUES (?, ?)",
            execution_id,
            context_id,
        )

    def _attribute(self, execution_id: int, context_id: int) -> None:
        """Attributes an execution's outputs to a context."""
        self._rows(
            "INSERT OR IGNORE INTO Attribution (artifact_id, context_id) "
            "SELECT artifact_id, ? FROM Event WHERE execution_id = ? AND type = 'OUTPUT'",
            context_id,
            execution_id,
        )

    def _event(self, artifact_id: int, execution_id: int, kind: str, key: str) -> None:
        self._insert(
            "Event",
            artifact_id=artifact_id,
            execution_id=execution_id,
            type=kind,
            key=key,
            milliseconds_since_epoch=now(),
        )

    def _end(self, execution_id: int, state: str, properties: Mapping[str, Any]) -> None:
        self._rows("UPDATE Execution SET last_known_state = ? WHERE id = ?", state, execution_id)
        self._update("Execution", execution_id, properties)

    def _update(self, table: str, row_id: int, properties: Mapping[str, Any]) -> None:
        """Changes the given ones of a row's properties."""
        ((old,),) = self._rows(f"SELECT properties FROM {table} WHERE id = ?", row_id)
        self._rows(
            f"UPDATE {table} SET properties = ?, last_update_time_since_epoch = ? WHERE id = ?",
            _text({**json.loads(old), **properties}),
            now(),
            row_id,
        )

    def _executions(self, tail: str, *values: Any) -> list[Execution]:
        return [_execution(row) for row in self._rows(_EXECUTION + tail, *values)]

    def _artifacts(self, key: str, tail: str, *values: Any) -> list[ArtifactRecord]:
        """Returns artifacts under the key of one of the two events that `tail` joins."""
        rows = self._rows(_ARTIFACT.format(key=f"{key}.key") + tail, *values)
        return [
            ArtifactRecord(key, type_, uri, json.loads(properties), maker, output, created / 1000)
            for key, type_, uri, properties, maker, output, created in rows
        ]

    def with_fingerprint(self, method: str, component: str, fingerprint: str) -> list[Execution]:
        """Returns a method's executions with a fingerprint, in any state, the newest first."""
        return self._executions(
            f"{_IN_PIPELINE} WHERE e.type = ? AND e.fingerprint = ? ORDER BY e.id DESC",
            method,
            component,
            fingerprint,
        )

    def recent(self, method: str, component: str, limit: int = 20) -> list[Execution]:
        """Returns the last complete executions of a method's component, the newest first."""
        return self._executions(
            f"{_IN_PIPELINE} WHERE e.type = ? AND e.last_known_state = 'COMPLETE' "
            "ORDER BY e.id DESC LIMIT ?",
            method,
            component,
            limit,
        )

    def running(self) -> list[tuple[Execution, str]]:
        """Returns the executions that began and did not end, each with its method."""
        rows = self._rows(
            _EXECUTION.replace("FROM", ", c.name FROM")
            + "JOIN Association s ON s.execution_id = e.id "
            "JOIN Context c ON c.id = s.context_id AND c.type = 'pipeline' "
            "WHERE e.last_known_state = 'RUNNING' ORDER BY e.id"
        )
        return [(_execution(row[:-1]), row[-1]) for row in rows]

    def execution(self, execution_id: int) -> Execution | None:
        """Returns one execution."""
        return next(iter(self._executions("WHERE e.id = ?", execution_id)), None)

    def executions_of_run(self, run_id: str) -> list[Execution]:
        """Returns the executions that a run made or used, in order."""
        return self._executions(
            "JOIN Association s ON s.execution_id = e.id "
            "JOIN Context c ON c.id = s.context_id AND c.type = 'pipeline_run' AND c.name = ? "
            "ORDER BY e.id",
            run_id,
        )

    def runs_of_execution(self, execution_id: int) -> list[str]:
        """Returns the ids of the runs that made or used an execution, in order."""
        rows = self._rows(
            "SELECT c.name FROM Context c JOIN Association s ON s.context_id = c.id "
            "WHERE c.type = 'pipeline_run' AND s.execution_id = ? ORDER BY c.id",
            execution_id,
        )
        return [name for (name,) in rows]

    def outputs(self, execution_id: int) -> dict[str, ArtifactRecord]:
        """Returns what an execution made, by output name."""
        records = self._artifacts(
            "made", "WHERE made.execution_id = ? ORDER BY made.id", execution_id
        )
        return {record.key: record for record in records}

    def inputs(self, execution_id: int) -> dict[str, ArtifactRecord]:
        """Returns what an execution read, by input name."""
        records = self._artifacts(
            "used",
            "JOIN Event used ON used.artifact_id = a.id AND used.type = 'INPUT' "
            "WHERE used.execution_id = ? ORDER BY used.id",
            execution_id,
        )
        return {record.key: record for record in records}

    def artifact(self, uri: str) -> ArtifactRecord | None:
        """Returns the artifact at a path relative to the root."""
        return next(iter(self._artifacts("made", "WHERE a.uri = ?", uri)), None)

    def readers(self, artifact_id: int) -> list[Execution]:
        """Returns the executions that read an artifact, in order."""
        return self._executions(
            "JOIN Event used ON used.execution_id = e.id AND used.type = 'INPUT' "
            "WHERE used.artifact_id = ? ORDER BY e.id",
            artifact_id,
        )

    def of_blessed_models(
        self, kind: str, method: str, source: str, before: int
    ) -> list[ArtifactRecord]:
        """Returns what was made where a method's model was blessed, the newest model's first.

        Args:
            kind: type name of the artifacts, for example `ModelEvaluation`.
            method: the method's name.
            source: the examples come from this source: accuracies on other data cannot be
                compared.
            before: execution id; only models that older executions trained count.
        """
        return self._artifacts(
            "made",
            "JOIN Execution e ON e.id = made.execution_id AND e.last_known_state = 'COMPLETE' "
            + _IN_PIPELINE
            + "JOIN Event bless ON bless.execution_id = e.id AND bless.type = 'OUTPUT' "
            "JOIN Artifact b ON b.id = bless.artifact_id AND b.type = 'ModelBlessing' "
            "JOIN Event used ON used.execution_id = e.id AND used.type = 'INPUT' "
            "AND used.key = 'model' "
            "JOIN Event trained ON trained.artifact_id = used.artifact_id "
            "AND trained.type = 'OUTPUT' "
            "WHERE a.type = ? AND json_extract(b.properties, '$.blessed') = 1 "
            "AND json_extract(e.properties, '$.source') = ? AND trained.execution_id < ? "
            "ORDER BY trained.execution_id DESC, e.id DESC",
            method,
            kind,
            source,
            before,
        )


def _text(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, ensure_ascii=False)


def _execution(row: tuple[Any, ...]) -> Execution:
    key, type_, state, fingerprint, properties, created, updated = row
    return Execution(
        key, type_, state, fingerprint, json.loads(properties), created / 1000, updated / 1000
    )
