"""Executes one component: staging folder, publication, and what is kept of a failure."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...components.base.artifacts import MANIFEST, Artifact
from ...components.base.component import Component, ExecutionContext
from ...components.io import filesystem
from ..cache.plan import Decision
from ..metadata.metadata_store import MetadataStore
from ..metadata.records import ArtifactRecord
from .faults import Interrupted, Signals
from .pipeline import Pipeline
from .root import Root
from .run_log import only_logged
from .run_record import Record

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
        pipeline: the pipeline.
        root: the pipeline root.
        store: the metadata store.
        run: the run's record.
        signals: holds signals back while an execution is published.
        progress: `progress(component, fraction, text)` is told how far a stage is.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        root: Root,
        store: MetadataStore,
        run: Record,
        signals: Signals,
        progress: Callable[[str, float | None, str], None],
    ):
        self.pipeline, self.root, self.store, self.run = pipeline, root, store, run
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
            self.pipeline.method,
            self.run["run_id"],
            decision.key,
            {name: artifact.id for name, artifact in decision.inputs.items()},
            {
                "fingerprint": decision.fingerprint,
                "parameters": component.parameters.model_dump(mode="json"),
                "source": self.pipeline.source,
                "reason": decision.reason,
                "versions": self.run["versions"],
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
                "stop": context.stop and dataclasses.asdict(context.stop),
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
            name: component.INPUTS[name](self.root.absolute(record.uri), record.properties)
            for name, record in decision.inputs.items()
        }
        return ExecutionContext(
            inputs=inputs,
            outputs=outputs,
            parameters=component.parameters,
            functions=component.functions,
            beam_arguments=tuple(self.pipeline.beam_arguments),
            checkpoint_dir=checkpoints,
            serving_dir=self.root.serving,
            data_dir=None if component.INPUTS else self.pipeline.data_dir,
            model_name=self.pipeline.method,
            progress=lambda fraction, text: self.progress(component.name, fraction, text),
        )

    def _is_complete(self, execution_id: int) -> bool:
        with only_logged():
            execution = self.store.execution(execution_id)
            return execution is not None and execution.state == "COMPLETE"
        return False

    def _publish(
        self,
        component: Component,
        execution_id: int,
        outputs: Mapping[str, Artifact],
        properties: Mapping[str, Any],
    ) -> None:
        relative = self._relative(component, execution_id)
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

    def _relative(self, component: Component, execution_id: int) -> str:
        return self.root.relative_artifact(self.pipeline.method, component.name, execution_id)

    def _abandon(
        self, component: Component, execution_id: int, error: BaseException, checkpoints: str
    ) -> list[str]:
        """Keeps a failed execution's dead letters, and removes the rest.

        On a full disk some of this fails as well; the next run then does it.
        """
        letters: list[str] = []
        relative = self._relative(component, execution_id)
        interrupted = isinstance(error, Interrupted)
        with only_logged():
            letters = self._keep_dead_letters(component, execution_id)
        for folder in (self.root.staging(str(execution_id)), self.root.absolute(relative)):
            with only_logged():
                filesystem.remove_tree(folder)
        with only_logged():
            if next(filesystem.walk(checkpoints), None) is None:
                filesystem.remove_tree(checkpoints)
        with only_logged():
            self.store.end_execution(
                execution_id,
                "CANCELED" if interrupted else "FAILED",
                {
                    "ended": "was interrupted" if interrupted else "failed",
                    "error": f"{type(error).__name__}: {error}",
                },
            )
        return letters

    def _keep_dead_letters(self, component: Component, execution_id: int) -> list[str]:
        kept: list[str] = []
        staged = self.root.staging(str(execution_id))
        for name in filesystem.walk(staged):
            path = filesystem.join(staged, name)
            if os.path.basename(name) != _DEAD_LETTERS or not filesystem.size(path):
                continue
            number = f"-{len(kept) + 1}" if kept else ""
            relative = f"runs/{self.run['run_id']}/{component.name}-dead_letters{number}.jsonl"
            filesystem.copy_file(path, self.root.absolute(relative))
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


def _copy_manifests_last(source: str, target: str) -> None:
    names = list(filesystem.walk(source))
    manifests = [name for name in names if os.path.basename(name) == MANIFEST]
    for name in [*(name for name in names if name not in manifests), *manifests]:
        filesystem.copy_file(filesystem.join(source, name), filesystem.join(target, name))
