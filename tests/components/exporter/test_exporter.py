import os
import pathlib

import numpy as np
import pytest
from methodical.components.base.artifacts import Model, SavedModel, TransformGraph
from methodical.components.base.component import ExecutionContext
from methodical.components.exporter import prediction_log
from methodical.components.exporter.component import Exporter
from methodical.components.exporter.serving_model import Input, ServingModel, Signature
from methodical.components.infra_validator import validation_process

FOLDER = str(pathlib.Path(__file__).parent.parent)
ROWS = 40


@pytest.fixture(scope="module")
def toy():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        import toy_regression

        yield toy_regression


@pytest.fixture(scope="module")
def export(toy, tmp_path_factory):
    """Exports with a `serve` function and returns the context."""
    import keras

    shared = tmp_path_factory.mktemp("exporter")
    examples = toy.write_examples(shared / "examples", {"train": 4, "eval": ROWS})
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input([3]), keras.layers.Dense(8, "tanh"), keras.layers.Dense(1)]
    )
    trained = Model(str(shared / "model"), {"fits": ["first"]})
    os.makedirs(trained.path("Format-Keras"))
    model.save(trained.model_path("first"))
    graph = TransformGraph(str(shared / "graph"))
    os.makedirs(graph.path("assets"))
    pathlib.Path(graph.asset_path("groups")).write_text("a\nb\nc\n")

    def run(serve=toy.serve):
        output = SavedModel(str(tmp_path_factory.mktemp("saved_model")))
        context = ExecutionContext(
            inputs={
                "examples": examples,
                "transformed_examples": examples,
                "transform_graph": graph,
                "model": trained,
            },
            outputs={"saved_model": output},
            parameters=Exporter.Parameters(),
            functions={"serve": serve},
            model_name="toy",
        )
        Exporter.execute(context)
        return context

    return run


@pytest.fixture(scope="module")
def exported(export):
    return export()


@pytest.fixture(scope="module")
def saved(exported):
    return exported.outputs["saved_model"]


def requests_path(saved):
    return saved.path("Format-Serving", "assets.extra", "tf_serving_warmup_requests")


def test_signatures_keep_their_names(saved, exported):
    import tensorflow as tf

    described = saved.read_json("signatures.json")
    assert described["serving_default"] == {
        "inputs": {
            "x": {"dtype": "float32", "shape": [None, 3], "help": "three numbers", "file": False},
            "group": {"dtype": "string", "shape": [None], "help": "a file", "file": True},
        },
        "outputs": {
            "prediction": {"dtype": "float32", "shape": [None]},
            "index": {"dtype": "int64", "shape": [None]},
            "label": {"dtype": "string", "shape": [None]},
        },
    }
    assert described["raw"]["inputs"]["x"]["help"] == ""
    assert list(described) == ["serving_default", "serving_examples", "raw"]
    assert list(described["serving_default"]["inputs"]) == ["x", "group"]
    assert saved.read_json("Format-Serving/assets.extra/signatures.json") == described
    loaded = tf.saved_model.load(saved.path("Format-Serving"))
    assert set(loaded.signatures) == {"serving_default", "serving_examples", "raw"}
    answer = loaded.signatures["serving_default"](
        x=tf.constant([[1.0, 2.0, 3.0]] * 2), group=tf.constant(["b", "z"])
    )
    assert answer["index"].numpy().tolist() == [1, -1]
    assert answer["label"].numpy().tolist() == [b"group b", b"group z"]
    assert os.listdir(saved.path("Format-Serving", "assets")) == ["groups.txt"]
    assert exported.summary.startswith("3 signatures, ")
    assert exported.summary.endswith(", 3 groups")
    assert saved.properties["facts"] == {"groups": "3 groups\na, b, c"}
    assert saved.properties["warm_up_requests"] == 3 * ROWS
    assert saved.properties["referenced"] == ["raw", "serving_default", "serving_examples"]


def test_warm_up_requests_and_references_belong_together(saved):
    read = list(prediction_log.read_requests(requests_path(saved)))
    assert [name for name, _ in read] == (
        ["serving_default"] * ROWS + ["serving_examples"] * ROWS + ["raw"] * ROWS
    )
    _, inputs = read[5]
    assert inputs["x"].shape == (1, 3)
    with np.load(saved.path("references.npz")) as references:
        assert references["serving_default/label"][5] == b"group " + inputs["group"][0]
        assert references["serving_default/prediction"].shape == (ROWS,)


def test_warm_up_requests_are_serving_protos(saved):
    package = pytest.importorskip(
        "tensorflow_serving.apis.prediction_log_pb2",
        reason="the real protos: pip install tensorflow-serving-api",
    )
    import tensorflow as tf

    (record, *_) = tf.data.TFRecordDataset(requests_path(saved)).as_numpy_iterator()
    log = package.PredictionLog.FromString(record)
    assert log.WhichOneof("log_type") == "predict_log"
    request = log.predict_log.request
    assert (request.model_spec.name, request.model_spec.signature_name) == (
        "toy",
        "serving_default",
    )
    assert tf.make_ndarray(request.inputs["x"]).shape == (1, 3)
    log.predict_log.request.output_filter.append("label")
    ours = prediction_log.prediction_log_class().FromString(log.SerializeToString())
    assert list(ours.predict_log.request.output_filter) == ["label"]


