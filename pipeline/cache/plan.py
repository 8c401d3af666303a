"""What a run has to do: which of the stages are cached, and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from ...components.base.artifacts import Artifact
from ...components.base.component import Component, LatestBlessed
from ..metadata.metadata_store import MetadataStore
from ..metadata.records import ArtifactRecord, Execution
from ..run.pipeline import Pipeline
from ..run.root import Root
from . import fingerprint
from .fingerprint import Fingerprint
from .source_code import SourceCode

HIT = "same input, same code"


@dataclasses.dataclass(frozen=True)
class Decision:
    """Whether a stage is cached.

    Args:
        fingerprint: all that the stage depends on.
        key: the fingerprint's hash.
        inputs: artifacts by input name.
        reason: why, as the screen shows it.
        cached: the execution whose outputs are used again, or `None`.
        outputs: that execution's outputs.
    """

    fingerprint: Fingerprint
    key: str
    inputs: Mapping[str, ArtifactRecord]
    reason: str
    cached: Execution | None = None
    outputs: Mapping[str, ArtifactRecord] = dataclasses.field(default_factory=dict)


class Planner:
    """Decides for one stage after another.

    Args:
        pipeline: the pipeline.
        root: the pipeline root.
        store: the metadata store, or `None` for a root that has none yet.
        forced: reasons to run by name of component, for those that run in any case.

    Raises:
        TypeError: a function of a component cannot be described.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        root: Root,
        store: MetadataStore | None,
        forced: Mapping[str, str],
    ):
        self.pipeline, self.root, self.store, self.forced = pipeline, root, store, forced
        self._outputs: dict[str, Mapping[str, ArtifactRecord]] = {}
        self._ran: set[str] = set()
        code = SourceCode()
        data = fingerprint.data_files(pipeline.data_dir)
        # All source files are read now, before any stage loads them: an edit during the run
        # belongs to the next one.
        self._static = {
            component.name: fingerprint.static_part(
                component,
                None if component.INPUTS else pipeline.source,
                None if component.INPUTS else data,
                code,
            )
            for component in pipeline.components
        }

    def decide(self, component: Component) -> Decision:
        """Decides whether a component is cached; it follows those whose outputs it reads."""
        inputs = {
            name: self._outputs[channel.component][channel.output]
            for name, channel in component.channels.items()
            if channel.component in self._outputs
        }
        # In a dry run a component that would run has made nothing.
        unmade = component.channels.keys() - inputs.keys()
        inputs |= self._resolved(component, inputs)
        full: Fingerprint = {
            **self._static[component.name],
            "inputs": {name: record.execution_id for name, record in inputs.items()}
            | dict.fromkeys(unmade),
        }
        key = fingerprint.key(full)
        cached, reason = self._look_up(component, full, key)
        if cached is None:
            self._ran.add(component.name)
            return Decision(full, key, inputs, reason)
        outputs = self._outputs[component.name]
        return Decision(full, key, inputs, reason, cached, outputs)

    def made(self, component: Component, outputs: Mapping[str, ArtifactRecord]) -> None:
        """Tells what a component that was not cached has made."""
        self._outputs[component.name] = outputs

    def _look_up(
        self, component: Component, full: Fingerprint, key: str
    ) -> tuple[Execution | None, str]:
        """Returns the execution to use again, if there is one, and why or why not."""
        if component.name in self.forced:
            return None, self.forced[component.name]
        if self.store is None:
            return None, "first run"
        attempts = self.store.with_fingerprint(self.pipeline.method, component.name, key)
        complete = [attempt for attempt in attempts if attempt.state == "COMPLETE"]
        if complete:
            outputs = self.store.outputs(complete[0].id)
            problem = self._problem(component, outputs)
            if problem is not None:
                return None, f"miss: {problem}"
            self._outputs[component.name] = outputs
            return complete[0], HIT
        if attempts:
            ended = attempts[0].properties.get("ended", attempts[0].state.lower())
            return None, f"miss: the last attempt {ended}"
        return None, self._changed(component, full, self.store)

    def _changed(self, component: Component, full: Fingerprint, store: MetadataStore) -> str:
        """Says what changed since the earlier execution that differs least."""
        channels = component.channels
        makers = {
            name: (channel.component, channel.component in self._ran)
            for name, channel in channels.items()
        }
        compared: list[tuple[int, Sequence[str]]] = []
        for execution in store.recent(self.pipeline.method, component.name):
            old = execution.properties.get("fingerprint", {})
            resolved = component.inputs.keys() - channels.keys()
            differences = fingerprint.differences(old, full, makers, resolved)
            # Another source has other code, options and files: that goes without saying.
            source = fingerprint.source_change(old, full, self.pipeline.data_dir)
            compared.append((len(differences), source or differences))
        if not compared:
            return "first run"
        return fingerprint.reason(min(compared, key=lambda entry: entry[0])[1])

    def _problem(self, component: Component, outputs: Mapping[str, ArtifactRecord]) -> str | None:
        artifacts = {
            name: self.artifact(component.OUTPUTS[name], record) for name, record in outputs.items()
        }
        for name in component.OUTPUTS:
            if name not in artifacts:
                return f"artifact {name}: it was not recorded"
            problem = artifacts[name].problem()
            if problem is not None:
                return f"artifact {name}: {problem}"
        return component.stale(artifacts, self.root.serving)

    def _resolved(
        self, component: Component, inputs: Mapping[str, ArtifactRecord]
    ) -> dict[str, ArtifactRecord]:
        """Returns the inputs that come of the last blessed model, where there is one."""
        resolved: dict[str, ArtifactRecord] = {}
        if self.store is None or "model" not in inputs:
            return resolved
        for name, origin in component.inputs.items():
            if isinstance(origin, LatestBlessed):
                kind = origin.artifact_type
                records = self.store.of_blessed_models(
                    kind.TYPE_NAME,
                    self.pipeline.method,
                    self.pipeline.source,
                    before=inputs["model"].execution_id,
                )
                for record in records:
                    if self.artifact(kind, record).problem() is None:
                        resolved[name] = record
                        break
        return resolved

    def artifact(self, kind: type[Artifact], record: ArtifactRecord) -> Artifact:
        """Returns the artifact of a record of the store."""
        return kind(self.root.absolute(record.uri), record.properties)
