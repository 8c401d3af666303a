"""Times the semi-hard triplets of a FaceNet batch beside pytorch-metric-learning's.

    pip install ".[bench]"
    python benchmarks/facenet.py
    python benchmarks/facenet.py --peer-python /path/with/torch/bin/python --rounds 5

1,800 random unit embeddings of 45 identities, 40 images each, 128 numbers: the batch of the paper.
Both sides compute the mean loss over all semi-hard triplets, with squared distances
`d(a, p) < d(a, n) < d(a, p) + 0.2`, and its gradient: the peer with
`TripletMarginMiner(type_of_triplets="semihard")` and `TripletMarginLoss`, ours with
`TripletLoss(selection="all_semi_hard")` on TensorFlow, as compiled by XLA (`jit_compile=True`,
`all`) and as a plain graph (`all-graph`). Ours also makes the paper's choice, one negative a pair
(`"semi_hard"`: `choice`, `choice-graph`).

Each measurement is a process of its own, as TensorFlow and PyTorch need not be in one environment,
and the sides run by turns. Ours calls once to compile and times the next call; the peer, which
compiles nothing, times its first. The ratio is the median of those of the turns, the peer's seconds
to ours. Memory is the process's peak beyond what it had before the first call, so ours includes the
compilation.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time

import numpy as np

IDENTITIES, IMAGES, SIZE, MARGIN = 45, 40, 128, 0.2


def batch(seed=0):
    """Returns the embeddings (1,800, 128) and their labels."""
    x = np.random.default_rng(seed).normal(size=(IDENTITIES * IMAGES, SIZE)).astype("float32")
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x, np.repeat(np.arange(IDENTITIES), IMAGES).astype("int32")


def our_function(selection, jit):
    """Returns a function of loss and gradient, one that counts triplets, and the versions."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf
    from methodical.models.facenet.triplets.triplet_loss import TripletLoss
    from methodical.models.facenet.triplets.triplets import count_triplets

    x, labels = (tf.constant(array) for array in batch())
    loss = TripletLoss(MARGIN, selection)

    @tf.function(jit_compile=jit)
    def step(x, labels):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = loss(labels, x)
        return value, tape.gradient(value, x)

    def run():
        value, gradient = step(x, labels)
        return float(value), gradient.numpy()

    def number():
        return int(count_triplets(x, labels, MARGIN).semi_hard.numpy().sum(dtype="int64"))

    return run, number, f"TensorFlow {tf.__version__}, Keras {keras.__version__}"


def peer_function():
    """Returns the same of pytorch-metric-learning."""
    import pytorch_metric_learning
    import torch
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.losses import TripletMarginLoss
    from pytorch_metric_learning.miners import TripletMarginMiner

    x, labels = (torch.tensor(array) for array in batch())
    distance = LpDistance(power=2, normalize_embeddings=False)
    miner = TripletMarginMiner(MARGIN, type_of_triplets="semihard", distance=distance)
    loss = TripletMarginLoss(MARGIN, distance=distance)
    found = []

    def run():
        found.clear()
        leaf = x.clone().requires_grad_()
        triplets = miner(leaf, labels)
        found.append(len(triplets[0]))
        value = loss(leaf, labels, triplets)
        value.backward()
        return float(value), leaf.grad.numpy()

    versions = f"pytorch-metric-learning {pytorch_metric_learning.__version__}, PyTorch "
    return run, lambda: found[0], versions + torch.__version__


SIDES = {
    "peer": peer_function,
    "all": lambda: our_function("all_semi_hard", True),
    "choice": lambda: our_function("semi_hard", True),
    "all-graph": lambda: our_function("all_semi_hard", False),
    "choice-graph": lambda: our_function("semi_hard", False),
}


def measure(side):
    """Prints one side's measurement as a line of JSON, of this process."""
    run, number, versions = SIDES[side]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    value, gradient = run()
    seconds = first = time.perf_counter() - start
    if side != "peer":
        start = time.perf_counter()
        value, gradient = run()
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        json.dumps(
            {
                "seconds": seconds,
                "first": first,
                "mebibytes": (peak - before) / 1024,
                "loss": value,
                "norm": float(np.linalg.norm(gradient.astype("float64"))),
                "triplets": number(),
                "versions": versions,
            }
        )
    )


def measured(side, python):
    """Returns the measurement of a side in a fresh process."""
    command = [python, __file__, "--side", side]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def machine():
    """Returns a line on the machine."""
    name = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
        name = names[0] if names else name
    return f"{name}, {os.cpu_count()} cores; Python {platform.python_version()}"


def main():
    """Reads the options and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="turns of all sides (default 3)")
    parser.add_argument(
        "--peer-python",
        default=sys.executable,
        help="Python with the peer, which the extra `bench` installs (default: this one)",
    )
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        measure(options.side)
        return
    found = {side: [] for side in SIDES}
    for _ in range(options.rounds):
        for side, results in found.items():
            python = options.peer_python if side == "peer" else sys.executable
            results.append(measured(side, python))
    peer = found["peer"]
    print(f"{machine()}; {peer[0]['versions']}; {found['all'][0]['versions']}")
    print(
        f"{'':20}{'seconds':>9}{'ratio':>8}{'first call':>12}{'MiB':>8}{'triplets':>12}"
        f"{'loss':>12}{'|gradient|':>12}"
    )
    for side, results in found.items():
        ratio = statistics.median(
            theirs["seconds"] / ours["seconds"] for theirs, ours in zip(peer, results, strict=True)
        )
        medians = {
            name: statistics.median(result[name] for result in results)
            for name in ("seconds", "first", "mebibytes", "triplets", "loss", "norm")
        }
        print(
            f"{side:20}{medians['seconds']:9.3f}{ratio:8.1f}{medians['first']:12.2f}"
            f"{medians['mebibytes']:8.0f}{medians['triplets']:12,.0f}{medians['loss']:12.7f}"
            f"{medians['norm']:12.7f}"
        )


if __name__ == "__main__":
    main()
