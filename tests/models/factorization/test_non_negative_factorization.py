"""`NonNegativeFactorization` against NumPy transcriptions of its rules, and on edges."""

import keras
import numpy as np
import pytest
from keras import ops
from methodical.models.factorization import NonNegativeFactorization

BACKEND = keras.backend.backend()
# JAX computes in float32 unless told otherwise, and Keras hands PyTorch arrays of NumPy in float32.
DTYPE, CLOSE = ("float64", 1e-10) if BACKEND == "tensorflow" else ("float32", 2e-4)
LOSSES = ("euclidean", "divergence")


def array(tensor):
    return ops.convert_to_numpy(tensor)


def positive(*shape, seed=0):
    return np.random.default_rng(seed).gamma(2.0, 1.0, shape).astype(DTYPE)


def known_parts(*shape, seed=1):
    return (np.random.default_rng(seed).uniform(size=shape) < 0.7).astype(DTYPE)


def built(features, rank=3, seed=2, **options):
    layer = NonNegativeFactorization(rank, dtype=DTYPE, **options)
    layer.build((None, features))
    layer.components.assign(np.random.default_rng(seed).uniform(0.1, 1, (rank, features)))
    return layer


def reference_codes(x, H, w, loss, iterations):
    """Lee & Seung's rules for W, transcribed, from W = 1."""
    c = np.ones((len(x), len(H)))
    for _ in range(iterations):
        if loss == "euclidean":
            c = c * ((w * x) @ H.T) / ((w * (c @ H)) @ H.T)
        else:
            c = c * ((w * x / (c @ H)) @ H.T) / (w @ H.T)
    return c


def reference_step(x, c, H, sums, w, loss, momentum, rounds):
    """What the docstring says of `update="multiplicative"`."""
    first, second = sums
    if loss == "euclidean":
        first = momentum * first + c.T @ c
        for _ in range(rounds):
            H = H * (momentum * second + c.T @ (w * x + (1 - w) * (c @ H))) / (first @ H)
        return H, (first, momentum * second + c.T @ (w * x + (1 - w) * (c @ H)))
    first = momentum * first + c.T @ w
    for _ in range(rounds):
        H = (momentum * second + H * (c.T @ (w * x / (c @ H)))) / first
    return H, (first, momentum * second + H * (c.T @ (w * x / (c @ H))))


def loss_of(x, y, loss):
    return ((x - y) ** 2).sum() / 2 if loss == "euclidean" else (x * np.log(x / y) - x + y).sum()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_codes_are_those_of_the_papers_rule(loss, weighted):
    x, layer = positive(6, 5), built(5, loss=loss, iterations=7)
    w = known_parts(6, 5) if weighted else np.ones_like(x)
    codes = layer(x, weights=w if weighted else None)
    expected = reference_codes(x, array(layer.components), w, loss, 7)
    np.testing.assert_allclose(array(codes), expected, rtol=CLOSE)


def test_codes_reach_the_minimum_that_least_squares_finds():
    optimize = pytest.importorskip("scipy.optimize")
    x, layer = positive(6, 8), built(8, iterations=500)
    H = array(layer.components).astype("float64")
    found = [optimize.nnls(H.T, row) for row in x]
    assert min(codes.min() for codes, _ in found) == 0
    errors = np.linalg.norm(x - array(layer(x)) @ H, axis=1)
    np.testing.assert_allclose(errors, [error for _, error in found], rtol=1e-3)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_multiplicative_update_is_the_one_described(loss, weighted):
    options = {"iterations": 9, "momentum": 0.6, "component_iterations": 4}
    layer = built(5, loss=loss, update="multiplicative", **options)
    H, sums = array(layer.components), (0, 0)
    for step in range(3):
        x = positive(6, 5, seed=step)
        w = known_parts(6, 5, seed=step) if weighted else np.ones_like(x)
        codes = layer(x, weights=w if weighted else None, training=True)
        c = reference_codes(x, H, w, loss, 9)
        np.testing.assert_allclose(array(codes), c, rtol=CLOSE)
        H, sums = reference_step(x, c, H, sums, w, loss, 0.6, 4)
        np.testing.assert_allclose(array(layer.components), H, rtol=CLOSE)
    np.testing.assert_allclose(array(layer.data_sums), sums[1], rtol=CLOSE)
    layer(positive(6, 5), training=False)
    np.testing.assert_allclose(array(layer.components), H, rtol=CLOSE)


