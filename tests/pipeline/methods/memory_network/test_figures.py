"""Drawings of stories with wrong answers."""

import itertools
import xml.etree.ElementTree as ElementTree

from methodical.pipeline.methods.memory_network import figures
from methodical.pipeline.report.figures import unsafe

SVG = "{http://www.w3.org/2000/svg}"


def details(count=3, **changes):
    return {
        "story": [f"sentence {number} <&>" for number in range(1, count + 1)],
        "question": "Where is <she>?",
        "answer": "garden",
        "predicted": "hallway",
        "probability": 0.625,
        "supporting_facts": [0, 2],
        "predicted_facts": [0, 1],
        "attention": [[0.5] + [0.0] * (count - 1), [0.0, 1.0] + [0.0] * (count - 2)],
        **changes,
    }


def drawn(story):
    svg = figures.draw_story(story)
    assert unsafe(svg) is None
    return ElementTree.fromstring(svg)


def test_a_story_shows_the_attention_the_facts_and_both_answers():
    root = drawn(details())
    said = [node.text for node in root.iter(f"{SVG}text")]
    assert said[:2] == ["hop 1", "hop 2"]
    assert said[3:] == [
        "1 sentence 1 <&>",
        "2 sentence 2 <&>",
        "3 sentence 3 <&>",
        "Where is <she>?",
        "hallway (0.62)",
        "right: garden",
    ]
    # A sentence after another, in it hop after hop.
    shades = [float(rect.get("fill-opacity")) for rect in root.iter(f"{SVG}rect")]
    assert shades == [0.41, 0.06, 0.06, 0.76, 0.06, 0.06]
    rings = [ring.get("fill") == "none" for ring in root.iter(f"{SVG}circle")]
    places = [(ring.get("cx"), ring.get("cy")) for ring in root.iter(f"{SVG}circle")]
    assert rings == [True, False, False, True]
    assert places == [("22", "30.5"), ("22", "30.5"), ("66", "50.5"), ("66", "70.5")]


def test_of_a_long_story_the_facts_and_the_most_attended_sentences_are_drawn():
    root = drawn(details(40, supporting_facts=[0, 39], predicted_facts=[20]))
    said = [node.text.split()[0] for node in root.iter(f"{SVG}text")][3:-3]
    assert len(said) == 14
    assert {"1", "2", "21", "40"} <= set(said)
    # Where sentences are left out a line is drawn.
    gaps = sum(int(b) > int(a) + 1 for a, b in itertools.pairwise(said))
    assert len(list(root.iter(f"{SVG}line"))) == gaps


def test_tasks_take_turns_those_with_most_wrong_answers_first():
    rows = [
        {"task": task, "details": details(question=f"question {number}")}
        for number, task in enumerate("1222")
    ]
    titles = list(figures.evaluation_figures([*rows, {"task": "3"}], most=3))
    assert [title.split(" answered")[0] for title in titles] == [
        "Task 2: question 1",
        "Task 1: question 0",
        "Task 2: question 2",
    ]
