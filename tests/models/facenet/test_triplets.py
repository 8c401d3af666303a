"""The triplet loss against an enumeration of all triplets in NumPy, and where others break."""

import json

import keras
import numpy as np
import pytest
from keras import ops
from methodical.models.facenet.triplets.distances import squared_distances
from methodical.models.facenet.triplets.offline_selection import offline_triplets
from methodical.models.facenet.triplets.triplet_loss import TripletLoss
from methodical.models.facenet.triplets.triplet_selection import SELECTIONS
from methodical.models.facenet.triplets.triplets import count_triplets, select_triplets

BACKEND = keras.backend.backend()
PAIRWISE = ("semi_hard", "hard", "batch_hard")


def value_and_gradient(function, x):
    """The value of a function of a tensor, and its gradient, as NumPy."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        x = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = function(x)
        return value.numpy(), tape.gradient(value, x).numpy()
    if BACKEND == "jax":
        import jax

        value, gradient = jax.value_and_grad(function)(x)
        return np.asarray(value), np.asarray(gradient)
    import torch

    x = torch.tensor(x, requires_grad=True)
    value = function(x)
    value.backward()
    return value.detach().numpy(), x.grad.numpy()


def batch(seed, count=14, identities=4, size=3):
    """Unit vectors, some identities with one image, two images of unknown people."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(count, size)).astype("float32")
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    labels = generator.integers(0, identities, count) * (10**9 // 3)
    labels[0], labels[-2:] = 7, (-1, -3)
    return x, labels.astype("int32")


def valid_triplets(labels):
    indices = range(len(labels))
    return [
        (a, p, n)
        for a in indices
        for p in indices
        for n in indices
        if a != p and labels[a] == labels[p] >= 0 and labels[n] != labels[a]
    ]


def enumerated(x, labels, selection, margin):
    """The triplets of a selection, by its definition, one after the other."""
    d = np.square(x[:, None].astype("float64") - x[None]).sum(-1)
    valid = valid_triplets(labels)
    if selection == "all":
        return valid
    if selection == "all_semi_hard":
        return [(a, p, n) for a, p, n in valid if d[a, p] < d[a, n] < d[a, p] + margin]
    chosen = []
    for a, p in sorted({(a, p) for a, p, _ in valid}):
        negatives = [n for b, q, n in valid if (b, q) == (a, p)]
        nearest = min(negatives, key=lambda n: d[a, n])
        if selection == "semi_hard":
            farther = [n for n in negatives if d[a, n] > d[a, p]]
            if farther:
                nearest = min(farther, key=lambda n: d[a, n])
            else:
                nearest = max(negatives, key=lambda n: d[a, n])
        chosen.append((a, p, nearest))
    if selection == "batch_hard":
        anchors = sorted({a for a, _, _ in chosen})
        return [max((t for t in chosen if t[0] == a), key=lambda t: d[a, t[1]]) for a in anchors]
    return chosen


def loss_of(x, triplets, margin, average):
    """The mean hinge (softplus) of triplets, and its gradient."""
    x = x.astype("float64")
    losses, gradient = [], np.zeros_like(x)
    for a, p, n in triplets:
        difference = np.square(x[a] - x[p]).sum() - np.square(x[a] - x[n]).sum()
        if margin == "soft":
            loss, slope = np.log1p(np.exp(difference)), 1 / (1 + np.exp(-difference))
        else:
            loss = max(0.0, difference + margin)
            slope = float(loss > 0)
        losses.append(loss)
        gradient[a] += slope * 2 * (x[n] - x[p])
        gradient[p] += slope * 2 * (x[p] - x[a])
        gradient[n] += slope * 2 * (x[a] - x[n])
    number = np.count_nonzero(losses) if average == "active" else len(losses)
    return sum(losses) / max(number, 1), gradient / max(number, 1)


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_loss_and_gradient_equal_the_enumeration(selection, seed):
    x, labels = batch(seed)
    for margin, average in ((0.2, "active"), (1.0, "all")):
        triplets = enumerated(x, labels, selection, margin)
        expected, slope = loss_of(x, triplets, margin, average)
        loss = TripletLoss(margin, selection, average)
        value, gradient = value_and_gradient(lambda x, loss=loss: loss(labels, x), x)
        assert expected > 0
        np.testing.assert_allclose(value, expected, rtol=1e-5)
        np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("selection", PAIRWISE)
def test_soft_margin_equals_the_enumeration(selection):
    x, labels = batch(3)
    expected, slope = loss_of(x, enumerated(x, labels, selection, None), "soft", "all")
    loss = TripletLoss("soft", selection)
    value, gradient = value_and_gradient(lambda x: loss(labels, x), x)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("selection", PAIRWISE)
def test_selected_triplets_are_those_of_the_enumeration(selection):
    for seed in (4, 5):
        x, labels = batch(seed)
        found = select_triplets(x, labels[:, None], selection)
        *indices, mask = (ops.convert_to_numpy(part) for part in found)
        assert mask.shape == ((14,) if selection == "batch_hard" else (14 * 14,))
        assert {tuple(row) for row in np.stack(indices, 1)[mask]} == set(
            enumerated(x, labels, selection, None)
        )


def test_counts_are_those_of_the_enumeration():
    x, labels = batch(6)
    valid = valid_triplets(labels)
    d = np.square(x[:, None].astype("float64") - x[None]).sum(-1)
    gaps = np.array([d[a, n] - d[a, p] for a, p, n in valid])
    anchors = np.array(valid)[:, 0]
    expected = [gaps == gaps, gaps < 0.3, (gaps > 0) & (gaps < 0.3), gaps <= 0]
    found = count_triplets(x, labels, margin=0.3)
    for number, these in zip(found, expected, strict=True):
        assert these.sum() > 0
        np.testing.assert_array_equal(number, np.bincount(anchors[these], minlength=14))


def one_point(count):
    return np.tile(np.array([[0.6, 0.8]], "float32"), (count, 1))


def points(count):
    x = np.random.default_rng(0).normal(size=(count, 2)).astype("float32")
    return x / np.linalg.norm(x, axis=1, keepdims=True)


BAD_CASES = {
    "no positive pair": (points(4), [0, 1, 2, 3]),
    "one identity": (points(4), [2, 2, 2, 2]),
    "one image": (points(1), [0]),
    "no image": (points(0), []),
    "only unknown people": (points(4), [-1, -1, -2, -2]),
}


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("case", BAD_CASES)
def test_batch_without_triplets_has_loss_and_gradient_zero(case, selection):
    x, labels = BAD_CASES[case]
    loss = TripletLoss(0.2, selection)
    value, gradient = value_and_gradient(lambda x: loss(np.array(labels, "int32"), x), x)
    assert value.shape == ()
    assert value == 0
    assert gradient.shape == x.shape
    assert not gradient.any()


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("x", [one_point(6), 0 * one_point(6)], ids=["one point", "zeros"])
def test_identical_images_have_a_finite_gradient(x, selection):
    loss = TripletLoss(0.2, selection)
    labels = np.array([0, 0, 0, 1, 1, 2], "int32")
    value, gradient = value_and_gradient(lambda x: loss(labels, x), x)
    # No negative is farther than a positive at distance 0, unless by rounding.
    assert selection == "all_semi_hard" or abs(value - 0.2) < 1e-6
    np.testing.assert_allclose(gradient, 0, atol=1e-6)


@pytest.mark.parametrize("selection", SELECTIONS)
def test_nan_embedding_is_seen(selection):
    x, labels = batch(0)
    assert np.isnan(float(TripletLoss(0.2, selection)(labels, np.full_like(x, np.nan))))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_embeddings_are_compared_in_float32(dtype):
    x, labels = batch(0)
    half = ops.cast(x, dtype)
    exact = ops.convert_to_numpy(ops.cast(half, "float32"))
    loss = TripletLoss(0.2, "all")
    assert keras.backend.standardize_dtype(squared_distances(half).dtype) == "float32"
    np.testing.assert_allclose(loss(labels, half), loss(labels, exact), rtol=1e-6)


def test_margin_of_half_an_example_by_hand():
    x = np.array([[1.0, 0.0], [1.0, 0.0], [0.8, 0.6]], "float32")
    loss = TripletLoss(0.5, "all")
    assert float(loss([0, 0, 1], x)) == pytest.approx(0.1, abs=1e-6)
    # (1, 0) and (0.8, 0.6) are 0.4 apart, so anchor 0 alone has half of the loss.
    weighted = loss([0, 0, 1], x, sample_weight=np.array([1.0, 0.0, 1.0], "float32"))
    assert float(weighted) == pytest.approx(0.05, abs=1e-6)


def test_unreduced_loss_has_the_mean_as_its_mean():
    x, labels = batch(1)
    shares = ops.convert_to_numpy(TripletLoss(0.2, "hard", reduction="none")(labels, x))
    assert shares.shape == labels.shape
    assert shares.mean() == pytest.approx(float(TripletLoss(0.2, "hard")(labels, x)), rel=1e-6)


def test_labels_that_float32_does_not_tell_apart():
    x, _ = batch(1)
    labels = np.array([2**30 + i // 2 for i in range(14)], "int32")
    expected = TripletLoss(0.2, "all")(np.arange(14) // 2, x)
    assert float(TripletLoss(0.2, "all")(labels, x)) == float(expected)


def test_config_keeps_a_margin_set_later():
    loss = TripletLoss(0.1, "hard", average="all")
    loss.margin = 0.3
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    again = keras.saving.deserialize_keras_object(config)
    assert (again.margin, again.selection, again.average) == (0.3, "hard", "all")
    x, labels = batch(1)
    assert float(again(labels, x)) == float(loss(labels, x))
    assert float(again(labels, x)) != float(TripletLoss(0.1, "hard", average="all")(labels, x))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"selection": "harder"}, "selection='harder'"),
        ({"average": "none"}, "average='none'"),
        ({"margin": 0.0}, "margin=0.0"),
        ({"margin": "hard"}, "margin='hard'"),
        ({"margin": None}, "margin=None"),
        ({"margin": "soft", "selection": "all"}, "selection='all'"),
        ({"dtype": "float16"}, "dtype='float16'"),
    ],
)
def test_wrong_options_are_errors(options, words):
    with pytest.raises(ValueError, match=f"Received: {words}"):
        TripletLoss(**options)


