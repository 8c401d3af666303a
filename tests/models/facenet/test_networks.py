"""FaceNet's networks against the paper's tables, their layers against formulas by hand."""

import keras
import numpy as np
import pytest
from methodical.models.facenet.networks.flops import multiply_adds
from methodical.models.facenet.networks.inception_block import inception_block
from methodical.models.facenet.networks.inception_networks import nn2, nn3, nn4, nns1, nns2
from methodical.models.facenet.networks.inception_tables import InceptionModule
from methodical.models.facenet.networks.l2_pooling import L2Pooling2D
from methodical.models.facenet.networks.maxout import Maxout
from methodical.models.facenet.networks.unit_embedding import UnitEmbedding
from methodical.models.facenet.networks.zeiler_fergus_network import nn1
from methodical.models.layers.local_response_normalization import LocalResponseNormalization

# Table 1: side and maps of the output, thousands of parameters, millions of multiply-adds.
TABLE_1 = {
    "conv1": (110, 64, 9, 115),
    "conv2a": (55, 64, 4, 13),
    "conv2": (55, 192, 111, 335),
    "conv3a": (28, 192, 37, 29),
    "conv3": (28, 384, 664, 521),
    "conv4a": (14, 384, 148, 29),
    "conv4": (14, 256, 885, 173),
    "conv5a": (14, 256, 66, 13),
    "conv5": (14, 256, 590, 116),
    "conv6a": (14, 256, 66, 13),
    "conv6": (14, 256, 590, 116),
    "fc1": (None, 32 * 128, 103_000, 103),
    "fc2": (None, 32 * 128, 34_000, 34),
    "embedding": (None, 128, 524, 0.5),
}
TABLE_1_POOLS = {"pool1": (55, 64), "pool2": (28, 192), "pool3": (14, 384), "pool4": (7, 256)}

# Table 2, in the same way; the names of layers begin with the row's. Of 4a it prints 545 where its
# filters make 545,536: it cut off, or left out biases, there and nowhere else.
TABLE_2 = {
    "conv1": (112, 64, 9, 119),
    "2": (56, 192, 115, 360),
    "3a": (28, 256, 164, 128),
    "3b": (28, 320, 228, 179),
    "3c": (14, 640, 398, 108),
    "4a": (14, 640, 545.536, 107),
    "4b": (14, 640, 595, 117),
    "4c": (14, 640, 654, 128),
    "4d": (14, 640, 722, 142),
    "4e": (7, 1024, 717, 56),
    "5a": (7, 1024, 1600, 78),
    "5b": (7, 1024, 1600, 78),
    "embedding": (None, 128, 131, 0.1),
}


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.fixture(scope="module")
def sized():
    """Builds networks whose weights have shapes but never values, which would take 0.6 GB."""
    built = {}

    def build(function, **options):
        key = (function, *sorted(options.items()))
        if key not in built:
            with keras.StatelessScope(initialize_variables=False):
                built[key] = function(**options)
            keras.utils.clear_session()
        return built[key]

    return build


def rounded_as(published, exact, unit):
    """Whether a figure of the table is what its exact value rounds to."""
    # 1600 thousands are printed as 1.6 M, 103 000 as 103 M, half a million as 0.5 M.
    step = {1600: 100, 103_000: 1000, 34_000: 1000, 0.5: 0.1, 0.1: 0.1, 545.536: 0.001}
    return abs(exact / unit - published) <= step.get(published, 1) / 2


def rows(model, names):
    """Parameters and multiply-adds of each row of a table, whose layers begin with its name."""
    counts = multiply_adds(model)
    return {
        name: (
            sum(layer.count_params() for layer in model.layers if of_row(layer.name, name)),
            sum(count for layer, count in counts.items() if of_row(layer, name)),
        )
        for name in names
    }


def of_row(layer, row):
    return layer == row or layer.startswith(f"{row}_")


def test_nn1_is_table_1(sized):
    model = sized(nn1)
    assert model.input_shape == (None, 220, 220, 3)
    assert model.output_shape == (None, 128)
    found = rows(model, TABLE_1)
    for name, (side, maps, parameters, flops) in TABLE_1.items():
        expected = (None, maps) if side is None else (None, side, side, maps)
        assert model.get_layer(name).output.shape == expected
        assert rounded_as(parameters, found[name][0], 1e3), name
        assert rounded_as(flops, found[name][1], 1e6), name
    for name, (side, maps) in TABLE_1_POOLS.items():
        assert model.get_layer(name).output.shape == (None, side, side, maps)
    assert sum(parameters for parameters, _ in found.values()) == model.count_params() == 140025664
    assert sum(flops for _, flops in found.values()) == sum(multiply_adds(model).values())
    assert round(sum(multiply_adds(model).values()) / 1e9, 1) == 1.6


