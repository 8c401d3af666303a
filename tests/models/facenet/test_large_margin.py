"""Large margin nearest neighbors, against a transcription of the paper's objective in loops."""

import importlib

import keras
import numpy as np
import pytest
from keras import ops
from methodical.models.facenet.large_margin.large_margin_loss import LargeMarginLoss
from methodical.models.facenet.large_margin.large_margin_metric import LargeMarginMetric
from methodical.models.facenet.large_margin.pixel_metric_network import pixel_metric_network
from methodical.models.facenet.large_margin.positive_semidefinite import (
    PositiveSemidefinite,
    nearest_positive_semidefinite,
)
from methodical.models.facenet.large_margin.principal_projection import PrincipalProjection

# The package exports the function of this module's name.
objectives = importlib.import_module(
    "methodical.models.facenet.large_margin.large_margin_objective"
)
LABELS = np.array([0, 1, 0, 2, 1, 0, 2, 0, 3, 1])


def transcription(root, x, labels, targets, push):
    """Equations 11 to 13 of Weinberger & Saul 2009, and the gradient by `M` (equation 17)."""
    matrix = root.T @ root
    shares, gradient = np.zeros(len(x)), np.zeros_like(matrix)
    for i in range(len(x)):
        for j in targets[i]:
            if j < 0:
                continue
            pull = np.outer(x[i] - x[j], x[i] - x[j])
            shares[i] += (1 - push) * np.sum(pull * matrix)
            gradient += (1 - push) * pull
            for other in np.flatnonzero(labels != labels[i]):
                away = np.outer(x[i] - x[other], x[i] - x[other])
                hinge = 1 + np.sum((pull - away) * matrix)
                if hinge > 0:
                    shares[i] += push * hinge
                    gradient += push * (pull - away)
    return shares, gradient


def nearest_alike(x, labels, neighbors):
    """The nearest examples of each one's label, -1 where there are too few."""
    targets = np.full((len(x), neighbors), -1)
    for i in range(len(x)):
        distances = np.square(x - x[i]).sum(axis=1)
        alike = [j for j in np.argsort(distances) if labels[j] == labels[i] and j != i]
        targets[i, : len(alike[:neighbors])] = alike[:neighbors]
    return targets


def drawn(seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(len(LABELS), 4)), generator.normal(size=(3, 4)) * 0.6


