"""Measures embeddings of faces: verification, recognition, clustering, and by image quality.

Dimensions: N images of a split, P pairs, H height, W width, C channels, D embedding.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from ....components.base.transformed_data import TransformedData
from ....components.data.faces import parsing
from ....components.data.images.image_files import data_uri, encode_png
from ....models.facenet.measures.clustering import cluster, pairwise_scores
from ....models.facenet.measures.identification import rank_accuracies
from ....models.facenet.measures.verification import val_at_far, verify
from . import degradation
from .embedding import BATCH, compile_embedding, squared_distances
from .metrics import SLICES, metrics
from .pairs.paired_images import (
    SplitIndex,
    read_images,
    read_index,
    read_paired,
    verification_pairs,
)
from .pairs.sampling import Pairs
from .pairs.threshold import choose_threshold

WITH_IMAGES = 30
"""Wrong pairs of each kind whose images are kept: enough to look at, in a small file."""

RANKS = (1, 5)
_FEWEST_PAIRS = 10
Embed = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Amounts:
    """How much is measured.

    Args:
        far: float. The false accept rate of `val`.
        pairs: integer. The number of pairs drawn of a split that lists none.
        degraded_pairs: integer. About the number of pairs whose images are made worse; 0 for none.
        images: integer. About the largest number of images that are recognised and clustered, of
            whole identities; 0 for none.
        seed: integer, of all draws.
    """

    far: float = 0.01
    pairs: int = 1000
    degraded_pairs: int = 1000
    images: int = 2000
    seed: int = 0


def rows(
    models: Mapping[str, keras.Model],
    data: TransformedData,
    split: str,
    amounts: Amounts | None = None,
) -> Iterator[dict[str, Any]]:
    """Yields a row for each verification pair, wrong ones first, and then some for all images.

    Pairs are those that the split lists or, where it lists none, drawn ones. Every row has all the
    names below; `None` where something does not apply, so that it counts in no mean.

    Args:
        models: models from float32 images `(B, H, W, C)` in [0, 1] to embeddings `(B, D)`, by the
            suffix of their metric: `""`, which comes first, for the model, and such as `_pixels`
            for a baseline.
        data: transformed examples.
        split: string.
        amounts: `Amounts`, by default as they are.

    Yields:
        A dict. Of a pair: `id` and `fold` (from `"1"`), strings; `same`; `distance`, squared;
        `threshold`, the fold's, chosen on the other folds; `accuracy`, 1.0 or 0.0; of pairs of the
        same person `val`, 1.0 if accepted at the largest threshold whose FAR is at most
        `amounts.far`; of others `far`, 1.0 if accepted there; `eer`, 1.0 if wrong at the threshold
        where FAR and FRR meet (its mean is the equal error rate up to half a pair: the rate itself
        lies between two pairs); `accuracy<suffix>` for each baseline; and for the `WITH_IMAGES`
        worst false accepts and false rejects `details`, with both images as `data:` addresses.

        One row with `rank_1` and `rank_5`, one with `pairwise_f`, and one for each level of
        `degradation.levels` with `accuracy_degraded` and `val_degraded`: pairs of a mean and how
        many it is the mean of; the last ones have a `sample` too, an image as a `data:` address.
        Clusters are joined up to the threshold of the best accuracy on pairs of the split `eval`.
        For the levels the thresholds are chosen anew.

    Raises:
        ValueError: there is no model `""`, or there are not pairs of both kinds.
    """
    if next(iter(models), None) != "":
        raise ValueError(
            'The first model must have the suffix "". Received: '
            f"{', '.join(map(repr, models)) or 'none'}"
        )
    measured = _Measured(models, data, split, amounts or Amounts())
    empty = measured.empty_row()
    yield from (empty | row for row in measured.pair_rows())
    yield from (empty | row for row in measured.set_rows())
    yield from (empty | row for row in measured.degraded_rows())


class _Measured:
    """What is known of a split, and the embeddings of its images."""

    def __init__(
        self,
        models: Mapping[str, keras.Model],
        data: TransformedData,
        split: str,
        amounts: Amounts,
    ):
        self.models = models
        self.data = data
        self.split = split
        self.amounts = amounts
        self.shape = parsing.image_shape(data)
        self.embeds = {
            suffix: compile_embedding(model, self.shape) for suffix, model in models.items()
        }
        self.index = read_index(data, split)
        self.pairs = verification_pairs(self.index, amounts.pairs, amounts.seed)
        self.paired = self.pairs.images()
        self.recognised = _some_people(self.index, amounts.images, amounts.seed)
        self.embeddings = self._embedded()

    def empty_row(self) -> dict[str, None]:
        """Returns all the names that a row must have."""
        names = metrics(dict.fromkeys((suffix for suffix in self.models if suffix), ""))
        return dict.fromkeys([*names, *SLICES])

    def pair_rows(self) -> Iterator[dict[str, Any]]:
        """Yields the rows of pairs."""
        pairs = self.pairs
        distances = {suffix: self._distances(suffix, pairs) for suffix in self.models}
        found = {
            suffix: verify(each, pairs.same, pairs.folds) for suffix, each in distances.items()
        }
        main, own = found[""], distances[""]
        places = np.searchsorted(main.folds, pairs.folds)
        thresholds = main.fold_thresholds[places]
        accepted = own <= val_at_far(own, pairs.same, self.amounts.far).threshold
        wrong_at_equal = (own <= main.equal_error_threshold) != pairs.same
        # The farther on the wrong side of its threshold, the worse a pair is.
        order = np.argsort(np.where(main.correct, 1, -1) * abs(own - thresholds), kind="stable")
        shown = _worst(order, main.correct, pairs.same)
        images = self._images(pairs.only(np.array(shown, np.int64)))
        for number in order:
            first, second = pairs.first[number], pairs.second[number]
            names = [self.index.ids[each].decode() for each in (first, second)]
            same = bool(pairs.same[number])
            row = {
                "id": " | ".join(names),
                "fold": str(places[number] + 1),
                "same": same,
                "distance": float(own[number]),
                "threshold": float(thresholds[number]),
                **{f"accuracy{key}": float(each.correct[number]) for key, each in found.items()},
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

    def set_rows(self) -> Iterator[dict[str, Any]]:
        """Yields the rows of recognition and of clustering."""
        identities = self.index.identities[self.recognised].astype(str)
        _, counts = np.unique(identities, return_counts=True)
        if not len(counts) or counts.max() < 2:
            return
        embeddings = self.embeddings[""][np.searchsorted(self.embedded, self.recognised)]
        found = rank_accuracies(embeddings, identities, RANKS)
        probes = int(found.has_match.sum())
        ranks = {
            f"rank_{rank}": (float(accuracy), probes)
            for rank, accuracy in zip(RANKS, found.accuracies, strict=True)
        }
        yield {"id": "recognition", "images": len(identities), "people": len(counts), **ranks}
        threshold = choose_threshold(self.models[""], self.data, seed=self.amounts.seed)
        scores = pairwise_scores(cluster(embeddings, threshold), identities)
        yield {
            "id": "clustering",
            "images": len(identities),
            "people": len(counts),
            "clusters": scores.clusters,
            "threshold": threshold,
            "precision": scores.precision,
            "recall": scores.recall,
            "pairwise_f": scores.f,
        }

    def degraded_rows(self) -> Iterator[dict[str, Any]]:
        """Yields a row for each level of quality."""
        if not self.amounts.degraded_pairs:
            return
        pairs = _some_pairs(self.pairs, self.amounts.degraded_pairs)
        drawn = read_paired(self.data, self.split, self.index, pairs)
        same, folds = drawn.pairs.same, drawn.pairs.folds
        for kind, by_level in degradation.levels(self.shape).items():
            for level, degrade in by_level.items():
                changed = dataclasses.replace(drawn, pixels=degrade(drawn.pixels))
                distances = changed.distances(self.embeds[""])
                correct = verify(distances, same, folds).correct
                found = val_at_far(distances, same, self.amounts.far)
                yield {
                    "id": f"{kind} {level}",
                    kind: level,
                    "sample": data_uri(encode_png(changed.pixels[0])),
                    "accuracy_degraded": (float(correct.mean()), len(correct)),
                    "val_degraded": (found.val, found.same_pairs),
                }

    def _embedded(self) -> dict[str, np.ndarray]:
        """Embeds each image once that is in a pair or recognised; for baselines those in pairs."""
        self.embedded = np.union1d(self.paired, self.recognised)
        parts: dict[str, list[np.ndarray]] = {suffix: [] for suffix in self.models}
        begin = 0
        for images, *_ in parsing.parsed(self.data, self.split, BATCH):
            for suffix, embed in self.embeds.items():
                wanted = self.paired if suffix else self.embedded
                low, high = np.searchsorted(wanted, [begin, begin + len(images)])
                if high > low:
                    parts[suffix].append(embed(images[wanted[low:high] - begin]))
            begin += len(images)
        return {suffix: np.concatenate(each) for suffix, each in parts.items()}

    def _distances(self, suffix: str, pairs: Pairs) -> np.ndarray:
        known = self.paired if suffix else self.embedded
        embeddings = self.embeddings[suffix]
        first, second = (np.searchsorted(known, side) for side in (pairs.first, pairs.second))
        return squared_distances(embeddings[first], embeddings[second])

    def _images(self, pairs: Pairs) -> dict[int, str]:
        wanted = pairs.images()
        pixels = read_images(self.data, self.split, wanted)
        return {
            int(number): data_uri(encode_png(image))
            for number, image in zip(wanted, pixels, strict=True)
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
        wanted = min(max(count // 2, _FEWEST_PAIRS), len(kind))
        chosen.append(kind[np.linspace(0, len(kind), wanted, endpoint=False).astype(int)])
    return pairs.only(np.sort(np.concatenate(chosen)))


def _worst(order: np.ndarray, correct: np.ndarray, same: np.ndarray) -> list[int]:
    """Returns the wrong pairs whose images are kept, the worst of each kind."""
    wrong = order[~correct[order]]
    return [*wrong[same[wrong]][:WITH_IMAGES], *wrong[~same[wrong]][:WITH_IMAGES]]
