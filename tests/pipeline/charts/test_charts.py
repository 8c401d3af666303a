import re
import xml.etree.ElementTree as ElementTree

import pytest
from methodical.pipeline.charts import bars, confusion, images, lines, palette, scatter, svg
from methodical.pipeline.report.figures import unsafe

PICTURE = "data:image/png;base64,AAAA"
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
    assert svg.number(value) == text


def test_line_chart_places_points():
    root = parsed(lines.line_chart({"a": [0, 1, 0.5]}, "t", width=100, height=60))
    (line,) = root.iter(f"{SVG}polyline")
    points = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
    # The axes leave 42 pixels at the left, 8 at the right and above, 18 below.
    assert points == [(42, 42), (67, 8), (92, 25)]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([1.87, 1.99], ["1.87", "1.93", "1.99"]),
        ([0.5, 2.5], ["0.50", "1.5", "2.5"]),
        ([0.12341, 0.12343], ["0.12341", "0.12342", "0.12343"]),
        ([-2.5, 2.500001], ["-2.5", "0", "2.5"]),
    ],
)
def test_labels_of_an_axis_can_be_told_apart(values, labels):
    root = parsed(lines.line_chart({"a": values}, "t"))
    told = [node.text for node in root.iter(f"{SVG}text") if node.get("text-anchor") == "end"]
    assert told[:3] == labels


def test_line_chart_leaves_gaps_and_marks():
    text = lines.line_chart(
        {"loss": [1, None, 3, float("nan"), 2, 2], "val": [1, 1, 1, 1, 1, 1]}, "t", marked_x=3
    )
    root = parsed(text)
    # Two lone points of the first line; its last two values, and the whole second line.
    assert len(list(root.iter(f"{SVG}circle"))) == 2
    assert len(list(root.iter(f"{SVG}polyline"))) == 2
    assert "stroke-dasharray" in text
    assert "3" in [node.text for node in root.iter(f"{SVG}text")]


def test_line_chart_names_steps_and_accents_the_lines_that_are_named():
    series = {"a": [0, 1, 2], "b": [1, 1, 1], "c": [2, 1, 0]}
    text = lines.line_chart(
        series, "t", first_x=500, x_step=500, marked_x=1000, accented=["a", "c"], width=100
    )
    root = parsed(text)
    styles = [line.get("stroke") for line in root.iter(f"{SVG}polyline")]
    assert ["accent" in style for style in styles] == [True, False, True]
    shown = [node.text for node in root.iter(f"{SVG}text")]
    assert "500" in shown
    assert "1,500" in shown
    # The middle between the axis at 42 and the end at 92.
    (mark,) = [line for line in root.iter(f"{SVG}line") if line.get("stroke-dasharray")]
    assert float(mark.get("x1")) == 67


@pytest.mark.parametrize("values", [[], [None], [float("nan")]])
def test_line_chart_without_values(values):
    assert "no values" in lines.line_chart({"a": values}, "t")


def test_line_chart_of_one_constant_value():
    (point,) = parsed(lines.line_chart({"a": [2.0]}, "t", width=100, height=66)).iter(
        f"{SVG}circle"
    )
    assert (float(point.get("cx")), float(point.get("cy"))) == (67, 28)


def test_histogram_heights_follow_the_counts():
    root = parsed(bars.histogram([(0, 1, 2), (1, 2, 4), (2, 4, 0)], "t", width=80, height=53))
    drawn = [(rect.get("x"), rect.get("height")) for rect in root.iter(f"{SVG}rect")]
    assert drawn == [("0", "20"), ("20", "40"), ("40", "0")]
    assert [node.text for node in root.iter(f"{SVG}text")] == ["0", "4"]


def test_histogram_of_one_value_and_of_none():
    assert len(list(parsed(bars.histogram([(3, 3, 9)], "t")).iter(f"{SVG}rect"))) == 1
    assert bars.histogram([], "t") == ""
    assert bars.histogram([(float("-inf"), 1, 2)], "t") == ""


def test_bar():
    text = bars.bar(0.25, 1.0, "a < b", reference=0.5)
    assert 'width="25.00%"' in text
    assert '<svg x="50.00%"' in text
    assert 'aria-label="a &lt; b"' in text
    assert 'width="100.00%"' in bars.bar(7, 1.0, "t")
    assert "%" not in bars.bar(None, 1.0, "t").replace("100%", "")


