"""Fisher-vector faces: descriptors, Fisher vectors and the network, against NumPy."""

import keras
import numpy as np
import pytest
from keras import ops
from methodical.models.facenet import (
    DenseDescriptors,
    FisherVectors,
    PrincipalProjection,
    adapt_fisher_features,
    fisher_features,
    fisher_head,
    fisher_network,
)
from methodical.models.facenet.fisher_vectors.signed_root import SignedRoot
from scipy import stats

RANDOM = np.random.default_rng(4)


def to_numpy(tensor):
    return ops.convert_to_numpy(tensor)


def images(*shape):
    return RANDOM.random(shape).astype("float32")


def described(image, top, left, cell):
    """One window of a gray image, pixel by pixel from the formulas."""
    around = np.pad(image, 1, mode="edge")
    sums = np.zeros((4, 4, 8))
    side = 5 * cell
    for row in range(top, top + side):
        for column in range(left, left + side):
            across = (around[row + 1, column + 2] - around[row + 1, column]) / 2
            along = (around[row + 2, column + 1] - around[row, column + 1]) / 2
            square = across**2 + along**2
            for k in range(8):
                dot = across * np.cos(k * np.pi / 4) + along * np.sin(k * np.pi / 4)
                counted = max(0, dot) ** 5 / max(square, 1e-12) ** 2
                for i in range(4):
                    for j in range(4):
                        # A cell's center is `cell` pixels inside its window of twice its size.
                        y = abs(row - top + 0.5 - (i + 1) * cell) / cell
                        x = abs(column - left + 0.5 - (j + 1) * cell) / cell
                        sums[i, j, k] += max(0, 1 - y) * max(0, 1 - x) * counted
    flat = sums.reshape(-1)
    return np.sqrt(flat / (flat.sum() + 0.02))


def test_descriptors_are_those_of_the_formula():
    x = images(1, 14, 13, 3)
    gray = x[0].mean(axis=-1)
    found = to_numpy(DenseDescriptors((1.0,), cell=2, strides=2)(x))[0]
    grid = [(row, column) for row in (0, 2, 4) for column in (0, 2)]
    assert found.shape == (len(grid), 130)
    for (row, column), descriptor in zip(grid, found, strict=True):
        np.testing.assert_allclose(descriptor[:128], described(gray, row, column, 2), atol=1e-3)
        place = [(row + 5) / 14 - 0.5, (column + 5) / 13 - 0.5]
        np.testing.assert_allclose(descriptor[128:], place, atol=1e-6)


def test_a_flat_image_has_no_gradients_and_light_changes_nothing():
    layer = DenseDescriptors()
    assert np.abs(to_numpy(layer(np.full((1, 48, 44, 1), 0.3, "float32")))[..., :128]).max() < 1e-3
    x = images(1, 48, 44, 1)
    dim = to_numpy(layer(0.4 * x + 0.3))[..., :128]
    np.testing.assert_allclose(dim, to_numpy(layer(x))[..., :128], atol=0.02)


def test_an_upright_edge_counts_for_the_two_directions_across_it():
    x = np.zeros((1, 24, 24, 1), "float32")
    x[:, :, 12:] = 1
    found = to_numpy(DenseDescriptors((1.0,))(x))[0, 0, :128].reshape(4, 4, 8)
    assert np.all(found[..., [2, 3, 4, 5, 6]] < 1e-3)
    assert found[..., 0].max() > 0.3


def test_a_mirror_image_has_the_descriptors_in_mirrored_cells_and_directions():
    layer = DenseDescriptors((1.0,), cell=2, strides=1)
    x = images(1, 13, 12, 1)
    shape = (4, 3, 4, 4, 8)
    one = to_numpy(layer(x))[0, :, :128].reshape(shape)
    other = to_numpy(layer(x[:, :, ::-1]))[0, :, :128].reshape(shape)
    mirrored = other[:, ::-1, :, ::-1][..., [4, 3, 2, 1, 0, 7, 6, 5]]
    np.testing.assert_allclose(one, mirrored, atol=1e-5)


def test_windows_of_all_scales_follow_one_another():
    layer = DenseDescriptors((1.0, 0.5), cell=2, strides=3)
    found = layer(images(2, 40, 30, 1))
    assert found.shape == (2, 11 * 7 + 4 * 2, 130) == layer.compute_output_shape((2, 40, 30, 1))
    places = to_numpy(found)[0, 77:, 128:]
    np.testing.assert_allclose(places[0], [5 / 20 - 0.5, 5 / 15 - 0.5], atol=1e-6)


def adapted(components=3, size=4):
    layer = FisherVectors(components, size)
    descriptors = RANDOM.normal(size=(40, 30, 8)) * [3, 2, 2, 1, 1, 0.5, 0.3, 0.2] + 1
    layer.adapt(descriptors)
    return layer, descriptors.astype("float32")


