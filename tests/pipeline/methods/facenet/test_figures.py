"""Drawings of an evaluation of faces: what they say must be what the data say."""

import base64
import io
import itertools
import json
import os
import re
import xml.etree.ElementTree as ElementTree

import keras
import numpy as np
import pytest
from methodical.components.base.artifacts import Examples, TransformGraph
from methodical.components.beam import shards
from methodical.components.data.faces.faces import Faces
from methodical.components.io import example_proto
from methodical.models.facenet.measures.verification import verify
from methodical.pipeline.methods.facenet import curves, figures, plotted
from methodical.pipeline.report.figures import unsafe
from PIL import Image

NAMESPACE = "{http://www.w3.org/2000/svg}"
SIDE = 12
PEOPLE, IMAGES = 6, 5


def parsed(drawn):
    """The title and the elements of a single drawing that the report takes."""
    ((title, text),) = drawn.items()
    assert unsafe(text) is None
    root = ElementTree.fromstring(text)
    assert root.get("aria-label") == title
    return title, root


def texts(root):
    return [each.text for each in root.iter(f"{NAMESPACE}text")]


def png(value):
    content = io.BytesIO()
    Image.fromarray(np.full((4, 4), value, np.uint8)).save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


def pair(number, same, distance, accuracy, threshold=1.0):
    row = {"same": same, "distance": distance, "threshold": threshold, "accuracy": accuracy}
    if not accuracy:
        row["details"] = {
            "first": f"<a>/{number}",
            "second": f"b/{number}",
            "first_image": png(number),
            "second_image": png(100 + number),
        }
    return row


def test_the_hardest_wrong_pairs_come_first():
    rows = [
        pair(1, False, 0.9, 0.0),
        pair(2, False, 0.2, 0.0),
        pair(3, True, 1.5, 0.0),
        pair(4, True, 0.5, 1.0),
        pair(5, False, 0.95, 0.0, threshold=1.9),
        {"distance": None, "jpeg quality": None},
    ]
    accepts, rejects = figures.evaluation_figures(rows).items()
    title, root = parsed(dict([accepts]))
    assert "the hardest 3 of 3 pairs of different persons that were taken for one (of 3)" in title
    # By how far they lie on the wrong side: 0.95, 0.8, 0.1.
    assert texts(root) == ["0.95 ≤ 1.90", "0.20 ≤ 1.00", "0.90 ≤ 1.00"]
    pictures = list(root.iter(f"{NAMESPACE}image"))
    assert [each.get("href") for each in pictures[:2]] == [png(5), png(105)]
    assert pictures[0].find(f"{NAMESPACE}title").text == "<a>/5 and b/5, distance 0.950"
    title, root = parsed(dict([rejects]))
    assert title.startswith("False rejects: the hardest 1 of 1 pair of the same person")
    assert texts(root) == ["1.50 > 1.00"]
    few = figures.evaluation_figures(rows, most=2)
    assert [text.count("<image") for text in few.values()] == [4, 2]
    assert figures.evaluation_figures([]) == {}


def test_quality_is_drawn_by_level():
    measures = [
        {
            "slice": {"jpeg quality": quality},
            "values": {"accuracy_degraded": accuracy, "val_degraded": val},
            "details": {"sample": png(5)},
        }
        for quality, accuracy, val in (("10", 0.7, 0.125), ("90", 0.9, 0.5))
    ]
    title, root = parsed(figures.measure_figures([{"slice": {}, "values": {}}, *measures]))
    assert "by jpeg quality" in title
    assert "VAL from 12.5 to 50.0 %; compare the paper's Table 4" in title
    # Of the axis, of the bars, of both levels, of the axis.
    said = ["0.0", "50.0", "100.0", "12.5", "50.0", "VAL", "70.0", "90.0", "accuracy"]
    assert texts(root) == [*said, "10", "90", "jpeg quality"]
    pointed = {
        rect.find(f"{NAMESPACE}title").text: float(rect.get("height"))
        for rect in root.iter(f"{NAMESPACE}rect")
        if rect.find(f"{NAMESPACE}title") is not None
    }
    assert list(pointed) == [
        "10 VAL: 12.5",
        "90 VAL: 50.0",
        "10 accuracy: 70.0",
        "90 accuracy: 90.0",
    ]
    np.testing.assert_allclose(list(pointed.values()), 130 * np.array([0.125, 0.5, 0.7, 0.9]))
    assert len(list(root.iter(f"{NAMESPACE}image"))) == 2


