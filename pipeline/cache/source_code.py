"""Hashes of the source files that a stage's work uses.

The unit is the module: a component, or a function that it is given, stands for its module and all
modules of the project that this imports, also inside functions. Files are hashed by their syntax
tree without what does no work: comments, docstrings, imports for type checkers, descriptions of
parameters. A name that a package's `__init__` re-exports stands for the module that defines it.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import functools
import hashlib
import importlib.machinery
import importlib.util
import os
import pathlib
import re
import sys
import types
from collections.abc import Mapping
from typing import Any

from ...components.base.lazy import Lazy

PACKAGE = __name__.partition(".")[0]
ROOT = pathlib.Path(__file__).resolve().parents[2]

NOT_FOLLOWED = (
    r"components\.base\.component",  # declares and validates: what comes of it are the parameters
    r"components\.base\.suggestions",  # words of errors
    r"pipeline\.charts(\..+)?",  # drawn from what the stages wrote
    r"pipeline\.report(\..+)?",
    r"pipeline\.methods\.(.+\.)?(figures|paper)(\..+)?",  # what the report draws and compares with
)
"""Modules that no stage's result depends on."""

_NOT_FOLLOWED = re.compile(rf"{PACKAGE}\.({'|'.join(NOT_FOLLOWED)})")
_INSTALLED = {"site-packages", "dist-packages"}


class SourceCode:
    """Collects the hashes of source files.

    ```python
    code = SourceCode().of_component(Trainer)
    # {"components/trainer/component.py": "9f0c…", "components/trainer/fit.py": "11ab…", …}
    ```

    Args:
        root: the folder that holds the package's source.
    """

    def __init__(self, root: str | os.PathLike[str] = ROOT) -> None:
        self._places: dict[str, pathlib.Path | None] = {PACKAGE: pathlib.Path(root)}
        self._files: dict[str, _File | None] = {}
        self._hashes: dict[str, dict[str, str]] = {}

    def of_component(self, component: type) -> dict[str, str]:
        """Returns hashes by path of a component's modules and of all that they import."""
        hashes: dict[str, str] = {}
        for base in component.__mro__:
            hashes.update(self._of_module(base.__module__))
        return hashes

    def describe(self, name: str, value: Any, code: dict[str, str]) -> Any:
        """Describes a function, or data given in place of one, by JSON values.

        Args:
            name: what the value is for.
            value: functions, partials, classes, `Lazy`s and objects of them; plain data;
                dataclasses and pydantic models of all these. A dataclass's fields with the
                metadata `{"text": True}` are for people and left out.
            code: receives the hashes of the code that the value uses.

        Raises:
            TypeError: the value is of a kind whose content cannot be told.
        """
        inner = functools.partial(self.describe, name, code=code)
        if value is None or isinstance(value, bool | int | str):
            return value.name if isinstance(value, enum.Enum) else value
        if isinstance(value, float):
            return value if value == value and abs(value) != float("inf") else repr(value)
        if isinstance(value, enum.Enum):
            return f"{type(value).__qualname__}.{value.name}"
        if isinstance(value, bytes):
            return {"bytes": hashlib.sha256(value).hexdigest()}
        if isinstance(value, Mapping):
            return {"mapping": [[inner(key), inner(entry)] for key, entry in value.items()]}
        if isinstance(value, list | tuple):
            return [inner(entry) for entry in value]
        if isinstance(value, set | frozenset):
            return {"set": sorted((inner(entry) for entry in value), key=repr)}
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        if isinstance(value, Lazy):
            module, _, attribute = value.path.partition(":")
            code.update(self._of_module(self._defining(module, attribute)))
            return {"lazy": value.path}
        if isinstance(value, functools.partial):
            return {
                "partial": inner(value.func),
                "args": inner(value.args),
                "keywords": inner(dict(sorted(value.keywords.items()))),
            }
        if isinstance(value, types.MethodType):
            return {"method": inner(value.__func__), "of": inner(value.__self__)}
        if isinstance(value, types.BuiltinFunctionType):
            return f"{value.__module__}.{value.__qualname__}"
        if isinstance(value, types.FunctionType | type):
            return self._callable(name, value, code)
        if dataclasses.is_dataclass(value):
            fields = {
                field.name: getattr(value, field.name)
                for field in dataclasses.fields(value)
                if not field.metadata.get("text")
            }
            kind = inner(type(value)) if callable(value) else type(value).__qualname__
            return {"object": kind, "fields": inner(fields)}
        if hasattr(value, "model_dump"):
            return {"object": type(value).__qualname__, "fields": inner(value.model_dump())}
        if hasattr(value, "tobytes") and hasattr(value, "shape"):
            return {
                "array": hashlib.sha256(value.tobytes()).hexdigest(),
                "shape": list(value.shape),
                "dtype": str(value.dtype),
            }
        if callable(value) and hasattr(value, "__dict__"):
            return {"object": inner(type(value)), "fields": inner(vars(value))}
        raise TypeError(
            f"{name!r} takes functions, plain data and dataclasses, so that a change of them can "
            f"be seen. Received: {value!r}"
        )

    def _callable(self, name: str, value: Any, code: dict[str, str]) -> Any:
        """Describes a function or a class by its name, and a closure by what it holds."""
        module, label = value.__module__, f"{value.__module__}.{value.__qualname__}"
        code.update(self._of_module(module))
        if self._file(module) is None and not self._is_library(module):
            raise TypeError(
                f"{name!r} takes functions whose source file can be read. Received: {value!r}"
            )
        if value.__name__ == "<lambda>":  # A module may hold many of this name.
            body = value.__code__
            constants = [
                sorted(part, key=repr) if isinstance(part, frozenset) else part
                for part in body.co_consts
                if not isinstance(part, types.CodeType)
            ]
            label += f" {_digest(repr((body.co_code, body.co_names, constants)))}"
        cells = [cell.cell_contents for cell in getattr(value, "__closure__", None) or ()]
        content = [self.describe(name, held, code) for held in cells if held is not value]
        return {"function": label, "closure": content} if content else label

    def _of_module(self, module: str) -> dict[str, str]:
        """Returns the hashes of a module and of all project modules that it imports."""
        if module not in self._hashes:
            hashes: dict[str, str] = {}
            waiting, seen = [module], set()
            while waiting:
                name = waiting.pop()
                file = None if name in seen or _NOT_FOLLOWED.fullmatch(name) else self._file(name)
                seen.add(name)
                if file is not None:
                    hashes[file.label] = file.digest
                    waiting += [self._defining(*origin) for origin in file.imports]
            self._hashes[module] = hashes
        return self._hashes[module]

    def _defining(self, module: str, name: str) -> str:
        """Returns the module that holds what `from module import name` imports."""
        file = self._file(module)
        origin = file.exports.get(name) if file is not None and file.is_package else None
        if origin is not None and origin != (module, name):
            return self._defining(*origin)
        inner = f"{module}.{name}"
        return inner if name and self._file(inner) is not None else module

    def _file(self, module: str) -> _File | None:
        """Reads a module's file; `None` if it is not one of the project or of a user's own."""
        if module not in self._files:
            self._files[module] = None
            place = self._place(module)
            if place is not None and not self._is_library(module):
                top, *below = module.split(".")
                stem = place.joinpath(*below)
                for path in (stem / "__init__.py", stem.with_suffix(".py")):
                    if path.is_file():
                        label = path.relative_to(place if top == PACKAGE else place.parent)
                        self._files[module] = _parsed(path.read_bytes(), module, label.as_posix())
                        break
        return self._files[module]

    def _is_library(self, module: str) -> bool:
        top, place = module.partition(".")[0], self._place(module)
        installed = place is not None and not _INSTALLED.isdisjoint(place.parts)
        return top != PACKAGE and (top in sys.stdlib_module_names or installed)

    def _place(self, module: str) -> pathlib.Path | None:
        """Returns the folder of a module's top-level package, or the file of a lone module."""
        top = module.partition(".")[0]
        if top not in self._places:
            loaded = sys.modules.get(top)
            # What is not loaded yet is found without importing it.
            origin = loaded or importlib.machinery.PathFinder.find_spec(top)
            folders = getattr(origin, "__path__" if loaded else "submodule_search_locations", None)
            file = getattr(origin, "__file__" if loaded else "origin", None)
            path = next(iter(folders or ()), file)
            self._places[top] = pathlib.Path(path) if path else None
        return self._places[top]