def test_fisher_vectors_are_those_of_the_formula():
    layer, descriptors = adapted()
    found = to_numpy(layer(descriptors[:2]))
    weights, means, variances, center, directions = (
        to_numpy(part).astype("float64")
        for part in (
            layer.mixture_weights,
            layer.means,
            layer.variances,
            layer.center,
            layer.directions,
        )
    )
    for image, answer in zip(descriptors[:2], found, strict=True):
        x = (image - center) @ directions
        density = [
            weight * stats.norm.pdf(x, mean, np.sqrt(variance)).prod(axis=1)
            for weight, mean, variance in zip(weights, means, variances, strict=True)
        ]
        near = np.stack(density) / np.sum(density, axis=0)
        expected = []
        for k in range(3):
            away = (x - means[k]) / np.sqrt(variances[k])
            mean = (near[k][:, None] * away).sum(0) / (len(x) * np.sqrt(weights[k]))
            spread = (near[k][:, None] * (away**2 - 1)).sum(0)
            expected.append(np.concatenate([mean, spread / (len(x) * np.sqrt(2 * weights[k]))]))
        np.testing.assert_allclose(answer, np.concatenate(expected), atol=1e-4)


def test_what_the_mixture_was_adapted_to_does_not_differ_from_it():
    """At the likelihood's maximum its gradients vanish, and these are what the vectors hold."""
    layer, descriptors = adapted()
    mean = to_numpy(layer(descriptors)).mean(axis=0)
    assert np.abs(mean).max() < 0.05
    assert np.abs(to_numpy(layer(descriptors + 1))).max(axis=0).mean() > 0.3


def test_descriptors_are_turned_to_their_principal_components_and_places_scaled():
    layer, descriptors = adapted()
    x = (descriptors.reshape(-1, 8) - to_numpy(layer.center)) @ to_numpy(layer.directions)
    covariance = np.cov(x.T)
    np.testing.assert_allclose(covariance[:4, :4], np.diag(np.diag(covariance[:4, :4])), atol=1e-3)
    np.testing.assert_allclose(np.diag(covariance[:4, :4]).mean(), 1, rtol=1e-3)
    np.testing.assert_allclose(np.diag(covariance)[4:], 1, rtol=1e-3)


def test_signed_root_by_hand():
    found = to_numpy(SignedRoot()(np.array([[4.0, -1.0, 0.0], [0, 0, 0]], "float32")))
    expected = [[2 / np.sqrt(5), -1 / np.sqrt(5), 0], [0, 0, 0]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.fixture(scope="module")
def network():
    x = images(12, 44, 42, 1)
    features = fisher_features((44, 42, 1), components=3, size=5)
    adapt_fisher_features(features, x)
    vectors = features.predict(x, verbose=0)
    projection = PrincipalProjection(6, whiten=True)
    projection.adapt(vectors)
    head = fisher_head(projection, 4, dropout=0.5)
    return x, features, projection, head, fisher_network(features, projection, head)


def test_the_head_begins_as_the_first_whitened_components(network):
    x, features, projection, head, _ = network
    components = to_numpy(projection(features.predict(x, verbose=0)))
    first = components[:, :4] / np.linalg.norm(components[:, :4], axis=1, keepdims=True)
    np.testing.assert_allclose(to_numpy(head(components)), first, atol=1e-5)


def test_the_network_is_features_whitening_and_head(network):
    x, features, projection, head, _ = network
    kernel = head.get_layer("projection").kernel
    kernel.assign(RANDOM.normal(size=(6, 4)))
    joined = fisher_network(features, projection, head)
    expected = head(projection(features.predict(x, verbose=0)))
    np.testing.assert_allclose(to_numpy(joined(x)), to_numpy(expected), atol=1e-4)


def test_mirror_images_have_one_embedding(network):
    x, *_, model = network
    np.testing.assert_allclose(to_numpy(model(x[:, :, ::-1])), to_numpy(model(x)), atol=1e-4)


def test_a_saved_network_embeds_alike(network, tmp_path):
    x, *_, model = network
    model.save(tmp_path / "fisher.keras")
    again = keras.saving.load_model(tmp_path / "fisher.keras")
    np.testing.assert_allclose(to_numpy(again(x)), to_numpy(model(x)), atol=1e-6)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: DenseDescriptors(()), r"Received: scales=\(\)"),
        (lambda: DenseDescriptors(cell=0), "cell=0"),
        (lambda: DenseDescriptors()(images(1, 41, 60, 1)), "least 21 pixels.*41 × 60"),
        (lambda: DenseDescriptors()(keras.Input((None, 60, 1))), "must be known.*None"),
        (lambda: FisherVectors(0), "Received: components=0"),
        (lambda: FisherVectors(2, size=9)(images(1, 3, 10)), r"size=9 .*Received: shape"),
        (lambda: FisherVectors(9, size=2).adapt(images(2, 4, 6)), "least 9.*Received: 8"),
        (lambda: FisherVectors(1, size=1).adapt(np.full((5, 3), np.nan)), "15 numbers not finite"),
        (lambda: fisher_head(PrincipalProjection(3), 4), r"in \[1, 3\].*Received: 4"),
    ],
)
def test_arguments_out_of_range_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
