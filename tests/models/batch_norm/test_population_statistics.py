"""`estimate_population_statistics` against transcriptions of Algorithm 2 and NumPy's moments."""

import keras
import numpy as np
import pytest
from keras import ops
from methodical.models.batch_norm import BatchNormalization, estimate_population_statistics

EPSILON = 1e-3


def array(tensor):
    return ops.convert_to_numpy(tensor)


def data(examples=50, shape=(6, 6, 2), seed=0):
    generator = np.random.default_rng(seed)
    x = generator.normal(3.0, 2.0, (examples, *shape))
    # Batches that differ make the two kinds of average differ.
    return (x + np.arange(examples).reshape(-1, *[1] * len(shape)) / 10).astype("float32")


def batched(x, size):
    return [x[start : start + size] for start in range(0, len(x), size)]


def linear(model, layer, x):
    """What a Dense or convolutional layer gives, in float64 as far as NumPy's part goes."""
    return array(model.get_layer(layer)(x)).astype("float64")


def algorithm_2(batches, channels):
    """Steps 9 and 10 of Algorithm 2: `E[x] = E_B[μ_B]`, `Var[x] = E_B[m/(m−1) σ²_B]`."""
    means, variances = [], []
    for batch in batches:
        values = batch.reshape(-1, channels).astype("float64")
        m = len(values)
        mean = values.sum(0) / m
        means.append(mean)
        variances.append(m / (m - 1) * ((values - mean) ** 2).sum(0) / m)
    return np.mean(means, axis=0), np.mean(variances, axis=0)


def normalize(values):
    """A new layer's output in training, in float64."""
    axes = tuple(range(values.ndim - 1))
    return (values - values.mean(axes)) / np.sqrt(values.var(axes) + EPSILON)


@pytest.fixture
def model():
    keras.utils.set_random_seed(2)
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            keras.layers.Conv2D(4, 3, name="convolution"),
            BatchNormalization(name="first"),
            keras.layers.Dropout(0.5),
            BatchNormalization(name="second"),
        ],
        name="net",
    )


@pytest.mark.parametrize("size", [10, 16])
def test_over_batches_is_algorithm_2(model, size):
    x = data()
    batches = batched(x, size)
    found = estimate_population_statistics(model, batches)
    assert (found.batches, found.examples, found.unchanged) == (len(batches), 50, ())
    inputs = [linear(model, "convolution", batch) for batch in batches]
    for name, values in (("first", inputs), ("second", [normalize(v) for v in inputs])):
        mean, variance = algorithm_2(values, 4)
        layer = model.get_layer(name)
        np.testing.assert_allclose(array(layer.moving_mean), mean, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(array(layer.moving_variance), variance, rtol=1e-5)
        np.testing.assert_allclose(found.variance[layer.path], variance, rtol=1e-5)


@pytest.mark.parametrize("size", [1, 7, 50])
def test_over_examples_is_numpys_mean_and_variance(model, size):
    x = data()
    found = estimate_population_statistics(model, batched(x, size), over="examples")
    assert found.examples == 50
    values = linear(model, "convolution", x).reshape(-1, 4)
    layer = model.get_layer("first")
    np.testing.assert_allclose(found.mean[layer.path], np.mean(values, 0), rtol=1e-5)
    np.testing.assert_allclose(found.variance[layer.path], np.var(values, 0, ddof=1), rtol=1e-5)
    np.testing.assert_allclose(array(layer.moving_variance), found.variance[layer.path], rtol=1e-6)


class Counter(keras.layers.Layer):
    """Counts its calls, in inference too."""

    def build(self, shape):
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, inputs):
        self.calls.assign_add(1.0)
        return inputs


def test_nothing_else_changes(model):
    model.add(Counter())
    names = ("moving_mean", "moving_variance")
    before = {w.path: array(w).copy() for w in model.weights + model.variables}
    estimate_population_statistics(model, batched(data(), 10))
    changed = {
        w.path for w in model.weights + model.variables if np.any(array(w) != before[w.path])
    }
    assert {path.rsplit("/")[-1] for path in changed} == set(names)
    assert len(changed) == 4
    x = data(8)
    np.testing.assert_array_equal(array(model(x)), array(model(x)))


def test_masked_and_ghost_batches():
    x = data(12, (5, 3))
    x[4:8, 3:] = 0
    layers = [keras.layers.Masking(), BatchNormalization(ghost_batch_size=2, momentum=None)]
    model = keras.Sequential([keras.Input((5, 3)), *layers])
    estimate_population_statistics(model, batched(x, 4))
    groups = [group[np.any(group != 0, axis=-1)] for group in batched(x, 2)]
    mean, variance = algorithm_2(groups, 3)
    np.testing.assert_allclose(array(layers[1].moving_mean), mean, rtol=1e-5)
    np.testing.assert_allclose(array(layers[1].moving_variance), variance, rtol=1e-5)
    assert int(layers[1].steps) == 0
    estimate_population_statistics(model, batched(x, 4), over="examples")
    pooled = np.concatenate(groups).astype("float64")
    np.testing.assert_allclose(array(layers[1].moving_variance), pooled.var(0, ddof=1), rtol=1e-5)


