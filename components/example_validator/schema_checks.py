"""How statistics and single examples are compared with a schema.

The kinds of anomalies are those of `tensorflow_metadata` (`AnomalyInfo.Type`). Skew and drift, the
comparison of two sets of examples with one another, are not checked.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from ..schema_gen.schema_inference import SCHEMA_TYPES, UTF8
from ..statistics_gen import statistics_proto
from ..statistics_gen.statistics import is_utf8

_SHOWN_VALUES = 5
_PYTHON_TYPES = {schema_pb2.INT: int, schema_pb2.FLOAT: float, schema_pb2.BYTES: bytes}
_OUT_OF_RANGE = "Out-of-range values"
_SHORT = {
    "SCHEMA_MISSING_COLUMN": "Column dropped",
    "SCHEMA_NEW_COLUMN": "New column",
    "FEATURE_TYPE_LOW_FRACTION_PRESENT": "Missing values",
    "FEATURE_TYPE_LOW_NUMBER_VALUES": "Too few values",
    "FEATURE_TYPE_HIGH_NUMBER_VALUES": "Too many values",
    "UNEXPECTED_DATA_TYPE": "Other type",
    "ENUM_TYPE_INVALID_UTF8": "Invalid UTF-8",
    "ENUM_TYPE_UNEXPECTED_STRING_VALUES": "Unexpected string values",
    "INT_TYPE_SMALL_INT": _OUT_OF_RANGE,
    "INT_TYPE_BIG_INT": _OUT_OF_RANGE,
    "FLOAT_TYPE_SMALL_FLOAT": _OUT_OF_RANGE,
    "FLOAT_TYPE_BIG_FLOAT": _OUT_OF_RANGE,
    "FLOAT_TYPE_HAS_NAN": "NaN",
    "FLOAT_TYPE_HAS_INF": "Infinity",
}
_KIND_TYPES = {
    "int64_list": schema_pb2.INT,
    "float_list": schema_pb2.FLOAT,
    "bytes_list": schema_pb2.BYTES,
}


@dataclasses.dataclass(frozen=True)
class Finding:
    """An anomaly of a feature in a split.

    Args:
        feature: the feature's name.
        kind: name of an `AnomalyInfo.Type`.
        description: what is wrong in a sentence.
    """

    feature: str
    kind: str
    description: str

    @property
    def short(self) -> str:
        """What is wrong in two or three words."""
        return _SHORT[self.kind]


def check_statistics(statistics: Any, schema: Any) -> list[Finding]:
    """Compares the `DatasetFeatureStatistics` of a split with a schema.

    A split without examples has no anomalies.
    """
    if not statistics.num_examples:
        return []
    present = {feature.path.step[0]: feature for feature in statistics.features}
    findings: list[Finding] = []
    for feature in schema.feature:
        name = feature.name
        if name in present:
            problems = _check_feature(present[name], feature, statistics.num_examples)
            findings += [Finding(name, kind, description) for kind, description in problems]
        elif feature.presence.min_fraction > 0:
            description = "The feature is in the schema, but no example has it"
            findings.append(Finding(name, "SCHEMA_MISSING_COLUMN", description))
    known = {feature.name for feature in schema.feature}
    description = "The feature is in the examples, but not in the schema"
    findings += [
        Finding(name, "SCHEMA_NEW_COLUMN", description) for name in sorted(present.keys() - known)
    ]
    return findings


def example_shows(
    finding: Finding, schema_feature: Any, features: dict[str, Any]
) -> list[Any] | None:
    """Looks for an anomaly in one example.

    Args:
        finding: the anomaly.
        schema_feature: the feature in the schema, `None` for a new one.
        features: the example.

    Returns:
        The values that show it (an empty list where a feature is missing), else `None`.
    """
    values = features.get(finding.feature)
    if finding.kind in ("SCHEMA_MISSING_COLUMN", "FEATURE_TYPE_LOW_FRACTION_PRESENT"):
        return [] if values is None else None
    if values is None:
        return None
    if finding.kind == "SCHEMA_NEW_COLUMN":
        return values
    if finding.kind in ("FEATURE_TYPE_LOW_NUMBER_VALUES", "FEATURE_TYPE_HIGH_NUMBER_VALUES"):
        low, high = _value_count(schema_feature)
        if finding.kind == "FEATURE_TYPE_LOW_NUMBER_VALUES":
            return values if len(values) < low else None
        return values if len(values) > high else None
    wrong = [value for value in values if _VALUE_CHECKS[finding.kind](value, schema_feature)]
    return wrong or None


def to_proto(findings: list[Finding], schema: Any, num_examples: int) -> Any:
    """Returns the `Anomalies` proto of a split."""
    anomalies = anomalies_pb2.Anomalies(
        baseline=schema, anomaly_name_format=anomalies_pb2.Anomalies.SERIALIZED_PATH
    )
    anomalies.data_missing = not num_examples
    for finding in findings:
        info = anomalies.anomaly_info[finding.feature]
        info.path.step[:] = [finding.feature]
        info.severity = anomalies_pb2.AnomalyInfo.ERROR
        info.reason.add(
            type=anomalies_pb2.AnomalyInfo.Type.Value(finding.kind),
            short_description=finding.short,
            description=finding.description,
        )
        several = len(info.reason) > 1
        info.short_description = "Multiple errors" if several else finding.short
        info.description = ". ".join(reason.description for reason in info.reason)
    return anomalies


def _check_feature(statistics: Any, feature: Any, num_examples: int) -> Iterator[tuple[str, str]]:
    """Yields kind and description of each anomaly."""
    common = statistics_proto.common_statistics(statistics)
    fraction = common.num_non_missing / num_examples
    if fraction < feature.presence.min_fraction:
        yield (
            "FEATURE_TYPE_LOW_FRACTION_PRESENT",
            f"Expected in at least {feature.presence.min_fraction:.0%} of the examples. "
            f"Received: {common.num_missing} of {num_examples} without it",
        )
    low, high = _value_count(feature)
    if common.min_num_values < low:
        yield (
            "FEATURE_TYPE_LOW_NUMBER_VALUES",
            f"Expected at least {low} values in an example. Received: {common.min_num_values}",
        )
    if common.max_num_values > high:
        yield (
            "FEATURE_TYPE_HIGH_NUMBER_VALUES",
            f"Expected at most {high} values in an example. Received: {common.max_num_values}",
        )
    if statistics_proto.custom(statistics, statistics_proto.EMPTY) or not feature.type:
        return
    expected = schema_pb2.FeatureType.Name(feature.type)
    if SCHEMA_TYPES[statistics.type] != feature.type:
        received = schema_pb2.FeatureType.Name(SCHEMA_TYPES[statistics.type])
        yield "UNEXPECTED_DATA_TYPE", f"Expected {expected}. Received: {received}"
        return
    for kind, feature_type in _KIND_TYPES.items():
        count = statistics_proto.custom(statistics, statistics_proto.EXAMPLES_OF + kind)
        if count:
            yield (
                "UNEXPECTED_DATA_TYPE",
                f"Expected {expected} in all examples. "
                f"Received: {schema_pb2.FeatureType.Name(feature_type)} in {count:g} of them",
            )
    if feature.type == schema_pb2.BYTES:
        yield from _check_strings(statistics, feature)
    else:
        yield from _check_numbers(statistics, feature)


def _check_strings(statistics: Any, feature: Any) -> Iterator[tuple[str, str]]:
    is_bytes = statistics.type == statistics_pb2.FeatureNameStatistics.BYTES
    invalid = statistics.string_stats.invalid_utf8_count
    if UTF8 in feature.annotation.tag and (is_bytes or invalid):
        received = "mostly other bytes" if is_bytes else f"{invalid} values of other bytes"
        yield "ENUM_TYPE_INVALID_UTF8", f"Expected UTF-8 text. Received: {received}"
    if feature.WhichOneof("domain_info") != "string_domain" or is_bytes:
        return
    domain = set(feature.string_domain.value)
    counts = statistics_proto.value_counts(statistics)
    outside = {value: count for value, count in counts.items() if value not in domain}
    if outside:
        shown = ", ".join(repr(value) for value in list(outside)[:_SHOWN_VALUES])
        more = f" and {len(outside) - _SHOWN_VALUES} more" if len(outside) > _SHOWN_VALUES else ""
        yield (
            "ENUM_TYPE_UNEXPECTED_STRING_VALUES",
            f"Expected one of {len(domain)} values. "
            f"Received: {shown}{more} ({sum(outside.values())} times)",
        )


def _check_numbers(statistics: Any, feature: Any) -> Iterator[tuple[str, str]]:
    numeric = statistics.num_stats
    domain = feature.WhichOneof("domain_info")
    if domain == "int_domain":
        bounds, small, big = feature.int_domain, "INT_TYPE_SMALL_INT", "INT_TYPE_BIG_INT"
    elif domain == "float_domain":
        bounds, small, big = feature.float_domain, "FLOAT_TYPE_SMALL_FLOAT", "FLOAT_TYPE_BIG_FLOAT"
        nan = numeric.histograms[0].num_nan
        if bounds.disallow_nan and nan:
            yield "FLOAT_TYPE_HAS_NAN", f"Expected no NaN. Received: {nan:g}"
        infinite = statistics_proto.custom(statistics, statistics_proto.NUM_INFINITE)
        if bounds.disallow_inf and infinite:
            yield "FLOAT_TYPE_HAS_INF", f"Expected no infinity. Received: {infinite:g}"
    else:
        return
    if bounds.HasField("min") and numeric.min < bounds.min:
        yield small, f"Expected at least {bounds.min:g}. Received: {numeric.min:g}"
    if bounds.HasField("max") and numeric.max > bounds.max:
        yield big, f"Expected at most {bounds.max:g}. Received: {numeric.max:g}"


def _value_count(feature: Any) -> tuple[int, float]:
    if feature.HasField("shape"):
        size = math.prod(dim.size for dim in feature.shape.dim)
        return size, size
    if feature.HasField("value_count"):
        return feature.value_count.min, feature.value_count.max or math.inf
    return 0, math.inf


def _outside_domain(value: Any, feature: Any) -> bool:
    return not (is_utf8(value) and value.decode() in feature.string_domain.value)


_VALUE_CHECKS: dict[str, Callable[[Any, Any], bool]] = {
    "UNEXPECTED_DATA_TYPE": lambda value, feature: (
        not isinstance(value, _PYTHON_TYPES[feature.type])
    ),
    "ENUM_TYPE_UNEXPECTED_STRING_VALUES": _outside_domain,
    "ENUM_TYPE_INVALID_UTF8": lambda value, feature: not is_utf8(value),
    "INT_TYPE_SMALL_INT": lambda value, feature: value < feature.int_domain.min,
    "INT_TYPE_BIG_INT": lambda value, feature: value > feature.int_domain.max,
    "FLOAT_TYPE_SMALL_FLOAT": lambda value, feature: value < feature.float_domain.min,
    "FLOAT_TYPE_BIG_FLOAT": lambda value, feature: value > feature.float_domain.max,
    "FLOAT_TYPE_HAS_NAN": lambda value, feature: math.isnan(value),
    "FLOAT_TYPE_HAS_INF": lambda value, feature: math.isinf(value),
}
