"""Harmonic embeddings: the appendix's recipe on drawn clusters, and the loss triplet by triplet."""

import keras
import numpy as np
import pytest
from keras import ops
from methodical.models.facenet.measures.verification import verify
from methodical.models.facenet.triplets.harmonic_embedding import HarmonicModel
from methodical.models.facenet.triplets.triplet_loss import TripletLoss

FEATURES, SIZE, CAUSES = 24, 8, 8
MIXING = np.random.default_rng(0).normal(size=(FEATURES, FEATURES)) / np.sqrt(FEATURES)


def draw(identities, seed):
    """Eight examples of each identity: its causes and larger ones of no account, mixed."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(identities, dtype="int32"), 8)
    causes = generator.normal(size=(identities, CAUSES))[labels]
    causes += 0.35 * generator.normal(size=causes.shape)
    others = generator.normal(size=(len(labels), FEATURES - CAUSES))
    return np.tanh(np.concatenate([causes, others], axis=1) @ MIXING).astype("float32"), labels


def network(seed, width=None):
    """A layer, with `width` behind another, onto the sphere."""
    layers = [keras.Input((FEATURES,))]
    if width:
        layers.append(dense(width, seed, activation="relu"))
    return keras.Sequential([*layers, dense(SIZE, seed + 1), keras.layers.UnitNormalization()])


def dense(units, seed, **options):
    initializer = keras.initializers.GlorotUniform(seed)
    return keras.layers.Dense(units, kernel_initializer=initializer, **options)


def train(model, data, epochs, rate=0.01, selection="hard"):
    loss = TripletLoss(margin=0.2, selection=selection)
    model.compile(keras.optimizers.Adam(rate), loss=loss, jit_compile=False)
    return model.fit(*data, epochs=epochs, batch_size=128, shuffle=True, verbose=0)


def embed(model, inputs):
    return ops.convert_to_numpy(model(inputs, training=False)).astype("float64")


def accuracy(first, second, data):
    """Verification accuracy of the first network's vectors against the second's."""
    inputs, labels = data
    one, other = np.triu_indices(len(labels), 1)
    same = labels[one] == labels[other]
    different = np.random.default_rng(9).choice(np.flatnonzero(~same), same.sum(), replace=False)
    chosen = np.concatenate([np.flatnonzero(same), different])
    one, other, same = one[chosen], other[chosen], same[chosen]
    distances = np.square(embed(first, inputs)[one] - embed(second, inputs)[other]).sum(axis=1)
    return verify(distances, same).accuracy


def weights_of(model):
    return [ops.convert_to_numpy(weight) for weight in model.weights]


# Vectors of independent networks compare as chance does: on some backends a little worse.
@pytest.mark.filterwarnings("ignore:.*less than chance")
def test_the_recipe_makes_new_vectors_that_compare_with_old_ones():
    keras.utils.set_random_seed(1)
    unseen, many = draw(40, 5), draw(64, 2)
    old = network(1)
    train(old, draw(32, 1), epochs=10, selection="semi_hard")
    independent = network(3, width=64)
    train(independent, many, epochs=12, selection="semi_hard")
    before = weights_of(old)

    body = keras.Model(independent.inputs, independent.layers[0].output)
    body.trainable = False
    new = keras.Sequential([body, dense(SIZE, 77), keras.layers.UnitNormalization()])
    model = HarmonicModel(old, new)
    train(model, many, epochs=12, selection="semi_hard")
    np.testing.assert_array_equal(weights_of(body)[0], weights_of(independent)[0])
    body.trainable = True
    train(model, many, epochs=6, rate=0.003, selection="semi_hard")

    for one, other in zip(weights_of(old), before, strict=True):
        np.testing.assert_array_equal(one, other)
    old_alone = accuracy(old, old, unseen)
    assert accuracy(independent, old, unseen) < 0.6
    assert accuracy(new, old, unseen) > max(old_alone - 0.02, 0.72)
    assert accuracy(new, new, unseen) > old_alone
    np.testing.assert_array_equal(embed(model, unseen[0]), embed(new, unseen[0]))


@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_the_loss_is_that_of_both_networks_vectors_together(weight):
    inputs, labels = draw(4, 3)
    old, new = network(1), network(2)
    model = HarmonicModel(old, new, harmonic_weight=weight)
    loss = TripletLoss(margin=0.5, selection="all")
    model.compile(keras.optimizers.SGD(0.0), loss=loss, jit_compile=False)
    history = model.fit(inputs, labels, batch_size=len(labels), verbose=0).history["loss"]
    first, second = embed(old, inputs), embed(new, inputs)
    mixed = active_mean(np.concatenate([first, second]), np.concatenate([labels, labels]), 0.5)
    own = active_mean(second, labels, 0.5)
    assert abs(mixed - own) > 0.01
    assert history == [pytest.approx(weight * mixed + (1 - weight) * own, rel=1e-4)]
    evaluated = model.evaluate(inputs, labels, batch_size=len(labels), verbose=0)
    assert evaluated == pytest.approx(history[0], rel=1e-5)


def active_mean(vectors, labels, margin):
    """The mean loss of the triplets that have one, counted one by one."""
    distances = np.square(vectors[:, None] - vectors).sum(axis=2)
    alike = labels[:, None] == labels
    losses = []
    for anchor in range(len(labels)):
        positives = np.flatnonzero(alike[anchor] & (np.arange(len(labels)) != anchor))
        gaps = distances[anchor, positives][:, None] - distances[anchor, ~alike[anchor]]
        losses.append((gaps + margin).ravel())
    losses = np.concatenate(losses)
    return losses[losses > 0].mean()


def test_weights_of_examples_count_for_both_vectors():
    inputs, labels = draw(4, 3)
    weights = np.random.default_rng(4).random(len(labels)).astype("float32")
    old, new = network(1), network(2)
    model = HarmonicModel(old, new)
    loss = TripletLoss(margin=0.5, selection="all")
    model.compile(keras.optimizers.SGD(0.0), loss=loss, jit_compile=False)
    fitted = model.fit(inputs, labels, sample_weight=weights, batch_size=len(labels), verbose=0)
    both = np.concatenate([embed(old, inputs), embed(new, inputs)]).astype("float32")
    expected = loss(np.tile(labels, 2), both, sample_weight=np.tile(weights, 2))
    expected = float(ops.convert_to_numpy(expected))
    assert fitted.history["loss"] == [pytest.approx(expected, rel=1e-5)]


def test_the_old_network_runs_as_in_inference_and_stays_frozen():
    inputs, labels = draw(4, 3)
    noisy = keras.Sequential(
        [
            keras.Input((FEATURES,)),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            dense(SIZE, 1),
            keras.layers.UnitNormalization(),
        ]
    )
    before = weights_of(noisy)
    model = HarmonicModel(noisy, network(2))
    assert not noisy.trainable_weights
    assert len(model.trainable_weights) == 2
    model.trainable = False
    model.trainable = True
    assert len(model.trainable_weights) == 2
    loss = TripletLoss(margin=0.5, selection="all")
    model.compile(keras.optimizers.Adam(0.1), loss=loss, jit_compile=False)
    both = np.concatenate([embed(noisy, inputs), embed(model.new_network, inputs)])
    history = model.fit(inputs, labels, batch_size=len(labels), verbose=0).history["loss"]
    assert history == [pytest.approx(active_mean(both, np.tile(labels, 2), 0.5), rel=1e-4)]
    for one, other in zip(weights_of(noisy), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_loaded_model_goes_on_training(tmp_path):
    data = draw(4, 3)
    model = HarmonicModel(network(1), network(2, width=4), harmonic_weight=0.5)
    train(model, data, epochs=1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(embed(loaded, data[0]), embed(model, data[0]), atol=1e-6)
    np.testing.assert_allclose(
        embed(loaded.old_network, data[0]), embed(model.old_network, data[0]), atol=1e-6
    )
    assert loaded.harmonic_weight == 0.5
    assert not loaded.old_network.trainable_weights
    assert isinstance(loaded.loss, TripletLoss)
    before = weights_of(loaded.new_network)[0]
    train(loaded, data, epochs=1)
    assert np.any(weights_of(loaded.new_network)[0] != before)


def test_mixed_precision_beside_an_old_network_of_float32():
    data = draw(4, 3)
    old = network(1)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = HarmonicModel(old, network(2))
        history = train(model, data, epochs=2).history["loss"]
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(history).all()
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}


def test_wrong_networks_are_refused():
    shared = network(1)
    with pytest.raises(ValueError, match=r"clone_model.*Received"):
        HarmonicModel(shared, keras.Sequential([keras.Input((FEATURES,)), shared]))
    smaller = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(SIZE - 1)])
    with pytest.raises(ValueError, match=r"\(7,\) and, of the old network, \(8,\)"):
        HarmonicModel(network(1), smaller).build((None, FEATURES))
    with pytest.raises(ValueError, match="harmonic_weight=0"):
        HarmonicModel(network(1), network(2), harmonic_weight=0)
