"""Images put together from components: measures, pictures, serving."""

import json
import types

import keras
import numpy as np
import pytest
from methodical.components.evaluator.metric import Plotted
from methodical.pipeline.methods.factorization.parts import evaluation, figures, plotted
from methodical.pipeline.report.figures import unsafe


class Coder:
    """Two components over images of 1×2 pixels: the code is the image, the sum half of it."""

    components = np.array([[3.0, 0.0], [0.0, 4.0]], "float32")


class Model:
    coder = Coder()

    def __call__(self, images, training):
        codes = keras.ops.reshape(images, (-1, 2))
        return {"codes": codes, "reconstruction": images / 2}


@pytest.fixture
def data():
    images = np.array([[[[255], [0]]], [[[255], [255]]], [[[0], [0]]]], np.uint8)
    batch = (images, np.zeros(3, np.int32), np.array([b"a", b"b", b"c"]))
    return types.SimpleNamespace(
        image_shape=(1, 2, 1), parsed=lambda split, batch_size: iter([batch])
    )


def test_rows_hold_the_error_and_the_effective_number_of_components(data):
    models = {"nmf": Model(), "pca": Model(), "vq": Model()}
    *rows, drawn = evaluation.evaluate(models, data, "test")
    assert isinstance(drawn, Plotted)
    assert [row["id"] for row in rows] == ["a", "b", "c"]
    # Differences (1/2, 0), (1/2, 1/2), none.
    assert [row["error"] for row in rows] == pytest.approx([np.sqrt(1 / 8), 0.5, 0.0])
    # Contributions (3, 0), (3, 4), none: 9/9, 49/25, 0.
    assert [row["used"] for row in rows] == pytest.approx([1.0, 49 / 25, 0.0])
    assert rows[1]["used_pca"] == rows[1]["used_vq"] == rows[1]["used"]
    assert rows[0]["details"]["image"].startswith("data:image/png;base64,")
    drawn = figures.evaluation_figures(rows)
    assert next(iter(drawn.values())).count("<image ") == 6
    assert figures.evaluation_figures([{"error": 1.0}]) == {}


def test_what_is_not_a_color_is_cut_off():
    found = plotted.to_pixels(np.array([-1.0, 0.5, 2.0, np.nan]))
    np.testing.assert_array_equal(found, [0, 128, 255, 0])


def test_coverage_is_one_for_what_is_everywhere():
    components = np.array([[1.0, 1, 1, 1], [0, 5, 0, 0], [-1, 1, 0, 0], [0, 0, 0, 0]])
    assert plotted.coverage(components) == pytest.approx((1 + 0.25 + 0.5) / 3)
    assert plotted.coverage(np.zeros((2, 3))) == 0.0


def test_light_is_positive_and_red_negative():
    found = plotted._lit(np.array([[1.0, 0.0, -1.0, 0.5]]))
    np.testing.assert_array_equal(found[0], [[255] * 3, [0] * 3, [255, 38, 38], [128] * 3])
    whole = plotted._mosaic([found[:, :1], found[:, 2:3], found[:, :1]], 2, border=1)
    assert whole.shape == (5, 5, 3)
    np.testing.assert_array_equal(whole[1, 1], [255, 255, 255])
    np.testing.assert_array_equal(whole[1, 3], [255, 38, 38])
    np.testing.assert_array_equal(whole[3, 1], [255, 255, 255])
    np.testing.assert_array_equal(whole[3, 3], [110, 110, 110])


def drawn_parts(name, components, codes):
    """The drawing of components and codes, with any pictures beside it."""
    picture = plotted.grids(components, codes)["codes"]
    entry = {
        "rank": len(components),
        "size": components.shape[1:3],
        **plotted.grids(components, codes),
        "reconstruction": picture,
        "image": picture,
    }
    return figures.draw_components(name, entry)


def test_a_drawing_shows_components_codes_sum_and_image():
    generator = np.random.default_rng(0)
    text = drawn_parts("Parts <&>", generator.random((5, 4, 3, 1)), generator.random(5))
    assert text.count("<image ") == 4
    assert "Parts &lt;&amp;&gt;" in text
    assert "5 components" in text
    assert unsafe(text) is None
    assert "nan" not in drawn_parts("none", np.zeros((1, 2, 2, 1)), np.zeros(1))


def test_each_kind_is_drawn_from_json():
    images = np.array([[[[255], [0]]], [[[255], [255]]]], np.uint8)
    batch = (images[:1], np.zeros(1, np.int32), np.array([b"a"]))
    data = types.SimpleNamespace(image_shape=(1, 2, 1), parsed=lambda split, size: iter([batch]))
    values = plotted.plotted({"nmf": Model(), "pca": Model()}, data, "test")
    parts, components = figures.plot(json.loads(json.dumps(values))).items()
    assert parts[0].startswith("Non-negative matrix factorization, and image a as their sum")
    # Each of both components lies on one of two pixels.
    assert "covers 50 % of the pixels. Light" in parts[0]
    assert "covers 50 % of the pixels; their sum is added to the mean image" in components[0]
    assert parts[1].count("<image ") == components[1].count("<image ") == 4
    assert unsafe(parts[1]) is None
