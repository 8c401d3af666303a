"""The metadata store's SQLite file: its schema, and how it is opened, read and changed."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.request import pathname2url

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


class Database:
    """The base of `MetadataStore`: its file."""

    def __init__(self, path: str, read_only: bool = False, first_execution: int = 1):
        self.path = path
        if read_only and not os.path.exists(path):
            raise FileNotFoundError(path)
        address = path
        if read_only:
            # A store that nobody has open has no write-ahead log; `immutable` keeps SQLite from
            # making one.
            flag = "mode=ro" if os.path.exists(f"{path}-wal") else "immutable=1"
            address = f"file:{pathname2url(os.path.abspath(path))}?{flag}"
        self._connection = sqlite3.connect(
            address, uri=read_only, isolation_level=None, timeout=30, check_same_thread=False
        )
        try:
            with self._readable():
                tables = self._check()
                if not read_only:
                    self._prepare(tables, first_execution)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def _check(self) -> bool:
        """Returns whether there are tables already; they must be of a known schema."""
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
        return bool(tables)

    def _prepare(self, tables: bool, first_execution: int) -> None:
        query = self._connection.execute
        query("PRAGMA journal_mode = WAL")
        query("PRAGMA synchronous = FULL")
        query("PRAGMA foreign_keys = ON")
        if tables:
            return
        with self._transaction():
            for statement in _TABLES.split(";"):
                query(statement)
            self._insert("sqlite_sequence", name="Execution", seq=first_execution - 1)
            query(f"PRAGMA application_id = {APPLICATION_ID}")
            query(f"PRAGMA user_version = {SCHEMA_VERSION}")

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
        """Makes the changes of the block together or not at all."""
        with self._readable():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Returns the rows that a statement gives; one that changes something gives none."""
        with self._readable(), closing(self._connection.execute(statement, values)) as rows:
            return rows.fetchall()

    def _insert(self, table: str, **values: Any) -> int:
        """Adds a row to a table and returns its id."""
        columns, marks = ", ".join(values), ", ".join("?" * len(values))
        statement = f"INSERT INTO {table} ({columns}) VALUES ({marks})"
        return int(self._connection.execute(statement, tuple(values.values())).lastrowid or 0)

    def _insert_dated(self, table: str, **values: Any) -> int:
        """Adds a row that has the times at which it was made and last changed."""
        moment = now()
        return self._insert(
            table,
            **values,
            create_time_since_epoch=moment,
            last_update_time_since_epoch=moment,
        )


def now() -> int:
    """Returns the milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