def anisotropic(seed, count=120):
    """Four labels told apart in two directions of six; the others are noise of twice the size."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 4
    x = generator.normal(size=(count, 6)) * [0.3, 0.3, 2, 2, 2, 2]
    x[:, 0] += labels % 2
    x[:, 1] += labels // 2
    return x.astype("float32"), labels.astype("int32")


def neighbor_error(mapping, seed=1):
    """Share of unseen examples whose nearest training example has another label."""
    x, labels = anisotropic(seed)
    probes, wanted = anisotropic(seed + 100)
    mapped, probes = (ops.convert_to_numpy(mapping(part)) for part in (x, probes))
    nearest = np.square(probes[:, None] - mapped).sum(axis=2).argmin(axis=1)
    return np.mean(labels[nearest] != wanted)


@pytest.mark.parametrize(("neighbors", "push"), [(1, 0.5), (3, 0.8), (20, 0.5)])
def test_the_loss_and_its_gradient_are_the_papers(neighbors, push):
    x, root = drawn()
    mapped = x @ root.T
    shares, by_matrix = transcription(
        root, x, LABELS, nearest_alike(mapped, LABELS, neighbors), push
    )
    loss = LargeMarginLoss(neighbors=neighbors, push=push, reduction="sum")
    unreduced = LargeMarginLoss(neighbors=neighbors, push=push, reduction="none")
    found = unreduced(LABELS, mapped.astype("float32"))
    np.testing.assert_allclose(ops.convert_to_numpy(found), shares, rtol=1e-4)
    metric = LargeMarginMetric(3, initializer="zeros")
    model = keras.Sequential([keras.Input((4,)), metric])
    metric.transformation.assign(root)
    model.compile(keras.optimizers.SGD(1e-3), loss=loss, jit_compile=False)
    model.fit(x.astype("float32"), LABELS, batch_size=len(x), verbose=0)
    step = (root - ops.convert_to_numpy(metric.transformation)) / 1e-3
    np.testing.assert_allclose(step, 2 * root @ by_matrix, rtol=2e-3, atol=0.05)


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], [0, 0, 1]])
def test_batches_without_impostors_or_neighbors_or_with_equal_vectors(labels):
    vectors = np.ones((3, 2), "float32")
    loss = LargeMarginLoss()
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.compile(keras.optimizers.SGD(0.1), loss=loss, jit_compile=False)
    model.fit(vectors, np.array(labels), verbose=0)
    assert all(np.isfinite(ops.convert_to_numpy(weight)).all() for weight in model.weights)
    # Equal vectors: every target neighbor has every impostor at the whole margin.
    expected = {(0, 0, 1): 0.5 * 2 / 3}.get(tuple(labels), 0.0)
    assert float(ops.convert_to_numpy(loss(np.array(labels), vectors))) == pytest.approx(expected)


@pytest.mark.parametrize("entries", [1, 35, 2**21])
def test_the_objective_on_a_fixed_set_is_the_papers(monkeypatch, entries):
    monkeypatch.setattr(objectives, "BLOCK_ENTRIES", entries)
    x, root = drawn(1)
    targets = objectives.target_neighbors(x, LABELS, 2)
    np.testing.assert_array_equal(targets, nearest_alike(x, LABELS, 2))
    shares, by_matrix = transcription(root, x, LABELS, targets, 0.3)
    value, gradient = objectives.large_margin_objective(root, x, LABELS, targets, 0.3)
    assert value == pytest.approx(shares.sum())
    np.testing.assert_allclose(gradient, by_matrix, atol=1e-9)


def test_fit_learns_a_pseudo_metric_that_lowers_the_error():
    x, labels = anisotropic(1)
    before = neighbor_error(lambda part: part)
    metric = LargeMarginMetric()
    history = metric.fit(x, labels)
    assert np.all(np.diff(history) < 0)
    assert history[-1] < history[0] / 2
    assert before > 0.5
    assert neighbor_error(metric) < before - 0.25
    assert np.linalg.eigvalsh(metric.matrix()).min() >= -1e-6
    mapped = ops.convert_to_numpy(metric(x)).astype("float64")
    difference = x[:30, None] - x[:30]
    distances = np.einsum("ijk,kl,ijl->ij", difference, metric.matrix(), difference)
    np.testing.assert_allclose(
        distances, np.square(mapped[:30, None] - mapped[:30]).sum(axis=2), rtol=1e-3, atol=1e-5
    )
    np.testing.assert_allclose(distances, distances.T, rtol=1e-6)
    assert not np.diag(distances).any()
    roots = np.sqrt(distances)
    assert (roots[:, None, :] <= roots[:, :, None] + roots[None, :, :] + 1e-6).all()


def test_any_start_ends_near_the_optimum_and_a_low_rank_stays_low():
    x, labels = anisotropic(1)
    ends = []
    for start in ("identity", keras.initializers.RandomNormal(seed=3)):
        metric = LargeMarginMetric(initializer=start)
        ends.append(metric.fit(x, labels, iterations=300, tolerance=0)[-1])
    assert ends[0] == pytest.approx(ends[1], rel=0.02)
    flat = LargeMarginMetric(2)
    end = flat.fit(x, labels)[-1]
    targets = objectives.target_neighbors(x, labels)
    root = ops.convert_to_numpy(flat.transformation)
    kept, _ = objectives.large_margin_objective(root, x, labels, targets)
    assert end == pytest.approx(kept, rel=1e-4)
    assert end > ends[0]
    assert ops.convert_to_numpy(flat.transformation).shape == (2, 6)
    assert neighbor_error(flat) < 0.4


def test_labels_of_any_kind_and_steps_that_are_not_taken():
    x, labels = anisotropic(1)
    names = np.array(["a", "b", "c", "d"])[labels]
    metric, other = LargeMarginMetric(), LargeMarginMetric()
    assert metric.fit(x, names, iterations=5) == other.fit(x, labels, iterations=5)
    assert len(LargeMarginMetric().fit(x, labels, iterations=0)) == 1


def test_fit_says_what_is_wrong():
    with pytest.raises(ValueError, match=r"shapes \(3, 2\) and \(2,\)"):
        LargeMarginMetric().fit(np.zeros((3, 2)), [0, 0])
    with pytest.raises(ValueError, match="1 not finite"):
        LargeMarginMetric().fit([[0.0], [np.nan]], [0, 0])
    with pytest.raises(ValueError, match="no two alike"):
        LargeMarginMetric().fit(np.zeros((3, 2)), [0, 1, 2])
    with pytest.raises(ValueError, match="neighbors=0"):
        LargeMarginMetric().fit(np.zeros((3, 2)), [0, 1, 1], neighbors=0)
    with pytest.raises(ValueError, match=r"at least 3.*\(None, 2\)"):
        LargeMarginMetric(3).build((None, 2))
    with pytest.raises(ValueError, match="size=0"):
        LargeMarginMetric(0)
    with pytest.raises(ValueError, match="push=2"):
        LargeMarginLoss(push=2)
    with pytest.raises(ValueError, match="neighbors=0"):
        LargeMarginLoss(neighbors=0)


@pytest.mark.parametrize(
    ("labels", "x", "words"),
    [
        (np.eye(3)[[0, 0, 1, 2]], np.ones((4, 2)), r"argmax.*Received: shape=\(4, 3\)"),
        (["a", "a", "b", "b"], np.ones((4, 2)), "np.unique.*Received: dtype=str"),
        ([0.0, 0.0, 0.5, 0.5], np.ones((4, 2)), "Received: dtype=float"),
        ([0, 0, 1], np.ones((4, 2)), "Received: 3 labels for 4 vectors"),
        ([0, 0, 1, 1], np.ones((4, 2, 1)), r"Received: shape=\(4, 2, 1\)"),
    ],
)
def test_a_batch_that_does_not_fit_is_an_error(labels, x, words):
    with pytest.raises(ValueError, match=words):
        LargeMarginLoss()(labels, x.astype("float32"))


def test_labels_in_a_column_are_labels():
    x = np.random.default_rng(3).normal(size=(4, 2)).astype("float32")
    labels = np.array([0, 0, 1, 1])
    loss = LargeMarginLoss(neighbors=1)
    assert float(loss(labels[:, None], x)) == float(loss(labels, x)) > 0


def test_projection_on_the_cone():
    matrix = np.random.default_rng(4).normal(size=(5, 5))
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    assert values[0] < 0 < values[3]
    expected = sum(
        max(value, 0) * np.outer(vector, vector)
        for value, vector in zip(values, vectors.T, strict=True)
    )
    found = nearest_positive_semidefinite(matrix)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(nearest_positive_semidefinite(found), found, atol=1e-12)
    largest = values[-1] * np.outer(vectors[:, -1], vectors[:, -1])
    np.testing.assert_allclose(nearest_positive_semidefinite(matrix, 1), largest, atol=1e-12)
    constrained = PositiveSemidefinite()(ops.convert_to_tensor(matrix.astype("float32")))
    np.testing.assert_allclose(ops.convert_to_numpy(constrained), expected, atol=1e-5)
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        nearest_positive_semidefinite(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        PositiveSemidefinite()(np.zeros((2, 3)))


@pytest.mark.parametrize("constraint", [None, PositiveSemidefinite()])
def test_a_constrained_weight_stays_in_the_cone_while_it_is_trained(constraint):
    layer = keras.layers.Dense(
        3, use_bias=False, kernel_initializer="identity", kernel_constraint=constraint
    )
    model = keras.Sequential([keras.Input((3,)), layer])
    model.compile(keras.optimizers.SGD(1.0), loss="mse", jit_compile=False)
    x = np.random.default_rng(5).normal(size=(16, 3)).astype("float32")
    model.fit(x, x @ np.diag([1.0, -2.0, 0.5]).astype("float32"), epochs=20, verbose=0)
    kernel = ops.convert_to_numpy(layer.kernel)
    least = np.linalg.eigvalsh((kernel + kernel.T) / 2).min()
    assert least >= -1e-6 if constraint else least < -1
    if constraint:
        np.testing.assert_allclose(kernel, kernel.T, atol=1e-6)


@pytest.mark.parametrize("whiten", [False, True])
def test_principal_projection_is_that_of_the_singular_values(whiten):
    generator = np.random.default_rng(6)
    images = generator.random((30, 4, 3, 1)) * np.linspace(0.2, 2, 4)[:, None, None]
    layer = PrincipalProjection(5, whiten=whiten)
    layer.adapt(images)
    again = PrincipalProjection(5, whiten=whiten)
    again.adapt(images)
    found = ops.convert_to_numpy(layer(images.astype("float32")))
    np.testing.assert_array_equal(found, ops.convert_to_numpy(again(images.astype("float32"))))
    flat = images.reshape(30, -1) - images.reshape(30, -1).mean(axis=0)
    _, values, directions = np.linalg.svd(flat, full_matrices=False)
    expected = flat @ directions[:5].T
    if whiten:
        expected /= values[:5] / np.sqrt(29)
        np.testing.assert_allclose(found.var(axis=0, ddof=1), 1, rtol=1e-3)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), rtol=1e-2, atol=1e-4)
    assert not layer.trainable_weights


def test_whitening_does_not_blow_up_directions_without_variance():
    images = np.outer(np.arange(6.0), np.ones(4)).astype("float32")
    layer = PrincipalProjection(3, whiten=True)
    layer.adapt(images)
    assert np.abs(ops.convert_to_numpy(layer(images))).max() < 10


def test_principal_projection_says_what_is_wrong():
    with pytest.raises(ValueError, match="Received: 2,"):
        PrincipalProjection(3).adapt(np.zeros((2, 5)))
    with pytest.raises(ValueError, match="1 numbers not finite"):
        PrincipalProjection(1).adapt([[0.0, 1.0], [np.inf, 1.0]])
    with pytest.raises(ValueError, match="at least 7"):
        PrincipalProjection(7).build((None, 3, 2))
    with pytest.raises(ValueError, match="known size"):
        PrincipalProjection(1).build((None, None, 2))
    with pytest.raises(ValueError, match="components=0"):
        PrincipalProjection(0)


def test_the_pixel_network_trains_its_metric_and_nothing_else(tmp_path):
    x, labels = anisotropic(1)
    images = x.reshape(-1, 3, 2, 1)
    projection = PrincipalProjection(6)
    projection.adapt(images)
    eigenfaces = pixel_metric_network((3, 2, 1), projection, metric=False)
    assert not eigenfaces.trainable_weights
    model = pixel_metric_network((3, 2, 1), projection)
    assert [weight.name for weight in model.trainable_weights] == ["transformation"]

    def error(network):
        return neighbor_error(lambda part: network(part.reshape(-1, 3, 2, 1)))

    before = error(model)
    assert before == pytest.approx(error(eigenfaces), abs=0.02)
    basis = ops.convert_to_numpy(projection.basis)
    model.compile(keras.optimizers.Adam(0.03), loss=LargeMarginLoss(), jit_compile=False)
    model.fit(images, labels, batch_size=40, epochs=15, verbose=0)
    assert error(model) < before - 0.25
    np.testing.assert_array_equal(ops.convert_to_numpy(projection.basis), basis)
    assert np.linalg.eigvalsh(model.get_layer("metric").matrix()).min() >= -1e-6
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        ops.convert_to_numpy(loaded(images)), ops.convert_to_numpy(model(images)), atol=1e-5
    )
    low = pixel_metric_network((3, 2, 1), projection, size=2)
    assert low.output_shape == (None, 2)
    with pytest.raises(ValueError, match="size=2, metric=False"):
        pixel_metric_network((3, 2, 1), projection, metric=False, size=2)
