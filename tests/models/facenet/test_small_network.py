"""The small network, its fixed first layers against NumPy, and models made of such networks."""

import keras
import numpy as np
import pytest
from keras import ops
from methodical.models.facenet.networks.energy_normalization import EnergyNormalization
from methodical.models.facenet.networks.gabor_magnitudes import GaborMagnitudes
from methodical.models.facenet.networks.joined_network import joined_network
from methodical.models.facenet.networks.mirrored import mirrored
from methodical.models.facenet.networks.resized import resized
from methodical.models.facenet.networks.small_network import small_network
from scipy import signal

RANDOM = np.random.default_rng(5)


def to_numpy(tensor):
    return ops.convert_to_numpy(tensor)


def images(*shape):
    return RANDOM.random(shape).astype("float32")


def tiny(image_shape=(32, 36, 1), **options):
    keras.utils.set_random_seed(3)
    return small_network(image_shape, **{"embedding_size": 5, "maps": (4, 4, 6)} | options)


def wavelet(angle, wavelength, size):
    """One complex filter, pixel by pixel from the formula."""
    half = size // 2
    window, wave = np.zeros((size, size)), np.zeros((size, size), complex)
    for row in range(size):
        for column in range(size):
            y, x = row - half, column - half
            window[row, column] = np.exp(-(x * x + y * y) / (2 * (wavelength / 2) ** 2))
            along = x * np.cos(angle) + y * np.sin(angle)
            wave[row, column] = np.exp(2j * np.pi * along / wavelength)
    found = window * (wave - (window * wave).sum() / window.sum())
    return found.real / np.linalg.norm(found.real), found.imag / np.linalg.norm(found.imag)


def test_magnitudes_are_those_of_the_formula():
    x = images(2, 11, 9, 3)
    found = to_numpy(GaborMagnitudes(3, wavelength=3.0, size=5)(x))
    gray = x.mean(axis=-1)
    gray = np.pad(gray, [(0, 0), (2, 2), (2, 2)], mode="reflect")
    for number in range(3):
        parts = wavelet(np.pi * number / 3, 3.0, 5)
        for image, answer in zip(gray, found[..., number], strict=True):
            squares = sum(signal.correlate2d(image, part, mode="valid") ** 2 for part in parts)
            np.testing.assert_allclose(answer, np.sqrt(squares + 1e-4), atol=1e-5)


def test_magnitudes_forget_light_sign_and_phase_and_tell_orientations():
    rows = np.arange(24)
    stripes = np.sin(2 * np.pi * rows / 4 + np.array([0.0, 0.7])[:, None]) / 4 + 0.5
    upright = np.repeat(stripes[:, None, :, None], 24, axis=1).astype("float32")
    layer = GaborMagnitudes(4, wavelength=4.0)
    inner = to_numpy(layer(upright))[:, 6:-6, 6:-6]
    np.testing.assert_allclose(inner, np.broadcast_to(inner[:1, :1, :1], inner.shape), rtol=0.1)
    np.testing.assert_allclose(inner, to_numpy(layer(1 - upright))[:, 6:-6, 6:-6], rtol=1e-3)
    np.testing.assert_allclose(inner, to_numpy(layer(upright + 2))[:, 6:-6, 6:-6], rtol=1e-3)
    assert np.all(inner.argmax(axis=-1) == 0)
    lying = to_numpy(layer(upright.transpose(0, 2, 1, 3)))[:, 6:-6, 6:-6]
    assert np.all(lying.argmax(axis=-1) == 2)


def test_a_constant_image_has_the_least_magnitude_and_nothing_is_trained():
    layer = GaborMagnitudes(4, strides=2)
    found = to_numpy(layer(np.full((1, 20, 17, 1), 0.6, "float32")))
    assert found.shape == (1, 10, 9, 4) == layer.compute_output_shape((1, 20, 17, 1))
    np.testing.assert_allclose(found, 0.01, rtol=1e-3)
    assert layer.weights == []


@pytest.mark.parametrize("window", [1, 3])
def test_energy_is_the_mean_square_of_the_neighborhood(window):
    x = (images(2, 5, 6, 4) - 0.5).astype("float32")
    found = to_numpy(EnergyNormalization(window, epsilon=0.1)(x))
    half = window // 2
    expected = np.zeros_like(x)
    for row in range(5):
        for column in range(6):
            around = x[
                :, max(row - half, 0) : row + half + 1, max(column - half, 0) : column + half + 1
            ]
            energy = (around**2).mean(axis=(1, 2, 3))[:, None]
            expected[:, row, column] = x[:, row, column] / np.sqrt(energy + 0.1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(80, 64, 1), (64, 64, 3), (33, 47, 3)])
def test_embeddings_are_unit_vectors(shape):
    model = small_network(shape, embedding_size=16, maps=(4, 4, 6))
    embeddings = to_numpy(model(images(3, *shape)))
    assert embeddings.shape == (3, 16)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-5)


def test_features_hardly_know_the_light():
    x = images(2, 24, 24, 1)
    gabor, normalize = GaborMagnitudes(), EnergyNormalization()
    bright, dim = (to_numpy(normalize(gabor(light))) for light in (x, 0.5 * x + 0.3))
    np.testing.assert_allclose(dim, bright, atol=0.05)
    assert bright.std() > 0.3


def test_one_constant_image_has_a_finite_embedding():
    assert np.all(np.isfinite(to_numpy(tiny()(np.zeros((2, 32, 36, 1), "float32")))))


