"""The Beam side of StatisticsGen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..beam.progress import counted
from ..io import filesystem, tfrecord
from .statistics import SplitAccumulator
from .statistics_proto import split_statistics


def summarize_shard(element: tuple[str, str], token: str) -> tuple[str, SplitAccumulator]:
    """Turns `(split, TFRecord file)` into `(split, SplitAccumulator)` and reports the progress.

    A file is summarized as a whole, so that only accumulators are shuffled.
    """
    split, path = element
    accumulator = SplitAccumulator()
    accumulator.add(counted(tfrecord.read_records(path), token))
    return split, accumulator


def merged(parts: Iterable[SplitAccumulator]) -> SplitAccumulator:
    """Joins the statistics of parts."""
    total = SplitAccumulator()
    for part in parts:
        total.merge(part)
    return total


def write_statistics(element: tuple[str, SplitAccumulator], uri: str) -> dict[str, Any]:
    """Writes `Split-<name>/FeatureStats.pb` below a folder.

    Returns:
        `{"split", "examples", "features"}`.
    """
    split, accumulator = element
    folder = filesystem.join(uri, f"Split-{split}")
    filesystem.make_dirs(folder)
    statistics = split_statistics(split, accumulator)
    with filesystem.open_file(filesystem.join(folder, "FeatureStats.pb"), "wb") as writer:
        writer.write(statistics.SerializeToString(deterministic=True))
    return {
        "split": split,
        "examples": accumulator.num_examples,
        "features": len(accumulator.features),
    }
