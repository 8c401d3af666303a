"""Asking a pushed model: which signature, and how its inputs are read."""

import json

import click
import click.testing
import keras
import pytest
import tensorflow as tf
from methodical.pipeline.cli import predict
from methodical.pipeline.methods.method import Method


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


def method_of(name, **asked):
    """A method with these `predict_…` fields."""

    def nothing(*arguments):
        return None

    return Method(
        name=name,
        title="A toy",
        paper="Nobody (2026)",
        sources={},
        analyze=nothing,
        transform=nothing,
        fits=nothing,
        evaluate=nothing,
        metrics={"total": "a number"},
        serve=nothing,
        **asked,
    )


def command_of(name, **asked):
    """`predict` of a method with these `predict_…` fields."""
    return predict.predict_command(
        method_of(name, **asked),
        click.option("--root"),
        click.option("--json", "as_json", is_flag=True),
    )


@pytest.fixture
def call(folder):
    command = command_of(
        "toy",
        predict_inputs={"user": "an id"},
        predict_signatures={"serving_history": {"items": "a list", "ratings": "a list"}},
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


def by_files(first, second):
    bad = tf.equal(second, b"broken")
    return {
        "together": tf.strings.join([first, second]),
        "error": tf.where(bad, "first: looks odd; second: cannot be read", ""),
        "numbers": tf.ones([tf.shape(first)[0], 20]),
    }


@pytest.fixture
def ask(tmp_path):
    """Calls `predict` of a model that takes one file, or two."""
    text = tf.TensorSpec([None], tf.string)
    archive = keras.export.ExportArchive()
    for name, function, inputs in (
        ("serving_default", by_user, ["user"]),
        ("serving_pair", by_files, ["first", "second"]),
    ):
        specs = [tf.TensorSpec.from_spec(text, one) for one in inputs]
        archive.add_endpoint(name, tf.function(function, input_signature=specs))
    archive.track(tf.Variable(0.0))
    archive.write_out(str(tmp_path / "serving" / "files" / "1"), verbose=False)
    for name, content in (("a", "Anna"), ("b", "Berta"), ("c", "broken"), ("d", "")):
        (tmp_path / name).write_text(content)

    command = command_of(
        "files",
        predict_inputs={"user": "a name"},
        predict_signatures={"serving_pair": {"first": "a name", "second": "another"}},
        predict_files={"serving_default": ("user",), "serving_pair": ("first", "second")},
    )

    def run(*arguments):
        made = ("a", "b", "c", "d")
        places = [str(tmp_path / one) if one in made else one for one in arguments]
        return click.testing.CliRunner().invoke(command, [*places, "--root", str(tmp_path)])

    return run


def test_as_many_files_as_a_signature_takes(ask):
    assert json.loads(ask("a", "--json").output)["outputs"] == {"answer": "user Anna"}
    answer = ask("a", "b")
    assert "AnnaBerta" in answer.output
    assert "1.0000, … (20 numbers; --json shows all)" in answer.output
    assert "error" not in answer.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("a", "b", "c"), "The model takes 1 or 2 files. Received: 3"),
        (("a", "--user", "b"), "Give files, or options."),
        (("a", "c"), "The model refuses the inputs: {a}: looks odd; {c}: cannot be read"),
        (("--first", "x", "--second", "broken"), "inputs: first: looks odd; second: cannot be"),
        (("d", "a"), "{d} must not be empty. Received: ''"),
        (("--user", " "), "--user must not be empty. Received: ' '"),
        (
            (),
            "Give --user, or --first and --second, or 1 or 2 files without an option. Received: "
            "none of them",
        ),
        (("nowhere",), "nowhere cannot be read"),
        (
            ("--first", "a", "--second", "broken"),
            "second: cannot be read. To read a file write @ before its name: @{a}",
        ),
    ],
)
def test_what_is_refused_of_files(ask, tmp_path, arguments, said):
    answer = ask(*arguments)
    assert answer.exit_code == 2
    assert said.format(**{name: tmp_path / name for name in "abcd"}) in answer.output


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("The model refuses the inputs: no PNG", "The model refuses my.png: no PNG"),
        ("--image takes a list of string", "--image takes a list of string"),
    ],
)
def test_a_complaint_of_the_only_input_is_of_its_file(message, said):
    assert predict._by_file(message, {"image": "my.png"}, 1) == said
    assert predict._by_file(message, {}, 1) == message


def test_help_says_what_the_files_are(ask):
    said = " ".join(ask("--help").output.split())
    assert "option: one file is --user, 2 files are --first and --second." in said


@pytest.mark.parametrize(
    ("asked", "root", "command"),
    [
        (
            {"predict_inputs": {"story": "", "the_question": ""}},
            None,
            "methodical predict toy --story STORY --the-question THE_QUESTION",
        ),
        (
            {
                "predict_inputs": {"image": ""},
                "predict_files": {"a": ("image",), "b": ("first", "second")},
            },
            "/my root",
            "methodical predict toy FIRST SECOND --root '/my root'",
        ),
    ],
)
def test_command_that_asks_a_model(asked, root, command):
    assert predict.example_command(method_of("toy", **asked), root) == command
