"""Vocabularies, indices and flat arrays of ratings, and the schema of the raw examples."""

import collections
import os

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.testing.util import assert_that, equal_to
from methodical.components.base.artifacts import Examples, Schema, TransformGraph
from methodical.components.base.errors import BadDataError
from methodical.components.data.ratings import examples, transforms
from methodical.components.data.ratings.options import SimulatorOptions, TransformOptions
from methodical.components.data.ratings.ratings import RatingExamples
from methodical.components.example_gen.component import ExampleGen
from methodical.components.io import example_proto, tfrecord
from methodical.components.transform.component import Transform

FUNCTIONS = {"analyze": transforms.Analyze, "transform": transforms.ToIndices}


def raw(user, items, ratings=None, folds=None):
    return {
        "user": [user],
        "items": items,
        "ratings": ratings or [float(number) for number in range(1, len(items) + 1)],
        "timestamps": [],
        "folds": folds or [0] * len(items),
    }


SOME = [
    raw("u10", ["b", "i2", "i10"], [1.0, 2.0, 3.0], [0, -1, 1]),
    raw("u9", ["i10"], [4.0], [1]),
    raw("ü", ["i2", "i10", "c"], [5.0, 1.5, 2.5], [-1, 0, 1]),
]


@pytest.fixture
def transform(execute, write_examples, tmp_path):
    """Runs Transform over raw examples and returns its context."""

    def run(given, **parameters):
        raw_examples = write_examples({"train": given})
        inputs = {"examples": raw_examples, "schema": Schema(str(tmp_path))}
        return execute(Transform, inputs, FUNCTIONS, options=[TransformOptions], **parameters)

    return run


def decoded(context):
    made = context.outputs["transformed_examples"]
    return [
        example_proto.decode(record)
        for path in made.files("train")
        for record in tfrecord.read_records(path)
    ]


def test_ids_become_indices_in_natural_order(transform):
    context = transform(SOME)
    graph = context.outputs["transform_graph"]
    assert graph.asset("users") == ["u9", "u10", "ü"]
    assert graph.asset("items") == ["b", "c", "i2", "i10"]
    assert decoded(context) == [
        {
            "folds": [0, -1, 1],
            "id": [b"u10"],
            "items": [0, 2, 3],
            "ratings": [1, 2, 3],
            "user": [1],
        },
        {"folds": [1], "id": [b"u9"], "items": [3], "ratings": [4], "user": [0]},
        {
            "folds": [-1, 0, 1],
            "id": ["ü".encode()],
            "items": [2, 3, 1],
            "ratings": [5, 1.5, 2.5],
            "user": [2],
        },
    ]


def test_rare_ids_are_out_of_vocabulary(transform):
    context = transform(SOME, min_user_ratings=2, min_item_ratings=2)
    graph = context.outputs["transform_graph"]
    assert graph.asset("users") == ["u10", "ü"]
    assert graph.asset("items") == ["i2", "i10"]
    assert decoded(context) == [
        {"folds": [-1, 1], "id": [b"u10"], "items": [0, 1], "ratings": [2, 3], "user": [0]},
        {"folds": [1], "id": [b"u9"], "items": [1], "ratings": [4], "user": [2]},
        {"folds": [-1, 0], "id": ["ü".encode()], "items": [0, 1], "ratings": [5, 1.5], "user": [1]},
    ]
    found = RatingExamples(context.outputs["transformed_examples"], graph).read()
    assert found.users.tolist() == [0, 0, 1, 1]
    assert found.items.tolist() == [0, 1, 0, 1]
    assert found.ratings.tolist() == [2.0, 3.0, 5.0, 1.5]
    assert found.folds.tolist() == [-1, 1, -1, 0]
    assert (found.fold_count, found.rating_range) == (2, (1.5, 5.0))
    assert (found.user_ids, found.item_ids) == (["u10", "ü"], ["i2", "i10"])


def test_a_vocabulary_must_not_be_empty(transform):
    with pytest.raises(BadDataError, match=r"min_item_ratings=4.*Received: 4 items with at most 3"):
        transform(SOME, min_item_ratings=4)


def test_counts_are_of_all_parts():
    with beam.Pipeline("FnApiRunner") as pipeline:
        parts = [raw(f"u{number}", ["a", f"i{number % 3}"]) for number in range(300)]
        found = (
            pipeline
            | beam.Create(parts, reshuffle=True)
            | transforms.Analyze(TransformOptions(min_item_ratings=101, min_user_ratings=2))
            | beam.Map(lambda pair: (pair[0], len(pair[1]), pair[1][0]))
        )
        assert_that(found, equal_to([("users", 300, "u0"), ("items", 1, "a")]))


