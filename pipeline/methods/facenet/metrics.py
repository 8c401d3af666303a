"""What is measured of embeddings of faces, and by what it is sliced."""

from __future__ import annotations

from collections.abc import Mapping

SLICES = ("fold", "jpeg quality", "pixels")
"""The folds of the verification pairs, and the levels of the two kinds of worse images."""

DEGRADED_METRICS = ("accuracy_degraded", "val_degraded")
"""What is measured at each level of worse images."""


def metrics(baselines: Mapping[str, str]) -> dict[str, str]:
    """Returns the metrics of an evaluation's rows, each with what it is.

    Args:
        baselines: what each baseline is, by its suffix.

    Example:

    >>> list(metrics({"_pixels": "by pixels"}))[:3]
    ['accuracy', 'accuracy_pixels', 'val']
    """
    return {
        "accuracy": "share of the verification pairs told rightly, mean over ten folds, the "
        "threshold of each chosen on the others",
        **{f"accuracy{suffix}": f"the same {told}" for suffix, told in baselines.items()},
        "val": "share of the pairs of one person accepted at a false accept rate of at most "
        "evaluator.far",
        "far": "share of the pairs of two persons accepted there",
        "eer": "share of the pairs told wrongly where false accepts and false rejects are as many",
        "rank_1": "share of the images whose nearest other one is of the same person",
        "rank_5": "share of the images with one of the same person among the five nearest",
        "pairwise_f": "F of the pairs of images that agglomerative clustering puts together",
        "accuracy_degraded": "accuracy on the same pairs with images made worse",
        "val_degraded": "VAL on the same pairs with images made worse",
    }
