"""Times `BatchNormalization` beside `keras.layers.BatchNormalization`, on TensorFlow.

    python benchmarks/batch_norm.py
    python benchmarks/batch_norm.py --only "maps" --rounds 100

The layer alone, on dense and convolutional shapes, and two small networks: one training step (the
output, the gradients and the moving averages; of a network also SGD) and one inference, compiled by
XLA and not. Both run in one process by turns, for about 20 ms a turn; the ratio is the median of
those of the turns, ours to Keras's, and below 1 ours is faster.
"""

import argparse
import os
import platform
import statistics
import time

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from methodical.models.batch_norm import BatchNormalization

TURN_SECONDS = 0.02


def alone(shape, axis):
    """Returns a function from a class to the layer, its inputs and what it trains."""

    def build(layer_class):
        layer = layer_class(axis=axis)
        layer.build(shape)
        return layer

    return build, shape


def dense_network(layer_class):
    """Returns the paper's first network: three hidden layers of 100 sigmoid units."""
    model = keras.Sequential([keras.Input((784,))])
    for _ in range(3):
        model.add(keras.layers.Dense(100, use_bias=False))
        model.add(layer_class())
        model.add(keras.layers.Activation("sigmoid"))
    model.add(keras.layers.Dense(10))
    return model


def convolutional_network(layer_class):
    """Returns three convolutions with normalization on 32×32 images."""
    model = keras.Sequential([keras.Input((32, 32, 3))])
    for filters, strides in ((32, 1), (64, 2), (128, 2)):
        model.add(keras.layers.Conv2D(filters, 3, strides, padding="same", use_bias=False))
        model.add(layer_class())
        model.add(keras.layers.ReLU())
    model.add(keras.layers.GlobalAveragePooling2D())
    model.add(keras.layers.Dense(10))
    return model


CASES = {
    "dense 60×100": alone((60, 100), -1),
    "dense 256×1024": alone((256, 1024), -1),
    "maps 32×32×32×64": alone((32, 32, 32, 64), -1),
    "maps 64×8×8×128": alone((64, 8, 8, 128), -1),
    "maps first 32×16×32×32": alone((32, 16, 32, 32), 1),
    "dense network, batch 60": (dense_network, (60, 784)),
    "convolutional network, batch 32": (convolutional_network, (32, 32, 32, 3)),
}


def functions(build, shape, layer_class, jit):
    """Returns a training step and an inference, each without arguments."""
    keras.utils.set_random_seed(0)
    thing = build(layer_class)
    x = tf.random.stateless_normal(shape, (1, 2))
    upstream = tf.random.stateless_normal(thing.compute_output_shape(shape), (3, 4))
    trained = [variable.value for variable in thing.trainable_variables]
    network = isinstance(thing, keras.Model)

    @tf.function(jit_compile=jit)
    def train(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(thing(x, training=True) * upstream)
        if not network:
            return tape.gradient(loss, [x, *trained])
        for variable, gradient in zip(trained, tape.gradient(loss, trained), strict=True):
            variable.assign_sub(1e-6 * gradient)
        return loss

    @tf.function(jit_compile=jit)
    def infer(x):
        return thing(x, training=False)

    return {"training": lambda: train(x), "inference": lambda: infer(x)}


def seconds(function, times):
    """Returns the seconds of one call, the mean over some."""
    start = time.perf_counter()
    for _ in range(times):
        function()
    tf.test.experimental.sync_devices()
    return (time.perf_counter() - start) / times


def compare(ours, theirs, rounds):
    """Returns the median ratio and both medians, in seconds."""
    for function in (ours, theirs):
        seconds(function, 3)
    times = max(1, round(TURN_SECONDS / seconds(theirs, 5)))
    pairs = []
    for turn in range(rounds):
        order = (ours, theirs) if turn % 2 else (theirs, ours)
        taken = {function: seconds(function, times) for function in order}
        pairs.append((taken[ours], taken[theirs]))
    ratio = statistics.median(mine / keras_ for mine, keras_ in pairs)
    return ratio, *(statistics.median(column) for column in zip(*pairs, strict=True))


def machine():
    """Returns a line on the machine and the versions."""
    name = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
        name = names[0] if names else name
    devices = ", ".join(
        tf.config.experimental.get_device_details(device).get("device_name", device.name)
        for device in tf.config.list_physical_devices("GPU")
    )
    return (
        f"{name}, {os.cpu_count()} cores, {devices or 'no GPU'}; Python "
        f"{platform.python_version()}, TensorFlow {tf.__version__}, Keras {keras.__version__}, "
        f"NumPy {np.__version__}"
    )


def main():
    """Reads the options and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="the cases whose name has this in it")
    parser.add_argument("--rounds", type=int, default=40, help="turns of each of the two")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as there are cores")
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    print(f"{machine()}; float32, {options.threads or 'all'} threads\n")
    print(f"{'case':34}{'jit':5}{'step':12}{'ratio':>7}{'ours ms':>10}{'Keras ms':>10}")
    ratios = []
    for name, (build, shape) in CASES.items():
        if options.only not in name:
            continue
        for jit in (False, True):
            ours = functions(build, shape, BatchNormalization, jit)
            theirs = functions(build, shape, keras.layers.BatchNormalization, jit)
            for step in ours:
                ratio, mine, keras_ = compare(ours[step], theirs[step], options.rounds)
                ratios.append(ratio)
                print(
                    f"{name:34}{'yes' if jit else 'no':5}{step:12}{ratio:7.3f}"
                    f"{1e3 * mine:10.3f}{1e3 * keras_:10.3f}",
                    flush=True,
                )
    if ratios:
        print(f"\nmedian ratio {statistics.median(ratios):.3f}, largest {max(ratios):.3f}")


if __name__ == "__main__":
    main()
