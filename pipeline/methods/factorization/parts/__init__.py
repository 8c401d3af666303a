"""Images as sums of parts: Figure 1 of Lee & Seung 1999 beside its two baselines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import pydantic

from .....components.base.parameters import Parameters
from .....components.data.labelled_images.options import TransformOptions
from ...image_classification import sources
from ...method import Method

if TYPE_CHECKING:
    from .....components.base.transformed_data import TransformedData
    from .....components.exporter.serving_model import ServingModel
    from .....components.trainer.fit import Fit

KINDS = {
    "nmf": "Non-negative matrix factorization",
    "pca": "Principal components",
    "vq": "Vector quantisation",
}
DRAWN_IMAGES = 1


class UnlabelledOptions(TransformOptions):
    """As for other images, but a face may be of a person whom the training images lack."""

    unknown_classes: bool = pydantic.Field(
        True, description="keep images of classes that training lacks: labels are not looked at"
    )


class TrainerOptions(Parameters):
    """The parts and how they are learned."""

    rank: int = pydantic.Field(16, ge=1, description="components of each kind")
    loss: Literal["euclidean", "divergence"] = pydantic.Field(
        "divergence", description="what the factorization minimises"
    )
    epochs: int = pydantic.Field(100, ge=1, description="passes over the images")
    batch_size: int = pydantic.Field(
        2000, ge=1, description="images a step; fewer than there are: past steps count on"
    )
    iterations: int = pydantic.Field(
        30, ge=1, description="rounds of the multiplicative rule that find an image's codes"
    )


def fits(parameters: TrainerOptions, data: TransformedData) -> list[Fit]:
    """The factorization, and the baselines, which are computed at once."""
    return [_fit(kind, parameters, data) for kind in KINDS]


def _fit(kind: str, parameters: TrainerOptions, data: TransformedData) -> Fit:
    from .....components.data.labelled_images import parsing
    from .....components.trainer.fit import Fit

    size = parsing.count(data, "train")
    batch_size = min(parameters.batch_size, size)
    has_eval = parsing.count(data, "eval") > 0

    def build():
        from .....models.factorization import PartsModel

        model = PartsModel(_coder(kind, parameters, data, 1 - batch_size / size), name=kind)
        model.build((None, *parsing.image_shape(data)))
        model.compile()
        return model

    return Fit(
        name=kind,
        build=build,
        train=lambda: parsing.batches(data, "train", batch_size, seed=1, drop_remainder=True),
        validation=(lambda: parsing.batches(data, "eval", batch_size)) if has_eval else None,
        epochs=parameters.epochs if kind == "nmf" else 1,
        monitor="val_loss" if has_eval else "loss",
    )


def _coder(kind: str, parameters: TrainerOptions, data: TransformedData, momentum: float) -> Any:
    from .....components.data.labelled_images import parsing
    from .....models.factorization import (
        NonNegativeFactorization,
        PrincipalComponents,
        VectorQuantization,
    )

    if kind == "nmf":
        return NonNegativeFactorization(
            parameters.rank,
            loss=parameters.loss,
            update="multiplicative",
            iterations=parameters.iterations,
            momentum=momentum,
        )
    coder = {"pca": PrincipalComponents, "vq": VectorQuantization}[kind](parameters.rank)
    images, _ = parsing.arrays(data, "train")
    coder.adapt(images.reshape(len(images), -1) / 255.0)
    return coder


def evaluate(
    models: Mapping[str, Any], data: TransformedData, split: str, parameters: Any
) -> Iterator[dict[str, Any]]:
    """Yields a row an image."""
    from . import evaluation

    by_suffix = {"" if kind == "nmf" else f"_{kind}": models[kind] for kind in KINDS}
    yield from evaluation.rows(by_suffix, data, split)


def draw(
    models: Mapping[str, Any], data: TransformedData, split: str, parameters: Any
) -> dict[str, str]:
    """Draws the components of each kind, and two images as their sums."""
    import keras

    from .....components.data.images.pixels import to_floats
    from .....components.data.labelled_images import parsing
    from . import figures as parts_figures

    shape = parsing.image_shape(data)
    pixels, _, ids = next(parsing.parsed(data, split, DRAWN_IMAGES))
    images = to_floats(pixels)
    drawn = {}
    for index, identity in enumerate(ids):
        for kind, name in KINDS.items():
            outputs = models[kind](images, training=False)
            components = keras.ops.convert_to_numpy(models[kind].coder.components)
            covered = parts_figures.coverage(components)
            mean = "; their sum is added to the mean image" if kind == "pca" else ""
            title = (
                f"{name}, and image {identity.decode()} as their sum: a component covers "
                f"{100 * covered:.0f} % of the pixels{mean}. Light is positive, red negative"
            )
            drawn[title] = parts_figures.draw_components(
                name,
                components.reshape(-1, *shape),
                outputs["codes"][index].numpy(),
                images[index].numpy(),
                outputs["reconstruction"][index].numpy(),
            )
    return drawn


def figures(rows: list[dict[str, Any]]) -> Mapping[str, str]:
    """Draws what was put together worst."""
    from .figures import worst

    return worst(rows)


def serve(models: Mapping[str, Any], data: TransformedData, parameters: Any) -> ServingModel:
    """Signatures for encoded images, serialized examples and pixels."""
    from . import serving

    return serving.serving_model(models["nmf"], data)


def layer_examples() -> Sequence[Any]:
    """Returns the layers for the conformance suite."""
    from .....models.factorization.parts_examples import layer_examples as examples

    return examples()


METHOD = Method(
    name="nmf-parts",
    title="Images as sums of parts, by non-negative matrix factorization",
    paper=(
        "Lee, Seung 1999: Learning the parts of objects by non-negative matrix factorization, "
        "Nature 401; Lee, Seung 2001: Algorithms for Non-negative Matrix Factorization, NIPS 13"
    ),
    sources=sources.SOURCES,
    analyze=sources.analyze,
    transform=sources.transform,
    transform_options=UnlabelledOptions,
    fits=fits,
    trainer_options=TrainerOptions,
    evaluate=evaluate,
    draw=draw,
    metrics={
        "error": "root of the mean squared difference of the pixels, in [0, 1]",
        "error_pca": "the same with principal components",
        "error_vq": "the same with vector quantisation",
        "used": "components that an image is effectively made of",
        "used_pca": "the same with principal components",
        "used_vq": "the same with vector quantisation",
    },
    higher_is_better=False,
    root_mean_square=("error", "error_pca", "error_vq"),
    mean_over_slices=False,
    serve=serve,
    samples=sources.sample,
    figures=figures,
    predict_inputs=sources.PREDICT_INPUTS,
    predict_files=sources.PREDICT_FILES,
    layer_examples=layer_examples,
    tiny={
        "example_gen.limit": 200,
        "trainer.rank": 6,
        "trainer.epochs": 3,
        "trainer.iterations": 5,
        "evaluator.max_drop": 1.0,
    },
)
