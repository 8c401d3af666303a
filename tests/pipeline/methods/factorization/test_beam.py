"""Factorization over sparse row blocks: files, equality with dense NumPy, restarts, runners."""

import itertools
import json
import os
import pathlib
import random
import subprocess
import sys
import tracemalloc

import apache_beam as beam
import numpy as np
import pytest
import scipy.sparse
from methodical.components.base.errors import BadDataError
from methodical.components.beam import sorted_runs
from methodical.components.beam.options import DASK_RUNNER
from methodical.pipeline.methods.factorization.beam import (
    factorization,
    factorization_pass,
)
from methodical.pipeline.methods.factorization.beam.factorization import factorize_blocks
from methodical.pipeline.methods.factorization.beam.row_block_simulator import simulate_row_blocks
from methodical.pipeline.methods.factorization.beam.row_block_transforms import (
    WriteRowBlocks,
    blocks_of_examples,
)
from methodical.pipeline.methods.factorization.beam.row_blocks import RowBlocks, write_row_blocks

ROWS, COLUMNS, RANK = 90, 23, 3
METHODS = [
    {},
    {"solver": "hierarchical"},
    {"loss": "divergence"},
    {"observed": "stored"},
    {"loss": "divergence", "observed": "stored"},
]
NAMES = ["euclidean", "hierarchical", "divergence", "euclidean-stored", "divergence-stored"]
WORKERS = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")


def ratings():
    """A dense matrix with zeros, an empty row and an empty column."""
    generator = np.random.default_rng(5)
    found = generator.integers(1, 11, (ROWS, COLUMNS)) / 2
    found[generator.random(found.shape) > 0.3] = 0
    found[7] = 0
    found[:, 4] = 0
    return found


def sparse_rows(matrix):
    for number, row in enumerate(matrix):
        columns = np.flatnonzero(row)
        yield number, columns, row[columns]


@pytest.fixture
def blocks_dir(tmp_path):
    write_row_blocks(sparse_rows(ratings()), str(tmp_path / "blocks"), COLUMNS, rows_per_block=25)
    return str(tmp_path / "blocks")


def dense_loss(V, M, W, H, loss):
    if loss == "euclidean":
        return (M * (V - W @ H) ** 2).sum() / 2
    WH = W @ H
    logarithms = np.log(np.where(V > 0, V, 1) / np.where(V > 0, WH, 1))
    return (M * (V * logarithms - V + WH)).sum()


def dense_half(V, M, W, H, solver, loss):
    """The update of W on dense arrays, entry by entry as the papers have it."""
    if solver == "hierarchical":
        W = W.copy()
        for k in range(W.shape[1]):
            rest = V - np.delete(W, k, axis=1) @ np.delete(H, k, axis=0)
            W[:, k] = np.maximum(rest @ H[k] / (H[k] @ H[k]), 0)
        return W
    WH = W @ H
    if loss == "euclidean":
        above, below = (M * V) @ H.T, (M * WH) @ H.T
    else:
        above, below = (M * V / np.where(V > 0, WH, 1)) @ H.T, M @ H.T
    return np.where(below > 0, W * above / np.where(below > 0, below, 1), W)


def start(observed):
    """The documented start: W drawn block by block, and H."""
    V = ratings()
    scale = np.sqrt(V.sum() / (V.size if observed == "all" else np.count_nonzero(V)) / RANK)
    shapes = [(RANK, COLUMNS), *((min(25, ROWS - first), RANK) for first in range(0, ROWS, 25))]
    H, *W = (
        scale * np.abs(np.random.default_rng([0, number]).standard_normal(shape))
        for number, shape in enumerate(shapes)
    )
    return np.concatenate(W), H


def dense(iterations, solver="multiplicative", loss="euclidean", observed="all"):
    """The same factorization in memory, in float64 from the documented start."""
    V = ratings()
    M = np.ones(V.shape) if observed == "all" else (V > 0).astype(float)
    W, H = start(observed)
    losses = []
    for _ in range(iterations):
        W = dense_half(V, M, W, H, solver, loss)
        H = dense_half(V.T, M.T, H.T, W.T, solver, loss).T
        losses.append(dense_loss(V, M, W, H, loss))
    return W, H, losses


def together(found):
    rows, weights = zip(*found.weights(), strict=True)
    assert np.concatenate(rows).tolist() == list(range(ROWS))
    return np.concatenate(weights)


