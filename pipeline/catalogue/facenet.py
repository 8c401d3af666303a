"""FaceNet: an embedding of faces in which distance is likeness (Schroff et al. 2015)."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import pydantic

from ...components.component import HOW, BadDataError, Parameters
from ...components.data.faces.metrics import DEGRADED_METRICS, SLICES, metrics
from . import faces
from .method import Method, PaperFigure

if TYPE_CHECKING:
    import keras
    import numpy as np

    from ...components.serving import ServingModel
    from ...components.training import Fit, TrainingSummary
    from ...components.transformed import TransformedData

MAIN, METRIC = "facenet", "lmnn"
LEAST_SIDES = {"convolutional": 32, "fisher": 42}
"""Pixels of an image that the networks need."""
FISHER_SIZE = 66
"""Numbers of a descriptor that Fisher vectors are made of: 64 components and its place."""
COMPONENTS = "principal_components"
METRIC_STEPS = 300
BASELINES = {
    "_lmnn": "by a large margin metric (LMNN) learned on principal components of the pixels",
    "_eigenfaces": "by principal components of the pixels",
}
PAPER = "260 million photographs of 8 million people, network NN1 or NN2, 1,000 to 2,000 hours"
MILLION = f"on a million photographs; {PAPER}"


class EvaluatorOptions(Parameters):
    """What is measured."""

    far: float = pydantic.Field(
        0.01, gt=0, lt=1, description="largest false accept rate of the threshold of VAL"
    )
    pairs: int = pydantic.Field(
        1000,
        ge=2,
        description="verification pairs drawn of a split that lists none, as of "
        "evaluator.split=eval; those of the split test are example_gen's",
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

    network: Literal["convolutional", "fisher"] = pydantic.Field(
        "convolutional",
        description="a small network, or one matrix learned on Fisher vectors of fixed "
        "descriptors; for photographs the second is better",
    )
    embedding_size: int = pydantic.Field(128, ge=1, description="numbers of an embedding")
    mixture: int = pydantic.Field(
        128, ge=1, description="of the network fisher: Gaussians of the Fisher vectors"
    )
    strides: int = pydantic.Field(
        2, ge=1, description="of the network fisher: pixels between two descriptors"
    )
    whitened: int = pydantic.Field(
        800, ge=1, description="of the network fisher: principal components that its matrix reads"
    )
    maps: list[pydantic.PositiveInt] = pydantic.Field(
        [32, 32, 64], description="feature maps of the convolutional network's convolutions"
    )
    shrink: float = pydantic.Field(
        1.0, ge=1, le=2, description="the convolutional network sees images so many times smaller"
    )
    mirrored: bool = pydantic.Field(
        False,
        description="once it is trained, the convolutional network embeds an image and its mirror "
        "image and takes their mean",
    )
    dropout: float = pydantic.Field(
        0.3, ge=0, lt=1, description="part of the features that a step leaves out"
    )
    selection: Literal["semi_hard", "all_semi_hard", "batch_hard", "hard", "all"] = pydantic.Field(
        "semi_hard", description="which triplets of a batch are learned from"
    )
    average: Literal["active", "all"] = pydantic.Field(
        "active", description="the mean over triplets that still have a loss, or over all selected"
    )
    margin: float = pydantic.Field(
        0.2, gt=0, le=4, description="between squared distances, the paper's α"
    )
    first_margin: float = pydantic.Field(
        0.0,
        ge=0,
        le=4,
        description="the margin of the first `record_every` steps, from which it grows to "
        "`margin` in the last; 0: `margin` all the time",
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
    augment: bool = pydantic.Field(
        True,
        description="mirror, turn, scale, shift and shade training images; the network fisher "
        "sees an image and its mirror image only",
    )
    baselines: bool = pydantic.Field(
        True,
        description="eigenfaces, and a large margin metric (LMNN) learned on them, for comparison",
    )
    components: int = pydantic.Field(100, ge=1, description="principal components of the baselines")
    join: list[str] = pydantic.Field(
        [],
        description="networks trained apart, whose embeddings stand beside the first one's in that "
        'of the model; each by what differs, for example ["network=fisher,margin=0.5"]',
    )
    compare: list[str] = pydantic.Field(
        [],
        description="further networks beside the first, each by what differs, for example "
        '["selection=all", "margin=0.5,embedding_size=64"]',
    )
    workers: int = pydantic.Field(
        2, ge=1, description="networks trained side by side", json_schema_extra=HOW
    )

    @pydantic.field_validator("join", "compare")
    @classmethod
    def _known(cls, entries: list[str]) -> list[str]:
        for text in entries:
            _differences(text)
        return entries

    @pydantic.model_validator(mode="after")
    def _whole_records(self):
        if self.steps % self.record_every:
            raise ValueError(
                "`steps` must be a multiple of `record_every`, so that training ends with a "
                f"measurement. Received: steps={self.steps}, record_every={self.record_every}"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _enough_components(self):
        most = min(self.whitened, 2 * self.mixture * FISHER_SIZE)
        if self.network == "fisher" and self.embedding_size > most:
            raise ValueError(
                "`embedding_size` must be at most `whitened`, and both at most the "
                f"{2 * self.mixture * FISHER_SIZE} numbers of a Fisher vector. "
                f"Received: embedding_size={self.embedding_size}, whitened={self.whitened}"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _growing_margin(self):
        if self.first_margin and self.first_margin >= self.margin:
            raise ValueError(
                "`first_margin` must be smaller than `margin`, to which it grows. "
                f"Received: first_margin={self.first_margin}, margin={self.margin}"
            )
        if self.first_margin and self.steps == self.record_every:
            raise ValueError(
                "With `first_margin`, `steps` must be at least twice `record_every`: the margin "
                "grows after each measurement. "
                f"Received: steps={self.steps}, record_every={self.record_every}"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _joined_networks(self):
        for text in self.join:
            _changed(self, text)
        return self

    @pydantic.model_validator(mode="after")
    def _different_networks(self):
        seen = [_alone(self)]
        for text in self.compare:
            values = _alone(_changed(self, text))
            if values in seen:
                known = "the first one" if values == seen[0] else "one that is named before"
                raise ValueError(
                    "The networks of `compare` must differ from the first one and from each other. "
                    f"Received: {text!r}, which is {known}"
                )
            seen.append(values)
        return self


METRICS = {
    **metrics(BASELINES),
    "accuracy_compared": "accuracy of a network, if several are joined or compared",
    "val_compared": "VAL of a network, if several are joined or compared",
}
COMPARED_METRICS = ("accuracy_compared", "val_compared")
DIFFERENCES = (
    "network",
    "embedding_size",
    "mixture",
    "strides",
    "whitened",
    "shrink",
    "mirrored",
    "dropout",
    "selection",
    "average",
    "margin",
    "first_margin",
    "people",
    "images",
    "singles",
    "steps",
    "record_every",
    "learning_rate",
    "augment",
)
"""What networks that are joined or compared can differ in."""


def _differences(text: str) -> dict[str, str]:
    """Returns the parameters that an entry of `join` or `compare` changes."""
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name in found:
            raise ValueError(
                f"A network must be given a parameter once. Received: {text!r} with {name} twice"
            )
        if name not in DIFFERENCES or not equals:
            raise ValueError(
                "A network must be given as NAME=VALUE, several joined by commas, of "
                f"{', '.join(DIFFERENCES)}. Received: {part!r}"
            )
        found[name] = value
    return found


def _alone(parameters: TrainerOptions) -> dict[str, Any]:
    """Returns the parameters of one network."""
    return {**parameters.model_dump(), "join": [], "compare": []}


def _changed(parameters: TrainerOptions, text: str) -> TrainerOptions:
    """Returns the parameters of the network that an entry of `join` or `compare` describes."""
    try:
        return parameters.model_validate(_alone(parameters) | _differences(text))
    except pydantic.ValidationError as error:
        problems = "; ".join(
            ": ".join([*map(str, found["loc"]), found["msg"].removeprefix("Value error, ")])
            for found in error.errors()
        )
        raise ValueError(
            f"Networks of `join` and `compare` must be such that can be trained: {problems}. "
            f"Received: {text!r}"
        ) from error


def networks(parameters: TrainerOptions) -> dict[str, TrainerOptions]:
    """Returns the parameters of each network by its name: first the one or those of the model."""
    found = {MAIN: parameters}
    if parameters.join:
        joined = [parameters, *(_changed(parameters, text) for text in parameters.join)]
        found = {f"{MAIN}-{number}": each for number, each in enumerate(joined, start=1)}
    for text in parameters.compare:
        name = re.sub(r"[^A-Za-z0-9.]+", "-", re.sub(r"\s", "", text))
        found[name] = _changed(parameters, text)
    return found


def fits(parameters: TrainerOptions, data: TransformedData) -> list[Fit]:
    """The network, those it is compared with, and the baseline.

    Raises:
        BadDataError: the images are too small or too few for the parameters.
    """
    _check_data(parameters, data)
    found = [_network_fit(name, chosen, data) for name, chosen in networks(parameters).items()]
    return [*found, _metric_fit(parameters, data)] if parameters.baselines else found


def _check_data(parameters: TrainerOptions, data: TransformedData) -> None:
    """Refuses what would fail in the networks or in the first batch, with the options to change."""
    from ...components.data.faces import parsing

    chosen = networks(parameters).values()
    height, width, _ = parsing.image_shape(data)
    least = max(_least_side(each) for each in chosen)
    if min(height, width) < least:
        raise BadDataError(
            f"The network takes images of at least {least} × {least} pixels; give "
            f"--set transform.height={max(height, least)} "
            f"--set transform.width={max(width, least)}, or larger ones. "
            f"Received: images {height} high and {width} wide"
        )
    numbers = [each.embedding_size for each in chosen if each.network == "fisher"]
    if max(numbers, default=0) > parsing.count(data, "train"):
        raise BadDataError(
            "The network fisher needs as many images in the split train as an embedding has "
            f"numbers; give --set trainer.embedding_size={parsing.count(data, 'train')} or less. "
            f"Received: {max(numbers)} numbers"
        )
    counts = parsing.identity_counts(data, "train")
    for each in chosen:
        _check_batches(each, counts)


def _least_side(parameters: TrainerOptions) -> int:
    """Returns how many pixels the sides of an image must have for a network."""
    shrink = parameters.shrink if parameters.network == "convolutional" else 1
    return math.ceil(LEAST_SIDES[parameters.network] * shrink)


def _check_batches(parameters: TrainerOptions, counts: np.ndarray) -> None:
    """Refuses batches that people with so many images do not fill."""
    from ...components.data.faces.identity_batches import most_identities

    people, images, singles = parameters.people, parameters.images, int((counts == 1).sum())
    fitting = {size: most_identities(counts, size) for size in range(images, 1, -1)}
    received = (
        f"Received: people={people}, images={images}, singles={parameters.singles}, and in the "
        f"split train {len(counts) - singles:,} people with two images or more and {singles:,} "
        "with one"
    )
    if fitting[2] < 2:
        raise BadDataError(
            "Triplets need two people with two images each or more in the split train; give more "
            f"images. {received}"
        )
    if fitting[images] < people:
        most, fewer = fitting[images], next((n for n, most in fitting.items() if most >= people), 0)
        choices = [f"--set trainer.people={most}"] if most > 1 else []
        choices += [f"--set trainer.images={fewer}"] if fewer else []
        if not choices:
            choices = [f"--set trainer.people={fitting[2]} --set trainer.images=2"]
        raise BadDataError(
            "A batch needs `people` people with `images` images of each; with this data give at "
            f"most {' or '.join(choices)}. {received}"
        )
    if parameters.singles > singles:
        raise BadDataError(
            "The singles of a batch are people of whom there is one image; with this data give at "
            f"most --set trainer.singles={singles}. {received}"
        )


def _network_fit(name: str, parameters: TrainerOptions, data: TransformedData) -> Fit:
    if parameters.network == "fisher":
        return _fisher_fit(name, parameters, data)
    from ...components.data.faces import parsing

    def build():
        from ...models.facenet import resized, small_network

        height, width, channels = shape = parsing.image_shape(data)
        smaller = round(height / parameters.shrink), round(width / parameters.shrink), channels
        model = small_network(
            smaller,
            parameters.embedding_size,
            maps=tuple(parameters.maps),
            dropout=parameters.dropout,
        )
        return _compiled(model if smaller == shape else resized(model, shape), parameters)

    def finish(model):
        from ...models.facenet import mirrored

        return mirrored(model) if parameters.mirrored else model

    return _triplet_fit(
        name,
        parameters,
        data,
        build=build,
        train=lambda augment: _batches(parameters, data, augment=augment),
        finish=finish,
    )


def _fisher_fit(name: str, parameters: TrainerOptions, data: TransformedData) -> Fit:
    """Returns the fit of a projection of Fisher vectors, which are computed once, at its start."""
    from ...components.data.faces import parsing

    fixed = None

    def prepare(report):
        from ...components.data.faces.fisher_training import FisherTraining

        nonlocal fixed
        fixed = FisherTraining.of(
            data, parameters.mixture, parameters.whitened, parameters.strides, report
        )

    def build():
        from ...models.facenet import fisher_head

        head = fisher_head(fixed.projection, parameters.embedding_size, parameters.dropout)
        return _compiled(head, parameters)

    def train(augment):
        return parsing.balanced_batches(
            data,
            "train",
            identities=parameters.people,
            images=parameters.images,
            singles=parameters.singles,
            seed=1,
            vectors=fixed.training_vectors,
        )

    return _triplet_fit(
        name,
        parameters,
        data,
        build=build,
        train=train,
        rows=lambda pixels: fixed.vectors(pixels),
        finish=lambda head: fixed.network(head),
        prepare=prepare,
    )


def _compiled(model: keras.Model, parameters: TrainerOptions) -> keras.Model:
    import keras

    from ...models.facenet import TripletLoss

    warm_up = parameters.steps // 20
    rate = keras.optimizers.schedules.CosineDecay(
        parameters.learning_rate / 20,
        parameters.steps - warm_up,
        warmup_target=parameters.learning_rate,
        warmup_steps=warm_up,
    )
    model.compile(
        keras.optimizers.Adam(rate),
        TripletLoss(parameters.margin, selection=parameters.selection, average=parameters.average),
    )
    return model


def _triplet_fit(
    name: str,
    parameters: TrainerOptions,
    data: TransformedData,
    build: Callable[[], keras.Model],
    train: Callable[[bool], Any],
    rows: Callable[[np.ndarray], np.ndarray] | None = None,
    finish: Callable[[keras.Model], keras.Model] | None = None,
    prepare: Callable[[Callable[[float], None]], None] | None = None,
) -> Fit:
    """Returns the fit of a model to triplets, measured on held-out people."""
    from ...components.training import Fit

    epochs = parameters.steps // parameters.record_every
    held_out = _has_pairs(data, "eval")

    def callbacks():
        from ...components.data.faces.measured_verification import MeasuredVerification
        from ...models.facenet import CollapseMonitor, MarginSchedule, linear_margin

        watched, labels = next(iter(train(False)))
        chosen = [CollapseMonitor(watched.numpy(), labels.numpy())]
        if held_out:
            measured = MeasuredVerification(data, "eval", prefix="held_out", far=0.01, prepare=rows)
            chosen.append(measured)
        if parameters.first_margin:
            margins = linear_margin(parameters.first_margin, parameters.margin, epochs - 1)
            chosen.append(MarginSchedule(margins))
        return chosen

    return Fit(
        name=name,
        build=build,
        train=lambda: train(parameters.augment),
        epochs=epochs,
        steps_per_epoch=parameters.record_every,
        monitor="held_out_area" if held_out else "loss",
        mode="max" if held_out else "min",
        callbacks=callbacks,
        finish=finish,
        prepare=prepare,
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
    for name, each in networks(parameters).items():
        best = max(logs[name], key=lambda row: row.get("held_out_area", -row["loss"]))
        minutes = sum(row["seconds"] for row in logs[name]) / 60
        rows.append(
            [name, each.people * each.images + each.singles]
            + [len(logs[name]) * each.record_every, round(minutes, 2)]
            + [None if key not in best else round(best[key], 4) for key in measured]
        )
    columns = ["network", "images a step", "steps", "minutes", *measured.values()]
    return TrainingSummary([Table("Networks", columns, rows)])


def evaluate(
    models: Mapping[str, Any], data: TransformedData, split: str, parameters: EvaluatorOptions
) -> Iterator[dict[str, Any]]:
    """Yields a row a verification pair, and rows of recognition, clustering and worse images.

    Where several networks were trained, the model and each of them then has a row a pair.
    """
    from ...components.data.faces import evaluation

    amounts = evaluation.Amounts(
        far=parameters.far,
        pairs=parameters.pairs,
        degraded_pairs=parameters.degraded_pairs,
        images=parameters.recognized,
    )
    compared = dict.fromkeys(("network", *COMPARED_METRICS))
    model = _joined(models)
    by_suffix = {"": model, **_baselines(models)}
    missing = dict.fromkeys(f"accuracy{suffix}" for suffix in BASELINES)
    pairs: list[dict[str, Any]] = []
    for row in evaluation.rows(by_suffix, data, split, amounts):
        yield {**missing, **compared, **row}
        if row["fold"] is not None:
            pairs.append(row)
    others = {name: each for name, each in models.items() if name not in (MAIN, METRIC)}
    if not others:
        return
    nothing = dict.fromkeys([*METRICS, *SLICES])
    few = dataclasses.replace(amounts, degraded_pairs=0, images=0)
    for name, each in {MAIN: model, **others}.items():
        for row in pairs if name == MAIN else evaluation.rows({"": each}, data, split, few):
            yield {
                **nothing,
                "network": name,
                "accuracy_compared": row["accuracy"],
                "val_compared": row["val"],
            }


def _joined(models: Mapping[str, Any]) -> Any:
    """Returns the model that is measured and served: the first network, or all that are joined."""
    from ...models.facenet import joined_network

    parts = [each for name, each in models.items() if re.fullmatch(rf"{MAIN}-\d+", name)]
    return joined_network(parts) if parts else models[MAIN]


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
        _joined(models), data, split, _baselines(models), parameters.far, parameters.pairs
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

    return serving_model(_joined(models), data, parameters.threshold, parameters.far)


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
    baselines=tuple(f"accuracy{suffix}" for suffix in BASELINES),
    only_sliced=(*DEGRADED_METRICS, *COMPARED_METRICS),
    slices=(*SLICES, "network"),
    serve=serve,
    exporter_options=ExporterOptions,
    paper_figures=(
        PaperFigure("accuracy", 0.9887, "LFW", remark=f"fixed crop; {PAPER}"),
        PaperFigure("accuracy", 0.9963, "LFW, aligned", remark=f"aligned; {PAPER}"),
        PaperFigure("val", 0.879, "NN1", remark=MILLION, measured_at={"far": 0.001}),
        PaperFigure("val", 0.894, "NN2", remark=MILLION, measured_at={"far": 0.001}),
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