@pytest.mark.parametrize("loss", LOSSES)
def test_steps_on_all_examples_never_raise_the_loss(loss):
    x = positive(20, 7)
    x[3], x[:, 2] = 0, 0
    w = known_parts(20, 7)
    layer = built(
        7, loss=loss, update="multiplicative", momentum=0.0, loss_weight=1.0, iterations=100
    )
    losses = []
    for _ in range(8):
        layer(x, weights=w, training=True)
        losses.append(float(layer.losses[0]))
    assert np.all(np.diff(losses) < 1e-5 * losses[0])
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.skipif(BACKEND != "tensorflow", reason="finite differences need float64")
def test_gradients_are_those_of_finite_differences(loss):
    x, upstream = positive(2, 4), positive(2, 3, seed=5)
    layer = built(4, loss=loss, iterations=6)
    start = array(layer.components)

    def value(x, components):
        layer.components.assign(components)
        return float(np.sum(array(layer(x)) * upstream))

    def difference(function, at):
        slopes = np.zeros_like(at)
        for place in np.ndindex(at.shape):
            step = np.zeros_like(at)
            step[place] = 1e-6
            slopes[place] = (function(at + step) - function(at - step)) / 2e-6
        return slopes

    expected = (
        difference(lambda moved: value(moved, start), x),
        difference(lambda moved: value(x, moved), start),
    )
    layer.components.assign(start)
    import tensorflow as tf

    tensor = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        total = ops.sum(layer(tensor) * upstream)
    found = tape.gradient(total, [tensor, layer.components.value])
    for one, other in zip(found, expected, strict=True):
        assert np.abs(other).max() > 1e-3
        np.testing.assert_allclose(array(one), other, atol=1e-7)


@pytest.mark.parametrize(
    ("loss", "update"),
    [("euclidean", "gradient"), ("euclidean", "multiplicative"), ("divergence", "multiplicative")],
)
@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
def test_fit_finds_the_factors_of_a_product(loss, update):
    keras.utils.set_random_seed(0)
    W, H = positive(96, 3), positive(3, 10, seed=1)
    x = ((W * (W > 1.5)) @ (H * (H > 1.5))).astype("float32")
    layer = NonNegativeFactorization(3, loss=loss, update=update, loss_weight=1.0)
    inputs = keras.Input((10,))
    model = keras.Model(inputs, layer(inputs))
    layer.components.assign(np.random.default_rng(0).uniform(0, 1, (3, 10)))
    model.compile(optimizer=keras.optimizers.Adam(0.03), jit_compile=BACKEND == "jax")
    model.fit(x, batch_size=32, epochs=50, verbose=0)
    restored = array(layer.reconstruct(model.predict(x, verbose=0)))
    assert array(layer.components).min() >= 0
    assert np.linalg.norm(x - restored) < 0.1 * np.linalg.norm(x - x.mean(axis=0))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="the rule is the same, and this takes seconds")
@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
@pytest.mark.parametrize("loss", ["divergence"])
def test_digits_are_restored_as_well_as_scikit_learn_does(loss):
    datasets = pytest.importorskip("sklearn.datasets")
    images = (datasets.load_digits().data / 16).astype("float32")
    # sklearn.decomposition.NMF(16, init="random", random_state=0, max_iter=500, tol=0) of
    # scikit-learn 1.9.1, solver "cd" and "mu" with the Kullback-Leibler loss.
    peer = {"euclidean": 42.130, "divergence": 84.334}[loss]
    keras.utils.set_random_seed(0)
    layer = NonNegativeFactorization(16, loss=loss, update="multiplicative", loss_weight=1.0)
    model = keras.Sequential([layer])
    model.compile()
    model.fit(images, batch_size=256, epochs=40, verbose=0)
    restored = array(layer.reconstruct(model.predict(images, verbose=0)))
    assert np.sqrt(2 * loss_of(*_positive_pair(images, restored), loss)) < 1.03 * peer
    parts = array(layer.components)
    parts = parts / parts.max(axis=1, keepdims=True)
    assert np.mean(parts < 0.05) > 0.4


