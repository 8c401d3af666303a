"""`ActivationPercentiles` against NumPy's percentiles and moments of the activations."""

import keras
import numpy as np
import pytest
from keras import ops
from methodical.models.batch_norm import ActivationPercentiles, BatchNormalization

UNITS = 5


def data(examples=48):
    return np.random.default_rng(0).normal(1.0, 2.0, (examples, 4)).astype("float32")


@pytest.fixture
def model():
    keras.utils.set_random_seed(1)
    block = keras.Sequential(
        [
            keras.Input((UNITS,)),
            BatchNormalization(name="norm"),
            keras.layers.Activation("sigmoid", name="sigmoid"),
        ],
        name="block",
    )
    inputs = keras.Input((4,))
    x = block(keras.layers.Dense(UNITS, name="hidden")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(1, name="output")(x))
    model.compile(keras.optimizers.SGD(0.5), "mse")
    return model


class Reference(keras.callbacks.Callback):
    """Keeps what the layers give at the end of each epoch, worked out from the weights."""

    def __init__(self):
        super().__init__()
        self.hidden, self.normalized = [], []

    def on_train_begin(self, logs=None):
        self.on_epoch_end(0)

    def on_epoch_end(self, epoch, logs=None):
        kernel, bias, gamma, beta, mean, variance = (
            ops.convert_to_numpy(weight).astype("float64") for weight in self.model.weights[:6]
        )
        hidden = data() @ kernel + bias
        self.hidden.append(hidden)
        self.normalized.append(gamma * (hidden - mean) / np.sqrt(variance + 1e-3) + beta)


def fit(model, *callbacks, epochs=3, **options):
    x = data()
    options = {"batch_size": 8, "verbose": 0, **options}
    return model.fit(x, x[:, :1], epochs=epochs, callbacks=list(callbacks), **options)


