"""Where things lie in a pipeline root."""

from __future__ import annotations

import hashlib
import os

from ...components.io import filesystem
from ..metadata.metadata_store import MetadataStore


class Root:
    """The layout of a pipeline root, and the files that stay on this machine.

    A root at a remote path (`gs://…`) keeps its metadata store, its lock and its logs in a local
    folder, `~/.methodical/<hash of the root>/`, or where `METHODICAL_METADATA` names the store's
    file.

    ```python
    Root("/data/root").serving  # "/data/root/serving"
    ```

    Args:
        path: string. The pipeline root.
    """

    def __init__(self, path: str):
        self.is_remote = filesystem.is_remote(path)
        self.path = path.rstrip("/") if self.is_remote else os.path.abspath(path)
        if not self.is_remote:
            self.metadata = os.path.join(self.path, "metadata.sqlite")
        elif os.environ.get("METHODICAL_METADATA"):
            self.metadata = os.path.abspath(os.environ["METHODICAL_METADATA"])
        else:
            digest = hashlib.sha256(self.path.encode()).hexdigest()[:16]
            self.metadata = os.path.expanduser(f"~/.methodical/{digest}/metadata.sqlite")
        self.local = os.path.dirname(self.metadata)

    @property
    def lock(self) -> str:
        """The lock's file."""
        return os.path.join(self.local, "lock")

    @property
    def serving(self) -> str:
        """Folder into which models are pushed."""
        return filesystem.join(self.path, "serving")

    @property
    def has_store(self) -> bool:
        """Whether there is a metadata store."""
        return os.path.exists(self.metadata)

    def absolute(self, relative: str) -> str:
        """Returns the path of a file that is named relative to the root."""
        return filesystem.join(self.path, *relative.split("/"))

    def staging(self, *names: str) -> str:
        """Returns the folder in which an execution writes."""
        return filesystem.join(self.path, "staging", *names)

    def checkpoints(self, *names: str) -> str:
        """Returns the folder that outlives a kill of an execution, by fingerprint."""
        return filesystem.join(self.path, "checkpoints", *names)

    def run(self, run_id: str, *names: str) -> str:
        """Returns a path in a run's folder."""
        return filesystem.join(self.path, "runs", run_id, *names)

    def log(self, run_id: str) -> str:
        """Returns the path of a run's log, which is local."""
        return os.path.join(self.local, "runs", run_id, "log.txt")

    def relative_artifact(self, method: str, component: str, execution_id: int) -> str:
        """Returns the folder of an execution's artifacts, relative to the root."""
        return f"artifacts/{method}/{component}/{execution_id}"

    def open_store(self, read_only: bool = False) -> MetadataStore:
        """Opens the metadata store.

        In a root whose store was lost, new executions are numbered after the folders that lie
        there, so that nothing is overwritten.

        Raises:
            MetadataError: the file cannot be read.
            FileNotFoundError: read-only, and there is no store.
        """
        if read_only or self.has_store:
            return MetadataStore(self.metadata, read_only)
        os.makedirs(self.local, exist_ok=True)
        return MetadataStore(self.metadata, first_execution=self._last_folder() + 1)

    def _last_folder(self) -> int:
        last, artifacts = 0, filesystem.join(self.path, "artifacts")
        for method in filesystem.list_dir(artifacts):
            for component in filesystem.list_dir(filesystem.join(artifacts, method)):
                folder = filesystem.join(artifacts, method, component)
                last = max([last, *map(int, filter(str.isdigit, filesystem.list_dir(folder)))])
        return last