def test_the_curve_steps_through_the_rates():
    # Of two pairs at one distance the different one is drawn first.
    distances = np.array([0.1, 0.3, 0.35, 0.5, 0.2, 0.5, 0.7, 0.8])
    same = np.array([True] * 4 + [False] * 4)
    measured = verify(distances, same, np.arange(8) % 2)
    with pytest.warns(UserWarning, match="less than chance"):
        values = plotted.verification_values(
            {"model": distances, "pixels": distances[::-1]}, same, np.arange(8) % 2, far=0.25
        )
    drawn = curves.draw_roc(values)
    title, root = parsed(drawn)
    assert "ROC of 4 pairs of one person and 4 of two" in title
    # One of the four different pairs, that at 0.2, is let through; all of one person but 0.5.
    assert "at most 0.25 (1 pair) 75.0 % of the former are accepted" in title
    # Clopper and Pearson for 3 of 4.
    assert "95 % interval 19.4 to 99.4 %" in title
    lines = list(root.iter(f"{NAMESPACE}polyline"))
    assert len(lines) == 2
    corners = [tuple(map(float, each.split(","))) for each in lines[-1].get("points").split()]
    left, right = min(x for x, _ in corners), max(x for x, _ in corners)
    low, high = max(y for _, y in corners), min(y for _, y in corners)
    # Rates: an eighth, half of one pair, is where the axis begins.
    rates = [
        (0.125 * 8 ** ((x - left) / (right - left)), (low - y) / (low - high)) for x, y in corners
    ]
    expected = [(0, 0), (0, 0.25), (0.25, 0.25), (0.25, 0.75), (0.5, 0.75), (0.5, 1), (1, 1)]
    expected = [(max(x, 0.125), y) for x, y in expected]
    for point in expected:
        assert min(abs(x - point[0]) + abs(y - point[1]) for x, y in rates) < 0.01, point
    assert all(x2 >= x1 and y2 >= y1 for (x1, y1), (x2, y2) in itertools.pairwise(rates))
    found = texts(root)
    assert any(each.startswith(f"model: area {measured.area_under_curve:.3f}") for each in found)
    assert any(each.startswith("pixels: area") for each in found)


