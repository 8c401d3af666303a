"""Asking a pushed model: which signature, and how its inputs are read."""

import json

import click
import click.testing
import keras
import pytest
import tensorflow as tf
from methodical.pipeline.cli import predict


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


def describe(folder, signatures):
    """Writes what an Exporter says of a model's signatures.

    Args:
        folder: of the SavedModel.
        signatures: by signature and input the help text, and whether it is a file.
    """
    described = {
        name: {"inputs": {key: {"help": text, "file": file} for key, (text, file) in each.items()}}
        for name, each in signatures.items()
    }
    (folder / "assets.extra").mkdir(parents=True, exist_ok=True)
    (folder / "assets.extra" / "signatures.json").write_text(json.dumps(described))


def ask_model(name, arguments):
    """Calls `methodical predict NAME` with these arguments."""
    command = predict.predict_command(
        click.Context(click.Command("predict")),
        name,
        arguments,
        click.option("--root"),
        click.option("--json", "as_json", is_flag=True),
    )
    return click.testing.CliRunner().invoke(command, arguments)


HISTORY = {"items": ("a list", False), "ratings": ("a list", False)}


@pytest.fixture
def call(folder):
    describe(
        folder / "serving/toy/1",
        {"serving_default": {"user": ("an id", False)}, "serving_history": HISTORY},
    )
    return lambda *arguments: ask_model("toy", [*arguments, "--root", str(folder), "--json"])


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
        specs = [tf.TensorSpec.from_spec(text, key) for key in inputs]
        archive.add_endpoint(name, tf.function(function, input_signature=specs))
    archive.track(tf.Variable(0.0))
    archive.write_out(str(tmp_path / "serving" / "files" / "1"), verbose=False)
    for name, content in (("a", "Anna"), ("b", "Berta"), ("c", "broken"), ("d", "")):
        (tmp_path / name).write_text(content)

    describe(
        tmp_path / "serving/files/1",
        {
            "serving_default": {"user": ("a name", True)},
            "serving_pair": {"first": ("a name", True), "second": ("another", True)},
        },
    )

    def run(*arguments):
        made = ("a", "b", "c", "d")
        places = [str(tmp_path / text) if text in made else text for text in arguments]
        return ask_model("files", [*places, "--root", str(tmp_path)])

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


def test_only_explained_signatures_are_offered(call, folder):
    described = {
        "serving_examples": {"examples": ("", False)},
        "serving_default": {"user": ("an id of yours", False)},
        "serving_history": HISTORY,
        "serving_ratings": {"user": ("", False), "item": ("an item", False)},
    }
    describe(folder / "serving/toy/1", described)
    said = call("--help").output
    assert "an id of yours" in said
    assert "--items" in said
    assert "--item " not in said
    assert "--examples" not in said


def test_a_model_that_does_not_describe_itself_offers_all_signatures(call, folder):
    (folder / "serving/toy/1/assets.extra/signatures.json").unlink()
    assert "Give --user, or --items and --ratings." in call().output
    assert json.loads(call("--user", "42").output)["outputs"] == {"answer": "user 42"}
    answer = json.loads(call("--items", '["a"]', "--ratings", "[4]").output)
    assert answer["outputs"] == {"first": "a", "total": 4.0}


def test_without_a_model_help_says_how_to_make_one(tmp_path):
    root = str(tmp_path / "none")
    said = " ".join(ask_model("toy", ["--root", root, "--help"]).output.split())
    assert "No model of toy was pushed into this root." in said
    assert "methodical run toy --root" in said
    failed = ask_model("toy", ["a.png", "--user", "4", "--root", root])
    assert failed.exit_code == 1
    assert "Error: No model of toy was pushed" in failed.output


@pytest.mark.parametrize(
    ("signatures", "named_root", "command"),
    [
        (
            {"serving_default": {"story": ("a text", False), "the_question": ("a text", False)}},
            None,
            "methodical predict toy --story STORY --the-question THE_QUESTION",
        ),
        (
            {
                "a": {"image": ("a file", True)},
                "b": {"second": ("a file", True), "first": ("a file", True)},
            },
            "/my root",
            "methodical predict toy SECOND FIRST --root '/my root'",
        ),
        (
            {
                "a": {"image": ("a file", True), "size": ("pixels", False)},
                "b": {"first": ("", True), "second": ("", True)},
            },
            None,
            "methodical predict toy --image IMAGE --size SIZE",
        ),
    ],
)
def test_command_that_asks_a_model(tmp_path, signatures, named_root, command):
    describe(tmp_path / "serving/toy/1", signatures)
    assert predict.example_command("toy", str(tmp_path), named_root) == command
