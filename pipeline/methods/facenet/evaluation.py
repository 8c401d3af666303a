"""Measures embeddings of faces: verification, recognition, clustering, and by image quality.

Dimensions: N images of a split, P pairs, H height, W width, C channels, D embedding.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from ....components.data.faces.faces import Faces
from ....components.data.images.image_files import data_uri, encode_png
from ....components.evaluator.metric import Plotted, SetMeasure
from ....models.facenet.measures.clustering import cluster, pairwise_scores
from ....models.facenet.measures.identification import rank_accuracies
from ....models.facenet.measures.verification import val_at_far, verify
from . import degradation
from .embedding import BATCH, compile_embedding, squared_distances
from .joined import joined_model
from .networks import COMPONENTS, MAIN, METRIC
from .pairs.paired_images import (
    SplitIndex,
    read_images,
    read_index,
    read_paired,
    verification_pairs,
)
from .pairs.sampling import Pairs
from .pairs.threshold import choose_threshold
from .plotted import plotted

if TYPE_CHECKING:
    from .options import EvaluatorOptions

LMNN, EIGENFACES = "_lmnn", "_eigenfaces"
"""Suffixes of the baselines' metrics."""

WITH_IMAGES = 30
"""Wrong pairs of each kind whose images are kept: enough to look at, in a small file."""

RANKS = (1, 5)
SEED = 0
"""Of all draws."""

_FEWEST_PAIRS = 10
Embed = Callable[[np.ndarray], np.ndarray]


def evaluate(
    models: Mapping[str, keras.Model],
    data: Faces,
    split: str,
    parameters: EvaluatorOptions,
) -> Iterator[dict[str, Any] | SetMeasure | Plotted]:
    """Yields a row for each verification pair, wrong ones first, then measures of all images.

    Pairs are those that the split lists or, where it lists none, drawn ones.

    Args:
        models: by fit, models from float32 images `(B, H, W, C)` in [0, 1] to embeddings `(B, D)`.
        data: faces.
        split: string.
        parameters: of the Evaluator: `far`, `pairs`, `degraded_pairs`, `recognized`.

    Yields:
        For each pair a dict: `id` and `fold` (from `"1"`), strings; `same`; `distance`, squared;
        `threshold`, the fold's, chosen on the other folds; `accuracy`, 1.0 or 0.0; of pairs of the
        same person `val`, 1.0 if accepted at the largest threshold whose FAR is at most
        `parameters.far`; of others `far`, 1.0 if accepted there; `eer`, 1.0 if wrong at the
        threshold where FAR and FRR meet (its mean is the equal error rate up to half a pair: the
        rate itself lies between two pairs); `accuracy<suffix>` for each baseline; and for the
        `WITH_IMAGES` worst false accepts and false rejects `details`, with both images as `data:`
        addresses.

        A `SetMeasure` with `rank_1` and `rank_5`, one with `pairwise_f`, one for each level of
        `degradation.levels` with `accuracy_degraded` and `val_degraded`, and where several networks
        were trained one for each with `accuracy_compared` and `val_compared`. Clusters are joined
        up to the threshold of the best accuracy on pairs of the split `eval`; for the levels the
        thresholds are chosen anew.

        A `Plotted` of the ROC, the distances and a map of the embeddings.

    Raises:
        ValueError: there are not pairs of both kinds.
    """
    model = joined_model(models)
    baselines = baseline_models(models)
    measured = _Measured({"": model, **baselines}, data, split, parameters)
    yield from measured.pair_rows()
    yield from measured.set_measures()
    yield from measured.degraded_measures()
    compared = {name: network for name, network in models.items() if name not in (MAIN, METRIC)}
    if compared:
        yield measured.compared(MAIN)
        alone = parameters.model_copy(update={"recognized": 0})
        for name, network in compared.items():
            yield _Measured({"": network}, data, split, alone).compared(name)
    yield Plotted(plotted(model, data, split, baselines, parameters.far, parameters.pairs))