def test_blocks_hold_what_was_written(tmp_path):
    matrix = ratings()
    rows = list(sparse_rows(matrix))
    written = write_row_blocks(iter(rows), str(tmp_path / "plain"), COLUMNS, 25)
    assert written.shape == (ROWS, COLUMNS)
    assert len(written) == 4
    assert written.entries == np.count_nonzero(matrix)
    assert written.sum == matrix.sum()
    assert written.squares == (matrix**2).sum()
    block = written.read(1)
    assert block.rows.tolist() == list(range(25, 50))
    assert block.matrix.dtype == np.float32
    np.testing.assert_array_equal(block.matrix.toarray(), matrix[25:50])
    np.testing.assert_array_equal(written.read_all().matrix.toarray(), matrix)
    by_scipy = scipy.sparse.load_npz(tmp_path / "plain" / "block-00003.npz")
    np.testing.assert_array_equal(by_scipy.toarray(), matrix[75:])
    deflated = write_row_blocks(rows, str(tmp_path / "deflated"), COLUMNS, 25, compress=True)
    np.testing.assert_array_equal(deflated.read_all().matrix.toarray(), matrix)
    assert (tmp_path / "deflated" / "block-00000.npz").stat().st_size < (
        tmp_path / "plain" / "block-00000.npz"
    ).stat().st_size


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(3, [0, 2], [1.0, -0.5])], "not negative. Received: -0.5 in row 3, column 2"),
        ([(3, [1], [float("nan")])], "finite and not negative. Received: nan in row 3, column 1"),
        ([(3, [1], [float("inf")])], "finite and not negative. Received: inf in row 3"),
        ([(3, [5], [1.0])], "between 0 and 4. Received: column 5 in row 3"),
        ([(3, [-1], [1.0])], "between 0 and 4. Received: column -1 in row 3"),
        ([(3, [2, 0, 2], [1.0, 1.0, 1.0])], "each column once. Received: column 2 again in row 3"),
        ([(3, [2], [1.0]), (3, [1], [1.0])], "come once, in ascending order. Received: row 3"),
        ([(3, [2, 1], [1.0])], "Received: 2 columns and 1 values in row 3"),
        ([], "at least one row. Received: none"),
    ],
)
def test_rows_that_cannot_be_used_are_errors(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        write_row_blocks(rows, str(tmp_path / "blocks"), 5)
    assert not (tmp_path / "blocks" / "blocks.json").exists()


def test_a_folder_of_blocks_is_not_overwritten_and_not_guessed(blocks_dir, tmp_path):
    with pytest.raises(ValueError, match=r"holds none; remove it or take another\. Received:"):
        write_row_blocks(sparse_rows(ratings()), blocks_dir, COLUMNS)
    with pytest.raises(ValueError, match=r"must hold blocks\.json"):
        RowBlocks(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="Received: columns=0, rows_per_block=32768"):
        write_row_blocks([], str(tmp_path / "new"), 0)


def test_beam_writes_the_same_blocks_from_rows_in_any_order(
    tmp_path, blocks_dir, contents, monkeypatch
):
    monkeypatch.setattr(sorted_runs, "_SPILLED", 100)
    rows = [
        (number, list(columns), list(values)) for number, columns, values in sparse_rows(ratings())
    ]
    random.Random(0).shuffle(rows)
    for immediately in (False, True):
        folder = str(tmp_path / f"other{immediately}")
        with beam.Pipeline(runner="FnApiRunner") as pipeline:
            write = WriteRowBlocks(folder, COLUMNS, 25, immediately=immediately)
            _ = pipeline | beam.Create(rows, reshuffle=False) | write
        found, wanted = RowBlocks(folder), RowBlocks(blocks_dir)
        assert found.fingerprint == wanted.fingerprint
        for index in range(4):
            assert found.read_rows(index).tolist() == wanted.read_rows(index).tolist()
            difference = found.read(index).matrix - wanted.read(index).matrix
            assert difference.nnz == 0


def test_transformed_examples_become_blocks(tmp_path, write_examples):
    def example(user, items, stars, folds):
        return {"user": [user], "items": items, "ratings": stars, "folds": folds}

    # Item 4 is the unknown one of four known.
    examples = write_examples(
        {
            "train": [
                example(2, [0, 3], [4.0, 2.5], [1, 0]),
                example(0, [4, 1], [1.0, 3.0], [0, -1]),
                example(1, [2], [5.0], [1]),
            ]
        },
        shards=2,
    )
    everything = blocks_of_examples(examples, str(tmp_path / "all"), 4)
    assert everything.read_all().matrix.toarray().tolist() == [
        [0, 3, 0, 0],
        [0, 0, 5, 0],
        [4, 0, 0, 2.5],
    ]
    trained = blocks_of_examples(
        examples, str(tmp_path / "fold"), 4, held_out_fold=1, rows_per_block=2
    )
    assert len(trained) == 2
    assert trained.read_all().matrix.toarray().tolist() == [
        [0, 3, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 2.5],
    ]
    assert sorted(os.listdir(tmp_path / "fold")) == [
        "block-00000.npz",
        "block-00001.npz",
        "blocks.json",
    ]
    twice = write_examples(
        {"train": [example(2, [0], [4.0], [1]), example(2, [1], [4.0], [1])]}, folder="twice"
    )
    with pytest.raises(BadDataError, match=r"^Each row must come once.*Received: row 2$"):
        blocks_of_examples(twice, str(tmp_path / "twice_blocks"), 4)
    uneven = write_examples({"train": [example(2, [0, 1, 2], [4.0], [1, 0])]}, folder="uneven")
    with pytest.raises(BadDataError, match=r"3 items, 1 ratings and 2 folds of user \[2\]"):
        blocks_of_examples(uneven, str(tmp_path / "uneven_blocks"), 4, held_out_fold=0)
    with pytest.raises(ValueError, match=r"must have examples\. Received:"):
        blocks_of_examples(twice, str(tmp_path / "none"), 4, split="eval")


def test_simulated_ratings_are_seeded_and_of_low_rank(tmp_path):
    sizes = {"rows": 3000, "columns": 400, "density": 0.05, "rows_per_block": 700}
    found = simulate_row_blocks(str(tmp_path / "a"), **sizes, rank=2, noise=0.1)
    assert found.shape == (3000, 400)
    assert found.entries == pytest.approx(3000 * 400 * 0.05, rel=0.02)
    matrix = found.read_all().matrix
    assert np.unique(matrix.data).tolist() == (np.arange(1, 11) / 2).tolist()
    assert np.bincount(matrix.indices, minlength=400).min() > 90
    again = simulate_row_blocks(str(tmp_path / "b"), **sizes, rank=2, noise=0.1)
    other = simulate_row_blocks(str(tmp_path / "c"), **sizes, rank=2, noise=0.1, seed=1)
    assert again.fingerprint == found.fingerprint != other.fingerprint
    full = simulate_row_blocks(str(tmp_path / "full"), 300, 60, 1, rank=2, noise=0)
    values = np.linalg.svd(full.read_all().matrix.toarray(), compute_uv=False)
    # Clipping at 5 leaves more than two components; without any structure the share is 0.98.
    assert values[2] < 0.7 * values[1]
    with pytest.raises(ValueError, match="density=0"):
        simulate_row_blocks(str(tmp_path / "d"), 10, 10, 0)


@pytest.mark.parametrize("method", METHODS, ids=NAMES)
def test_the_result_is_that_of_dense_numpy(blocks_dir, tmp_path, method):
    W, H, losses = dense(3, **method)
    reported = []
    found = factorize_blocks(
        blocks_dir,
        str(tmp_path / "exact"),
        RANK,
        3,
        dtype="float64",
        pieces=3,
        report=lambda *row: reported.append(row),
        **method,
    )
    np.testing.assert_allclose(found.components, H, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(together(found), W, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.losses, losses, rtol=1e-10)
    assert all(after < before for before, after in itertools.pairwise(losses))
    assert [row[:2] for row in reported] == list(enumerate(found.losses, 1))
    assert [row[2] for row in reported] == list(found.seconds)


@pytest.mark.parametrize("method", METHODS, ids=NAMES)
def test_the_result_is_that_of_the_algorithm_in_memory(blocks_dir, tmp_path, method):
    from methodical.models.factorization import factorize

    found = factorize_blocks(blocks_dir, str(tmp_path / "out"), RANK, 3, dtype="float64", **method)
    wanted = factorize(
        scipy.sparse.csr_matrix(ratings()),
        RANK,
        start=start(method.get("observed", "all")),
        iterations=3,
        tolerance=-1,
        dtype="float64",
        **method,
    )
    np.testing.assert_allclose(found.components, wanted.H, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(together(found), wanted.W, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found.losses, wanted.losses[1:], rtol=1e-8)


@pytest.mark.parametrize("method", METHODS, ids=NAMES)
def test_float32_is_exact_to_five_digits(blocks_dir, tmp_path, method):
    W, H, losses = dense(2, **method)
    found = factorize_blocks(blocks_dir, str(tmp_path / "single"), RANK, 2, **method)
    assert found.components.dtype == together(found).dtype == np.float32
    np.testing.assert_allclose(found.components, H, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(together(found), W, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.losses, losses, rtol=1e-5)


@pytest.mark.parametrize("method", [METHODS[0], METHODS[2]], ids=[NAMES[0], NAMES[2]])
def test_a_call_goes_on_after_the_last_whole_iteration(blocks_dir, tmp_path, monkeypatch, method):
    W, H, losses = dense(4, **method)
    method = {**method, "dtype": "float64"}
    out_dir = str(tmp_path / "parts")
    write = factorization_pass.write_array

    def fail_in_iteration_3(path, array):
        if "iteration-00003" in path and path.endswith("weights-00002.npy"):
            raise OSError("disk full")
        write(path, array)

    monkeypatch.setattr(factorization_pass, "write_array", fail_in_iteration_3)
    factorize_blocks(blocks_dir, out_dir, RANK, 1, **method)
    with pytest.raises(RuntimeError, match=r"in step .*VisitBlocks.*: OSError: disk full"):
        factorize_blocks(blocks_dir, out_dir, RANK, 4, **method)
    assert sorted(os.listdir(out_dir)) == ["iteration-00002", "iteration-00003", "options.json"]
    monkeypatch.undo()
    reported = []
    found = factorize_blocks(
        blocks_dir, out_dir, RANK, 4, report=lambda *row: reported.append(row[0]), **method
    )
    # The divergence of iteration 2 was not known yet: only the next pass measures it.
    assert reported == ([2, 3, 4] if "loss" in method else [3, 4])
    np.testing.assert_allclose(found.components, H, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(together(found), W, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.losses, losses, rtol=1e-10)
    assert len(found.seconds) == 4
    assert sorted(os.listdir(out_dir)) == ["iteration-00004", "options.json"]
    again = factorize_blocks(blocks_dir, out_dir, RANK, 4, report=reported.append, **method)
    assert again.losses == found.losses
    assert again.seconds == found.seconds
    with pytest.raises(ValueError, match=r"has 4 iterations already.*Received: iterations=3"):
        factorize_blocks(blocks_dir, out_dir, RANK, 3, **method)


KILLED = """
import os, sys
from methodical.pipeline.methods.factorization.beam import block_updates
from methodical.pipeline.methods.factorization.beam.factorization import factorize_blocks

update = block_updates.BlockUpdates.update_block
calls = []

def update_until_killed(self, *arguments):
    calls.append(0)
    if len(calls) == 11:
        os.kill(os.getpid(), 9)
    return update(self, *arguments)

block_updates.BlockUpdates.update_block = update_until_killed
factorize_blocks(sys.argv[1], sys.argv[2], 3, 4)
"""


def test_progress_is_shown_within_a_pass(blocks_dir, tmp_path):
    shown = []
    factorize_blocks(
        blocks_dir, str(tmp_path / "out"), RANK, 2, progress=lambda *row: shown.append(row)
    )
    assert [text for _, text in shown] == ["iteration 1"] * 4 + ["iteration 2"] * 4
    assert shown[3][0] == shown[7][0] == 1
    assert 0 < shown[0][0] < shown[1][0] < shown[2][0] < 1


def test_a_killed_process_loses_its_iteration_only(blocks_dir, tmp_path):
    out_dir = str(tmp_path / "out")
    killed = subprocess.run([sys.executable, "-c", KILLED, blocks_dir, out_dir], check=False)
    assert killed.returncode == -9
    assert sorted(os.listdir(out_dir)) == ["iteration-00002", "iteration-00003", "options.json"]
    assert len(os.listdir(f"{out_dir}/iteration-00003")) == 2
    reported = []
    found = factorize_blocks(
        blocks_dir, out_dir, RANK, 4, report=lambda *row: reported.append(row[0])
    )
    assert reported == [3, 4]
    np.testing.assert_allclose(found.components, dense(4)[1], rtol=1e-5, atol=1e-5)


def test_a_folder_keeps_its_options_and_its_blocks(blocks_dir, tmp_path):
    out_dir = str(tmp_path / "out")
    factorize_blocks(blocks_dir, out_dir, RANK, 1)
    for options, message in [
        ({"rank": 4}, "with rank=3; go on with the same.*Received: rank=4"),
        ({"solver": "hierarchical"}, "solver='multiplicative'.*Received: solver='hierarchical'"),
        ({"seed": 1}, "with seed=0.*Received: seed=1"),
        ({"dtype": "float64"}, "with dtype='float32'.*Received: dtype='float64'"),
    ]:
        with pytest.raises(ValueError, match=message):
            factorize_blocks(blocks_dir, out_dir, **{"rank": RANK, "iterations": 2, **options})
    other = str(tmp_path / "other")
    write_row_blocks(sparse_rows(2 * ratings()), other, COLUMNS, rows_per_block=25)
    with pytest.raises(ValueError, match="with blocks="):
        factorize_blocks(other, out_dir, RANK, 2)
    np.save(f"{out_dir}/iteration-00001/weights-00003.npy", np.zeros((2, RANK), np.float32))
    with pytest.raises(BadDataError, match=r"float32 \(15, 3\).*Received: float32 \(2, 3\) in "):
        factorize_blocks(blocks_dir, out_dir, RANK, 2)
    os.remove(f"{out_dir}/iteration-00001/weights-00003.npy")
    with pytest.raises(BadDataError, match=r"whole \.npy files.*weights-00003\.npy"):
        factorize_blocks(blocks_dir, out_dir, RANK, 2)


def test_broken_blocks_are_errors(blocks_dir, tmp_path):
    out_dir = str(tmp_path / "out")
    path = pathlib.Path(blocks_dir, "block-00002.npz")
    arrays = dict(np.load(path))
    negative = {**arrays, "data": -arrays["data"]}
    for changed, message in [
        (negative, "must be finite and not negative. Received: -.* in .*block-00002.npz"),
        ({**arrays, "rows": arrays["rows"][1:]}, "25 rows and .* Received: .* with 24 rows"),
        ({**arrays, "indices": arrays["indices"] + 9}, "columns must lie between 0 and 22"),
    ]:
        np.savez(path, **changed)
        with pytest.raises(BadDataError, match=message):
            factorize_blocks(blocks_dir, out_dir, RANK, 1)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(BadDataError, match=r"must be a whole file.*block-00002\.npz"):
        factorize_blocks(blocks_dir, out_dir, RANK, 1)
    path.unlink()
    with pytest.raises(ValueError, match=r"Received: .* without block-00002\.npz$"):
        factorize_blocks(blocks_dir, out_dir, RANK, 1)
    pathlib.Path(blocks_dir, "blocks.json").write_text('{"columns": 3}')
    with pytest.raises(ValueError, match=r"must be what `write_row_blocks` writes.*blocks\.json"):
        factorize_blocks(blocks_dir, out_dir, RANK, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "rank must be an int of at least 1. Received: 0"),
        ({"rank": 2.0}, "rank must be an int of at least 1. Received: 2.0"),
        ({"iterations": 0}, "iterations must be an int of at least 1. Received: 0"),
        ({"seed": -1}, "seed must be an int of at least 0. Received: -1"),
        ({"pieces": 0}, "pieces must be an int of at least 1. Received: 0"),
        ({"dtype": "float16"}, "'float32' or 'float64'. Received: 'float16'"),
        ({"solver": "cd"}, "solver must be one of 'multiplicative', 'hierarchical'"),
        ({"loss": "kl"}, "loss must be one of 'euclidean', 'divergence'. Received: 'kl'"),
        ({"observed": "nan"}, "observed must be one of 'all', 'stored'. Received: 'nan'"),
        ({"solver": "hierarchical", "loss": "divergence"}, "needs loss='euclidean'"),
        ({"solver": "hierarchical", "observed": "stored"}, "needs loss='euclidean'"),
        ({"beam_arguments": ["--direct_num_worker=2"]}, "did you mean --direct_num_workers"),
    ],
)
def test_options_out_of_range_are_errors(blocks_dir, tmp_path, options, message):
    out_dir = str(tmp_path / "out")
    with pytest.raises(ValueError, match=message):
        factorize_blocks(blocks_dir, out_dir, **{"rank": RANK, "iterations": 1, **options})
    assert not os.path.exists(out_dir)


def test_memory_does_not_grow_with_the_number_of_blocks(tmp_path):
    peaks = []
    for blocks in (4, 24):
        folder = str(tmp_path / f"{blocks}")
        sizes = {"rows": 1000 * blocks, "columns": 300, "density": 0.3, "rows_per_block": 1000}
        found = simulate_row_blocks(folder, **sizes)
        tracemalloc.start()
        factorize_blocks(folder, f"{folder}-factors", 2, 1, pieces=4)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    total = 8 * found.entries
    assert total > 17e6
    assert peaks[1] - peaks[0] < total / 20


def test_paths_may_be_remote(tmp_path, monkeypatch):
    import tensorflow as tf
    from apache_beam.io.filesystems import FileSystems

    # TensorFlow's file system in memory stands for an object store; Beam does not know it.
    monkeypatch.setattr(FileSystems, "delete", lambda paths: [*map(tf.io.gfile.remove, paths)])
    folder = f"ram://{tmp_path.name}"
    write_row_blocks(sparse_rows(ratings()), f"{folder}/blocks", COLUMNS, rows_per_block=25)
    out_dir = f"{folder}/out"
    factorize_blocks(f"{folder}/blocks", out_dir, RANK, 1)
    found = factorize_blocks(f"{folder}/blocks", out_dir, RANK, 2)
    np.testing.assert_allclose(found.components, dense(2)[1], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_several_worker_processes_give_the_same(blocks_dir, tmp_path):
    W, H, losses = dense(2)
    found = factorize_blocks(blocks_dir, str(tmp_path / "out"), RANK, 2, beam_arguments=WORKERS)
    np.testing.assert_allclose(found.components, H, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(together(found), W, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.losses, losses, rtol=1e-5)


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same(blocks_dir, tmp_path, write_examples):
    pytest.importorskip("dask", reason="no Dask: pip install 'methodical[dask]'")
    from dask import distributed

    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0"
    ) as cluster:
        flags = (
            f"--runner={DASK_RUNNER}",
            f"--dask_client_address={cluster.scheduler_address}",
            "--dask_npartitions=3",
        )
        for method in METHODS[:3]:
            W, H, losses = dense(2, **method)
            found = factorize_blocks(
                blocks_dir,
                str(tmp_path / f"out-{len(str(method))}"),
                RANK,
                2,
                beam_arguments=flags,
                **method,
            )
            np.testing.assert_allclose(found.components, H, rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(together(found), W, rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(found.losses, losses, rtol=1e-5)
        examples = write_examples(
            {
                "train": [
                    {"user": [user], "items": [user % 5, 5], "ratings": [4.0, 2.0], "folds": [0, 1]}
                    for user in range(40)
                ]
            },
            shards=3,
        )
        local = blocks_of_examples(examples, str(tmp_path / "local"), 6, rows_per_block=16)
        there = blocks_of_examples(
            examples, str(tmp_path / "there"), 6, rows_per_block=16, beam_arguments=flags
        )
        assert there.fingerprint == local.fingerprint


def test_the_command_reports_and_ends_with_one_sentence(blocks_dir, tmp_path, capsys):
    out_dir = str(tmp_path / "out")
    command = [blocks_dir, out_dir, "--rank=3"]
    factorization.main([*command, "--iterations=2", "--", "--direct_num_workers=1"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["iteration", "1"], ["iteration", "2"]]
    assert lines[2] == f"W and H: {out_dir}/iteration-00002"
    state = json.loads(pathlib.Path(out_dir, "iteration-00002", "state.json").read_text())
    assert float(lines[1].split()[3]) == pytest.approx(state["losses"][1], rel=1e-5)
    with pytest.raises(SystemExit, match="has 2 iterations already"):
        factorization.main([*command, "--iterations=1"])


def test_workers_import_no_tensorflow():
    code = (
        "import sys\n"
        "from methodical.pipeline.methods.factorization.beam import factorization_pass\n"
        "from methodical.pipeline.methods.factorization.beam import row_block_simulator\n"
        "print(sorted({'tensorflow', 'keras'} & sys.modules.keys()))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
