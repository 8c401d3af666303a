"""Builds a method's pipeline: the ten components, wired and checked before anything runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ...components.base.component import Channel, Component
from ...components.base.errors import did_you_mean
from ...components.base.parameters import Parameters
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
from ..cache.plan import find_component
from ..methods.method import Method, Source
from .settings import candidates

COMPONENTS: tuple[type[Component], ...] = (
    ExampleGen,
    StatisticsGen,
    SchemaGen,
    ExampleValidator,
    Transform,
    Trainer,
    Evaluator,
    Exporter,
    InfraValidator,
    Pusher,
)
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
        reading = [known for known, other in method.sources.items() if other.needs_data_dir]
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
    method: Method, source: str | None = None, settings: Mapping[str, Any] | None = None
) -> list[Component]:
    """Builds the ten components of a method's pipeline.

    ```python
    components = build_pipeline(methods.find("babi"), "simulated", {"trainer.epochs": 3})
    ```

    Args:
        method: the registered method.
        source: name of one of its sources; `None` is the first.
        settings: values by `component.parameter`, the component as `trainer` or `Trainer`. A
            `settings.Text` is read as JSON where that is valid, else as text.

    Returns:
        The components in the order in which they run.

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

    built: dict[str, Component] = {}

    def place(
        kind: type[Component],
        inputs: Mapping[str, tuple[type[Component], str]] | None = None,
        options: type[Parameters] = Parameters,
        functions: Mapping[str, Any] | None = None,
    ) -> None:
        channels: dict[str, Channel] = {
            name: built[maker.__name__].outputs[output]
            for name, (maker, output) in (inputs or {}).items()
        }
        built[kind.__name__] = _with_settings(
            kind,
            by_component[kind.__name__],
            inputs=channels,
            options=() if options is Parameters else (options,),
            functions=functions,
        )

    place(
        ExampleGen,
        options=method.sources[source].options,
        functions={"read": method.sources[source].read},
    )
    examples = (ExampleGen, "examples")
    place(StatisticsGen, {"examples": examples})
    statistics = (StatisticsGen, "statistics")
    place(SchemaGen, {"statistics": statistics})
    schema = (SchemaGen, "schema")
    place(
        ExampleValidator,
        {"statistics": statistics, "schema": schema, "examples": examples},
    )
    place(
        Transform,
        {"examples": examples, "schema": schema, "anomalies": (ExampleValidator, "anomalies")},
        method.transform_options,
        {"analyze": method.analyze, "transform": method.transform},
    )
    transformed = {
        "transformed_examples": (Transform, "transformed_examples"),
        "transform_graph": (Transform, "transform_graph"),
    }
    place(
        Trainer,
        {
            "examples": transformed["transformed_examples"],
            "transform_graph": transformed["transform_graph"],
        },
        method.trainer_options,
        {"fits": method.fits, "summarize_training": method.summarize_training},
    )
    model = (Trainer, "model")
    place(
        Evaluator,
        {"examples": examples, **transformed, "model": model},
        method.evaluator_options,
        {
            "evaluate": method.evaluate,
            "draw": method.draw,
            "metrics": method.metrics,
            "higher_is_better": method.higher_is_better,
            "evaluated_on": method.evaluated_on,
            "root_mean_square": method.root_mean_square,
            "only_sliced": method.only_sliced,
            "slices": method.slices,
            "mean_over_slices": method.mean_over_slices,
            "paper_figures": method.paper_figures,
            "column": method.column,
        },
    )
    blessing = (Evaluator, "blessing")
    place(
        Exporter,
        {"examples": examples, **transformed, "model": model, "blessing": blessing},
        method.exporter_options,
        {"serve": method.serve},
    )
    saved_model = (Exporter, "saved_model")
    place(InfraValidator, {"saved_model": saved_model})
    place(
        Pusher,
        {
            "saved_model": saved_model,
            "blessing": blessing,
            "infra_blessing": (InfraValidator, "blessing"),
        },
    )
    return list(built.values())


def _with_settings(
    kind: type[Component], settings: Mapping[str, Any], **arguments: Any
) -> Component:
    """Makes a component; a text from the command line is read as JSON, or else taken as it is."""
    values: dict[str, Any] = {}
    options = arguments["options"]
    probe = kind.joined_parameters(options).model_fields
    for name, value in settings.items():
        meanings = candidates(value)
        values[name] = meanings[0]
        if name not in probe or len(meanings) == 1:
            continue
        try:
            kind(**arguments, parameters={name: meanings[0]})
        except ValueError:
            try:
                kind(**arguments, parameters={name: meanings[1]})
                values[name] = meanings[1]
            except ValueError:
                continue
    return kind(**arguments, parameters=values)
