"""A map of images on which those lie together whose embeddings do."""

from __future__ import annotations

import base64
import colorsys
import io

import keras
import numpy as np
from PIL import Image

from ....components.base.transformed_data import TransformedData
from ....components.data.faces import parsing
from ...charts.svg import picture, rectangle, svg
from .embedding import compile_embedding
from .pairs.paired_images import read_images, read_index

_WIDTH, _HEIGHT, _THUMBNAIL = 780, 540, 30
_MARGIN = _THUMBNAIL / 2 + 8
_PERPLEXITY = 12.0
_ITERATIONS = 500
_STEPS = 300
_QUALITY = 85


def draw_map(
    model: keras.Model,
    data: TransformedData,
    split: str,
    people: int = 20,
    images: int = 10,
    seed: int = 0,
) -> dict[str, str]:
    """Draws thumbnails at the places that t-SNE gives to their embeddings.

    Args:
        model: from float32 images `(B, H, W, C)` in [0, 1] to embeddings `(B, D)`.
        data: transformed examples.
        split: string.
        people: integer. The largest number of people; those with most images are taken first, of
            equally many drawn ones.
        images: integer. The largest number of images of a person.
        seed: integer.

    Returns:
        A dict from title to SVG text; empty where there are fewer than five images.
    """
    index = read_index(data, split)
    names = index.identities.astype(str)
    chosen = _chosen(names, people, images, seed)
    if len(chosen) < 5:
        return {}
    pixels = read_images(data, split, chosen)
    embeddings = compile_embedding(model, parsing.image_shape(data))(pixels).astype(np.float64)
    owners = names[chosen]
    distances = np.square(embeddings[:, None] - embeddings[None]).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    alike = owners[distances.argmin(axis=1)] == owners
    several = np.array([(owners == owner).sum() > 1 for owner in owners])
    places = _spread(_flat(embeddings, seed))
    shown = sorted(set(owners))
    parts = []
    for (x, y), image, owner, number, right in zip(
        places, pixels, owners, chosen, alike | ~several, strict=True
    ):
        said = f"{owner}: {index.ids[number].decode()}"
        frame = f'rx="3" fill="{_color(shown.index(owner), len(shown))}"'
        size = _THUMBNAIL + 6
        parts.append(rectangle(x - size / 2, y - size / 2, size, size, said, frame))
        left, top = x - _THUMBNAIL / 2, y - _THUMBNAIL / 2
        parts.append(picture(_thumbnail(image), left, top, _THUMBNAIL, _THUMBNAIL, said))
        if not right:
            parts.append(
                f'<circle cx="{x + size / 2 - 4:.1f}" cy="{y - size / 2 + 4:.1f}" r="5" '
                'fill="currentColor"/>'
            )
    share = 100 * float(alike[several].mean()) if several.any() else 0.0
    title = (
        f"{len(chosen)} images of {len(shown)} people where t-SNE puts their embeddings, a colour "
        f"a person: for {share:.0f} % the nearest other image is of the same person (a dot: not so)"
    )
    width, height = places.max(axis=0) + _MARGIN
    return {title: svg(width, height, title, parts)}


def _chosen(names: np.ndarray, people: int, images: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    found, owners, counts = np.unique(names, return_inverse=True, return_counts=True)
    # Sorted by a key drawn at random among those with enough images.
    order = np.lexsort([random.permutation(len(found)), -np.minimum(counts, images)])
    chosen = [
        random.permutation(np.flatnonzero(owners == owner))[:images] for owner in order[:people]
    ]
    return np.sort(np.concatenate(chosen))


def _flat(embeddings: np.ndarray, seed: int) -> np.ndarray:
    """Returns places in the plane, (N, 2)."""
    from sklearn.manifold import TSNE

    perplexity = min(_PERPLEXITY, (len(embeddings) - 1) / 3)
    # A little noise: t-SNE has no place for embeddings that are all the same.
    noise = np.random.default_rng(seed).normal(scale=1e-6, size=embeddings.shape)
    # Of so few images the exact gradient takes less time, and no threads that wait for each other.
    found = TSNE(
        perplexity=perplexity,
        method="exact",
        max_iter=_ITERATIONS,
        init="pca" if embeddings.shape[1] > 1 else "random",
        random_state=seed,
    )
    return found.fit_transform((embeddings + noise).astype(np.float32)).astype(np.float64)


def _spread(places: np.ndarray) -> np.ndarray:
    """Returns places in the picture, moved apart until thumbnails hardly overlap."""
    low, high = places.min(axis=0), places.max(axis=0)
    places = (places - low) / np.maximum(high - low, 1e-9) * [_WIDTH, _HEIGHT]
    for _ in range(_STEPS):
        apart = places[:, None] - places[None]
        # Squares overlap where both sides do; they move along the shorter way out.
        overlap = _THUMBNAIL + 7 - np.abs(apart)
        np.einsum("iik->ik", overlap)[...] = 0
        touching = (overlap > 0).all(axis=2)
        if not touching.any():
            break
        shorter = overlap[..., 0] <= overlap[..., 1]
        ways = np.stack([shorter, ~shorter], axis=2) & touching[..., None]
        sign = np.where(apart >= 0, 1.0, -1.0)
        places = places + (0.25 * sign * overlap * ways).sum(axis=1)
    return places - places.min(axis=0) + _MARGIN


def _color(number: int, count: int) -> str:
    """Returns a colour that stands out from its neighbours, on dark and on light."""
    hue = number / count
    red, green, blue = colorsys.hls_to_rgb(hue, (0.42, 0.6)[number % 2], (0.85, 0.6)[number % 2])
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"


def _thumbnail(image: np.ndarray) -> str:
    flat = image[..., 0] if image.shape[-1] == 1 else image
    small = Image.fromarray(flat)
    small.thumbnail((2 * _THUMBNAIL, 2 * _THUMBNAIL))
    encoded = io.BytesIO()
    small.save(encoded, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode()}"
