"""What the catalogue says of a method: the callables and figures that the stages take."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...components.base.parameters import Parameters


@dataclasses.dataclass(frozen=True)
class Source:
    """A source of examples.

    Args:
        description: one line for `methodical list`.
        read: `read(parameters, data_dir)` returns a Beam PTransform from the pipeline's root to a
            PCollection of `Record` and `BadRecord`.
        options: its parameters, which join those of ExampleGen.
        needs_data_dir: whether `--data-dir` must be given.
    """

    description: str
    read: Callable[[Any, str | None], Any]
    options: type[Parameters] = Parameters
    needs_data_dir: bool = False


@dataclasses.dataclass(frozen=True)
class PaperFigure:
    """A number that the paper reports.

    Args:
        metric: name of our metric it stands beside.
        value: the number, in our metric's unit.
        slice: the slice it belongs to, for example `{"task": "1"}`; empty for the overall number.
        column: the variant in the paper, for example `AM+NG+NL`.
        remark: what differs (data, scale), shown beside it.
        measured_at: the Evaluator's parameters with which the paper measured it, for example
            `{"far": 0.001}`; ours stands beside it only where they are the same.
    """

    metric: str
    value: float
    column: str
    slice: Mapping[str, str] = dataclasses.field(default_factory=dict)
    remark: str = ""
    measured_at: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Method:
    """A method's entry: all that the stages need to run it.

    Args:
        name: as on the command line.
        title: what it is, one line.
        paper: authors, year, title, arXiv number.
        sources: by name; the first is the default and needs no download.
        analyze: `analyze(parameters)` returns a Beam PTransform from examples (dicts of features)
            to `(asset name, list of lines)` pairs; it sees the training split.
        transform: `transform(parameters, assets)` returns a callable from an example's features to
            the transformed features; it raises `BadRecordError` for one that it cannot use.
            `assets` maps asset names to lists of lines.
        transform_options: parameters of both.
        fits: `fits(parameters, data)` returns the Trainer's `Fit`s.
        summarize_training: `summarize_training(parameters, logs)` returns a `TrainingSummary`;
            `logs` maps a fit's name to its epochs' rows. `None`: one chart a fit says it all.
        trainer_options: parameters of both.
        evaluate: `evaluate(models, data, split, parameters)` yields one dict an example, with
            numbers under the metrics' names (or a pair of a mean and the number of measurements
            it is the mean of), strings under the slices' names, and under `details` what the
            report shows of a wrong example (JSON values).
        draw: `draw(models, data, split, parameters)` returns `{title: SVG text}` for the report:
            pictures of the models.
        evaluator_options: parameters of `evaluate` and `draw`.
        metrics: the metrics' names in order, each with its unit or meaning; the first is the main
            one.
        baselines: metrics of baselines that the report shows beside the main metric.
        higher_is_better: whether larger values of the main metric are better.
        evaluated_on: what the rows of `evaluate` are measured on, where that is not a split: said
            in its place.
        root_mean_square: metrics whose values are root mean squares and are averaged as such.
        only_sliced: metrics whose rows are not of one kind, so that no mean over all of them says
            anything: they are given by slice only.
        slices: names in `evaluate`'s dicts by which metrics are sliced.
        mean_over_slices: whether the main figure is the mean over the first slice's values, each
            counting the same, or else over the examples.
        serve: `serve(models, data, parameters)` returns the `ServingModel`.
        exporter_options: parameters of `serve`.
        paper_figures: the paper's numbers.
        column: `column(parameters of the Trainer)` names the paper's column that a run is
            compared with, or `None`.
        samples: `samples(features)` returns a raw example as `{heading: text}` for the report; a
            text that begins with `data:image/` is shown as a picture.
        figures: `figures(evaluation rows)` returns `{title: SVG text}` for the report.
        predict_inputs: inputs of `serving_default` that `methodical predict` asks for, each with
            its help text.
        predict_signatures: the same for further signatures, by signature; which one is asked
            follows from the inputs given.
        predict_files: inputs that `methodical predict` also takes as names of files without an
            option, by signature: as many files as a signature has such inputs ask that one.
        layer_examples: returns the `LayerExample`s for the conformance suite.
        tiny: settings for the end-to-end suite (`component.parameter` to value): seconds, not
            minutes.
    """

    name: str
    title: str
    paper: str
    sources: Mapping[str, Source]
    analyze: Callable[..., Any]
    transform: Callable[..., Any]
    fits: Callable[..., Any]
    evaluate: Callable[..., Any]
    metrics: Mapping[str, str]
    serve: Callable[..., Any]
    baselines: Sequence[str] = ()
    summarize_training: Callable[..., Any] | None = None
    transform_options: type[Parameters] = Parameters
    trainer_options: type[Parameters] = Parameters
    evaluator_options: type[Parameters] = Parameters
    exporter_options: type[Parameters] = Parameters
    higher_is_better: bool = True
    draw: Callable[..., Mapping[str, str]] | None = None
    evaluated_on: str = ""
    root_mean_square: Sequence[str] = ()
    only_sliced: Sequence[str] = ()
    slices: Sequence[str] = ()
    mean_over_slices: bool = True
    paper_figures: Sequence[PaperFigure] = ()
    column: Callable[[Any], str | None] = lambda parameters: None
    samples: Callable[[Mapping[str, Any]], Mapping[str, str]] | None = None
    figures: Callable[[list[dict[str, Any]]], Mapping[str, str]] | None = None
    predict_inputs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    predict_signatures: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    predict_files: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    layer_examples: Callable[[], Sequence[Any]] = list
    tiny: Mapping[str, Any] = dataclasses.field(default_factory=dict)
