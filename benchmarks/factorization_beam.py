"""Factorizes ratings that do not fit into memory: seconds per iteration, peak memory, equality.

    python benchmarks/factorization_beam.py
    python benchmarks/factorization_beam.py --rows 200000 --loss divergence
    python benchmarks/factorization_beam.py -- --direct_num_workers=2 \
        --direct_running_mode=multi_processing

First, 2 million × 5,000 ratings at 0.5 % (about 50 million) are simulated and factorized in a
process of its own with a limit on its address space (`RLIMIT_AS`, which counts whatever the process
maps, libraries and threads' stacks too); worker processes inherit it, each for itself. Then a small
matrix is factorized by every method, on Beam's local runner and, where Dask is installed
(`pip install 'methodical[dask]'`), on a local Dask cluster, and held against
`methodical.models.factorization.factorize`, in memory in float64, from the same start. It ends with
status 1 if one differs by more than 1e-5 of the largest entry.
"""

import argparse
import contextlib
import importlib.util
import json
import logging
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

METHODS = {
    "euclidean": {},
    "euclidean, hierarchical": {"solver": "hierarchical"},
    "divergence": {"loss": "divergence"},
    "euclidean, stored entries": {"observed": "stored"},
    "divergence, stored entries": {"loss": "divergence", "observed": "stored"},
}
DASK_RUNNER = "apache_beam.runners.dask.dask_runner.DaskRunner"
TOLERANCE = 1e-5


def peak_memory():
    """Returns the peak resident memory in MB: of this process, and of its largest child."""
    kinds = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    return [resource.getrusage(kind).ru_maxrss / 1e3 for kind in kinds]


def run_large(options, folder):
    """Simulates and factorizes; runs in the process with the limit."""
    from methodical.components.beam.options import load_beam

    load_beam()
    from methodical.pipeline.methods.factorization.beam.factorization import factorize_blocks
    from methodical.pipeline.methods.factorization.beam.row_block_simulator import (
        simulate_row_blocks,
    )

    def say(text):
        own, child = peak_memory()
        children = f", {child:.0f} MB in the largest worker" if child else ""
        print(f"{text}   peak memory {own:.0f} MB{children}", flush=True)

    start = time.perf_counter()
    blocks = simulate_row_blocks(
        os.path.join(folder, "blocks"),
        options["rows"],
        options["columns"],
        options["density"],
        rows_per_block=options["rows_per_block"],
        beam_arguments=options["beam_arguments"],
    )
    size = sum(
        os.path.getsize(os.path.join(blocks.folder, block["file"])) for block in blocks.blocks
    )
    say(
        f"simulated {blocks.rows:,} x {blocks.columns:,}, {blocks.entries:,} ratings in "
        f"{len(blocks)} blocks, {size / 1e6:.0f} MB: {time.perf_counter() - start:.1f} s"
    )
    factorize_blocks(
        blocks.folder,
        os.path.join(folder, "factors"),
        options["rank"],
        options["iterations"],
        solver=options["solver"],
        loss=options["loss"],
        observed=options["observed"],
        beam_arguments=options["beam_arguments"],
        report=lambda iteration, loss, seconds: say(
            f"iteration {iteration}   loss {loss:.6e}   {seconds:.1f} s"
        ),
    )


def large(options):
    """Starts `run_large` under the limit."""
    print(
        f"{options['solver']}, {options['loss']}, {options['observed']} entries, rank "
        f"{options['rank']}; limit {options['limit']:g} GB of address space a process"
    )
    limit = int(options["limit"] * 1e9)
    code = (
        "import json, resource, sys\n"
        f"resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))\n"
        "from factorization_beam import run_large\n"
        "run_large(json.loads(sys.argv[1]), sys.argv[2])\n"
    )
    with tempfile.TemporaryDirectory(dir=options["folder"]) as folder:
        command = [sys.executable, "-c", code, json.dumps(options), folder]
        here = os.path.dirname(os.path.abspath(__file__))
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": here})


