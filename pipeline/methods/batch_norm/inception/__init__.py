"""Batch normalization in a small Inception: the variants of Ioffe & Szegedy 2015, section 4.2."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import pydantic

from .....components.base.parameters import HOW, Parameters
from ... import batch_norm
from ...image_classification import sources
from ...method import Method, PaperFigure
from .. import ExporterOptions

if TYPE_CHECKING:
    from .....components.base.transformed_data import TransformedData
    from .....components.exporter.serving_model import ServingModel
    from .....components.trainer.fit import Fit, TrainingSummary

Change = Literal["dropout", "l2", "decay", "local_response_norm", "shuffling", "distortion"]
"""What the paper changes beside adding batch normalization and raising the learning rate."""

EVERY_CHANGE: tuple[Change, ...] = (
    "dropout", "l2", "decay", "local_response_norm", "shuffling", "distortion",
)  # fmt: skip
L2_DIVISOR = 5
DECAY_SPEED = 6
VALIDATION_ACCURACY = "val_accuracy"
ENSEMBLE_DROPOUT = (0.0, 0.05, 0.1)
"""Section 4.2.3 gives some of the ensemble's networks a dropout of 5 or 10 %."""


@dataclasses.dataclass(frozen=True)
class Variant:
    """A network of Figure 3.

    Args:
        batch_norm: whether it is batch-normalized.
        speed: its learning rate in units of the baseline's.
        activation: its nonlinearity.
        changed: whether the accompanying changes are made.
        paper_steps: millions of steps to the baseline's best accuracy in the paper; `None`: never.
        paper_best: its best accuracy in the paper.
        remark: what the paper says besides.
    """

    batch_norm: bool
    speed: float
    activation: str
    changed: bool
    paper_steps: float | None
    paper_best: float
    remark: str = ""


BASELINE = "inception"
VARIANTS = {
    BASELINE: Variant(False, 1, "relu", False, 31.0, 0.722),
    "bn_baseline": Variant(True, 1, "relu", False, 13.3, 0.727),
    "bn_x5": Variant(True, 5, "relu", True, 2.1, 0.730),
    "bn_x30": Variant(True, 30, "relu", True, 2.7, 0.748),
    "bn_x5_sigmoid": Variant(True, 5, "sigmoid", True, None, 0.698),
    "sigmoid": Variant(
        False,
        1,
        "sigmoid",
        False,
        None,
        0.001,
        "; sigmoid without it stays at chance, below 1/1000",
    ),
}
ENSEMBLE_OF = "bn_x30"
SERVED_FIRST = ("bn_x5", *VARIANTS)
"""The network that is served: the first of these that was trained."""


class TrainerOptions(Parameters):
    """The networks, what accompanies batch normalization in the paper, and their training."""

    variants: list[
        Literal["inception", "bn_baseline", "bn_x5", "bn_x30", "bn_x5_sigmoid", "sigmoid"]
    ] = pydantic.Field(list(VARIANTS), min_length=1, description="networks to train")
    ensemble: int = pydantic.Field(
        0, ge=0, description="networks of the ensemble of bn_x30, 6 in the paper; 0 for none"
    )
    changes: list[Change] = pydantic.Field(
        list(EVERY_CHANGE),
        description=(
            "what the ×5 and ×30 networks do otherwise: no dropout, a fifth of the L2 penalty, "
            "6 times faster decay of the learning rate, no local response normalization, batches "
            "drawn anew in each pass, no photometric distortion"
        ),
    )
    width: float = pydantic.Field(0.75, gt=0, description="scales the number of feature maps")
    steps: int = pydantic.Field(3000, ge=1, description="training steps")
    batch_size: int = pydantic.Field(32, ge=2, description="images a step")
    learning_rate: float = pydantic.Field(
        0.03, gt=0, description="of the baseline: gradient descent with momentum 0.9"
    )
    halve_after: int = pydantic.Field(
        3000, ge=1, description="steps in which the baseline's learning rate decays to its half"
    )
    dropout: float = pydantic.Field(0.2, ge=0, lt=1, description="of the baseline")
    l2: float = pydantic.Field(1e-4, ge=0, description="L2 penalty on the baseline's kernels")
    photometric: float = pydantic.Field(
        0.2, ge=0, le=1, description="distortion of brightness and contrast for the baseline"
    )
    shift: int = pydantic.Field(4, ge=0, description="pixels by which images are shifted at random")
    flip: bool = pydantic.Field(True, description="mirror half of the images; not for digits")
    record_every: int = pydantic.Field(
        100, ge=1, description="steps between two records of the validation accuracy"
    )
    population_batches: int = pydantic.Field(
        200, ge=1, description="training batches over which population statistics are averaged"
    )
    jit_compile: bool = pydantic.Field(True, description="compile the steps with XLA")
    workers: int = pydantic.Field(
        2, ge=1, description="networks trained side by side", json_schema_extra=HOW
    )

    @pydantic.model_validator(mode="after")
    def _whole_records(self):
        batch_norm.check_records(self.steps, self.record_every)
        return self

    @pydantic.field_validator("variants", "changes")
    @classmethod
    def _named_once(cls, value: list[str]) -> list[str]:
        if len(set(value)) < len(value):
            raise ValueError(f"each may be named once. Received: {', '.join(value)}")
        return value


