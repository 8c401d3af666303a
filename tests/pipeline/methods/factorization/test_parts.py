"""Images put together from components: measures, pictures, serving."""

import types

import keras
import numpy as np
import pytest
from methodical.pipeline.methods.factorization.parts import (
    evaluation,
    figures,
)


class Coder:
    """Two components over images of 1×2 pixels: the code is the image, the sum half of it."""

    components = np.array([[3.0, 0.0], [0.0, 4.0]], "float32")


class Model:
    coder = Coder()

    def __call__(self, images, training):
        codes = keras.ops.reshape(images, (-1, 2))
        return {"codes": codes, "reconstruction": images / 2}


@pytest.fixture
def parsed(monkeypatch):
    images = np.array([[[[255], [0]]], [[[255], [255]]], [[[0], [0]]]], np.uint8)
    batch = (images, np.zeros(3, np.int32), np.array([b"a", b"b", b"c"]))
    monkeypatch.setattr(evaluation.parsing, "parsed", lambda *arguments: iter([batch]))


def test_rows_hold_the_error_and_the_effective_number_of_components(parsed):
    models = {"": Model(), "_pca": Model()}
    rows = list(evaluation.rows(models, types.SimpleNamespace(), "test"))
    assert [row["id"] for row in rows] == ["a", "b", "c"]
    # Differences (1/2, 0), (1/2, 1/2), none.
    assert [row["error"] for row in rows] == pytest.approx([np.sqrt(1 / 8), 0.5, 0.0])
    # Contributions (3, 0), (3, 4), none: 9/9, 49/25, 0.
    assert [row["used"] for row in rows] == pytest.approx([1.0, 49 / 25, 0.0])
    assert rows[1]["used_pca"] == rows[1]["used"]
    assert rows[0]["details"]["image"].startswith("data:image/png;base64,")
    drawn = figures.worst(rows)
    assert next(iter(drawn.values())).count("<image ") == 6
    assert figures.worst([{"error": 1.0}]) == {}


def test_what_is_not_a_colour_is_cut_off():
    found = evaluation.to_pixels(np.array([-1.0, 0.5, 2.0, np.nan]))
    np.testing.assert_array_equal(found, [0, 128, 255, 0])


def test_coverage_is_one_for_what_is_everywhere():
    components = np.array([[1.0, 1, 1, 1], [0, 5, 0, 0], [-1, 1, 0, 0], [0, 0, 0, 0]])
    assert figures.coverage(components) == pytest.approx((1 + 0.25 + 0.5) / 3)
    assert figures.coverage(np.zeros((2, 3))) == 0.0


def test_light_is_positive_and_red_negative():
    found = figures._lit(np.array([[1.0, 0.0, -1.0, 0.5]]))
    np.testing.assert_array_equal(found[0], [[255] * 3, [0] * 3, [255, 38, 38], [128] * 3])
    whole = figures._mosaic([found[:, :1], found[:, 2:3], found[:, :1]], 2, border=1)
    assert whole.shape == (5, 5, 3)
    np.testing.assert_array_equal(whole[1, 1], [255, 255, 255])
    np.testing.assert_array_equal(whole[1, 3], [255, 38, 38])
    np.testing.assert_array_equal(whole[3, 1], [255, 255, 255])
    np.testing.assert_array_equal(whole[3, 3], [110, 110, 110])


def test_a_drawing_shows_components_codes_sum_and_image():
    generator = np.random.default_rng(0)
    text = figures.draw_components(
        "Parts <&>",
        generator.random((5, 4, 3, 1)),
        generator.random(5),
        generator.random((4, 3, 1)),
        generator.random((4, 3, 1)),
    )
    assert text.count("<image ") == 4
    assert "Parts &lt;&amp;&gt;" in text
    assert "5 components" in text
    from methodical.pipeline.report.figures import unsafe

    assert unsafe(text) is None
    zeros = np.zeros((1, 2, 2, 1))
    assert "nan" not in figures.draw_components("none", zeros, np.zeros(1), zeros[0], zeros[0])
