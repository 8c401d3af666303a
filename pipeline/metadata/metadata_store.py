"""The metadata store: SQLite with the concepts and names of ML Metadata.

Contexts (`pipeline`, one a method, and `pipeline_run`), executions of components, artifacts, events
that say which execution read (`INPUT`) and wrote (`OUTPUT`) which artifact, attributions of
artifacts and associations of executions to contexts. A cached execution is associated with every
run that uses it. URIs are relative to the pipeline root, so that a root can be moved.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

APPLICATION_ID = 0x4D455448
SCHEMA_VERSION = 1

_TABLES = """
CREATE TABLE Context (
    id INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, name TEXT NOT NULL,
    properties TEXT NOT NULL, create_time_since_epoch INTEGER NOT NULL,
    last_update_time_since_epoch INTEGER NOT NULL, UNIQUE (type, name));
CREATE TABLE Execution (
    id INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, last_known_state TEXT NOT NULL,
    fingerprint TEXT NOT NULL, properties TEXT NOT NULL, create_time_since_epoch INTEGER NOT NULL,
    last_update_time_since_epoch INTEGER NOT NULL);
CREATE TABLE Artifact (
    id INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, uri TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL, properties TEXT NOT NULL, create_time_since_epoch INTEGER NOT NULL,
    last_update_time_since_epoch INTEGER NOT NULL);
CREATE TABLE Event (
    id INTEGER PRIMARY KEY AUTOINCREMENT, artifact_id INTEGER NOT NULL REFERENCES Artifact (id),
    execution_id INTEGER NOT NULL REFERENCES Execution (id),
    type TEXT NOT NULL CHECK (type IN ('INPUT', 'OUTPUT')), key TEXT NOT NULL,
    milliseconds_since_epoch INTEGER NOT NULL);
CREATE TABLE Attribution (
    artifact_id INTEGER NOT NULL REFERENCES Artifact (id),
    context_id INTEGER NOT NULL REFERENCES Context (id), UNIQUE (artifact_id, context_id));
CREATE TABLE Association (
    execution_id INTEGER NOT NULL REFERENCES Execution (id),
    context_id INTEGER NOT NULL REFERENCES Context (id), UNIQUE (execution_id, context_id));
