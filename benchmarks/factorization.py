"""Times `factorize` beside scikit-learn's `NMF` and torchnmf's, on TensorFlow.

    python benchmarks/factorization.py
    python benchmarks/factorization.py --only "sparse" --rounds 9

A dense V of 5,000 × 2,000 at rank 40 and a sparse one of 10,000 × 5,000 with 0.5 % stored at rank
20, both float32, from the same W and H. First at equal iterations with the same updates; then to an
equal loss: how long ours takes, with its fastest solver, to reach what the peer has after its
iterations. A time is that of the whole call, reading V and writing the factors included, without
the compilation, which the first call pays and whose seconds are shown. The two run by turns; the
ratio is the median of those of the turns, ours to the peer's, and below 1 ours is faster.

Ours evaluates the objective, which its guard needs, every ten iterations; scikit-learn evaluates it
never, as its tolerance is 0.
"""

import argparse
import os
import platform
import statistics
import time
import warnings

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import scipy
import scipy.sparse
import sklearn
import tensorflow as tf
from methodical.models.factorization import factorize
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning

EVALUATE_EVERY = 10


def dense_case(seed=0):
    """Returns V (5,000 × 2,000), of rank 40 and noise, and the rank."""
    generator = np.random.default_rng(seed)
    V = generator.gamma(0.5, 1.0, (5000, 40)) @ generator.gamma(0.5, 1.0, (40, 2000))
    V *= generator.uniform(0.5, 1.5, V.shape)
    return V.astype("float32"), 40


def sparse_case(seed=0):
    """Returns V (10,000 × 5,000), 0.5 % of it stored, and the rank."""
    generator = np.random.default_rng(seed)
    V = scipy.sparse.random_array(
        (10_000, 5_000), density=0.005, format="csr", dtype="float32", rng=generator
    )
    return V, 20


CASES = {"dense 5,000×2,000 r=40": dense_case, "sparse 10,000×5,000 0.5 % r=20": sparse_case}
METHODS = {
    "mu Frobenius": ("mu", "frobenius", "multiplicative", "euclidean"),
    "cd Frobenius": ("cd", "frobenius", "hierarchical", "euclidean"),
    "mu Kullback-Leibler": ("mu", "kullback-leibler", "multiplicative", "divergence"),
}


def start_of(V, rank, seed=1):
    """Returns W and H as both sides get them."""
    generator = np.random.default_rng(seed)
    scale = np.sqrt(V.mean() / rank)
    shapes = (V.shape[0], rank), (rank, V.shape[1])
    return tuple(
        (scale * np.abs(generator.standard_normal(shape)) + 1e-3).astype("float32")
        for shape in shapes
    )


def loss_of(V, W, H, loss):
    """Returns the loss in float64, never with the whole of WH in memory."""
    W, H = W.astype("float64"), H.astype("float64")
    if scipy.sparse.issparse(V):
        V = V.tocoo()
        WH = np.einsum("er,re->e", W[V.row], H[:, V.col])
        values = V.data.astype("float64")
        if loss == "euclidean":
            return 0.5 * (((W.T @ W) * (H @ H.T)).sum() + (values * (values - 2 * WH)).sum())
        return (values * np.log(values / WH) - values).sum() + W.sum(0) @ H.sum(1)
    value = 0.0
    for low in range(0, V.shape[0], 500):
        block, WH = V[low : low + 500].astype("float64"), W[low : low + 500] @ H
        if loss == "euclidean":
            value += 0.5 * np.square(block - WH).sum()
        else:
            value += (block * np.log(np.where(block > 0, block / WH, 1)) - block + WH).sum()
    return value


