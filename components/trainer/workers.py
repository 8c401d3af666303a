"""Trains the fits of one Trainer in several processes."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pydantic

from ..base.parameters import Parameters
from ..base.transformed_data import TransformedData


def run_fits(
    names: Sequence[str],
    fits: Callable[..., Any],
    parameters: Parameters,
    data: TransformedData,
    settings: Mapping[str, Any],
    workers: int,
    report: Callable[[str, float, str], None],
) -> dict[str, dict[str, Any]]:
    """Trains fits in worker processes, each one fit at a time.

    A worker calls `fits` itself, so that only names and results travel; `fits` must be a function
    of a module. Workers are new processes (`spawn`): TensorFlow does not survive a fork. They end
    with this process, even if it is killed.

    Args:
        names: the fits to train, in the order in which they are started.
        fits: the method's function.
        parameters: its parameters.
        data: its data.
        settings: further arguments of `run_fit`.
        workers: int, number of processes.
        report: as in `run_fit`.

    Returns:
        Results of `run_fit` by name.

    Raises:
        RuntimeError: a worker died; the next run resumes from its checkpoint.
        Exception: any error that a fit raised.
    """
    context = multiprocessing.get_context("spawn")
    threads = max(1, _cores() // workers)
    payload = (_by_reference(parameters), fits, data, dict(settings), threads)
    waiting = list(reversed(names))
    training: dict[Any, tuple[Any, str]] = {}
    results: dict[str, dict[str, Any]] = {}
    try:
        for _ in range(workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, payload), daemon=True)
            process.start()
            theirs.close()
            name = waiting.pop()
            training[ours] = (process, name)
            ours.send(name)
        while len(results) < len(names):
            ready: list[Any] = multiprocessing.connection.wait(list(training))
            for connection in ready:
                process, name = training[connection]
                try:
                    kind, *values = connection.recv()
                except (EOFError, OSError):
                    process.join()
                    raise RuntimeError(
                        f"A training process died while it trained {name!r}; if memory was short, "
                        "lower the Trainer's `workers`. The next run resumes from the last "
                        f"checkpoint. Received: exit code {process.exitcode}"
                    ) from None
                if kind == "progress":
                    report(name, *values)
                elif kind == "error":
                    error, text = values
                    raise error from RuntimeError(f"In a training process:\n{text}")
                else:
                    results[name] = values[0]
                    if waiting:
                        training[connection] = (process, waiting.pop())
                        connection.send(training[connection][1])
                    else:
                        del training[connection]
                        # All it made is on disk. Left to itself it may never end: TensorFlow waits
                        # for the threads of data iterators while the interpreter shuts down.
                        process.kill()
                        process.join()
                        connection.close()
    finally:
        for connection, (process, _) in training.items():
            process.kill()
            process.join()
            connection.close()
    return results


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _by_reference(parameters: Parameters) -> tuple[tuple[type, ...], dict[str, Any]]:
    # A component's parameter class is made when the pipeline is built, so that another process
    # cannot import it; its bases are classes of modules.
    kind = type(parameters)
    try:
        pickle.dumps(kind)
        classes: tuple[type, ...] = (kind,)
    except (pickle.PicklingError, AttributeError):
        classes = kind.__bases__
    return classes, parameters.model_dump()


def _rebuilt(classes: tuple[type, ...], values: Mapping[str, Any]) -> Parameters:
    kind = classes[0] if len(classes) == 1 else pydantic.create_model("Values", __base__=classes)
    return kind(**values)


def _work(connection: Any, payload: tuple[Any, ...]) -> None:
    # Ctrl-C reaches every process of the terminal: the parent decides, and ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    (classes, values), fits, data, settings, threads = payload
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    from .fitting import run_fit

    def report(name: str, epochs_done: float, text: str) -> None:
        connection.send(("progress", epochs_done, text))

    try:
        known = {fit.name: fit for fit in fits(_rebuilt(classes, values), data)}
        while True:
            name = connection.recv()
            connection.send(("done", run_fit(known[name], report=report, **settings)))
    except Exception as error:
        connection.send(("error", _sendable(error), traceback.format_exc()))


def _sendable(error: Exception) -> Exception:
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:  # Any class may fail to pickle, in any way; its text still arrives.
        return RuntimeError(f"{type(error).__name__}: {error}")


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)