def test_bars_stand_side_by_side_in_their_groups():
    text = bars.bar_chart(
        ["a", "<b>"], {"ours": [1.0, 0.5], "theirs": [None, 0.25]}, "t", "{:.1f}".format, height=100
    )
    root = parsed(text)
    drawn = {
        rect.find(f"{SVG}title").text: (float(rect.get("x")), float(rect.get("height")))
        for rect in root.iter(f"{SVG}rect")
        if rect.find(f"{SVG}title") is not None
    }
    # The groups are 64 wide and begin at 50; the bars of one fill 60 of it.
    assert drawn == {
        "a ours: 1.0": (52, 100),
        "<b> ours: 0.5": (116, 50),
        "<b> theirs: 0.2": (146, 25),
    }
    told = [node.text for node in root.iter(f"{SVG}text")]
    assert told == ["0.0", "0.5", "1.0", "ours", "theirs", "a", "<b>"]


def test_not_every_one_of_many_bars_has_a_label():
    text = bars.bar_chart([f"{number}" for number in range(100)], {"": [1.0] * 100}, "t")
    labels = [node.text for node in parsed(text).iter(f"{SVG}text")][3:]
    assert labels == [f"{number}" for number in range(0, 100, 3)]


def test_bars_have_pictures_and_their_values_above_them():
    text = bars.bar_chart(["a", "b"], {"": [1.0, 0.5]}, "t", pictures=[PICTURE, None])
    (picture,) = parsed(text).iter(f"{SVG}image")
    assert picture.get("href") == PICTURE
    assert [node.text for node in parsed(text).iter(f"{SVG}text")][3:5] == ["1", "0.500"]


def test_histograms_share_their_axes():
    text = bars.histograms(
        {"many": [4, 0], "few": [1, 2]},
        [0.0, 1.0, 2.0],
        "t",
        x_labels={0: "0", 2: "2"},
        x_name="metres",
        marked_x=1.0,
        mark="middle",
    )
    root = parsed(text)
    heights = {
        rect.find(f"{SVG}title").text: float(rect.get("height"))
        for rect in root.iter(f"{SVG}rect")
        if rect.find(f"{SVG}title") is not None
    }
    assert list(heights) == [
        "0.00 to 1.00, many: 4",
        "0.00 to 1.00, few: 1",
        "1.00 to 2.00, few: 2",
    ]
    many, few, two = heights.values()
    assert (many / few, two / few) == pytest.approx((4, 2), rel=1e-3)
    (mark,) = [line for line in root.iter(f"{SVG}line") if line.get("stroke-dasharray")]
    # The middle between the axis at 42 and the end at 552.
    assert float(mark.get("x1")) == 297
    assert "middle" in [node.text for node in root.iter(f"{SVG}text")]


def test_curves_go_through_their_points_and_are_told_below():
    text = lines.curve_chart(
        {"first": [(0, 0), (1, 1)], "second": [(0, 1), (1, 1), (1, 1)]},
        "t",
        x_labels={0: "none", 1: "all"},
        y_labels={0: "0", 1: "1"},
        x_name="share",
        x_range=(0, 1),
        point=lines.Point(0.5, 0.5, (0.25, 0.75), "the middle"),
    )
    root = parsed(text)
    second, first = [line.get("points") for line in root.iter(f"{SVG}polyline")]
    assert first == "42.0,248.0 552.0,8.0"
    assert second == "42.0,8.0 552.0,8.0"
    point, _ = root.iter(f"{SVG}circle")
    assert (float(point.get("cx")), float(point.get("cy"))) == (297, 128)
    told = [node.text for node in root.iter(f"{SVG}text")]
    assert told == ["0", "1", "none", "all", "share", "first", "second", "the middle"]


def test_a_grid_has_its_images_and_texts_in_lines():
    cells = [images.Cell([PICTURE, PICTURE], f"<{index}>", f"note {index}") for index in range(3)]
    root = parsed(images.image_grid(cells, "t", columns=2, side=10, margin=6))
    places = [(float(one.get("x")), float(one.get("y"))) for one in root.iter(f"{SVG}image")]
    assert places == [(3, 4), (17, 4), (33, 4), (47, 4), (3, 47), (17, 47)]
    assert [node.text for node in root.iter(f"{SVG}text")] == ["note 0", "note 1", "note 2"]
    assert [node.text for node in root.iter(f"{SVG}title")] == ["<0>"] * 2 + ["<1>"] * 2 + [
        "<2>"
    ] * 2
    stacked = parsed(images.image_grid(cells[:1], "t", side=10, margin=6, stacked=True))
    assert [float(one.get("y")) for one in stacked.iter(f"{SVG}image")] == [4, 18]