def peer_function(V, rank, start, solver, beta_loss, iterations):
    """Returns a function without arguments that runs scikit-learn and returns W and H."""

    def run():
        model = NMF(
            rank, init="custom", solver=solver, beta_loss=beta_loss, tol=0, max_iter=iterations
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            W = model.fit_transform(V, W=start[0].copy(), H=start[1].copy())
        return W, model.components_

    return run


def our_function(V, rank, start, solver, loss, iterations, evaluate_every=EVALUATE_EVERY):
    """Returns a function without arguments that runs `factorize` and returns W and H."""

    def run():
        found = factorize(
            V,
            rank,
            loss=loss,
            solver=solver,
            start=start,
            iterations=iterations,
            tolerance=-1,
            evaluate_every=evaluate_every,
        )
        if found.iterations != iterations:
            raise RuntimeError(f"ours stopped after {found.iterations}: {found.stopped}")
        return found.W, found.H

    return run


def torch_function(V, rank, start, loss, iterations):
    """Returns a function that runs torchnmf on a dense V, or None where it is not installed."""
    try:
        import torch
        from torchnmf.nmf import NMF as TorchNMF
    except ImportError:
        return None
    matrix = torch.tensor(V.T)

    def run():
        model = TorchNMF(W=torch.tensor(start[0]), H=torch.tensor(start[1].T.copy()))
        model.fit(matrix, beta=2 if loss == "euclidean" else 1, tol=0, max_iter=iterations)
        return model.W.detach().numpy(), model.H.detach().numpy().T

    return run


def seconds(function):
    """Returns the seconds of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def compare(ours, theirs, rounds):
    """Returns the median ratio and both medians, in seconds, after one call of each."""
    pairs = []
    for turn in range(rounds):
        order = (ours, theirs) if turn % 2 else (theirs, ours)
        taken = {function: seconds(function) for function in order}
        pairs.append((taken[ours], taken[theirs]))
    ratio = statistics.median(mine / peer for mine, peer in pairs)
    return ratio, *(statistics.median(column) for column in zip(*pairs, strict=True))


def iterations_to(V, rank, start, solver, loss, goal, most):
    """Returns how many of our iterations reach a loss, or None if `most` do not."""
    found = factorize(V, rank, loss=loss, solver=solver, start=start, iterations=most, tolerance=-1)
    reached = np.flatnonzero(found.losses <= goal)
    return int(reached[0]) if reached.size else None


def machine():
    """Returns a line on the machine and the versions."""
    name = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
        name = names[0] if names else name
    return (
        f"{name}, {os.cpu_count()} cores; Python {platform.python_version()}, TensorFlow "
        f"{tf.__version__}, Keras {keras.__version__}, NumPy {np.__version__}, SciPy "
        f"{scipy.__version__}, scikit-learn {sklearn.__version__}"
    )


def show(name, comparison, ours, theirs, rounds, iterations, losses, first=0.0):
    """Times two functions, both called before, and prints a row."""
    ratio, mine, peer = compare(ours, theirs, rounds)
    compilation = f"{max(0.0, first - mine):.1f}" if first else ""
    print(
        f"{name:52}{comparison:18}{ratio:7.3f}{mine:9.3f}{peer:9.3f}{iterations:>9}"
        f"{losses[0]:13.6g}{losses[1]:13.6g}{compilation:>9}",
        flush=True,
    )


def main():
    """Reads the options and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="the rows whose name has this in it")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each of the two")
    parser.add_argument("--iterations", type=int, default=50)
    options = parser.parse_args()
    print(f"{machine()}; float32, all threads\n")
    print(
        f"{'case':52}{'at equal':18}{'ratio':>7}{'ours s':>9}{'peer s':>9}{'iter.':>9}"
        f"{'our loss':>13}{'peer loss':>13}{'compile':>9}"
    )
    for case, make in CASES.items():
        if not any(options.only in f"{case}, {name}" for name in METHODS):
            continue
        V, rank = make()
        start, count = start_of(V, rank), options.iterations
        for name, (solver, beta_loss, our_solver, loss) in METHODS.items():
            if options.only not in f"{case}, {name}":
                continue
            theirs = peer_function(V, rank, start, solver, beta_loss, count)
            ours = our_function(V, rank, start, our_solver, loss, count)
            first = time.perf_counter()
            found = ours()
            first = time.perf_counter() - first
            losses = [loss_of(V, *factors, loss) for factors in (found, theirs())]
            show(
                f"{case}, {name}",
                "iterations",
                ours,
                theirs,
                options.rounds,
                count,
                losses,
                first,
            )
            fastest = "hierarchical" if loss == "euclidean" else "multiplicative"
            goal = losses[1] * (1 + 1e-6)
            needed = iterations_to(V, rank, start, fastest, loss, goal, 2 * count)
            if needed is None:
                print(f"{case}, {name}: not reached in {2 * count} iterations")
            else:
                ours = our_function(V, rank, start, fastest, loss, needed)
                reached = [loss_of(V, *ours(), loss), losses[1]]
                both = f"{needed}:{count}"
                show(f"{case}, {name}", "loss", ours, theirs, options.rounds, both, reached)
            torch = None
            if make is dense_case and solver == "mu":
                torch = torch_function(V, rank, start, loss, count)
                if torch is None:
                    print(f"{case}, {name}: torchnmf is not installed, skipped")
            if torch is not None:
                ours = our_function(V, rank, start, our_solver, loss, count)
                pair = [losses[0], loss_of(V, *torch(), loss)]
                show(f"{case}, {name}", "torchnmf iter.", ours, torch, options.rounds, count, pair)


if __name__ == "__main__":
    main()
