"""Clustering of faces: which images show the same person, for an unknown number of persons."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike


@dataclasses.dataclass(frozen=True)
class PairwiseScores:
    """How well clusters agree with identities, counted in pairs of images.

    Args:
        precision: float in [0, 1], share of the pairs in one cluster that are of one identity.
        recall: float in [0, 1], share of the pairs of one identity that are in one cluster.
        f: float in [0, 1], the harmonic mean of both.
        clusters: int, the number of clusters.
    """

    precision: float
    recall: float
    f: float
    clusters: int


def cluster(embeddings: ArrayLike, threshold: float, linkage: str = "average") -> np.ndarray:
    """Returns the cluster of each image, found by agglomerative clustering.

    Section 5.8 clusters photographs in this way. The two nearest clusters are joined as long as
    the squared distance between them is at most the threshold: the mean over their pairs of images
    for average linkage, the greatest for complete linkage. Time and memory grow with the
    square of N: 10,000 images take 400 MB.

    Args:
        embeddings: float array (N, D).
        threshold: float >= 0, on squared Euclidean distances: for unit vectors in [0, 4].
        linkage: "average" or "complete". Defaults to "average".

    Returns:
        int64 array (N,), numbered from 0 in the order in which clusters first appear.

    Raises:
        ValueError: for another linkage, a negative threshold, and embeddings that are not a finite
            array (N, D).

    Example:

    >>> cluster([[0.0], [5.0], [0.1]], threshold=1.0)
    array([0, 1, 0])
    """
    if linkage not in ("average", "complete"):
        raise ValueError(f"Expected 'average' or 'complete'. Received: linkage={linkage!r}")
    if not threshold >= 0:
        raise ValueError(f"Expected a threshold of at least 0. Received: threshold={threshold}")
    embeddings = np.asarray(embeddings, dtype="float64")
    if embeddings.ndim != 2 or not np.isfinite(embeddings).all():
        raise ValueError(
            "Expected finite embeddings (N, D). "
            f"Received: shape {embeddings.shape}, {np.sum(~np.isfinite(embeddings))} not finite"
        )
    if len(embeddings) < 2:
        return np.zeros(len(embeddings), dtype="int64")
    from sklearn.cluster import AgglomerativeClustering

    labels = AgglomerativeClustering(
        n_clusters=None,
        metric="sqeuclidean",
        linkage=linkage,
        # scikit-learn joins below its threshold, we join at the threshold too.
        distance_threshold=np.nextafter(threshold, np.inf),
    ).fit_predict(embeddings)
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def pairwise_scores(labels: ArrayLike, identities: ArrayLike) -> PairwiseScores:
    """Returns precision, recall and F over pairs of images, from the contingency table.

    Args:
        labels: array (N,), the cluster of each image.
        identities: array (N,), its identity: ints, strings or bytes.

    Returns:
        `PairwiseScores`. Precision is 1 if no cluster has two images, recall is 1 if no identity
        has two.

    Raises:
        ValueError: for shapes that do not match.

    Example:

    >>> pairwise_scores([0, 0, 0, 1], ["a", "a", "b", "b"])
    PairwiseScores(precision=0.3333333333333333, recall=0.5, f=0.4, clusters=2)
    """
    labels, identities = np.asarray(labels), np.asarray(identities)
    if labels.ndim != 1 or labels.shape != identities.shape:
        raise ValueError(
            "Expected the cluster and the identity of each image, both (N,). "
            f"Received: shapes {labels.shape} and {identities.shape}"
        )
    _, clusters, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    _, persons, images = np.unique(identities, return_inverse=True, return_counts=True)
    cells = np.unique(clusters * images.size + persons, return_counts=True)[1]
    right, together, alike = (_pairs(counts) for counts in (cells, sizes, images))
    return PairwiseScores(
        precision=right / together if together else 1.0,
        recall=right / alike if alike else 1.0,
        f=2 * right / (together + alike) if together + alike else 1.0,
        clusters=int(sizes.size),
    )


def _pairs(counts):
    """Returns the number of pairs within groups of these sizes."""
    counts = counts.astype("int64")
    return int((counts * (counts - 1) // 2).sum())