def test_nn1_is_in_the_order_of_table_1(sized):
    of_table = [
        "conv1", "pool1", "rnorm1", "conv2a", "conv2", "rnorm2", "pool2", "conv3a", "conv3",
        "pool3", "conv4a", "conv4", "conv5a", "conv5", "conv6a", "conv6", "pool4", "fc1", "fc2",
        "embedding",
    ]  # fmt: skip
    names = [layer.name for layer in sized(nn1).layers]
    assert [name for name in names if name in of_table] == of_table


def test_nn2_is_table_2(sized):
    model = sized(nn2)
    found = rows(model, TABLE_2)
    for name, (side, maps, parameters, flops) in TABLE_2.items():
        last = {"2": "2_3x3"}.get(name, name)
        expected = (None, maps) if side is None else (None, side, side, maps)
        assert model.get_layer(last).output.shape == expected
        assert rounded_as(parameters, found[name][0], 1e3), name
        assert rounded_as(flops, found[name][1], 1e6), name
    assert sum(parameters for parameters, _ in found.values()) == model.count_params()
    assert sum(flops for _, flops in found.values()) == sum(multiply_adds(model).values())
    pooled_by_norm = {layer.name for layer in model.layers if isinstance(layer, L2Pooling2D)}
    assert pooled_by_norm == {f"{row}_pool" for row in ("3b", "4a", "4b", "4c", "4d", "5a")}


@pytest.mark.parametrize(
    ("network", "shape", "parameters", "flops"),
    [
        # Published parameters in millions and multiply-adds in millions, each with the half of
        # its last digit; NN3 is NN2, and NN4 is the least of "around 6.6M-7.5M".
        (nn2, (224, 224, 3), (7.5, 0.05), (1600, 50)),
        (nn3, (160, 160, 3), (7.5, 0.05), (1600 * (160 / 224) ** 2, 25)),
        (nn4, (96, 96, 3), (6.6, 0.05), (285, 0.5)),
        (nns1, (165, 165, 3), (26, 0.5), (220, 5)),
        (nns2, (140, 116, 3), (4.3, 0.05), (20, 0.5)),
    ],
)
def test_inception_networks_have_the_published_size(sized, network, shape, parameters, flops):
    model = sized(network)
    assert model.name == network.__name__
    assert model.input_shape == (None, *shape)
    assert model.output_shape == (None, 128)
    assert model.count_params() / 1e6 == pytest.approx(parameters[0], abs=parameters[1])
    assert sum(multiply_adds(model).values()) / 1e6 == pytest.approx(flops[0], abs=flops[1])


def test_nn4_has_no_5x5_in_the_higher_layers(sized):
    with_five = {layer.name[:2] for layer in sized(nn4).layers if layer.name.endswith("5x5")}
    assert with_five == {"3a", "3b", "3c", "4a", "4b", "4c", "4d"}