@pytest.mark.parametrize("function", ["loss", "select", "count"])
@pytest.mark.parametrize(
    ("labels", "x", "words"),
    [
        (np.zeros((4, 2), "int32"), points(4), r"argmax\(labels, -1\).*shape=\(4, 2\)"),
        (np.zeros((4, 2), "float32"), points(4), r"argmax\(labels, -1\).*shape=\(4, 2\)"),
        (["ann", "ann", "bob", "bob"], points(4), "np.unique.*Received: dtype=str"),
        ([0.0, 0.5, 1.0, 1.5], points(4), "must be integers.*Received: dtype=float"),
        (np.array([0, 0, 1, np.nan], "float32"), points(4), "Received: dtype=float32"),
        (ops.convert_to_tensor(np.ones(4, "float32")), points(4), "Received: dtype=float32"),
        ([0, 0, 1], points(4), "Received: 3 labels for 4 vectors"),
        ([0, 0, 1, 1], points(4)[:, None], r"one vector per example.*shape=\(4, 1, 2\)"),
        ([0, 0, 1, 1], points(4)[:, 0], r"one vector per example.*shape=\(4,\)"),
    ],
)
def test_a_batch_that_does_not_fit_is_an_error(labels, x, words, function):
    functions = {
        "loss": TripletLoss(),
        "select": lambda labels, x: select_triplets(x, labels),
        "count": lambda labels, x: count_triplets(x, labels),
    }
    with pytest.raises(ValueError, match=words):
        functions[function](labels, x)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64"])
