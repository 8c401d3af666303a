"""Folding against the unfolded model itself, and against numbers worked out by hand."""

import inspect
import json

import keras
import numpy as np
import pytest
from keras import layers, ops
from methodical.models.batch_norm import BatchNormalization, fold_batch_norm

BATCH_NORMALIZATIONS = [BatchNormalization, layers.BatchNormalization]
# JAX has no float64 by default, and with PyTorch Keras normalizes in float32.
DOUBLE = 1e-12 if keras.backend.backend() == "tensorflow" else 1e-5
both = pytest.mark.parametrize("norm", BATCH_NORMALIZATIONS, ids=["ours", "keras"])


def array(tensor):
    return ops.convert_to_numpy(tensor)


def randomise(model, seed=0):
    """Weights and statistics far from their defaults."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        low, high = (0.3, 3) if "variance" in weight.path else (-1, 1)
        weight.assign(generator.uniform(low, high, weight.shape))
    return model


def data(model, batch=3):
    generator = np.random.default_rng(7)
    return keras.tree.map_structure(
        lambda x: generator.normal(0.5, 1, [n or batch for n in x.shape]).astype("float32"),
        model.inputs[0] if isinstance(model, keras.Sequential) else model.input,
    )


def outputs(model, inputs):
    return keras.tree.map_structure(array, model(inputs, training=False))


def assert_near(actual, expected, tolerance=1e-5):
    """Compares each output, relative to the largest value in it."""
    keras.tree.assert_same_structure(actual, expected)
    for (path, a), b in zip(
        keras.tree.flatten_with_path(actual), keras.tree.flatten(expected), strict=True
    ):
        limit = tolerance * np.abs(b).max()
        np.testing.assert_allclose(a, b, rtol=0, atol=limit, err_msg=str(path))


def norms(model):
    found = []
    for layer in model.layers:
        if isinstance(layer, tuple(BATCH_NORMALIZATIONS)):
            found.append(layer)
        found += norms(layer) if isinstance(layer, keras.Model) else []
    return found


def fold(model, inputs=None, tolerance=1e-5):
    """Folds, and checks what always holds; returns the folded model and the report."""
    if inputs is None:
        inputs = data(model)
    config = json.dumps(model.get_config(), default=str)
    weights = [array(weight).copy() for weight in model.weights]
    folded, report = fold_batch_norm(model)
    assert json.dumps(model.get_config(), default=str) == config
    for weight, before in zip(model.weights, weights, strict=True):
        np.testing.assert_array_equal(array(weight), before)
    assert not {id(w) for w in folded.weights} & {id(w) for w in model.weights}
    assert len(norms(folded)) == len(norms(model)) - report.number_folded
    assert_near(outputs(folded, inputs), outputs(model, inputs), tolerance)
    return folded, report


def positions(report):
    return [(fold.batch_norm, fold.position, fold.into) for fold in report.folded]


KINDS = {
    "dense": (layers.Dense(4), (5,)),
    "dense_rank_4": (layers.Dense(4, use_bias=False), (2, 3, 5)),
    "conv1d": (layers.Conv1D(4, 3, strides=2), (9, 3)),
    "conv1d_first": (layers.Conv1D(4, 3, data_format="channels_first"), (3, 9)),
    "conv2d": (layers.Conv2D(4, (3, 2), use_bias=False, strides=(2, 1)), (7, 6, 3)),
    "conv2d_groups": (layers.Conv2D(6, 3, groups=2), (5, 5, 4)),
    "conv2d_dilated": (layers.Conv2D(4, 3, dilation_rate=2), (7, 7, 3)),
    "conv2d_pointwise": (layers.Conv2D(4, 1, padding="same", strides=2), (5, 5, 3)),
    "conv2d_first": (layers.Conv2D(4, 3, data_format="channels_first"), (3, 6, 5)),
    "conv3d": (layers.Conv3D(4, 2, use_bias=False), (3, 4, 3, 2)),
    "depthwise1d": (layers.DepthwiseConv1D(3, depth_multiplier=2), (6, 3)),
    "depthwise2d": (layers.DepthwiseConv2D(3, depth_multiplier=3, use_bias=False), (5, 6, 2)),
    "depthwise2d_first": (layers.DepthwiseConv2D(3, data_format="channels_first"), (3, 5, 6)),
    "separable1d": (layers.SeparableConv1D(4, 3, depth_multiplier=2), (6, 3)),
    "separable2d": (layers.SeparableConv2D(4, 3, depth_multiplier=2, use_bias=False), (5, 6, 3)),
    "transposed_pointwise": (layers.Conv2DTranspose(4, 1), (3, 4, 3)),
}
FOLLOWED_ONLY = {
    "conv1d_causal": (layers.Conv1D(4, 3, padding="causal", dilation_rate=2), (6, 3)),
    "conv2d_same": (layers.Conv2D(4, 3, padding="same"), (5, 6, 3)),
    "depthwise2d_same": (layers.DepthwiseConv2D(3, padding="same"), (5, 6, 3)),
    "separable2d_same": (layers.SeparableConv2D(4, 3, padding="same", use_bias=False), (5, 6, 3)),
    "transposed1d": (layers.Conv1DTranspose(4, 3, strides=2, use_bias=False), (5, 3)),
    "transposed2d": (layers.Conv2DTranspose(4, 3, strides=2, padding="same"), (3, 4, 3)),
    "transposed2d_out": (layers.Conv2DTranspose(4, 3, strides=2, output_padding=1), (3, 4, 3)),
    "transposed3d": (layers.Conv3DTranspose(4, 2), (2, 3, 2, 3)),
}


def copy(layer, name):
    return type(layer).from_config({**layer.get_config(), "name": name})


def axis_of(layer):
    return 1 if getattr(layer, "data_format", "") == "channels_first" else -1


@both
def test_follows_every_kind(norm):
    inputs, results = {}, {}
    for name, (layer, shape) in {**KINDS, **FOLLOWED_ONLY}.items():
        inputs[name] = keras.Input(shape, name=name)
        x = copy(layer, f"{name}_layer")(inputs[name])
        x = norm(axis_of(layer), epsilon=0.01, name=f"{name}_norm")(x)
        results[name] = layers.Activation("relu")(x)
    model = randomise(keras.Model(inputs, results))
    folded, report = fold(model)
    assert norms(folded) == []
    assert set(positions(report)) == {(f"{n}_norm", "follows", f"{n}_layer") for n in inputs}


@both
def test_precedes_every_kind(norm):
    inputs, results = {}, {}
    for name, (layer, shape) in KINDS.items():
        inputs[name] = keras.Input(shape, name=name)
        x = norm(axis_of(layer), name=f"{name}_norm")(inputs[name])
        x = copy(layer, f"{name}_layer")(x)
        results[name] = layers.Activation("relu")(x)
    model = randomise(keras.Model(inputs, results))
    folded, report = fold(model)
    assert norms(folded) == []
    assert set(positions(report)) == {(f"{n}_norm", "precedes", f"{n}_layer") for n in inputs}


@both
@pytest.mark.parametrize(("center", "scale"), [(True, False), (False, True), (False, False)])
def test_without_gamma_or_beta(norm, center, scale):
    model = keras.Sequential(
        [
            keras.Input((3,)),
            norm(center=center, scale=scale),
            layers.Dense(4),
            norm(center=center, scale=scale),
        ]
    )
    _, report = fold(randomise(model))
    assert report.number_folded == 2


@both
def test_by_hand(norm):
    """s = 6 / √(3 + 1) = 3 and t = 1 − 2·3 = −5."""
    inputs = keras.Input((2,))
    before = norm(epsilon=1, name="before")
    dense = layers.Dense(1, kernel_initializer="ones", use_bias=False, name="dense")
    after = norm(epsilon=1, name="after")
    models = {
        "follows": keras.Model(inputs, after(dense(inputs))),
        "precedes": keras.Model(inputs, layers.Dense(1, name="dense")(before(inputs))),
    }
    models["precedes"].get_layer("dense").set_weights([np.full((2, 1), 2.0), np.full(1, 10.0)])
    for layer in (before, after):
        shape = layer.gamma.shape
        layer.set_weights([np.full(shape, value) for value in (6.0, 1.0, 2.0, 3.0)])
    kernel, bias = fold_batch_norm(models["follows"])[0].get_layer("dense").get_weights()
    np.testing.assert_allclose(kernel, [[3], [3]], rtol=1e-6)
    np.testing.assert_allclose(bias, [-5], rtol=1e-6)
    kernel, bias = fold_batch_norm(models["precedes"])[0].get_layer("dense").get_weights()
    np.testing.assert_allclose(kernel, [[6], [6]], rtol=1e-6)
    np.testing.assert_allclose(bias, [10 - 2 * 5 - 2 * 5], rtol=1e-6)


@both
def test_renorm_options_are_of_training_only(norm):
    if "renorm" not in inspect.signature(norm.__init__).parameters:
        pytest.skip(f"no renorm in Keras {keras.__version__}")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, norm(renorm=True)(layers.Dense(3)(inputs)))
    _, report = fold(randomise(model))
    assert report.number_folded == 1


def image(*shape):
    return keras.Input(shape or (6, 6, 3), name="image")


def chain(*stack, shape=(6, 6, 3)):
    x = inputs = image(*shape)
    for layer in stack:
        x = layer(x)
    return keras.Model(inputs, x, name="net")


@both
def test_chains_and_identities_between(norm):
    model = chain(
        norm(name="first"),
        layers.GaussianNoise(0.1),
        norm(name="second"),
        layers.Conv2D(4, 3, use_bias=False, name="conv"),
        layers.SpatialDropout2D(0.5),
        layers.Activation("linear"),
        norm(name="third"),
        layers.Identity(),
        norm(name="fourth"),
        layers.ReLU(),
        norm(name="fifth"),
        layers.Dropout(0.5),
        layers.Dense(2, activation="tanh", name="dense"),
    )
    folded, report = fold(randomise(model))
    assert {norm: (side, into) for norm, side, into in positions(report)} == {
        "first": ("precedes", "conv"),
        "second": ("precedes", "conv"),
        "third": ("follows", "conv"),
        "fourth": ("follows", "conv"),
        "fifth": ("precedes", "dense"),
    }
    kept = [layer.name for layer in model.layers if layer not in norms(model)]
    assert [layer.name for layer in folded.layers] == kept


def test_zeros_stay_zeros_under_padding():
    model = chain(BatchNormalization(center=False), layers.Conv2D(4, 3, padding="same"))
    randomise(model).layers[1].moving_mean.assign(np.zeros(3))
    _, report = fold(model)
    assert report.number_folded == 1


def test_a_shared_layer_followed_by_the_same_norm_at_each_call():
    one, two = keras.Input((5,), name="one"), keras.Input((5,), name="two")
    dense, norm = layers.Dense(4, name="dense"), BatchNormalization(name="norm")
    model = keras.Model([one, two], [norm(dense(one)), ops.relu(norm(dense(two)))])
    _, report = fold(randomise(model))
    assert positions(report) == [("norm", "follows", "dense")]


def test_a_shared_norm_after_two_layers():
    inputs = keras.Input((5,))
    norm = BatchNormalization(name="norm")
    x = norm(layers.Dense(4, name="one")(inputs))
    y = norm(layers.Dense(4, name="two")(layers.ReLU()(x)))
    _, report = fold(randomise(keras.Model(inputs, layers.Concatenate()([x, y]))))
    assert positions(report) == [("norm", "follows", "one"), ("norm", "follows", "two")]


def test_a_shared_norm_on_both_sides_of_a_layer():
    inputs = keras.Input((4,))
    norm = BatchNormalization(name="norm")
    model = keras.Model(inputs, norm(layers.Dense(4, name="dense")(norm(inputs))))
    _, report = fold(randomise(model))
    assert positions(report) == [("norm", "follows", "dense"), ("norm", "precedes", "dense")]


def test_a_norm_before_several_layers():
    inputs = image()
    x = BatchNormalization(name="norm")(inputs)
    left = layers.Conv2D(4, 3, name="left")(x)
    right = layers.Conv2D(4, 3, name="right")(layers.Dropout(0.5)(x))
    _, report = fold(randomise(keras.Model(inputs, layers.Add()([left, right]))))
    assert positions(report) == [("norm", "precedes", "left"), ("norm", "precedes", "right")]


class Doubling(layers.Dense):
    def call(self, inputs):
        return 2 * super().call(inputs)


class Shifting(BatchNormalization):
    def call(self, inputs, training=None, mask=None):
        return 1 + super().call(inputs, training, mask)


class Block(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.steps = [layers.Dense(3, name="dense"), BatchNormalization(name="norm")]

    def build(self, shape):
        for step in self.steps:
            step.build((*shape[:-1], 3))

    def call(self, inputs):
        return self.steps[1](self.steps[0](inputs))


def shared_with_and_without():
    inputs = keras.Input((4,))
    dense = layers.Dense(4, name="dense")
    x = BatchNormalization(name="norm")(dense(inputs))
    return keras.Model(inputs, ops.relu(dense(layers.ReLU()(x))))


def shared_norm_with_one_bad_place():
    inputs = keras.Input((4,))
    norm = BatchNormalization(name="norm")
    x = norm(layers.Dense(4, name="dense")(inputs))
    return keras.Model(inputs, ops.relu(norm(layers.ReLU(name="relu")(x))))


def shared_after():
    inputs = keras.Input((4,))
    dense = layers.Dense(4, name="dense")
    x = BatchNormalization(name="norm")(inputs)
    return keras.Model(inputs, [dense(x), dense(inputs)])


def branch(output):
    inputs = image()
    x = layers.Conv2D(3, 3, name="conv")(inputs)
    y = ops.relu(BatchNormalization(name="norm")(layers.Dropout(0.5)(x)))
    return keras.Model(inputs, [x, y] if output else layers.Add(name="add")([x, y]))


def before_branch():
    inputs = image()
    x = BatchNormalization(name="norm")(inputs)
    return keras.Model(inputs, [layers.Conv2D(3, 3)(x), layers.ReLU(name="relu")(x)])


def trained(layer_kwargs, dropout_kwargs):
    inputs = keras.Input((4,))
    x = layers.Dropout(0.0, name="dropout")(layers.Dense(4)(inputs), **dropout_kwargs)
    x = BatchNormalization(name="norm")(x, **layer_kwargs)
    return keras.Model(inputs, ops.relu(x))


def inner(*stack):
    x = inputs = keras.Input((4,), name="inner_input")
    for layer in stack:
        x = layer(x)
    return keras.Model(inputs, x, name="inner")


def nested_in_training():
    inputs = keras.Input((4,))
    x = inner(layers.Dense(4), BatchNormalization(name="norm"))(inputs, training=True)
    return keras.Model(inputs, x)


def lora():
    model = chain(layers.Dense(4, name="dense"), BatchNormalization(name="norm"), shape=(4,))
    model.get_layer("dense").enable_lora(2)
    return model


NORM = {"name": "norm"}
LEFT_ALONE = {
    "activation between": (
        lambda: chain(
            layers.Conv2D(3, 3), layers.ReLU(name="r"), BatchNormalization(**NORM), layers.ReLU()
        ),
        "it follows ReLU 'r', which is not a Dense or convolution layer",
    ),
    "own activation": (
        lambda: chain(layers.Conv2D(3, 3, activation="elu", name="c"), BatchNormalization(**NORM)),
        "it follows Conv2D 'c', whose activation is elu",
    ),
    "output used elsewhere": (
        lambda: branch(False),
        "it follows Conv2D 'conv', whose output goes to Add 'add' and Dropout",
    ),
    "output is an output": (
        lambda: branch(True),
        "it follows Conv2D 'conv', whose output is a model output",
    ),
    "axis": (
        lambda: chain(layers.Conv2D(3, 3, name="c"), BatchNormalization(axis=1, **NORM)),
        "it follows Conv2D 'c', whose channels are on axis 3, not 1",
    ),
    "axis of dense": (
        lambda: chain(BatchNormalization(axis=2, **NORM), layers.Dense(3, name="d")),
        "it precedes Dense 'd', whose channels are on axis 3, not 2",
    ),
    "same padding": (
        lambda: chain(BatchNormalization(**NORM), layers.Conv2D(3, 3, padding="same", name="c")),
        "it precedes Conv2D 'c', which pads its input with zeros (padding='same')",
    ),
    "same padding, depthwise": (
        lambda: chain(BatchNormalization(**NORM), layers.DepthwiseConv2D(3, padding="same")),
        "which pads its input with zeros (padding='same')",
    ),
    "same padding, separable": (
        lambda: chain(BatchNormalization(**NORM), layers.SeparableConv2D(3, 3, padding="same")),
        "which pads its input with zeros (padding='same')",
    ),
    "causal padding": (
        lambda: chain(
            BatchNormalization(**NORM), layers.Conv1D(3, 3, padding="causal"), shape=(6, 3)
        ),
        "which pads its input with zeros (padding='causal')",
    ),
    "transposed": (
        lambda: chain(BatchNormalization(**NORM), layers.Conv2DTranspose(3, 3)),
        "which is a transposed convolution",
    ),
    "transposed, one tap, strides": (
        lambda: chain(BatchNormalization(**NORM), layers.Conv2DTranspose(3, 1, strides=2)),
        "which is a transposed convolution",
    ),
    "padding layer between": (
        lambda: chain(
            BatchNormalization(**NORM), layers.ZeroPadding2D(1, name="p"), layers.Conv2D(3, 3)
        ),
        "it precedes ZeroPadding2D 'p'",
    ),
    "shared layer": (
        shared_with_and_without,
        "it follows Dense 'dense', which is shared and not followed by it at each call",
    ),
    "shared layer after": (
        shared_after,
        "it precedes Dense 'dense', which is shared and not preceded by it at each call",
    ),
    "shared norm": (shared_norm_with_one_bad_place, "call 2 of 2: it follows ReLU 'relu'"),
    "several users": (before_branch, "it precedes ReLU 'relu'"),
    "training": (lambda: trained({"training": True}, {}), "it is called with training=True"),
    "training between": (
        lambda: trained({}, {"training": True}),
        "it follows Dropout 'dropout'",
    ),
    "quantised": (
        lambda: chain(
            layers.Dense(4, dtype="int8_from_float32", name="d"), BatchNormalization(**NORM)
        ),
        "it follows Dense 'd', which is quantized (int8)",
    ),
    "lora": (lora, "it follows Dense 'dense', which has LoRA weights"),
    "other dtype": (
        lambda: chain(
            layers.Dense(4, dtype="mixed_bfloat16", name="d"), BatchNormalization(**NORM)
        ),
        "it follows Dense 'd', which computes in bfloat16, it in float32",
    ),
    "subclass of a layer": (
        lambda: chain(Doubling(4, name="d"), BatchNormalization(**NORM)),
        "it follows Doubling 'd', a subclass, which may compute something else",
    ),
    "subclass of the norm": (
        lambda: chain(layers.Dense(4), Shifting(**NORM)),
        "its class Shifting is a subclass, which may compute something else",
    ),
    "after a model": (
        lambda: chain(inner(layers.Dense(4)), BatchNormalization(**NORM), shape=(4,)),
        "it follows Functional 'inner', and folding stops where a model begins or ends",
    ),
    "begins a model": (
        lambda: chain(
            layers.Dense(4), inner(BatchNormalization(**NORM), layers.ReLU()), shape=(4,)
        ),
        "it follows the input 'inner_input' of its model",
    ),
    "ends a model": (
        lambda: chain(
            inner(layers.ReLU(), BatchNormalization(**NORM)), layers.Dense(4), shape=(4,)
        ),
        "its output is a model output",
    ),
    "nested in training": (nested_in_training, "its model is called with training=True"),
    "inside a layer": (
        lambda: chain(Block(name="block")),
        "it is inside Block 'block', which has no graph to read",
    ),
    "inside a wrapper": (
        lambda: chain(layers.TimeDistributed(BatchNormalization(**NORM), name="each")),
        "it is inside TimeDistributed 'each', which has no graph to read",
    ),
    "inside a wrapped model": (
        lambda: chain(
            layers.TimeDistributed(inner(layers.Dense(3), BatchNormalization(**NORM))),
            shape=(3, 4),
        ),
        "it is inside TimeDistributed 'time_distributed",
    ),
}


@pytest.mark.parametrize("case", LEFT_ALONE)
def test_left_alone(case):
    build, reason = LEFT_ALONE[case]
    model = build()
    if case != "quantised":
        randomise(model)
    _, report = fold(model, tolerance=1e-6)
    assert report.folded == ()
    (left,) = report.left_alone
    assert left.batch_norm.split("/")[-1] == "norm"
    assert reason in left.reason


def test_an_input_of_integers_needs_its_norm():
    inputs = keras.Input((6, 6, 3), dtype="uint8")
    model = keras.Model(inputs, layers.Conv2D(3, 3)(BatchNormalization()(inputs)))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 6, 6, 3)).astype("uint8")
    _, report = fold(randomise(model), pixels)
    assert "its input is uint8" in report.left_alone[0].reason


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a bug of this backend")
@pytest.mark.parametrize("width", [6, None])
def test_a_bias_that_keras_would_add_along_the_width(width):
    inputs = keras.Input((3, 5, width))
    x = layers.Conv2D(4, 3, use_bias=False, data_format="channels_first")(inputs)
    model = keras.Model(inputs, BatchNormalization(axis=1)(x))
    pixels = np.random.default_rng(0).normal(size=(2, 3, 5, 6)).astype("float32")
    _, report = fold(randomise(model), pixels)
    assert "whose bias Keras adds along the last axis" in report.left_alone[0].reason


def test_weights_beyond_half_precision():
    dense, norm = layers.Dense(4, dtype="float16"), BatchNormalization(dtype="float16")
    model = randomise(chain(dense, norm, shape=(4,)))
    norm.moving_variance.assign(np.zeros(4))
    norm.gamma.assign(np.full(4, 6e4))
    folded, report = fold_batch_norm(model)
    assert "would not be finite in float16" in report.left_alone[0].reason
    assert len(norms(folded)) == 1


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "bfloat16", "float64"])
def test_dtype_policies(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        first = BatchNormalization(name="first")
        model = chain(layers.Conv2D(4, 3), first, inner_image(), layers.Dense(3))
    finally:
        keras.config.set_dtype_policy(before)
    tolerance = {"mixed_float16": 5e-3, "float64": DOUBLE}.get(policy, 5e-2)
    folded, report = fold(randomise(model), tolerance=tolerance)
    assert report.number_folded == 2
    assert folded.dtype_policy == model.dtype_policy
    assert folded.get_layer("inner").dtype_policy == model.get_layer("inner").dtype_policy
    for layer in folded.layers[1:]:
        assert layer.dtype_policy == model.get_layer(layer.name).dtype_policy
    assert folded(data(model)).dtype == model(data(model)).dtype
    assert folded.layers[1].kernel.dtype == model.layers[1].kernel.dtype


def inner_image():
    x = inputs = keras.Input((4, 4, 4))
    x = layers.ReLU()(BatchNormalization(name="norm")(layers.Conv2D(4, 3, name="conv")(x)))
    return keras.Model(inputs, x, name="inner")


def test_nested_models():
    block = keras.Sequential(
        [keras.Input((3,)), layers.Dense(4, name="dense"), BatchNormalization(name="norm")],
        name="block",
    )
    middle_in = keras.Input((3,), name="middle_in")
    middle = keras.Model(middle_in, layers.ReLU()(block(middle_in)), name="middle")
    one, two = keras.Input((3,), name="one"), keras.Input((3,), name="two")
    x = layers.Concatenate()([middle(one), middle(two)])
    x = BatchNormalization(name="norm")(layers.Dense(2, name="last")(x))
    model = randomise(keras.Model([one, two], [x, middle(two)], name="outer"))
    folded, report = fold(model)
    assert norms(folded) == []
    assert positions(report) == [
        ("middle/block/norm", "follows", "middle/block/dense"),
        ("norm", "follows", "last"),
    ]
    assert type(folded.get_layer("middle").get_layer("block")) is keras.Sequential


def test_sequential():
    model = keras.Sequential(name="stack")
    for layer in (layers.Conv2D(4, 3), BatchNormalization(), layers.ReLU(), layers.Flatten()):
        model.add(layer)
    with pytest.raises(ValueError, match="expects a built model"):
        fold_batch_norm(model)
    model.build((None, 6, 6, 3))
    folded, report = fold(randomise(model))
    assert type(folded) is keras.Sequential
    assert folded.name == "stack"
    assert [layer.name for layer in folded.layers] == [
        layer.name for layer in model.layers if not isinstance(layer, BatchNormalization)
    ]
    assert report.number_folded == 1


def test_sequential_with_a_layer_twice():
    dense = layers.Dense(3, name="dense")
    model = keras.Sequential([keras.Input((3,)), dense, layers.ReLU(), BatchNormalization(), dense])
    folded, report = fold(randomise(model))
    assert "shared" in report.left_alone[0].reason
    assert folded.count_params() == model.count_params()


@pytest.mark.parametrize("structure", ["dict", "list", "tuple", "single"])
def test_inputs_and_outputs_keep_names_and_structure(structure):
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b", dtype="float64")
    scores = BatchNormalization(name="scores")(layers.Dense(3, name="dense")(a))
    logits = layers.Dense(2, name="logits")(layers.Add()([a, ops.cast(b, "float32")]))
    inputs = {"dict": {"b": b, "a": a}, "tuple": (a, b)}.get(structure, [a, b])
    results = {
        "dict": {"z": scores, "y": [logits, a]},
        "list": [logits, scores],
        "tuple": (scores, logits),
        "single": scores,
    }[structure]
    model = randomise(keras.Model(inputs, results, name="net"))
    folded, report = fold(model)
    assert report.number_folded == 1
    assert folded.name == "net"
    assert list(folded.output_names) == list(model.output_names)
    keras.tree.assert_same_structure(folded.input, model.input)
    assert [x.name for x in folded.inputs] == [x.name for x in model.inputs]
    assert [x.dtype for x in folded.inputs] == [x.dtype for x in model.inputs]


def test_masks_survive():
    inputs = keras.Input((None,), dtype="int32")
    x = layers.Embedding(9, 4, mask_zero=True)(inputs)
    x = BatchNormalization()(BatchNormalization()(layers.Dense(4)(x)))
    x = BatchNormalization()(layers.Dense(4)(layers.ReLU()(x)))
    x = layers.LSTM(4, return_sequences=True)(x)
    pooled = layers.GlobalAveragePooling1D()(x)
    given = layers.GlobalAveragePooling1D()(x, mask=ops.not_equal(inputs, 3))
    model = keras.Model(inputs, [pooled, given, x])
    words = np.array([[3, 4, 0, 0], [1, 2, 3, 0]], "int32")
    folded, report = fold(randomise(model), words)
    assert report.number_folded == 3
    whole = outputs(folded, words[:, :2])[0][0]
    np.testing.assert_allclose(outputs(folded, words)[0][0], whole, rtol=1e-5)


class Scaling(layers.Layer):
    """A class that nobody registered."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, shape):
        self.offset = self.add_weight(shape=(shape[-1],), name="offset")

    def call(self, inputs):
        return self.factor * inputs + self.offset

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


