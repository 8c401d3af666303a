"""The networks of the batch normalization experiments, and local response normalization."""

import keras
import numpy as np
import pytest
from methodical.models.batch_norm import (
    BatchNormalization,
    LocalResponseNormalization,
    inception_network,
    sigmoid_network,
)


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def random_weights(model, seed=0):
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(generator.uniform(0.5, 1.5, weight.shape))


@pytest.mark.parametrize("batch_norm", [True, False])
def test_sigmoid_network_is_the_papers(batch_norm):
    model = sigmoid_network((2, 3, 1), classes=4, hidden=2, units=5, batch_norm=batch_norm)
    random_weights(model)
    images = np.random.default_rng(1).normal(size=(7, 2, 3, 1)).astype("float32")
    x = images.reshape(7, 6)
    for number in (1, 2):
        weights = [array(weight) for weight in model.get_layer(f"hidden_{number}").weights]
        if batch_norm:
            norm = model.get_layer(f"hidden_{number}_norm")
            assert len(weights) == 1
            x = x @ weights[0] - array(norm.moving_mean)
            x = x / np.sqrt(array(norm.moving_variance) + norm.epsilon)
            x = x * array(norm.gamma) + array(norm.beta)
        else:
            x = x @ weights[0] + weights[1]
        x = 1 / (1 + np.exp(-x))
    kernel, bias = (array(weight) for weight in model.get_layer("probabilities").weights)
    scores = np.exp(x @ kernel + bias)
    expected = scores / scores.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(array(model(images)), expected, rtol=1e-5)


def test_sigmoid_network_has_the_papers_size():
    model = sigmoid_network((28, 28, 1), classes=10, batch_norm=False)
    assert model.count_params() == 784 * 100 + 100 + 2 * (100 * 100 + 100) + 100 * 10 + 10
    kernel = array(model.get_layer("hidden_1").kernel)
    assert np.std(kernel) == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize(
    ("argument", "value"), [("hidden", 0), ("units", 0), ("classes", 1), ("stddev", 0.0)]
)
def test_sigmoid_network_refuses_sizes_that_cannot_be(argument, value):
    with pytest.raises(ValueError, match=f"`{argument}` must be .* Received: {argument}={value}"):
        sigmoid_network((4, 4, 1), **{"classes": 3, argument: value})


# (input maps, output maps, kernel side) of every convolution at width 1.
INCEPTION_CONVOLUTIONS = [
    (3, 24, 3),
    # a1: 1×1, 3×3 and its reduction, double 3×3 and its reduction, projection: 52 maps
    (24, 12, 1), (24, 12, 1), (12, 16, 3), (24, 8, 1), (8, 16, 3), (16, 16, 3), (24, 8, 1),
    # a2 halves: 24 + 24 + 52 pooled maps
    (52, 16, 1), (16, 24, 3), (52, 12, 1), (12, 24, 3), (24, 24, 3),
    # b1: 24 + 32 + 32 + 16 maps
    (100, 24, 1), (100, 24, 1), (24, 32, 3), (100, 16, 1), (16, 32, 3), (32, 32, 3), (100, 16, 1),
    # b2: 32 + 40 + 40 + 16 maps
    (104, 32, 1), (104, 24, 1), (24, 40, 3), (104, 16, 1), (16, 40, 3), (40, 40, 3), (104, 16, 1),
]  # fmt: skip


@pytest.mark.parametrize("batch_norm", [True, False])
def test_inception_network_has_the_convolutions_listed(batch_norm):
    model = inception_network((32, 32, 3), classes=10, batch_norm=batch_norm)
    kernels = sum(maps * out * side**2 for maps, out, side in INCEPTION_CONVOLUTIONS)
    outputs = sum(out for _, out, _ in INCEPTION_CONVOLUTIONS)
    of_each_map = 4 if batch_norm else 1  # γ, β and two statistics, or a bias
    assert model.count_params() == kernels + of_each_map * outputs + 128 * 10 + 10
    norms = [layer for layer in model.layers if isinstance(layer, BatchNormalization)]
    assert len(norms) == (len(INCEPTION_CONVOLUTIONS) if batch_norm else 0)
    assert model.get_layer("mean").input.shape[1:] == (8, 8, 128)


def test_inception_network_on_the_smallest_image():
    model = inception_network((8, 8, 1), classes=3, width=0.1, activation="sigmoid", dropout=0.5)
    images = np.random.default_rng(0).random((5, 8, 8, 1)).astype("float32")
    probabilities = array(model(images))
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-5)
    # Dropout is off in inference.
    np.testing.assert_array_equal(probabilities, array(model(images)))
    assert model.get_layer("mean").input.shape[1:3] == (4, 4)


def test_inception_network_sees_centered_pixels_and_penalizes_its_kernels():
    model = inception_network((8, 8, 1), 3, width=0.1, batch_norm=False, l2=0.5)
    centered = keras.Model(model.input, model.get_layer("centered").output)
    images = np.stack([np.zeros((8, 8, 1), "float32"), np.ones((8, 8, 1), "float32")])
    np.testing.assert_allclose(array(centered(images))[:, 3, 5, 0], [-1, 1])
    kernels = [weight for weight in model.weights if weight.name == "kernel"]
    assert len(kernels) == len(INCEPTION_CONVOLUTIONS) + 1
    expected = 0.5 * sum(np.sum(array(kernel) ** 2) for kernel in kernels)
    assert float(array(sum(model.losses))) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((7, 32, 3), {}, r"at least 8 pixels. Received: input_shape=\(7, 32, 3\)"),
        ((8, 8, 3), {"classes": 1}, "Received: classes=1"),
        ((8, 8, 3), {"width": 0}, "Received: width=0"),
    ],
)
def test_inception_network_refuses_what_cannot_be(shape, options, message):
    with pytest.raises(ValueError, match=message):
        inception_network(shape, **{"classes": 3, **options})


@pytest.mark.parametrize("channels", [1, 2, 3, 9])
def test_local_response_normalization_by_its_formula(channels):
    x = np.random.default_rng(0).normal(size=(2, 3, channels)).astype("float32")
    layer = LocalResponseNormalization(size=5, alpha=0.3, beta=0.6, bias=2.0)
    expected = np.empty_like(x)
    for c in range(channels):
        window = x[..., max(0, c - 2) : c + 3]
        expected[..., c] = x[..., c] / (2 + 0.3 / 5 * np.sum(window**2, axis=-1)) ** 0.6
    np.testing.assert_allclose(array(layer(x)), expected, rtol=1e-5)


@pytest.mark.parametrize(("argument", "value"), [("size", 4), ("size", 0), ("bias", 0.0)])
def test_local_response_normalization_refuses(argument, value):
    with pytest.raises(ValueError, match=f"Received: {argument}={value}"):
        LocalResponseNormalization(**{argument: value})
