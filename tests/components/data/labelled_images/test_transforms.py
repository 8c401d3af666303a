"""Learnt classes and shapes, and decoded pixels: NumPy and Pillow are the references."""

import functools
import io
import pickle

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from methodical.components.base.errors import BadDataError
from methodical.components.data.images import image_files, pixels
from methodical.components.data.images.image_shapes import count_names_and_shapes
from methodical.components.data.labelled_images import decoder, examples, transforms
from methodical.components.data.labelled_images.options import TransformOptions
from methodical.components.io.records import BadRecordError
from PIL import Image

HEIGHT, WIDTH = 7, 6
RGBA = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 4)).astype(np.uint8)
RGB, GRAY = RGBA[..., :3], RGBA[..., 0]


def encoded(image, kind="PNG", **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def luma(rgb):
    return np.floor(rgb @ np.array([19595, 38470, 7471]) / 65536 + 0.5)


def on_white(values, opacity):
    opacity = opacity[..., None] / 255
    return np.round(values * opacity + 255 * (1 - opacity))


def pillow(image, mode):
    return np.array(Image.open(io.BytesIO(image)).convert(mode))


def assets(shape, classes=("a", "b"), binarize="false"):
    return {
        "classes": list(classes),
        "image_shape": [str(size) for size in shape],
        "binarize": [binarize],
    }


def features(image, label=b"a", identity=b"1"):
    return {"image": [image], "label": [label], "id": [identity]}


@functools.cache
def decoder_of(shape, binarize):
    return transforms.Decode(TransformOptions(), assets(shape, binarize=binarize))


def decode(image, channels, height=HEIGHT, width=WIDTH, binarize="false"):
    (pixels,) = decoder_of((height, width, channels), binarize)(features(image))["pixels"]
    return np.frombuffer(pixels, np.uint8).reshape(height, width, channels)


COLORS = Image.fromarray(RGB).quantize(16)
CMYK = encoded(Image.fromarray(RGB).convert("CMYK"), "JPEG")
JPEG = encoded(RGB, "JPEG")
GRAY_JPEG = encoded(GRAY, "JPEG")
GIF = encoded(COLORS, "GIF")
SEVERAL = encoded(COLORS, "GIF", save_all=True, append_images=[Image.fromarray(GRAY)])


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param(encoded(RGB), RGB, id="rgb"),
        pytest.param(encoded(GRAY), GRAY, id="gray"),
        pytest.param(encoded(RGBA), on_white(RGB, RGBA[..., 3]), id="rgba"),
        pytest.param(
            encoded(RGBA[..., [0, 3]].copy()),
            on_white(GRAY[..., None], RGBA[..., 3])[..., 0],
            id="gray+alpha",
        ),
        pytest.param(encoded(GRAY.astype(np.uint16) * 256 + 77), GRAY, id="16bit"),
        pytest.param(encoded(GRAY > 99), (GRAY > 99) * 255, id="1bit"),
        pytest.param(encoded(COLORS), np.array(COLORS.convert("RGB")), id="palette"),
        pytest.param(JPEG, pillow(JPEG, "RGB"), id="jpeg"),
        pytest.param(encoded(RGB, "JPEG", progressive=True), pillow(JPEG, "RGB"), id="progressive"),
        pytest.param(GRAY_JPEG, pillow(GRAY_JPEG, "L"), id="gray-jpeg"),
        pytest.param(CMYK, pillow(CMYK, "RGB"), id="cmyk-jpeg"),
        pytest.param(GIF, np.array(COLORS.convert("RGB")), id="gif"),
        pytest.param(SEVERAL, np.array(COLORS.convert("RGB")), id="animated-gif"),
        pytest.param(encoded(RGB, "BMP"), RGB, id="bmp"),
        pytest.param(encoded(GRAY, "BMP"), GRAY, id="gray-bmp"),
        pytest.param(encoded(RGBA, "BMP"), RGB, id="bmp32"),
    ],
)
def test_formats_decode_as_in_pillow(image, expected):
    gray = expected.ndim == 2
    assert examples.problem(image) is None
    in_color = np.repeat(expected[..., None], 3, -1) if gray else expected
    np.testing.assert_array_equal(decode(image, 3), in_color)
    in_gray = expected if gray else luma(expected.astype(np.int64))
    np.testing.assert_array_equal(decode(image, 1)[..., 0], in_gray)
    if b"GIF" not in image[:3]:
        assert image_files.shape(image) == (HEIGHT, WIDTH, 1 if gray else 3)


