"""SchemaGen: what is inferred, and what is left open for honest data."""

import random

import pytest
from google.protobuf import text_format
from methodical.components.base.errors import BadDataError
from methodical.components.schema_gen.component import SchemaGen
from methodical.components.statistics_gen.component import StatisticsGen
from tensorflow_metadata.proto.v0 import schema_pb2


@pytest.fixture
def schema_of(execute, write_examples):
    def infer(train, other=(), **parameters):
        examples = write_examples({"train": train, "eval": other})
        statistics = execute(StatisticsGen, {"examples": examples}, folder="statistics")
        context = execute(SchemaGen, statistics.outputs, folder="schema", **parameters)
        with open(context.outputs["schema"].path("schema.pbtxt"), encoding="utf-8") as reader:
            schema = text_format.Parse(reader.read(), schema_pb2.Schema())
        assert context.counters["features"] == len(schema.feature)
        return {feature.name: feature for feature in schema.feature}

    return infer


def test_types_presence_and_counts_of_values(schema_of):
    found = schema_of(
        [
            {
                "pair": [index, index],
                "story": ["é"] * (1 + index % 3),
                "maybe": [1.0] * (index % 2),
                "never": [],
                **({"optional": [index]} if index % 2 else {}),
                **({"optional_pair": [0.5, 0.5]} if index % 2 else {}),
            }
            for index in range(100)
        ]
    )
    kinds = {name: schema_pb2.FeatureType.Name(feature.type) for name, feature in found.items()}
    assert kinds == {
        "pair": "INT",
        "story": "BYTES",
        "maybe": "FLOAT",
        "never": "TYPE_UNKNOWN",
        "optional": "INT",
        "optional_pair": "FLOAT",
    }
    for name, feature in found.items():
        assert feature.presence.min_fraction == (0.0 if "optional" in name else 1.0)
    assert [dim.size for dim in found["pair"].shape.dim] == [2]
    assert not found["story"].HasField("shape")
    assert (found["story"].value_count.min, found["story"].value_count.max) == (1, 0)
    assert (found["maybe"].value_count.min, found["maybe"].value_count.max) == (0, 0)
    pair = found["optional_pair"]
    assert (pair.value_count.min, pair.value_count.max) == (2, 2)
    assert not pair.HasField("shape")


def test_shapes_need_evidence_and_can_be_left_out(schema_of):
    few = schema_of([{"x": [1, 2, 3]}] * 29)["x"]
    assert (few.value_count.min, few.value_count.max) == (1, 0)
    assert schema_of([{"x": [1, 2, 3]}] * 30)["x"].shape.dim[0].size == 3
    assert not schema_of([{"x": [1]}] * 30, infer_feature_shape=False)["x"].HasField("shape")


def test_small_vocabularies_are_domains(schema_of):
    train = [{"answer": [f"place {index % 6}"]} for index in range(240)]
    feature = schema_of(train)["answer"]
    assert list(feature.string_domain.value) == [f"place {index}" for index in range(6)]
    assert schema_of(train, max_domain_size=5)["answer"].WhichOneof("domain_info") is None
    # A value that is seen once promises others that have not been seen.
    train[0] = {"answer": ["rare"]}
    assert schema_of(train)["answer"].WhichOneof("domain_info") is None


def test_identifiers_are_no_domain(schema_of):
    train = [{"story": [f"story {index // 25}"]} for index in range(1000)]
    other = [{"story": [f"story {100 + index // 25}"]} for index in range(100)]
    assert schema_of(train)["story"].WhichOneof("domain_info") == "string_domain"
    assert schema_of(train, other)["story"].WhichOneof("domain_info") is None


def test_a_split_with_other_values_only_is_no_proof_of_identifiers(
    execute, write_examples, schema_of
):
    train = [{"answer": [f"place {index % 6}"]} for index in range(240)]
    examples = write_examples(
        {"train": train, "eval": train[:30], "test": [{"answer": ["odd"]}] * 30}, folder="three"
    )
    statistics = execute(StatisticsGen, {"examples": examples}, folder="statistics")
    context = execute(SchemaGen, statistics.outputs, folder="schema")
    assert context.summary == "1 feature, 1 with a domain"


def test_ranges_of_integers(schema_of):
    generator = random.Random(0)
    tail = [value for value, count in enumerate((1065, 500, 250, 125, 60)) for _ in range(count)]
    found = schema_of(
        [
            {
                "label": [index % 10],
                "signed": [generator.randrange(-5000, 5001)],
                "tail": [tail[index]],
                "count": [int(generator.triangular(0, 40, 0))],
                "heavy": [int(generator.paretovariate(0.6))],
            }
            for index in range(2000)
        ]
    )
    label = found["label"].int_domain
    assert (label.min, label.max) == (0, 9)
    signed = found["signed"].int_domain
    assert -15_000 <= signed.min < -14_000
    assert 14_000 < signed.max <= 15_000
    # The counts thin out towards the end: a larger one may come.
    assert found["count"].int_domain.min == 0
    assert 70 < found["count"].int_domain.max < 80
    assert found["tail"].int_domain.max == 8
    assert found["heavy"].int_domain.min == 0
    assert not found["heavy"].int_domain.HasField("max")


def test_floats_and_text(schema_of):
    nan = float("nan")
    found = schema_of(
        [
            {
                "clean": [0.5],
                "one": [nan if index == 0 else 1.0],
                "many": [nan if index % 10 == 0 else 1.0],
                "binary": [b"\xff"],
                "text": [f"text {index}"],
            }
            for index in range(200)
        ]
    )
    assert found["clean"].float_domain.disallow_nan
    assert found["clean"].float_domain.disallow_inf
    assert found["one"].float_domain.disallow_nan
    assert not found["many"].float_domain.disallow_nan
    assert list(found["text"].annotation.tag) == ["utf8"]
    assert found["text"].WhichOneof("domain_info") is None
    assert not found["binary"].annotation.tag


def test_no_training_examples_are_an_error(schema_of):
    with pytest.raises(BadDataError, match="'train'"):
        schema_of([], [{"x": [1]}])
