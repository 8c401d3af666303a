"""Figures and pictures that methods hand to the report: what may stand in it as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

from ...components.base.artifacts import Artifact
from ...components.io import filesystem

VOID = frozenset(("area", "br", "col", "hr", "img", "wbr"))
ACTIVE = frozenset(("embed", "foreignobject", "form", "iframe", "input", "object", "script"))
LOADING = frozenset(("base", "link", "meta"))


def is_picture(value: Any) -> bool:
    """Whether a value is an image as a data URI."""
    return isinstance(value, str) and value.startswith("data:image/")


def checked_figures(figures: Mapping[str, str]) -> list[dict[str, str]]:
    """Returns figures as `title` and `svg`, and `problem` where one must not be shown."""
    checked = []
    for title, text in figures.items():
        objection = unsafe(text)
        checked.append({"title": title, "svg": "" if objection else text})
        if objection:
            checked[-1]["problem"] = objection
    return checked


def drawn_figures(artifact: Artifact, name: str) -> list[dict[str, str]]:
    """Returns the figures that a stage left in a file of its artifact, as `checked_figures`."""
    if not filesystem.exists(artifact.path(name)):
        return []
    return checked_figures(dict(artifact.read_json(name)))


def unsafe(text: str) -> str | None:
    """Returns why a figure must not stand in the report as it is, or `None`.

    A figure is markup that the method made. It may hold no scripts, no event handlers, nothing
    that is loaded from elsewhere, and every tag must be closed.
    """
    checker = _Checker()
    checker.feed(text)
    checker.close()
    if checker.problem is None and checker.open:
        return f"the tag <{checker.open[-1]}> is not closed"
    return checker.problem


class _Checker(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.problem: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._check(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._check(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.problem = self.problem or f"the tag </{tag}> closes nothing"

    def _check(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ACTIVE | LOADING:
            self.problem = self.problem or f"it holds a <{tag}>"
        for name, value in attrs:
            held = (value or "").strip().lower()
            loads = name in ("src", "href", "xlink:href", "action", "srcset", "data")
            if name.startswith("on") or (loads and not held.startswith(("#", "data:image/"))):
                self.problem = self.problem or f"it holds the attribute {name}={value!r}"
            elif "url(" in held and not re.fullmatch(r".*url\(['\"]?#[^)]*\).*", held, re.DOTALL):
                self.problem = self.problem or f"it loads {value!r}"
