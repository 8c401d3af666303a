"""Builds a method's pipeline: the ten components, wired and checked before anything runs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ...components.base.artifacts import ModelEvaluation
from ...components.base.component import Channel, Component, LatestBlessed
from ...components.base.parameters import Parameters
from ...components.base.suggestions import did_you_mean
from ...components.evaluator.component import Evaluator
from ...components.example_gen.component import ExampleGen
from ...components.example_validator.component import ExampleValidator
from ...components.exporter.component import Exporter
from ...components.infra_validator.component import InfraValidator
from ...components.io import filesystem
from ...components.pusher.component import Pusher
from ...components.schema_gen.component import SchemaGen
from ...components.statistics_gen.component import StatisticsGen
from ...components.trainer.component import Trainer
from ...components.transform.component import Transform
from ..methods.method import Method, Source
from .pipeline import Pipeline, find_component
from .settings import read_values

_EXAMPLES = {"examples": "ExampleGen.examples"}
_TRANSFORMED = {
    "transformed_examples": "Transform.transformed_examples",
    "transform_graph": "Transform.transform_graph",
}
_MODEL = {"model": "Trainer.model"}
_BLESSING = {"blessing": "Evaluator.blessing"}
_SCHEMA = {"schema": "SchemaGen.schema"}
_STATISTICS = {"statistics": "StatisticsGen.statistics"}
_SAVED_MODEL = {"saved_model": "Exporter.saved_model"}

WIRING: dict[type[Component], dict[str, str]] = {
    ExampleGen: {},
    StatisticsGen: _EXAMPLES,
    SchemaGen: _STATISTICS,
    ExampleValidator: {**_STATISTICS, **_SCHEMA, **_EXAMPLES},
    Transform: {**_EXAMPLES, **_SCHEMA, "anomalies": "ExampleValidator.anomalies"},
    Trainer: {
        "examples": "Transform.transformed_examples",
        "transform_graph": "Transform.transform_graph",
    },
    Evaluator: {**_EXAMPLES, **_TRANSFORMED, **_MODEL, "baseline": "latest_blessed"},
    Exporter: {**_EXAMPLES, **_TRANSFORMED, **_MODEL, **_BLESSING},
    InfraValidator: _SAVED_MODEL,
    Pusher: {**_SAVED_MODEL, **_BLESSING, "infra_blessing": "InfraValidator.blessing"},
}
"""The inputs of each component: by input the output, `Component.output`, that it reads.

The evaluation of the latest blessed model comes from the metadata store.
"""

COMPONENTS: tuple[type[Component], ...] = tuple(WIRING)
NAMES = [component.__name__ for component in COMPONENTS]


def find_source(
    method: Method, name: str | None, data_dir: str | None = None
) -> tuple[str, Source]:
    """Returns a method's source by name, the first one for `None`.

    Args:
        method: the registered method.
        name: as given with `--data`.
        data_dir: as given with `--data-dir`.

    Raises:
        ValueError: there is no such source, it needs data that are not there, or data are given
            that it does not read.
    """
    if name is None:
        name = next(iter(method.sources))
    if name not in method.sources:
        raise ValueError(
            f"{method.name} has no source {name!r}{did_you_mean(name, method.sources)} "
            f"Known: {', '.join(method.sources)}. Received: --data {name}"
        )
    source = method.sources[name]
    if source.needs_data_dir and not data_dir:
        raise ValueError(
            f"The source {name!r} reads your data ({source.description}): name the file or folder "
            f"with --data-dir. Received: --data {name} without --data-dir"
        )
    if data_dir and not source.needs_data_dir:
        reading = [
            option for option, candidate in method.sources.items() if candidate.needs_data_dir
        ]
        raise ValueError(
            f"The source {name!r} reads no files: choose one that does with "
            f"--data {' or --data '.join(reading) or '…, there is none'}, or leave --data-dir out. "
            f"Received: --data-dir {data_dir}"
        )
    exists = filesystem.is_remote(data_dir) or os.path.exists(data_dir) if data_dir else True
    if not exists:
        raise ValueError(f"--data-dir takes a file or folder that exists. Received: {data_dir}")
    return name, source


def build_pipeline(
    method: Method,
    source: str | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    data_dir: str | None = None,
    beam_arguments: Sequence[str] = (),
) -> Pipeline:
    """Builds a method's pipeline of ten components.

    ```python
    pipeline = build_pipeline(methods.find("babi"), "simulated", {"trainer.epochs": 3})
    ```

    Args:
        method: the registered method.
        source: name of one of its sources; `None` is the first.
        settings: values by `component.parameter`, the component as `trainer` or `Trainer`. A
            `settings.Text` is read as its parameter's type tells.
        data_dir: string. The user's data, or `None`.
        beam_arguments: Beam flags for the data stages.

    Raises:
        ValueError: a source, a component or a parameter is unknown, or a value is wrong.
        TypeError: the method's entry does not fit the components.
    """
    if source is None:
        source = next(iter(method.sources))
    if source not in method.sources:
        find_source(method, source)
    by_component: dict[str, dict[str, Any]] = {name: {} for name in NAMES}
    for name, value in (settings or {}).items():
        component, _, parameter = name.partition(".")
        by_component[find_component(component, NAMES)][parameter] = value

    chosen = method.sources[source]
    functions: dict[type[Component], dict[str, Any]] = {
        ExampleGen: {"read": chosen.read},
        Transform: {"analyze": method.data.analyze, "transform": method.data.transform},
        Trainer: {"fits": method.role("training:fits"), "data": method.data.prepared},
        Evaluator: {
            "evaluate": method.role("evaluation:evaluate"),
            "data": method.data.prepared,
            "metrics": tuple(method.metrics),
            "slices": tuple(method.slices),
            "mean_over_slices": method.mean_over_slices,
            "evaluated_on": method.evaluated_on,
        },
        Exporter: {"serve": method.role("serving:serve"), "data": method.data.prepared},
    }
    options = {
        ExampleGen: chosen.options,
        Transform: method.transform_options,
        Trainer: method.trainer_options,
        Evaluator: method.evaluator_options,
        Exporter: method.exporter_options,
    }
    components: list[Component] = []
    outputs: dict[str, Channel | LatestBlessed] = {"latest_blessed": LatestBlessed(ModelEvaluation)}
    for kind, inputs in WIRING.items():
        extra = options.get(kind, Parameters)
        built = kind(
            inputs={name: outputs[output] for name, output in inputs.items()},
            parameters=read_values(by_component[kind.__name__], kind.joined_parameters([extra])),
            options=[extra],
            functions=functions.get(kind),
        )
        components.append(built)
        outputs |= {f"{kind.__name__}.{name}": channel for name, channel in built.outputs.items()}
    return Pipeline(
        method.name,
        source,
        tuple(components),
        title=method.title,
        data_dir=data_dir,
        beam_arguments=tuple(beam_arguments),
        paper=method.role("paper"),
    )
