import csv
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest
from methodical.components.base.artifacts import Model, ModelRun, TransformGraph
from methodical.components.base.component import ExecutionContext
from methodical.components.base.transformed_data import TransformedData
from methodical.components.trainer.component import Trainer, checked_fits
from methodical.components.trainer.fit import Fit

FOLDER = str(pathlib.Path(__file__).parent.parent)
HERE = str(pathlib.Path(__file__).parent)


@pytest.fixture(scope="module")
def toy():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        import toy_regression

        yield toy_regression


@pytest.fixture(scope="module")
def examples(toy, tmp_path_factory):
    return toy.write_examples(tmp_path_factory.mktemp("examples"), {"train": 48, "eval": 16})


def context_in(folder, examples, fits, options, progress=None, **parameters):
    kind = Trainer.joined_parameters([options])
    values = kind(checkpoint_seconds=0, **parameters)
    outputs = {"model": Model(f"{folder}/model"), "model_run": ModelRun(f"{folder}/run")}
    for output in outputs.values():
        os.makedirs(output.uri, exist_ok=True)
    os.makedirs(f"{folder}/checkpoints", exist_ok=True)
    return ExecutionContext(
        inputs={"examples": examples, "transform_graph": TransformGraph(f"{folder}/graph")},
        outputs=outputs,
        parameters=values,
        functions={"fits": fits},
        checkpoint_dir=f"{folder}/checkpoints",
        progress=progress or (lambda fraction, text: None),
    )


def weights(context, fit):
    import keras

    return keras.saving.load_model(context.outputs["model"].model_path(fit)).get_weights()


def rows(context, fit):
    text = pathlib.Path(context.outputs["model_run"].path(fit, "epochs.jsonl")).read_text()
    found = [json.loads(line) for line in text.splitlines()]
    return [{key: row[key] for key in row if key != "seconds"} for row in found]


def assert_same(one, other, fits=("first", "second")):
    for fit in fits:
        assert rows(one, fit) == rows(other, fit)
        for left, right in zip(weights(one, fit), weights(other, fit), strict=True):
            np.testing.assert_array_equal(left, right)
    for key in ("best", "epochs_run", "parameter_count", "fits"):
        assert one.outputs["model"].properties[key] == other.outputs["model"].properties[key]


@pytest.fixture(scope="module")
def undisturbed(toy, examples, tmp_path_factory):
    context = context_in(tmp_path_factory.mktemp("undisturbed"), examples, toy.fits, toy.Options)
    Trainer.execute(context)
    return context


def test_trains_logs_and_keeps_the_best_epoch(undisturbed, examples, toy):
    properties = undisturbed.outputs["model"].properties
    assert properties["fits"] == ["first", "second"]
    assert properties["parameters"]["learning_rate"] == 0.05
    assert properties["parameter_count"] == {"first": 41, "second": 41}
    assert rows(undisturbed, "first") != rows(undisturbed, "second")
    for fit in properties["fits"]:
        logged = rows(undisturbed, fit)
        assert [row["epoch"] for row in logged] == [1, 2, 3, 4]
        best = properties["best"][fit]
        least = min(logged, key=lambda row: row["val_loss"])
        assert (best["epoch"], best["value"]) == (least["epoch"], least["val_loss"])
        with open(undisturbed.outputs["model_run"].path(fit, "epochs.csv")) as reader:
            table = list(csv.DictReader(reader))
        assert [float(row["val_loss"]) for row in table] == [row["val_loss"] for row in logged]

        import keras
        import tensorflow as tf

        data = tf.data.TFRecordDataset(examples.files("eval"), "GZIP").batch(8).map(toy.pairs)
        model = keras.saving.load_model(undisturbed.outputs["model"].model_path(fit))
        assert model.evaluate(data, verbose=0) == pytest.approx(best["value"], rel=1e-5)
    assert undisturbed.summary.startswith("2 fits, mean val_loss")
    assert undisturbed.counters["epochs"] == 8