def test_training_data_leaves_a_fold_out(transform):
    context = transform(SOME)
    found = RatingExamples(
        context.outputs["transformed_examples"], context.outputs["transform_graph"]
    ).read()
    assert len(found) == 7
    (batch,) = found.training(1).dataset().as_numpy_iterator()
    inputs, ratings = batch
    assert inputs["user"].dtype == inputs["item"].dtype == np.int32
    assert ratings.dtype == np.float32
    triples = list(zip(inputs["user"].tolist(), inputs["item"].tolist(), ratings, strict=True))
    assert triples == [(1, 0, 1.0), (1, 2, 2.0), (2, 2, 5.0), (2, 3, 1.5)]
    (filled,) = found.training(1).dataset(6).as_numpy_iterator()
    assert filled[0]["user"].tolist() == [*inputs["user"], 3, 3]
    assert filled[0]["item"].tolist() == [*inputs["item"], 4, 4]
    assert filled[1].tolist() == [*ratings, 0, 0]
    with pytest.raises(ValueError, match=r"at least the number of ratings, 4. Received: 3"):
        found.training(1).dataset(3)
    held_out = found.held_out(1)
    assert held_out.users.tolist() == [1, 0, 2]
    assert held_out.items.tolist() == [3, 3, 1]
    assert len(found.training(None)) == 7


def test_ratings_of_unknown_users_alone_are_refused(tmp_path, write_examples):
    graph = TransformGraph(str(tmp_path / "graph"))
    os.makedirs(graph.path("assets"))
    for name in ("users", "items"):
        with open(graph.asset_path(name), "w") as writer:
            writer.write("a\n")
    given = write_examples({"train": [{**raw("b", ["a"]), "user": [1], "items": [0]}]})
    with pytest.raises(BadDataError, match="both in the vocabulary"):
        RatingExamples(given, graph).read()


def test_simulated_ratings_pass_every_data_stage(execute):
    from methodical.components.example_validator.component import ExampleValidator
    from methodical.components.schema_gen.component import SchemaGen
    from methodical.components.statistics_gen.component import StatisticsGen

    size = {"users": 300, "items": 60, "ratings": 3000}
    given = execute(
        ExampleGen,
        functions={"read": lambda parameters, data_dir: transforms.Simulate(parameters)},
        options=[SimulatorOptions],
        folder="examples",
        shards=3,
        **size,
    ).outputs["examples"]
    inputs = {"examples": given}
    statistics = execute(StatisticsGen, inputs, folder="statistics").outputs["statistics"]
    inputs["statistics"] = statistics
    schema = execute(SchemaGen, {"statistics": statistics}, folder="schema").outputs["schema"]
    anomalies = execute(ExampleValidator, {**inputs, "schema": schema}, folder="validator")
    assert anomalies.summary.startswith("0 anomalies")
    context = execute(
        Transform,
        {"examples": given, "schema": schema},
        FUNCTIONS,
        options=[TransformOptions],
        folder="transform",
    )
    made = context.outputs["transformed_examples"]
    assert isinstance(made, Examples)
    data = RatingExamples(made, context.outputs["transform_graph"], given)
    found = data.read()
    assert len(found) == 3000
    assert sorted(found.user_ids, key=lambda name: int(name[1:])) == found.user_ids
    expected = collections.Counter()
    for path in given.files("train"):
        for record in tfrecord.read_records(path):
            one = example_proto.decode(record)
            for item, rating, fold in zip(one["items"], one["ratings"], one["folds"], strict=True):
                expected[one["user"][0].decode(), item.decode(), rating, fold] += 1
    ours = collections.Counter(
        (found.user_ids[user], found.item_ids[item], float(rating), int(fold))
        for user, item, rating, fold in zip(
            found.users, found.items, found.ratings, found.folds, strict=True
        )
    )
    assert ours == expected


def test_a_sample_shows_the_best_rated_first():
    shown = examples.sample(raw("ü", [f"i{number}" for number in range(20)]))
    assert shown["user"] == "ü"
    assert shown["ratings"] == "20"
    assert shown["best rated"].startswith("i19: 20, i18: 19, ")
    assert shown["best rated"].endswith("i8: 9, … 8 more")
