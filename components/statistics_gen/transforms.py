"""The Beam side of StatisticsGen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam

from ..beam.progress import advance
from ..io import filesystem, tfrecord
from .statistics import SplitAccumulator
from .statistics_proto import split_statistics

_STEP = 4096


class SummarizeShard(beam.DoFn):
    """Turns `(split, TFRecord file)` into `(split, SplitAccumulator)`.

    A file is summarised as a whole, so that only accumulators are shuffled.

    Args:
        token: of the progress.
    """

    def __init__(self, token: str):
        super().__init__()
        self._token = token

    def process(self, element: tuple[str, str]) -> Iterator[tuple[str, SplitAccumulator]]:
        """Summarises one file."""
        split, path = element
        accumulator = SplitAccumulator()
        accumulator.add(self._counted(tfrecord.read_records(path)))
        yield split, accumulator

    def _counted(self, records: Iterable[bytes]) -> Iterator[bytes]:
        for index, record in enumerate(records, 1):
            yield record
            if index % _STEP == 0:
                advance(self._token, _STEP)


class MergeStatistics(beam.CombineFn):
    """Joins `SplitAccumulator`s."""

    def create_accumulator(self) -> SplitAccumulator:
        """Returns the statistics of no examples."""
        return SplitAccumulator()

    def add_input(self, accumulator: SplitAccumulator, part: SplitAccumulator) -> SplitAccumulator:
        """Adds the statistics of a part."""
        accumulator.merge(part)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[SplitAccumulator]) -> SplitAccumulator:
        """Joins parts."""
        merged = SplitAccumulator()
        for accumulator in accumulators:
            merged.merge(accumulator)
        return merged

    def extract_output(self, accumulator: SplitAccumulator) -> SplitAccumulator:
        """Returns the statistics."""
        return accumulator


class WriteStatistics(beam.DoFn):
    """Writes `Split-<name>/FeatureStats.pb`; gives `{"split", "examples", "features"}`.

    Args:
        uri: the artifact's folder.
    """

    def __init__(self, uri: str):
        super().__init__()
        self._uri = uri

    def process(self, element: tuple[str, SplitAccumulator]) -> Iterator[dict[str, Any]]:
        """Writes one split."""
        split, accumulator = element
        folder = filesystem.join(self._uri, f"Split-{split}")
        filesystem.make_dirs(folder)
        statistics = split_statistics(split, accumulator)
        with filesystem.open_file(filesystem.join(folder, "FeatureStats.pb"), "wb") as writer:
            writer.write(statistics.SerializeToString(deterministic=True))
        yield {
            "split": split,
            "examples": accumulator.num_examples,
            "features": len(accumulator.features),
        }
