"""Statistics as the standard `tensorflow_metadata` protos, as Facets and TFDV read them.

What has no standard field stands in `custom_stats` under the names below.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from tensorflow_metadata.proto.v0 import statistics_pb2

from .sketches import QuantileSketch, ValueCounts
from .statistics import KINDS, Digest, FeatureAccumulator, SplitAccumulator, is_utf8

UNIQUE = "unique"
"""Number of distinct values of an integer feature."""

UNIQUE_IS_APPROXIMATE = "unique_is_approximate"
"""1 where `unique` is an estimate and the counts of values are lower bounds."""

VALUE_COUNTS = "value_counts"
"""Rank histogram of an integer feature."""

NUM_INFINITE = "num_infinite"
"""Number of infinities."""

EXAMPLES_OF = "examples_of_"
"""With `int64_list`, `float_list` or `bytes_list`: examples whose values are of another kind."""

EMPTY = "never_has_a_value"
"""1 for a feature that has no value in any example, so that its type is not known."""

TOP_VALUES = 20
RANKED_VALUES = 1000
_BUCKETS = 10
_LARGE = "__LARGE_BYTES__"
_INVALID = "__BYTES_VALUE__"
_Feature = statistics_pb2.FeatureNameStatistics


def read(path: str) -> Any:
    """Reads the `DatasetFeatureStatistics` of a split from `FeatureStats.pb`."""
    from ..io import filesystem

    with filesystem.open_file(path, "rb") as reader:
        return statistics_pb2.DatasetFeatureStatisticsList.FromString(reader.read()).datasets[0]


def split_statistics(split: str, accumulator: SplitAccumulator) -> Any:
    """Returns a `DatasetFeatureStatisticsList` with one dataset, named after the split."""
    statistics = statistics_pb2.DatasetFeatureStatisticsList()
    dataset = statistics.datasets.add(name=split, num_examples=accumulator.num_examples)
    for name, feature in sorted(accumulator.features.items()):
        dataset.features.append(feature_statistics(name, feature, accumulator.num_examples))
    return statistics


def feature_statistics(name: str, feature: FeatureAccumulator, num_examples: int) -> Any:
    """Returns the `FeatureNameStatistics` of a feature in a split of `num_examples` examples.

    The type is that of most examples. Byte strings are `STRING`, or `BYTES` if most are not UTF-8.
    """
    proto = _Feature()
    proto.path.step.append(name)
    kind = max(KINDS, key=lambda kind: feature.of_kind[kind])
    if kind == "bytes_list" and feature.strings.count:
        if 2 * feature.strings.invalid_utf8 > feature.strings.count:
            common = _fill_bytes(proto, feature)
        else:
            common = _fill_strings(proto, feature)
    else:
        common = _fill_numbers(proto, feature, kind)
    common.num_non_missing = feature.present
    common.num_missing = num_examples - feature.present
    common.min_num_values = int(feature.least)
    common.max_num_values = feature.most
    common.avg_num_values = feature.values / feature.present
    common.tot_num_values = feature.values
    _fill_quantiles(common.num_values_histogram, feature.lengths)
    for other_kind in KINDS:
        if other_kind != kind and feature.of_kind[other_kind]:
            _add_custom(proto, EXAMPLES_OF + other_kind, feature.of_kind[other_kind])
    if not feature.values:
        _add_custom(proto, EMPTY, 1)
    return proto


def custom(proto: Any, name: str) -> float:
    """Returns a number among the custom statistics of a feature, 0 where it is not there."""
    return next((statistic.num for statistic in proto.custom_stats if statistic.name == name), 0.0)


def value_counts(proto: Any) -> dict[str, int]:
    """Returns the counts of the (at most 1,000 most frequent) values of a feature, as text."""
    histogram = proto.string_stats.rank_histogram
    for statistic in proto.custom_stats:
        if statistic.name == VALUE_COUNTS:
            histogram = statistic.rank_histogram
    return {bucket.label: int(bucket.sample_count) for bucket in histogram.buckets}


def common_statistics(proto: Any) -> Any:
    """Returns the `CommonStatistics` of a feature of any type."""
    return getattr(proto, proto.WhichOneof("stats")).common_stats


def _fill_numbers(proto: Any, feature: FeatureAccumulator, kind: str) -> Any:
    proto.type = _Feature.FLOAT if kind == "float_list" else _Feature.INT
    numeric = proto.num_stats
    moments, sketch = feature.numbers.moments, feature.numbers.quantiles
    numeric.num_zeros = moments.zeros
    if moments.low <= moments.high:
        numeric.min = moments.low
        numeric.max = moments.high
    standard = numeric.histograms.add(num_nan=moments.nan)
    quantiles = numeric.histograms.add(num_nan=moments.nan)
    if moments.count:
        numeric.mean = moments.mean
        numeric.std_dev = math.sqrt(moments.squares / moments.count)
        (numeric.median,) = sketch.quantiles([0.5])
    _fill_standard(standard, sketch)
    _fill_quantiles(quantiles, sketch)
    if moments.infinite:
        _add_custom(proto, NUM_INFINITE, moments.infinite)
    if proto.type == _Feature.INT and feature.integers.counts:
        _add_custom(proto, UNIQUE, feature.integers.unique)
        _add_flag(proto, feature.integers)
        _fill_ranks(
            proto.custom_stats.add(name=VALUE_COUNTS).rank_histogram, _ranked(feature.integers)
        )
    return numeric.common_stats


def _fill_strings(proto: Any, feature: FeatureAccumulator) -> Any:
    proto.type = _Feature.STRING
    string, strings = proto.string_stats, feature.strings
    ranked = _ranked(strings.counts)
    string.unique = strings.counts.unique
    string.avg_length = strings.total_bytes / strings.count
    string.invalid_utf8_count = strings.invalid_utf8
    for value, count in ranked[:TOP_VALUES]:
        string.top_values.add(value=value, frequency=count)
    _fill_ranks(string.rank_histogram, ranked)
    _add_flag(proto, strings.counts)
    return string.common_stats


def _fill_bytes(proto: Any, feature: FeatureAccumulator) -> Any:
    proto.type = _Feature.BYTES
    stats, strings = proto.bytes_stats, feature.strings
    stats.unique = strings.counts.unique
    stats.avg_num_bytes = strings.total_bytes / strings.count
    stats.min_num_bytes = strings.least_bytes
    stats.max_num_bytes = strings.most_bytes
    stats.max_num_bytes_int = strings.most_bytes
    _add_flag(proto, strings.counts)
    return stats.common_stats


def _ranked(counts: ValueCounts) -> list[tuple[str, int]]:
    labels = ((_label(value), count) for value, count in counts.counts.items())
    return sorted(labels, key=lambda item: (-item[1], item[0]))[:RANKED_VALUES]


def _label(value: Any) -> str:
    if isinstance(value, Digest):
        return _LARGE
    if isinstance(value, bytes):
        return value.decode() if is_utf8(value) else _INVALID
    return str(value)


def _fill_ranks(histogram: Any, ranked: Iterable[tuple[str, int]]) -> None:
    for rank, (label, count) in enumerate(ranked):
        histogram.buckets.add(low_rank=rank, high_rank=rank, label=label, sample_count=count)


def _fill_standard(histogram: Any, sketch: QuantileSketch) -> None:
    histogram.type = statistics_pb2.Histogram.STANDARD
    values, weights = sketch.samples()
    if not len(values):
        return
    low, high = float(values[0]), float(values[-1])
    if low == high:
        histogram.buckets.add(low_value=low, high_value=high, sample_count=float(weights.sum()))
        return
    # Divided before the difference is taken: the width of the whole range may overflow.
    edges = low + (high / _BUCKETS - low / _BUCKETS) * np.arange(_BUCKETS + 1)
    edges[-1] = high
    counts, _ = np.histogram(values, bins=edges, weights=weights)
    for start, end, count in zip(edges, edges[1:], counts, strict=False):
        histogram.buckets.add(low_value=start, high_value=end, sample_count=float(count))


def _fill_quantiles(histogram: Any, sketch: QuantileSketch) -> None:
    histogram.type = statistics_pb2.Histogram.QUANTILES
    edges = sketch.quantiles(np.linspace(0, 1, _BUCKETS + 1))
    total = float(sketch.samples()[1].sum())
    for start, end in itertools.pairwise(edges):
        histogram.buckets.add(low_value=start, high_value=end, sample_count=total / _BUCKETS)


def _add_custom(proto: Any, name: str, number: float) -> None:
    proto.custom_stats.add(name=name, num=number)


def _add_flag(proto: Any, counts: ValueCounts) -> None:
    if not counts.exact:
        _add_custom(proto, UNIQUE_IS_APPROXIMATE, 1)
