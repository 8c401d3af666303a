"""The runner: takes a pipeline's components from the cache or executes them, in order.

An execution writes into `staging/<id>/`. It is published by one rename to
`artifacts/<method>/<component>/<id>/`, followed by one metadata transaction; on a remote root,
where no rename is atomic, by a copy that writes the manifests last. A kill at any moment leaves
nothing half-published: what it left is removed at the start of the next run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from ...components.base.component import Component, Stop
from ...components.evaluator.component import summary
from ..cache.plan import Planner
from ..metadata.metadata_store import MetadataStore
from ..report.paper import comparable, compared, parameters_of
from . import faults, run_record
from .executor import Executor, StageFailed, clean
from .faults import Interrupted, Signals
from .listener import Listener
from .lock import LockedError, hold
from .pipeline import Pipeline, find_component, snake_case
from .root import Root
from .run_log import log_exception, logged_to, only_logged
from .run_record import Record


class Runner:
    """Runs or plans a pipeline.

    ```python
    pipeline = build_pipeline(methods.find("babi"), "simulated")
    record = Runner(pipeline, "/tmp/root").run()
    record["exit_code"]  # 0
    ```

    Args:
        pipeline: what to run.
        root: string. The pipeline root, local or remote.
        from_stage: string. This stage and all that depend on it run again.
        to_stage: string. Only this stage and what it depends on runs.
        use_cache: boolean. `False` runs every stage again.
        command: string. The command line that gives this run again.
        ask_command: returns the command line that asks the pushed model.
        listener: is told how the run goes on.
        report: `report(record, root)` renders the report and returns its path.
        capture_stderr: boolean. What native code writes to stderr goes to the run's log.

    Raises:
        ValueError: a stage is unknown, or `to_stage` does not depend on `from_stage`.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        root: str,
        *,
        from_stage: str | None = None,
        to_stage: str | None = None,
        use_cache: bool = True,
        command: str = "",
        ask_command: Callable[[], str] | None = None,
        listener: Listener | None = None,
        report: Callable[[Record, str], str] | None = None,
        capture_stderr: bool = False,
    ):
        self.pipeline, self.root = pipeline, Root(root)
        self.command, self.ask_command = command, ask_command
        self.listener = listener or Listener()
        self.report, self.capture_stderr = report, capture_stderr
        self._began = 0.0
        # Reasons by name of component: of those that take no part, and of those that run anyway.
        self._skipped: dict[str, str] = {}
        self._forced: dict[str, str] = {}
        if to_stage:
            last = find_component(to_stage, pipeline.names)
            unneeded = set(pipeline.names) - pipeline.needed_for(last)
            self._skipped = dict.fromkeys(unneeded, f"--to-stage {snake_case(last)}")
        if from_stage:
            first = find_component(from_stage, pipeline.names)
            if first in self._skipped:
                raise ValueError(
                    f"{self._skipped[first]} does not need --from-stage {snake_case(first)}. "
                    f"Received: --from-stage {from_stage}"
                )
            depending = pipeline.depending_on(first)
            self._forced = dict.fromkeys(depending, f"--from-stage {snake_case(first)}")
        if not use_cache:
            self._forced = dict.fromkeys(pipeline.names, "--no-cache")

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
        with ExitStack() as stack:
            store: MetadataStore | None = None
            if self.root.has_store:
                store = stack.enter_context(self.root.open_store(read_only=True))
            planner = Planner(self.pipeline, self.root, store, self._forced)
            for component, stage in self._stages(record):
                decision = planner.decide(component)
                stage["reason"], stage["state"] = decision.reason, "would run"
                if decision.cached is not None:
                    cached, outputs = decision.cached, decision.outputs
                    run_record.fill_stage(stage, "cached", cached.id, cached.properties, outputs)
        return record

    def run(self) -> Record:
        """Runs the pipeline.

        Returns:
            The run record; its `exit_code` says how the run ended. Errors of stages do not come
            out of here: they are in the record and in the log.
        """
        self._began = time.monotonic()
        record = self._new_record()
        log = self.root.log(record["run_id"])
        self.listener.run_started(record)
        with Signals() as signals:
            try:
                with (
                    hold(self.root.lock, record["run_id"]),
                    logged_to(log, self.listener.warning, self.capture_stderr),
                ):
                    self._run_logged(record, log, signals)
            except (LockedError, OSError, Interrupted) as error:
                self._fail(record, error)
        self.listener.run_finished(record)
        return record

    def _new_record(self) -> Record:
        return run_record.new_record(self.pipeline, self.root, self.command, self._skipped)

    def _stages(self, record: Record) -> Iterator[tuple[Component, Record]]:
        """Yields the components that take part, each with the record of its stage."""
        for component, stage in zip(self.pipeline.components, record["stages"], strict=True):
            if component.name not in self._skipped:
                stage["parameters"] = component.parameters.model_dump(mode="json")
                yield component, stage

    def _run_logged(self, record: Record, log: str, signals: Signals) -> None:
        folder = f"runs/{record['run_id']}"
        record["paths"]["run"] = folder
        store: MetadataStore | None = None
        try:
            store = self.root.open_store()
            clean(store, self.root)
            store.put_run(record["run_id"], run_record.in_short(record))
            run_record.write(record, self.root)
            stopped = self._run_stages(record, store, signals)
            if stopped is None:
                record["state"], record["exit_code"] = "complete", faults.OK
                if self.ask_command and "pushed_model" in record["paths"]:
                    record["ask"] = self.ask_command()
            else:
                self._stop(record, *stopped)
        except (Exception, Interrupted) as error:
            self._fail(record, error)
            log_exception(error.__cause__ or error if isinstance(error, StageFailed) else error)
        self._measure(record)
        if os.path.exists(log) and os.path.getsize(log):
            record["paths"]["log"] = log if self.root.is_remote else f"{folder}/log.txt"
        if store is not None:
            try:
                self._close(record, store)
            except Interrupted as error:
                self._fail(record, error)

    def _run_stages(
        self, record: Record, store: MetadataStore, signals: Signals
    ) -> tuple[str, Stop] | None:
        """Runs the stages; returns the component that stopped the run, and why, if one did."""
        planner = Planner(self.pipeline, self.root, store, self._forced)
        executor = Executor(
            self.pipeline, self.root, store, record, signals, self.listener.stage_progress
        )
        for component, stage in self._stages(record):
            began = time.monotonic()
            try:
                stop = self._run_stage(component, record, stage, planner, executor)
            except (Exception, Interrupted) as error:
                failed = error if isinstance(error, StageFailed) else StageFailed(component.name)
                cause = error.__cause__ if failed is error else error
                stage["state"] = "interrupted" if isinstance(cause, Interrupted) else "failed"
                raise failed from cause
            finally:
                stage["seconds"] = round(time.monotonic() - began, 3)
                self._measure(record)
                self.listener.stage_finished(record, stage)
            run_record.write(record, self.root)
            if stop is not None:
                return component.name, stop
        return None

    def _run_stage(
        self,
        component: Component,
        record: Record,
        stage: Record,
        planner: Planner,
        executor: Executor,
    ) -> Stop | None:
        decision = planner.decide(component)
        stage["reason"] = decision.reason
        stage["inputs"] = {
            name: source_artifact.execution_id for name, source_artifact in decision.inputs.items()
        }
        if decision.cached is not None:
            state, outputs = "cached", decision.outputs
            execution_id, properties = decision.cached.id, decision.cached.properties
            executor.store.reuse(execution_id, record["run_id"])
        else:
            self.listener.stage_started(component.name, decision.reason)
            state = "done"
            execution_id, outputs, properties = executor.execute(component, decision)
            planner.made(component, outputs)
        stop = properties.get("stop")
        run_record.fill_stage(
            stage, "stopped" if stop else state, execution_id, properties, outputs
        )
        run_record.take_results(record, stage, outputs, self.root)
        if component.name == "Evaluator" and self.pipeline.paper is not None:
            self._compare(record, stage)
        return Stop(**stop) if stop else None

    def _compare(self, record: Record, stage: Record) -> None:
        """Puts the paper's numbers beside ours: no stage depends on them."""
        metrics = compared(self.pipeline.paper, record["metrics"], parameters_of(record))
        record["metrics"] = metrics
        stage["summary"] = summary(metrics, comparable(metrics))

    def _measure(self, record: Record) -> None:
        record["seconds"] = round(time.monotonic() - self._began, 3)

    def _stop(self, record: Record, component: str, stop: Stop) -> None:
        record["state"], record["exit_code"] = "stopped", faults.STOP_CODES[stop.kind]
        following = faults.after_stop(stop.kind, self.command)
        record["error"] = {"message": stop.message, "component": component, "next": following}

    def _fail(self, record: Record, error: BaseException) -> None:
        component, dead_letters = None, []
        if isinstance(error, StageFailed):
            component, dead_letters = error.component, error.dead_letters
            error = error.__cause__ or error
        message, following, code = faults.explain(error, component, self.root.path, self.command)
        if dead_letters:
            record["paths"]["dead_letters"] = dead_letters[0]
            message += "\nDead letters: " + ", ".join(map(self.root.absolute, dead_letters))
        record["state"] = "interrupted" if isinstance(error, Interrupted) else "failed"
        record["exit_code"] = code
        record["error"] = {"message": message, "component": component, "next": following}
        self._measure(record)

    def _close(self, record: Record, store: MetadataStore) -> None:
        """Renders the report and writes the record; a failure here does not hide the result."""

        def warn(error: Exception) -> None:
            what = f"{type(error).__name__}: {error} ({faults.place(error)})"
            self.listener.warning(f"At the end of the run: {what}")

        if self.report is not None and record["state"] != "interrupted":
            with only_logged(warn):
                self._render(record, self.report)
        with only_logged(warn):
            run_record.write(record, self.root)
        with only_logged(warn):
            store.put_run(record["run_id"], run_record.in_short(record))
        with only_logged(warn):
            store.close()

    def _render(self, record: Record, report: Callable[[Record, str], str]) -> None:
        # The report shows its own path, and where it cannot be made the record does not name it.
        record["paths"]["report"] = f"runs/{record['run_id']}/report.html"
        try:
            report(record, self.root.path)
        except BaseException:
            del record["paths"]["report"]
            raise