@pytest.mark.parametrize("network", [nn1, nn2, nn4, nns2])
def test_embeddings_have_length_1_and_tell_images_apart(network):
    keras.utils.set_random_seed(0)
    model = network((40, 32, 3), embedding_size=16, width=0.1, name="tiny")
    images = np.random.default_rng(0).random((3, 40, 32, 3)).astype("float32")
    embeddings = array(model(images))
    assert model.name == "tiny"
    assert embeddings.shape == (3, 16)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=-1), 1, rtol=1e-5)
    assert np.min(np.linalg.norm(embeddings - np.roll(embeddings, 1, axis=0), axis=-1)) > 1e-4
    centered = keras.Model(model.input, model.get_layer("centered").output)
    np.testing.assert_allclose(array(centered(images)), 2 * images - 1, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("network", [nn1, nns1])
def test_batch_norm_replaces_biases_and_local_response_normalization(sized, network):
    plain, normalized = (
        sized(network, input_shape=(64, 64, 3), width=0.1, batch_norm=batch_norm)
        for batch_norm in (False, True)
    )

    def layers(model, kind):
        return [layer for layer in model.layers if isinstance(layer, kind)]

    assert len(layers(plain, LocalResponseNormalization)) == 2
    assert len(layers(plain, keras.layers.BatchNormalization)) == 0
    assert len(layers(normalized, LocalResponseNormalization)) == 0
    convolutions = layers(normalized, keras.layers.Conv2D)
    hidden = [normalized.get_layer("fc")] if network is nns1 else []
    assert all(not layer.use_bias for layer in [*convolutions, *hidden])
    assert all(layer.use_bias for layer in layers(plain, keras.layers.Conv2D))
    norms = layers(normalized, keras.layers.BatchNormalization)
    assert len(norms) == len(convolutions) + len(hidden)
    # Each bias gave way to γ, β, a mean and a variance.
    biases = sum(layer.filters for layer in convolutions) + sum(layer.units for layer in hidden)
    assert normalized.count_params() == plain.count_params() + 3 * biases


def test_width_multiplies_maps_and_units(sized):
    half = sized(nns1, input_shape=(64, 64, 3), width=0.5)
    assert half.get_layer("conv1").filters == 16
    assert half.get_layer("4a_1x1").filters == 64
    assert half.get_layer("3a_5x5_reduce").filters == 4
    assert half.get_layer("3c").output.shape[-1] == 64 + 16 + (16 + 32 + 8 + 8)
    assert half.get_layer("fc").units == 672
    eighth = sized(nns1, input_shape=(64, 64, 3), width=0.125)
    assert eighth.get_layer("3a_5x5_reduce").filters == 4
    assert sized(nn1, input_shape=(64, 64, 3), width=0.25).get_layer("fc1").units == 1024


def test_networks_without_fully_connected_layers_take_images_of_any_size():
    model = nn4((None, None, 1), embedding_size=4, width=0.02)
    assert model(np.ones((2, 33, 50, 1), "float32")).shape == (2, 4)
    for network in (nn1, nns1, nns2):
        with pytest.raises(ValueError, match=r"must be known.*input_shape=\(None, 64, 3\)"):
            network((None, 64, 3), width=0.1)


@pytest.mark.parametrize("network", [nn1, nn2])
def test_networks_refuse_what_cannot_be(network):
    with pytest.raises(ValueError, match=r"`width` must be positive. Received: width=0"):
        network((64, 64, 3), width=0)


def test_embeddings_stay_in_single_precision_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = nn4((32, 32, 1), embedding_size=4, width=0.02)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.get_layer("conv1").compute_dtype == "bfloat16"
    embeddings = array(model(np.random.default_rng(0).random((2, 32, 32, 1)).astype("float32")))
    assert embeddings.dtype == "float32"
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=-1), 1, rtol=1e-5)


def test_networks_are_saved_and_loaded(tmp_path):
    images = np.random.default_rng(0).random((2, 24, 24, 1)).astype("float32")
    for network in (nn1, nns2):
        model = network((24, 24, 1), embedding_size=3, width=0.02)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        np.testing.assert_allclose(array(loaded(images)), array(model(images)), atol=1e-6)


@pytest.mark.parametrize("pooling", ["max", "l2"])
def test_inception_block_joins_its_branches(pooling):
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 5, 3))
    module = InceptionModule("x", 4, 5, 6, 7, 8, pooling, 9)
    model = keras.Model(image, inception_block(image, module))
    x = np.random.default_rng(0).normal(size=(2, 6, 5, 3)).astype("float32")

    def conv(x, name):
        layer = model.get_layer(f"x_{name}")
        kernel, bias = (array(weight) for weight in layer.weights)
        half = kernel.shape[0] // 2
        padded = np.pad(x, [(0, 0), (half, half), (half, half), (0, 0)])
        windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[:2], axis=(1, 2))
        return np.maximum(np.einsum("bhwcij,ijco->bhwo", windows, kernel) + bias, 0)

    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.bias.assign(np.random.default_rng(1).normal(size=layer.bias.shape))
    fill = -np.inf if pooling == "max" else 0
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], constant_values=fill)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    pooled = windows.max((-2, -1)) if pooling == "max" else np.linalg.norm(windows, axis=(-2, -1))
    expected = np.concatenate(
        [
            conv(x, "1x1"),
            conv(conv(x, "3x3_reduce"), "3x3"),
            conv(conv(x, "5x5_reduce"), "5x5"),
            conv(pooled, "projection"),
        ],
        axis=-1,
    )
    np.testing.assert_allclose(array(model(x)), expected, rtol=1e-4, atol=1e-5)


def test_inception_block_halves_and_lets_the_pooled_maps_pass():
    image = keras.Input((7, 6, 3))
    module = InceptionModule("x", 0, 5, 6, 0, 0, "max", 0, strides=2)
    model = keras.Model(image, inception_block(image, module))
    x = np.random.default_rng(0).normal(size=(2, 7, 6, 3)).astype("float32")
    assert model.output_shape == (None, 4, 3, 6 + 3)
    pooled = keras.layers.MaxPooling2D(3, strides=2, padding="same")(x)
    np.testing.assert_array_equal(array(model(x))[..., 6:], array(pooled))
    with pytest.raises(ValueError, match="Received: pooling='mean'"):
        inception_block(image, InceptionModule("y", 1, 1, 1, 0, 0, "mean", 0))