def test_the_best_epoch_may_be_an_early_one(toy, examples, tmp_path):
    def backwards(parameters, data):
        import dataclasses

        (fit,) = toy.fits(parameters, data)
        return [dataclasses.replace(fit, mode="max")]

    context = context_in(tmp_path, examples, backwards, toy.Options, names=("only",))
    Trainer.execute(context)
    best = context.outputs["model"].properties["best"]["only"]
    assert best["epoch"] == 1
    assert best["value"] == max(row["val_loss"] for row in rows(context, "only"))
    assert context.summary == f"val_loss {best['value']:.4g} (best epoch 1)"


def test_a_killed_fit_goes_on_to_the_same_end(toy, examples, tmp_path, undisturbed, monkeypatch):
    folder = tmp_path / "killed"
    script = f"""
import sys
sys.path[:0] = [{FOLDER!r}, {HERE!r}]
import pickle, test_trainer, toy_regression
from methodical.components.base.artifacts import Examples
from methodical.components.trainer.component import Trainer
examples = Examples({examples.uri!r}, {examples.properties!r})
context = test_trainer.context_in({str(folder)!r}, examples, toy_regression.killed_fits,
    toy_regression.KillOptions, kill_epoch=2, kill_batch=3)
Trainer.execute(context)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == -9, ended.stderr

    from methodical.components.trainer import fitting

    built = []
    kept = fitting._train
    monkeypatch.setattr(
        fitting, "_train", lambda fit, *rest: built.append(fit.name) or kept(fit, *rest)
    )
    context = context_in(folder, examples, toy.fits, toy.Options)
    Trainer.execute(context)
    assert built == ["second"]
    assert_same(context, undisturbed)


def test_an_early_stop_stays_one_after_a_resume(toy, examples, tmp_path, monkeypatch):
    import keras
    from methodical.components.trainer.checkpoints import Checkpoints

    class Stopped(Exception):
        pass

    def interrupted(parameters, data):
        import dataclasses

        class Interrupt(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):
                if epoch == 2:
                    raise Stopped

        (fit,) = toy.fits(parameters, data)
        kept = fit.callbacks
        return [dataclasses.replace(fit, callbacks=lambda: [*kept(), Interrupt()])]

    options = {"names": ("only",), "epochs": 12, "patience": 1, "learning_rate": 0.1}
    whole = context_in(tmp_path / "whole", examples, toy.fits, toy.Options, **options)
    Trainer.execute(whole)
    assert 2 < whole.outputs["model"].properties["epochs_run"]["only"] < 12
    with pytest.raises(Stopped):
        Trainer.execute(context_in(tmp_path / "cut", examples, interrupted, toy.Options, **options))
    resumed = context_in(tmp_path / "cut", examples, toy.fits, toy.Options, **options)
    Trainer.execute(resumed)
    assert_same(resumed, whole, ["only"])

    def full_disk(*arguments):
        raise OSError("No space left on device")

    # Between the last epoch and the saved model.
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "finish", full_disk)
        with pytest.raises(OSError, match="No space"):
            Trainer.execute(
                context_in(tmp_path / "full", examples, toy.fits, toy.Options, **options)
            )
    resumed = context_in(tmp_path / "full", examples, toy.fits, toy.Options, **options)
    Trainer.execute(resumed)
    assert_same(resumed, whole, ["only"])


def test_epochs_of_so_many_steps_go_on_through_the_data(toy, examples, tmp_path):
    """Four epochs of three steps are two passes over six batches, also after an interruption."""
    import keras

    class Stopped(Exception):
        pass

    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 3:
                raise Stopped

    def stepped(interrupt, steps, epochs):
        def fits(parameters, data):
            (fit,) = toy.fits(parameters, data)

            def train():
                shuffled = data.serialized("train").shuffle(64, seed=5)
                return shuffled.repeat().batch(8).map(toy.pairs)

            callbacks = [Interrupt()] if interrupt else []
            return [
                dataclasses.replace(
                    fit,
                    train=train,
                    epochs=epochs,
                    steps_per_epoch=steps,
                    callbacks=lambda: callbacks,
                )
            ]

        return fits

    def run(folder, interrupt=False, steps=3, epochs=4):
        fits = stepped(interrupt, steps, epochs)
        context = context_in(tmp_path / folder, examples, fits, toy.Options, names=("only",))
        Trainer.execute(context)
        return context

    whole = run("whole")
    assert len(rows(whole, "only")) == 4
    with pytest.raises(Stopped):
        run("cut", interrupt=True)
    assert_same(run("cut"), whole, ["only"])
    longer = run("longer", steps=6, epochs=2)
    assert rows(longer, "only")[1]["val_loss"] == rows(whole, "only")[3]["val_loss"]


@pytest.mark.parametrize(
    ("steps", "repeat", "message"),
    [
        (None, True, "leave out `repeat"),
        (4, False, "end after 2 of 4 steps in epoch 2"),
        (0, True, "at least 1"),
    ],
)
def test_steps_and_data_that_do_not_fit(toy, examples, tmp_path, steps, repeat, message):
    def fits(parameters, data):
        (fit,) = toy.fits(parameters, data)
        train = fit.train
        return [
            dataclasses.replace(
                fit,
                train=lambda: train().repeat() if repeat else train(),
                steps_per_epoch=steps,
            )
        ]

    context = context_in(tmp_path, examples, fits, toy.Options, names=("only",))
    with pytest.raises(ValueError, match=message):
        Trainer.execute(context)


def test_what_takes_long_before_the_first_step_is_shown(toy, examples, tmp_path):
    called = []

    def fits(parameters, data):
        (fit,) = toy.fits(parameters, data)

        def prepare(report):
            called.append("prepare")
            report(0.25)

        def build():
            called.append("build")
            return fit.build()

        return [dataclasses.replace(fit, prepare=prepare, build=build)]

    context = context_in(tmp_path, examples, fits, toy.Options, names=("only",))
    shown = []
    context.progress = lambda share, text: shown.append((share, text))
    Trainer.execute(context)
    assert called == ["prepare", "build"]
    assert shown[0] == (0.0, "preparing data, 25%")


def test_finish_sees_the_best_weights_and_what_it_sets_is_saved(toy, examples, tmp_path):
    def fits(parameters, data):
        (fit,) = toy.fits(parameters, data)

        def finish(model):
            model.set_weights([weight * 0 + 7 for weight in model.get_weights()])

        return [dataclasses.replace(fit, finish=finish)]

    context = context_in(tmp_path, examples, fits, toy.Options, names=("only",))
    Trainer.execute(context)
    for weight in weights(context, "only"):
        np.testing.assert_array_equal(weight, 7)


def test_a_model_that_finish_returns_is_saved_in_the_place_of_the_trained_one(
    toy, examples, tmp_path
):
    import keras

    def fits(parameters, data):
        (fit,) = toy.fits(parameters, data)

        def finish(model):
            other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="other")])
            other.set_weights([weight * 0 + 5 for weight in other.get_weights()])
            return other

        return [dataclasses.replace(fit, finish=finish)]

    context = context_in(tmp_path, examples, fits, toy.Options, names=("only",))
    Trainer.execute(context)
    assert [weight.shape for weight in weights(context, "only")] == [(2, 3), (3,)]
    for weight in weights(context, "only"):
        np.testing.assert_array_equal(weight, 5)
    assert context.outputs["model"].properties["parameter_count"] == {"only": 9}


def test_workers_train_the_same_models(toy, examples, tmp_path, undisturbed):
    seen = []
    context = context_in(
        tmp_path / "workers",
        examples,
        toy.fits,
        toy.Options,
        progress=lambda fraction, text: seen.append((fraction, text)),
        workers=2,
    )
    Trainer.execute(context)
    assert_same(context, undisturbed)
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert {text.split(":")[0] for _, text in seen} == {"first", "second"}


def test_a_worker_hands_on_an_error(toy, examples, tmp_path):
    from methodical.components.trainer import workers
    from methodical.components.trainer.callbacks import TrainingDivergedError

    context = context_in(tmp_path, examples, toy.diverging_fits, toy.Options)
    settings = {
        "seed": 0,
        "checkpoint_dir": context.checkpoint_dir,
        "log_dir": context.outputs["model_run"].uri,
        "checkpoint_seconds": 0,
    }
    data = TransformedData(examples, context.inputs["transform_graph"])
    with pytest.raises(TrainingDivergedError, match="epoch 1") as caught:
        workers.run_fits(
            ["second"], toy.diverging_fits, context.parameters, data, settings, 1, print
        )
    assert "on_train_batch_end" in str(caught.value.__cause__)


def test_workers_end_with_their_parent(examples, tmp_path):
    script = f"""
