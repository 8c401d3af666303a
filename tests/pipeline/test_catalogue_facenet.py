"""What the catalogue makes of FaceNet's parameters and rows."""

import pydantic
import pytest
from methodical.components.data.faces import evaluation
from methodical.pipeline.catalogue import facenet


def options(**changed):
    return facenet.TrainerOptions(**changed)


def test_networks_differ_in_what_an_entry_says():
    chosen = options(compare=["selection=all", "margin=0.5, embedding_size=64"], margin=0.3)
    found = facenet.networks(chosen)
    assert list(found) == ["facenet", "selection-all", "margin-0.5-embedding-size-64"]
    assert found["facenet"] is chosen
    assert (found["selection-all"].selection, found["selection-all"].margin) == ("all", 0.3)
    last = found["margin-0.5-embedding-size-64"]
    assert (last.selection, last.margin, last.embedding_size) == ("semi_hard", 0.5, 64)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"compare": ["marign=0.5"]}, "NAME=VALUE.*Received: 'marign=0.5'"),
        ({"compare": ["margin"]}, "NAME=VALUE.*Received: 'margin'"),
        (
            {"compare": ["embedding_size=1.5"]},
            "embedding_size must be a whole number. Received: 'embedding_size=1.5'",
        ),
        ({"compare": ["margin=wide"]}, "margin must be a number. Received: 'margin=wide'"),
        ({"compare": ["margin=0.5", "margin=0.5"]}, "must not name a network twice"),
        ({"steps": 130, "record_every": 50}, "must be a multiple.*steps=130, record_every=50"),
    ],
)
def test_what_is_refused(changed, said):
    with pytest.raises(pydantic.ValidationError, match=said):
        options(**changed)


def test_the_networks_of_a_comparison_have_a_row_a_pair(monkeypatch):
    asked = []

    def rows(models, data, split, amounts):
        asked.append((models[""], amounts.degraded_pairs, amounts.images))
        nothing = dict.fromkeys([*facenet.METRICS, *facenet.SLICES])
        right = {"main": (1.0, 1.0), "other": (1.0, 0.0)}[models[""]]
        yield {**nothing, "fold": "1", "accuracy": right[0], "val": 1.0, "distance": 0.1}
        yield {**nothing, "fold": "2", "accuracy": right[1], "far": 0.0, "distance": 0.2}
        if amounts.images:
            yield {**nothing, "rank_1": (0.5, 4)}

    monkeypatch.setattr(evaluation, "rows", rows)
    models = {"facenet": "main", "margin-0.5": "other"}
    found = list(facenet.evaluate(models, None, "test", facenet.EvaluatorOptions()))
    assert all(set(row) >= {*facenet.METRICS, "network", *facenet.SLICES} for row in found)
    assert [row["accuracy"] for row in found] == [1.0, 1.0, None, None, None, None, None]
    compared = [(row["network"], row["accuracy_compared"], row["val_compared"]) for row in found]
    assert compared[3:] == [
        ("facenet", 1.0, 1.0),
        ("facenet", 1.0, None),
        ("margin-0.5", 1.0, 1.0),
        ("margin-0.5", 0.0, None),
    ]
    assert asked == [("main", 1000, 2000), ("other", 0, 0)]


def test_one_network_is_compared_with_none(monkeypatch):
    nothing = dict.fromkeys([*facenet.METRICS, *facenet.SLICES])
    monkeypatch.setattr(evaluation, "rows", lambda *_: iter([{**nothing, "fold": "1"}]))
    found = list(facenet.evaluate({"facenet": None}, None, "test", facenet.EvaluatorOptions()))
    assert [row["network"] for row in found] == [None]


def test_the_table_of_the_training_has_the_best_epoch_and_the_minutes():
    epoch = {"loss": 0.1, "held_out_accuracy": 0.9, "held_out_val": 0.5, "active_triplets": 0.125}
    logs = {
        "facenet": [
            {**epoch, "seconds": 30.0, "held_out_area": 0.75},
            {**epoch, "seconds": 60.0, "held_out_area": 0.875, "held_out_accuracy": 0.875},
            {**epoch, "seconds": 30.0, "held_out_area": 0.8},
        ],
        "lmnn": [{"loss": 1.0, "seconds": 5.0}],
    }
    (table,) = facenet.summarize_training(options(steps=150, record_every=50), logs).tables
    assert table.columns[:3] == ["network", "steps", "minutes"]
    assert table.rows == [["facenet", 150, 2.0, 0.875, 0.875, 0.5, 0.125]]
