"""Pictures for the report: how verification errs, on what, and how it depends on image quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...charts.bars import bar_chart
from ...charts.images import Cell, image_grid
from ...charts.scatter import Thumbnail, thumbnail_map
from ...report.training_summary import Table, TrainingSummary
from .curves import draw_distances, draw_roc, number_of_pairs
from .networks import networks

QUALITIES = ("jpeg quality", "pixels")

Row = Mapping[str, Any]


def training_summary(
    parameters: Any, logs: Mapping[str, Sequence[Mapping[str, Any]]]
) -> TrainingSummary:
    """Returns a table of the networks: how long each was trained, and what it came to."""
    measured = {
        "held_out_area": "best area under the ROC, held-out people",
        "held_out_accuracy": "accuracy then",
        "held_out_val": "VAL at FAR 0.01 then",
        "active_triplets": "active triplets then",
    }
    rows = []
    for name, network in networks(parameters).items():
        best = max(logs[name], key=lambda row: row.get("held_out_area", -row["loss"]))
        minutes = sum(row["seconds"] for row in logs[name]) / 60
        rows.append(
            [name, network.network, network.people * network.images + network.singles]
            + [len(logs[name]) * network.record_every, round(minutes, 2)]
            + [None if key not in best else round(best[key], 4) for key in measured]
        )
    columns = ["network", "kind", "images a step", "steps", "minutes", *measured.values()]
    return TrainingSummary([Table("Networks", columns, rows)])


def plot(values: Mapping[str, Any]) -> dict[str, str]:
    """Draws the ROC, the distances, and a map of the embeddings.

    Args:
        values: what `plotted.plotted` returns.

    Returns:
        A dict from title to SVG text.
    """
    verification = values["verification"]
    return {**draw_roc(verification), **draw_distances(verification), **draw_map(values["map"])}


def evaluation_figures(rows: Sequence[Row], most: int = 24) -> dict[str, str]:
    """Draws the hardest pairs that were told wrongly.

    Args:
        rows: rows of an evaluation, as `evaluation.rows` yields them or as JSON gives them back.
        most: integer. The largest number of pairs of each kind.

    Returns:
        A dict from title to SVG text.
    """
    pairs = [row for row in rows if row.get("distance") is not None]
    drawn: dict[str, str] = {}
    for same in (False, True):
        drawn |= draw_wrong_pairs(pairs, same, most)
    return drawn


def draw_wrong_pairs(pairs: Sequence[Row], same: bool, most: int) -> dict[str, str]:
    """Draws the hardest pairs of a kind that were told wrongly, side by side, the worst first.

    The hardest are those whose distance lies farthest on the wrong side of their fold's threshold;
    both numbers are below the images.

    Args:
        pairs: rows of pairs.
        same: boolean. Whether they are of the same person.
        most: integer. The largest number of pairs.
    """
    kind = [row for row in pairs if row["same"] == same]
    wrong = [row for row in kind if not row["accuracy"]]
    shown = [row for row in wrong if (row.get("details") or {}).get("first_image")]
    # The report gives the folds in turn.
    shown.sort(key=lambda row: -abs(row["distance"] - row["threshold"]))
    cells = [_pair(row, ">" if same else "≤") for row in shown[:most]]
    if not cells:
        return {}
    name, description = (
        ("False rejects", "of the same person that were taken for two")
        if same
        else ("False accepts", "of different persons that were taken for one")
    )
    title = (
        f"{name}: the hardest {len(cells)} of {number_of_pairs(len(wrong))} {description} (of "
        f"{len(kind):,}), each with its squared distance and its fold's threshold, the farthest on "
        "the wrong side first"
    )
    return {title: image_grid(cells, title, columns=4, side=76)}


def _pair(row: Row, sign: str) -> Cell:
    details = row["details"]
    return Cell(
        [details["first_image"], details["second_image"]],
        f"{details['first']} and {details['second']}, distance {row['distance']:.3f}",
        f"{row['distance']:.2f} {sign} {row['threshold']:.2f}",
    )


def draw_map(images: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Draws a map on which those images lie together whose embeddings do.

    Args:
        images: what `plotted.map_values` returns.

    Returns:
        A dict from title to SVG text; empty where there are no images.
    """
    if not images:
        return {}
    people = {image["person"] for image in images}
    nearest = [image["nearest"] for image in images if image["nearest"] is not None]
    share = 100 * sum(nearest) / len(nearest) if nearest else 0.0
    title = (
        f"{len(images)} images of {len(people)} people where t-SNE puts their embeddings, a color "
        f"a person: for {share:.0f} % the nearest other image is of the same person (a dot: not so)"
    )
    thumbnails = [
        Thumbnail(
            image["place"],
            image["person"],
            image["image"],
            f"{image['person']}: {image['id']}",
            marked=image["nearest"] is False,
        )
        for image in images
    ]
    return {title: thumbnail_map(thumbnails, title)}


def measure_figures(measures: Sequence[Row]) -> dict[str, str]:
    """Draws accuracy and VAL by image quality.

    Args:
        measures: of sets, as `evaluation.json` has them.

    Returns:
        A dict from title to SVG text.
    """
    drawn: dict[str, str] = {}
    for kind in QUALITIES:
        drawn |= draw_quality([row for row in measures if kind in row["slice"]], kind)
    return drawn


def draw_quality(levels: Sequence[Row], kind: str) -> dict[str, str]:
    """Draws accuracy and VAL at levels of image quality, each below an image of that level.

    Args:
        levels: measures of one kind of quality.
        kind: the name of their slices.
    """
    if not levels:
        return {}
    vals = [row["values"]["val_degraded"] for row in levels]
    title = (
        f"VAL (colored) and accuracy (gray) in per cent by {kind}, above it one of the images: "
        f"VAL from {100 * vals[0]:.1f} to {100 * vals[-1]:.1f} %; compare the paper's Table 4"
    )
    svg = bar_chart(
        [row["slice"][kind] for row in levels],
        {"VAL": vals, "accuracy": [row["values"]["accuracy_degraded"] for row in levels]},
        title,
        lambda share: f"{100 * share:.1f}",
        maximum=1.0,
        x_name=kind,
        pictures=[row["details"].get("sample") for row in levels],
        height=130,
    )
    return {title: svg}