def test_training_brings_images_of_one_identity_together():
    """Four identities under noise, with the simplest triplet loss there is."""
    identities = np.repeat(images(4, 32, 36, 1), 4, axis=0)
    labels = np.repeat(np.arange(4), 4)
    x = (0.6 * identities + 0.4 * images(16, 32, 36, 1)).astype("float32")
    model = tiny(dropout=0.1)

    def spread(embeddings):
        distances = np.sum((embeddings[:, None] - embeddings[None]) ** 2, axis=-1)
        same = labels[:, None] == labels[None]
        return distances[same].mean() / distances[~same].mean()

    def loss(y_true, y_pred):
        distances = 2 - 2 * ops.matmul(y_pred, ops.transpose(y_pred))
        same = ops.cast(ops.equal(y_true[:, None], y_true[None, :]), "float32")
        triplets = ops.relu(distances[:, :, None] - distances[:, None, :] + 0.5)
        return ops.mean(triplets * same[:, :, None] * (1 - same)[:, None, :], axis=(1, 2))

    before = spread(to_numpy(model(x)))
    model.compile(keras.optimizers.Adam(0.003), loss=loss)
    model.fit(x, labels, batch_size=16, epochs=40, shuffle=False, verbose=0)
    assert spread(to_numpy(model(x))) < 0.5 * before


def test_mirror_images_have_one_embedding_and_its_formula(tmp_path):
    model = tiny()
    wrapped = mirrored(model)
    x = images(3, 32, 36, 1)
    found = to_numpy(wrapped(x))
    total = to_numpy(model(x)) + to_numpy(model(x[:, :, ::-1]))
    np.testing.assert_allclose(
        found, total / np.linalg.norm(total, axis=1, keepdims=True), atol=1e-6
    )
    np.testing.assert_allclose(to_numpy(wrapped(x[:, :, ::-1])), found, atol=1e-6)
    assert wrapped.weights == model.weights
    wrapped.save(tmp_path / "mirrored.keras")
    again = keras.saving.load_model(tmp_path / "mirrored.keras")
    np.testing.assert_allclose(to_numpy(again(x)), found, atol=1e-6)


def test_images_of_half_the_size_are_means_of_four_pixels():
    model = tiny((32, 36, 1))
    x = images(2, 64, 72, 1)
    wrapped = resized(model, (64, 72, 1))
    assert wrapped.input_shape == (None, 64, 72, 1)
    halves = x.reshape(2, 32, 2, 36, 2, 1).mean(axis=(2, 4))
    np.testing.assert_allclose(to_numpy(wrapped(x)), to_numpy(model(halves)), atol=1e-4)
    assert wrapped.weights == model.weights


def test_distances_of_joined_networks_are_the_mean_of_theirs(tmp_path):
    models = [tiny(), tiny(embedding_size=3, maps=())]
    for model in models:
        model.save(tmp_path / "network.keras")
    # As from two folders, both networks have one name.
    twins = [keras.saving.load_model(tmp_path / "network.keras") for _ in range(2)]
    x = images(4, 32, 36, 1)

    def squared(model):
        found = to_numpy(model(x))
        return np.square(found[:, None] - found[None]).sum(axis=2)

    joined = joined_network([*models, *twins])
    assert joined.output_shape == (None, 5 + 3 + 3 + 3)
    found = np.linalg.norm(to_numpy(joined(x)), axis=1)
    np.testing.assert_allclose(found, 1, atol=1e-5)
    theirs = (squared(models[0]) + 3 * squared(models[1])) / 4
    np.testing.assert_allclose(squared(joined), theirs, atol=1e-5)
    assert joined.weights[0] is models[0].weights[0]
    joined.save(tmp_path / "joined.keras")
    again = keras.saving.load_model(tmp_path / "joined.keras")
    np.testing.assert_allclose(to_numpy(again(x)), to_numpy(joined(x)), atol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="SavedModel is TensorFlow's.")
def test_a_saved_model_embeds_alike(tmp_path):
    import tensorflow as tf

    wrapped = mirrored(tiny())
    x = images(3, 32, 36, 1)
    wrapped.export(str(tmp_path / "saved"), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    served = loaded.serve(x)
    np.testing.assert_allclose(served, to_numpy(wrapped(x)), atol=1e-6)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: small_network((31, 64, 1)), r"at least 32 pixels.*Received: image_shape=\(31"),
        (
            lambda: joined_network([tiny(), tiny((32, 32, 1))]),
            r"Received: 2 networks of the input shapes \[\(32, 36, 1\), \(32, 32, 1\)\]",
        ),
        (lambda: joined_network([]), r"Received: 0 networks"),
        (lambda: small_network((64, 64)), r"Received: image_shape=\(64, 64\)"),
        (lambda: small_network(64), "Received: image_shape=64"),
        (lambda: small_network((None, None, 1)), r"Received: image_shape=\(None, None, 1\)"),
        (lambda: small_network((32, 32, 0)), r"Received: image_shape=\(32, 32, 0\)"),
        (lambda: small_network((32, 32, 1), dropout=1.0), "`dropout`.*Received: dropout=1.0"),
        (lambda: small_network((32, 32, 1), momentum=2), "`momentum`.*Received: momentum=2"),
        (lambda: small_network((32, 32, 1), momentum=None), "Received: momentum=None"),
        (lambda: small_network((32, 32, 1), embedding_size=0), "Received: embedding_size=0"),
        (lambda: small_network((32, 32, 1), maps=(4, 0)), r"maps=\(4, 0\)"),
        (lambda: small_network((32, 32, 1), scales=5), "scales=5"),
        (lambda: GaborMagnitudes(0), "Received: orientations=0"),
        (lambda: GaborMagnitudes(wavelength=1.5), "Received: wavelength=1.5"),
        (lambda: GaborMagnitudes(size=4), "Received: size=4"),
        (lambda: EnergyNormalization(2), "Received: window=2"),
        (lambda: EnergyNormalization(epsilon=0), "Received: epsilon=0"),
    ],
)
def test_arguments_out_of_range_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