def _positive_pair(x, y):
    """The same with zeros so small that `x log x` is as good as 0."""
    return np.maximum(x, 1e-12).astype("float64"), np.maximum(y, 1e-9).astype("float64")


@pytest.mark.parametrize("loss", LOSSES)
def test_zeros_have_zero_codes_and_leave_the_components(loss):
    x = positive(4, 5)
    x[1] = 0
    layer = built(5, loss=loss, update="multiplicative", loss_weight=1.0)
    codes = array(layer(x))
    assert np.isfinite(codes).all()
    assert np.all(codes[1] == 0)
    assert codes[0].sum() > 0
    before = array(layer.components)
    layer(np.zeros_like(x), training=True)
    np.testing.assert_array_equal(array(layer.components), before)
    layer(x[:0], training=True)
    np.testing.assert_array_equal(array(layer.components), before)
    assert np.isfinite(float(layer.losses[0]))
    layer(x, training=True)
    assert np.isfinite(array(layer.components)).all()
    assert not np.array_equal(array(layer.components), before)


def test_a_component_that_no_example_uses_stays():
    layer = built(4, rank=2, update="multiplicative")
    layer.components.assign([[1, 2, 0, 0], [0, 0, 2, 1]])
    x = np.array([[3, 2, 0, 0], [2, 1, 0, 0]], DTYPE)
    layer(x, training=True)
    components = array(layer.components)
    np.testing.assert_array_equal(components[1], [0, 0, 2, 1])
    assert components[0, 0] > components[0, 1] > 0


def test_negative_entries_count_as_zero():
    x, layer = positive(4, 5), built(5)
    x[:, 2] = 0
    expected = array(layer(x))
    x[:, 2] = -3
    np.testing.assert_array_equal(array(layer(x)), expected)


@pytest.mark.parametrize("loss", LOSSES)
def test_missing_entries_are_as_if_they_were_not_there(loss):
    x, layer = positive(4, 6), built(6, loss=loss, nan_as_missing=True)
    short = built(4, loss=loss)
    short.components.assign(array(layer.components)[:, :4])
    expected = array(short(x[:, :4]))
    gaps = x.copy()
    gaps[:, 4:] = np.nan
    np.testing.assert_allclose(array(layer(gaps)), expected, rtol=CLOSE)
    weights = np.isfinite(gaps).astype(DTYPE)
    np.testing.assert_allclose(array(layer(x, weights=weights)), expected, rtol=CLOSE)
    gaps[0] = np.nan
    assert np.all(array(layer(gaps))[0] == 0)


@pytest.mark.parametrize("loss", LOSSES)
def test_masked_examples_count_neither_in_the_update_nor_in_the_loss(loss):
    x = positive(3, 2, 5)
    mask = np.array([[True, False], [True, True], [False, False]])
    kept = x[mask]
    x[2, 1] = np.nan
    one = built(5, loss=loss, update="multiplicative", loss_weight=2.0)
    layer = NonNegativeFactorization(
        3, loss=loss, update="multiplicative", loss_weight=2.0, dtype=DTYPE
    )
    layer.build((None, 2, 5))
    layer.components.assign(one.components)
    codes = layer(x, mask=mask, training=True)
    expected = one(kept, training=True)
    np.testing.assert_allclose(array(codes)[mask], array(expected), rtol=CLOSE)
    np.testing.assert_allclose(float(layer.losses[0]), float(one.losses[0]), rtol=CLOSE)
    np.testing.assert_allclose(array(layer.components), array(one.components), rtol=CLOSE)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_layers_loss_is_a_mean_over_the_examples(loss):
    x, layer = positive(6, 5), built(5, loss=loss, loss_weight=0.5)
    restored = array(layer.reconstruct(layer(x)))
    expected = 0.5 * loss_of(x, restored, loss) / 6
    np.testing.assert_allclose(float(layer.losses[0]), expected, rtol=CLOSE)
    again = built(5, loss=loss, returns="reconstruction")
    np.testing.assert_allclose(array(again(x)), restored, rtol=CLOSE)


