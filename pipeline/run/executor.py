"""Executes one component: staging folder, publication, and what is kept of a failure."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...components.base.artifacts import MANIFEST, Artifact
from ...components.base.component import Component, ExecutionContext, Stop
from ...components.io import filesystem
from ..cache.plan import Decision
from ..metadata.metadata_store import ArtifactRecord, MetadataStore
from .faults import Interrupted, Signals
from .root import Root
from .run_log import log_exception

_CHECKPOINT_SECONDS = 30 * 24 * 3600
_DEAD_LETTERS = "dead_letters.jsonl"


class StageFailed(Exception):
    """A component raised the error that is this one's cause.

    Args:
        component: the component's name.
        dead_letters: files that were kept, relative to the root.
    """

    def __init__(self, component: str, dead_letters: Sequence[str] = ()):
        self.component, self.dead_letters = component, list(dead_letters)
        super().__init__(component)


class Executor:
    """Executes the components of one run.

    Args:
        store: the metadata store.
        root: the pipeline root.
        run_id: string.
        method: string. The method's name.
        source: string. The source's name.
        data_dir: string. The user's data, or `None`.
        beam_arguments: Beam flags.
        versions: versions of what runs, for the store.
        signals: holds signals back while an execution is published.
        progress: `progress(component, fraction, text)` is told how far a stage is.
    """

    def __init__(
        self,
        store: MetadataStore,
        root: Root,
        *,
        run_id: str,
        method: str,
        source: str,
        data_dir: str | None,
        beam_arguments: Sequence[str],
        versions: Mapping[str, str],
        signals: Signals,
        progress: Callable[[str, float | None, str], None],
    ):
        self.store, self.root, self.run_id, self.method = store, root, run_id, method
        self.source, self.data_dir, self.versions = source, data_dir, dict(versions)
        self.beam_arguments = tuple(beam_arguments)
        self.signals, self.progress = signals, progress

    def execute(
        self, component: Component, decision: Decision
    ) -> tuple[int, dict[str, ArtifactRecord], dict[str, Any]]:
        """Executes a component and publishes what it made.

        Returns:
            The execution's id, its outputs, and its properties (`summary`, `counters`, `stop`).

        Raises:
            StageFailed: the component or the publication failed; nothing is published then.
        """
        began = time.monotonic()
        execution_id = self.store.start_execution(
            component.name,
            self.method,
            self.run_id,
            decision.key,
            {name: found.id for name, found in decision.inputs.items()},
            {
                "fingerprint": decision.fingerprint,
                "parameters": component.parameters.model_dump(mode="json"),
                "source": self.source,
                "reason": decision.reason,
                "versions": self.versions,
            },
        )
        checkpoints = self.root.checkpoints(decision.key)
        try:
            context = self._context(component, decision, execution_id, checkpoints)
            component.execute(context)
            for artifact in context.outputs.values():
                artifact.write_manifest()
            properties = {
                "summary": context.summary,
                "counters": dict(context.counters),
                "seconds": round(time.monotonic() - began, 3),
                "stop": _stop(context.stop),
            }
            with self.signals.held():
                self._publish(component, execution_id, context.outputs, properties)
        except (Exception, Interrupted) as error:
            if self._is_complete(execution_id):
                # The signal came while the stage was published: what it made stays.
                raise StageFailed(component.name) from error
            letters = self._abandon(component, execution_id, error, checkpoints)
            raise StageFailed(component.name, letters) from error
        filesystem.remove_tree(checkpoints)
        return execution_id, self.store.outputs(execution_id), properties

    def _context(
        self, component: Component, decision: Decision, execution_id: int, checkpoints: str
    ) -> ExecutionContext:
        outputs = {
            name: kind(self.root.staging(str(execution_id), name))
            for name, kind in component.OUTPUTS.items()
        }
        for artifact in outputs.values():
            filesystem.make_dirs(artifact.uri)
        filesystem.make_dirs(checkpoints)
        inputs = {
            name: component.INPUTS[name](self.root.absolute(found.uri), found.properties)
            for name, found in decision.inputs.items()
        }
        return ExecutionContext(
            inputs=inputs,
            outputs=outputs,
            parameters=component.parameters,
            functions=component.functions,
            beam_arguments=self.beam_arguments,
            checkpoint_dir=checkpoints,
            serving_dir=self.root.serving,
            data_dir=None if component.INPUTS else self.data_dir,
            model_name=self.method,
            progress=lambda fraction, text: self.progress(component.name, fraction, text),
        )

    def _is_complete(self, execution_id: int) -> bool:
        try:
            found = self.store.execution(execution_id)
        except Exception as error:
            log_exception(error)
            return False
        return found is not None and found.state == "COMPLETE"

    def _publish(
        self,
        component: Component,
        execution_id: int,
        outputs: Mapping[str, Artifact],
        properties: Mapping[str, Any],
    ) -> None:
        relative = self.root.relative_artifact(self.method, component.name, execution_id)
        target, staged = self.root.absolute(relative), self.root.staging(str(execution_id))
        if self.root.is_remote:
            _copy_manifests_last(staged, target)
        else:
            filesystem.make_dirs(os.path.dirname(target))
            filesystem.rename(staged, target)
        self.store.publish(
            execution_id,
            {
                name: (artifact.TYPE_NAME, f"{relative}/{name}", artifact.properties)
                for name, artifact in outputs.items()
            },
            properties,
        )
        if self.root.is_remote:
            filesystem.remove_tree(staged)

    def _abandon(
        self, component: Component, execution_id: int, error: BaseException, checkpoints: str
    ) -> list[str]:
        """Keeps a failed execution's dead letters, and removes the rest.

        On a full disk some of this fails as well; the next run then does it.
        """
        letters: list[str] = []
        relative = self.root.relative_artifact(self.method, component.name, execution_id)
        interrupted = isinstance(error, Interrupted)

        def forget_empty_checkpoints() -> None:
            if next(filesystem.walk(checkpoints), None) is None:
                filesystem.remove_tree(checkpoints)

        steps: list[Callable[[], None]] = [
            lambda: letters.extend(self._keep_dead_letters(component, execution_id)),
            lambda: filesystem.remove_tree(self.root.staging(str(execution_id))),
            lambda: filesystem.remove_tree(self.root.absolute(relative)),
            forget_empty_checkpoints,
            lambda: self.store.end_execution(
                execution_id,
                "CANCELED" if interrupted else "FAILED",
                {
                    "ended": "was interrupted" if interrupted else "failed",
                    "error": f"{type(error).__name__}: {error}",
                },
            ),
        ]
        for step in steps:
            try:
                step()
            except Exception as further:
                log_exception(further)
        return letters

    def _keep_dead_letters(self, component: Component, execution_id: int) -> list[str]:
        kept: list[str] = []
        staged = self.root.staging(str(execution_id))
        for name in filesystem.walk(staged):
            path = filesystem.join(staged, name)
            if os.path.basename(name) != _DEAD_LETTERS or not filesystem.size(path):
                continue
            number = f"-{len(kept) + 1}" if kept else ""
            relative = f"runs/{self.run_id}/{component.name}-dead_letters{number}.jsonl"
            filesystem.make_dirs(self.root.run(self.run_id))
            _copy(path, self.root.absolute(relative))
            kept.append(relative)
        return kept


def clean(store: MetadataStore, root: Root) -> None:
    """Removes what killed runs left: staging folders, and folders published but not recorded.

    Checkpoints stay, for the next attempt at the same execution, for thirty days.
    """
    for execution, method in store.running():
        folder = root.relative_artifact(method, execution.type, execution.id)
        filesystem.remove_tree(root.absolute(folder))
        store.end_execution(execution.id, "CANCELED", {"ended": "was killed"})
    filesystem.remove_tree(root.staging())
    for run in store.runs():
        if run.properties.get("state") == "running":
            store.put_run(run.id, {"state": "killed"})
    if root.is_remote:
        return
    for name in filesystem.list_dir(root.checkpoints()):
        folder = root.checkpoints(name)
        if time.time() - os.path.getmtime(folder) > _CHECKPOINT_SECONDS:
            filesystem.remove_tree(folder)


def _stop(stop: Stop | None) -> dict[str, str] | None:
    return None if stop is None else {"kind": stop.kind, "message": stop.message}


def _copy(source: str, target: str) -> None:
    with (
        filesystem.open_file(source, "rb") as reader,
        filesystem.open_file(target, "wb") as writer,
    ):
        while block := reader.read(1 << 20):
            writer.write(block)


def _copy_manifests_last(source: str, target: str) -> None:
    names = list(filesystem.walk(source))
    manifests = [name for name in names if os.path.basename(name) == MANIFEST]
    for name in [*(name for name in names if name not in manifests), *manifests]:
        into = filesystem.join(target, name)
        filesystem.make_dirs(into.rpartition("/")[0])
        _copy(filesystem.join(source, name), into)
