"""Batches and distortions: every image once a pass, alike for a seed, and NumPy's pixels."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from methodical.components.base.artifacts import TransformGraph
from methodical.components.data.labelled_images import augmentation, labelled_images
from methodical.components.data.labelled_images.labelled_images import LabelledImages

SHAPE = (4, 3, 2)
COUNT = 50


@pytest.fixture
def data(write_examples, tmp_path):
    """A split of 50 images in two shards, whose labels are their numbers, and one without any."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (COUNT, *SHAPE)).astype(np.uint8)
    examples = write_examples(
        {
            "train": [
                {"pixels": [image.tobytes()], "label": [number], "id": [f"train/{number}"]}
                for number, image in enumerate(images)
            ],
            "eval": [],
        },
        shards=2,
    )
    graph = TransformGraph(str(tmp_path / "graph"))
    (tmp_path / "graph" / "assets").mkdir(parents=True)
    for name, lines in (("image_shape", SHAPE), ("classes", range(COUNT))):
        with open(graph.asset_path(name), "w") as writer:
            writer.writelines(f"{line}\n" for line in lines)
    found = LabelledImages(examples, graph)
    return found, images


def labels_of(dataset, batches=None):
    return [batch[1].numpy().tolist() for batch in dataset.take(batches or -1)]


def flat(batches):
    return list(itertools.chain.from_iterable(batches))


def test_a_split_is_read_in_file_order(data, monkeypatch):
    monkeypatch.setattr(labelled_images, "_PARSED_AT_ONCE", 7)
    data, images = data
    found, labels = data.arrays("train")
    assert labels.tolist() == [*range(0, COUNT, 2), *range(1, COUNT, 2)]
    assert (found.dtype, labels.dtype) == (np.uint8, np.int32)
    np.testing.assert_array_equal(found, images[labels])
    assert data.image_shape == SHAPE
    assert data.classes[:2] == ["0", "1"]
    assert (data.count("train"), data.count("eval")) == (COUNT, 0)
    assert data.count("test") == 0
    ids = flat(batch[2].tolist() for batch in data.parsed("train", 7))
    assert ids == [f"train/{label}".encode() for label in labels]


@pytest.mark.parametrize("in_memory", [True, False])
def test_batches_hold_each_image_once(data, monkeypatch, in_memory):
    data, images = data
    if not in_memory:
        monkeypatch.setattr(labelled_images, "MOST_IN_MEMORY", 0)
    plain = data.batches("train", 8)
    assert flat(labels_of(plain)) == [*range(0, COUNT, 2), *range(1, COUNT, 2)]
    shuffled = data.batches("train", 8, seed=3)
    first, second = labels_of(shuffled), labels_of(shuffled)
    assert [len(batch) for batch in first] == [8] * 6 + [2]
    assert sorted(flat(first)) == sorted(flat(second)) == list(range(COUNT))
    assert first != second
    again = data.batches("train", 8, seed=3)
    assert [labels_of(again), labels_of(again)] == [first, second]
    assert labels_of(data.batches("train", 8, seed=4)) != first
    for pixels, labels in shuffled:
        assert (pixels.dtype, labels.dtype) == (tf.float32, tf.int32)
        expected = images[labels.numpy()].astype(np.float32) / np.float32(255)
        np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("in_memory", [True, False])
def test_passes_go_on_without_end(data, monkeypatch, in_memory):
    data, _ = data
    if not in_memory:
        monkeypatch.setattr(labelled_images, "MOST_IN_MEMORY", 0)
    endless = data.batches("train", 8, seed=1, repeat=True)
    batches = labels_of(endless, 25)
    assert {len(batch) for batch in batches} == {8}
    passes = np.reshape(flat(batches), (4, COUNT))
    assert all(sorted(each) == list(range(COUNT)) for each in passes)
    assert len({tuple(each) for each in passes}) == 4
    # Of a new iteration as of a new dataset: what a training that goes on needs.
    assert labels_of(data.batches("train", 8, seed=1, repeat=True), 25) == batches
    kept = labels_of(data.batches("train", 8, repeat=True), 13)
    assert flat(kept)[COUNT : COUNT + 3] == [0, 2, 4]


def test_remainders_can_be_dropped(data):
    data, _ = data
    dataset = data.batches("train", 8, seed=1, drop_remainder=True)
    assert dataset.element_spec[0].shape.as_list() == [8, *SHAPE]
    assert [len(batch) for batch in labels_of(dataset)] == [8] * 6
    assert data.batches("train", 8).element_spec[0].shape.as_list() == [None, *SHAPE]


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize(("drop", "number"), [(False, 4), (True, 3)])
def test_the_number_of_batches_is_known(data, monkeypatch, in_memory, drop, number):
    if not in_memory:
        monkeypatch.setattr(labelled_images, "MOST_IN_MEMORY", 0)
    for seed in (None, 1):
        found = data[0].batches("train", 15, seed=seed, drop_remainder=drop)
        assert found.cardinality().numpy() == number == len(list(found))
    # Without it Keras would divide the loss of an epoch by one batch more than there are.
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(1, trainable=False)])
    model.compile(loss=lambda truth, given: 0 * given + 6.0)
    found = data[0].batches("train", 15, seed=1, drop_remainder=drop)
    assert model.fit(found, verbose=0).history["loss"] == [6.0]


