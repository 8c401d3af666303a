"""Evaluation rows, figures and the exported signatures of image classifiers."""

import base64
import io
import json
import os
import xml.etree.ElementTree as ElementTree

import keras
import numpy as np
import pytest
import tensorflow as tf
from methodical.components.base.artifacts import Examples, Model, SavedModel, TransformGraph
from methodical.components.base.component import ExecutionContext
from methodical.components.beam import shards
from methodical.components.data.images import image_files
from methodical.components.data.labelled_images import transforms
from methodical.components.data.labelled_images.labelled_images import LabelledImages
from methodical.components.data.labelled_images.options import TransformOptions
from methodical.components.exporter import prediction_log
from methodical.components.exporter.component import Exporter
from methodical.components.infra_validator import validation_process
from methodical.components.io import example_proto
from methodical.pipeline.methods.image_classification import evaluation, figures, serving
from PIL import Image

SHAPE = (4, 4, 1)
CLASSES = ["0", "1", "10"]
COUNT = 40


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """40 test images whose mean gray level, low, middle or high, is their class; one is dropped."""
    random = np.random.default_rng(0)
    labels = np.arange(COUNT) % len(CLASSES)
    levels = np.array([40, 120, 200])[labels][:, None, None]
    images = (levels + random.integers(-40, 40, (COUNT, 4, 4))).astype(np.uint8)
    raw = [
        {
            "image": [image_files.encode_png(image)],
            "label": [CLASSES[label]],
            "id": [f"test/{number}"],
        }
        for number, (image, label) in enumerate(zip(images, labels, strict=True))
    ]
    assets = {
        "classes": CLASSES,
        "image_shape": [str(size) for size in SHAPE],
        "binarize": ["false"],
    }
    decode = transforms.Decode(TransformOptions(), assets)
    transformed = [decode(one) for one in raw]
    del transformed[5]
    folder = tmp_path_factory.mktemp("digits")
    graph = TransformGraph(str(folder / "graph"))
    os.makedirs(graph.path("assets"))
    for name, lines in assets.items():
        with open(graph.asset_path(name), "w") as writer:
            writer.writelines(f"{line}\n" for line in lines)

    def written(name, given):
        made = Examples(str(folder / name), {"splits": {"test": len(given)}})
        encoded = [example_proto.encode(one) for one in given]
        shards.write_shard(made.uri, "test", 0, 1, encoded)
        return made

    return LabelledImages(written("transformed", transformed), graph, written("raw", raw))


def by_level(scale, shift=0.0):
    """A model whose logits are largest for the class of the mean gray level."""
    centers = np.array([40, 120, 200]) / 255 + shift
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.layers[-1].set_weights([scale * 2 * centers[None], -scale * centers**2])
    return model


def levels(data):
    """Mean gray levels in [0, 1] and labels, read by hand."""
    found = []
    for serialized in data.serialized("test").as_numpy_iterator():
        feature = tf.train.Example.FromString(serialized).features.feature
        pixels = np.frombuffer(feature["pixels"].bytes_list.value[0], np.uint8)
        found.append((pixels.mean() / 255, feature["label"].int64_list.value[0]))
    return map(np.array, zip(*found, strict=True))


def answers(levels, shift):
    centers = np.array([40, 120, 200]) / 255 + shift
    return np.abs(levels[:, None] - centers).argmin(1)


def probabilities(levels, scale, shift):
    logits = -scale * (levels[:, None] - np.array([40, 120, 200]) / 255 - shift) ** 2
    exponents = np.exp(logits - logits.max(1, keepdims=True))
    return exponents / exponents.sum(1, keepdims=True)


MODELS = ((60, 0.0), (60, 0.25), (900, -0.3))


def test_rows_hold_the_shares_of_models_that_are_right(data):
    models = [by_level(*each) for each in MODELS]
    found = list(
        evaluation.rows(
            {"accuracy": models, "first": models[:1]}, data, "test", {"ensemble": models[1:]}
        )
    )
    level, label = levels(data)
    given = np.stack([answers(level, shift) for _, shift in MODELS])
    assert [row["id"] for row in found] == [f"test/{n}" for n in range(COUNT) if n != 5]
    assert [row["class"] for row in found] == [CLASSES[each] for each in label]
    np.testing.assert_allclose([row["accuracy"] for row in found], (given == label).mean(0))
    assert [row["first"] for row in found] == [1.0] * len(found)
    each = np.stack([probabilities(level, *each) for each in MODELS])
    together = each[1:].mean(0).argmax(1)
    assert not np.array_equal(together, given[1])
    np.testing.assert_array_equal([row["ensemble"] for row in found], together == label)
    means = each.mean(0)
    assert len({row["accuracy"] for row in found}) > 1
    for index, row in enumerate(found):
        counts = {}
        for each in given[:, index]:
            counts[CLASSES[each]] = counts.get(CLASSES[each], 0) + 1
        assert row.get("answers", {row["predicted"]: 3}) == counts
        assert counts[row["predicted"]] == max(counts.values())
        assert ("details" in row) == (row["accuracy"] < 1)
        if "details" in row:
            details = row["details"]
            assert details["id"] == row["id"]
            assert details["predicted"] != details["class"] == row["class"]
            assert details["wrong"] == f"{3 - counts.get(row['class'], 0)} of 3"
            shown = details["probabilities"]
            assert list(shown) == [CLASSES[each] for each in np.argsort(-means[index])]
            np.testing.assert_allclose(list(shown.values()), np.sort(means[index])[::-1], atol=6e-5)
    json.dumps(found)


