"""The layer and the callbacks of FaceNet's training: unit vectors, margins, collapse."""

import json

import keras
import numpy as np
import pytest
from keras import ops
from methodical.models.facenet.networks.unit_embedding import UnitEmbedding
from methodical.models.facenet.triplets.collapse_monitor import CollapseMonitor
from methodical.models.facenet.triplets.margin_schedule import (
    MarginSchedule,
    linear_margin,
    stepped_margin,
)
from methodical.models.facenet.triplets.triplet_loss import TripletLoss

# torch.compile needs a C++ compiler and half a minute a layer.
JIT = keras.backend.backend() != "torch"


def faces(seed=0, identities=6, images=4):
    """Points around one center an identity."""
    generator = np.random.default_rng(seed)
    centers = generator.normal(size=(identities, 8))
    labels = np.repeat(np.arange(identities), images)
    x = centers[labels] + 0.4 * generator.normal(size=(len(labels), 8))
    return x.astype("float32"), labels.astype("int32")


def network(learning_rate, jit=False, **loss):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8,)), UnitEmbedding(4)])
    optimizer = keras.optimizers.SGD(learning_rate)
    model.compile(optimizer, loss=TripletLoss(**loss), jit_compile=jit)
    return model


def fit(model, epochs, callbacks, **options):
    x, labels = faces()
    return model.fit(
        x, labels, batch_size=24, shuffle=False, verbose=0, epochs=epochs, callbacks=callbacks,
        **options,
    ).history  # fmt: skip