@dataclasses.dataclass(frozen=True)
class _File:
    """What a module's source says.

    Args:
        label: the file's path as shown.
        digest: hash of its code.
        imports: pairs of a module and a name in it, empty for the module itself: all that it
            imports.
        exports: such pairs by the names under which others can import them from here.
    """

    label: str
    digest: str
    imports: list[tuple[str, str]]
    exports: dict[str, tuple[str, str]]

    @property
    def is_package(self) -> bool:
        return self.label.endswith("__init__.py")


@functools.cache
def _parsed(text: bytes, module: str, label: str) -> _File:
    tree = _Code().visit(ast.parse(text))
    file = _File(label, _digest(ast.dump(tree)), [], {})
    package = module if file.is_package else module.rpartition(".")[0]
    for statement in tree.body:
        local = isinstance(statement, ast.ClassDef | ast.FunctionDef)
        for node in ast.walk(statement):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            for alias in node.names:
                origin = alias.name, ""
                if isinstance(node, ast.ImportFrom):
                    name = "." * node.level + (node.module or "")
                    origin = importlib.util.resolve_name(name, package), alias.name
                file.imports.append(origin)
                if not local or statement.name == "__getattr__":
                    file.exports[alias.asname or alias.name] = origin
    return file


class _Code(ast.NodeTransformer):
    """Removes what does no work from a syntax tree."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Removes docstrings, of attributes too."""
        constant = isinstance(node.value, ast.Constant)
        return None if constant else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        """Removes what only type checkers read."""
        self.generic_visit(node)
        name = getattr(node.test, "id", getattr(node.test, "attr", ""))
        return node.orelse if name == "TYPE_CHECKING" else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Removes the descriptions of parameters."""
        self.generic_visit(node)
        if getattr(node.func, "id", getattr(node.func, "attr", "")) == "Field":
            node.keywords = [entry for entry in node.keywords if entry.arg != "description"]
        return node


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
