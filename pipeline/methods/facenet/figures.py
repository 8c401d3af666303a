"""Pictures for the report: how verification errs, on what, and how it depends on image quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...charts.svg import ACCENT, line, number_of_pairs, picture, rectangle, svg, text

if TYPE_CHECKING:
    import keras

    from ....components.base.transformed_data import TransformedData

QUALITIES = ("jpeg quality", "pixels")

_FACE = 76
_COLUMNS = 4

Row = Mapping[str, Any]


def draw(
    model: keras.Model,
    data: TransformedData,
    split: str,
    baselines: Mapping[str, keras.Model] | None = None,
    far: float = 0.01,
    pairs: int = 1000,
    seed: int = 0,
) -> dict[str, str]:
    """Draws the ROC, the distances, and a map of the embeddings.

    Args:
        model: from float32 images `(B, H, W, C)` in [0, 1] to embeddings `(B, D)`.
        data: transformed examples.
        split: string.
        baselines: further such models by the suffix of their metric, such as `_lmnn`.
        far: float. The false accept rate at which VAL is drawn.
        pairs: integer. The number of pairs drawn of a split that lists none.
        seed: integer, of all draws.

    Returns:
        A dict from title to SVG text.
    """
    from ....components.data.faces import parsing
    from ....models.facenet.measures.verification import verify
    from .curves import draw_distances, draw_roc
    from .embedding import compile_embedding
    from .embedding_map import draw_map
    from .pairs.paired_images import read_index, read_paired, verification_pairs

    index = read_index(data, split)
    drawn = read_paired(data, split, index, verification_pairs(index, pairs, seed))
    models = {"model": model, **(baselines or {})}
    shape = parsing.image_shape(data)
    distances = {
        name.removeprefix("_").replace("_", " "): drawn.distances(compile_embedding(each, shape))
        for name, each in models.items()
    }
    same, folds = drawn.pairs.same, drawn.pairs.folds
    measured = {name: verify(each, same, folds) for name, each in distances.items()}
    own = distances["model"]
    return {
        **draw_roc(measured, own, same, far),
        **draw_distances(measured["model"], own, same),
        **draw_map(model, data, split, seed=seed),
    }


def wrong_pairs(rows: Sequence[Row], most: int = 24) -> dict[str, str]:
    """Draws the hardest pairs that were told wrongly, and what image quality does.

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
    for kind in QUALITIES:
        drawn |= draw_quality([row for row in rows if row.get(kind) is not None], kind)
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
    shown = shown[:most]
    if not shown:
        return {}
    columns = min(_COLUMNS, len(shown))
    wide, high = 2 * _FACE + 20, _FACE + 28
    parts = []
    for index, row in enumerate(shown):
        x, y = index % columns * wide, index // columns * high
        details = row["details"]
        for side, left in (("first", x + 2), ("second", x + _FACE + 4)):
            told = f"{details[side]}, distance {row['distance']:.3f}"
            parts.append(picture(details[f"{side}_image"], left, y, _FACE, _FACE, told))
        said = f"{row['distance']:.2f} {'>' if same else '≤'} {row['threshold']:.2f}"
        parts.append(text(x + _FACE + 3, y + _FACE + 14, said, opacity=0.9))
    name, told = (
        ("False rejects", "of the same person that were taken for two")
        if same
        else ("False accepts", "of different persons that were taken for one")
    )
    title = (
        f"{name}: the hardest {len(shown)} of {number_of_pairs(len(wrong))} {told} (of "
        f"{len(kind):,}), each with its squared distance and its fold's threshold, the farthest on "
        "the wrong side first"
    )
    return {title: svg(columns * wide, -(-len(shown) // columns) * high, title, parts)}


def draw_quality(levels: Sequence[Row], kind: str) -> dict[str, str]:
    """Draws accuracy and VAL at levels of image quality, each below an image of that level.

    Args:
        levels: rows of one kind of quality.
        kind: its name in the rows.
    """
    if not levels:
        return {}
    wide, image, bars = 92, 72, 130
    base = image + 16 + bars
    parts = []
    for index, row in enumerate(levels):
        x = index * wide
        values = {"accuracy": row["accuracy_degraded"][0], "VAL": row["val_degraded"][0]}
        if row.get("sample"):
            said = f"{kind} {row[kind]}"
            parts.append(picture(row["sample"], x + (wide - image) / 2, 0, image, image, said))
        for number, (name, value) in enumerate(values.items()):
            height = value * bars
            left = x + 12 + number * 35
            fill = f'fill="{ACCENT}"' if number else 'fill="currentColor" opacity="0.35"'
            said = f"{kind} {row[kind]}: {name} {value:.3f}"
            parts.append(rectangle(left, base - height, 33, height, said, fill))
            parts.append(text(left + 16.5, base - height - 4, f"{100 * value:.1f}", opacity=0.9))
        parts.append(text(x + wide / 2, base + 16, f"{row[kind]}"))
    width = len(levels) * wide
    parts.append(line(0, base, width, base, 'opacity="0.4"'))
    parts.append(text(width / 2, base + 34, kind))
    vals = [row["val_degraded"][0] for row in levels]
    title = (
        f"Accuracy (grey) and VAL (coloured) in per cent by {kind}, above it one of the images: "
        f"VAL from {100 * vals[0]:.1f} to {100 * vals[-1]:.1f} %; compare the paper's Table 4"
    )
    return {title: svg(width, base + 40, title, parts)}
