"""FaceNet: an embedding of faces in which distance is likeness (Schroff et al. 2015)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..method import Method, PaperFigure
from . import sources
from .metrics import DEGRADED_METRICS, SLICES, metrics
from .options import MAIN, EvaluatorOptions, ExporterOptions, TrainerOptions
from .training import COMPONENTS, METRIC, fits, summarize_training

if TYPE_CHECKING:
    from ....components.base.transformed_data import TransformedData
    from ....components.exporter.serving_model import ServingModel

BASELINES = {
    "_lmnn": "by a large margin metric (LMNN) learned on principal components of the pixels",
    "_eigenfaces": "by principal components of the pixels",
}
PAPER = "260 million photographs of 8 million people, network NN1 or NN2, 1,000 to 2,000 hours"
MILLION = f"on a million photographs; {PAPER}"
METRICS = {
    **metrics(BASELINES),
    "accuracy_compared": "accuracy of a network, if several are joined or compared",
    "val_compared": "VAL of a network, if several are joined or compared",
}
COMPARED_METRICS = ("accuracy_compared", "val_compared")


def evaluate(
    models: Mapping[str, Any], data: TransformedData, split: str, parameters: EvaluatorOptions
) -> Iterator[dict[str, Any]]:
    """Yields a row a verification pair, and rows of recognition, clustering and worse images.

    Where several networks were trained, the model and each of them then has a row a pair.
    """
    from . import evaluation

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
    from ....models.facenet.networks import joined_network

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
    from . import figures

    return figures.draw(
        _joined(models), data, split, _baselines(models), parameters.far, parameters.pairs
    )


def figures(rows: list[dict[str, Any]]) -> Mapping[str, str]:
    """Draws the pairs that were told wrongly."""
    from .figures import wrong_pairs

    return wrong_pairs(rows)


def serve(
    models: Mapping[str, Any], data: TransformedData, parameters: ExporterOptions
) -> ServingModel:
    """Signatures for one image, two images, serialized examples and pixels."""
    from .serving import serving_model

    return serving_model(_joined(models), data, parameters.threshold, parameters.far)


def layer_examples() -> Sequence[Any]:
    """Returns the layers for the conformance suite."""
    from ....models.facenet import examples, metric_examples, network_examples

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
    sources=sources.SOURCES,
    analyze=sources.analyze,
    transform=sources.transform,
    transform_options=sources.TransformOptions,
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
    samples=sources.sample,
    figures=figures,
    predict_inputs=sources.PREDICT_INPUTS,
    predict_signatures=sources.PREDICT_SIGNATURES,
    predict_files=sources.PREDICT_FILES,
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