def test_batches_of_one_value_are_left_out():
    layer = BatchNormalization()
    model = keras.Sequential([keras.Input((3,)), layer])
    x = data(9, (3,))
    estimate_population_statistics(model, [x[:8], x[8:]])
    np.testing.assert_allclose(array(layer.moving_mean), x[:8].mean(0), rtol=1e-5)
    before = array(layer.moving_mean).copy()
    with pytest.raises(ValueError, match="at least two values"):
        estimate_population_statistics(model, [x[:1], x[1:2]])
    np.testing.assert_array_equal(array(layer.moving_mean), before)
    estimate_population_statistics(model, batched(x, 1), over="examples")
    np.testing.assert_allclose(array(layer.moving_variance), x.var(0, ddof=1), rtol=1e-5)


def test_nested_shared_wrapped_and_frozen_layers():
    inner = keras.Sequential([keras.Input((3,)), BatchNormalization(name="norm")], name="inner")
    twin_input = keras.Input((3,))
    twin = keras.Model(twin_input, BatchNormalization(name="norm")(twin_input), name="twin")
    shared = BatchNormalization(name="shared", epsilon=EPSILON)
    frozen = BatchNormalization(name="frozen")
    frozen.trainable = False
    wrapped = keras.layers.TimeDistributed(BatchNormalization(name="inside"))
    inputs = keras.Input((3,))
    x = frozen(twin(inner(inputs)))
    x = shared(shared(x) * 2.0 + 5.0)
    x = wrapped(keras.layers.Reshape((1, 3))(x))
    model = keras.Model(inputs, x)
    batches = batched(data(40, (3,)), 20)
    found = estimate_population_statistics(model, batches)
    assert found.unchanged == (frozen.path,)
    assert len(found.mean) == 4
    np.testing.assert_array_equal(array(frozen.moving_mean), 0)
    outputs = [normalize(normalize(batch.astype("float64"))) for batch in batches]
    outputs = [batch / np.sqrt(1 + EPSILON) for batch in outputs]
    again = [normalize(batch) * 2 + 5 for batch in outputs]
    mean, variance = algorithm_2(outputs + again, 3)
    np.testing.assert_allclose(array(shared.moving_mean), mean, rtol=1e-4)
    np.testing.assert_allclose(array(shared.moving_variance), variance, rtol=1e-4)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)
        self.norm = BatchNormalization()
        self.fixed = BatchNormalization()

    def call(self, inputs):
        return self.fixed(self.norm(self.dense(inputs["x"])), training=False)


def test_a_subclassed_model_that_is_not_built():
    model = Subclassed()
    x = data(20, (2,))
    found = estimate_population_statistics(model, [({"x": batch}, None) for batch in batched(x, 5)])
    assert found.unchanged == (model.fixed.path,)
    mean, variance = algorithm_2([array(model.dense(batch)) for batch in batched(x, 5)], 3)
    np.testing.assert_allclose(array(model.norm.moving_mean), mean, rtol=1e-5)
    np.testing.assert_allclose(array(model.norm.moving_variance), variance, rtol=1e-5)


class Batches(keras.utils.PyDataset):
    def __init__(self, x, size):
        super().__init__()
        self.batches = batched(x, size)

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, number):
        return self.batches[number], np.zeros(len(self.batches[number]))


def test_kinds_of_data_sets_and_steps(model):
    x = data(30)
    first = estimate_population_statistics(model, batched(x, 10))
    datasets = [
        x.reshape(3, 10, 6, 6, 2),
        [(batch,) for batch in batched(x, 10)],
        iter([[batch, None, np.ones(10)] for batch in batched(x, 10)]),
        Batches(x, 10),
    ]
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        endless = tf.data.Dataset.from_tensor_slices((x, x)).batch(10).repeat()
        datasets.append(endless.take(3))
        with pytest.raises(ValueError, match="must end"):
            estimate_population_statistics(model, endless)
        assert estimate_population_statistics(model, endless, steps=4).batches == 4
    if keras.backend.backend() == "torch":
        import torch

        datasets.append(torch.utils.data.DataLoader(torch.tensor(x), batch_size=10))
    for dataset in datasets:
        found = estimate_population_statistics(model, dataset)
        assert (found.batches, found.examples) == (3, 30)
        for path, mean in first.mean.items():
            np.testing.assert_allclose(found.mean[path], mean, rtol=1e-6)
    assert estimate_population_statistics(model, batched(x, 10), steps=2).batches == 2


def test_progress_is_shown_when_asked(model, capsys):
    estimate_population_statistics(model, batched(data(20), 10), verbose=1)
    assert "2/2" in capsys.readouterr().out
    estimate_population_statistics(model, batched(data(20), 10))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        ([], {}, "at least one batch.*list without batches"),
        (data(4), {}, r"must yield batches.*\(6, 6, 2\) for an input of shape \(None, 6, 6, 2\)"),
        (data(4)[None], {"over": "everything"}, "over='everything'"),
        (data(4)[None], {"steps": 0}, "steps=0"),
        (np.full((1, 4, 6, 6, 2), np.nan, "float32"), {}, "must be finite"),
    ],
)
def test_errors_change_nothing(model, dataset, options, message):
    before = [array(weight).copy() for weight in model.weights]
    with pytest.raises(ValueError, match=message):
        estimate_population_statistics(model, dataset, **options)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(array(weight), value)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_model_without_such_a_layer_is_an_error(frozen):
    layer = BatchNormalization(name="ours") if frozen else keras.layers.BatchNormalization()
    layer.trainable = False
    model = keras.Sequential([keras.Input((3,)), layer], name="net")
    with pytest.raises(ValueError, match=r"keras.layers.BatchNormalization.*'net' with"):
        estimate_population_statistics(model, [data(4, (3,))])
