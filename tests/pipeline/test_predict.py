"""Asking a pushed model: which signature, and how its inputs are read."""

import json

import click
import click.testing
import keras
import pytest
import tensorflow as tf
from methodical.pipeline import predict
from methodical.pipeline.catalogue.method import Method


def by_user(user):
    return {"answer": tf.strings.join(["user ", user])}


def by_history(items, ratings):
    return {"total": tf.reduce_sum(ratings, axis=1), "first": items[:, 0]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A SavedModel with two signatures, pushed as version 1 of the method `toy`."""
    root = tmp_path_factory.mktemp("root")
    text, texts = tf.TensorSpec([None], tf.string), tf.TensorSpec([None, None], tf.string)
    numbers = tf.TensorSpec([None, None], tf.float32)
    archive = keras.export.ExportArchive()
    archive.add_endpoint(
        "serving_default",
        tf.function(by_user, input_signature=[tf.TensorSpec.from_spec(text, "user")]),
    )
    archive.add_endpoint(
        "serving_history",
        tf.function(
            by_history,
            input_signature=[
                tf.TensorSpec.from_spec(texts, "items"),
                tf.TensorSpec.from_spec(numbers, "ratings"),
            ],
        ),
    )
    archive.track(tf.Variable(0.0))
    archive.write_out(str(root / "serving" / "toy" / "1"), verbose=False)
    return root


@pytest.fixture
def call(folder):
    def nothing(*arguments):
        return None

    method = Method(
        name="toy",
        title="A toy",
        paper="Nobody (2026)",
        sources={},
        analyze=nothing,
        transform=nothing,
        fits=nothing,
        evaluate=nothing,
        metrics={"total": "a number"},
        serve=nothing,
        predict_inputs={"user": "an id"},
        predict_signatures={"serving_history": {"items": "a list", "ratings": "a list"}},
    )
    command = predict.predict_command(
        method, click.option("--root"), click.option("--json", "as_json", is_flag=True)
    )

    def run(*arguments):
        return click.testing.CliRunner().invoke(
            command, [*arguments, "--root", str(folder), "--json"]
        )

    return run


def test_the_inputs_given_choose_the_signature(call):
    answer = json.loads(call("--user", "42").output)
    assert answer == {"method": "toy", "version": 1, "outputs": {"answer": "user 42"}}
    answer = json.loads(call("--items", '["a", "b"]', "--ratings", "[4, 1.5]").output)
    assert answer["outputs"] == {"first": "a", "total": 5.5}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Give --user, or --items and --ratings. Received: none of them"),
        (("--items", "[]"), "Give --user, or --items and --ratings. Received: --items"),
        (("--user", "1", "--items", "[]", "--ratings", "[]"), "Received: --user, --items"),
        (("--items", "a", "--ratings", "[1]"), "--items takes JSON of type a list of string"),
        (("--items", '"a"', "--ratings", "[1]"), "--items takes JSON of type a list of string"),
        (("--items", '["a"]', "--ratings", '["x"]'), "--ratings takes a list of float32"),
    ],
)
def test_wrong_inputs_are_said(call, arguments, says):
    result = call(*arguments)
    assert result.exit_code == 2
    assert says in " ".join(result.output.split())
