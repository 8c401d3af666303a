"""What a pipeline needs to know of a method."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ...components.base.lazy import Lazy
from ...components.base.parameters import Parameters
from ...components.evaluator.metric import Metric


@dataclasses.dataclass(frozen=True)
class Source:
    """A source of examples.

    Args:
        description: one line for `methodical list`.
        read: class of a Beam PTransform, made as `read(parameters, data_dir)`, from the pipeline's
            root to a PCollection of `Record` and `BadRecord`.
        options: its parameters, which join those of ExampleGen.
        needs_data_dir: whether `--data-dir` must be given.
    """

    description: str
    read: Lazy
    options: type[Parameters] = Parameters
    needs_data_dir: bool = False


@dataclasses.dataclass(frozen=True)
class DataKind:
    """A kind of data: what a method's stages prepare and are given.

    Args:
        analyze: class of a PTransform, made as `analyze(parameters)`, from training examples
            (dicts of features) to `(asset name, list of lines)` pairs.
        transform: made as `transform(parameters, assets)`, a callable from an example's features to
            the transformed ones; it raises `BadRecordError` for one that it cannot use.
        prepared: class of the prepared data, a `TransformedData`: what the method's functions get.
        sample: `sample(features)` returns a raw example as `{heading: text}` for the report; a text
            that begins with `data:image/` is shown as a picture.
    """

    analyze: Lazy
    transform: Lazy
    prepared: Lazy
    sample: Lazy


@dataclasses.dataclass(frozen=True)
class Method:
    """A method: its data, its parameters, and the package of its functions.

    The package has a module for each role, which is imported when a stage or the report needs it:

    - `training`: `fits(parameters, data)` returns the Trainer's `Fit`s;
    - `evaluation`: `evaluate(models, data, split, parameters)` yields a row (a dict) per example,
      with numbers under the metrics' names, strings under the slices' names, and under `details`
      what the report shows of a wrong example; `SetMeasure`s of a whole set; and `Plotted`, JSON
      values that `figures` draws;
    - `serving`: `serve(models, data, parameters)` returns the `ServingModel`;
    - `figures`, of which all is optional: `training_summary(parameters, logs)` returns a
      `TrainingSummary` (`logs` maps a fit's name to its epochs' rows), `evaluation_figures(rows)`
      and `plot(values)` return `{title: SVG text}`;
    - `paper`: `FIGURES`, the paper's numbers, and maybe `column(trainer_parameters)`.

    Args:
        name: as on the command line.
        title: what it is, one line.
        paper: authors, year, title, arXiv number.
        package: name of the package, `__name__` of its `__init__`.
        data: the kind of data.
        sources: by name; the first is the default and needs no download.
        metrics: what is measured; the first is the main one.
        slices: names in the rows by which metrics are sliced.
        mean_over_slices: whether the main figure is the mean over the first slice's values, each
            counting the same, or else over the examples.
        evaluated_on: what the rows are measured on, where that is not a split: said in its place.
        transform_options: parameters of `data.analyze` and `data.transform`.
        trainer_options: parameters of `fits`.
        evaluator_options: parameters of `evaluate`.
        exporter_options: parameters of `serve`.
        tiny: settings for the end-to-end suite (`component.parameter` to value): seconds, not
            minutes.
    """

    name: str
    title: str
    paper: str
    package: str
    data: DataKind
    sources: Mapping[str, Source]
    metrics: Sequence[Metric]
    slices: Sequence[str] = ()
    mean_over_slices: bool = True
    evaluated_on: str = ""
    transform_options: type[Parameters] = Parameters
    trainer_options: type[Parameters] = Parameters
    evaluator_options: type[Parameters] = Parameters
    exporter_options: type[Parameters] = Parameters
    tiny: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def role(self, name: str) -> Lazy:
        """Returns a module of the method's package, or `module:function`."""
        return Lazy(f"{self.package}.{name}")
