"""A method small enough for tests of the stages: y = x · (1, -2, 0.5) for three groups of examples.

Tests put this folder on `sys.path`, so that worker processes import it too.
"""

import os
import signal

import numpy as np
from methodical.components.base.parameters import Parameters

COEFFICIENTS = np.array([1.0, -2.0, 0.5], "float32")
GROUPS = (b"a", b"b", b"c")


class Options(Parameters):
    epochs: int = 4
    learning_rate: float = 0.05
    names: tuple[str, ...] = ("first", "second")
    patience: int = 0


class KillOptions(Options):
    kill_epoch: int = -1
    kill_batch: int = -1


def write_examples(folder, splits, seed=0):
    """Writes gzipped TFRecord splits as Transform does and returns the Examples artifact."""
    import tensorflow as tf
    from methodical.components.base.artifacts import Examples

    generator = np.random.default_rng(seed)
    for split, count in splits.items():
        os.makedirs(os.path.join(folder, f"Split-{split}"))
        path = os.path.join(folder, f"Split-{split}", "examples-00000-of-00001.gz")
        with tf.io.TFRecordWriter(path, "GZIP") as writer:
            for index in range(count):
                x = generator.normal(size=3).astype("float32")
                features = tf.train.Features(
                    feature={
                        "x": tf.train.Feature(float_list=tf.train.FloatList(value=x)),
                        "y": tf.train.Feature(
                            float_list=tf.train.FloatList(value=[float(x @ COEFFICIENTS)])
                        ),
                        "group": tf.train.Feature(
                            bytes_list=tf.train.BytesList(value=[GROUPS[index % len(GROUPS)]])
                        ),
                    }
                )
                writer.write(tf.train.Example(features=features).SerializeToString())
    return Examples(str(folder), {"splits": dict(splits)})


def parse(serialized):
    import tensorflow as tf

    return tf.io.parse_example(
        serialized,
        {
            "x": tf.io.FixedLenFeature([3], tf.float32),
            "y": tf.io.FixedLenFeature([1], tf.float32),
            "group": tf.io.FixedLenFeature([], tf.string),
        },
    )


def pairs(serialized):
    parsed = parse(serialized)
    return parsed["x"], parsed["y"]


def fits(parameters, data):
    """Returns a fit for each name, with dropout, a shuffle, and a callback that counts epochs."""
    import keras
    from methodical.components.trainer.fit import Fit

    def build():
        model = keras.Sequential(
            [
                keras.Input([3]),
                keras.layers.Dense(8, "tanh"),
                keras.layers.Dropout(0.2),
                keras.layers.Dense(1),
            ]
        )
        model.compile(keras.optimizers.Adam(parameters.learning_rate), "mse")
        return model

    def train():
        shuffled = data.serialized("train").cache().shuffle(64)
        return shuffled.batch(8).map(pairs).prefetch(1)

    def validation():
        return data.serialized("eval").batch(8).map(pairs)

    def callbacks():
        chosen = [keras.callbacks.ReduceLROnPlateau("loss", factor=0.7, patience=1, min_delta=10.0)]
        if parameters.patience:
            chosen.append(keras.callbacks.EarlyStopping("loss", patience=parameters.patience))
        return chosen

    return [
        Fit(name, build, train, validation, parameters.epochs, callbacks=callbacks)
        for name in parameters.names
    ]


def killed_fits(parameters, data):
    """Returns the same fits, the last of which kills its process."""
    import dataclasses

    import keras

    class Kill(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.epoch = 0

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_train_batch_end(self, batch, logs=None):
            if (self.epoch, batch) == (parameters.kill_epoch, parameters.kill_batch):
                os.kill(os.getpid(), signal.SIGKILL)

    *others, last = fits(parameters, data)
    kept = last.callbacks
    return [*others, dataclasses.replace(last, callbacks=lambda: [Kill(), *kept()])]


def endless_fits(parameters, data):
    """Says in `worker.pid` who calls it, and does not return."""
    import time

    with open("worker.tmp", "w") as writer:
        writer.write(str(os.getpid()))
    os.rename("worker.tmp", "worker.pid")
    time.sleep(120)


def diverging_fits(parameters, data):
    """Returns a fit whose loss overflows."""
    import dataclasses

    import keras

    def build():
        model = keras.Sequential([keras.Input([3]), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(1e18), "mse")
        return model

    return [dataclasses.replace(fit, build=build) for fit in fits(parameters, data)]


def serve(models, data, parameters):
    """Returns signatures for x and a group's name, for serialized examples, and for x alone."""
    import tensorflow as tf
    from methodical.components.exporter.serving_model import Input, ServingModel, Signature

    model = models["first"]
    table = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(
            data.asset_path("groups"),
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        ),
        default_value=-1,
    )

    def answer(x, group):
        return {
            "prediction": model(x, training=False)[:, 0],
            "index": table.lookup(group),
            "label": tf.strings.join(["group ", group]),
        }

    def examples(examples):
        parsed = parse(examples)
        return answer(parsed["x"], parsed["group"])

    serialized = list(data.serialized("eval", raw=True).as_numpy_iterator())
    batch = parse(serialized)
    x, group = batch["x"].numpy(), batch["group"].numpy()
    references = {
        "prediction": model.predict(x, verbose=0)[:, 0],
        "index": np.array([GROUPS.index(name) for name in group]),
        "label": np.array([b"group " + name for name in group]),
    }
    spec = tf.TensorSpec([None, 3], tf.float32)
    text = tf.TensorSpec([None], tf.string)
    inputs = {"x": Input(spec, "three numbers"), "group": Input(text, "a file", file=True)}
    return ServingModel(
        {
            "serving_default": Signature(answer, inputs, {"x": x, "group": group}, references),
            "serving_examples": Signature(
                examples, {"examples": Input(text)}, {"examples": serialized}, references
            ),
            "raw": Signature(
                lambda x: {"prediction": model(x, training=False)},
                {"x": Input(spec)},
                {"x": x},
                {"prediction": references["prediction"][:, None]},
            ),
        },
        [model, table],
        facts={"groups": "3 groups\na, b, c"},
    )
