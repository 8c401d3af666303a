"""Distortions of face images against NumPy and SciPy."""

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf
from methodical.components.data.faces import augmentation

OFF = {
    "shift": 0,
    "rotation": 0,
    "scale": 0,
    "flip": False,
    "brightness": 0,
    "contrast": 0,
    "blur": 0,
    "erase": 0,
}


def batches_of(images, size=10):
    return tf.data.Dataset.from_tensor_slices((images, tf.range(len(images)))).batch(size)


def augmented(images, seed=1, size=10, **options):
    dataset = augmentation.augment(batches_of(images, size), seed, **OFF | options)
    return np.concatenate([batch[0].numpy() for batch in dataset])


@pytest.fixture
def pictures():
    return np.random.default_rng(1).uniform(0.3, 0.7, (200, 6, 5, 3)).astype(np.float32)


def bump(height, width, row, column, spread=2.0):
    """One image with a Gaussian spot, whose center of mass is where it was put."""
    rows, columns = np.mgrid[:height, :width]
    spot = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * spread**2))
    return spot[None, :, :, None].astype(np.float32)


def centers(images):
    return np.array([scipy.ndimage.center_of_mass(image[:, :, 0]) for image in images])


def test_nothing_changes_where_all_is_off(pictures):
    np.testing.assert_array_equal(augmented(pictures), pictures)


def test_half_of_the_images_are_mirrored(pictures):
    found = augmented(pictures, flip=True)
    mirrored = np.array([np.allclose(a, b[:, ::-1]) for a, b in zip(found, pictures, strict=True)])
    same = np.array([np.allclose(a, b) for a, b in zip(found, pictures, strict=True)])
    assert np.all(mirrored ^ same)
    # Half of 200, with a standard deviation of 7.
    assert 70 < mirrored.sum() < 130


def test_images_move_by_up_to_the_shift():
    found = centers(augmented(np.repeat(bump(33, 31, 16, 15), 300, axis=0), shift=3))
    moved = found - [16, 15]
    assert np.all(np.abs(moved) < 3.01)
    assert np.all(moved.min(axis=0) < -2.7)
    assert np.all(moved.max(axis=0) > 2.7)
    assert abs(np.corrcoef(moved.T)[0, 1]) < 0.2


def test_what_comes_in_repeats_the_border():
    ramp = np.broadcast_to(
        np.linspace(0.2, 0.8, 9, dtype=np.float32)[None, None, :, None], (50, 7, 9, 1)
    )
    found = augmented(ramp, shift=4)
    np.testing.assert_allclose(found, found[:, :1] * np.ones_like(found), atol=1e-6)
    assert found.min() == pytest.approx(0.2)
    assert found.max() == pytest.approx(0.8)


@pytest.mark.parametrize("flip", [False, True])
def test_images_turn_about_their_center_by_up_to_the_angle(flip):
    """A spot ten pixels right of the center stays as far and turns by the angle."""
    spots = np.repeat(bump(41, 41, 20, 30), 300, axis=0)
    down, right = (centers(augmented(spots, rotation=30, flip=flip)) - 20).T
    np.testing.assert_allclose(np.hypot(down, right), 10, atol=0.1)
    assert np.any(right < 0) == flip
    angles = np.degrees(np.arctan2(down, np.abs(right)))
    assert -30.3 < angles.min() < -28
    assert 28 < angles.max() < 30.3


def test_scale_changes_both_sides_and_a_little_their_ratio():
    right = centers(augmented(np.repeat(bump(41, 41, 20, 30), 300, axis=0), scale=0.1))[:, 1] - 20
    down = centers(augmented(np.repeat(bump(41, 41, 30, 20), 300, axis=0), scale=0.1))[:, 0] - 20
    # The same numbers are drawn for both: the seed and the batch's number are the same.
    assert 1 / 1.105 < down.min() / 10 < 1 / 1.08
    assert 1 / 0.92 < down.max() / 10 < 1 / 0.895
    ratio = down / right
    assert 0.948 < ratio.min() < 0.96
    assert 1.04 < ratio.max() < 1.052


def test_pose_equals_scipy_with_the_matrix_found_from_the_images():
    """All at once: the affine map that three spots tell is the one of the picture."""
    picture = scipy.ndimage.gaussian_filter(np.random.default_rng(2).random((41, 41)), 2)
    picture = ((picture - picture.min()) / np.ptp(picture)).astype(np.float32)[None, :, :, None]
    places = [(14, 14), (14, 26), (26, 20)]
    options = {"shift": 2, "rotation": 8, "scale": 0.1, "flip": True}
    spots = [augmented(bump(41, 41, *place, spread=1.5), **options) for place in places]
    before = np.array([[*place, 1.0] for place in places])
    after = np.array([[*centers(spot)[0], 1.0] for spot in spots])
    back = np.linalg.solve(after, before).T[:2]
    expected = scipy.ndimage.affine_transform(
        picture[0, :, :, 0], back[:, :2], back[:, 2], order=1, mode="nearest"
    )
    found = augmented(picture, **options)[0, :, :, 0]
    np.testing.assert_allclose(found[5:-5, 5:-5], expected[5:-5, 5:-5], atol=0.02)
    assert np.abs(found - picture[0, :, :, 0])[5:-5, 5:-5].max() > 0.2