def test_percentiles_moments_and_drift_are_numpys(model):
    watch = ActivationPercentiles(data(), ["hidden", "block/sigmoid"], side="input", unit=2)
    reference = Reference()
    history = fit(model, watch, reference).history
    rows = watch.history
    assert [(row["step"], row["epoch"]) for row in rows] == [(0, 0), (6, 1), (12, 2), (18, 3)]
    columns = watch.as_arrays()
    values = np.array([normalized[:, 2] for normalized in reference.normalized])
    expected = np.percentile(values, [15, 50, 85], axis=1)
    for row, name in zip(expected, ("p15", "p50", "p85"), strict=True):
        np.testing.assert_allclose(columns[f"block/sigmoid/{name}"], row, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(history[f"block/sigmoid/{name}"], row[1:], rtol=1e-4, atol=1e-5)
    mean, variance = values.mean(1), values.var(1)
    drift = np.abs(np.diff(mean)) / np.sqrt(variance[:-1])
    for name, expected in {
        "mean": mean[1:],
        "variance": variance[1:],
        "mean_drift": drift,
        "variance_drift": np.log(variance[1:] / variance[:-1]),
    }.items():
        np.testing.assert_allclose(history[f"block/sigmoid/{name}"], expected, rtol=1e-3, atol=1e-5)
    assert np.isnan(columns["hidden/mean_drift"][0])
    np.testing.assert_allclose(columns["hidden/p50"], np.median(data()[:, 2]), rtol=1e-6)
    assert history["percentiles/step"] == [6, 12, 18]


def test_all_units_of_the_output_and_other_percentiles(model):
    watch = ActivationPercentiles(data(), "hidden", side="output", percentiles=(2.5, 100))
    reference = Reference()
    fit(model, watch, reference, epochs=1)
    row = watch.history[-1]
    np.testing.assert_allclose(row["hidden/p2.5"], np.percentile(reference.hidden[-1], 2.5), 1e-4)
    np.testing.assert_allclose(row["hidden/p100"], np.max(reference.hidden[-1]), rtol=1e-4)


def test_every_steps_and_no_measurement_twice(model):
    watch = ActivationPercentiles(data(), "block/norm", every_steps=4)
    every_epoch = ActivationPercentiles(data(), "block/norm", prefix="again/")
    fit(model, watch, every_epoch, epochs=2)
    assert [(row["step"], row["epoch"]) for row in watch.history] == [
        (0, 0),
        (4, 1),
        (6, 1),
        (8, 2),
        (12, 2),
    ]
    columns = watch.as_arrays()
    # Within an epoch the weights are those of the step, on every backend.
    assert len(set(columns["block/norm/mean"])) == 5
    np.testing.assert_array_equal(
        columns["block/norm/p50"][[0, 2, 4]], every_epoch.as_arrays()["again/block/norm/p50"]
    )


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch's takes one step a time.")
def test_several_steps_per_execution(model):
    watch = ActivationPercentiles(data(), "block/norm", every_steps=4)
    model.compile(keras.optimizers.SGD(0.5), "mse", steps_per_execution=3)
    fit(model, watch, epochs=2)
    assert [row["step"] for row in watch.history] == [0, 6, 9, 12]


def test_training_goes_on_as_if_unwatched(model):
    start = model.get_weights()
    keras.utils.set_random_seed(4)
    unwatched = fit(model, shuffle=False).history["loss"]
    model.set_weights(start)
    watch = ActivationPercentiles(data(), "block/norm", every_steps=1)
    watched = fit(model, watch, shuffle=False).history["loss"]
    np.testing.assert_allclose(watched, unwatched, rtol=1e-6)


def test_epochs_done_before_an_interruption_are_taken_from_their_logs(model):
    class Keeper(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.logs = []

        def on_epoch_end(self, epoch, logs=None):
            self.logs.append(dict(logs))

    start = model.get_weights()
    keeper = Keeper()
    whole = ActivationPercentiles(data(), "block/norm")
    fit(model, whole, keeper, shuffle=False)

    class Replay(keras.callbacks.Callback):
        """Tells of the first two epochs again, as the Trainer does, and then restores."""

        def on_train_begin(self, logs=None):
            for epoch in range(2):
                resumed.on_epoch_begin(epoch)
                resumed.on_epoch_end(epoch, dict(keeper.logs[epoch]))

    model.set_weights(start)
    fit(model, epochs=2, shuffle=False)
    after_two = model.get_weights()

    class Restore(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.model.set_weights(after_two)

    model.set_weights(start)
    resumed = ActivationPercentiles(data(), "block/norm")
    fit(model, resumed, Replay(), Restore(), initial_epoch=2, shuffle=False)
    expected, found = whole.as_arrays(), resumed.as_arrays()
    assert list(found) == list(expected)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, err_msg=name)


def test_one_constant_unit_has_no_drift(model):
    for weight in model.weights[:2]:
        weight.assign(np.zeros(weight.shape))
    watch = ActivationPercentiles(data(), "hidden", side="output")
    fit(model, watch, epochs=1)
    assert np.isnan(watch.history[-1]["hidden/mean_drift"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": "hiden"}, "Did you mean 'hidden'.*'hiden'"),
        ({"layers": "block/sigmod"}, "Did you mean 'block/sigmoid'"),
        ({"layers": "hidden/norm"}, "must name layers"),
        ({"layers": "hidden", "unit": 4}, "one of the 4 units at the input of 'hidden'.*unit=4"),
        ({"layers": "hidden", "side": "both"}, "side='both'"),
        ({"layers": "hidden", "percentiles": (15, 150)}, "percentiles="),
        ({"layers": "hidden", "every_steps": 0}, "every_steps=0"),
        ({"layers": []}, "at least one layer"),
        ({"layers": keras.layers.ReLU()}, "must be names of layers"),
        ({"layers": ["hidden", "hidden"]}, "each given once"),
        ({"layers": "hidden", "unit": 1.5}, "unit=1.5"),
    ],
)
def test_errors_say_what_was_expected(model, options, message):
    with pytest.raises(ValueError, match=message):
        fit(model, ActivationPercentiles(data(), **options))


def test_two_callbacks_with_one_name_are_an_error(model):
    callbacks = [ActivationPercentiles(data(), "hidden", side=side) for side in ("input", "output")]
    with pytest.raises(ValueError, match=r"`prefix`.*hidden/p15"):
        fit(model, *callbacks)


def test_a_layer_called_twice_or_with_two_inputs_is_an_error():
    inputs = keras.Input((4,))
    shared = keras.layers.Dense(4, name="shared")
    outputs = keras.layers.Add(name="sum")([shared(inputs), shared(shared(inputs))])
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"'shared', which 'functional.*' calls 3 times"):
        model.fit(data(), data(), callbacks=[ActivationPercentiles(data(), "shared")], verbose=0)
    with pytest.raises(ValueError, match=r"one tensor.*'sum' with 2"):
        model.fit(data(), data(), callbacks=[ActivationPercentiles(data(), "sum")], verbose=0)
    watch = ActivationPercentiles(data(), "sum", side="output")
    model.fit(data(), data(), callbacks=[watch], verbose=0)
    assert len(watch.history) == 2


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = keras.layers.Dense(1, name="hidden")

    def call(self, inputs):
        return self.hidden(inputs)


def test_a_model_without_a_graph_is_an_error():
    model = Subclassed()
    model.compile("sgd", "mse")
    watch = ActivationPercentiles(data(), "hidden")
    with pytest.raises(ValueError, match=r"must be functional.*Subclassed 'sub"):
        model.fit(data(), data()[:, :1], callbacks=[watch], verbose=0)
