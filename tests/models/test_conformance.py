"""What every public layer, loss and model of the methods promises, on any Keras backend.

A package of `models` joins by its module `examples`, whose `layer_examples()` returns the examples.
"""

import importlib
import json
import pkgutil

import keras
import numpy as np
import pytest
from keras import tree
from methodical import models
from methodical.models.layer_example import LayerExample

BATCH = 4
CHECKS = (
    "config",
    "shapes",
    "save",
    "fit",
    "mixed_precision",
    "batch_independence",
    "empty_batch",
    "nan",
)


PACKAGES = [module.name for module in pkgutil.iter_modules(models.__path__) if module.ispkg]


def examples_of(package):
    return importlib.import_module(f"{models.__name__}.{package}.examples").layer_examples()


EXAMPLES = [example for package in PACKAGES for example in examples_of(package)]


@pytest.fixture(params=EXAMPLES, ids=[example.name for example in EXAMPLES])
def example(request):
    keras.utils.set_random_seed(3)
    yield request.param
    keras.config.set_dtype_policy("float32")


def applies(example, check):
    if check in example.skip:
        pytest.skip(example.skip[check])


def is_loss(thing):
    return isinstance(thing, keras.losses.Loss)


def outputs_of(thing, inputs):
    """Outputs as NumPy arrays, a loss's per example."""
    if is_loss(thing):
        unreduced = type(thing).from_config({**thing.get_config(), "reduction": "none"})
        result = unreduced(*inputs)
    else:
        result = thing(tree.map_structure(keras.ops.convert_to_tensor, inputs))
    return tree.map_structure(to_numpy, result)


def to_numpy(tensor):
    if "float" in keras.backend.standardize_dtype(tensor.dtype):
        tensor = keras.ops.cast(tensor, "float32")
    return keras.ops.convert_to_numpy(tensor)


def symbolic_inputs(inputs):
    def symbol(array, name=None):
        return keras.Input(array.shape[1:], dtype=str(array.dtype), name=name)

    if isinstance(inputs, dict):
        return {name: symbol(array, name) for name, array in inputs.items()}
    return tree.map_structure(symbol, inputs)


def assert_same(first, second, tolerance=1e-5):
    tree.assert_same_structure(first, second)
    for actual, expected in zip(tree.flatten(first), tree.flatten(second), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def as_model(thing, inputs):
    """A layer as a functional model; a model as it is, built."""
    if isinstance(thing, keras.Model):
        outputs_of(thing, inputs)
        return thing
    symbols = symbolic_inputs(inputs)
    return keras.Model(symbols, thing(symbols))


def test_there_are_examples_and_their_skips_name_checks():
    assert EXAMPLES
    assert len({example.name for example in EXAMPLES}) == len(EXAMPLES)
    for example in EXAMPLES:
        assert isinstance(example, LayerExample)
        assert set(example.skip) <= set(CHECKS), example.name


def test_config_round_trip(example):
    applies(example, "config")
    thing = example.build()
    config = thing.get_config()
    again = type(thing).from_config(json.loads(json.dumps(config)))
    assert again.get_config() == config
    registered = keras.saving.serialize_keras_object(thing)
    assert registered["registered_name"].startswith("methodical>")
    restored = keras.saving.deserialize_keras_object(json.loads(json.dumps(registered)))
    assert type(restored) is type(thing)
    assert restored.get_config() == config


def test_symbolic_and_eager_shapes_agree(example):
    applies(example, "shapes")
    thing = example.build()
    inputs = example.inputs(BATCH)
    if is_loss(thing):
        assert np.shape(to_numpy(thing(*inputs))) == ()
        assert all(array.shape[0] == BATCH for array in tree.flatten(outputs_of(thing, inputs)))
        return
    eager = outputs_of(thing, inputs)
    symbolic = example.build()(symbolic_inputs(inputs))
    tree.assert_same_structure(symbolic, eager)
    for symbol, array in zip(tree.flatten(symbolic), tree.flatten(eager), strict=True):
        assert symbol.shape[0] is None
        assert tuple(symbol.shape[1:]) == array.shape[1:]
        assert array.shape[0] == BATCH
        assert keras.backend.standardize_dtype(symbol.dtype) == str(array.dtype)


def test_keras_file_gives_equal_outputs(example, tmp_path):
    applies(example, "save")
    thing = example.build()
    inputs = example.inputs(BATCH)
    if is_loss(thing):
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(thing))
        np.testing.assert_array_equal(outputs_of(thing, inputs), outputs_of(again, inputs))
        return
    model = as_model(thing, inputs)
    expected = outputs_of(model, inputs)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert len(loaded.weights) == len(model.weights) > 0
    assert_same(outputs_of(loaded, inputs), expected, tolerance=1e-6)


