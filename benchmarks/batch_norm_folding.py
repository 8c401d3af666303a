"""Times a convolutional network with its batch normalizations and folded, both as SavedModels.

    python benchmarks/batch_norm_folding.py --filters 32 64 128 --image 32

Both are exported with Keras, loaded with `tf.saved_model.load` and called through their serving
signature by turns. A SavedModel's weights are variables, and stay so when it is loaded: TensorFlow
does not fold a batch normalization by itself there. `--frozen` measures it too: the same two with
their variables made constants, where Grappler can fold what is constant.
"""

import argparse
import os
import pathlib
import platform
import statistics
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from methodical.models.batch_norm import BatchNormalization, fold_batch_norm


def network(options):
    """Returns the network: a stage of three kinds of convolution for each number of filters."""
    norm = BatchNormalization if options.norm == "ours" else layers.BatchNormalization
    stages = {
        "conv": lambda n: [layers.Conv2D(n, 3, padding="same", use_bias=False)],
        "depthwise": lambda n: [
            layers.DepthwiseConv2D(3, padding="same", use_bias=False),
            layers.Conv2D(n, 1, use_bias=False),
        ],
        "separable": lambda n: [layers.SeparableConv2D(n, 3, padding="same", use_bias=False)],
    }
    x = inputs = keras.Input((options.image, options.image, 3), name="image")
    for filters in options.filters:
        for kind in options.kinds:
            for layer in stages[kind](filters):
                x = layers.ReLU()(norm()(layer(x)))
        x = layers.MaxPooling2D()(x)
    x = layers.GlobalAveragePooling2D()(x)
    outputs = layers.Dense(10, activation="softmax", name="probabilities")(x)
    return keras.Model(inputs, {"probabilities": outputs}, name="network")


def randomise(model, seed):
    """Gives the batch normalizations statistics as after training."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(generator.uniform(0.5, 2, weight.shape))
        elif weight.name in ("beta", "moving_mean"):
            weight.assign(generator.normal(0, 0.5, weight.shape))


def frozen(serve):
    """Returns the serving function with its variables made constants."""
    from tensorflow.python.framework import convert_to_constants

    return convert_to_constants.convert_variables_to_constants_v2(serve)


def times(functions, images, options):
    """Calls the functions by turns; returns the milliseconds of each call, a list a function."""
    inputs = tf.constant(images)
    for function in functions:
        for _ in range(options.warmup):
            function(image=inputs)
    taken = [[] for _ in functions]
    for turn in range(options.calls):
        order = range(len(functions)) if turn % 2 else reversed(range(len(functions)))
        for number in order:
            start = time.perf_counter()
            answer = functions[number](image=inputs)
            np.asarray(next(iter(tf.nest.flatten(answer))))
            taken[number].append(1000 * (time.perf_counter() - start))
    return taken


def compare(kind, functions, options):
    """Prints a line for each batch size."""
    for batch in options.batches:
        images = np.random.default_rng(batch).random((batch, options.image, options.image, 3))
        taken = times(functions, images.astype("float32"), options)
        plain, folded = map(statistics.median, taken)
        ratio = statistics.median(b / a for a, b in zip(*taken, strict=True))
        print(f"{kind:10}{batch:6}{plain:12.3f}{folded:12.3f}{ratio:9.3f}", flush=True)


def main():
    """Reads the options, exports both models and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", type=int, default=32)
    parser.add_argument("--filters", type=int, nargs="+", default=[32, 64, 128])
    kinds = ["conv", "depthwise", "separable"]
    parser.add_argument("--kinds", nargs="+", default=kinds, choices=kinds)
    parser.add_argument("--norm", default="ours", choices=["ours", "keras"])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--warmup", type=int, default=20)
    parser.add_argument("--threads", type=int, default=0, help="0: as many as TensorFlow likes")
    parser.add_argument("--frozen", action="store_true", help="with constants for variables too")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    keras.utils.set_random_seed(options.seed)
    model = network(options)
    randomise(model, options.seed)
    folded, report = fold_batch_norm(model)
    images = np.random.default_rng(1).random((32, options.image, options.image, 3))
    answers = [m.predict(images, verbose=0)["probabilities"] for m in (model, folded)]
    difference = np.abs(answers[0] - answers[1]).max() / answers[0].max()
    print(str(report).splitlines()[0])
    print(f"largest relative difference of the outputs: {difference:.1e}")
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {platform.platform()}; "
        f"Python {platform.python_version()}, TensorFlow {tf.__version__}, "
        f"Keras {keras.__version__}"
    )
    print(f"\n{'variables':10}{'batch':>6}{'plain ms':>12}{'folded ms':>12}{'ratio':>9}")
    with tempfile.TemporaryDirectory() as folder:
        loaded = []
        for name, exported in (("plain", model), ("folded", folded)):
            path = str(pathlib.Path(folder) / name)
            exported.export(path, verbose=False)
            loaded.append(tf.saved_model.load(path))
        functions = [artifact.signatures["serving_default"] for artifact in loaded]
        compare("variables", functions, options)
        if options.frozen:
            compare("constants", [frozen(function) for function in functions], options)


if __name__ == "__main__":
    main()