def fits(parameters: TrainerOptions, data: TransformedData) -> list[Fit]:
    """The variants in the paper's order, then the further networks of the ensemble."""
    found = [
        network_fit(name, VARIANTS[name], parameters, data)
        for name in VARIANTS
        if name in parameters.variants
    ]
    for number in range(1, parameters.ensemble + 1):
        if number == 1 and ENSEMBLE_OF in parameters.variants:
            continue  # bn_x30 itself is the first.
        dropout = ENSEMBLE_DROPOUT[(number - 1) % len(ENSEMBLE_DROPOUT)]
        variant = VARIANTS[ENSEMBLE_OF]
        found.append(
            network_fit(f"{ENSEMBLE_OF}_{number}", variant, parameters, data, number, dropout)
        )
    return found


def network_fit(
    name: str,
    variant: Variant,
    parameters: TrainerOptions,
    data: TransformedData,
    number: int = 1,
    dropout: float | None = None,
) -> Fit:
    """Returns the fit of one network.

    Args:
        name: the fit's name.
        variant: what it is.
        parameters: the Trainer's.
        data: transformed examples.
        number: of the order of its data.
        dropout: in place of the variant's.
    """
    from .....components.data.labelled_images import augmentation, parsing
    from .....components.trainer.fit import Fit

    changes = set(parameters.changes) if variant.changed else set()
    classes = len(parsing.classes(data))
    batch_size = min(parameters.batch_size, parsing.count(data, "train"))
    if dropout is None:
        dropout = 0.0 if "dropout" in changes else parameters.dropout

    def build():
        import keras

        from .....models.batch_norm import inception_network

        model = inception_network(
            parsing.image_shape(data),
            classes,
            width=parameters.width,
            batch_norm=variant.batch_norm,
            activation=variant.activation,
            local_response_norm="local_response_norm" not in changes,
            dropout=dropout,
            l2=parameters.l2 / (L2_DIVISOR if "l2" in changes else 1),
            name=name,
        )
        decay = keras.optimizers.schedules.ExponentialDecay(
            parameters.learning_rate * variant.speed,
            parameters.halve_after / (DECAY_SPEED if "decay" in changes else 1),
            0.5,
        )
        model.compile(
            keras.optimizers.SGD(decay, momentum=0.9),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
            steps_per_execution=batch_norm.steps_per_execution(parameters.record_every, 10),
            jit_compile=parameters.jit_compile,
        )
        return model

    def train():
        # Without thorough shuffling the same images meet in the same batches in every pass.
        seed = number if "shuffling" in changes else None
        batches = parsing.batches(
            data, "train", batch_size, seed=seed, repeat=True, drop_remainder=True
        )
        photometric = 0.0 if "distortion" in changes else parameters.photometric
        return augmentation.augment(
            batches,
            seed=number,
            shift=parameters.shift,
            flip=parameters.flip,
            brightness=photometric,
            contrast=photometric,
        )

    def finish(model):
        from .....models.batch_norm import estimate_population_statistics

        estimate_population_statistics(model, train(), steps=parameters.population_batches)

    has_eval = parsing.count(data, "eval") > 0
    return Fit(
        name=name,
        build=build,
        train=train,
        validation=(lambda: parsing.batches(data, "eval", 250)) if has_eval else None,
        epochs=parameters.steps // parameters.record_every,
        steps_per_epoch=parameters.record_every,
        monitor=VALIDATION_ACCURACY if has_eval else "loss",
        mode="max" if has_eval else "min",
        finish=finish if variant.batch_norm else None,
    )


def summarize_training(
    parameters: TrainerOptions, logs: Mapping[str, Sequence[Mapping[str, Any]]]
) -> TrainingSummary:
    """Returns the table beside Figure 3, and each network's accuracy by step."""
    from .....components.trainer.fit import TrainingSummary
    from ....charts.charts import line_chart

    measure = batch_norm.measured(logs)
    every = parameters.record_every
    lines = {name: [row[measure] for row in rows] for name, rows in logs.items()}
    drawn = {}
    baseline = {BASELINE: lines[BASELINE]} if BASELINE in lines else {}
    for name, line in lines.items():
        if name != BASELINE or len(lines) == 1:
            drawn[f"{measure} of {name} (coloured) and of {BASELINE} (grey) by step; Figure 2"] = (
                line_chart(
                    {**baseline, name: line},
                    f"{measure} of {name} by step",
                    y_range=(0.0, 1.0),
                    first_x=every,
                    x_step=every,
                    width=560,
                    height=200,
                )
            )
    return TrainingSummary([variants_table(parameters, lines, measure)], drawn)


