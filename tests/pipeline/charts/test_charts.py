import re
import xml.etree.ElementTree as ElementTree

import pytest
from methodical.pipeline.charts import charts

SVG = "{http://www.w3.org/2000/svg}"


def parsed(text):
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    return ElementTree.fromstring(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (20000, "20,000"),
        (0.96812, "0.968"),
        (0.9, "0.900"),
        (12.345, "12.3"),
        (1234.5, "1,234"),
        (1.234e-7, "1.23e-07"),
        (-0.0301, "-0.030"),
        (0.0, "0"),
        (None, "–"),
        (float("nan"), "–"),
        (float("-inf"), "−∞"),
    ],
)
def test_number(value, text):
    assert charts.number(value) == text


def test_line_chart_places_points():
    svg = parsed(charts.line_chart({"a": [0, 1, 0.5]}, "t", width=100, height=60))
    (line,) = svg.iter(f"{SVG}polyline")
    points = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
    # The axes leave 42 pixels at the left, 8 at the right and above, 18 below.
    assert points == [(42, 42), (67, 8), (92, 25)]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([1.87, 1.99], ["1.87", "1.93", "1.99"]),
        ([0.5, 2.5], ["0.50", "1.5", "2.5"]),
        ([0.12341, 0.12343], ["0.12341", "0.12342", "0.12343"]),
    ],
)
def test_labels_of_an_axis_can_be_told_apart(values, labels):
    svg = parsed(charts.line_chart({"a": values}, "t"))
    told = [node.text for node in svg.iter(f"{SVG}text") if node.get("text-anchor") == "end"]
    assert told[:3] == labels


def test_line_chart_leaves_gaps_and_marks():
    text = charts.line_chart(
        {"loss": [1, None, 3, float("nan"), 2, 2], "val": [1, 1, 1, 1, 1, 1]}, "t", marked_x=3
    )
    svg = parsed(text)
    # Two lone points of the first line; its last two values, and the whole second line.
    assert len(list(svg.iter(f"{SVG}circle"))) == 2
    assert len(list(svg.iter(f"{SVG}polyline"))) == 2
    assert "stroke-dasharray" in text
    assert "3" in [node.text for node in svg.iter(f"{SVG}text")]


def test_line_chart_names_steps_and_accents_the_lines_that_are_named():
    lines = {"a": [0, 1, 2], "b": [1, 1, 1], "c": [2, 1, 0]}
    text = charts.line_chart(
        lines, "t", first_x=500, x_step=500, marked_x=1000, accented=["a", "c"], width=100
    )
    svg = parsed(text)
    styles = [line.get("style") for line in svg.iter(f"{SVG}polyline")]
    assert ["accent" in style for style in styles] == [True, False, True]
    shown = [node.text for node in svg.iter(f"{SVG}text")]
    assert "500" in shown
    assert "1,500" in shown
    # The middle between the axis at 42 and the end at 92.
    (mark,) = [line for line in svg.iter(f"{SVG}line") if line.get("stroke-dasharray")]
    assert float(mark.get("x1")) == 67


@pytest.mark.parametrize("values", [[], [None], [float("nan")]])
def test_line_chart_without_values(values):
    assert "no values" in charts.line_chart({"a": values}, "t")


def test_line_chart_of_one_constant_value():
    (point,) = parsed(charts.line_chart({"a": [2.0]}, "t", width=100, height=66)).iter(
        f"{SVG}circle"
    )
    assert (float(point.get("cx")), float(point.get("cy"))) == (67, 28)


def test_histogram_heights_follow_the_counts():
    svg = parsed(charts.histogram([(0, 1, 2), (1, 2, 4), (2, 4, 0)], "t", width=80, height=53))
    bars = [(rect.get("x"), rect.get("height")) for rect in svg.iter(f"{SVG}rect")]
    assert bars == [("0.0", "20.0"), ("20.0", "40.0"), ("40.0", "0.0")]
    assert [node.text for node in svg.iter(f"{SVG}text")] == ["0", "4"]


def test_histogram_of_one_value_and_of_none():
    assert len(list(parsed(charts.histogram([(3, 3, 9)], "t")).iter(f"{SVG}rect"))) == 1
    assert charts.histogram([], "t") == ""
    assert charts.histogram([(float("-inf"), 1, 2)], "t") == ""


def test_bar():
    text = charts.bar(0.25, 1.0, "a < b", reference=0.5)
    assert 'width="25.00%"' in text
    assert '<svg x="50.00%"' in text
    assert 'aria-label="a &lt; b"' in text
    assert 'width="100.00%"' in charts.bar(7, 1.0, "t")
    assert "%" not in charts.bar(None, 1.0, "t").replace("100%", "")


def test_bar_pairs():
    svg = parsed(
        charts.bar_pairs([("<1>", 0.5, 1.0), ("2", None, None)], "t", names=("we", "they"))
    )
    texts = [node.text for node in svg.iter(f"{SVG}text")]
    assert texts == ["we", "they", "<1>", "0.500", "2", "–"]
    widths = [float(rect.get("width")) for rect in svg.iter(f"{SVG}rect")]
    full = widths[2]
    assert widths == [16, 3, full, pytest.approx(full / 2, abs=0.1), 3, full]


@pytest.mark.parametrize(
    "text",
    [
        charts.line_chart({"<a>": [1, 2]}, '"<t>"'),
        charts.histogram([(0, 1, 1)], '"<t>"'),
        charts.bar(1, 1, '"<t>"'),
        charts.bar_pairs([("<a>", 1, 1)], '"<t>"'),
    ],
)
def test_text_is_escaped(text):
    ElementTree.fromstring(text)
    assert re.search(r'aria-label="&quot;&lt;t&gt;&quot;"', text)
