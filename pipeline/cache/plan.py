"""What a run has to do: the order of the stages, and which of them are cached and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ...components.base.artifacts import Artifact, ModelEvaluation
from ...components.base.component import Component
from ...components.base.errors import did_you_mean
from ..metadata.metadata_store import ArtifactRecord, Execution, MetadataStore
from ..run.root import Root
from . import fingerprint
from .fingerprint import BASELINE
from .source_code import SourceCode

HIT = "same input, same code"


def ordered(components: Sequence[Component]) -> list[Component]:
    """Sorts components so that each follows those whose outputs it reads.

    Components that do not depend on one another keep their order.

    Raises:
        ValueError: two components of one name, a channel that nobody makes, or a cycle.
    """
    by_name: dict[str, Component] = {}
    for component in components:
        if component.name in by_name:
            raise ValueError(f"A pipeline holds each component once. Received: {component.name}")
        by_name[component.name] = component
    for component in components:
        for name, channel in component.inputs.items():
            producer = by_name.get(channel.component)
            if producer is None or channel.output not in producer.OUTPUTS:
                raise ValueError(
                    f"{component.name}'s input {name!r} is made by no component of this pipeline. "
                    f"Received: {channel.component}.{channel.output}"
                )
    waiting, done = list(components), []
    while waiting:
        placed = {component.name for component in done}
        ready = next((part for part in waiting if producers(part) <= placed), None)
        if ready is None:
            raise ValueError(
                "The channels of a pipeline go in no circle. Received: "
                + ", ".join(component.name for component in waiting)
            )
        waiting.remove(ready)
        done.append(ready)
    return done


def producers(component: Component) -> set[str]:
    """Returns the names of the components whose outputs a component reads."""
    return {channel.component for channel in component.inputs.values()}


def snake_case(name: str) -> str:
    """Returns a component's name as on the command line: `ExampleGen` is `example_gen`."""
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name).lstrip("_")


def find_component(name: str, known: Sequence[str]) -> str:
    """Returns the component's class name for a name in either spelling.

    Raises:
        ValueError: there is no such component.
    """
    for candidate in known:
        if name in (candidate, snake_case(candidate)):
            return candidate
    spelt = [snake_case(candidate) for candidate in known]
    near = did_you_mean(snake_case(name) if name != name.lower() else name, spelt)
    raise ValueError(
        f"There is no component {name!r}{near} Known: {', '.join(spelt)}. Received: {name!r}"
    )


@dataclasses.dataclass(frozen=True)
class Decision:
    """Whether a stage is cached.

    Args:
        fingerprint: all that the stage depends on.
        key: the fingerprint's hash.
        cached: the execution whose outputs are used again, or `None`.
        outputs: that execution's outputs.
        reason: why, as the screen shows it.
        inputs: artifacts by input name.
    """

    fingerprint: fingerprint.Fingerprint
    key: str
    cached: Execution | None
    outputs: dict[str, ArtifactRecord]
    reason: str
    inputs: dict[str, ArtifactRecord]


