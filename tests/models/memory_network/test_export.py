"""The exported memory network: any batch, story and question size, without Python operations."""

import keras
import numpy as np
import pytest
from methodical.models.memory_network import MemoryNetwork
from methodical.models.memory_network.examples import VOCABULARY, WORDS, stories

if keras.backend.backend() != "tensorflow":
    pytest.skip("A SavedModel is TensorFlow's.", allow_module_level=True)

import tensorflow as tf

NAMES = ("story", "question", "write_time")


# Keras says so of the softmax over the facts of a story of one sentence.
@pytest.mark.filterwarnings("ignore:You are using a softmax over axis 1")
@pytest.mark.parametrize("adaptive", [False, True])
def test_saved_model_equals_the_keras_model_at_other_shapes(tmp_path, adaptive):
    keras.utils.set_random_seed(1)
    model = MemoryNetwork(
        WORDS, VOCABULARY, embedding_dim=4, adaptive=adaptive, max_hops=3, nonlinear=adaptive
    )
    model({name: array for name, array in stories(2).items() if name in NAMES})
    archive = keras.export.ExportArchive()
    archive.track(model)
    specs = {
        "story": tf.TensorSpec((None, None, None), tf.int32, name="story"),
        "question": tf.TensorSpec((None, None), tf.int32, name="question"),
        "write_time": tf.TensorSpec((None, None), tf.int32, name="write_time"),
    }
    archive.add_endpoint("serve", lambda inputs: model(inputs), input_signature=[specs])
    archive.write_out(str(tmp_path / "model"), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    generator = np.random.default_rng(0)
    for batch, sentences, features in [(1, 1, 1), (3, 7, 5), (0, 4, 3)]:
        shape = (batch, sentences, features)
        inputs = {
            "story": generator.integers(0, VOCABULARY + 1, shape).astype("int32"),
            "question": generator.integers(0, VOCABULARY + 1, (batch, features)).astype("int32"),
            "write_time": np.tile(np.arange(sentences, dtype="int32"), (batch, 1)),
        }
        expected = model(inputs)
        got = loaded.serve({name: tf.constant(array) for name, array in inputs.items()})
        assert set(got) == set(expected)
        for name in got:
            np.testing.assert_allclose(got[name].numpy(), expected[name], atol=1e-5)
    graph = loaded.serve.concrete_functions[0].graph
    operations = {node.type for node in graph.get_operations()}
    for function in graph.as_graph_def().library.function:
        operations |= {node.op for node in function.node_def}
    assert not {name for name in operations if "PyFunc" in name}