def test_unit_embedding_is_a_linear_map_to_the_sphere():
    layer = UnitEmbedding(3, kernel_initializer="ones")
    x = np.array([[[1.0, 2.0]], [[-3.0, 1.0]]], "float32")
    y = ops.convert_to_numpy(layer(x))
    root = 3**-0.5
    np.testing.assert_allclose(y, [[[root] * 3], [[-root] * 3]], rtol=1e-6)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_unit_embedding_of_zeros_is_zeros_and_trains(policy):
    layer = UnitEmbedding(4, dtype=policy)
    model = keras.Sequential([keras.Input((8,)), layer])
    model.compile(keras.optimizers.SGD(0.1), loss=TripletLoss(), jit_compile=False)
    x, labels = faces()
    zeros = np.zeros_like(x)
    assert not ops.convert_to_numpy(ops.cast(layer(zeros), "float32")).any()
    before = layer.get_weights()
    model.train_on_batch(zeros, labels)
    for weight, old in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)
    history = model.fit(np.concatenate([zeros, x]), np.tile(labels, 2), verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert all(np.isfinite(weight).all() for weight in layer.get_weights())


def test_unit_embedding_of_large_half_precision_does_not_overflow():
    layer = UnitEmbedding(64, dtype="mixed_float16", kernel_initializer="ones")
    y = ops.convert_to_numpy(layer(np.full((1, 8), 500.0, "float32")))
    np.testing.assert_allclose(y, 0.125, rtol=1e-3)


def test_unit_embedding_needs_a_size_and_known_features():
    with pytest.raises(ValueError, match="Received: size=0"):
        UnitEmbedding(0)
    with pytest.raises(ValueError, match=r"Received: input_shape=\(None, None\)"):
        UnitEmbedding(4)(keras.Input((None,)))
    config = json.loads(json.dumps(UnitEmbedding(np.int64(8)).get_config()))
    assert UnitEmbedding.from_config(config).size == 8


def test_margin_changes_within_a_compiled_training():
    margins = {0: 0.1, 1: 0.6, 3: 1.5}
    options = {"selection": "all", "average": "all"}
    model = network(0.0, JIT, margin=0.3, **options)
    x, labels = faces()
    history = fit(model, 4, [MarginSchedule(stepped_margin(margins))], validation_data=(x, labels))
    assert history["margin"] == [0.1, 0.6, 0.6, 1.5]
    embeddings = model.predict(x, verbose=0)
    expected = [
        float(TripletLoss(margin, **options)(labels, embeddings)) for margin in history["margin"]
    ]
    assert len(set(expected)) == 3
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(history["val_loss"], expected, rtol=1e-5)
    assert model.loss.get_config()["margin"] == 1.5


def test_margin_of_a_resumed_training_goes_on(tmp_path):
    schedule = MarginSchedule(linear_margin(0.1, 0.9, epochs=4))
    whole = network(0.5, selection="all")
    expected = fit(whole, 6, [schedule])
    np.testing.assert_allclose(expected["margin"], [0.1, 0.3, 0.5, 0.7, 0.9, 0.9])
    killed = network(0.5, selection="all")
    fit(killed, 3, [schedule])
    killed.save(tmp_path / "model.keras")
    resumed = keras.saving.load_model(tmp_path / "model.keras")
    assert resumed.loss.margin == pytest.approx(0.5)
    found = fit(resumed, 6, [schedule], initial_epoch=3)
    assert found["margin"] == expected["margin"][3:]
    np.testing.assert_allclose(found["loss"], expected["loss"][3:], rtol=1e-5)


def test_margin_schedules_need_what_they_need():
    with pytest.raises(ValueError, match="Received: epochs=0"):
        linear_margin(0.1, 0.2, 0)
    with pytest.raises(ValueError, match=r"Received: steps=\{3: 0.2\}"):
        stepped_margin({3: 0.2})
    with pytest.raises(ValueError, match=r"function of the epoch.*Received: schedule=0\.2"):
        MarginSchedule(0.2)
    schedule = MarginSchedule(lambda epoch: 0.1)
    model = network(0.1, margin="soft")
    with pytest.raises(ValueError, match="whose margin is a number"):
        fit(model, 1, [schedule])
    model.compile(loss="mse", jit_compile=False)
    schedule.set_model(model)
    with pytest.raises(ValueError, match="Received: loss='mse'"):
        schedule.on_train_begin()


def test_monitor_measures_a_healthy_embedding():
    x, labels = faces()
    model = network(0.5, selection="all")
    monitor = CollapseMonitor(x, labels)
    history = fit(model, 3, [monitor])
    embeddings = model.predict(x, verbose=0).astype("float64")
    d = np.square(embeddings[:, None] - embeddings[None]).sum(-1)
    alike, itself = labels[:, None] == labels, np.eye(24, dtype=bool)
    active = [
        d[a, n] < d[a, p] + 0.2
        for a in range(24)
        for p in range(24)
        for n in range(24)
        if alike[a, p] and a != p and not alike[a, n]
    ]
    for name, expected in {
        "embedding_spread": d[~itself].mean(),
        "positive_distance": d[alike & ~itself].mean(),
        "negative_distance": d[~alike].mean(),
        "active_triplets": np.mean(active),
    }.items():
        assert len(history[name]) == 3
        assert history[name][-1] == pytest.approx(expected, rel=1e-5)
    assert monitor.collapsed is None


def test_monitor_warns_of_a_collapse_once():
    x, labels = faces()
    model = network(0.0)
    # A bias far larger than the rest: all points in one direction.
    model.layers[0].bias.assign([1e4, 0, 0, 0])
    monitor = CollapseMonitor(x, labels)
    words = r"collapsed to a point in epoch 0.*of 24 images is .*e-.*smaller learning rate"
    with pytest.warns(RuntimeWarning, match=words) as warned:
        history = fit(model, 3, [monitor])
    assert len([each for each in warned if each.category is RuntimeWarning]) == 1
    assert monitor.collapsed == 0
    assert history["active_triplets"] == [1.0] * 3
    np.testing.assert_allclose(history["loss"], 0.2, atol=1e-3)
    # The spread of a near point is not lost in the rounding of float32.
    assert 0 < history["embedding_spread"][0] < 1e-5


def test_monitor_warns_of_nan():
    x, labels = faces()
    model = network(0.0)
    model.layers[0].bias.assign([np.nan] * 4)
    with pytest.warns(RuntimeWarning, match="is nan, expected"):
        fit(model, 1, [CollapseMonitor(x, labels)])


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.zeros(24, int), "one of another. Received: 24 images of 1 known identities and 0 of"),
        (np.arange(24), "Received: 24 images of 24 known identities"),
        (np.full(24, -1), "Received: 0 images of 0 known identities and 24 of unknown people"),
        (np.eye(4, dtype=int).repeat(6, 0), r"argmax.*Received: shape=\(24, 4\)"),
        (np.arange(12) // 2, r"Received: 12 labels for images of the shape \(24, 8\)"),
        (np.arange(24) / 2, "must be integers.*Received: dtype=float64"),
    ],
)
def test_monitor_says_what_is_wrong_with_labels(labels, words):
    for x in (faces()[0], {"image": faces()[0]}):
        with pytest.raises(ValueError, match=words):
            CollapseMonitor(x, labels)


def test_monitor_takes_labels_in_a_column_and_needs_a_margin():
    x, labels = faces()
    monitor = CollapseMonitor({"image": x}, ops.convert_to_tensor(labels[:, None]))
    np.testing.assert_array_equal(monitor.labels, labels)
    model = network(0.1, margin="soft")
    with pytest.raises(ValueError, match="the argument `margin`"):
        fit(model, 1, [CollapseMonitor(*faces())])
    assert "active_triplets" in fit(model, 1, [CollapseMonitor(*faces(), margin=0.3)])
