"""Faces through Transform: pixels as NumPy and Pillow have them, assets, what cannot be used."""

import io
import json

import numpy as np
import pytest
import tensorflow as tf
from methodical.components.base.artifacts import Schema
from methodical.components.base.errors import BadDataError
from methodical.components.data.faces import transforms
from methodical.components.data.faces.alignment import EyeAlignment
from methodical.components.data.faces.cropping import Crop
from methodical.components.data.faces.decoder import FaceDecoder
from methodical.components.data.faces.options import TransformOptions
from methodical.components.io import example_proto, tfrecord
from methodical.components.io.records import BadRecordError
from methodical.components.transform.component import Transform
from PIL import Image

RANDOM = np.random.default_rng(0)


def encoded(pixels, kind="PNG", **options):
    out = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(out, kind, **options)
    return out.getvalue()


def smooth(height, width, channels=3):
    """Returns an image without sharp edges, alike for every size."""
    y, x = np.mgrid[:height, :width]
    y, x = (y + 0.5) / height, (x + 0.5) / width
    waves = [np.sin(5 * x + number) * np.cos(4 * y - number) for number in range(channels)]
    return np.rint(127 + 120 * np.stack(waves, axis=-1)).astype(np.uint8)


def raw(name, image, number=1, eyes=(), **more):
    return {
        "image": [image],
        "identity": [name.encode()],
        "id": [f"{name}/{name}_{number:04d}".encode()],
        "eyes": list(eyes),
        "partners": [],
        "folds": [],
        **more,
    }


@pytest.fixture
def transform(execute, write_examples):
    """Runs Transform and returns the decoded examples by split, the assets and dead letters."""

    def run(splits, **parameters):
        examples = write_examples(splits)
        context = execute(
            Transform,
            inputs={"examples": examples, "schema": Schema(examples.uri)},
            functions={"analyze": transforms.Analyze, "transform": transforms.Decode},
            options=[TransformOptions],
            max_bad_fraction=0.9,
            **parameters,
        )
        out, graph = context.outputs["transformed_examples"], context.outputs["transform_graph"]
        found = {
            split: [
                example_proto.decode(record)
                for path in out.files(split)
                for record in tfrecord.read_records(path)
            ]
            for split in out.splits
        }
        with open(out.path("dead_letters.jsonl")) as reader:
            bad = [json.loads(line) for line in reader]
        return found, {name: graph.asset(name) for name in graph.properties["assets"]}, bad

    return run


def test_identities_of_training_get_numbers(transform):
    images = [RANDOM.integers(0, 256, (12, 10, 3)) for _ in range(5)]
    names = ("Zoe", "Ann", "Zoe", "Bob 10", "Bob 9")
    train = [
        raw(name, encoded(image), number)
        for number, (name, image) in enumerate(zip(names, images, strict=True))
    ]
    test = [raw("New", encoded(images[0]), partners=[b"Ann/Ann_0001"], folds=[3])]
    found, assets, bad = transform({"train": train, "test": test})
    assert not bad
    assert assets == {
        "identities": ["Ann", "Bob 10", "Bob 9", "Zoe"],
        "image_shape": ["12", "10", "3"],
        "crop": ['{"fraction": 1.0}'],
    }
    assert [one["label"] for one in found["train"]] == [[3], [0], [3], [1], [2]]
    for one, name, image in zip(found["train"], names, images, strict=True):
        assert one["identity"] == [name.encode()]
        assert one["partners"] == one["folds"] == []
        np.testing.assert_array_equal(np.frombuffer(one["pixels"][0], np.uint8), image.ravel())
    assert found["test"][0]["label"] == [-1]
    assert found["test"][0]["partners"] == [b"Ann/Ann_0001"]
    assert found["test"][0]["folds"] == [3]
    assert found["test"][0]["id"] == [b"New/New_0001"]