def variants_table(
    parameters: TrainerOptions, lines: Mapping[str, Sequence[float]], measure: str
) -> Any:
    """Returns by network the steps to the baseline's best accuracy and its own best one."""
    from .....components.trainer.fit import Table

    every = parameters.record_every
    goal = max(lines[BASELINE]) if BASELINE in lines else None
    baseline_steps = batch_norm.steps_to(goal, lines[BASELINE], every) if goal is not None else None
    paper_baseline = VARIANTS[BASELINE].paper_steps
    rows: list[list[Any]] = []
    for name, line in lines.items():
        variant = VARIANTS.get(name)
        steps = batch_norm.steps_to(goal, line, every) if goal is not None else None
        paper_steps = variant.paper_steps if variant else None
        rows.append(
            [
                name,
                steps if steps is not None else "not reached",
                baseline_steps / steps if steps and baseline_steps else None,
                max(line),
                every * (list(line).index(max(line)) + 1),
                f"{paper_steps:g} M" if paper_steps else "not reached" if variant else None,
                paper_baseline / paper_steps if paper_steps and paper_baseline else None,
                variant.paper_best if variant else None,
            ]
        )
    columns = [
        "network",
        f"steps to {BASELINE}'s best",
        "times fewer",
        f"best {measure}",
        "at step",
        "paper: steps to 72.2 %",
        "paper: times fewer",
        "paper: best (ImageNet)",
    ]
    reached = "" if goal is None else f"; {BASELINE}'s best is {goal:.4f}"
    return Table(f"{measure} by step, looked at every {every:,} steps{reached}", columns, rows)


def served_name(models: Mapping[str, Any]) -> str:
    """Returns the name of the network that is served."""
    return next((name for name in SERVED_FIRST if name in models), next(iter(models)))


def evaluate(
    models: Mapping[str, Any], data: TransformedData, split: str, parameters: Any
) -> Iterator[dict[str, Any]]:
    """Yields a row an image."""
    from ...image_classification import evaluation

    averaged = {"accuracy": [models[served_name(models)]]}
    averaged |= {name: [models[name]] for name in VARIANTS if name in models}
    members = [model for name, model in models.items() if name.startswith(ENSEMBLE_OF)]
    ensembles = {"ensemble": members} if len(members) > 1 else {}
    missing = dict.fromkeys(METHOD.metrics)
    for row in evaluation.rows(averaged, data, split, ensembles):
        yield {**missing, **row}


def serve(
    models: Mapping[str, Any], data: TransformedData, parameters: ExporterOptions
) -> ServingModel:
    """Signatures for encoded images, serialized examples and pixels."""
    return batch_norm.folded_serving_model(models[served_name(models)], data, parameters)


def layer_examples() -> Sequence[Any]:
    """Returns the networks for the conformance suite."""
    from .....models.batch_norm.network_examples import layer_examples as examples

    return examples()


PAPER = "ImageNet"
OTHER_DATA = "top-1 accuracy on ILSVRC 2012 with 1,000 classes, full-size Inception"

METHOD = Method(
    name="batch-norm-inception",
    title="Batch normalization in a small Inception network, in the paper's variants",
    paper=batch_norm.METHOD.paper,
    sources=sources.SOURCES,
    analyze=sources.analyze,
    transform=sources.transform,
    transform_options=sources.TransformOptions,
    fits=fits,
    trainer_options=TrainerOptions,
    summarize_training=summarize_training,
    evaluate=evaluate,
    metrics={
        "accuracy": "share of images classified rightly by the network that is served",
        **{name: f"share of images that {name} classifies rightly" for name in VARIANTS},
        "ensemble": f"share of images classified rightly by the mean of all {ENSEMBLE_OF} networks",
    },
    slices=("class",),
    mean_over_slices=False,
    serve=serve,
    exporter_options=ExporterOptions,
    paper_figures=tuple(
        PaperFigure(name, variant.paper_best, PAPER, remark=f"{OTHER_DATA}{variant.remark}")
        for name, variant in VARIANTS.items()
    ),
    column=lambda parameters: PAPER,
    samples=sources.sample,
    figures=sources.figures,
    predict_inputs=sources.PREDICT_INPUTS,
    predict_files=sources.PREDICT_FILES,
    layer_examples=layer_examples,
    tiny={
        "example_gen.limit": 200,
        "trainer.variants": ["bn_x5"],
        "trainer.jit_compile": False,
        "trainer.width": 0.2,
        "trainer.steps": 8,
        "trainer.record_every": 4,
        "trainer.population_batches": 2,
        "trainer.workers": 1,
        "evaluator.max_drop": 1.0,
    },
)