def baseline_models(models: Mapping[str, keras.Model]) -> dict[str, keras.Model]:
    """Returns the baselines by the suffix of their metrics."""
    if METRIC not in models:
        return {}
    model = models[METRIC]
    components = keras.Model(model.inputs, model.get_layer(COMPONENTS).output)
    return {LMNN: model, EIGENFACES: components}


class _Measured:
    """What is known of a split, and the embeddings of its images."""

    def __init__(
        self,
        models: Mapping[str, keras.Model],
        data: Faces,
        split: str,
        parameters: EvaluatorOptions,
    ):
        self.models = models
        self.data = data
        self.split = split
        self.parameters = parameters
        self.shape = data.image_shape
        self.embeds = {
            suffix: compile_embedding(model, self.shape) for suffix, model in models.items()
        }
        self.index = read_index(data, split)
        self.pairs = verification_pairs(self.index, parameters.pairs, SEED)
        self.paired = self.pairs.images()
        self.recognized = _some_people(self.index, parameters.recognized, SEED)
        self.embeddings = self._embedded()

    def pair_rows(self) -> Iterator[dict[str, Any]]:
        """Yields the rows of pairs."""
        pairs = self.pairs
        distances = {suffix: self._distances(suffix, pairs) for suffix in self.models}
        verified = {
            suffix: verify(values, pairs.same, pairs.folds) for suffix, values in distances.items()
        }
        main, own = verified[""], distances[""]
        places = np.searchsorted(main.folds, pairs.folds)
        thresholds = main.fold_thresholds[places]
        accepted = own <= val_at_far(own, pairs.same, self.parameters.far).threshold
        wrong_at_equal = (own <= main.equal_error_threshold) != pairs.same
        # The farther on the wrong side of its threshold, the worse a pair is.
        order = np.argsort(np.where(main.correct, 1, -1) * abs(own - thresholds), kind="stable")
        shown = _worst(order, main.correct, pairs.same)
        images = self._images(pairs.only(np.array(shown, np.int64)))
        for number in order:
            first, second = pairs.first[number], pairs.second[number]
            names = [self.index.ids[index].decode() for index in (first, second)]
            same = bool(pairs.same[number])
            row: dict[str, Any] = {
                "id": " | ".join(names),
                "fold": str(places[number] + 1),
                "same": same,
                "distance": float(own[number]),
                "threshold": float(thresholds[number]),
                **{
                    f"accuracy{suffix}": float(result.correct[number])
                    for suffix, result in verified.items()
                },
                "val" if same else "far": float(accepted[number]),
                "eer": float(wrong_at_equal[number]),
            }
            if number in shown:
                row["details"] = {
                    "wrong": "false reject" if same else "false accept",
                    "first": names[0],
                    "second": names[1],
                    "distance": round(row["distance"], 4),
                    "threshold": round(row["threshold"], 4),
                    "first_image": images[first],
                    "second_image": images[second],
                }
            yield row

    def set_measures(self) -> Iterator[SetMeasure]:
        """Yields the measures of recognition and of clustering."""
        identities = self.index.identities[self.recognized].astype(str)
        _, counts = np.unique(identities, return_counts=True)
        if not len(counts) or counts.max() < 2:
            return
        size = {"images": len(identities), "people": len(counts)}
        embeddings = self.embeddings[""][np.searchsorted(self.embedded, self.recognized)]
        ranked = rank_accuracies(embeddings, identities, RANKS)
        accuracies = {
            f"rank_{rank}": float(accuracy)
            for rank, accuracy in zip(RANKS, ranked.accuracies, strict=True)
        }
        yield SetMeasure(accuracies, int(ranked.has_match.sum()), details=size)
        threshold = choose_threshold(self.models[""], self.data, seed=SEED)
        scores = pairwise_scores(cluster(embeddings, threshold), identities)
        yield SetMeasure(
            {"pairwise_f": scores.f},
            len(identities),
            details={
                **size,
                "clusters": scores.clusters,
                "threshold": threshold,
                "precision": scores.precision,
                "recall": scores.recall,
            },
        )

    def degraded_measures(self) -> Iterator[SetMeasure]:
        """Yields a measure for each level of quality, with a sample image."""
        if not self.parameters.degraded_pairs:
            return
        pairs = _some_pairs(self.pairs, self.parameters.degraded_pairs)
        drawn = read_paired(self.data, self.split, self.index, pairs)
        same, folds = drawn.pairs.same, drawn.pairs.folds
        for kind, by_level in degradation.levels(self.shape).items():
            for level, degrade in by_level.items():
                degraded = dataclasses.replace(drawn, pixels=degrade(drawn.pixels))
                distances = degraded.distances(self.embeds[""])
                yield SetMeasure(
                    {
                        "accuracy_degraded": float(verify(distances, same, folds).correct.mean()),
                        "val_degraded": val_at_far(distances, same, self.parameters.far).val,
                    },
                    len(same),
                    {kind: level},
                    {"sample": data_uri(encode_png(degraded.pixels[0]))},
                )

    def compared(self, network: str) -> SetMeasure:
        """Returns the accuracy and VAL of the model as those of a network among several."""
        distances, same = self._distances("", self.pairs), self.pairs.same
        return SetMeasure(
            {
                "accuracy_compared": float(
                    verify(distances, same, self.pairs.folds).correct.mean()
                ),
                "val_compared": val_at_far(distances, same, self.parameters.far).val,
            },
            len(same),
            {"network": network},
        )

    def _embedded(self) -> dict[str, np.ndarray]:
        """Embeds each image once that is in a pair or recognized; for baselines those in pairs."""
        self.embedded = np.union1d(self.paired, self.recognized)
        parts: dict[str, list[np.ndarray]] = {suffix: [] for suffix in self.models}
        begin = 0
        for images, *_ in self.data.parsed(self.split, BATCH):
            for suffix, embed in self.embeds.items():
                embedded = self.paired if suffix else self.embedded
                low, high = np.searchsorted(embedded, [begin, begin + len(images)])
                if high > low:
                    parts[suffix].append(embed(images[embedded[low:high] - begin]))
            begin += len(images)
        return {suffix: np.concatenate(embeddings) for suffix, embeddings in parts.items()}

    def _distances(self, suffix: str, pairs: Pairs) -> np.ndarray:
        known = self.paired if suffix else self.embedded
        embeddings = self.embeddings[suffix]
        first, second = (np.searchsorted(known, side) for side in (pairs.first, pairs.second))
        return squared_distances(embeddings[first], embeddings[second])

    def _images(self, pairs: Pairs) -> dict[int, str]:
        indices = pairs.images()
        pixels = read_images(self.data, self.split, indices)
        return {
            int(number): data_uri(encode_png(image))
            for number, image in zip(indices, pixels, strict=True)
        }