@pytest.mark.parametrize(
    ("crop", "rows", "columns", "line"),
    [
        (0.5, slice(5, 15), slice(4, 12), '{"fraction": 0.5}'),
        (0.64, slice(3, 16), slice(3, 13), '{"fraction": 0.64}'),
        ([2, 5, 14, 20], slice(5, 20), slice(2, 14), '{"box": [2, 5, 14, 20]}'),
    ],
)
def test_crops_are_slices(transform, crop, rows, columns, line):
    image = RANDOM.integers(0, 256, (20, 16, 3))
    train = [raw("Ann", encoded(image)), raw("Bob", encoded(image))]
    found, assets, _ = transform({"train": train}, crop=crop)
    expected = image[rows, columns]
    assert assets["crop"] == [line]
    assert assets["image_shape"] == [str(size) for size in expected.shape]
    pixels = np.frombuffer(found["train"][0]["pixels"][0], np.uint8)
    np.testing.assert_array_equal(pixels.reshape(expected.shape), expected)


def test_options_say_the_shape_and_common_ones_are_the_default(transform):
    train = [raw("Ann", encoded(smooth(20, 16)), number) for number in range(3)]
    train += [raw("Bob", encoded(smooth(40, 32)[..., 0])), raw("Cat", b"no image")]
    found, assets, bad = transform({"train": train}, crop=0.5)
    assert assets["image_shape"] == ["10", "8", "3"]
    assert [row["index"] for row in bad] == [4]
    assert "Received: b'no image'" in bad[0]["reason"]
    assert len(found["train"]) == 4
    _, assets, _ = transform({"train": train}, height=6, width=5, channels=1)
    assert assets["image_shape"] == ["6", "5", "1"]


def test_images_must_be_of_two_people_and_of_some_shape(transform):
    with pytest.raises(BadDataError, match=r"at least two people.*Received: Ann"):
        transform({"train": [raw("Ann", encoded(smooth(20, 16)))]})
    with pytest.raises(BadDataError, match="none of which can be decoded"):
        transform({"train": [raw("Ann", b"?"), raw("Bob", b"!")]})


@pytest.mark.parametrize("crop", [0.0, 1.5, [4, 0, 4, 9], [-1, 0, 4, 9], [0, 9, 4, 9]])
def test_crops_that_are_none_are_refused(crop):
    with pytest.raises(ValueError, match="`crop` as a"):
        TransformOptions(crop=crop)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP"])
@pytest.mark.parametrize("shape", [(30, 26, 3), (30, 26, 1), (16, 16, 3), (16, 16, 1)])
def test_pixels_are_those_of_pillow(kind, shape):
    image = smooth(30, 26)
    content = encoded(image, kind, **({"quality": 95} if kind == "JPEG" else {}))
    expected = Image.open(io.BytesIO(content)).convert("RGB")
    expected = expected.resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    if shape[2] == 1:
        expected = expected.convert("L")
    found = FaceDecoder(*shape).of_bytes(content)
    assert found.shape == shape
    assert found.dtype == np.uint8
    difference = found.astype(int) - np.array(expected, int).reshape(shape)
    assert np.abs(difference).max() <= 2
    assert np.abs(difference).mean() < 0.6
    assert abs(difference.mean()) < 0.2


def test_transparent_images_are_laid_on_white_and_gray_becomes_color():
    image = np.dstack([smooth(9, 7), np.full((9, 7), 128, np.uint8)])
    image[0, :, 3], image[1, :, 3] = 0, 255
    found = FaceDecoder(9, 7, 3).of_bytes(encoded(image))
    np.testing.assert_array_equal(found[0], 255)
    np.testing.assert_array_equal(found[1], image[1, :, :3])
    np.testing.assert_array_equal(found[2], np.rint(image[2, :, :3] * (128 / 255) + 255 - 128))
    gray = FaceDecoder(9, 7, 3).of_bytes(encoded(image[..., 0]))
    np.testing.assert_array_equal(gray, np.repeat(image[..., :1], 3, axis=-1))