@contextlib.contextmanager
def runners():
    """Gives the Beam flags by the name of a runner."""
    flags = {"local": ()}
    if importlib.util.find_spec("distributed") is None:
        print("no Dask here: pip install 'methodical[dask]' to compare its runner too")
        yield flags
        return
    from dask import distributed

    logging.getLogger("distributed").setLevel(logging.ERROR)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0"
    ) as cluster:
        flags["Dask"] = (
            f"--runner={DASK_RUNNER}",
            f"--dask_client_address={cluster.scheduler_address}",
            "--dask_npartitions=4",
        )
        yield flags


def difference(found, wanted):
    """Returns the largest difference relative to the largest entry."""
    return float(abs(found - wanted).max() / abs(wanted).max())


def compare(iterations=5, rank=10):
    """Prints how far each method is from the one in memory; returns whether all are near."""
    import numpy as np
    from methodical.components.beam.options import load_beam

    load_beam()
    from methodical.models.factorization import factorize
    from methodical.pipeline.methods.factorization.beam import factor_files
    from methodical.pipeline.methods.factorization.beam.factorization import factorize_blocks
    from methodical.pipeline.methods.factorization.beam.row_block_simulator import (
        simulate_row_blocks,
    )

    near = True
    with tempfile.TemporaryDirectory() as folder, runners() as flags:
        blocks = simulate_row_blocks(
            os.path.join(folder, "blocks"), 20_000, 1_000, 0.02, rows_per_block=1_500
        )
        print(
            f"\n{blocks.rows:,} x {blocks.columns:,}, {blocks.entries:,} ratings in {len(blocks)} "
            f"blocks, rank {rank}, {iterations} iterations in float32 beside factorize in float64: "
            f"the largest difference, relative to the largest entry"
        )
        print(f"{'':28s} {'runner':8s} {'W':>9s} {'H':>9s} {'losses':>9s}")
        matrix = blocks.read_all().matrix
        for name, method in METHODS.items():
            scale = factor_files.initial_scale(blocks, rank, method.get("observed", "all"))
            shapes = [(rank, blocks.columns), *((b["rows"], rank) for b in blocks.blocks)]
            H, *W = (
                factor_files.initial_factor(0, number, shape, scale, "float64")
                for number, shape in enumerate(shapes)
            )
            wanted = factorize(
                matrix,
                rank,
                start=(np.concatenate(W), H),
                iterations=iterations,
                tolerance=-1,
                dtype="float64",
                **method,
            )
            for runner, beam_arguments in flags.items():
                found = factorize_blocks(
                    blocks.folder,
                    os.path.join(folder, f"{name}-{runner}"),
                    rank,
                    iterations,
                    beam_arguments=beam_arguments,
                    **method,
                )
                weights = np.concatenate([weights for _, weights in found.weights()])
                differences = (
                    difference(weights, wanted.W),
                    difference(found.components, wanted.H),
                    difference(np.array(found.losses), wanted.losses[1:]),
                )
                near &= max(differences) < TOLERANCE
                print(f"{name:28s} {runner:8s}" + "".join(f" {d:9.1e}" for d in differences))
    return near


def main():
    """Reads the flags and runs both parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--columns", type=int, default=5_000)
    parser.add_argument("--density", type=float, default=0.005)
    parser.add_argument("--rows_per_block", type=int, default=32_768)
    parser.add_argument("--rank", type=int, default=20)
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--solver", default="multiplicative", help="or hierarchical")
    parser.add_argument("--loss", default="euclidean", help="or divergence")
    parser.add_argument("--observed", default="all", help="or stored")
    parser.add_argument("--limit", type=float, default=2.0, help="GB of address space a process")
    parser.add_argument("--folder", help="where the files lie meanwhile: 0.8 GB")
    parser.add_argument("--parts", nargs="+", default=["large", "compare"])
    given = sys.argv[1:]
    beam_arguments = []
    if "--" in given:
        split = given.index("--")
        given, beam_arguments = given[:split], given[split + 1 :]
    options = {**vars(parser.parse_args(given)), "beam_arguments": beam_arguments}
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}")
    if "large" in options["parts"]:
        large(options)
    if "compare" in options["parts"] and not compare():
        sys.exit(f"A result differs by more than {TOLERANCE:g}.")


if __name__ == "__main__":
    main()
