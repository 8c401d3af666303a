"""Reads the sections that Keras's docstrings have and Google's style has not."""

import re

import griffe

# The left is how Keras writes a section, the right how griffe is told its kind and title.
SECTIONS = {
    "Call arguments:": "Other Parameters: Call arguments:",
    "Example:": "**Example:**",
}
# The fields of named tuples and the parameters of stages are arguments of no `__init__` here.
FIELDS = dict.fromkeys(("Args:", "Parameters:"), "Other Parameters: Parameters:")
DOCTEST = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)


def _rename(docstring, sections):
    """Gives the sections of a docstring other names."""
    docstring.value = "\n".join(sections.get(line, line) for line in docstring.value.split("\n"))


class KerasDocstrings(griffe.Extension):
    """Names the sections as griffe knows them, and fences sessions of the interpreter."""

    def on_instance(self, *, obj, **kwargs):
        """Rewrites a docstring before it is parsed."""
        if obj.docstring:
            _rename(obj.docstring, SECTIONS)
            obj.docstring.value = DOCTEST.sub(r"```pycon\n\g<0>\n```", obj.docstring.value)

    def on_class_members(self, *, cls, **kwargs):
        """Rewrites the docstring of a class that has no `__init__` of its own."""
        dataclass = any("dataclass" in str(decorator.value) for decorator in cls.decorators)
        if cls.docstring and "__init__" not in cls.members and not dataclass:
            _rename(cls.docstring, FIELDS)