def test_luma_is_that_of_pillow():
    found = decode(encoded(RGB), 1)[..., 0]
    np.testing.assert_array_equal(found, np.array(Image.fromarray(RGB).convert("L")))


def triangle(size, target):
    """Weights of bilinear resizing with antialiasing, `(target, size)`."""
    scale = max(size / target, 1)
    centers = (np.arange(target) + 0.5) * size / target
    distance = np.abs(np.arange(size) + 0.5 - centers[:, None]) / scale
    weights = np.maximum(1 - distance, 0)
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize(("height", "width"), [(3, 4), (14, 6), (7, 17), (1, 1)])
def test_other_sizes_are_resized_with_antialiasing(height, width):
    rows, columns = triangle(HEIGHT, height), triangle(WIDTH, width)
    expected = np.einsum("ab,bcd,ec->aed", rows, RGB.astype(float), columns)
    found = decode(encoded(RGB), 3, height, width)
    assert np.abs(found - expected).max() < 0.51
    gray = np.einsum("ab,bc,ec->ae", rows, luma(RGB.astype(np.int64)), columns)
    assert np.abs(decode(encoded(RGB), 1, height, width)[..., 0] - gray).max() < 0.51


def test_binary_pixels_are_above_half():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for kind in ("PNG", "BMP"):
        found = decode(encoded(ramp, kind), 1, 16, 16, binarize="true").ravel()
        assert found[:128].tolist() == [0] * 128
        assert found[128:].tolist() == [255] * 128


def test_label_is_the_position_of_the_class():
    decoder = transforms.Decode(TransformOptions(), assets((HEIGHT, WIDTH, 1), "cab"))
    found = decoder(features(encoded(GRAY), b"b", b"train/7"))
    assert found["label"] == [2]
    assert found["id"] == [b"train/7"]
    assert found["pixels"] == [GRAY.tobytes()]
    with pytest.raises(BadRecordError, match=r"must occur.*Received: 'd', training has 3 others"):
        decoder(features(encoded(GRAY), b"d"))
    options = TransformOptions(unknown_classes=True)
    decoder = transforms.Decode(options, assets((HEIGHT, WIDTH, 1), "cab"))
    assert decoder(features(encoded(GRAY), b"d"))["label"] == [-1]
    assert decoder(features(encoded(GRAY), b"b"))["label"] == [2]


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (JPEG[: len(JPEG) // 2], "Invalid JPEG data"),
        (encoded(RGB)[:60], "PNG"),
        (b"", "Input is empty"),
        (b"hello", "Unknown image file format"),
    ],
)
def test_broken_images_are_bad_records(image, reason):
    decoder = transforms.Decode(TransformOptions(), assets((HEIGHT, WIDTH, 1)))
    with pytest.raises(BadRecordError, match=reason) as caught:
        decoder(features(image))
    assert not any(part in str(caught.value) for part in ("node", "[Op:", "{{"))
    assert examples.problem(image)