import sys
sys.path[:0] = [{FOLDER!r}, {HERE!r}]
import os, signal, threading, time, toy_regression
from methodical.components.base import artifacts
from methodical.components.base.transformed_data import TransformedData
from methodical.components.trainer import workers

def kill():
    while not os.path.exists("worker.pid"):
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    threading.Thread(target=kill).start()
    data = TransformedData(artifacts.Examples("none"), artifacts.TransformGraph("none"))
    workers.run_fits(
        ["first"], toy_regression.endless_fits, toy_regression.Options(), data, {{}}, 1, print)
"""
    path = tmp_path / "orphans.py"
    path.write_text(script)
    # Into a file: a worker that lives on would hold a pipe open.
    with open(tmp_path / "errors", "w") as errors:
        ended = subprocess.run([sys.executable, path], stderr=errors, cwd=tmp_path)
    assert ended.returncode == -9, (tmp_path / "errors").read_text()
    worker = int((tmp_path / "worker.pid").read_text())
    for _ in range(200):
        if not _runs(worker):
            return
        time.sleep(0.05)
    raise AssertionError(f"Worker {worker} outlives its parent.")


def _runs(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_a_diverging_fit_names_itself_and_its_epoch(toy, examples, tmp_path):
    from methodical.components.trainer.callbacks import TrainingDivergedError

    context = context_in(tmp_path, examples, toy.diverging_fits, toy.Options)
    with pytest.raises(TrainingDivergedError, match=r"'first' diverged in epoch 1, batch \d"):
        Trainer.execute(context)


def test_a_monitor_that_is_not_logged(toy, examples, tmp_path):
    import dataclasses

    def misnamed(parameters, data):
        return [dataclasses.replace(toy.fits(parameters, data)[0], monitor="val_accuracy")]

    context = context_in(tmp_path, examples, misnamed, toy.Options)
    with pytest.raises(ValueError, match=r"'val_accuracy', which must be in the logs. Received: l"):
        Trainer.execute(context)


def test_without_validation_the_training_loss_decides(toy, examples, tmp_path):
    import dataclasses

    def unvalidated(parameters, data):
        return [dataclasses.replace(toy.fits(parameters, data)[0], validation=None)]

    context = context_in(tmp_path, examples, unvalidated, toy.Options)
    Trainer.execute(context)
    best = context.outputs["model"].properties["best"]["first"]
    assert best["monitor"] == "loss"
    assert best["value"] == min(row["loss"] for row in rows(context, "first"))


@pytest.mark.parametrize(
    ("fits", "message"),
    [
        ([], "at least one fit"),
        ([Fit("a/b", None, None)], "letters, digits"),
        ([Fit("a", None, None), Fit("a", None, None)], "unique. Received: 'a' twice"),
        ([Fit("a", None, None, epochs=0)], "at least 1. Received: 0"),
        ([Fit("a", None, None, mode="least")], "Received: 'least'"),
    ],
)
def test_fits_that_cannot_be(fits, message):
    with pytest.raises(ValueError, match=message):
        checked_fits(fits)
