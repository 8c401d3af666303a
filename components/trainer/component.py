"""Trainer: runs the method's Keras fits, resumes after a kill, keeps each fit's best epoch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pydantic

from ..base.artifacts import Examples, Model, ModelRun, TransformGraph
from ..base.component import Component, ExecutionContext
from ..base.parameters import HOW
from ..base.transformed_data import TransformedData
from ..io import filesystem
from .fit import DONE, MODELS, Fit

_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


class Trainer(Component):
    """Trains every `Fit` that the method returns and keeps its best epoch.

    A kill loses only the epochs since the last checkpoint: weights, optimizer, seed generators, the
    order of the data, callbacks and logs resume where they were, so that the result is the same as
    without the kill. A finished fit is not trained again.

    Fits are independent of each other: each has its own seed, derived from `seed` and the fit's
    name, so that neither their order nor the number of worker processes changes a result. (With
    another number of threads, TensorFlow may sum large tensors in another order, which can change
    the last bits.)

    Outputs: `model` has one `.keras` file per fit and the properties `parameters`, `fits` (names),
    `best` (by fit: `epoch` from 1, `value`, `monitor`, `mode`), `epochs_run`, `seconds` and
    `parameter_count` (each by fit). `model_run` with `<fit>/epochs.csv` and `<fit>/epochs.jsonl`.
    """

    INPUTS: ClassVar = {"examples": Examples, "transform_graph": TransformGraph}
    OUTPUTS: ClassVar = {"model": Model, "model_run": ModelRun}
    FUNCTIONS: ClassVar = {
        "fits": "fits(parameters, TransformedData) returns the fits to train",
        "data": "class of the kind of data, a `TransformedData`",
    }
    OPTIONAL_FUNCTIONS: ClassVar = frozenset({"data"})

    class Parameters(Component.Parameters):
        """The Trainer's own parameters.

        Args:
            seed: a fit's weights, data order and dropout depend on it and on the fit's name.
            workers: number of processes that train fits in parallel and share the cores.
            checkpoint_seconds: minimum time between two checkpoints of a fit, in seconds; 0 writes
                one after every epoch.
        """

        seed: int = pydantic.Field(default=0, ge=0)
        workers: int = pydantic.Field(default=1, ge=1, json_schema_extra=HOW)
        checkpoint_seconds: float = pydantic.Field(default=10.0, ge=0, json_schema_extra=HOW)

    @staticmethod
    def execute(context: ExecutionContext) -> None:
        """Trains the fits and writes models and logs."""
        parameters = context.parameters
        kind = context.functions.get("data", TransformedData)
        data = kind(context.inputs["examples"], context.inputs["transform_graph"])
        fits = checked_fits(context.functions["fits"](parameters, data))
        model, model_run = context.outputs["model"], context.outputs["model_run"]
        settings = {
            "seed": parameters.seed,
            "checkpoint_dir": context.checkpoint_dir,
            "log_dir": model_run.uri,
            "checkpoint_seconds": parameters.checkpoint_seconds,
        }
        overall = _Overall(fits, context)
        workers = min(parameters.workers, len(fits))
        if workers > 1:
            from . import workers as trainer_workers

            results = trainer_workers.run_fits(
                [fit.name for fit in fits],
                context.functions["fits"],
                parameters,
                data,
                settings,
                workers,
                overall.report,
            )
        else:
            from . import fitting

            results = {
                fit.name: fitting.run_fit(fit, report=overall.report, **settings) for fit in fits
            }
        for fit in fits:
            trained = filesystem.join(context.checkpoint_dir, fit.name, DONE, MODELS)
            filesystem.copy_tree(trained, model.path("Format-Keras"))
        _describe(context, fits, results)


def checked_fits(fits: Sequence[Fit]) -> list[Fit]:
    """Returns the fits as a list.

    Raises:
        ValueError: there is none, a name is not unique or no file name, or a number of epochs or a
            mode is wrong.
    """
    fits = list(fits)
    names = [fit.name for fit in fits]
    if not fits:
        raise ValueError(f"`fits` must return at least one fit. Received: {fits}")
    for fit in fits:
        if not _SAFE_NAME.fullmatch(fit.name):
            raise ValueError(
                "A fit's name must be of letters, digits and `._-` and must not begin with a dot "
                f"or dash. Received: {fit.name!r}"
            )
        if names.count(fit.name) > 1:
            raise ValueError(f"Names of fits must be unique. Received: {fit.name!r} twice")
        if fit.epochs < 1:
            raise ValueError(
                f"A fit's epochs must be at least 1. Received: {fit.epochs} for {fit.name!r}"
            )
        if fit.steps_per_epoch is not None and fit.steps_per_epoch < 1:
            raise ValueError(
                "A fit's steps_per_epoch must be at least 1. "
                f"Received: {fit.steps_per_epoch} for {fit.name!r}"
            )
        if fit.mode not in ("min", "max"):
            raise ValueError(
                f"A fit's mode must be 'min' or 'max'. Received: {fit.mode!r} for {fit.name!r}"
            )
    return fits


class _Overall:
    """Adds up the progress of all fits, weighted by their epochs."""

    def __init__(self, fits: Sequence[Fit], context: ExecutionContext):
        self.done = {fit.name: 0.0 for fit in fits}
        self.epochs = {fit.name: fit.epochs for fit in fits}
        self.context = context

    def report(self, name: str, epochs_done: float, text: str) -> None:
        self.done[name] = epochs_done
        prefix = f"{name}: " if len(self.done) > 1 else ""
        fraction = sum(self.done.values()) / sum(self.epochs.values())
        self.context.progress(min(fraction, 1.0), prefix + text)


def _describe(
    context: ExecutionContext, fits: Sequence[Fit], results: Mapping[str, Mapping[str, Any]]
) -> None:
    names = [fit.name for fit in fits]
    context.outputs["model"].properties.update(
        parameters=context.parameters.model_dump(mode="json"),
        fits=names,
        **{
            key: {name: results[name][key] for name in names}
            for key in ("best", "epochs_run", "seconds", "parameter_count")
        },
    )
    context.outputs["model_run"].properties.update(fits=names)
    context.counters.update(
        fits=len(names),
        epochs=sum(results[name]["epochs_run"] for name in names),
        weights=sum(results[name]["parameter_count"] for name in names),
    )
    best = {name: results[name]["best"] for name in names}
    if len(names) == 1:
        only = best[names[0]]
        context.summary = f"{only['monitor']} {only['value']:.4g} (best epoch {only['epoch']})"
        return
    parts = [f"{len(names)} fits"]
    monitors = {(entry["monitor"], entry["mode"]) for entry in best.values()}
    if len(monitors) == 1:
        monitor, mode = monitors.pop()
        worst = (min if mode == "max" else max)(names, key=lambda name: best[name]["value"])
        mean = sum(entry["value"] for entry in best.values()) / len(names)
        parts.append(f"mean {monitor} {mean:.4g}")
        parts.append(f"worst fit {worst}: {best[worst]['value']:.4g}")
    context.summary = ", ".join(parts)