@pytest.mark.parametrize("binarize", ["false", "true"])
@pytest.mark.parametrize("shape", [(5, 5, 3), (HEIGHT, WIDTH, 3), (HEIGHT, WIDTH, 1)])
def test_a_batch_in_a_graph_equals_image_by_image(shape, binarize):
    images = decoder.ImageDecoder(*shape, binarize=binarize == "true")
    mixed = [encoded(RGB), GRAY_JPEG, GIF, encoded(RGBA, "BMP"), CMYK, encoded(RGBA), JPEG]
    batch = tf.function(images.batch, autograph=False)
    found = batch(tf.constant(mixed)).numpy()
    height, width, channels = shape
    for image, one in zip(mixed, found, strict=True):
        np.testing.assert_array_equal(one, decode(image, channels, height, width, binarize))
    assert batch(tf.constant([], tf.string)).shape == (0, *shape)


def test_a_batch_names_the_rows_that_are_no_images():
    batch = tf.function(decoder.ImageDecoder(5, 5, 3).batch, autograph=False)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"must be the bytes.*\[1 3\]"):
        batch(tf.constant([JPEG, b"", GIF, b"text"]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="Invalid JPEG data"):
        batch(tf.constant([JPEG, JPEG[:-50]]))


def test_floats_are_the_255th_parts():
    values = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(pixels.to_floats(values), np.float32(values) / np.float32(255))


@pytest.mark.parametrize(
    ("options", "shape", "binarize"),
    [
        ({}, ["3", "2", "3"], "false"),
        ({"height": 9, "channels": 1, "binarize": True}, ["9", "2", "1"], "true"),
        ({"height": 9, "width": 8, "channels": 1}, ["9", "8", "1"], "false"),
    ],
)
def test_classes_and_shape_are_learnt_on_beam(options, shape, binarize):
    small, large = encoded(RGB[:3, :2].copy()), encoded(GRAY[:4, :5].copy())
    given = [
        *[features(large, label) for label in (b"10", b"9")],
        *[features(small, label) for label in (b"2", b"x", b"10")],
        features(b"no image", b"2"),
    ]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        found = pipeline | beam.Create(given) | transforms.Analyze(TransformOptions(**options))
        expected = {
            "classes": ["2", "9", "10", "x"],
            "image_shape": shape,
            "binarize": [binarize],
        }
        assert_that(found, equal_to(list(expected.items())))


def test_training_images_must_have_a_shape():
    counted = ({"a": 1}, {None: 3})
    with pytest.raises(BadDataError, match=r"height, a width and channels.*3 images"):
        list(transforms._assets(counted, TransformOptions(height=3)))
    known = dict(transforms._assets(counted, TransformOptions(height=3, width=2, channels=1)))
    assert known["image_shape"] == ["3", "2", "1"]


def test_parts_of_the_count_join_in_any_way():
    count = pickle.loads(pickle.dumps(count_names_and_shapes("label", TransformOptions())))
    parts = []
    for image, label in ((encoded(RGB), b"a"), (encoded(GRAY), b"b"), (encoded(RGB), b"b")):
        parts.append(count.add_input(count.create_accumulator(), features(image, label)))
    classes, shapes = count.extract_output(count.merge_accumulators(parts))
    assert classes == {"a": 1, "b": 2}
    assert shapes == {(HEIGHT, WIDTH, 3): 2, (HEIGHT, WIDTH, 1): 1}


def test_sample_shows_the_image():
    import base64

    shown = examples.sample(features(JPEG, b"cat"))
    assert shown["label"] == "cat"
    head, _, content = shown["image"].partition(";base64,")
    assert head == "data:image/jpeg"
    assert base64.b64decode(content) == JPEG
    assert examples.sample(features(b"text"))["image"].startswith("no image: Unidentified")
    head, _, content = image_files.data_uri(encoded(RGB, "BMP")).partition(";base64,")
    assert head == "data:image/png"
    np.testing.assert_array_equal(pillow(base64.b64decode(content), "RGB"), RGB)
    for mode in ("RGB", "CMYK", "L"):
        large = encoded(Image.new(mode, (900, 600)), "JPEG")
        shrunk = image_files.data_uri(large).partition(";base64,")[2]
        assert pillow(base64.b64decode(shrunk), "RGB").shape == (128, 192, 3)
