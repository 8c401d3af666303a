"""Beam: chooses triplets by the current embedding and writes them; `tf.data`: reads them.

The paper's offline variant (section 3.2): every so many steps the latest network embeds the data,
and hard positives and negatives are looked for in subsets of it. Here people are dealt out to
subsets by a hash, each subset is bounded, and a subset is all that a worker holds.

It is for pipelines of one's own; the method `facenet` selects its triplets inside of its batches.
Example, in a pipeline root, with what its Transform and its Pusher have written:

```python
import tensorflow as tf
from methodical.components.base.artifacts import Examples, TransformGraph
from methodical.components.data.faces.faces import Faces
from methodical.pipeline.methods.facenet import offline_triplets

folder = "artifacts/facenet/Transform/5"
examples = Examples(f"{folder}/transformed_examples")
examples.properties = examples.read_json("MANIFEST.json")["properties"]
data = Faces(examples, TransformGraph(f"{folder}/transform_graph"))
rows = offline_triplets.write_triplets(data, "train", "serving/facenet/1", "triplets", margin=0.2)
batches = offline_triplets.triplet_batches("triplets", data.image_shape, triplets=8)
embed = offline_triplets.load_embed("serving/facenet/1")
for images in batches:
    anchors, positives, negatives = tf.split(embed(images), 3)
```

Dimensions: B triplets of a batch, H height, W width, C channels, D embedding.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import tensorflow as tf
from apache_beam.io.filesystems import FileSystems

from ....components.beam.read_examples import read_examples
from ....components.beam.run import run_pipeline
from ....components.data.faces.faces import Faces
from ....components.data.images.pixels import to_floats
from ....components.io import example_proto, filesystem, tfrecord
from ....models.facenet.triplets import offline_selection

IMAGES_SIGNATURE = "serving_images"
"""Signature of a SavedModel that embeds float32 images: from `images` to `embedding`."""

_EMBEDDED_AT_ONCE = 128
_WRITTEN = re.compile(r"triplets-\d{5}-of-\d{5}\.gz")
_ROLES = ("anchor", "positive", "negative")
_SHUFFLED_BYTES = 64 * 2**20

Embed = str | Callable[[np.ndarray], np.ndarray]
"""A folder of a SavedModel, or a function from float32 `(B, H, W, C)` to `(B, D)` that can be
pickled."""


class EmbeddedFace(NamedTuple):
    """An image with its embedding.

    Args:
        id: name of the image.
        identity: name of the person.
        embedding: float32 `(D,)` as bytes.
        pixels: uint8 `(H, W, C)` as bytes.
    """

    id: bytes
    identity: bytes
    embedding: bytes
    pixels: bytes


class EmbedFaces(beam.DoFn):
    """Turns a file of transformed examples into `EmbeddedFace`s.

    The model is loaded once a worker; a batch of images is held at a time.

    Args:
        embed: `Embed`.
        shape: H, W and C.
    """

    def __init__(self, embed: Embed, shape: tuple[int, int, int]):
        super().__init__()
        self._embed = embed
        self._shape = shape
        self._loaded: Any = None

    def setup(self) -> None:
        """Loads the model."""
        self._loaded = load_embed(self._embed) if isinstance(self._embed, str) else self._embed

    def process(self, path: str) -> Iterator[EmbeddedFace]:
        """Embeds one file."""
        examples = read_examples(path)
        while batch := list(itertools.islice(examples, _EMBEDDED_AT_ONCE)):
            yield from self._embedded(batch)

    def _embedded(self, examples: list[dict[str, list[Any]]]) -> Iterator[EmbeddedFace]:
        flat = np.frombuffer(b"".join(example["pixels"][0] for example in examples), np.uint8)
        images = flat.reshape(-1, *self._shape).astype(np.float32) / np.float32(255)
        embeddings = np.asarray(self._loaded(images), np.float32)
        if embeddings.ndim != 2 or len(embeddings) != len(images):
            raise ValueError(
                f"A model must turn images {images.shape} into embeddings ({len(images)}, D). "
                f"Received: {embeddings.shape}"
            )
        for example, embedding in zip(examples, embeddings, strict=True):
            yield EmbeddedFace(
                example["id"][0], example["identity"][0], embedding.tobytes(), example["pixels"][0]
            )


class MineTriplets(beam.PTransform):
    """From `EmbeddedFace`s to files of triplets, a file a subset.

    A hash of seed and person chooses the subset, so that the images of one are together, and a
    triplet's images are all of one subset. A subset that would be larger than `subset_images` keeps
    whole people in the order of another hash, and of the last one some images. What is chosen
    depends on images, embeddings and arguments alone.

    Gives `{"subset", "images", "triplets"}` of each subset.

    Args:
        folder: where the files go, `triplets-<subset>-of-<subsets>.gz`; made if it is missing.
        subsets: integer. Number of subsets.
        subset_images: integer. Largest number of images of one.
        seed: integer. Another one makes other subsets.
        margin: float, see `offline_selection.offline_triplets`, as are the others.
        positives: `"hard"` or `"all"`.
        negatives: `"semi_hard"` or `"hard"`.
    """

    def __init__(
        self,
        folder: str,
        subsets: int,
        subset_images: int = 4_000,
        seed: int = 0,
        margin: float = 0.2,
        positives: str = "hard",
        negatives: str = "semi_hard",
    ):
        super().__init__()
        if subsets < 1 or subset_images < 3:
            raise ValueError(
                "Triplets need subsets >= 1 and subset_images >= 3. "
                f"Received: subsets={subsets}, subset_images={subset_images}"
            )
        self._folder = folder
        self._subsets = subsets
        self._subset_images = subset_images
        self._seed = seed
        self._selection = {"margin": margin, "positives": positives, "negatives": negatives}

    def expand(self, faces: beam.PCollection) -> beam.PCollection:
        """Deals out, bounds, chooses and writes."""
        return (
            faces
            | "DealOut" >> beam.Map(_dealt, self._seed, self._subsets)
            | "Bound" >> beam.combiners.Top.SmallestPerKey(self._subset_images)
            | "WriteTriplets"
            >> beam.Map(_write_subset, self._folder, self._subsets, dict(self._selection))
        )


def write_triplets(
    data: Faces,
    split: str,
    embed: Embed,
    folder: str,
    subset_images: int = 4_000,
    beam_arguments: Iterable[str] = (),
    **options: Any,
) -> list[dict[str, int]]:
    """Embeds a split and writes its triplets, in as many subsets as its images fill.

    Args:
        data: transformed examples.
        split: string.
        embed: `Embed`.
        folder: where the files go; triplets that were written there before are removed.
        subset_images: integer. About the number of images of a subset.
        beam_arguments: Beam flags.
        options: those of `MineTriplets`.

    Returns:
        A dict `{"subset", "images", "triplets"}` of each subset with images, by its number.
    """
    number = max(1, -(-data.count(split) // subset_images))
    filesystem.make_dirs(folder)
    FileSystems.delete(
        [
            filesystem.join(folder, name)
            for name in filesystem.list_dir(folder)
            if _WRITTEN.fullmatch(name)
        ]
    )
    # A subset's people vary in their images: twice the mean is seldom cut.
    mine = MineTriplets(folder, number, 2 * subset_images, **options)

    def build(pipeline: beam.Pipeline, immediately: bool, token: str) -> beam.PCollection:
        return (
            pipeline
            | "Shards" >> beam.Create(data.transformed.files(split), reshuffle=True)
            | "Embed" >> beam.ParDo(EmbedFaces(embed, data.image_shape))
            | "Mine" >> mine
        )

    rows, _ = run_pipeline(build, tuple(beam_arguments), folder)
    return sorted(rows, key=lambda row: row["subset"])


def load_embed(folder: str) -> Callable[[np.ndarray], np.ndarray]:
    """Loads a SavedModel with the signature `serving_images`.

    Args:
        folder: string.

    Returns:
        A function from float32 images `(B, H, W, C)` to embeddings `(B, D)`.

    Raises:
        ValueError: the model has no such signature, from `images` to `embedding`.
    """
    model = tf.saved_model.load(folder)
    signature = model.signatures.get(IMAGES_SIGNATURE)
    if signature is None or "embedding" not in signature.structured_outputs:
        raise ValueError(
            f"A SavedModel must have the signature {IMAGES_SIGNATURE} with the output embedding. "
            f"Received: {folder} with {', '.join(sorted(model.signatures)) or 'none'}"
        )

    def embed(images: np.ndarray) -> np.ndarray:
        return signature(images=tf.constant(images))["embedding"].numpy()

    # The signature does not keep its model alive.
    vars(embed)["model"] = model
    return embed


def triplet_batches(
    folder: str,
    shape: tuple[int, int, int],
    triplets: int,
    seed: int | None = None,
    repeat: bool = False,
) -> tf.data.Dataset:
    """Returns batches of written triplets, as streams from their files.

    Args:
        folder: string, what was written.
        shape: H, W and C.
        triplets: integer, B.
        seed: integer, of the order of files and triplets, which differs in each pass; `None` keeps
            that of the files.
        repeat: boolean. Whether the passes go on without end.

    Returns:
        A `tf.data.Dataset` of float32 images `(3B, H, W, C)` in [0, 1]: B anchors, then their
        positives, then their negatives. What does not fill a batch is dropped.

    Raises:
        ValueError: the folder has no files of triplets.
    """
    names = [name for name in filesystem.list_dir(folder) if name.endswith(".gz")]
    if not names:
        raise ValueError(
            f"A folder must have files of triplets, see write_triplets. Received: {folder}"
        )
    files = tf.data.Dataset.from_tensor_slices([filesystem.join(folder, name) for name in names])
    if seed is not None:
        files = files.shuffle(len(names), seed=seed)
    dataset = files.interleave(
        lambda path: tf.data.TFRecordDataset(path, compression_type="GZIP"),
        cycle_length=8 if seed is not None else 1,
    )
    if seed is not None:
        dataset = dataset.shuffle(
            max(triplets, _SHUFFLED_BYTES // (3 * int(np.prod(shape)))), seed=seed
        )
    if repeat:
        dataset = dataset.repeat()
    features = {f"{role}_pixels": tf.io.FixedLenFeature([], tf.string) for role in _ROLES}

    def images(serialized: tf.Tensor) -> tf.Tensor:
        parsed = tf.io.parse_example(serialized, features)
        flat = tf.concat([parsed[f"{role}_pixels"] for role in _ROLES], axis=0)
        pixels = tf.reshape(tf.io.decode_raw(flat, tf.uint8), [3 * triplets, *shape])
        return to_floats(pixels)

    return dataset.batch(triplets, drop_remainder=True).map(images).prefetch(2)


def subset_of(identity: bytes, seed: int, subsets: int) -> int:
    """Returns the subset of a person."""
    return int.from_bytes(_digest(seed, identity)[:8], "big") % subsets


def _digest(seed: int, name: bytes) -> bytes:
    return hashlib.sha256(f"{seed}/".encode() + name).digest()


def _dealt(
    face: EmbeddedFace, seed: int, subsets: int
) -> tuple[int, tuple[bytes, bytes, EmbeddedFace]]:
    """Returns an image by its subset, with what it is ordered by."""
    order = _digest(seed, face.identity)[8:], _digest(seed, face.id)
    return subset_of(face.identity, seed, subsets), (*order, face)


def _write_subset(
    element: tuple[int, list[tuple[bytes, bytes, EmbeddedFace]]],
    folder: str,
    subsets: int,
    selection: dict[str, Any],
) -> dict[str, int]:
    subset, ordered = element
    faces = sorted((face for _, _, face in ordered), key=lambda face: face.id)
    embeddings = np.stack([np.frombuffer(face.embedding, np.float32) for face in faces])
    _, labels = np.unique(np.array([face.identity for face in faces]), return_inverse=True)
    chosen = offline_selection.offline_triplets(embeddings, labels, **selection)
    filesystem.make_dirs(folder)
    path = filesystem.join(folder, f"triplets-{subset:05d}-of-{subsets:05d}.gz")
    tfrecord.write_records(
        path, (_encoded([faces[index] for index in triplet]) for triplet in chosen)
    )
    return {"subset": subset, "images": len(faces), "triplets": len(chosen)}


def _encoded(faces: list[EmbeddedFace]) -> bytes:
    features = {}
    for role, face in zip(_ROLES, faces, strict=True):
        features[role] = [face.id]
        features[f"{role}_pixels"] = [face.pixels]
    return example_proto.encode(features)
