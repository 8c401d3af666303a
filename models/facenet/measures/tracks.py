"""Comparison of two tracks (videos of a face), as for YouTube Faces."""

from __future__ import annotations

import numpy as np

FRAMES = 100


def track_distance(first, second, frames=FRAMES):
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
        frames: int > 0, how many of each track's first frames count, or `None` for all of them.
            Defaults to 100; the paper tries 1,000 too.

    Raises:
        ValueError: for a track without frames, and for embeddings of different sizes.

    Example:

    >>> track_distance([[0.0, 0.0], [2.0, 0.0]], [[1.0, 0.0]])
    1.0
    """
    return float(track_distances([first, second], [[0, 1]], frames)[0])


def track_distances(tracks, pairs, frames=FRAMES):
    """Returns `track_distance` of each pair of tracks, each track read once.

    Args:
        tracks: iterable of T float arrays (frames of this track, D).
        pairs: int array (N, 2), which tracks to compare.
        frames: as for `track_distance`.

    Returns:
        float64 array (N,).

    Raises:
        ValueError: as `track_distance`; for pairs of another shape or of tracks that there are not.
    """
    if frames is not None and frames < 1:
        raise ValueError(
            f"Expected a positive number of frames, or None. Received: frames={frames}"
        )
    means, spreads = [], []
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
            f"Expected pairs of numbers of the {len(means)} tracks, (N, 2). "
            f"Received: shape {pairs.shape}, from {pairs.min()} to {pairs.max()}"
        )
    means, spreads = np.stack(means), np.asarray(spreads)
    first, second = pairs.T
    distances = spreads[first] + spreads[second]
    for index, (one, other) in enumerate(pairs):
        distances[index] += np.square(means[one] - means[other]).sum()
    return distances
