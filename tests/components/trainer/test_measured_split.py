"""The callback that follows a measure on a further split."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from methodical.components.trainer.measured_split import MeasuredSplit


@pytest.fixture
def model():
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1, kernel_initializer="ones")])
    model.compile(keras.optimizers.SGD(0.0), "mse", metrics=["mae"])
    return model


def batches(target):
    x = np.zeros((6, 1), "float32")
    return tf.data.Dataset.from_tensor_slices((x, x + target)).batch(4)


def test_measures_go_into_the_logs_beside_those_of_the_validation(model):
    callback = MeasuredSplit("test", batches(3.0))
    history = model.fit(
        batches(1.0), validation_data=batches(2.0), epochs=2, verbose=0, callbacks=[callback]
    ).history
    assert history["loss"] == [1.0, 1.0]
    assert history["val_mae"] == [2.0, 2.0]
    assert history["test_loss"] == [9.0, 9.0]
    assert history["test_mae"] == [3.0, 3.0]


def test_logs_of_epochs_that_are_done_stay_as_they_are(model):
    callback = MeasuredSplit("test", batches(3.0))
    callback.set_model(model)
    logs = {"test_loss": 0.5, "loss": 1.0}
    callback.on_epoch_end(0, logs)
    assert logs == {"test_loss": 0.5, "loss": 1.0}