def test_instances_have_boxes_labels_scores_and_masks():
    mask = [[0, 1, 1, 0], [0, 0, 0, 0], [1, 0, 1, 1]]
    instances = [
        images.Instance((1, 0, 3, 2), "<cat>", 0.876, mask),
        images.Instance((0, 1, 4, 3), "dog"),
        images.Instance((0, 2, 1, 3), "<cat>", 0.5, [[False] * 4] * 3),
    ]
    root = parsed(images.annotated_image(PICTURE, (4, 3), instances, "t", width=400))
    assert root.get("height") == "300"
    first, second = root.iter(f"{SVG}path")
    # Runs of the rows, each one pixel high.
    assert first.get("d") == "M1 0h2v1h-2zM0 2h1v1h-1zM2 2h2v1h-2z"
    assert first.get("transform") == "scale(100)"
    assert not second.get("d")
    boxes = [rect for rect in root.iter(f"{SVG}rect") if rect.get("fill") == "none"]
    sides = [[float(box.get(name)) for name in ("x", "y", "width", "height")] for box in boxes]
    assert sides == [[100, 0, 200, 200], [0, 100, 400, 200], [0, 200, 100, 100]]
    colors = [box.get("stroke") for box in boxes]
    assert colors[0] == colors[2] == first.get("fill") != colors[1]
    said = [node.text for node in root.iter(f"{SVG}text")]
    assert said == ["<cat> 0.88", "dog", "<cat> 0.50"]
    # Above a box where there is room.
    assert [float(node.get("y")) for node in root.iter(f"{SVG}text")] == [11, 96, 196]


def test_thumbnails_are_moved_apart_and_marked():
    thumbnails = [
        scatter.Thumbnail((x, 0.0), group, PICTURE, f"{x}", marked=x == 2)
        for x, group in ((1.0, "a"), (1.0, "b"), (2.0, "a"))
    ]
    root = parsed(scatter.thumbnail_map(thumbnails, "t"))
    frames = list(root.iter(f"{SVG}rect"))
    first, second, third = [(float(each.get("x")), float(each.get("y"))) for each in frames]
    assert max(abs(first[0] - second[0]), abs(first[1] - second[1])) >= 30
    assert third[0] > 500
    assert frames[0].get("fill") == frames[2].get("fill") != frames[1].get("fill")
    (dot,) = root.iter(f"{SVG}circle")
    assert abs(float(dot.get("cx")) - third[0]) < 40


def test_a_page_gives_the_palette_in_light_and_dark():
    assert palette.LIGHT.keys() == palette.DARK.keys()
    light, dark = palette.css().split("@media screen and (prefers-color-scheme: dark)")
    assert f"--accent: {palette.LIGHT['accent']};" in light
    assert f"--accent: {palette.DARK['accent']};" in dark
    assert f"var(--accent,{palette.LIGHT['accent']})" == palette.ACCENT
    colors = [palette.hue(number, 20) for number in range(20)]
    assert len(set(colors)) == 20


@pytest.mark.parametrize(
    "text",
    [
        lines.line_chart({"<a>": [1, 2]}, '"<t>"'),
        lines.curve_chart(
            {"<a>": [(0, 0)]}, '"<t>"', x_labels={0: "<"}, y_labels={}, x_name="&", x_range=(0, 1)
        ),
        bars.histogram([(0, 1, 1)], '"<t>"'),
        bars.histograms({"<a>": [1]}, [0, 1], '"<t>"', x_labels={0: "<"}, x_name="&"),
        bars.bar(1, 1, '"<t>"'),
        bars.bar_chart(["<a>"], {"<b>": [1], "&": [2]}, '"<t>"', pictures=['"<p>']),
        confusion.confusion_matrix({("<a>", "&"): 1}, '"<t>"'),
        images.image_grid([images.Cell(['"<p>'], "<a>", "<b>", "<c>")], '"<t>"'),
        images.annotated_image('"<p>', (1, 1), [images.Instance((0, 0, 1, 1), "<a>")], '"<t>"'),
        scatter.thumbnail_map([scatter.Thumbnail((0, 0), "<a>", '"<p>', "<b>")], '"<t>"'),
    ],
)
def test_text_is_escaped(text):
    ElementTree.fromstring(text)
    assert unsafe(re.sub('href="[^"]*"', "", text)) is None
    assert re.search(r'aria-label="&quot;&lt;t&gt;&quot;"', text)
