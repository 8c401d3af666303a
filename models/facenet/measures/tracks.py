"""Comparison of two tracks (videos of a face), as for YouTube Faces."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

FRAMES = 100


def track_distance(first: ArrayLike, second: ArrayLike, frames: int | None = FRAMES) -> float:
    """Returns the mean squared distance over all pairs of frames of two tracks, a float.

    Section 5.7: the similarity of two videos is the average over all pairs of the first hundred
    frames that the face detector finds. With the tracks' means ā and b̄ it is

    ```
    mean |a_i − b_j|² = mean |a_i − ā|² + mean |b_j − b̄|² + |ā − b̄|²
    ```

    so that neither time nor memory grows with the number of pairs.

    Args:
        first: float array (n, D), embeddings of the first track's frames in their order.
        second: float array (m, D).
        frames: int > 0, the number of first frames used of each track, or `None` for all.
            Defaults to 100; the paper tries 1,000 too.

    Raises:
        ValueError: for a track without frames, and for embeddings of different sizes.

    Example:

    >>> track_distance([[0.0, 0.0], [2.0, 0.0]], [[1.0, 0.0]])
    1.0
    """
    return float(track_distances([first, second], [[0, 1]], frames)[0])


def track_distances(
    tracks: Iterable[ArrayLike], pairs: ArrayLike, frames: int | None = FRAMES
) -> np.ndarray:
    """Returns `track_distance` of each pair of tracks, each track read once.

    Args:
        tracks: iterable of T float arrays (frames of this track, D).
        pairs: int array (N, 2), which tracks to compare.
        frames: as for `track_distance`.

    Returns:
        float64 array (N,).

    Raises:
        ValueError: as `track_distance`; for pairs of another shape or of tracks that do not exist.
    """
    if frames is not None and frames < 1:
        raise ValueError(
            f"Expected a positive number of frames, or None. Received: frames={frames}"
        )
    means: list[np.ndarray] = []
    spreads: list[float] = []
    for number, track in enumerate(tracks):
        track = np.asarray(track, dtype="float64")[:frames]
        if track.ndim != 2 or not len(track) or (means and track.shape[1] != means[0].size):
            size = means[0].size if means else "D"
            raise ValueError(
                f"Expected at least one frame, (frames, {size}), in each track. "
                f"Received: shape {track.shape} in track {number}"
            )
        mean = track.mean(axis=0)
        means.append(mean)
        spreads.append(np.square(track - mean).sum(axis=1).mean())
    pairs = np.asarray(pairs)
    if pairs.size == 0:
        return np.zeros(0)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.min() < 0 or pairs.max() >= len(means):
        raise ValueError(
            f"Expected pairs (N, 2) of indices of the {len(means)} tracks. "
            f"Received: shape {pairs.shape}, from {pairs.min()} to {pairs.max()}"
        )
    first, second = pairs.T
    distances = np.take(spreads, first) + np.take(spreads, second)
    for index, (i, j) in enumerate(pairs):
        distances[index] += np.square(means[i] - means[j]).sum()
    return distances
