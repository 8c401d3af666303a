"""The exported signatures of models of faces, above all with images that cannot be read."""

import io
import json
import os
import struct
import zlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from methodical.components.base.artifacts import Examples, Model, SavedModel, TransformGraph
from methodical.components.base.component import ExecutionContext
from methodical.components.base.errors import BadDataError
from methodical.components.beam import shards
from methodical.components.data.faces import transforms
from methodical.components.data.faces.cropping import Crop
from methodical.components.data.faces.decoder import FaceDecoder
from methodical.components.data.faces.faces import Faces
from methodical.components.data.faces.options import TransformOptions
from methodical.components.exporter import prediction_log
from methodical.components.exporter.component import Exporter
from methodical.components.infra_validator import validation_process
from methodical.components.io import example_proto
from methodical.pipeline.methods.facenet import serving
from methodical.pipeline.methods.facenet.pairs import threshold as pair_threshold
from methodical.pipeline.methods.facenet.safe_decoding import MOST_PIXELS, decode_each, parse_each
from PIL import Image

SIDE = 12
PEOPLE, IMAGES = 9, 4


def encoded(pixels, kind="PNG", **options):
    """An image file, made by Pillow."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind, **options)
    return content.getvalue()


def faces(seed):
    """Gray images by identity: the pattern of the person with a little noise."""
    random = np.random.default_rng(seed)
    for person in range(PEOPLE):
        pattern = random.integers(60, 200, (SIDE, SIDE))
        for number in range(IMAGES):
            noise = random.integers(-40, 40, (SIDE, SIDE))
            yield (
                f"{seed}-{person}",
                f"{seed}-{person}/{number}",
                (pattern + noise).astype(np.uint8),
            )


def written_data(folder, splits, **options):
    """Raw and transformed examples of splits, of which each is a list of raw examples."""
    parameters = TransformOptions(height=SIDE, width=SIDE, channels=1, **options)
    crop = Crop.of(parameters.crop).settings
    if parameters.align:
        crop["align"] = {"eye_distance": 0.4, "eye_height": 0.4}
    assets = {
        "identities": ["nobody"],
        "image_shape": [str(SIDE), str(SIDE), "1"],
        "crop": [json.dumps(crop)],
    }
    decode = transforms.Decode(parameters, assets)
    graph = TransformGraph(os.path.join(folder, "graph"))
    os.makedirs(graph.path("assets"))
    for name, lines in assets.items():
        with open(graph.asset_path(name), "w") as writer:
            writer.writelines(f"{line}\n" for line in lines)

    def written(name, given):
        sizes = {split: len(rows) for split, rows in given.items()}
        made = Examples(os.path.join(folder, name), {"splits": sizes})
        for split, rows in given.items():
            shards.write_shard(made.uri, split, 0, 1, map(example_proto.encode, rows))
        return made

    transformed = {split: [decode(row) for row in rows] for split, rows in splits.items()}
    return Faces(written("transformed", transformed), graph, written("raw", splits))


def raw_examples(seed, eyes=()):
    return [
        {
            "image": [encoded(pixels)],
            "identity": [identity],
            "id": [name],
            "eyes": list(eyes),
            "partners": [],
            "folds": [],
        }
        for identity, name, pixels in faces(seed)
    ]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("faces"))
    return written_data(folder, {"eval": raw_examples(1), "test": raw_examples(2)})


def embedder(size=8, seed=0):
    """A fixed random projection, of unit length."""
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1)),
            keras.layers.Rescaling(1.0, -0.5),
            keras.layers.Flatten(),
            keras.layers.Dense(size, use_bias=False),
            keras.layers.UnitNormalization(),
        ]
    )
    weights = np.random.default_rng(seed).normal(size=(SIDE * SIDE, size))
    model.layers[2].set_weights([weights])
    return model


def embedded_by_hand(pixels, size=8, seed=0):
    weights = np.random.default_rng(seed).normal(size=(SIDE * SIDE, size))
    vectors = (np.asarray(pixels, float).reshape(len(pixels), -1) / 255 - 0.5) @ weights
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def exported(folder, data, **options):
    """Runs the Exporter and returns its output."""
    trained = Model(os.path.join(folder, "model"), {"fits": ["first"]})
    os.makedirs(trained.path("Format-Keras"))
    embedder().save(trained.model_path("first"))
    output = SavedModel(os.path.join(folder, "saved"))
    os.makedirs(output.uri)
    Exporter.execute(
        ExecutionContext(
            inputs={
                "examples": data.raw,
                "transformed_examples": data.transformed,
                "transform_graph": data.transform_graph,
                "model": trained,
            },
            outputs={"saved_model": output},
            parameters=Exporter.Parameters(),
            functions={
                "data": Faces,
                "serve": lambda models, data, parameters: serving.serving_model(
                    models["first"], data, **options
                ),
            },
            model_name="faces",
        )
    )
    return output


@pytest.fixture(scope="module")
def saved(data, tmp_path_factory):
    return exported(str(tmp_path_factory.mktemp("exported")), data)


@pytest.fixture(scope="module")
def loaded(saved):
    return tf.saved_model.load(saved.path("Format-Serving"))


def replay(saved):
    """What InfraValidator's clean process finds."""
    return validation_process.validate(
        {
            "saved_model": saved.path("Format-Serving"),
            "references": saved.path("references.npz"),
            "prediction_log": prediction_log.__file__,
            "forbidden": [],
            "tolerance": 1e-5,
            "latency_requests": 50,
        }
    )


