"""What the report draws of a model of faces: ROC, distances, and a map of the embeddings."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from PIL import Image

from ....components.data.faces.faces import Faces
from ....components.data.images.image_files import data_uri
from ....models.facenet.measures.verification import val_at_far, verify
from .embedding import compile_embedding
from .pairs.paired_images import read_images, read_index, read_paired, verification_pairs

THUMBNAIL = 60
"""Pixels of the longer side of the images on the map."""

_PERPLEXITY = 12.0
_ITERATIONS = 500
_QUALITY = 85


def plotted(
    model: keras.Model,
    data: Faces,
    split: str,
    baselines: Mapping[str, keras.Model] | None = None,
    far: float = 0.01,
    pairs: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Returns the ROC of each model, the distances of the pairs, and a map of the embeddings.

    Args:
        model: from float32 images `(B, H, W, C)` in [0, 1] to embeddings `(B, D)`.
        data: faces.
        split: string.
        baselines: further such models by the suffix of their metric, such as `_lmnn`.
        far: float. The false accept rate at which VAL is drawn.
        pairs: integer. The number of pairs drawn of a split that lists none.
        seed: integer, of all draws.

    Returns:
        A dict of JSON values: `verification`, what `verification_values` returns, and `map`, what
        `map_values` does.
    """
    index = read_index(data, split)
    drawn = read_paired(data, split, index, verification_pairs(index, pairs, seed))
    models = {"model": model, **(baselines or {})}
    distances = {
        name.removeprefix("_").replace("_", " "): drawn.distances(
            compile_embedding(network, data.image_shape)
        )
        for name, network in models.items()
    }
    return {
        "verification": verification_values(distances, drawn.pairs.same, drawn.pairs.folds, far),
        "map": map_values(model, data, split, seed=seed),
    }


def verification_values(
    distances: Mapping[str, np.ndarray], same: np.ndarray, folds: np.ndarray, far: float
) -> dict[str, Any]:
    """Returns what is drawn of the verification of pairs, as JSON values.

    Args:
        distances: float `(P,)`, squared, by the name of the model, the main one first.
        same: bool `(P,)`, whether the pairs are of the same person.
        folds: integer `(P,)`.
        far: float. The false accept rate at which VAL is measured.
    """
    verified = {name: verify(values, same, folds) for name, values in distances.items()}
    main = next(iter(verified))
    return {
        "far": far,
        "same": same.tolist(),
        "distances": distances[main].tolist(),
        "thresholds": verified[main].fold_thresholds.tolist(),
        "accuracy": float(verified[main].correct.mean()),
        "val": dataclasses.asdict(val_at_far(distances[main], same, far)),
        "models": [
            {
                "name": name,
                "false_accept_rates": result.roc.false_accept_rates.tolist(),
                "true_accept_rates": result.roc.true_accept_rates.tolist(),
                "area_under_curve": result.area_under_curve,
                "equal_error_rate": result.equal_error_rate,
            }
            for name, result in verified.items()
        ],
    }


def map_values(
    model: keras.Model,
    data: Faces,
    split: str,
    people: int = 20,
    images: int = 10,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Returns thumbnails at the places that t-SNE gives to their embeddings.

    Args:
        model: from float32 images `(B, H, W, C)` in [0, 1] to embeddings `(B, D)`.
        data: faces.
        split: string.
        people: integer. The largest number of people; those with most images are taken first, of
            equally many drawn ones.
        images: integer. The largest number of images of a person.
        seed: integer.

    Returns:
        For each image a dict: `place`, its x and y; `person` and `id`, strings; `image`, a `data:`
        address; `nearest`, whether the nearest other image is of the same person, `None` for the
        only image of a person. Empty where there are fewer than five images.
    """
    index = read_index(data, split)
    names = index.identities.astype(str)
    chosen = _chosen(names, people, images, seed)
    if len(chosen) < 5:
        return []
    pixels = read_images(data, split, chosen)
    embeddings = compile_embedding(model, data.image_shape)(pixels).astype(np.float64)
    owners = names[chosen]
    distances = np.square(embeddings[:, None] - embeddings[None]).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    alike = owners[distances.argmin(axis=1)] == owners
    several = np.array([(owners == owner).sum() > 1 for owner in owners])
    return [
        {
            "place": place.tolist(),
            "person": str(owner),
            "id": index.ids[number].decode(),
            "image": _thumbnail(image),
            "nearest": bool(nearest) if has_other else None,
        }
        for place, image, owner, number, nearest, has_other in zip(
            _flat(embeddings, seed), pixels, owners, chosen, alike, several, strict=True
        )
    ]


def _chosen(names: np.ndarray, people: int, images: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    people_names, owners, counts = np.unique(names, return_inverse=True, return_counts=True)
    # Sorted by a key drawn at random among those with enough images.
    order = np.lexsort([random.permutation(len(people_names)), -np.minimum(counts, images)])
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
    tsne = TSNE(
        perplexity=perplexity,
        method="exact",
        max_iter=_ITERATIONS,
        init="pca" if embeddings.shape[1] > 1 else "random",
        random_state=seed,
    )
    return tsne.fit_transform((embeddings + noise).astype(np.float32)).astype(np.float64)


def _thumbnail(image: np.ndarray) -> str:
    flat = image[..., 0] if image.shape[-1] == 1 else image
    small = Image.fromarray(flat)
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    encoded = io.BytesIO()
    small.save(encoded, "JPEG", quality=_QUALITY)
    return data_uri(encoded.getvalue())