class Nameless(layers.Layer):
    """A class that leaves its name out of its configuration: Keras would name a copy anew."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, inputs):
        return self.factor * inputs

    def get_config(self):
        return {"factor": self.factor}


def bent(x):
    return ops.sign(x) * ops.sqrt(ops.abs(x))


def test_other_layers_are_copied_with_their_state():
    normalization = layers.Normalization(name="standard")
    normalization.adapt(np.random.default_rng(0).normal(3, 2, (50, 4)).astype("float32"))
    offset = 1.5
    inputs = keras.Input((4,))
    x = layers.Dense(4)(normalization(inputs))
    x = Scaling(2.0, name="scaling")(BatchNormalization()(x))
    x = layers.Dense(5, activation=bent)(x)
    x = layers.Lambda(lambda t: ops.relu(t) + offset, output_shape=lambda shape: shape)(x)
    x = layers.Dense(3, activation=layers.ReLU(2.0), name="bounded")(x * np.arange(1.0, 6.0))
    x = Nameless(3.0)(x)
    x = ops.concatenate([x[:, 1:], Block(name="block")(x)], axis=-1)
    model = keras.Model(inputs, x)
    for layer in model.layers[2:]:
        randomise(layer)
    folded, report = fold(model)
    assert report.number_folded == 1
    assert [left.batch_norm for left in report.left_alone] == ["block/norm"]
    bounded = [m.get_layer("bounded").activation for m in (model, folded)]
    assert bounded[0] is not bounded[1]
    assert [op.name for op in folded.operations] == [
        op.name
        for op in model.operations
        if op.name != "batch_normalization" and not op.name.startswith("batch_normalization_")
    ]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="strings need TensorFlow")
def test_a_vocabulary_is_copied():
    import tensorflow as tf

    lookup = layers.StringLookup(name="words")
    lookup.adapt(["b", "a", "b", "c"])
    inputs = keras.Input((2,), dtype="string")
    x = layers.Dense(3)(layers.Embedding(4, 3)(lookup(inputs)))
    model = randomise(keras.Model(inputs, BatchNormalization()(x)))
    fold(model, tf.constant([["a", "b"], ["c", "?"]]))


class Unregistered(layers.Layer):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, inputs):
        return self.function(inputs)


def test_a_layer_that_cannot_be_copied():
    layer = Unregistered(ops.relu)
    layer.name = "odd"
    model = chain(layers.Dense(3), BatchNormalization(), layer)
    with pytest.raises(ValueError, match=r"Received: layer 'odd' of class Unregistered"):
        fold_batch_norm(model)


def test_a_layer_that_keras_cannot_make_again():
    model = chain(layers.TimeDistributed(Scaling(2.0), name="each"), shape=(3, 4))
    with pytest.raises(ValueError, match=r"Received: layer 'each' of class TimeDistributed"):
        fold_batch_norm(model)


class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(3, name="dense")
        self.norm = BatchNormalization(name="norm")

    def call(self, inputs):
        return self.norm(self.dense(inputs))


def test_subclassed_model():
    model = Subclassed(name="own")
    with pytest.raises(ValueError, match="expects a built model"):
        fold_batch_norm(model)
    model(np.zeros((1, 4), "float32"))
    folded, report = fold_batch_norm(model)
    assert folded is model
    assert report.as_dict()["left_alone"] == [
        {
            "batch_norm": "norm",
            "reason": "it is inside Subclassed 'own', which has no graph to read",
        }
    ]


class Twice(keras.Model):
    """Made functionally, but with a `call` of its own."""

    def call(self, inputs, training=None, mask=None):
        return 2 * super().call(inputs)


class Classifier(keras.Model):
    """Made functionally, with arguments of its own."""

    def __init__(self, units):
        inputs = keras.Input((4,))
        super().__init__(inputs, BatchNormalization()(layers.Dense(units)(inputs)))


def test_subclasses_of_functional():
    inputs = keras.Input((4,))
    twice = Twice(inputs, BatchNormalization(name="norm")(layers.Dense(3)(inputs)))
    folded, report = fold_batch_norm(twice)
    assert folded is twice
    assert "has no graph to read" in report.left_alone[0].reason
    _, report = fold(randomise(Classifier(3)))
    assert report.number_folded == 1


def test_only_models_are_folded():
    dense = layers.Dense(3)
    dense.build((None, 2))
    with pytest.raises(ValueError, match=r"expects a built model.*Received: model=<Dense"):
        fold_batch_norm(dense)


def test_saved_and_loaded(tmp_path):
    model = randomise(
        chain(
            layers.Conv2D(4, 3, use_bias=False),
            BatchNormalization(),
            layers.ReLU(),
            layers.BatchNormalization(),
            layers.SeparableConv2D(4, 3),
            inner_pixels(),
        )
    )
    folded, report = fold(model)
    assert report.number_folded == 3
    folded.save(tmp_path / "folded.keras")
    loaded = keras.saving.load_model(tmp_path / "folded.keras")
    inputs = data(model)
    assert_near(outputs(loaded, inputs), outputs(model, inputs))
    assert norms(loaded) == []


def inner_pixels():
    inputs = keras.Input((2, 2, 4))
    return keras.Model(inputs, BatchNormalization()(layers.Dense(2)(inputs)), name="pixels")


def test_the_folded_model_can_be_folded_again_and_trained_apart():
    model = randomise(chain(layers.Dense(4), BatchNormalization(), layers.ReLU(), shape=(3,)))
    folded, _ = fold(model)
    _, report = fold(folded)
    assert report.as_dict() == {
        "model": "net",
        "number_folded": 0,
        "folded": [],
        "left_alone": [],
    }
    before = outputs(model, data(model))
    folded.compile("sgd", "mse")
    folded.fit(data(model), np.ones((3, 4)), verbose=0)
    np.testing.assert_array_equal(outputs(model, data(model)), before)
    assert folded.layers[1].kernel is not model.layers[1].kernel


def test_the_original_stays_usable():
    model = randomise(chain(layers.Dense(4, name="dense"), BatchNormalization(), shape=(3,)))
    fold_batch_norm(model)
    assert model.get_layer("dense").output.shape == (None, 4)
    assert len(model.get_layer("dense").weights) == 2
    keras.Model(model.input, model.get_layer("dense").output)


def test_trainable_flags():
    model = randomise(chain(layers.Dense(4), BatchNormalization(), layers.Dense(2), shape=(3,)))
    model.layers[1].trainable = False
    folded, _ = fold(model)
    assert [layer.trainable for layer in folded.layers[1:]] == [False, True]
    assert folded.trainable
    model.trainable = False
    folded, _ = fold(model)
    assert not folded.trainable
    assert [layer.trainable for layer in folded.layers[1:]] == [False, False]


def test_report():
    model = chain(
        layers.Conv2D(4, 3, name="conv"),
        BatchNormalization(name="norm"),
        layers.ReLU(name="relu"),
        BatchNormalization(name="second_norm"),
        layers.MaxPooling2D(name="pool"),
    )
    _, report = fold_batch_norm(model)
    reason = (
        "it follows ReLU 'relu', which is not a Dense or convolution layer; "
        "it precedes MaxPooling2D 'pool', which is not a Dense or convolution layer"
    )
    assert str(report).splitlines() == [
        "net: 1 of 2 batch normalizations folded",
        "  norm         follows     conv",
        f"  second_norm  left alone  {reason}",
    ]
    assert json.loads(json.dumps(report.as_dict())) == {
        "model": "net",
        "number_folded": 1,
        "folded": [{"batch_norm": "norm", "into": "conv", "position": "follows"}],
        "left_alone": [{"batch_norm": "second_norm", "reason": reason}],
    }