class _Served(tf.Module):
    def __init__(self, decoder):
        super().__init__()
        self.decoder = decoder

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([None, 4])])
    def __call__(self, images, eyes):
        return tf.map_fn(
            lambda one: self.decoder.one(*one),
            (images, eyes),
            fn_output_signature=tf.TensorSpec(self.decoder.shape, tf.uint8),
        )


@pytest.mark.parametrize("aligned", [False, True])
def test_a_served_model_decodes_alike(tmp_path, aligned):
    line = {"fraction": 0.8} | (
        {"align": {"eye_distance": 0.3, "eye_height": 0.4}} if aligned else {}
    )
    decoder = FaceDecoder.from_assets(["24", "20", "3"], [json.dumps(line)])
    assert (decoder.alignment is not None) == aligned
    images = [
        encoded(RANDOM.integers(0, 256, (50, 40, 3)), "JPEG"),
        encoded(RANDOM.integers(0, 256, (24, 20, 3)), "PNG"),
        encoded(RANDOM.integers(0, 256, (31, 17)), "JPEG"),
        encoded(RANDOM.integers(0, 256, (90, 80)), "GIF"),
    ]
    eyes = [[4.0, 9, 12, 10], [6, 9, 14, 8], [3, 5, 9, 5], [20, 30, 60, 33]]
    tf.saved_model.save(_Served(decoder), str(tmp_path))
    served = tf.saved_model.load(str(tmp_path))(tf.constant(images), tf.constant(eyes)).numpy()
    for image, points, pixels in zip(images, eyes, served, strict=True):
        np.testing.assert_array_equal(decoder.of_bytes(image, points), pixels)
        np.testing.assert_array_equal(decoder.one(tf.constant(image), tf.constant(points)), pixels)
        without = decoder.of_bytes(image)
        assert np.array_equal(without, pixels) == (not aligned)
        np.testing.assert_array_equal(without, decoder.one(tf.constant(image)))


@pytest.mark.parametrize(("scale", "turn"), [(1.0, 0.0), (0.7, 0.3), (2.6, -0.5), (5.0, 0.2)])
def test_aligned_eyes_are_at_their_places(scale, turn):
    """Two dots for eyes, at any place, size and angle, come to the same places."""
    alignment = EyeAlignment(48, 40, eye_distance=0.5, eye_height=0.375)
    assert alignment.eyes == (10.0, 18.0, 30.0, 18.0)
    half = 10 * scale * np.array([np.cos(turn), np.sin(turn)])
    center = np.array([31 * scale + 20, 27 * scale + 18])
    size = int(70 * scale + 40)
    y, x = np.mgrid[:size, :size] + 0.5
    image = np.zeros((size, size, 1))
    for eye in (center - half, center + half):
        image[..., 0] += 200 * np.exp(-((x - eye[0]) ** 2 + (y - eye[1]) ** 2) / (2 * scale) ** 2)
    eyes = np.concatenate([center - half, center + half])
    found = alignment(tf.constant(image, tf.float32), tf.constant(eyes, tf.float32)).numpy()[..., 0]
    assert found.shape == (48, 40)
    for (x, y), columns in zip([(10, 18), (30, 18)], [slice(0, 20), slice(20, 40)], strict=True):
        part = found[:, columns]
        rows, across = np.mgrid[:48, columns] + 0.5
        assert (part * across).sum() / part.sum() == pytest.approx(x, abs=0.1)
        assert (part * rows).sum() / part.sum() == pytest.approx(y, abs=0.1)