# PredictionLog{predict_log 6 {request 1 {model_spec 1 {name 1 "m", signature_name 3 "s"},
# inputs 2 {key 1 "i", value 2 TensorProto{dtype 1 DT_INT32, tensor_shape 2 {dim 2 {size 1 1}},
# int_val 7 [4]}}}}}, written by hand from the protos of TensorFlow Serving.
def test_a_warm_up_request_byte_by_byte():
    def field(number, content):
        return bytes([number << 3 | 2, len(content)]) + content

    tensor = b"\x08\x03" + field(2, field(2, b"\x08\x01")) + field(7, b"\x04")
    spec = field(1, b"m") + field(3, b"s")
    request = field(1, spec) + field(2, field(1, b"i") + field(2, tensor))
    expected = field(6, field(1, request))
    made = prediction_log.serialized_request("m", "s", {"i": np.array([4], "int32")})
    assert made == expected


def test_at_most_a_thousand_warm_up_requests(export):
    import tensorflow as tf

    def serve(models, data, parameters):
        spec = tf.TensorSpec([None], tf.int32)
        signature = Signature(
            lambda x: {"y": x + 1},
            {"x": Input(spec)},
            {"x": np.arange(700)},
            {"y": np.arange(1, 701)},
        )
        return ServingModel({"serving_default": signature, "other": signature}, [])

    saved = export(serve).outputs["saved_model"]
    assert saved.properties["warm_up_requests"] == 1000
    with np.load(saved.path("references.npz")) as references:
        assert references["other/y"].tolist() == list(range(1, 501))


def test_a_request_may_end_with_a_nul_byte(export):
    import tensorflow as tf

    def serve(models, data, parameters):
        signature = Signature(
            lambda x: {"y": tf.strings.length(x)},
            {"x": Input(tf.TensorSpec([None], tf.string))},
            {"x": [b"a\0", b"bc"]},
        )
        return ServingModel({"serving_default": signature}, [])

    read = prediction_log.read_requests(requests_path(export(serve).outputs["saved_model"]))
    assert [inputs["x"].tolist() for _, inputs in read] == [[b"a\0"], [b"bc"]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"function": lambda x: x}, "return a dict of tensors.*Received: "),
        ({"requests": {}}, "must have its inputs x. Received: none"),
        ({"requests": {"x": []}}, r"at least one. Received: {'x': 0}"),
        ({"references": {"y": [1]}}, "Received: 1 rows of 'y'"),
        ({"references": {"y": np.array([b"a\0", b""], dtype=object)}}, "must not end with a NUL"),
        ({"free": False}, "must have a free first dimension"),
        ({"name": "other"}, "must have the signature 'serving_default'. Received: other"),
    ],
)
def test_a_serving_model_that_cannot_be(export, change, message):
    import tensorflow as tf

    values = {
        "function": lambda x: {"y": x},
        "requests": {"x": [1, 2]},
        "references": None,
        "free": True,
        "name": "serving_default",
        **change,
    }

    def serve(models, data, parameters):
        spec = tf.TensorSpec([None if values["free"] else 2], tf.int32)
        signature = Signature(
            values["function"], {"x": Input(spec)}, values["requests"], values["references"]
        )
        return ServingModel({values["name"]: signature}, [])

    with pytest.raises((ValueError, TypeError), match=message):
        export(serve)


def validate(saved):
    return validation_process.validate(
        {
            "saved_model": saved.path("Format-Serving"),
            "references": saved.path("references.npz"),
            "prediction_log": prediction_log.__file__,
            "forbidden": [],
            "tolerance": 1e-5,
            "latency_requests": 1,
        }
    )


def test_what_is_exported_passes_validation(saved):
    found = validate(saved)
    assert found["reasons"] == []
    assert found["requests"] == 3 * ROWS
    assert found["signatures"]["serving_examples"]["compared"] == ["index", "label", "prediction"]
    assert 0 <= found["parity"] < 1e-5


def test_a_vocabulary_of_a_keras_layer_becomes_an_asset(export):
    import keras
    import tensorflow as tf

    def serve(models, data, parameters):
        lookup = keras.layers.StringLookup(vocabulary=data.asset_path("groups"))
        lookup(["a"])
        signature = Signature(
            lambda group: {"index": lookup(group)},
            {"group": Input(tf.TensorSpec([None], tf.string))},
            {"group": ["a", "c", "z"]},
            {"index": [1, 3, 0]},
        )
        return ServingModel({"serving_default": signature}, [lookup])

    saved = export(serve).outputs["saved_model"]
    assert os.listdir(saved.path("Format-Serving", "assets")) == ["groups.txt"]
    assert validate(saved)["reasons"] == []
