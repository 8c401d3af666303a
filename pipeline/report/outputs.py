"""Finds the artifacts of a run for its report, and turns what is missing or broken into a note."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from ...components.base.artifacts import Artifact
from ...components.io import filesystem

NOT_REACHED = "not reached"
Kind = TypeVar("Kind", bound=Artifact)


class Outputs:
    """The published outputs of a run's stages.

    Args:
        run: the `run.json` document.
        root: the pipeline root that the document's paths are relative to.
    """

    def __init__(self, run: Mapping[str, Any], root: str):
        self.root = root
        self.run = run
        self.stages = {stage["component"]: stage for stage in run.get("stages") or ()}

    def artifact(self, component: str, output: str, kind: type[Kind]) -> Kind | None:
        """Returns an output of a stage, or `None` if the run has not got it."""
        stage = self.stages.get(component) or {}
        path = (stage.get("outputs") or {}).get(output)
        if not path:
            return None
        uri = filesystem.join(self.root, path)
        if not filesystem.exists(uri):
            return None
        return kind(uri, ((stage.get("properties") or {}).get(output)) or {})

    def run_path(self, *names: str) -> str:
        """Returns a path in the run's own folder."""
        return filesystem.join(self.root, "runs", self.run["run_id"], *names)


def guarded(make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Makes a section of the report; one that cannot be made says so and takes no run down.

    Returns:
        What `make` returns, or `{"problem": text}`.
    """
    try:
        return make()
    except Exception as error:  # A report of a broken artifact is what one needs most.
        return {"problem": f"{type(error).__name__}: {error}"}


def json_rows(path: str, most: int | None = None) -> Iterator[dict[str, Any]]:
    """Yields the rows of a JSON-lines file, at most `most`; a missing file has none."""
    if filesystem.exists(path):
        with filesystem.open_file(path) as reader:
            for line in itertools.islice(reader, most):
                if line.strip():
                    yield json.loads(line)


def count_lines(path: str) -> int:
    """Returns the number of lines of a text file; a missing file has none."""
    if not filesystem.exists(path):
        return 0
    with filesystem.open_file(path, "rb") as reader:
        return sum(1 for _ in reader)


def plain(value: Any, most: int = 400) -> str:
    """Returns any JSON value, or the bytes of a feature, as one text of bounded length."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, (list, tuple)) and all(
        isinstance(entry, (str, bytes, int, float)) for entry in value
    ):
        text = ", ".join(plain(entry, most) for entry in value[:200])
    elif isinstance(value, str):
        text = value
    elif isinstance(value, float):
        text = f"{value:.6g}"
    else:
        text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= most else text[: most - 1] + "…"