def test_orders_are_drawn_uniformly():
    order = labelled_images._order(3, 3, seed=0, repeat=True, drop_remainder=False)
    drawn = [tuple(batch.numpy()) for batch in order.take(1200)]
    counts = [drawn.count(each) for each in itertools.permutations(range(3))]
    assert sum(counts) == 1200
    # 200 are expected, with a standard deviation of 13.
    assert 140 < min(counts) <= max(counts) < 260


def test_an_empty_split_has_no_batches(data):
    data, _ = data
    for split in ("eval", "nothing"):
        with pytest.raises(ValueError, match=f"must have images.*'{split}'"):
            data.batches(split, 8)


def batches_of(images, size=10):
    labels = tf.range(len(images))
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(size)


def augmented(images, seed=1, **options):
    off = {"shift": 0, "flip": False, "brightness": 0, "contrast": 0}
    dataset = augmentation.augment(batches_of(images), seed, **off | options)
    return np.concatenate([batch[0].numpy() for batch in dataset])


@pytest.fixture
def pictures():
    return np.random.default_rng(1).uniform(0.3, 0.7, (200, 5, 4, 3)).astype(np.float32)


def test_nothing_changes_where_all_is_off(pictures):
    np.testing.assert_array_equal(augmented(pictures), pictures)


@pytest.mark.parametrize("flip", [True, False])
def test_images_are_shifted_and_mirrored(pictures, flip):
    found = augmented(pictures, shift=2, flip=flip)
    seen = {}
    for before, after in zip(pictures, found, strict=True):
        fits = []
        for mirrored in (False, True):
            padded = np.pad(before[:, ::-1] if mirrored else before, [(2, 2), (2, 2), (0, 0)])
            for down, right in itertools.product(range(5), range(5)):
                if np.array_equal(padded[down : down + 5, right : right + 4], after):
                    fits.append((mirrored, down, right))
        (fit,) = fits
        seen[fit] = seen.get(fit, 0) + 1
    assert {down for _, down, _ in seen} == {right for _, _, right in seen} == set(range(5))
    assert len({(down, right) for _, down, right in seen}) > 20
    mirrored = sum(count for (was, _, _), count in seen.items() if was)
    # Half of 200, with a standard deviation of 7.
    assert 70 < mirrored < 130 if flip else mirrored == 0


def test_brightness_adds_one_number_an_image(pictures):
    added = augmented(pictures, brightness=0.2) - pictures
    numbers = added.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(
        added, np.broadcast_to(numbers[:, None, None, None], added.shape), atol=1e-6
    )
    assert -0.2 <= numbers.min() < -0.15
    assert 0.15 < numbers.max() <= 0.2
    assert abs(numbers.mean()) < 0.03


def test_contrast_scales_around_the_mean_of_each_channel(pictures):
    found = augmented(pictures, contrast=0.5)
    means = pictures.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(found.mean(axis=(1, 2), keepdims=True), means, atol=1e-5)
    scale = (found - means) / (pictures - means)
    each = np.median(scale, axis=(1, 2, 3))
    np.testing.assert_allclose(
        found, means + (pictures - means) * each[:, None, None, None], atol=1e-4
    )
    assert 0.5 <= each.min() < 0.6
    assert 1.4 < each.max() <= 1.5001


def test_distorted_images_stay_in_range():
    found = augmented(np.tile(np.float32([0, 1, 1])[None, None], (20, 4, 4, 1)), brightness=1.0)
    assert found.min() == 0
    assert found.max() == 1


def test_distortions_depend_on_seed_and_batch_number_alone(pictures):
    def distorted(images, seed):
        return [batch[0].numpy() for batch in augmentation.augment(batches_of(images), seed)]

    first = distorted(pictures, 5)
    np.testing.assert_array_equal(first, distorted(pictures, 5))
    assert not np.array_equal(first, distorted(pictures, 6))
    skipped = augmentation.augment(batches_of(pictures), 5).skip(7)
    np.testing.assert_array_equal([batch[0].numpy() for batch in skipped], first[7:])
    # The same images in each batch: the number of the batch alone makes the difference.
    same = distorted(np.tile(pictures[:10], (3, 1, 1, 1)), 5)
    assert not np.array_equal(same[0], same[1])
    # What a batch is distorted by does not depend on what is in it.
    ramp = np.float32([0.4, 0.5, 0.6, 0.7])[None, None, :, None]
    moved = [augmented(np.tile(ramp, (20, 5, 1, 3)) * scale, 5, shift=2) for scale in (1, 0.5)]
    np.testing.assert_array_equal(moved[0] > 0, moved[1] > 0)


def test_the_last_small_batch_keeps_its_shape(pictures):
    dataset = augmentation.augment(batches_of(pictures[:23]), 1)
    assert [len(batch[0]) for batch in dataset] == [10, 10, 3]
    assert dataset.element_spec[0].shape.as_list() == [None, 5, 4, 3]


@pytest.mark.parametrize("wrong", [{"shift": -1}, {"brightness": 1.5}, {"contrast": -0.1}])
def test_sizes_out_of_range_are_named(pictures, wrong):
    name, value = next(iter(wrong.items()))
    with pytest.raises(ValueError, match=f"Received: .*{name}={value}"):
        augmentation.augment(batches_of(pictures), 1, **wrong)