def test_labels_of_any_integer_dtype_and_none(dtype):
    x, _ = batch(1)
    labels = (np.arange(14) // 2).astype(dtype)
    expected = TripletLoss(0.2, "all")(labels.astype("int32"), x)
    assert float(TripletLoss(0.2, "all")(ops.convert_to_tensor(labels), x)) == float(expected)
    assert float(TripletLoss()([], points(0))) == 0


def test_a_training_step_refuses_labels_that_are_no_integers():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    # torch.compile needs a C++ compiler and half a minute a layer.
    model.compile("sgd", loss=TripletLoss(), jit_compile=BACKEND != "torch")
    with pytest.raises(ValueError, match=r"must be integers.*Received: dtype=float32"):
        model.fit(points(4), np.array([0, 0, 1.5, 1.5], "float32"), verbose=0)
    with pytest.raises(ValueError, match=r"argmax.*Received: shape=\((4|None), 3\)"):
        model.fit(points(4), np.eye(3, dtype="int32")[[0, 0, 1, 2]], verbose=0)


def test_all_triplets_cannot_be_listed():
    with pytest.raises(ValueError, match=r"count_triplets.*Received: selection='all'"):
        select_triplets(points(4), [0, 0, 1, 1], "all")


@pytest.mark.parametrize("selection", ["all", "all_semi_hard", "batch_hard"])
def test_equal_to_pytorch_metric_learning(selection):
    torch = pytest.importorskip("torch")
    distances = pytest.importorskip("pytorch_metric_learning.distances")
    from pytorch_metric_learning import losses, miners

    x, labels = batch(8, count=60, identities=6, size=16)
    distance = distances.LpDistance(power=2, normalize_embeddings=False)
    # There is no unknown person there: images of an identity of their own are such.
    labels[-2:] = 11, 12
    if selection == "batch_hard":
        miner = miners.BatchHardMiner(distance=distance)
    else:
        kind = {"all": "all", "all_semi_hard": "semihard"}[selection]
        miner = miners.TripletMarginMiner(0.2, type_of_triplets=kind, distance=distance)
    leaf = torch.tensor(x, requires_grad=True)
    triplets = miner(leaf, torch.tensor(labels))
    expected = losses.TripletMarginLoss(0.2, distance=distance)(
        leaf, torch.tensor(labels), triplets
    )
    expected.backward()
    loss = TripletLoss(0.2, selection)
    value, gradient = value_and_gradient(lambda x: loss(labels, x), x)
    np.testing.assert_allclose(value, expected.item(), rtol=1e-5)
    np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=1e-4, atol=1e-6)
    if selection == "all_semi_hard":
        counts = ops.convert_to_numpy(count_triplets(x, labels, 0.2).semi_hard)
        assert counts.sum() == len(triplets[0])