def test_the_image_of_a_wrong_answer_is_kept(data, monkeypatch):
    monkeypatch.setattr(evaluation, "WITH_IMAGE", 2)
    wrong = by_level(60, 5.0)
    found = list(evaluation.rows({"accuracy": [wrong]}, data, "test"))
    details = [row["details"] for row in found if "details" in row]
    assert len(details) > 5
    assert ["image" in one for one in details[:4]] == [True, True, False, False]
    head, _, content = details[0]["image"].partition(";base64,")
    assert head == "data:image/png"
    shown = np.array(Image.open(io.BytesIO(base64.b64decode(content))))
    serialized = next(iter(data.serialized("test").skip(1).as_numpy_iterator()))
    feature = tf.train.Example.FromString(serialized).features.feature
    assert details[0]["id"] == "test/1"
    assert feature["pixels"].bytes_list.value[0] == shown.tobytes()


def test_the_main_metric_may_be_an_ensemble(data):
    models = [by_level(*each) for each in MODELS]
    found = list(
        evaluation.rows({"accuracy": models[1:2]}, data, "test", {"all": models}, main="all")
    )
    assert all(("details" in row) == (row["all"] < 1) for row in found)
    assert all("answers" not in row for row in found)
    assert all((row["predicted"] == row["class"]) == (row["all"] == 1) for row in found)


def test_what_is_not_a_number_is_wrong(data):
    diverged = by_level(60)
    diverged.layers[-1].set_weights([np.full([1, 3], np.nan), np.zeros(3)])
    found = list(
        evaluation.rows({"accuracy": [diverged, by_level(60)]}, data, "test", {"both": [diverged]})
    )
    assert {row["accuracy"] for row in found} == {0.5}
    assert {row["both"] for row in found} == {0.0}
    assert all(row["answers"] == {"none": 1, row["class"]: 1} for row in found)
    assert {row["details"]["predicted"] for row in found} == {"none"}
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("averaged", "main"), [({}, None), ({"accuracy": []}, None), ({"accuracy": [1]}, "loss")]
)
def test_metrics_need_models_and_names(data, averaged, main):
    with pytest.raises(ValueError, match="Each metric must have models"):
        next(evaluation.rows(averaged, data, "test", main=main))


def row(truth, predicted, **more):
    image = image_files.data_uri(image_files.encode_png(np.zeros([4, 4], np.uint8)))
    details = {
        "id": f"{truth}/{predicted}",
        "class": truth,
        "predicted": predicted,
        "probabilities": {predicted: 0.9},
        "image": image,
    }
    right = truth == predicted
    return {
        "class": truth,
        "predicted": predicted,
        "accuracy": float(right),
        **({} if right else {"details": details}),
        **more,
    }


def test_confusion_counts_the_answers_of_all_models():
    rows = [
        row("a", "a"),
        row("a", "b", answers={"a": 1, "b": 2}),
        row("b", "b", answers={"b": 2, "a": 1}),
        row("b", "c"),
    ]
    assert figures.confusion(rows) == {
        ("a", "a"): 4,
        ("a", "b"): 2,
        ("b", "b"): 2,
        ("b", "a"): 1,
        ("b", "c"): 3,
    }
    assert figures.confusion([row("a", "a"), row("a", "b")]) == {("a", "a"): 1, ("a", "b"): 1}


def test_figures_show_wrong_images_and_the_confusion():
    rows = [row("<b>", "ü"), row("<b>", "ü"), row("ü", "<b>"), *[row("ü", "ü")] * 7]
    gallery, matrix = figures.evaluation_figures(rows).values()
    namespace = "{http://www.w3.org/2000/svg}"
    shown = ElementTree.fromstring(gallery)
    pictures = list(shown.iter(f"{namespace}image"))
    assert len(pictures) == 3
    assert all(one.get("href").startswith("data:image/png;base64,") for one in pictures)
    # The classes take turns.
    captions = [one.text for one in shown.iter(f"{namespace}text")]
    assert captions == ["ü", "not <b>", "<b>", "not ü", "ü", "not <b>"]
    found = ElementTree.fromstring(matrix)
    titles = [one.text for one in found.iter(f"{namespace}title")]
    assert "<b> answered as ü: 2 of 2" in titles
    assert "ü answered as ü: 7 of 8" in titles
    assert [one.text for one in found.iter(f"{namespace}text") if "%" in one.text] == [
        "0.0 %",
        "87.5 %",
    ]