def test_brightness_adds_one_number_an_image(pictures):
    added = augmented(pictures, brightness=0.2) - pictures
    numbers = added.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(added, np.ones_like(added) * numbers[:, None, None, None], atol=1e-6)
    assert -0.2 <= numbers.min() < -0.17
    assert 0.17 < numbers.max() <= 0.2


def test_contrast_scales_around_the_mean_of_each_channel(pictures):
    found = augmented(pictures, contrast=0.5)
    means = pictures.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(found.mean(axis=(1, 2), keepdims=True), means, atol=1e-5)
    each = np.median((found - means) / (pictures - means), axis=(1, 2, 3))[:, None, None, None]
    np.testing.assert_allclose(found, means + (pictures - means) * each, atol=1e-4)
    assert 0.5 <= each.min() < 0.55
    assert 1.45 < each.max() <= 1.5001


def test_so_many_images_are_blurred_as_asked(pictures):
    found = augmented(pictures, blur=0.3)
    changed = np.array([not np.allclose(a, b) for a, b in zip(found, pictures, strict=True)])
    # 30 % of 200, with a standard deviation of 6.
    assert 35 < changed.sum() < 85
    mean = scipy.ndimage.uniform_filter(pictures, (0, 3, 3, 0))[:, 1:-1, 1:-1]
    np.testing.assert_allclose(found[changed][:, 1:-1, 1:-1], mean[changed], atol=1e-6)


def test_a_rectangle_of_one_gray_is_erased():
    images = np.full((400, 20, 30, 3), 2 / 3, np.float32)
    images += np.float32(1e-3) * np.arange(3, dtype=np.float32)
    found = augmented(images, erase=0.5)
    covered = np.any(found != images, axis=3)
    chosen = covered.any(axis=(1, 2))
    assert 160 < chosen.sum() < 240
    for image, mask in zip(found[chosen], covered[chosen], strict=True):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert mask[np.ix_(rows, columns)].all()
        assert len(rows) == np.ptp(rows) + 1 <= 10
        assert len(columns) == np.ptp(columns) + 1 <= 15
        assert np.ptp(image[mask]) == 0
    sides = covered[chosen].any(axis=2).sum(axis=1)
    assert sides.max() >= 9


def test_distorted_images_stay_in_range():
    stripes = np.tile(np.float32([0, 1, 1])[None, :, None, None], (20, 2, 6, 1))
    found = augmented(stripes, brightness=1.0)
    assert found.min() == 0
    assert found.max() == 1


def test_distortions_depend_on_seed_and_batch_number_alone(pictures):
    def distorted(images, seed):
        dataset = augmentation.augment(batches_of(images), seed, blur=0.5, erase=0.5)
        return [batch[0].numpy() for batch in dataset]

    first = distorted(pictures, 5)
    np.testing.assert_array_equal(first, distorted(pictures, 5))
    assert not np.array_equal(first, distorted(pictures, 6))
    skipped = augmentation.augment(batches_of(pictures), 5, blur=0.5, erase=0.5).skip(7)
    np.testing.assert_array_equal([batch[0].numpy() for batch in skipped], first[7:])
    same = distorted(np.tile(pictures[:10], (2, 1, 1, 1)), 5)
    assert not np.array_equal(same[0], same[1])


def test_labels_stay_beside_their_images_and_a_small_batch_its_shape(pictures):
    dataset = augmentation.augment(batches_of(pictures[:23]), 1)
    labels = np.concatenate([batch[1].numpy() for batch in dataset])
    np.testing.assert_array_equal(labels, np.arange(23))
    assert [len(batch[0]) for batch in dataset] == [10, 10, 3]
    assert dataset.element_spec[0].shape.as_list() == [None, 6, 5, 3]


@pytest.mark.parametrize(
    "wrong",
    [
        {"shift": -1},
        {"rotation": 181},
        {"scale": 1.0},
        {"brightness": 1.5},
        {"contrast": -0.1},
        {"blur": 2},
        {"erase": -1},
    ],
)
def test_sizes_out_of_range_are_named(pictures, wrong):
    name, value = next(iter(wrong.items()))
    with pytest.raises(ValueError, match=f"Received: .*{name}={value}"):
        augmentation.augment(batches_of(pictures), 1, **wrong)