@pytest.mark.skipif(BACKEND != "tensorflow", reason="the graph of TensorFlow shows all tensors")
@pytest.mark.parametrize("selection", SELECTIONS)
def test_no_tensor_is_larger_than_the_pairs(selection):
    import tensorflow as tf

    count, size = 60, 4
    loss = TripletLoss(0.2, selection)

    @tf.function
    def step(labels, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = loss(labels, x)
        return tape.gradient(value, x)

    graph = step.get_concrete_function(
        tf.TensorSpec((count,), "int32"), tf.TensorSpec((count, size))
    ).graph
    definition = graph.as_graph_def(add_shapes=True)
    nodes = list(definition.node)
    for function in definition.library.function:
        nodes.extend(function.node_def)
    nodes = [node for node in nodes if node.op != "BroadcastGradientArgs"]  # shapes, not tensors
    shapes = [shape for node in nodes for shape in node.attr["_output_shapes"].list.shape]
    sizes = [np.prod([dim.size for dim in shape.dim], dtype="int64") for shape in shapes]
    assert all(dim.size >= 0 for shape in shapes for dim in shape.dim)
    assert count * count <= max(sizes) <= count * (count + 1)
    # A loop that kept what its gradient needs would keep it in lists of tensors.
    assert not [node.op for node in nodes if node.op.startswith("TensorList")]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="other backends trace static shapes")
@pytest.mark.parametrize("jit", [False, True])
def test_graph_of_unknown_batch_size(jit):
    import tensorflow as tf

    for selection in SELECTIONS:
        loss = TripletLoss(0.2, selection)
        specification = [tf.TensorSpec((None,), "int32"), tf.TensorSpec((None, 3))]
        graph = tf.function(loss, input_signature=specification, jit_compile=jit)
        x, labels = batch(1)
        np.testing.assert_allclose(graph(labels, x), loss(labels, x), rtol=1e-5)
        assert jit or float(graph(labels[:0], x[:0])) == 0
    # Of labels from a `tf.py_function` not even the number of dimensions is known.
    specification[0] = tf.TensorSpec(None, "int32")
    graph = tf.function(TripletLoss(), input_signature=specification, jit_compile=jit)
    np.testing.assert_allclose(graph(labels[:, None], x), TripletLoss()(labels, x), rtol=1e-5)


