"""What is measured of embeddings of faces, and by what it is sliced."""

from __future__ import annotations

from ....components.evaluator.metric import Metric

SLICES = ("fold", "jpeg quality", "pixels", "network")
"""The folds of the verification pairs, the levels of two kinds of worse images, the networks."""

_CORRECT = "share of the verification pairs told correctly, mean over ten folds, the threshold of "
_CORRECT += "each chosen on the others"

METRICS = (
    Metric("accuracy", _CORRECT),
    Metric(
        "accuracy_lmnn",
        "the same by a large margin metric (LMNN) learned on principal components of the pixels",
        baseline=True,
    ),
    Metric("accuracy_eigenfaces", "the same by principal components of the pixels", baseline=True),
    Metric(
        "val",
        "share of the pairs of one person accepted at a false accept rate of at most evaluator.far",
    ),
    Metric("far", "share of the pairs of two persons accepted there", higher_is_better=False),
    Metric(
        "eer",
        "share of the pairs told wrongly where false accepts and false rejects are as many",
        higher_is_better=False,
    ),
    Metric(
        "rank_1",
        "share of the images whose nearest other one is of the same person",
        average="none",
    ),
    Metric(
        "rank_5",
        "share of the images with one of the same person among the five nearest",
        average="none",
    ),
    Metric(
        "pairwise_f",
        "F of the pairs of images that agglomerative clustering puts together",
        average="none",
    ),
    Metric(
        "accuracy_degraded", "accuracy on the same pairs with images made worse", average="none"
    ),
    Metric("val_degraded", "VAL on the same pairs with images made worse", average="none"),
    Metric(
        "accuracy_compared",
        "accuracy of a network, if several are joined or compared",
        average="none",
    ),
    Metric("val_compared", "VAL of a network, if several are joined or compared", average="none"),
)
