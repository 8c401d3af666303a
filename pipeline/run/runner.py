"""The runner: takes a pipeline's components from the cache or executes them, in order.

An execution writes into `staging/<id>/`. It is published by one rename to
`artifacts/<method>/<component>/<id>/`, followed by one metadata transaction; on a remote root,
where no rename is atomic, by a copy that writes the manifests last. A kill at any moment leaves
nothing half-published: what it left is removed at the start of the next run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...components.base.artifacts import ModelEvaluation
from ...components.base.component import Component, Stop
from ...components.io import filesystem
from ..cache.plan import Decision, Planner, find_component, ordered, producers, snake_case
from ..metadata.metadata_store import ArtifactRecord, MetadataStore
from . import faults, run_record
from .executor import Executor, StageFailed, clean
from .faults import Interrupted, Signals
from .lock import Lock, LockedError
from .root import Root
from .run_log import RunLog, log_exception
from .run_record import Record


class Listener:
    """Is told how a run goes on; the screen is one. These methods do nothing."""

    def run_started(self, record: Record) -> None:
        """The run has begun."""

    def stage_started(self, component: str, reason: str) -> None:
        """A stage that is not cached begins."""

    def stage_progress(self, component: str, fraction: float | None, text: str) -> None:
        """A stage tells how far it is."""

    def stage_finished(self, record: Record, stage: Record) -> None:
        """A stage has ended, or was cached."""

    def warning(self, text: str) -> None:
        """Something that did not end the run."""

    def run_finished(self, record: Record) -> None:
        """The run has ended in any way."""


class _Stopped(Exception):
    def __init__(self, stop: Stop, component: str):
        self.stop, self.component = stop, component
        super().__init__(stop.message)


class Runner:
    """Runs or plans a pipeline.

    ```python
    record = Runner(components, method="babi", source="simulated", root="/tmp/root").run()
    record["exit_code"]  # 0
    ```

    Args:
        components: the pipeline's components, in any order.
        method: string. Names the pipeline, its artifacts and its served model.
        source: string. Where the examples come from.
        root: string. The pipeline root, local or remote.
        data_dir: string. The user's data, or `None`.
        title: string. Shown in the report.
        beam_arguments: Beam flags for the data stages.
        from_stage: string. This stage and all that hang on it run again.
        to_stage: string. Only this stage and what it needs runs.
        use_cache: boolean. `False` runs every stage again.
        command: string. The command line that gives this run again.
        ask_command: string. The command line that asks the model which this run pushes.
        listener: is told how the run goes on.
        report: `report(record, root)` renders the report and returns its path.
        capture_stderr: boolean. What native code writes to stderr goes to the run's log.

    Raises:
        ValueError: the channels do not fit together, or a stage is unknown.
    """

    def __init__(
        self,
        components: Sequence[Component],
        *,
        method: str,
        source: str,
        root: str,
        data_dir: str | None = None,
        title: str = "",
        beam_arguments: Sequence[str] = (),
        from_stage: str | None = None,
        to_stage: str | None = None,
        use_cache: bool = True,
        command: str = "",
        ask_command: str = "",
        listener: Listener | None = None,
        report: Callable[[Record, str], str] | None = None,
        capture_stderr: bool = False,
    ):
        self.components = ordered(components)
        names = [component.name for component in self.components]
        self.method, self.title, self.source = method, title, source
        self.data_dir = data_dir
        self.root = Root(root)
        self.beam_arguments = tuple(beam_arguments)
        self.from_stage = find_component(from_stage, names) if from_stage else None
        self.to_stage = find_component(to_stage, names) if to_stage else None
        self.use_cache = use_cache
        self.command = command
        self.ask_command = ask_command
        self.listener = listener or Listener()
        self.report = report
        self.capture_stderr = capture_stderr
        self._wanted = self._needed_for(self.to_stage) if self.to_stage else set(names)
        if self.from_stage and self.from_stage not in self._wanted:
            raise ValueError(
                f"--to-stage {snake_case(self.to_stage or '')} does not need --from-stage "
                f"{snake_case(self.from_stage)}. Received: --from-stage {from_stage}"
            )

    def _needed_for(self, last: str) -> set[str]:
        needed = {last}
        for component in reversed(self.components):
            if component.name in needed:
                needed |= producers(component)
        return needed

    def _new_record(self) -> Record:
        return run_record.new_record(
            method=self.method,
            title=self.title,
            source=self.source,
            data_dir=self.data_dir,
            root=self.root,
            command=self.command,
        )

    def _planner(self, store: MetadataStore | None) -> Planner:
        return Planner(
            self.components,
            store=store,
            root=self.root,
            method=self.method,
            source=self.source,
            data_dir=self.data_dir,
            from_stage=self.from_stage,
            use_cache=self.use_cache,
        )

    def plan(self) -> Record:
        """Says which stages a run would take from the cache, and why; writes nothing.

        Returns:
            A run record in state `planned`, its stages in state `cached`, `would run` or
            `skipped`.

        Raises:
            MetadataError: the metadata store cannot be read.
        """
        record = self._new_record()
        record["state"], record["exit_code"] = "planned", faults.OK
        try:
            store: MetadataStore | None = self.root.open_store(read_only=True)
        except FileNotFoundError:
            store = None
        try:
            planner = self._planner(store)
            done: dict[str, Mapping[str, ArtifactRecord] | None] = {}
            ran: set[str] = set()
            for component in self.components:
                stage = run_record.new_stage(component.name)
                record["stages"].append(stage)
                if component.name not in self._wanted:
                    stage["reason"] = f"--to-stage {snake_case(self.to_stage or '')}"
                    continue
                decision = planner.decide(component, done, ran)
                stage["parameters"] = component.parameters.model_dump(mode="json")
                stage["reason"] = decision.reason
                if decision.cached is None:
                    ran.add(component.name)
                    done[component.name] = None
                    stage["state"] = "would run"
                else:
                    done[component.name] = decision.outputs
                    self._fill_cached(stage, decision)
        finally:
            if store is not None:
                store.close()
        return record

    def run(self) -> Record:
        """Runs the pipeline.

        Returns:
            The run record; its `exit_code` says how the run ended. Errors of stages do not come
            out of here: they are in the record and in the log.
        """
        record = self._new_record()
        began = time.monotonic()
        record["stages"] = [
            run_record.new_stage(
                component.name,
                reason=""
                if component.name in self._wanted
                else f"--to-stage {snake_case(self.to_stage or '')}",
            )
            for component in self.components
        ]
        self.listener.run_started(record)
        with Signals() as signals:
            try:
                with Lock(self.root.lock, record["run_id"]):
                    self._run_locked(record, signals, began)
            except (LockedError, OSError, Interrupted) as error:
                self._end(record, error, None, began)
        self.listener.run_finished(record)
        return record

    def _run_locked(self, record: Record, signals: Signals, began: float) -> None:
        run_id = record["run_id"]
        path = self.root.log(run_id)
        with RunLog(path, self.listener.warning, self.capture_stderr) as log:
            record["paths"]["run"] = f"runs/{run_id}"
            store: MetadataStore | None = None
            try:
                store = self.root.open_store()
                clean(store, self.root)
                store.put_run(run_id, _run_properties(record))
                run_record.write(record, self.root)
                self._run_stages(record, store, signals, began)
                record["state"], record["exit_code"] = "complete", faults.OK
                if "pushed_model" in record["paths"]:
                    record["ask"] = self.ask_command
            except _Stopped as stopped:
                record["state"] = "stopped"
                record["exit_code"] = faults.STOP_CODES[stopped.stop.kind]
                record["error"] = {
                    "message": stopped.stop.message,
                    "component": stopped.component,
                    "next": faults.after_stop(stopped.stop.kind, self.command),
                }
            except StageFailed as failed:
                cause = failed.__cause__ or failed
                self._end(record, cause, failed, began)
                log_exception(cause)
            except (Exception, Interrupted) as error:
                self._end(record, error, None, began)
                log_exception(error)
            record["seconds"] = round(time.monotonic() - began, 3)
            if os.path.exists(log.path) and os.path.getsize(log.path):
                record["paths"]["log"] = (
                    log.path
                    if self.root.is_remote
                    else os.path.relpath(log.path, self.root.path).replace(os.sep, "/")
                )
            try:
                self._close(record, store)
            except Interrupted as error:
                self._end(record, error, None, began)

    def _end(
        self, record: Record, error: BaseException, failed: StageFailed | None, began: float
    ) -> None:
        component = failed.component if failed else None
        message, following, code = faults.explain(error, component, self.root.path, self.command)
        if failed and failed.dead_letters:
            record["paths"]["dead_letters"] = failed.dead_letters[0]
            message += "\nDead letters: " + ", ".join(map(self.root.absolute, failed.dead_letters))
        record["state"] = "interrupted" if isinstance(error, Interrupted) else "failed"
        record["exit_code"] = code
        record["error"] = {"message": message, "component": component, "next": following}
        record["seconds"] = round(time.monotonic() - began, 3)

    def _close(self, record: Record, store: MetadataStore | None) -> None:
        """Renders the report and writes the record; a failure here does not hide the result."""
        steps: list[Callable[[], None]] = []
        if store is not None:
            if self.report is not None and record["state"] != "interrupted":
                steps.append(lambda: self._render(record))
            steps += [
                lambda: run_record.write(record, self.root),
                lambda: store.put_run(record["run_id"], _run_properties(record)),
                store.close,
            ]
        for step in steps:
            try:
                step()
            except Exception as error:
                log_exception(error)
                what = f"{type(error).__name__}: {error} ({faults.place(error)})"
                self.listener.warning(f"At the end of the run: {what}")

    def _render(self, record: Record) -> None:
        if self.report is None:
            return
        # The report shows its own path, and where it cannot be made the record does not name it.
        path = f"runs/{record['run_id']}/report.html"
        record["paths"]["report"] = path
        try:
            self.report(record, self.root.path)
        except BaseException:
            del record["paths"]["report"]
            raise

    def _run_stages(
        self, record: Record, store: MetadataStore, signals: Signals, began: float
    ) -> None:
        planner = self._planner(store)
        executor = Executor(
            store,
            self.root,
            run_id=record["run_id"],
            method=self.method,
            source=self.source,
            data_dir=self.data_dir,
            beam_arguments=self.beam_arguments,
            versions=record["versions"],
            signals=signals,
            progress=self.listener.stage_progress,
        )
        done: dict[str, Mapping[str, ArtifactRecord] | None] = {}
        ran: set[str] = set()
        for component, stage in zip(self.components, record["stages"], strict=True):
            if component.name not in self._wanted:
                continue
            stage_began = time.monotonic()
            stop: Stop | None = None
            stage["parameters"] = component.parameters.model_dump(mode="json")
            try:
                decision = planner.decide(component, done, ran)
                stage["reason"] = decision.reason
                stage["inputs"] = {
                    name: found.execution_id for name, found in decision.inputs.items()
                }
                if decision.cached is not None:
                    stop = self._reuse(stage, decision, store, record["run_id"])
                    done[component.name] = decision.outputs
                else:
                    ran.add(component.name)
                    self.listener.stage_started(component.name, decision.reason)
                    done[component.name], stop = self._execute(component, decision, executor, stage)
            except (Exception, Interrupted) as error:
                interrupted = isinstance(error, Interrupted) or isinstance(
                    error.__cause__, Interrupted
                )
                stage["state"] = "interrupted" if interrupted else "failed"
                stage["seconds"] = round(time.monotonic() - stage_began, 3)
                self._note(record, stage, began)
                if isinstance(error, StageFailed):
                    raise
                raise StageFailed(component.name) from error
            stage["seconds"] = round(time.monotonic() - stage_began, 3)
            if stop is not None:
                stage["state"] = "stopped"
            self._take_results(component, planner, done[component.name] or {}, record, stage)
            self._note(record, stage, began)
            run_record.write(record, self.root)
            if stop is not None:
                raise _Stopped(stop, component.name)

    def _note(self, record: Record, stage: Record, began: float) -> None:
        record["seconds"] = round(time.monotonic() - began, 3)
        self.listener.stage_finished(record, stage)

    def _fill_cached(self, stage: Record, decision: Decision) -> None:
        cached = decision.cached
        if cached is None:
            return
        stage["state"] = "cached"
        stage["execution_id"] = cached.id
        stage["summary"] = cached.properties.get("summary", "")
        stage["counters"] = cached.properties.get("counters", {})
        self._fill_outputs(stage, decision.outputs)

    def _fill_outputs(self, stage: Record, outputs: Mapping[str, ArtifactRecord]) -> None:
        stage["outputs"] = {name: found.uri for name, found in outputs.items()}
        stage["properties"] = {name: found.properties for name, found in outputs.items()}
        for found in outputs.values():
            if found.type in ("ModelBlessing", "InfraBlessing"):
                blessed = found.properties.get("blessed")
                stage["verdict"] = "BLESSED" if blessed else "NOT BLESSED"

    def _reuse(
        self, stage: Record, decision: Decision, store: MetadataStore, run_id: str
    ) -> Stop | None:
        if decision.cached is None:
            return None
        store.reuse(decision.cached.id, run_id)
        self._fill_cached(stage, decision)
        stop = decision.cached.properties.get("stop")
        return Stop(**stop) if stop else None

    def _execute(
        self, component: Component, decision: Decision, executor: Executor, stage: Record
    ) -> tuple[dict[str, ArtifactRecord], Stop | None]:
        execution_id, outputs, properties = executor.execute(component, decision)
        stage["state"], stage["execution_id"] = "done", execution_id
        stage["summary"], stage["counters"] = properties["summary"], properties["counters"]
        self._fill_outputs(stage, outputs)
        return outputs, Stop(**properties["stop"]) if properties["stop"] else None

    def _take_results(
        self,
        component: Component,
        planner: Planner,
        outputs: Mapping[str, ArtifactRecord],
        record: Record,
        stage: Record,
    ) -> None:
        """Lifts what a run is asked for out of its stages: metrics, verdicts, the pushed model."""
        if stage["verdict"]:
            record["verdicts"][component.name] = stage["verdict"]
        for name, found in outputs.items():
            artifact = planner.artifact(component.OUTPUTS[name], found)
            if found.type == ModelEvaluation.TYPE_NAME and filesystem.exists(
                artifact.path("evaluation.json")
            ):
                record["metrics"] = artifact.read_json("evaluation.json")
            if found.type == "PushedModel" and "version" in found.properties:
                version = found.properties["version"]
                record["paths"]["pushed_model"] = f"serving/{self.method}/{version}"


def _run_properties(record: Record) -> dict[str, Any]:
    """Returns what `methodical runs` shows of a run."""
    metrics = record["metrics"]
    main = metrics.get("main")
    return {
        "method": record["method"],
        "source": record["source"],
        "data_dir": record["data_dir"],
        "state": record["state"],
        "exit_code": record["exit_code"],
        "started": record["started"],
        "seconds": record["seconds"],
        "command": record["command"],
        "metric": metrics.get("main_label", main),
        "value": metrics.get("main_value"),
        "verdicts": record["verdicts"],
        "pushed_model": record["paths"].get("pushed_model"),
        "pid": os.getpid(),
    }