CREATE INDEX execution_fingerprint ON Execution (fingerprint);
CREATE INDEX event_execution ON Event (execution_id);
CREATE INDEX event_artifact ON Event (artifact_id);
"""


class MetadataError(Exception):
    """The file is not a metadata store that this version can read; the message says why."""


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


class MetadataStore:
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

    def __init__(self, path: str, read_only: bool = False, first_execution: int = 1):
        self.path = path
        if read_only and not os.path.exists(path):
            raise FileNotFoundError(path)
        address = path
        if read_only:
            from urllib.request import pathname2url

            # A store that nobody has open has no write-ahead log; `immutable` keeps SQLite from
            # making one.
            flag = "mode=ro" if os.path.exists(f"{path}-wal") else "immutable=1"
            address = f"file:{pathname2url(os.path.abspath(path))}?{flag}"
        self._connection = sqlite3.connect(
            address, uri=read_only, isolation_level=None, timeout=30, check_same_thread=False
        )
        try:
            with self._readable():
                self._open(read_only, first_execution)
        except BaseException:
            self._connection.close()
            raise

    def _open(self, read_only: bool, first_execution: int) -> None:
        query = self._connection.execute
        (tables,) = query("SELECT count(*) FROM sqlite_master").fetchone()
        (application,) = query("PRAGMA application_id").fetchone()
        (version,) = query("PRAGMA user_version").fetchone()
        if tables and application != APPLICATION_ID:
            raise MetadataError(
                f"{self.path} is a SQLite file of another program. Choose another --root. "
                f"Received: application id {application}"
            )
        if tables and version > SCHEMA_VERSION:
            raise MetadataError(
                f"{self.path} was written by a newer methodical (schema {version}; this one reads "
                f"up to {SCHEMA_VERSION}). Install the newer version or choose another --root. "
                f"Received: schema {version}"
            )
        if read_only:
            return
        query("PRAGMA journal_mode = WAL")
        query("PRAGMA synchronous = FULL")
        query("PRAGMA foreign_keys = ON")
        if not tables:
            with self._transaction():
                for statement in _TABLES.split(";"):
                    query(statement)
                query(
                    "INSERT INTO sqlite_sequence (name, seq) VALUES ('Execution', ?)",
                    (first_execution - 1,),
                )
                query(f"PRAGMA application_id = {APPLICATION_ID}")
                query(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def __enter__(self) -> MetadataStore:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            raise MetadataError(
                f"{self.path} is damaged or no SQLite file ({error}). Restore it from a copy, or "
                f"move it away: then every stage runs again. Received: {self.path}"
            ) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._readable(), closing(self._connection.execute(statement, values)) as rows:
            return rows.fetchall()

    def _context(self, kind: str, name: str, properties: Mapping[str, Any] | None = None) -> int:
        found = self._connection.execute(
            "SELECT id, properties FROM Context WHERE type = ? AND name = ?", (kind, name)
        ).fetchone()
        now = _now()
        if found is None:
            cursor = self._connection.execute(
                "INSERT INTO Context (type, name, properties, create_time_since_epoch, "
                "last_update_time_since_epoch) VALUES (?, ?, ?, ?, ?)",
                (kind, name, _text(properties or {}), now, now),
            )
            return int(cursor.lastrowid or 0)
        if properties is not None:
            self._connection.execute(
                "UPDATE Context SET properties = ?, last_update_time_since_epoch = ? WHERE id = ?",
                (_text({**json.loads(found[1]), **properties}), now, found[0]),
            )
        return int(found[0])

    def put_run(self, run_id: str, properties: Mapping[str, Any]) -> None:
        """Makes a run, or changes the given ones of its properties."""
        with self._readable(), self._transaction():
            self._context("pipeline_run", run_id, properties)

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
        now = _now()
        with self._readable(), self._transaction():
            cursor = self._connection.execute(
                "INSERT INTO Execution (type, last_known_state, fingerprint, properties, "
                "create_time_since_epoch, last_update_time_since_epoch) "
                "VALUES (?, 'RUNNING', ?, ?, ?, ?)",
                (component, fingerprint, _text(properties), now, now),
            )
            execution_id = int(cursor.lastrowid or 0)
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
        now = _now()
        with self._readable(), self._transaction():
            contexts = self._connection.execute(
                "SELECT context_id FROM Association WHERE execution_id = ?", (execution_id,)
            ).fetchall()
            for key, (kind, uri, values) in outputs.items():
                cursor = self._connection.execute(
                    "INSERT INTO Artifact (type, uri, state, properties, create_time_since_epoch, "
                    "last_update_time_since_epoch) VALUES (?, ?, 'LIVE', ?, ?, ?)",
                    (kind, uri, _text(values), now, now),
                )
                artifact_id = int(cursor.lastrowid or 0)
                self._event(artifact_id, execution_id, "OUTPUT", key)
                self._connection.executemany(
                    "INSERT INTO Attribution (artifact_id, context_id) VALUES (?, ?)",
                    [(artifact_id, context) for (context,) in contexts],
                )
            self._update(execution_id, "COMPLETE", properties)

    def end_execution(self, execution_id: int, state: str, properties: Mapping[str, Any]) -> None:
        """Records that an execution ended without outputs: `FAILED` or `CANCELED`."""
        with self._readable(), self._transaction():
            self._update(execution_id, state, properties)

    def reuse(self, execution_id: int, run_id: str) -> None:
        """Associates a complete execution and its outputs with a further run."""
        with self._readable(), self._transaction():
            context = self._context("pipeline_run", run_id)
            self._associate(execution_id, context)
            self._connection.execute(
                "INSERT OR IGNORE INTO Attribution (artifact_id, context_id) "
                "SELECT artifact_id, ? FROM Event WHERE execution_id = ? AND type = 'OUTPUT'",
                (context, execution_id),
            )

    def _associate(self, execution_id: int, context_id: int) -> None:
        self._connection.execute(
            "INSERT OR IGNORE INTO Association (execution_id, context_id) VALUES (?, ?)",
            (execution_id, context_id),
        )

    def _event(self, artifact_id: int, execution_id: int, kind: str, key: str) -> None:
        self._connection.execute(
            "INSERT INTO Event (artifact_id, execution_id, type, key, milliseconds_since_epoch) "
            "VALUES (?, ?, ?, ?, ?)",
            (artifact_id, execution_id, kind, key, _now()),
        )

    def _update(self, execution_id: int, state: str, properties: Mapping[str, Any]) -> None:
        (old,) = self._connection.execute(
            "SELECT properties FROM Execution WHERE id = ?", (execution_id,)
        ).fetchone()
        self._connection.execute(
            "UPDATE Execution SET last_known_state = ?, properties = ?, "
            "last_update_time_since_epoch = ? WHERE id = ?",
            (state, _text({**json.loads(old), **properties}), _now(), execution_id),
        )

    def with_fingerprint(self, method: str, component: str, fingerprint: str) -> list[Execution]:
        """Returns a method's executions with a fingerprint, in any state, the newest first."""
        rows = self._rows(
            f"{_EXECUTION} {_IN_PIPELINE} WHERE e.type = ? AND e.fingerprint = ? "
            "ORDER BY e.id DESC",
            method,
            component,
            fingerprint,
        )
        return [_execution(row) for row in rows]

    def recent(self, method: str, component: str, limit: int = 20) -> list[Execution]:
        """Returns the last complete executions of a method's component, the newest first."""
        rows = self._rows(
            f"{_EXECUTION} {_IN_PIPELINE} WHERE e.type = ? AND e.last_known_state = 'COMPLETE' "
            "ORDER BY e.id DESC LIMIT ?",
            method,
            component,
            limit,
        )
        return [_execution(row) for row in rows]

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
        rows = self._rows(f"{_EXECUTION} WHERE e.id = ?", execution_id)
        return _execution(rows[0]) if rows else None

    def executions_of_run(self, run_id: str) -> list[Execution]:
        """Returns the executions that a run made or used, in order."""
        rows = self._rows(
            f"{_EXECUTION} JOIN Association s ON s.execution_id = e.id "
            "JOIN Context c ON c.id = s.context_id AND c.type = 'pipeline_run' AND c.name = ? "
            "ORDER BY e.id",
            run_id,
        )
        return [_execution(row) for row in rows]

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
        rows = self._rows(
            _ARTIFACT.format(key="made.key") + "WHERE made.execution_id = ? ORDER BY made.id",
            execution_id,
        )
        return {row[4]: _artifact(row) for row in rows}

    def inputs(self, execution_id: int) -> dict[str, ArtifactRecord]:
        """Returns what an execution read, by input name."""
        rows = self._rows(
            _ARTIFACT.format(key="used.key")
            + "JOIN Event used ON used.artifact_id = a.id AND used.type = 'INPUT' "
            "WHERE used.execution_id = ? ORDER BY used.id",
            execution_id,
        )
        return {row[4]: _artifact(row) for row in rows}

    def artifact(self, uri: str) -> ArtifactRecord | None:
        """Returns the artifact at a path relative to the root."""
        rows = self._rows(_ARTIFACT.format(key="made.key") + "WHERE a.uri = ?", uri)
        return _artifact(rows[0]) if rows else None

    def readers(self, artifact_id: int) -> list[Execution]:
        """Returns the executions that read an artifact, in order."""
        rows = self._rows(
            f"{_EXECUTION} JOIN Event used ON used.execution_id = e.id AND used.type = 'INPUT' "
            "WHERE used.artifact_id = ? ORDER BY e.id",
            artifact_id,
        )
        return [_execution(row) for row in rows]

    def blessed_evaluations(self, method: str, source: str, before: int) -> list[ArtifactRecord]:
        """Returns evaluations of blessed models of a method, the newest model's first.

        Args:
            method: the method's name.
            source: the evaluations' examples come from this source: accuracies on other data
                cannot be compared.
            before: execution id; only models that older executions trained are returned.
        """
        rows = self._rows(
            _ARTIFACT.format(key="made.key")
            + "JOIN Execution e ON e.id = made.execution_id AND e.last_known_state = 'COMPLETE' "
            + _IN_PIPELINE
            + "JOIN Event bless ON bless.execution_id = e.id AND bless.type = 'OUTPUT' "
            "JOIN Artifact b ON b.id = bless.artifact_id AND b.type = 'ModelBlessing' "
            "JOIN Event used ON used.execution_id = e.id AND used.type = 'INPUT' "
            "AND used.key = 'model' "
            "JOIN Event trained ON trained.artifact_id = used.artifact_id "
            "AND trained.type = 'OUTPUT' "
            "WHERE a.type = 'ModelEvaluation' AND json_extract(b.properties, '$.blessed') = 1 "
            "AND json_extract(e.properties, '$.source') = ? AND trained.execution_id < ? "
            "ORDER BY trained.execution_id DESC, e.id DESC",
            method,
            source,
            before,
        )
        return [_artifact(row) for row in rows]


def _now() -> int:
    return time.time_ns() // 1_000_000


def _text(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, ensure_ascii=False)


def _execution(row: tuple[Any, ...]) -> Execution:
    return Execution(
        row[0], row[1], row[2], row[3], json.loads(row[4]), row[5] / 1000, row[6] / 1000
    )


def _artifact(row: tuple[Any, ...]) -> ArtifactRecord:
    return ArtifactRecord(row[0], row[1], row[2], json.loads(row[3]), row[4], row[5], row[6] / 1000)