def test_one_jitted_fit_step_changes_the_weights(example):
    applies(example, "fit")
    thing = example.build()
    inputs = example.inputs(BATCH)
    # torch.compile needs a C++ compiler and half a minute a layer.
    jit = keras.backend.backend() != "torch"
    if is_loss(thing):
        targets, scores = inputs
        model = keras.Sequential([keras.layers.Dense(scores.shape[-1])])
        model.build(scores.shape)
        before = [to_numpy(weight) for weight in model.trainable_weights]
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss=thing, jit_compile=jit)
        history = model.fit(scores, targets, epochs=1, batch_size=BATCH, verbose=0)
    elif isinstance(thing, keras.Model):
        model = as_model(thing, inputs)
        before = [to_numpy(weight) for weight in model.trainable_weights]
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss=example.loss, jit_compile=jit)
        targets = None if example.targets is None else example.targets(BATCH)
        history = model.fit(inputs, targets, epochs=1, batch_size=BATCH, verbose=0)
    else:
        symbols = symbolic_inputs(inputs)
        outputs = [
            output
            for output in tree.flatten(thing(symbols))
            if "float" in keras.backend.standardize_dtype(output.dtype)
        ]
        model = keras.Model(symbols, outputs[0])
        before = [to_numpy(weight) for weight in model.trainable_weights]
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse", jit_compile=jit)
        target = np.ones((BATCH, *outputs[0].shape[1:]), "float32")
        history = model.fit(inputs, target, epochs=1, batch_size=BATCH, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    after = [to_numpy(weight) for weight in model.trainable_weights]
    assert any(np.any(a != b) for a, b in zip(before, after, strict=True))


def test_mixed_precision(example):
    applies(example, "mixed_precision")
    inputs = example.inputs(BATCH)
    keras.config.set_dtype_policy("mixed_bfloat16")
    thing = example.build()
    outputs = outputs_of(thing, inputs)
    assert all(np.isfinite(array).all() for array in tree.flatten(outputs))
    if is_loss(thing):
        return
    assert thing.compute_dtype == "bfloat16"
    assert {weight.dtype for weight in thing.trainable_weights} <= {"float32"}
    if isinstance(thing, keras.Model):
        thing.compile(optimizer=keras.optimizers.SGD(0.1), loss=example.loss, jit_compile=False)
        targets = None if example.targets is None else example.targets(BATCH)
        history = thing.fit(inputs, targets, epochs=1, batch_size=BATCH, verbose=0)
        assert np.isfinite(history.history["loss"]).all()


def test_outputs_do_not_depend_on_the_batch(example):
    applies(example, "batch_independence")
    thing = example.build()
    inputs = example.inputs(BATCH)
    together = outputs_of(thing, inputs)
    singly = [
        outputs_of(thing, tree.map_structure(lambda array, i=i: array[i : i + 1], inputs))
        for i in range(BATCH)
    ]
    joined = tree.map_structure(lambda *parts: np.concatenate(parts), *singly)
    assert_same(joined, together)


def test_empty_batch(example):
    applies(example, "empty_batch")
    thing = example.build()
    inputs = example.inputs(BATCH)
    full = outputs_of(thing, inputs)
    empty = outputs_of(thing, tree.map_structure(lambda array: array[:0], inputs))
    for none, some in zip(tree.flatten(empty), tree.flatten(full), strict=True):
        assert none.shape == (0, *some.shape[1:])
        assert none.dtype == some.dtype


def test_nan_stays_in_its_example_and_is_seen(example):
    applies(example, "nan")
    if example.integer_inputs:
        pytest.skip("The inputs are ids.")
    thing = example.build()
    inputs = example.inputs(BATCH)
    clean = outputs_of(thing, inputs)

    def spoil(array):
        array = array.copy()
        if np.issubdtype(array.dtype, np.floating):
            array[0] = np.nan
        return array

    spoilt = outputs_of(thing, tree.map_structure(spoil, inputs))
    assert any(
        np.isnan(array[0]).any()
        for array in tree.flatten(spoilt)
        if np.issubdtype(array.dtype, np.floating)
    )
    rest = tree.map_structure(lambda array: array[1:], spoilt)
    assert_same(rest, tree.map_structure(lambda array: array[1:], clean))