class Planner:
    """Decides for one stage after another.

    Args:
        components: in the order in which they run.
        store: the metadata store, or `None` for a root that has none yet.
        root: the pipeline root.
        method: the method's name.
        source: the source's name.
        data_dir: the user's data, or `None`.
        from_stage: this stage and all that hang on it run again.
        use_cache: `False` runs every stage again.

    Raises:
        TypeError: a function of a component cannot be described.
    """

    def __init__(
        self,
        components: Sequence[Component],
        *,
        store: MetadataStore | None,
        root: Root,
        method: str,
        source: str,
        data_dir: str | None = None,
        from_stage: str | None = None,
        use_cache: bool = True,
    ):
        self.store, self.root, self.method, self.source = store, root, method, source
        self.data_dir = data_dir
        code = SourceCode()
        data = fingerprint.data_files(data_dir)
        # All source files are read now, before any stage loads them: an edit during the run
        # belongs to the next one.
        self._static = {
            component.name: fingerprint.static_part(
                component,
                None if component.INPUTS else source,
                None if component.INPUTS else data,
                code,
            )
            for component in components
        }
        self._forced: dict[str, str] = {}
        for component in components:
            if not use_cache:
                self._forced[component.name] = "--no-cache"
            elif from_stage is not None and (
                component.name == from_stage or producers(component) & self._forced.keys()
            ):
                self._forced[component.name] = f"--from-stage {snake_case(from_stage)}"

    def decide(
        self,
        component: Component,
        done: Mapping[str, Mapping[str, ArtifactRecord] | None],
        ran: set[str],
    ) -> Decision:
        """Decides whether a component is cached.

        Args:
            component: the component.
            done: the outputs of the components before it; `None` for one that would have to run
                first, in a dry run.
            ran: names of the components that run in this run.
        """
        inputs: dict[str, ArtifactRecord] = {}
        unknown: list[str] = []
        for name, channel in component.inputs.items():
            outputs = done[channel.component]
            if outputs is None:
                unknown.append(name)
            else:
                inputs[name] = outputs[channel.output]
        baseline = self._baseline(component, inputs)
        if baseline is not None:
            inputs[BASELINE] = baseline
        full: fingerprint.Fingerprint = {
            **self._static[component.name],
            "inputs": {name: record.execution_id for name, record in inputs.items()}
            | dict.fromkeys(unknown),
        }
        key = fingerprint.key(full)
        reason = self._forced.get(component.name)
        if reason is None and self.store is None:
            reason = "first run"
        if reason is not None or self.store is None:
            return Decision(full, key, None, {}, reason or "", inputs)
        attempts = self.store.with_fingerprint(self.method, component.name, key)
        complete = [attempt for attempt in attempts if attempt.state == "COMPLETE"]
        if complete and not unknown:
            cached = complete[0]
            outputs = self.store.outputs(cached.id)
            problem = self._problem(component, outputs)
            if problem is None:
                return Decision(full, key, cached, outputs, HIT, inputs)
            return Decision(full, key, None, {}, f"miss: {problem}", inputs)
        makers = {
            name: (channel.component, channel.component in ran)
            for name, channel in component.inputs.items()
        }
        return Decision(full, key, None, {}, self._miss(component, full, attempts, makers), inputs)

    def _miss(
        self,
        component: Component,
        full: fingerprint.Fingerprint,
        attempts: Sequence[Execution],
        makers: Mapping[str, tuple[str, bool]],
    ) -> str:
        if self.store is None:
            return "first run"
        if attempts:
            ended = attempts[0].properties.get("ended", attempts[0].state.lower())
            return f"miss: the last attempt {ended}"
        compared = []
        for execution in self.store.recent(self.method, component.name):
            old = execution.properties.get("fingerprint", {})
            differences = fingerprint.differences(old, full, makers)
            # Another source has other code, options and files: that goes without saying.
            source = fingerprint.source_change(old, full, self.data_dir)
            compared.append((len(differences), source or differences))
        if not compared:
            return "first run"
        return fingerprint.reason(min(compared, key=lambda found: found[0])[1])

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

    def _baseline(self, component: Component, inputs: Mapping[str, Any]) -> ArtifactRecord | None:
        """Returns the evaluation of the last blessed model that is older than the input model."""
        if (
            self.store is None
            or BASELINE in component.inputs
            or component.INPUTS.get(BASELINE) is not ModelEvaluation
            or "model" not in inputs
        ):
            return None
        candidates = self.store.blessed_evaluations(
            self.method, self.source, inputs["model"].execution_id
        )
        for record in candidates:
            if self.artifact(ModelEvaluation, record).problem() is None:
                return record
        return None

    def artifact(self, kind: type[Artifact], record: ArtifactRecord) -> Artifact:
        """Returns the artifact of a record of the store."""
        return kind(self.root.absolute(record.uri), record.properties)