def test_components_stay_non_negative_where_the_initializer_and_the_gradient_are_not():
    keras.utils.set_random_seed(0)
    layer = NonNegativeFactorization(3, components_initializer="random_normal")
    model = keras.Sequential([keras.Input((5,)), layer])
    assert array(layer.components).min() >= 0
    model.compile(optimizer=keras.optimizers.SGD(10.0), loss="mse", jit_compile=BACKEND == "jax")
    x = positive(8, 5).astype("float32")
    model.fit(x, np.zeros((8, 3)), epochs=2, verbose=0)
    assert array(layer.components).min() == 0


def test_a_frozen_layer_does_not_move():
    layer = built(5, update="multiplicative")
    assert layer.trainable_weights == []
    layer.trainable = False
    before = [array(weight) for weight in layer.weights]
    layer(positive(4, 5), training=True)
    for weight, value in zip(layer.weights, before, strict=True):
        np.testing.assert_array_equal(array(weight), value)


def test_in_half_precision_components_and_sums_are_float32():
    layer = NonNegativeFactorization(3, update="multiplicative", dtype="mixed_bfloat16")
    x = ops.cast(positive(16, 5), "bfloat16")
    codes = layer(x, training=True)
    assert keras.backend.standardize_dtype(codes.dtype) == "bfloat16"
    assert {weight.dtype for weight in layer.weights} == {"float32"}
    assert np.isfinite(array(layer.components)).all()


def test_a_trained_layer_goes_on_after_saving(tmp_path):
    layer = NonNegativeFactorization(3, update="multiplicative")
    model = keras.Sequential([keras.Input((5,)), layer])
    model(positive(4, 5), training=True)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for one in (model, again):
        one(positive(4, 5, seed=3), training=True)
    np.testing.assert_allclose(
        array(again.layers[0].components), array(layer.components), rtol=1e-5
    )


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.distribute")
def test_replicas_keep_the_same_components():
    import tensorflow as tf

    physical = tf.config.list_physical_devices("CPU")[:1]
    try:
        tf.config.set_logical_device_configuration(
            physical[0], [tf.config.LogicalDeviceConfiguration()] * 2
        )
    except RuntimeError:
        if len(tf.config.list_logical_devices("CPU")) < 2:
            pytest.skip("TensorFlow has started with one device")
    x = positive(8, 5).astype("float32")
    alone = NonNegativeFactorization(3, update="multiplicative", components_initializer="ones")
    alone.build((None, 5))
    start = np.random.default_rng(2).uniform(0.1, 1, (3, 5))
    alone.components.assign(start)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        layer = NonNegativeFactorization(3, update="multiplicative")
        layer.build((None, 5))
        layer.components.assign(start)
    data = tf.data.Dataset.from_tensor_slices(x).batch(8)
    for batch in strategy.experimental_distribute_dataset(data):
        strategy.run(tf.function(lambda part: layer(part, training=True)), (batch,))
    alone(x, training=True)
    np.testing.assert_allclose(array(layer.components), array(alone.components), rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "rank"),
        ({"rank": 2.5}, "rank"),
        ({"iterations": 0}, "iterations"),
        ({"component_iterations": -1}, "component_iterations"),
        ({"loss": "frobenius"}, "loss"),
        ({"update": "sgd"}, "update"),
        ({"returns": "both"}, "returns"),
        ({"momentum": 1.0}, "momentum"),
        ({"loss_weight": -1.0}, "loss_weight"),
        ({"update": "multiplicative", "components_regularizer": "l2"}, "components_regularizer"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=rf"`{message}`.*Received: .*{message}="):
        NonNegativeFactorization(**{"rank": 3, **options})


def test_the_number_of_features_must_be_known():
    with pytest.raises(ValueError, match=r"known number of features\. Received"):
        NonNegativeFactorization(3).build((None, None))
    layer = NonNegativeFactorization(3)
    assert layer.compute_output_shape((None, 7, 5)) == (None, 7, 3)
    layer = NonNegativeFactorization(3, returns="reconstruction")
    assert layer.compute_output_shape((None, 7, 5)) == (None, 7, 5)