def huge_png(width, height):
    """A PNG of a few bytes whose header promises any number of pixels."""

    def chunk(kind, content):
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def huge_jpeg(width, height):
    content = bytearray(encoded(np.zeros((16, 16), np.uint8), "JPEG"))
    place = bytes(content).index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(content)


def huge_gif(width, height):
    content = bytearray(encoded(np.zeros((16, 16), np.uint8), "GIF"))
    content[6:10] = struct.pack("<HH", width, height)
    return bytes(content)


def huge_bmp(width, height):
    content = bytearray(encoded(np.zeros((16, 16), np.uint8), "BMP"))
    content[18:26] = struct.pack("<ii", width, height)
    return bytes(content)


FACE = np.random.default_rng(5).integers(0, 256, (40, 30), dtype=np.uint8)
JPEG = encoded(FACE, "JPEG")
BROKEN = {
    "empty": (b"", "Received: no bytes"),
    "text": (b"no image at all", "Received: 15 bytes that begin as none of these"),
    "one byte": (b"\xff", "Received: 1 bytes that begin as none"),
    "cut JPEG": (JPEG[: len(JPEG) // 2], f"a whole JPEG file. Received: {len(JPEG) // 2} bytes"),
    "JPEG's first bytes": (JPEG[:2], "a whole JPEG file. Received: 2 bytes"),
    "cut PNG": (encoded(FACE)[:60], "a whole PNG file. Received: 60 bytes, damaged or cut short"),
    "cut GIF": (encoded(FACE, "GIF")[:100], "a whole GIF file"),
    "cut BMP": (encoded(FACE, "BMP")[:200], "a whole BMP file"),
    "huge PNG": (huge_png(60_000, 40_000), "33,554,432 pixels. Received: 60000 by 40000 pixels"),
    "huge JPEG": (huge_jpeg(60_000, 40_000), "Received: 60000 by 40000 pixels"),
    "huge GIF": (huge_gif(60_000, 40_000), "Received: 60000 by 40000 pixels"),
    "huge BMP": (huge_bmp(60_000, 40_000), "Received: 60000 by 40000 pixels"),
    "huge BMP from the top": (huge_bmp(60_000, -40_000), "Received: 60000 by 40000 pixels"),
    "PNG without its pixels": (huge_png(400, 300), "a whole PNG file"),
}


def test_broken_images_cost_no_other_its_answer(loaded):
    serve = loaded.signatures["serving_default"]
    whole = [
        JPEG,
        encoded(FACE),
        encoded(FACE, "GIF"),
        encoded(FACE, "BMP"),
        encoded(np.repeat(FACE[..., None], 3, axis=2)),
    ]
    alone = [serve(image=tf.constant([image])) for image in whole]
    images, places = [], []
    for number, (content, _) in enumerate(BROKEN.values()):
        images.append(content)
        if number % 3 == 0:
            places.append(len(images))
            images.append(whole[len(places) - 1])
    found = serve(image=tf.constant(images))
    embeddings, errors = found["embedding"].numpy(), found["error"].numpy()
    for place, one in zip(places, alone, strict=True):
        assert errors[place] == one["error"][0] == b""
        np.testing.assert_allclose(embeddings[place], one["embedding"][0], atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(embeddings[place]), 1, rtol=1e-6)
    wrong = [number for number in range(len(images)) if number not in places]
    assert not embeddings[wrong].any()
    for number, (_, expected) in zip(wrong, BROKEN.values(), strict=True):
        assert errors[number].decode().startswith("Expected a"), errors[number]
        assert expected in errors[number].decode()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_batches_without_a_whole_image_are_answered(loaded, count):
    images = tf.constant([b"text"] * count, tf.string, shape=[count])
    found = loaded.signatures["serving_default"](image=images)
    assert found["embedding"].shape == (count, 8)
    assert all(b"15" not in error and b"4 bytes" in error for error in found["error"].numpy())
    pair = loaded.signatures["serving_pair"](first=images, second=images)
    assert pair["distance"].shape == pair["same"].shape == (count,)


def test_an_image_of_as_many_pixels_as_are_read_is_read():
    decoder = FaceDecoder(SIDE, SIDE, 1)
    side = int(MOST_PIXELS**0.5)
    # A flat PNG is small; one more row is one too many.
    for height, fits in ((MOST_PIXELS // side, True), (MOST_PIXELS // side + 1, False)):
        _, error = decode_each(decoder, tf.constant([encoded(np.zeros((height, side), np.uint8))]))
        assert (error[0] == b"") == fits


def test_what_is_smaller_than_the_box_is_said_to_be():
    decoder = FaceDecoder(SIDE, SIDE, 1, Crop(box=(2, 4, 20, 30)))
    images = [np.full((30, 20), 7, np.uint8), np.zeros((29, 20), np.uint8)]
    pixels, error = decode_each(decoder, tf.constant([encoded(image) for image in images]))
    assert error.numpy().tolist() == [
        b"",
        b"Expected an image of at least 20 by 30 pixels. Received: 20 by 29 pixels",
    ]
    assert (pixels[0].numpy() == 7).all()
    assert not pixels[1].numpy().any()


def test_answers_are_those_of_the_transformed_images(data, loaded, saved):
    serve = loaded.signatures
    assert set(serve) == {"serving_default", "serving_pair", "serving_examples", "serving_images"}
    pixels = np.stack([pixels for *_, pixels in faces(2)])
    expected = embedded_by_hand(pixels)
    files = tf.constant([encoded(image) for image in pixels])
    raw = tf.constant(list(data.serialized("test", raw=True).as_numpy_iterator()))
    floats = tf.constant(pixels[..., None] / np.float32(255))
    for name, inputs in (
        ("serving_default", {"image": files}),
        ("serving_examples", {"examples": raw}),
        ("serving_images", {"images": floats}),
    ):
        np.testing.assert_allclose(serve[name](**inputs)["embedding"], expected, atol=1e-5)
    found = serve["serving_pair"](first=files, second=tf.roll(files, 1, 0))
    distances = ((expected - np.roll(expected, 1, 0)) ** 2).sum(axis=1)
    np.testing.assert_allclose(found["distance"], distances, atol=1e-5)
    (threshold,) = set(found["threshold"].numpy())
    np.testing.assert_array_equal(found["same"], distances <= threshold)
    assert 0 < found["same"].numpy().sum() < len(pixels)
    assert saved.properties["facts"]["threshold"].startswith(
        f"same person up to a squared distance of {threshold:.3f}, chosen for the best accuracy"
    )


def test_pairs_with_broken_images(loaded):
    other = encoded(np.rot90(FACE).copy())
    first = tf.constant([JPEG, b"text", JPEG, b"", JPEG])
    second = tf.constant([JPEG, JPEG, other[:50], b"text", other])
    found = {
        name: value.numpy()
        for name, value in loaded.signatures["serving_pair"](first=first, second=second).items()
    }
    assert found["same"].tolist()[:4] == [True, False, False, False]
    assert found["distance"][0] == 0
    assert found["distance"].tolist()[1:4] == [4, 4, 4]
    assert 0 < found["distance"][4] < 4
    errors = [error.decode() for error in found["error"]]
    assert errors[0] == errors[4] == ""
    assert errors[1].startswith("first: Expected a JPEG")
    assert errors[2].startswith("second: Expected a whole PNG")
    assert errors[3].startswith("first: Expected a JPEG, PNG, GIF or BMP file. Received: no bytes")
    assert "; second: Expected a JPEG, PNG, GIF or BMP file. Received: 4 bytes" in errors[3]


def test_broken_examples_cost_no_other_its_answer(loaded):
    whole = example_proto.encode({"image": [JPEG], "id": ["a"]})
    examples = [b"no proto", whole, example_proto.encode({"id": ["a"]}), b"", whole]
    found = loaded.signatures["serving_examples"](examples=tf.constant(examples))
    errors = found["error"].numpy()
    assert [error == b"" for error in errors] == [False, True, False, False, True]
    said = b"Expected a serialized tf.train.Example with one value of the feature `image`"
    assert set(errors) == {b"", said}
    alone = loaded.signatures["serving_default"](image=tf.constant([JPEG]))["embedding"][0]
    for row in (1, 4):
        np.testing.assert_allclose(found["embedding"][row], alone, atol=1e-6)


def test_eyes_are_read_where_there_are_four():
    eyes = [[1.0, 2.0, 3.0, 4.0], [], [1.0]]
    examples = [example_proto.encode({"image": [b"x"], "eyes": each}) for each in eyes]
    _, found, errors = parse_each(tf.constant(examples))
    assert found[0].numpy().tolist() == eyes[0]
    assert np.isnan(found.numpy()[1:]).all()
    assert errors.numpy().tolist() == [b""] * 3


def test_the_clean_process_blesses_the_model(saved):
    found = replay(saved)
    assert found["reasons"] == []
    compared = {name: each["compared"] for name, each in found["signatures"].items()}
    assert compared == {
        "serving_default": ["embedding", "error"],
        "serving_examples": ["embedding", "error"],
        "serving_images": ["embedding"],
        "serving_pair": ["distance", "error", "same", "threshold"],
    }
    assert found["signatures"]["serving_pair"]["requests"] > 20
    # 3 to 5 ms where nothing else runs.
    assert found["latency_milliseconds"]["p50"] < 25


def test_references_are_the_trained_models_and_not_the_served_ones(data):
    model = embedder()
    wrong = serving.FaceSignatures(embedder(seed=1), data, 1.0).with_requests(model, data)
    default = wrong["serving_default"]
    expected = default.references["embedding"]
    pixels = [np.asarray(Image.open(io.BytesIO(each))) for each in default.requests["image"]]
    np.testing.assert_allclose(expected, embedded_by_hand(pixels), atol=1e-5)
    given = default.function(tf.constant(default.requests["image"]))["embedding"]
    assert abs(given.numpy() - expected).max() > 0.1


def test_the_threshold_is_chosen_on_eval(data, tmp_path):
    by_hand = list(faces(1))
    vectors = embedded_by_hand([pixels for *_, pixels in by_hand])
    people = np.array([identity for identity, *_ in by_hand])
    rows, columns = np.triu_indices(len(people), 1)
    distances = ((vectors[rows] - vectors[columns]) ** 2).sum(axis=1)
    same = people[rows] == people[columns]
    model = embedder()
    best = pair_threshold.choose_threshold(model, data)
    # All pairs of one person, and as many of two: what is balanced is most right there.
    rates = {
        limit: (distances[same] <= limit).mean() + (distances[~same] > limit).mean()
        for limit in (best, best * 0.8, best * 1.25)
    }
    assert rates[best] == max(rates.values())
    for name, seed, equal in (("same", 1, True), ("other", 2, False)):
        alone = written_data(str(tmp_path / name), {"eval": raw_examples(seed)})
        assert (pair_threshold.choose_threshold(model, alone) == best) == equal
    strict = pair_threshold.choose_threshold(model, data, far=0.01)
    assert (distances[~same] <= strict).mean() <= 0.05
    assert strict < best or (distances[~same] <= best).mean() <= 0.05


def test_a_threshold_may_be_given(data):
    # At the largest threshold all are alike, except for what cannot be read.
    given = serving.serving_model(embedder(), data, threshold=4.0, far=0.5)
    assert given.facts["threshold"].endswith("distance of 4.000, as given")
    pair = given.signatures["serving_pair"].function
    found = pair(first=tf.constant([JPEG, JPEG]), second=tf.constant([JPEG, b""]))
    assert found["threshold"].numpy().tolist() == [4, 4]
    assert found["same"].numpy().tolist() == [True, False]


def test_the_threshold_needs_pairs_of_both_kinds(tmp_path):
    lonely = [raw_examples(1)[number * IMAGES] for number in range(PEOPLE)]
    alone = written_data(str(tmp_path / "alone"), {"eval": lonely, "train": lonely})
    with pytest.raises(BadDataError, match="pairs of the same person and of different persons"):
        pair_threshold.choose_threshold(embedder(), alone)
    trained = written_data(str(tmp_path / "some"), {"eval": lonely, "train": raw_examples(1)})
    assert pair_threshold.choose_threshold(embedder(), trained) > 0


@pytest.mark.parametrize("wrong", [{"threshold": 4.5}, {"threshold": -1.0}, {"far": 1.5}])
def test_thresholds_and_rates_must_be_possible(data, wrong):
    with pytest.raises(ValueError, match=r"must be in \[0, 4\].*Received"):
        serving.serving_model(embedder(), data, **wrong)


def test_models_of_aligned_faces_take_the_eyes(tmp_path):
    eyes = (3.0, 5.0, 8.5, 6.0)
    data = written_data(
        str(tmp_path), {"eval": raw_examples(1, eyes), "test": raw_examples(2, eyes)}, align=True
    )
    signatures = serving.serving_model(embedder(), data, threshold=1.0).signatures
    answers = {}
    for name in ("serving_default", "serving_aligned", "serving_examples"):
        signature = signatures[name]
        serve = tf.function(
            signature.function,
            input_signature=[each.spec for each in signature.inputs.values()],
            autograph=False,
        )
        given = serve(*(tf.constant(value) for value in signature.requests.values()))
        for key in ("embedding", "error"):
            infra = validation_process.compare(given[key].numpy(), signature.references[key], 1e-5)
            assert infra[1] is None, (name, key, infra)
        answers[name] = serve
    image = tf.constant([JPEG] * 4)
    unknown = [[np.nan] * 4, [5.0, 5.0, 5.5, 5.0], [np.inf, 1, 2, 3]]
    aligned = answers["serving_aligned"](image, tf.constant([eyes, *unknown]))
    cropped = answers["serving_default"](image[:1])["embedding"]
    assert aligned["error"].numpy().tolist() == [b""] * 4
    for row in (1, 2, 3):
        np.testing.assert_allclose(aligned["embedding"][row], cropped[0], atol=1e-6)
    assert abs(aligned["embedding"][0] - cropped[0]).numpy().max() > 0.01
    example = example_proto.encode({"image": [JPEG], "eyes": list(eyes)})
    by_example = answers["serving_examples"](tf.constant([example]))["embedding"]
    np.testing.assert_allclose(by_example[0], aligned["embedding"][0], atol=1e-6)
