"""The words of the simulated world: who and what stories mention, and the verbs they use.

The published lists come first. Further names are plain English while they last and invented
afterwards, so that a vocabulary of any size can be asked for.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping, Sequence

PUBLISHED_KINDS: Mapping[str, tuple[str, ...]] = {
    "actors": ("John", "Mary", "Sandra", "Daniel"),
    "givers": ("Mary", "Fred", "Bill", "Jeff"),
    "townspeople": ("Fred", "Bill", "Julie", "Mary"),
    "motivated actors": ("Jason", "Antoine", "Sumit", "Yann"),
    "places": ("kitchen", "garden", "office", "hallway", "bathroom", "bedroom"),
    "town places": ("kitchen", "park", "office", "school", "bedroom", "cinema"),
    "objects": ("apple", "football", "milk"),
    "fearful animals": ("Gertrude", "Winona", "Emily", "Jessica"),
    "feared species": ("mouse", "sheep", "wolf", "cat"),
    "colored animals": ("Lily", "Bernhard", "Greg", "Julius", "Brian"),
    "colored species": ("swan", "lion", "frog", "rhino"),
    "colors": ("yellow", "green", "gray", "white"),
    "shapes": (
        "triangle",
        "pink rectangle",
        "blue square",
        "red square",
        "red sphere",
        "yellow square",
    ),
    "containers": ("box", "chest", "suitcase", "container"),
}
"""The published names of each kind. Gifts are tried in the order written here (`world.py`)."""

_EXTRA_NAMES = (
    *("Alice", "Peter", "Emma", "Henry", "Laura", "Oscar", "Nina", "Victor", "Clara", "Simon"),
    *("Irene", "Martin", "Paula", "Edgar", "Hazel", "Felix", "Olga", "Conrad", "Ruth", "Leo"),
)
_EXTRA_PLACES = (
    *("attic", "cellar", "library", "museum", "station", "market", "theatre", "stable"),
    *("workshop", "garage", "chapel", "harbour", "pharmacy", "bakery", "hospital", "balcony"),
)
_EXTRA_SPECIES = ("dog", "horse", "bear", "rabbit", "hen", "tiger", "snake", "goat")

_EXTRA: Mapping[str, tuple[tuple[str, ...], str]] = {
    "actors": (_EXTRA_NAMES, "{}n"),
    "givers": (_EXTRA_NAMES, "{}n"),
    "townspeople": (_EXTRA_NAMES, "{}n"),
    "motivated actors": (_EXTRA_NAMES, "{}n"),
    "fearful animals": (_EXTRA_NAMES, "{}n"),
    "colored animals": (_EXTRA_NAMES, "{}n"),
    "places": (_EXTRA_PLACES, "{}th"),
    "town places": (_EXTRA_PLACES, "{}th"),
    "objects": (
        ("lantern", "umbrella", "notebook", "hammer", "kettle", "violin", "blanket", "camera"),
        "{}k",
    ),
    "feared species": (_EXTRA_SPECIES, "{}d"),
    "colored species": (_EXTRA_SPECIES, "{}d"),
    "colors": (("blue", "red", "black", "brown", "pink", "purple"), "{}sh"),
    "shapes": (
        ("green circle", "orange star", "purple cone", "black cube", "white oval", "brown cross"),
        "{} ball",
    ),
    "containers": (("crate", "trunk", "drawer", "barrel", "hamper", "cabinet"), "{}t"),
}
"""Further plain names of each kind, and the shape of an invented one."""

_NAMED_KINDS = frozenset(
    {
        "actors",
        "givers",
        "townspeople",
        "motivated actors",
        "fearful animals",
        "colored animals",
    }
)

_MEN = frozenset({"John", "Daniel", "Fred", "Bill", "Jeff", *_EXTRA_NAMES[1::2]})
_WOMEN = frozenset({"Mary", "Sandra", "Julie", *_EXTRA_NAMES[0::2]})

_IRREGULAR_PLURALS = {"mouse": "mice", "sheep": "sheep", "wolf": "wolves"}

VERBS: Mapping[str, tuple[str, ...]] = {
    "go": ("went to", "journeyed to", "travelled to", "went back to", "moved to"),
    "get": ("got", "grabbed", "picked up", "took"),
    "drop": ("left", "discarded", "dropped", "put down"),
    "give": ("gave", "handed", "passed"),
    "lie": ("is",),
    "fear": ("are afraid of",),
    "have color": ("is",),
    "fit": ("fits inside",),
    "exceed": ("is bigger than",),
}
"""The published wordings of each action and relation."""

EXTRA_VERBS: Mapping[str, tuple[str, ...]] = {
    "go": ("walked to", "ran to", "hurried to", "headed to", "strolled to", "returned to"),
    "get": ("collected", "seized", "lifted", "fetched", "snatched", "gathered"),
    "drop": ("released", "set down", "abandoned", "laid down", "let go of", "deposited"),
    "give": ("offered", "presented", "delivered", "lent", "sold", "brought"),
    "lie": ("lies", "stands", "is located", "is found", "is placed", "is situated"),
    "fear": (
        *("are scared of", "are frightened of", "are terrified of"),
        *("run from", "hide from", "flee from"),
    ),
    "have color": ("looks", "appears", "turned out", "seems", "was born", "was painted"),
    "fit": ("fits into", "fits in", "goes inside", "goes into", "belongs inside", "can enter"),
    "exceed": (
        *("is larger than", "is wider than", "is roomier than"),
        *("is taller than", "is broader than", "is greater than"),
    ),
}
"""Wordings that the parameter `synonyms` adds, in this order."""

MOST_SYNONYMS = min(len(verbs) for verbs in EXTRA_VERBS.values())

_IDLE_DEEDS = ("smiled.", "yawned.", "laughed.", "waved.", "sneezed.", "hummed a tune.")
_IDLE_LOOKS = ("looks old.", "looks new.", "looks clean.", "looks dusty.", "looks plain.")

_SYLLABLES = tuple(consonant + vowel for vowel in "aeiou" for consonant in "bdfgklmnprstvz")


def invented_word(index: int) -> str:
    """Returns the `index`-th invented word: three or more syllables, all words different."""
    base = len(_SYLLABLES)
    # A stride prime to the number of three-syllable words spreads neighbors over the alphabet.
    head, rest = divmod(index, base**3)
    rest = rest * 7919 % base**3
    digits = [rest // base**2, rest // base % base, rest % base]
    while head:
        head, digit = divmod(head, base)
        digits.append(digit)
    return "".join(_SYLLABLES[digit] for digit in digits)


@functools.lru_cache(maxsize=256)
def names(kind: str, extra: int = 0) -> tuple[str, ...]:
    """Returns the published names of a kind and `extra` further ones.

    Args:
        kind: a key of `PUBLISHED_KINDS`.
        extra: how many names beyond the published ones; plain English first, then invented.
    """
    plain, shape = _EXTRA[kind]
    invented = (shape.format(invented_word(index)) for index in range(max(0, extra - len(plain))))
    if kind in _NAMED_KINDS:
        invented = (name.capitalize() for name in invented)
    return (*PUBLISHED_KINDS[kind], *plain[:extra], *invented)


def draw_names(rng: random.Random, pool: Sequence[str], count: int) -> list[str]:
    """Returns `count` names of the pool, without repetition, in the order of the pool."""
    if count == len(pool):
        return list(pool)
    return [pool[index] for index in sorted(rng.sample(range(len(pool)), count))]


def verbs(action: str, synonyms: int = 0) -> tuple[str, ...]:
    """Returns the wordings of an action: the published ones and `synonyms` further ones."""
    return VERBS[action] + EXTRA_VERBS[action][:synonyms]


def pronoun(name: str) -> str:
    """Returns the pronoun of an actor; invented names alternate by their second letter."""
    if name in _MEN:
        return "he"
    if name in _WOMEN:
        return "she"
    return "she" if name[1] in "aei" else "he"


def plural(species: str) -> str:
    """Returns the plural of a species."""
    return _IRREGULAR_PLURALS.get(species, species + "s")


def idle_sentence(rng: random.Random, subject: str, acts: bool) -> str:
    """Returns a sentence that no rule of the world draws a conclusion from.

    Args:
        rng: the source of chance.
        subject: a name, or a noun without its article.
        acts: whether the subject is a name, which can act.
    """
    if acts:
        return f"{subject} {rng.choice(_IDLE_DEEDS)}"
    return f"The {subject} {rng.choice(_IDLE_LOOKS)}"
