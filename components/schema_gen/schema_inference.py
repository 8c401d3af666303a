"""How a schema is inferred from statistics.

A schema that is too tight stops a run over honest data; one that is too loose finds nothing. So
each constraint is inferred only from evidence that data of the same kind will keep to it:

- presence: a feature that each training example has is required.
- shape: the same number of values in all of at least 30 examples.
- domain: a small set of values of which each has been seen at least 5 times and which have been
  seen 20 times on average. (By Good and Turing's estimate the chance of an unseen value is that of
  the values seen once: none here.) A set of which no other split has any value is no domain but
  one of identifiers, which splitting by key keeps apart.
- range of integers: the extremes of such a domain, unless it thins out towards them; else not
  negative if none is, and at most as far beyond the extremes as these lie apart, unless the tails
  are heavy.
- floats: no NaN (infinity) if fewer than 1 % of the training values are.
- text: UTF-8 if all training values are, stated by the annotation tag `utf8`.
"""

from __future__ import annotations

from typing import Any

from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from ..statistics_gen import statistics_proto

UTF8 = "utf8"
_EXAMPLES_FOR_SHAPE = 30
_LEAST_SEEN = 5
_MEAN_SEEN = 20
_TOLERATED_FRACTION = 0.01
_HEAVY_TAIL = 3
_EDGE = 4
_INT64 = (-(2**63), 2**63 - 1)
_Statistics = statistics_pb2.FeatureNameStatistics
SCHEMA_TYPES = {
    _Statistics.INT: schema_pb2.INT,
    _Statistics.FLOAT: schema_pb2.FLOAT,
    _Statistics.STRING: schema_pb2.BYTES,
    _Statistics.BYTES: schema_pb2.BYTES,
}
"""Schema types by statistics types."""


def infer(
    train: Any,
    other_splits: list[Any],
    infer_feature_shape: bool = True,
    max_domain_size: int = 100,
) -> Any:
    """Infers a schema.

    Args:
        train: `DatasetFeatureStatistics` of the training split.
        other_splits: those of the other splits, used only to tell identifiers from categories.
        infer_feature_shape: whether shapes are fixed.
        max_domain_size: largest number of values of a domain.

    Returns:
        A `Schema`.
    """
    schema = schema_pb2.Schema()
    for statistics in train.features:
        name = statistics.path.step[0]
        feature = schema.feature.add(name=name)
        common = statistics_proto.common_statistics(statistics)
        if not common.num_missing:
            feature.presence.min_fraction = 1.0
            feature.presence.min_count = 1
        _infer_shape(feature, common, infer_feature_shape)
        if statistics_proto.custom(statistics, statistics_proto.EMPTY):
            continue
        feature.type = SCHEMA_TYPES[statistics.type]
        elsewhere = [
            same_feature
            for split in other_splits
            for same_feature in split.features
            if same_feature.path.step[0] == name
        ]
        if statistics.type == _Statistics.INT:
            _infer_int_domain(feature, statistics, elsewhere, max_domain_size)
        elif statistics.type == _Statistics.FLOAT:
            _infer_float_domain(feature, statistics)
        elif statistics.type == _Statistics.STRING:
            _infer_string_domain(feature, statistics, elsewhere, max_domain_size)
    return schema


def _infer_shape(feature: Any, common: Any, infer_feature_shape: bool) -> None:
    low, high = common.min_num_values, common.max_num_values
    fixed = low == high and low > 0 and common.num_non_missing >= _EXAMPLES_FOR_SHAPE
    if not (fixed and infer_feature_shape):
        feature.value_count.min = min(low, 1)
    elif common.num_missing:
        feature.value_count.min = low
        feature.value_count.max = high
    else:
        feature.shape.dim.add(size=low)


def _is_closed(statistics: Any, elsewhere: list[Any], max_domain_size: int) -> bool:
    counts = statistics_proto.value_counts(statistics)
    if not counts or len(counts) > max_domain_size:
        return False
    if statistics_proto.custom(statistics, statistics_proto.UNIQUE_IS_APPROXIMATE):
        return False
    if min(counts.values()) < _LEAST_SEEN or sum(counts.values()) < _MEAN_SEEN * len(counts):
        return False
    seen = [statistics_proto.value_counts(feature) for feature in elsewhere]
    seen = [values for values in seen if sum(values.values()) >= _MEAN_SEEN]
    return not seen or any(values.keys() & counts.keys() for values in seen)


def _infer_int_domain(
    feature: Any, statistics: Any, elsewhere: list[Any], max_domain_size: int
) -> None:
    numeric = statistics.num_stats
    low, high = int(numeric.min), int(numeric.max)
    counts = statistics_proto.value_counts(statistics)
    mean = sum(counts.values()) / max(len(counts), 1)
    abrupt = all(_EDGE * counts.get(str(edge), 0) >= mean for edge in (low, high))
    if abrupt and _is_closed(statistics, elsewhere, max_domain_size):
        feature.int_domain.min = low
        feature.int_domain.max = high
        return
    quantiles = next(
        histogram
        for histogram in numeric.histograms
        if histogram.type == statistics_pb2.Histogram.QUANTILES
    ).buckets
    tenth, ninth = quantiles[0].high_value, quantiles[-1].low_value
    spread = _HEAVY_TAIL * (ninth - tenth)
    enough = numeric.common_stats.tot_num_values >= _EXAMPLES_FOR_SHAPE
    if low >= 0:
        feature.int_domain.min = 0
    elif enough and tenth - low <= spread:
        feature.int_domain.min = max(low - (high - low), _INT64[0])
    if enough and high - ninth <= spread and high + (high - low) <= _INT64[1]:
        feature.int_domain.max = high + (high - low)


def _infer_float_domain(feature: Any, statistics: Any) -> None:
    total = statistics.num_stats.common_stats.tot_num_values
    nan = statistics.num_stats.histograms[0].num_nan
    infinite = statistics_proto.custom(statistics, statistics_proto.NUM_INFINITE)
    feature.float_domain.disallow_nan = nan < _TOLERATED_FRACTION * total
    feature.float_domain.disallow_inf = infinite < _TOLERATED_FRACTION * total


def _infer_string_domain(
    feature: Any, statistics: Any, elsewhere: list[Any], max_domain_size: int
) -> None:
    if statistics.string_stats.invalid_utf8_count:
        return
    feature.annotation.tag.append(UTF8)
    counts = statistics_proto.value_counts(statistics)
    too_long = "__LARGE_BYTES__" in counts
    if not too_long and _is_closed(statistics, elsewhere, max_domain_size):
        feature.string_domain.name = feature.name
        feature.string_domain.value.extend(sorted(counts))