def test_alignment_equals_pillow_where_nothing_shrinks():
    image = smooth(60, 60)
    alignment = EyeAlignment(40, 40)
    left_x, left_y, right_x, _ = alignment.eyes
    eyes = np.array([20.0, 26.0, 33.0, 31.0])
    scale = complex(eyes[2] - eyes[0], eyes[3] - eyes[1]) / (right_x - left_x)
    shift = complex(eyes[0], eyes[1]) - scale * complex(left_x, left_y)
    expected = Image.fromarray(image).transform(
        (40, 40),
        Image.Transform.AFFINE,
        (scale.real, -scale.imag, shift.real, scale.imag, scale.real, shift.imag),
        Image.Resampling.BILINEAR,
    )
    found = alignment(tf.constant(image, tf.float32), tf.constant(eyes, tf.float32)).numpy()
    assert np.abs(found - np.array(expected, float))[6:-6, 6:-6].max() < 2


def test_without_eyes_an_image_is_bad_or_cropped(transform):
    train = [raw("Ann", encoded(smooth(20, 20)), eyes=(5.0, 8.0, 15.0, 8.0)) for _ in range(2)]
    train += [
        raw("Bob", encoded(smooth(20, 20))),
        raw("Bob", encoded(smooth(20, 20)), 2, (5.0,) * 4),
    ]
    train += [raw("Cat", encoded(smooth(20, 20)), 1, (5.0, 8.0, float("nan"), 8.0))]
    found, assets, bad = transform({"train": train}, align=True, eye_distance=0.5)
    assert json.loads(assets["crop"][0]) == {
        "fraction": 1.0,
        "align": {"eye_distance": 0.5, "eye_height": 0.4},
    }
    assert len(found["train"]) == 2
    assert [row["index"] for row in bad] == [2, 3, 4]
    assert all("without_eyes=crop" in row["reason"] for row in bad)
    # The eyes are already at their places.
    np.testing.assert_array_equal(
        np.frombuffer(found["train"][0]["pixels"][0], np.uint8), smooth(20, 20).ravel()
    )
    found, _, bad = transform({"train": train}, align=True, without_eyes="crop")
    assert [row["index"] for row in bad] == [3, 4]
    assert len(found["train"]) == 3


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xd8\xff\xe0 cut", encoded(smooth(40, 40), "JPEG")[:700], b"GIF89a"]
)
def test_broken_images_are_bad_records(content):
    decode = transforms.Decode(
        TransformOptions(),
        {"image_shape": ["8", "8", "3"], "crop": ['{"fraction": 1.0}'], "identities": ["Ann"]},
    )
    with pytest.raises(BadRecordError, match=r"must be a whole JPEG, PNG, GIF or BMP.*Received: b"):
        decode(raw("Ann", content))


def test_a_box_must_lie_in_the_image():
    decode = transforms.Decode(
        TransformOptions(),
        {"image_shape": ["8", "8", "3"], "crop": ['{"box": [0, 0, 8, 9]}'], "identities": ["Ann"]},
    )
    assert decode(raw("Ann", encoded(smooth(9, 8))))["label"] == [0]
    with pytest.raises(BadRecordError, match="must hold the box"):
        decode(raw("Ann", encoded(smooth(8, 8))))


@pytest.mark.parametrize("crop", [Crop(1.0), Crop(0.6), Crop(box=(3, 1, 33, 29))])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_short_way_is_the_graph(crop, channels):
    image = encoded(smooth(41, 37)[..., : 3 if channels == 3 else 1].squeeze(), "JPEG")
    decoder = FaceDecoder(*crop.size(41, 37), channels, crop)
    np.testing.assert_array_equal(decoder.of_bytes(image), decoder.one(tf.constant(image)))
    assert "_graph" not in vars(decoder)


@pytest.mark.parametrize("size", [(5, 7), (112, 250), (1, 1), (33, 64)])
@pytest.mark.parametrize("fraction", [0.01, 0.3, 0.5, 0.64, 0.99])
def test_the_size_of_a_crop_is_known_before(size, fraction):
    crop = Crop(fraction)
    assert tuple(crop(tf.zeros([*size, 1])).shape[:2]) == crop.size(*size)
