"""Batch normalization on digits: the sigmoid network of Ioffe & Szegedy 2015, section 4.1."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pydantic

from ....components.base.parameters import HOW, Parameters
from ....components.data.labelled_images.options import TransformOptions
from ..image_classification import sources
from ..method import Method

if TYPE_CHECKING:
    from ....components.base.transformed_data import TransformedData
    from ....components.exporter.serving_model import ServingModel
    from ....components.trainer.fit import Fit, TrainingSummary

WITH, WITHOUT = "batch_norm", "plain"
MILESTONES = (0.95, 0.97, 0.975)
"""Test accuracies that the table says when they were reached."""

WATCHED_IMAGES = 1000
WATCHED_UNIT = 0
TEST_ACCURACY = "test_accuracy"


class BinaryOptions(TransformOptions):
    """As for other images, but binary, as in the paper."""

    binarize: bool = pydantic.Field(
        True, description="binary pixels, as in the paper: 0 up to half of the range, else 1"
    )


class TrainerOptions(Parameters):
    """The sigmoid network and its training."""

    compare: bool = pydantic.Field(
        True, description="train the network without batch normalization too"
    )
    repeats: int = pydantic.Field(
        1, ge=1, description="networks of each kind, each with initial weights and order of its own"
    )
    hidden: int = pydantic.Field(3, ge=1, description="hidden layers")
    units: int = pydantic.Field(100, ge=1, description="units of a hidden layer")
    stddev: float = pydantic.Field(
        0.1, gt=0, description="standard deviation of the Gaussian initial weights"
    )
    steps: int = pydantic.Field(50_000, ge=1, description="training steps")
    batch_size: int = pydantic.Field(60, ge=2, description="images a step")
    learning_rate: float = pydantic.Field(0.1, gt=0, description="of plain gradient descent")
    record_every: int = pydantic.Field(
        500, ge=1, description="steps between two records of accuracy and percentiles"
    )
    workers: int = pydantic.Field(
        2,
        ge=1,
        description="networks trained side by side: one small model does not fill two cores",
        json_schema_extra=HOW,
    )

    @pydantic.model_validator(mode="after")
    def _whole_records(self):
        check_records(self.steps, self.record_every)
        return self


def check_records(steps: int, record_every: int) -> None:
    """Checks that training ends with a record.

    Raises:
        ValueError: it does not.
    """
    if steps % record_every:
        raise ValueError(
            "`steps` must be a multiple of `record_every`, so that training ends with a record. "
            f"Received: steps={steps}, record_every={record_every}"
        )


def steps_per_execution(record_every: int, most: int) -> int:
    """Returns how many steps one call of the graph makes: a divisor of `record_every`.

    Keras rounds an epoch up to whole calls.
    """
    return next(count for count in range(most, 0, -1) if record_every % count == 0)


class ExporterOptions(Parameters):
    """What the served model is made of."""

    fold: bool = pydantic.Field(
        True, description="fold batch normalization into the layers before it"
    )


def fits(parameters: TrainerOptions, data: TransformedData) -> list[Fit]:
    """The network with batch normalization and the one without, `repeats` times."""
    kinds = (WITH, WITHOUT) if parameters.compare else (WITH,)
    return [
        network_fit(kind, number, parameters, data)
        for number in range(1, parameters.repeats + 1)
        for kind in kinds
    ]


def network_fit(kind: str, number: int, parameters: TrainerOptions, data: TransformedData) -> Fit:
    """Returns the fit of one network."""
    from ....components.data.labelled_images import parsing
    from ....components.trainer.fit import Fit

    classes = len(parsing.classes(data))
    batch_size = min(parameters.batch_size, parsing.count(data, "train"))

    def build():
        import keras

        from ....models.batch_norm import sigmoid_network

        model = sigmoid_network(
            parsing.image_shape(data),
            classes,
            hidden=parameters.hidden,
            units=parameters.units,
            batch_norm=kind == WITH,
            stddev=parameters.stddev,
            name=f"{kind}_{number}",
        )
        model.compile(
            keras.optimizers.SGD(parameters.learning_rate),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
            # Steps of half a millisecond: the way from Python to the graph would take as long.
            steps_per_execution=steps_per_execution(parameters.record_every, 50),
            # XLA gains nothing on layers this small, and compiles for seconds.
            jit_compile=False,
        )
        return model

    def callbacks():
        from ....components.trainer.measured_split import MeasuredSplit
        from ....models.batch_norm import ActivationPercentiles

        (watched, _) = next(iter(parsing.batches(data, "train", WATCHED_IMAGES)))
        chosen = [
            ActivationPercentiles(
                watched.numpy(),
                layers=[f"hidden_{parameters.hidden}_sigmoid"],
                side="input",
                unit=WATCHED_UNIT,
            )
        ]
        if parsing.count(data, "test"):
            chosen.append(MeasuredSplit("test", parsing.batches(data, "test", 1000)))
        return chosen

    has_eval = parsing.count(data, "eval") > 0
    return Fit(
        name=f"{kind}_{number}",
        build=build,
        # The same order for both kinds: what differs is the network.
        train=lambda: parsing.batches(
            data, "train", batch_size, seed=number, repeat=True, drop_remainder=True
        ),
        validation=(lambda: parsing.batches(data, "eval", 1000)) if has_eval else None,
        epochs=parameters.steps // parameters.record_every,
        steps_per_epoch=parameters.record_every,
        monitor="val_accuracy" if has_eval else "loss",
        mode="max" if has_eval else "min",
        callbacks=callbacks,
        finish=population_statistics(data, batch_size) if kind == WITH else None,
    )


def population_statistics(data: TransformedData, batch_size: int) -> Callable[[Any], None]:
    """Returns what sets a model's population statistics over the training split (Algorithm 2)."""

    def finish(model):
        from ....components.data.labelled_images import parsing
        from ....models.batch_norm import estimate_population_statistics

        batches = parsing.batches(data, "train", batch_size, seed=0, drop_remainder=True)
        estimate_population_statistics(model, batches)

    return finish