def test_figures_without_wrong_answers_or_with_many_classes():
    assert figures.evaluation_figures([]) == {}
    (title,) = figures.evaluation_figures([row("a", "a"), row("b", "b")])
    assert title.startswith("Confusion")
    many = [row(str(number), str(number + 1)) for number in range(60)]
    (title,) = figures.evaluation_figures(many)
    assert title.startswith("Images")
    assert figures.evaluation_figures(many, most=5)[title].count("<image") == 5


@pytest.fixture(scope="module")
def exported(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    trained = Model(str(folder / "model"), {"fits": ["first"]})
    os.makedirs(trained.path("Format-Keras"))
    by_level(60).save(trained.model_path("first"))
    output = SavedModel(str(folder / "saved"))
    os.makedirs(output.uri)
    context = ExecutionContext(
        inputs={
            "examples": data.raw,
            "transformed_examples": data.transformed,
            "transform_graph": data.transform_graph,
            "model": trained,
        },
        outputs={"saved_model": output},
        parameters=Exporter.Parameters(),
        functions={
            "data": LabelledImages,
            "serve": lambda models, data, parameters: serving.serving_model(
                models["first"], by_level(60), data
            ),
        },
        model_name="digits",
    )
    Exporter.execute(context)
    return output


def test_signatures_answer_as_the_trained_model(data, exported):
    level, label = levels(data)
    expected = probabilities(level, 60, 0.0)
    loaded = tf.saved_model.load(exported.path("Format-Serving"))
    assert set(loaded.signatures) == {"serving_default", "serving_examples", "serving_images"}
    raw = list(data.serialized("test", raw=True).as_numpy_iterator())
    del raw[5]
    encoded = [
        tf.train.Example.FromString(one).features.feature["image"].bytes_list.value[0]
        for one in raw
    ]
    pixels = np.stack([np.array(Image.open(io.BytesIO(one))) for one in encoded])
    requests = {
        "serving_default": {"image": tf.constant(encoded)},
        "serving_examples": {"examples": tf.constant(raw)},
        "serving_images": {"images": tf.constant(np.float32(pixels[..., None]) / np.float32(255))},
    }
    with np.load(exported.path("references.npz")) as stored:
        references = {name: stored[name] for name in stored.files}
    for name, inputs in requests.items():
        found = loaded.signatures[name](**inputs)
        np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)
        np.testing.assert_allclose(found["probability"], expected.max(1), atol=1e-5)
        assert found["class"].numpy().tolist() == [CLASSES[each].encode() for each in label]
        assert found["classes"].numpy().tolist() == [[b"0", b"1", b"10"]] * len(label)
    asked = dict.fromkeys(requests, 0)
    path = exported.path(
        "Format-Serving", prediction_log.WARM_UP_FOLDER, prediction_log.WARM_UP_FILE
    )
    for name, inputs in prediction_log.read_requests(path):
        found = loaded.signatures[name](**{key: tf.constant(one) for key, one in inputs.items()})
        for key, value in found.items():
            row = asked[name]
            reference = references[f"{name}/{key}"][row : row + 1]
            _, problem = validation_process.compare(value.numpy(), reference, 1e-5)
            assert problem is None, (name, key)
        asked[name] += 1
    assert set(asked.values()) == {COUNT - 1}


def test_broken_bytes_fail_the_request_with_the_reason(exported):
    loaded = tf.saved_model.load(exported.path("Format-Serving"))
    served = loaded.signatures["serving_default"]
    image = image_files.encode_png(np.zeros([4, 4], np.uint8))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"must be the bytes.*\[1\]"):
        served(image=tf.constant([image, b"no image"]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="PNG"):
        served(image=tf.constant([image, image[:-30]]))
    assert served(image=tf.constant([image]))["class"].numpy().tolist() == [b"0"]


def test_another_size_is_served_too(exported):
    loaded = tf.saved_model.load(exported.path("Format-Serving"))
    large = io.BytesIO()
    Image.new("RGB", (60, 30), (200, 200, 200)).save(large, "JPEG")
    found = loaded.signatures["serving_default"](image=tf.constant([large.getvalue()]))
    assert found["class"].numpy().tolist() == [b"10"]