def _some_people(index: SplitIndex, images: int, seed: int) -> np.ndarray:
    """Returns ascending indices of images of whole identities, about so many, at least of two."""
    _, owners, counts = np.unique(
        index.identities.astype(str), return_inverse=True, return_counts=True
    )
    order = np.random.default_rng(seed).permutation(len(counts))
    if not images:
        return np.zeros(0, np.int64)
    number = max(2, int(np.searchsorted(np.cumsum(counts[order]), images, side="right")))
    return np.flatnonzero(np.isin(owners, order[:number]))


def _some_pairs(pairs: Pairs, count: int) -> Pairs:
    """Returns about so many pairs, evenly over each kind and so over the folds, which lie apart."""
    if count >= len(pairs):
        return pairs
    chosen = []
    for kind in (np.flatnonzero(pairs.same), np.flatnonzero(~pairs.same)):
        size = min(max(count // 2, _FEWEST_PAIRS), len(kind))
        chosen.append(kind[np.linspace(0, len(kind), size, endpoint=False).astype(int)])
    return pairs.only(np.sort(np.concatenate(chosen)))


def _worst(order: np.ndarray, correct: np.ndarray, same: np.ndarray) -> list[int]:
    """Returns the wrong pairs whose images are kept, the worst of each kind."""
    wrong = order[~correct[order]]
    return [*wrong[same[wrong]][:WITH_IMAGES], *wrong[~same[wrong]][:WITH_IMAGES]]