def summarize_training(
    parameters: TrainerOptions, logs: Mapping[str, Sequence[Mapping[str, Any]]]
) -> TrainingSummary:
    """Returns the table of steps to each milestone, and Figure 1."""
    from ....components.trainer.fit import TrainingSummary

    return TrainingSummary([milestones(parameters, logs)], training_figures(parameters, logs))


def milestones(parameters: TrainerOptions, logs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Any:
    """Returns by network the steps after which each accuracy was first seen."""
    from ....components.trainer.fit import Table

    measure = measured(logs)
    every = parameters.record_every
    rows: list[list[Any]] = []
    for name, epochs in logs.items():
        values = [epoch[measure] for epoch in epochs]
        best = max(values)
        reached = [steps_to(least, values, every) for least in MILESTONES]
        rows.append([name, *reached, best, every * (values.index(best) + 1), values[-1]])
    if parameters.repeats > 1:
        rows += [mean_row(kind, rows) for kind in (WITH, WITHOUT) if of_kind(logs, kind)]
    rows = [["not reached" if cell is None else cell for cell in row] for row in rows]
    columns = [f"steps to {100 * least:g} %" for least in MILESTONES]
    title = (
        f"{measure} by step, looked at every {every:,} steps; learning rate "
        f"{parameters.learning_rate:g}, batches of {parameters.batch_size}"
    )
    return Table(title, ["network", *columns, "best", "at step", "last"], rows)


def steps_to(goal: float, line: Sequence[float], every: int) -> int | None:
    """Returns the steps after which a goal was first reached, or `None`."""
    return next((every * (i + 1) for i, value in enumerate(line) if value >= goal), None)


def mean_row(kind: str, rows: Sequence[Sequence[Any]]) -> list[Any]:
    """Returns the mean of a kind's rows; of steps that one did not reach there is none."""
    cells = zip(*(row[1:] for row in rows if row[0].startswith(f"{kind}_")), strict=True)
    means = [None if None in column else sum(column) / len(column) for column in cells]
    return [f"{kind}, mean", *means]


def measured(logs: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Returns the accuracy that all fits logged: on test images, else on those held out."""
    names = (TEST_ACCURACY, "val_accuracy", "accuracy")
    return next(name for name in names if all(name in rows[0] for rows in logs.values()))


def training_figures(
    parameters: TrainerOptions, logs: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, str]:
    """Draws Figure 1: accuracy by step, and the percentiles of a sigmoid's input by step."""
    from ...charts.charts import line_chart

    every = parameters.record_every
    scale: dict[str, Any] = {"first_x": every, "x_step": every, "width": 560, "height": 240}
    measure = measured(logs)
    lines = {name: [row[measure] for row in rows] for name, rows in logs.items()}
    # As in the paper the axis begins at 0.7: below it a line is not drawn. Short runs need it all.
    lowest = 0.7 if max(itertools.chain(*lines.values())) > 0.8 else 0.0
    title = (
        f"{measure} by step from {lowest:g} on, with batch normalization (coloured) and without; "
        "Figure 1 (a)"
    )
    drawn = {
        title: line_chart(
            {
                name: [value if value >= lowest else None for value in line]
                for name, line in lines.items()
            },
            f"{measure} by step",
            y_range=(lowest, 1.0),
            accented=[name for name in lines if name.startswith(WITH)],
            **scale,
        )
    }
    layer = f"hidden_{parameters.hidden}_sigmoid"
    shown = {name: rows for name, rows in logs.items() if name.endswith("_1")}
    every_percentile = [
        [[row[f"{layer}/p{percentile}"] for row in rows] for percentile in (15, 50, 85)]
        for rows in shown.values()
    ]
    flat = [value for lines in every_percentile for line in lines for value in line]
    for name, percentiles in zip(shown, every_percentile, strict=True):
        drawn[
            f"{name}: the 15th, 50th and 85th percentile of the input of one sigmoid of the last "
            "hidden layer, by step; Figure 1 (b, c)"
        ] = line_chart(
            dict(zip(("p15", "p85", "p50"), [percentiles[k] for k in (0, 2, 1)], strict=True)),
            f"percentiles of {name} by step",
            y_range=(min(flat), max(flat)),
            **scale,
        )
    return drawn


def evaluate(
    models: Mapping[str, Any], data: TransformedData, split: str, parameters: Any
) -> Iterator[dict[str, Any]]:
    """Yields a row an image."""
    from ..image_classification import evaluation

    metrics = {"accuracy": of_kind(models, WITH), "accuracy_without": of_kind(models, WITHOUT)}
    trained = {name: found for name, found in metrics.items() if found}
    missing = dict.fromkeys(metrics)
    for row in evaluation.rows(trained, data, split):
        yield {**missing, **row}


def of_kind(models: Mapping[str, Any], kind: str) -> list[Any]:
    """Returns the networks of a kind."""
    return [model for name, model in models.items() if name.startswith(f"{kind}_")]


def serve(
    models: Mapping[str, Any], data: TransformedData, parameters: ExporterOptions
) -> ServingModel:
    """Signatures for encoded images, serialized examples and pixels, of the first network."""
    return folded_serving_model(of_kind(models, WITH)[0], data, parameters)


def folded_serving_model(
    model: Any, data: TransformedData, parameters: ExporterOptions
) -> ServingModel:
    """Returns the signatures of a network, without its batch normalizations if so asked."""
    from ....models.batch_norm import fold_batch_norm
    from ..image_classification import serving

    if not parameters.fold:
        return serving.serving_model(model, model, data)
    folded, report = fold_batch_norm(model)
    found = serving.serving_model(model, folded, data)
    return dataclasses.replace(found, facts={**found.facts, "folding": str(report)})


def layer_examples() -> Sequence[Any]:
    """Returns the layers for the conformance suite."""
    from ....models.batch_norm.examples import layer_examples as examples

    return examples()


METHOD = Method(
    name="batch-norm",
    title="Batch normalization in a sigmoid network for digits",
    paper=(
        "Ioffe, Szegedy 2015: Batch Normalization: Accelerating Deep Network Training by Reducing "
        "Internal Covariate Shift, arXiv 1502.03167"
    ),
    sources=sources.SOURCES,
    analyze=sources.analyze,
    transform=sources.transform,
    transform_options=BinaryOptions,
    fits=fits,
    trainer_options=TrainerOptions,
    summarize_training=summarize_training,
    evaluate=evaluate,
    metrics={
        "accuracy": "share of images classified rightly, with batch normalization; mean of repeats",
        "accuracy_without": "the same without batch normalization",
    },
    slices=("class",),
    mean_over_slices=False,
    serve=serve,
    exporter_options=ExporterOptions,
    samples=sources.sample,
    figures=sources.figures,
    predict_inputs=sources.PREDICT_INPUTS,
    predict_files=sources.PREDICT_FILES,
    layer_examples=layer_examples,
    tiny={
        "example_gen.limit": 300,
        "trainer.steps": 60,
        "trainer.record_every": 20,
        "trainer.units": 16,
        "trainer.hidden": 2,
        "trainer.workers": 1,
        "evaluator.max_drop": 1.0,
    },
)
