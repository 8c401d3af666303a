"""FaceNet: an embedding of faces in which distance is likeness (Schroff et al. 2015)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import pydantic

from ...components.component import HOW, Parameters
from ...components.data.faces.metrics import SLICES, metrics
from . import faces
from .method import Method, PaperFigure

if TYPE_CHECKING:
    from ...components.serving import ServingModel
    from ...components.training import Fit, TrainingSummary
    from ...components.transformed import TransformedData

MAIN, METRIC = "facenet", "lmnn"
COMPONENTS = "principal_components"
METRIC_STEPS = 300
BASELINES = {
    "_lmnn": "by a large margin metric (LMNN) learned on principal components of the pixels",
    "_eigenfaces": "by principal components of the pixels",
}
PAPER = "260 million photographs of 8 million people, network NN1 or NN2, 1,000 to 2,000 hours"


class EvaluatorOptions(Parameters):
    """What is measured."""

    far: float = pydantic.Field(
        0.01, gt=0, lt=1, description="largest false accept rate of the threshold of VAL"
    )
    pairs: int = pydantic.Field(
        1000, ge=2, description="verification pairs drawn of a split that lists none"
    )
    degraded_pairs: int = pydantic.Field(
        1000, ge=0, description="pairs measured again with worse images; 0 for none"
    )
    recognized: int = pydantic.Field(
        2000, ge=0, description="images that are recognized and clustered; 0 for none"
    )


class ExporterOptions(Parameters):
    """The served threshold."""

    threshold: float = pydantic.Field(
        0.0,
        ge=0,
        le=4,
        description="largest squared distance of the same person; 0: chosen on held-out people",
    )
    far: float = pydantic.Field(
        0.0,
        ge=0,
        lt=1,
        description="false accept rate that a chosen threshold keeps; 0: best accuracy",
    )


class TrainerOptions(Parameters):
    """The network, the triplets and how they are trained."""

    embedding_size: int = pydantic.Field(128, ge=1, description="numbers of an embedding")
    maps: list[pydantic.PositiveInt] = pydantic.Field(
        [32, 32, 64], description="feature maps of the network's convolutions"
    )
    dropout: float = pydantic.Field(
        0.3, ge=0, lt=1, description="part of the features that a step leaves out"
    )
    selection: Literal["semi_hard", "batch_hard", "hard", "all"] = pydantic.Field(
        "semi_hard", description="which triplets of a batch are learned from"
    )
    average: Literal["active", "all"] = pydantic.Field(
        "active", description="the mean over triplets that still have a loss, or over all selected"
    )
    margin: float = pydantic.Field(
        0.2, gt=0, description="between squared distances, the paper's α"
    )
    first_margin: float = pydantic.Field(
        0.0, ge=0, description="the margin at the start, from which it grows; 0: as `margin`"
    )
    people: int = pydantic.Field(32, ge=2, description="identities of a batch")
    images: int = pydantic.Field(4, ge=2, description="images of an identity in a batch")
    singles: int = pydantic.Field(
        0, ge=0, description="further images of a batch, of identities that have one only"
    )
    steps: int = pydantic.Field(600, ge=1, description="training steps")
    record_every: int = pydantic.Field(
        50, ge=1, description="steps between two measurements on held-out identities"
    )
    learning_rate: float = pydantic.Field(
        1e-3, gt=0, description="of Adam, after a short rise, then falling to 0"
    )
    augment: bool = pydantic.Field(True, description="mirror, shift and shade training images")
    baselines: bool = pydantic.Field(
        True,
        description="eigenfaces, and a large margin metric (LMNN) learned on them, for comparison",
    )
    components: int = pydantic.Field(100, ge=1, description="principal components of the baselines")
    compare: list[str] = pydantic.Field(
        [],
        description="further networks beside the first, each by what differs, for example "
        '["selection=all", "margin=0.5,embedding_size=64"]',
    )
    workers: int = pydantic.Field(
        2, ge=1, description="networks trained side by side", json_schema_extra=HOW
    )

    @pydantic.field_validator("compare")
    @classmethod
    def _known(cls, compare: list[str]) -> list[str]:
        for text in compare:
            _differences(text)
        if len(set(compare)) < len(compare):
            raise ValueError(f"`compare` must not name a network twice. Received: {compare}")
        return compare

    @pydantic.model_validator(mode="after")
    def _whole_records(self):
        if self.steps % self.record_every:
            raise ValueError(
                "`steps` must be a multiple of `record_every`, so that training ends with a "
                f"measurement. Received: steps={self.steps}, record_every={self.record_every}"
            )
        return self


METRICS = {
    **metrics(BASELINES),
    "accuracy_compared": "accuracy of a network of the comparison",
    "val_compared": "VAL of a network of the comparison",
}
COMPARED_METRICS = ("accuracy_compared", "val_compared")
COMPARED = {"selection": str, "margin": float, "first_margin": float, "embedding_size": int}
"""What the networks of a comparison can differ in."""


def _differences(text: str) -> dict[str, Any]:
    """Returns the parameters that an entry of `compare` changes."""
    found: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name not in COMPARED or not equals:
            raise ValueError(
                f"An entry of `compare` must be NAME=VALUE, several joined by commas, of "
                f"{', '.join(COMPARED)}. Received: {part!r}"
            )
        try:
            found[name] = COMPARED[name](value)
        except ValueError as error:
            number = "a whole number" if COMPARED[name] is int else "a number"
            raise ValueError(
                f"In `compare`, {name} must be {number}. Received: {part!r}"
            ) from error
    return found


def networks(parameters: TrainerOptions) -> dict[str, TrainerOptions]:
    """Returns the parameters of each network by its name: the first is what is served."""
    found = {MAIN: parameters}
    for text in parameters.compare:
        changed = parameters.model_validate({**parameters.model_dump(), **_differences(text)})
        name = re.sub(r"[^A-Za-z0-9.]+", "-", text)
        found[name] = changed
    return found


def fits(parameters: TrainerOptions, data: TransformedData) -> list[Fit]:
    """The network, those it is compared with, and the baseline."""
    found = [_network_fit(name, chosen, data) for name, chosen in networks(parameters).items()]
    return [*found, _metric_fit(parameters, data)] if parameters.baselines else found


def _network_fit(name: str, parameters: TrainerOptions, data: TransformedData) -> Fit:
    from ...components.data.faces import parsing
    from ...components.training import Fit

    epochs = parameters.steps // parameters.record_every
    held_out = _has_pairs(data, "eval")

    def build():
        import keras

        from ...models.facenet import TripletLoss, small_network

        model = small_network(
            parsing.image_shape(data),
            parameters.embedding_size,
            maps=tuple(parameters.maps),
            dropout=parameters.dropout,
        )
        warm_up = parameters.steps // 20
        rate = keras.optimizers.schedules.CosineDecay(
            parameters.learning_rate / 20,
            parameters.steps - warm_up,
            warmup_target=parameters.learning_rate,
            warmup_steps=warm_up,
        )
        model.compile(
            keras.optimizers.Adam(rate),
            TripletLoss(
                parameters.margin, selection=parameters.selection, average=parameters.average
            ),
        )
        return model

    def callbacks():
        from ...components.data.faces.measured_verification import MeasuredVerification
        from ...models.facenet import CollapseMonitor, MarginSchedule, linear_margin

        watched, labels = next(iter(_batches(parameters, data, augment=False)))
        chosen = [CollapseMonitor(watched.numpy(), labels.numpy())]
        if held_out:
            chosen.append(MeasuredVerification(data, "eval", prefix="held_out", far=0.01))
        if parameters.first_margin:
            margins = linear_margin(parameters.first_margin, parameters.margin, epochs)
            chosen.append(MarginSchedule(margins))
        return chosen

    return Fit(
        name=name,
        build=build,
        train=lambda: _batches(parameters, data, augment=parameters.augment),
        epochs=epochs,
        steps_per_epoch=parameters.record_every,
        monitor="held_out_area" if held_out else "loss",
        mode="max" if held_out else "min",
        callbacks=callbacks,
    )


def _metric_fit(parameters: TrainerOptions, data: TransformedData) -> Fit:
    """Returns the fit of the large margin metric on principal components."""
    from ...components.data.faces import parsing
    from ...components.training import Fit

    def build():
        import keras

        from ...components.data.pixels import to_floats
        from ...models.facenet import LargeMarginLoss, PrincipalProjection, pixel_metric_network

        images = to_floats(parsing.array(data, "train")[0]).numpy()
        projection = PrincipalProjection(
            min(parameters.components, len(images)), whiten=True, name=COMPONENTS
        )
        projection.adapt(images)
        model = pixel_metric_network(parsing.image_shape(data), projection)
        model.compile(keras.optimizers.Adam(1e-3), LargeMarginLoss())
        return model

    return Fit(
        name=METRIC,
        build=build,
        train=lambda: _batches(parameters, data, augment=False),
        epochs=max(1, min(METRIC_STEPS, parameters.steps) // parameters.record_every),
        steps_per_epoch=parameters.record_every,
        monitor="loss",
    )


def _batches(parameters: TrainerOptions, data: TransformedData, augment: bool) -> Any:
    from ...components.data.faces import augmentation, parsing

    batches = parsing.balanced_batches(
        data,
        "train",
        identities=parameters.people,
        images=parameters.images,
        singles=parameters.singles,
        seed=1,
    )
    return augmentation.augment(batches, seed=1) if augment else batches


def _has_pairs(data: TransformedData, split: str) -> bool:
    """Returns whether verification can be measured on a split."""
    from ...components.data.faces.paired_images import drawn_images

    try:
        drawn_images(data, split, 4, seed=0)
    except ValueError:
        return False
    return True


def summarize_training(
    parameters: TrainerOptions, logs: Mapping[str, Sequence[Mapping[str, Any]]]
) -> TrainingSummary:
    """Returns a table of the networks: how long each was trained, and what it came to."""
    from ...components.training import Table, TrainingSummary

    measured = {
        "held_out_area": "best area under the ROC, held-out people",
        "held_out_accuracy": "accuracy then",
        "held_out_val": "VAL at FAR 0.01 then",
        "active_triplets": "active triplets then",
    }
    rows = []
    for name in networks(parameters):
        best = max(logs[name], key=lambda row: row.get("held_out_area", -row["loss"]))
        minutes = sum(row["seconds"] for row in logs[name]) / 60
        rows.append(
            [name, len(logs[name]) * parameters.record_every, round(minutes, 2)]
            + [None if key not in best else round(best[key], 4) for key in measured]
        )
    title = f"Networks trained on {parameters.people} × {parameters.images} images a step"
    return TrainingSummary(
        [Table(title, ["network", "steps", "minutes", *measured.values()], rows)]
    )


def evaluate(
    models: Mapping[str, Any], data: TransformedData, split: str, parameters: EvaluatorOptions
) -> Iterator[dict[str, Any]]:
    """Yields a row a verification pair, and rows of recognition, clustering and worse images.

    Each network of a comparison then has a row a pair for itself.
    """
    from ...components.data.faces import evaluation

    amounts = evaluation.Amounts(
        far=parameters.far,
        pairs=parameters.pairs,
        degraded_pairs=parameters.degraded_pairs,
        images=parameters.recognized,
    )
    compared = dict.fromkeys(("network", *COMPARED_METRICS))
    by_suffix = {"": models[MAIN], **_baselines(models)}
    missing = dict.fromkeys(f"accuracy{suffix}" for suffix in BASELINES)
    pairs: list[dict[str, Any]] = []
    for row in evaluation.rows(by_suffix, data, split, amounts):
        yield {**missing, **compared, **row}
        if row["fold"] is not None:
            pairs.append(row)
    names = [name for name in models if name != METRIC]
    if len(names) == 1:
        return
    nothing = dict.fromkeys([*METRICS, *SLICES])
    few = dataclasses.replace(amounts, degraded_pairs=0, images=0)
    for name in names:
        found = evaluation.rows({"": models[name]}, data, split, few) if name != MAIN else pairs
        for row in found:
            yield {
                **nothing,
                "network": name,
                "accuracy_compared": row["accuracy"],
                "val_compared": row["val"],
            }


def _baselines(models: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the baselines by the suffix of their metrics."""
    import keras

    if METRIC not in models:
        return {}
    model = models[METRIC]
    components = keras.Model(model.inputs, model.get_layer(COMPONENTS).output)
    return {"_lmnn": model, "_eigenfaces": components}


