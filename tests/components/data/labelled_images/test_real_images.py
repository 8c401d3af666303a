"""The published files: MNIST against NumPy's own reading, CIFAR-10's JPEGs against Pillow's."""

import collections
import gzip
import io
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from methodical.components.base.artifacts import Schema
from methodical.components.data.images import folders
from methodical.components.data.labelled_images import idx, transforms
from methodical.components.data.labelled_images.labelled_images import LabelledImages
from methodical.components.data.labelled_images.options import (
    FolderOptions,
    IdxOptions,
    TransformOptions,
)
from methodical.components.example_gen.component import ExampleGen
from methodical.components.transform.component import Transform
from PIL import Image

pytestmark = pytest.mark.data


@pytest.fixture
def transformed(execute):
    """Runs ExampleGen and Transform."""

    def run(read, options, folder, **parameters):
        examples = execute(
            ExampleGen,
            functions={"read": read},
            options=[options],
            data_dir=str(folder),
            folder="examples",
            splits={"train": 1},
            max_bad_fraction=0.0,
            **parameters,
        ).outputs["examples"]
        outputs = execute(
            Transform,
            {"examples": examples, "schema": Schema("")},
            {"analyze": transforms.Analyze, "transform": transforms.Decode},
            folder="transform",
            options=[TransformOptions],
            max_bad_fraction=0.0,
        ).outputs
        return LabelledImages(outputs["transformed_examples"], outputs["transform_graph"], examples)

    return run


def parsed_by_numpy(path, head):
    with gzip.open(path) as reader:
        return np.frombuffer(reader.read(), np.uint8, offset=head)


def test_mnist_has_its_published_images(real_data):
    folder = real_data / "mnist"
    pairs = idx.find_pairs(str(folder))
    assert [pair.split for pair in pairs] == ["train", "test"]
    for pair, name, count, first in (
        (pairs[0], "train", 60_000, [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]),
        (pairs[1], "t10k", 10_000, [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]),
    ):
        blocks = list(idx.read_pair(pair))
        images = np.concatenate([block[0] for block in blocks])
        labels = np.concatenate([block[1] for block in blocks])
        assert images.shape == (count, 28, 28)
        assert labels[:10].tolist() == first
        pixels = parsed_by_numpy(folder / f"{name}-images-idx3-ubyte.gz", 16)
        assert images.sum(dtype=np.int64) == pixels.sum(dtype=np.int64)
        np.testing.assert_array_equal(images.ravel(), pixels)
        expected = parsed_by_numpy(folder / f"{name}-labels-idx1-ubyte.gz", 8)
        np.testing.assert_array_equal(labels, expected)


def test_mnist_arrives_unchanged_at_the_model(real_data, transformed):
    folder = real_data / "mnist"
    data = transformed(transforms.ReadIdx, IdxOptions, folder, limit=300)
    assert data.splits == {"train": 300, "test": 300}
    assert data.image_shape == (28, 28, 1)
    assert data.classes == [str(digit) for digit in range(10)]
    pixels = parsed_by_numpy(folder / "train-images-idx3-ubyte.gz", 16)[: 300 * 784]
    labels = parsed_by_numpy(folder / "train-labels-idx1-ubyte.gz", 8)[:300]
    for found, given, ids in data.parsed("train", 300):
        numbers = np.array([int(one.removeprefix(b"train/")) for one in ids])
        assert sorted(numbers) == list(range(300))
        np.testing.assert_array_equal(found.reshape(300, 784), pixels.reshape(300, 784)[numbers])
        np.testing.assert_array_equal(given, labels[numbers])


def test_cifar_arrives_as_pillow_decodes_it(real_data, transformed):
    path = real_data / "cifar10" / "cifar10_jpeg_subset.zip"
    images, bad = folders.find_images(str(path))
    assert not bad
    counts = collections.Counter((image.split, image.label) for image in images)
    assert len(counts) == 20
    assert {count for (split, _), count in counts.items() if split == ""} == {2000}
    assert {count for (split, _), count in counts.items() if split == "test"} == {500}

    data = transformed(transforms.ReadImages, FolderOptions, path, limit=200)
    assert data.splits == {"train": 200, "test": 200}
    assert data.image_shape == (32, 32, 3)
    classes = data.classes
    assert classes[0] == "airplane"
    assert classes[9] == "truck"
    with zipfile.ZipFile(path) as archive:
        for found, labels, ids in data.parsed("test", 50):
            for pixels, label, name in zip(found, labels, ids, strict=True):
                name = name.decode()
                assert name.startswith(f"test/{classes[label]}/")
                expected = np.array(Image.open(io.BytesIO(archive.read(name))))
                np.testing.assert_array_equal(pixels, expected)
    _, labels = data.arrays("train")
    assert np.bincount(labels).tolist() == [20] * 10
    batch, _ = next(iter(data.batches("train", 16, seed=0)))
    assert batch.dtype == tf.float32
    assert 0 <= tf.reduce_min(batch) < 0.2 < 0.8 < tf.reduce_max(batch) <= 1