def test_initial_projection_takes_back_the_gain_of_l2_pooling():
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 200))
    kernels = {}
    for pooling in ("max", "l2"):
        module = InceptionModule(pooling, 4, 4, 4, 0, 0, pooling, 300)
        model = keras.Model(image, inception_block(image, module))
        kernels[pooling] = array(model.get_layer(f"{pooling}_projection").kernel)
    assert np.std(kernels["max"]) == pytest.approx(np.sqrt(2 / 200), rel=0.02)
    assert np.std(kernels["l2"]) == pytest.approx(np.sqrt(2 / 200) / 3, rel=0.02)


@pytest.mark.parametrize(("size", "strides"), [(3, 1), (3, 2), (2, 2), (2, 1), (5, 3), (1, 1)])
def test_l2_pooling_is_the_norm_of_the_window(size, strides):
    x = np.random.default_rng(0).normal(size=(2, 7, 6, 3)).astype("float32")
    layer = L2Pooling2D(size, strides)
    found = array(layer(x))
    assert found.shape == layer.compute_output_shape(x.shape)
    for row in range(found.shape[1]):
        for column in range(found.shape[2]):
            tops = []
            for index, side in ((row, 7), (column, 6)):
                steps = -(-side // strides)
                before = max((steps - 1) * strides + size - side, 0) // 2
                start = index * strides - before
                tops.append(slice(max(start, 0), start + size))
            window = x[:, tops[0], tops[1]]
            expected = np.sqrt(np.sum(window**2, axis=(1, 2)))
            np.testing.assert_allclose(found[:, row, column], expected, rtol=1e-5)


def test_l2_pooling_of_nothing_has_a_finite_slope():
    # What the convolution hands to the pooling is zero everywhere on half of the image.
    model = keras.Sequential(
        [keras.Input((4, 8, 1)), keras.layers.Conv2D(1, 1, use_bias=False), L2Pooling2D()]
    )
    image = np.ones((1, 4, 8, 1), "float32")
    image[:, :, :4] = 0
    model.layers[0].kernel.assign(np.ones((1, 1, 1, 1)))
    pooled = array(model(image))
    assert np.all(pooled[:, :, :3] == 0)
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss=lambda _, y: keras.ops.mean(y))
    model.train_on_batch(image, np.zeros((1, 4, 8, 1), "float32"))
    # y is proportional to a positive kernel, so the slope is y's mean.
    kernel = float(array(model.layers[0].kernel).item())
    assert kernel == pytest.approx(1 - pooled.mean(), rel=1e-5)


def test_l2_pooling_of_many_squares_in_half_precision():
    layer = L2Pooling2D(3, dtype="float16")
    x = np.full((1, 3, 3, 1), 200, "float16")  # 9 · 200² is beyond float16
    assert float(array(layer(x))[0, 1, 1, 0]) == 600


def test_maxout_is_the_largest_of_its_pieces():
    layer = Maxout(3, pieces=2)
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    layer(x)
    kernel = np.random.default_rng(1).normal(size=(4, 6)).astype("float32")
    bias = np.arange(6, dtype="float32")
    layer.set_weights([kernel, bias])
    expected = np.empty((5, 3))
    for unit in range(3):
        first, second = (
            x @ kernel[:, column] + bias[column] for column in (2 * unit, 2 * unit + 1)
        )
        expected[:, unit] = np.maximum(first, second)
    np.testing.assert_allclose(array(layer(x)), expected, rtol=1e-4, atol=1e-5)


def test_maxout_is_the_absolute_value_of_opposite_pieces():
    layer = Maxout(1, pieces=2)
    layer.build((None, 1))
    layer.set_weights([np.array([[1.0, -1.0]]), np.zeros(2)])
    x = np.linspace(-2, 2, 7, dtype="float32")[:, None]
    np.testing.assert_array_equal(array(layer(x)), np.abs(x))


def test_maxout_keeps_the_mean_square_at_the_start():
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(200, 400)).astype("float32")
    assert np.mean(array(Maxout(500)(x)) ** 2) == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Maxout(0), "`units` must be at least 1. Received: units=0"),
        (lambda: Maxout(2, pieces=0), "`pieces` must be at least 1. Received: pieces=0"),
        (lambda: Maxout(2)(keras.Input((None,))), "last dimension of the input must be known"),
        (lambda: L2Pooling2D(0), "`pool_size` must be at least 1. Received: pool_size=0"),
        (lambda: L2Pooling2D(2, strides=0), "`strides` must be at least 1. Received: strides=0"),
        (
            lambda: L2Pooling2D(3, strides=2)(keras.Input((None, 4, 1))),
            "Height and width of the input must be known",
        ),
    ],
)
def test_layers_refuse_what_cannot_be(build, message):
    with pytest.raises(ValueError, match=message):
        build()