def draw(
    models: Mapping[str, Any], data: TransformedData, split: str, parameters: EvaluatorOptions
) -> Mapping[str, str]:
    """Draws the ROC, the distances and a map of the embeddings."""
    from ...components.data.faces import figures

    return figures.draw(
        models[MAIN], data, split, _baselines(models), parameters.far, parameters.pairs
    )


def figures(rows: list[dict[str, Any]]) -> Mapping[str, str]:
    """Draws the pairs that were told wrongly."""
    from ...components.data.faces.figures import wrong_pairs

    return wrong_pairs(rows)


def serve(
    models: Mapping[str, Any], data: TransformedData, parameters: ExporterOptions
) -> ServingModel:
    """Signatures for one image, two images, serialized examples and pixels."""
    from ...components.data.faces.serving import serving_model

    return serving_model(models[MAIN], data, parameters.threshold, parameters.far)


def layer_examples() -> Sequence[Any]:
    """Returns the layers for the conformance suite."""
    from ...models.facenet import examples, metric_examples, network_examples

    return [
        *examples.layer_examples(),
        *metric_examples.layer_examples(),
        *network_examples.layer_examples(),
    ]


METHOD = Method(
    name="facenet",
    title="Faces embedded so that distance is likeness, by triplets",
    paper=(
        "Schroff, Kalenichenko, Philbin 2015: FaceNet: A Unified Embedding for Face Recognition "
        "and Clustering, arXiv 1503.03832"
    ),
    sources=faces.SOURCES,
    analyze=faces.analyze,
    transform=faces.transform,
    transform_options=faces.TransformOptions,
    fits=fits,
    trainer_options=TrainerOptions,
    summarize_training=summarize_training,
    evaluate=evaluate,
    evaluator_options=EvaluatorOptions,
    draw=draw,
    metrics=METRICS,
    slices=(*SLICES, "network"),
    serve=serve,
    exporter_options=ExporterOptions,
    paper_figures=(
        PaperFigure("accuracy", 0.9887, "LFW", remark=f"fixed crop; {PAPER}"),
        PaperFigure("accuracy", 0.9963, "LFW, aligned", remark=f"aligned; {PAPER}"),
        PaperFigure("val", 0.879, "NN1", remark=f"at FAR 0.001 on a million photographs; {PAPER}"),
        PaperFigure("val", 0.894, "NN2", remark=f"at FAR 0.001 on a million photographs; {PAPER}"),
    ),
    samples=faces.sample,
    figures=figures,
    predict_inputs=faces.PREDICT_INPUTS,
    predict_signatures=faces.PREDICT_SIGNATURES,
    predict_files=faces.PREDICT_FILES,
    layer_examples=layer_examples,
    tiny={
        "example_gen.identities": 30,
        "example_gen.images": 4,
        "example_gen.size": 32,
        "example_gen.splits": {"train": 2, "eval": 1},
        "example_gen.pairs": 60,
        "trainer.maps": [4],
        "trainer.embedding_size": 16,
        "trainer.people": 5,
        "trainer.images": 3,
        "trainer.components": 8,
        "trainer.steps": 8,
        "trainer.record_every": 4,
        "evaluator.pairs": 60,
        "evaluator.degraded_pairs": 40,
        "evaluator.recognized": 60,
        "evaluator.max_drop": 1.0,
    },
)
