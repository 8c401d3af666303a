import os
import sys

import pytest
from methodical.components.base.artifacts import Model
from methodical.components.base.model_loading import load_models, modules_of

SOURCE = """
import keras

@keras.saving.register_keras_serializable(package="toy")
class Doubling(keras.layers.Layer):
    def call(self, inputs):
        return inputs * 2

@keras.saving.register_keras_serializable(package="toy")
def half_squared(y_true, y_pred):
    return keras.ops.mean((y_true - y_pred) ** 2) / 2
"""


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A model of a class whose module is imported no more."""
    import keras

    (tmp_path / "toy_layers.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    import toy_layers

    model = keras.Sequential([keras.Input([2]), toy_layers.Doubling(), keras.layers.Dense(1)])
    model.compile("sgd", toy_layers.half_squared)
    artifact = Model(str(tmp_path), {"fits": ["one"]})
    os.makedirs(artifact.path("Format-Keras"))
    model.save(artifact.model_path("one"))
    del sys.modules["toy_layers"]
    for name in ("toy>Doubling", "toy>half_squared"):
        keras.saving.get_custom_objects().pop(name)
    yield artifact
    sys.modules.pop("toy_layers", None)


def test_imports_the_modules_of_registered_classes(trained):
    import numpy as np

    assert modules_of(trained.model_path("one")) == ["toy_layers"]
    model = load_models(trained)["one"]
    weights, bias = model.get_weights()
    inputs = np.array([[1.0, 3.0]], "float32")
    np.testing.assert_allclose(model(inputs), 2 * inputs @ weights + bias, rtol=1e-6)


def test_keras_alone_does_not_find_them(trained):
    import keras

    with pytest.raises(TypeError, match="Could not locate class"):
        keras.saving.load_model(trained.model_path("one"))