def test_histograms_count_the_pairs():
    random = np.random.default_rng(0)
    same = np.arange(200) < 100
    distances = np.where(same, random.uniform(0.1, 1.2, 200), random.uniform(0.8, 1.9, 200))
    measured = verify(distances, same, np.arange(200) % 5)
    values = plotted.verification_values({"model": distances}, same, np.arange(200) % 5, far=0.01)
    title, root = parsed(curves.draw_distances(values))
    assert "100 pairs of the same person (colored) and 100 of different persons" in title
    assert f"tell {100 * measured.correct.mean():.1f} % correctly" in title
    said = [each.text for each in root.iter(f"{NAMESPACE}title")]
    bars = [re.fullmatch(r"([\d.]+) to [\d.]+, (.*): (\d+)", each) for each in said]
    for kind, own in (("the same person", same), ("different persons", ~same)):
        counts = [(float(bar[1]), int(bar[3])) for bar in bars if bar and bar[2] == kind]
        assert sum(count for _, count in counts) == 100
        low = [count for begin, count in counts if begin < 0.99]
        assert sum(low) == (distances[own] < 1).sum()
    (said,) = (each for each in texts(root) if each.startswith("threshold"))
    assert said == f"threshold {measured.fold_thresholds.mean():.3f}"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A split of which each person is of one gray level, but for two images that change places."""
    folder = tmp_path_factory.mktemp("faces")
    graph = TransformGraph(str(folder / "graph"))
    os.makedirs(graph.path("assets"))
    with open(graph.asset_path("image_shape"), "w") as writer:
        writer.write(f"{SIDE}\n{SIDE}\n1\n")
    rows = []
    for person, number in np.ndindex(PEOPLE, IMAGES):
        level = 20 + 35 * person + number
        if number == 0 and person in (0, 5):
            level = 20 + 35 * (5 - person) + 10
        rows.append(
            {
                "pixels": [np.full(SIDE * SIDE, level, np.uint8).tobytes()],
                "label": [-1],
                "identity": [f"person {person}"],
                "id": [f"{person}/{number}"],
                "partners": [],
                "folds": [],
            }
        )
    made = Examples(str(folder / "transformed"), {"splits": {"test": len(rows)}})
    shards.write_shard(made.uri, "test", 0, 1, map(example_proto.encode, rows))
    return Faces(made, graph)


def by_level():
    return keras.Sequential([keras.Input((SIDE, SIDE, 1)), keras.layers.GlobalAveragePooling2D()])


def draw_map(model, data, **options):
    values = plotted.map_values(model, data, "test", **options)
    return figures.draw_map(json.loads(json.dumps(values)))


def test_the_map_has_all_images_and_marks_strangers(data):
    title, root = parsed(draw_map(by_level(), data))
    assert title.startswith("30 images of 6 people")
    # Two images are among strangers; the others have one of their own nearest.
    assert "for 93 % the nearest other image is of the same person" in title
    assert len(list(root.iter(f"{NAMESPACE}circle"))) == 2
    frames = list(root.iter(f"{NAMESPACE}rect"))
    colors = {}
    for frame in frames:
        owner = frame.find(f"{NAMESPACE}title").text.split(":")[0]
        colors.setdefault(owner, set()).add(frame.get("fill"))
    assert {len(each) for each in colors.values()} == {1}
    assert len({color for each in colors.values() for color in each}) == PEOPLE
    width, height = (float(root.get(name)) for name in ("width", "height"))
    places = np.array([[float(frame.get("x")), float(frame.get("y"))] for frame in frames])
    size = float(frames[0].get("width"))
    assert (places >= 0).all()
    assert (places + size <= [width, height]).all()
    apart = np.abs(places[:, None] - places[None]).max(axis=2)
    np.fill_diagonal(apart, np.inf)
    assert (apart > size - 6).all()
    again = draw_map(by_level(), data)
    assert list(again) == [title]
    few = draw_map(by_level(), data, people=2, images=3)
    assert next(iter(few)).startswith("6 images of 2 people")
    assert draw_map(by_level(), data, people=1, images=4) == {}


def test_a_collapsed_embedding_has_a_map_too(data):
    model = keras.Sequential([keras.Input((SIDE, SIDE, 1)), keras.layers.Rescaling(0.0)])
    model.add(keras.layers.GlobalAveragePooling2D())
    _, root = parsed(draw_map(model, data))
    places = [float(each.get("x")) for each in root.iter(f"{NAMESPACE}rect")]
    assert np.isfinite(places).all()


def test_all_drawings_of_a_model(data):
    values = plotted.plotted(by_level(), data, "test", {"_other": by_level()}, far=0.1, pairs=40)
    drawn = figures.plot(json.loads(json.dumps(values)))
    roc, distances, places = drawn
    assert roc.startswith("ROC of 20 pairs of one person and 20 of two")
    assert distances.startswith("Squared distances of 20 pairs")
    assert places.startswith("30 images")
    assert "other: area" in drawn[roc]
    assert all(unsafe(text) is None for text in drawn.values())