@pytest.mark.parametrize("negatives", ["semi_hard", "hard"])
@pytest.mark.parametrize("positives", ["all", "hard"])
def test_offline_triplets_are_the_active_ones_of_the_enumeration(positives, negatives, monkeypatch):
    monkeypatch.setattr("methodical.models.facenet.triplets.offline_selection.MOST_ENTRIES", 60)
    x, labels = batch(7)
    d = np.square(x[:, None].astype("float64") - x[None]).sum(-1)
    chosen = enumerated(x, labels, negatives, None)
    if positives == "hard":
        anchors = {a for a, _, _ in chosen}
        chosen = [max((t for t in chosen if t[0] == a), key=lambda t: d[t[:2]]) for a in anchors]
    expected = {(a, p, n) for a, p, n in chosen if d[a, n] < d[a, p] + 0.2}
    found = offline_triplets(x, labels, 0.2, positives, negatives)
    assert found.dtype == np.int64
    assert len(found) == len(expected) > 0
    assert {tuple(row) for row in found.tolist()} == expected
    halves = [
        offline_triplets(x, labels, 0.2, positives, negatives, anchors=part)
        for part in np.split(np.arange(14), 2)
    ]
    np.testing.assert_array_equal(np.concatenate(halves), found)
    masked = offline_triplets(x, labels, 0.2, positives, negatives, anchors=np.arange(14) < 7)
    np.testing.assert_array_equal(masked, halves[0])


def test_offline_triplets_of_nothing():
    assert offline_triplets(np.zeros((0, 3)), np.zeros(0, int)).shape == (0, 3)
    assert offline_triplets(points(3), [0, 1, 2]).shape == (0, 3)
    assert offline_triplets(np.zeros((0, 3)), []).shape == (0, 3)
    assert offline_triplets(points(3), [0, 0, 1], anchors=[]).shape == (0, 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"labels": [0, 1]}, r"Received: \(3, 2\) and \(2,\)"),
        ({"labels": ["ann", "ann", "bob"]}, "np.unique.*Received: dtype=<U3"),
        ({"labels": [0.0, 0.0, 0.5]}, "Received: dtype=float64"),
        ({"embeddings": [[0, 1], [np.nan, 0], [1, 0]]}, r"finite. Received: .*nan.* in row 1"),
        ({"margin": "soft"}, "Received: margin='soft'"),
        ({"margin": np.nan}, "Received: margin=nan"),
        ({"positives": "easy"}, "Received: 'easy'"),
        ({"negatives": "easy"}, "Received: 'easy'"),
        ({"anchors": [True, False]}, r"bool per image for 3 images.*shape=\(2,\), dtype=bool"),
        ({"anchors": [0.0, 1.0]}, r"Received: shape=\(2,\), dtype=float64"),
        ({"anchors": [0, 3]}, "Received: 3 in them"),
        ({"anchors": [-1]}, "Received: -1 in them"),
    ],
)
def test_offline_triplets_say_what_is_wrong(options, words):
    with pytest.raises(ValueError, match=words):
        offline_triplets(**{"embeddings": points(3), "labels": [0, 0, 1]} | options)


def test_squared_distances():
    x = points(200).repeat(2, axis=0) * np.float32(7.3)
    found = ops.convert_to_numpy(squared_distances(x))
    expected = np.square(x[:, None].astype("float64") - x[None]).sum(-1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert (found >= 0).all()
    assert not np.diag(found).any()
    across = ops.convert_to_numpy(squared_distances(x[:5], x[3:]))
    np.testing.assert_allclose(across, expected[:5, 3:], rtol=1e-4, atol=1e-4)
    for arguments, words in (
        ((x[0],), r"`x` must.*Received: shape=\(2,\)"),
        ((x, x[None]), r"`y` must.*Received: shape=\(1, 400, 2\)"),
    ):
        with pytest.raises(ValueError, match=words):
            squared_distances(*arguments)