# A layer on an image of 8×6 with 4 channels, and what it takes by hand: with bias, and the bias.
COUNTS = {
    "conv": (keras.layers.Conv2D(5, 3, padding="same"), 48 * (9 * 4 * 5 + 5), 48 * 5),
    "valid": (keras.layers.Conv2D(5, 3), 24 * (9 * 4 * 5 + 5), 24 * 5),
    "strided": (keras.layers.Conv2D(5, 3, strides=2), 3 * 2 * (9 * 4 * 5 + 5), 3 * 2 * 5),
    "grouped": (keras.layers.Conv2D(6, 1, groups=2), 48 * (2 * 6 + 6), 48 * 6),
    "no_bias": (keras.layers.Conv2D(5, 1, use_bias=False), 48 * 4 * 5, 0),
    "depthwise": (
        keras.layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
        48 * (9 * 8 + 8),
        48 * 8,
    ),
    "separable": (
        keras.layers.SeparableConv2D(5, 3, padding="same"),
        48 * (9 * 4 + 4 * 5 + 5),
        48 * 5,
    ),
    "dense": (keras.layers.Dense(7), 48 * (4 * 7 + 7), 48 * 7),
    "maxout": (Maxout(7, pieces=3), 48 * (4 * 21 + 21), 48 * 21),
    "unit": (UnitEmbedding(7), 48 * (4 * 7 + 7), 48 * 7),
    "unit_no_bias": (UnitEmbedding(7, use_bias=False), 48 * 4 * 7, 0),
    "pooling": (keras.layers.MaxPooling2D(2), 0, 0),
    "norm": (keras.layers.BatchNormalization(), 0, 0),
    "layer_norm": (keras.layers.LayerNormalization(axis=[1, 2, 3]), 0, 0),
    "prelu": (keras.layers.PReLU(), 0, 0),
}


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("sequential", [False, True])
def test_multiply_adds_of_one_layer_by_hand(name, sequential):
    layer, expected, of_bias = COUNTS[name]
    layer = type(layer).from_config({**layer.get_config(), "name": name})
    image = keras.Input((8, 6, 4))
    model = keras.Sequential([image, layer]) if sequential else keras.Model(image, layer(image))
    assert multiply_adds(model) == ({name: expected} if expected else {})
    without = expected - of_bias
    assert multiply_adds(model, bias=False) == ({name: without} if without else {})


def test_multiply_adds_count_a_frozen_layer_and_channels_first():
    layer = keras.layers.Conv2D(5, 3, data_format="channels_first", name="conv", trainable=False)
    image = keras.Input((4, 8, 6))
    with keras.StatelessScope(initialize_variables=False):
        assert layer.compute_output_shape(image.shape) == (None, 5, 6, 4)
    # TensorFlow computes no such convolution on the CPU, but builds it.
    model = keras.Model(image, layer(image))
    assert multiply_adds(model) == {"conv": 24 * (9 * 4 * 5 + 5)}


def test_multiply_adds_of_a_layer_called_twice_and_of_a_model_inside():
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="dense")], name="inner")
    shared = keras.layers.Dense(4, use_bias=False, name="shared")
    vector = keras.Input((4,))
    model = keras.Model(vector, inner(shared(shared(vector))))
    assert multiply_adds(model) == {"shared": 2 * 16, "inner/dense": 15}


def test_multiply_adds_refuse_what_they_do_not_know():
    vector, image = keras.Input((3, 4)), keras.Input((None, 6, 4))
    model = keras.Model(
        vector, keras.layers.EinsumDense("btd,de->bte", (None, 5), name="own")(vector)
    )
    with pytest.raises(ValueError, match=r"the layer 'own' of type EinsumDense.*\(4, 5\)"):
        multiply_adds(model)
    model.trainable = False
    with pytest.raises(ValueError, match="the layer 'own'"):
        multiply_adds(model)
    with pytest.raises(ValueError, match=r"fixed size. Received: the layer 'conv'"):
        multiply_adds(keras.Model(image, keras.layers.Conv2D(1, 1, name="conv")(image)))
    with pytest.raises(ValueError, match="Functional model, or a Sequential one that is built"):
        multiply_adds(keras.Sequential([keras.layers.Dense(1)]))
