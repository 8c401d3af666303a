"""Replays requests on a SavedModel; run with `python -I -S`, so that no .pth file counts."""

import importlib.util
import json
import sys

packages, saved_model, requests_file, references_file = sys.argv[1:5]
sys.path.append(packages)

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

loaded = tf.saved_model.load(saved_model)
requests: dict[str, dict] = {}
stored = np.load(requests_file, allow_pickle=True)
for key in stored.files:
    signature, name = key.split("/")
    requests.setdefault(signature, {})[name] = stored[key]
references = np.load(references_file)
compared, unequal, largest = 0, 0, 0.0
for signature, inputs in requests.items():
    function = loaded.signatures[signature]
    if set(function.structured_input_signature[1]) != set(inputs):
        continue
    outputs = function(**{name: tf.constant(value) for name, value in inputs.items()})
    for name, output in outputs.items():
        key = f"{signature}/{name}"
        if key not in references.files:
            continue
        value, reference = output.numpy(), references[key]
        compared += 1
        if np.issubdtype(reference.dtype, np.floating):
            largest = max(largest, float(np.max(np.abs(value - reference))))
        else:
            texts = np.array([v.decode() if isinstance(v, bytes) else v for v in value.ravel()])
            expected = [v.decode() if isinstance(v, bytes) else v for v in reference.ravel()]
            unequal += int((texts != np.array(expected)).sum())
sys.stdout.write(
    json.dumps(
        {
            "project_importable": importlib.util.find_spec("methodical") is not None,
            "compared": compared,
            "unequal": unequal,
            "largest_difference": largest,
        }
    )
    + "\n"
)
