"""Hashes of the project's source code: what a component and its functions are made of.

Code is hashed by its syntax tree, so that comments and formatting do not count, nor docstrings. A
component, and a function in the project's own modules, stands for its module and all project
modules that it imports, also inside functions. A function in a catalogue file (or outside the
project) stands for itself alone: the names of its module that it uses, and the project modules that
these import; so editing one function of a method's file leaves the other stages cached.
"""

from __future__ import annotations

import ast
import dataclasses
import dis
import enum
import functools
import hashlib
import os
import sys
import sysconfig
import types
from collections.abc import Iterator, Mapping
from typing import Any

PACKAGE = __name__.split(".", maxsplit=1)[0]
_PACKAGE_DIR = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_CATALOGUE = f"{PACKAGE}.pipeline.methods"
_LIBRARIES = tuple(
    os.path.realpath(sysconfig.get_path(name)) + os.sep
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
)


@dataclasses.dataclass
class _File:
    """A parsed source file."""

    label: str
    package: str
    tree: ast.Module

    @functools.cached_property
    def bindings(self) -> dict[str, list[ast.stmt]]:
        """Module-level statements by the names that they bind."""
        found: dict[str, list[ast.stmt]] = {}
        for statement in self.tree.body:
            for name in dict.fromkeys(_names(statement, stored=True)):
                found.setdefault(name, []).append(statement)
        return found

    @functools.cached_property
    def digest(self) -> str:
        return _digest(self.tree)

    @functools.cached_property
    def imports(self) -> list[ast.Import | ast.ImportFrom]:
        return [
            node for node in ast.walk(self.tree) if isinstance(node, ast.Import | ast.ImportFrom)
        ]


class SourceCode:
    """Collects the hashes of source code; every file is read once.

    ```python
    code = SourceCode().of_component(Trainer)
    # {"components/trainer/component.py": "9f0c…", "components/base/component.py": "11ab…", …}
    ```
    """

    def __init__(self) -> None:
        self._files: dict[str, _File | None] = {}
        self._roots: dict[str, str] = {PACKAGE: _PACKAGE_DIR}
        self._closures: dict[str, dict[str, str]] = {}

    def of_component(self, component: type) -> dict[str, str]:
        """Returns hashes by path of a component's module and of all that it imports."""
        code: dict[str, str] = {}
        for base in component.__mro__:
            if base is not object and not self._is_library(base.__module__):
                code.update(self._closure(base.__module__))
        return code

    def describe(self, name: str, value: Any, code: dict[str, str]) -> Any:
        """Describes a function, or data given in place of one, by JSON values.

        Args:
            name: what the value is for; unnamed functions are called so.
            value: functions, partials, classes and objects of them; plain data; dataclasses and
                pydantic models of all these.
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
        if isinstance(value, functools.partial):
            return {
                "partial": inner(value.func),
                "args": inner(value.args),
                "keywords": inner(dict(sorted(value.keywords.items()))),
            }
        if isinstance(value, types.MethodType):
            return {"method": inner(value.__func__), "of": inner(value.__self__)}
        if isinstance(value, types.FunctionType | type):
            return self._callable(name, value, code)
        if isinstance(value, types.BuiltinFunctionType):
            return f"{value.__module__}.{value.__qualname__}"
        if dataclasses.is_dataclass(value):
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
            return {"object": type(value).__qualname__, "fields": inner(fields)}
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
        module, qualified = value.__module__, value.__qualname__
        if self._is_library(module):
            return f"{module}.{qualified}"
        if _in(module, PACKAGE) and not _in(module, _CATALOGUE):
            code.update(self._closure(module))
            label = f"{module}.{qualified}"
        else:
            label = self._symbol(name, value, code)
        cells = getattr(value, "__closure__", None)
        if cells:
            content = [self.describe(name, cell.cell_contents, code) for cell in cells]
            return {"function": label, "closure": content}
        return label

    def _symbol(self, name: str, value: Any, code: dict[str, str]) -> str:
        file = self._file(value.__module__)
        if file is None:
            raise TypeError(
                f"{name!r} takes functions whose source file can be read. Received: {value!r}"
            )
        outermost = value.__qualname__.split(".")[0]
        if outermost == "<lambda>":
            content = vars(sys.modules[value.__module__])
            outermost = next((key for key, entry in content.items() if entry is value), outermost)
        if outermost in file.bindings:
            self._add_symbol(file, outermost, code)
            return f"{file.label}:{outermost}"
        # An unnamed function: all lambdas that begin on its line.
        line = value.__code__.co_firstlineno
        found = [
            node
            for node in ast.walk(file.tree)
            if isinstance(node, ast.Lambda) and node.lineno == line
        ]
        code[f"{file.label}:{name}"] = _digest(*found)
        for node in found:
            self._follow(file, node, code)
        return f"{file.label}:{name}"

    def _add_symbol(self, file: _File, symbol: str, code: dict[str, str]) -> None:
        key = f"{file.label}:{symbol}"
        if key in code:
            return
        defined = [
            node
            for node in file.bindings[symbol]
            if not isinstance(node, ast.Import | ast.ImportFrom)
        ]
        if defined:
            code[key] = _digest(*defined)
        for node in file.bindings[symbol]:
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._add_import(file, node, symbol, code)
            else:
                self._follow(file, node, code)

    def _follow(self, file: _File, node: ast.AST, code: dict[str, str]) -> None:
        for part in ast.walk(node):
            if isinstance(part, ast.Import | ast.ImportFrom):
                self._add_import(file, part, None, code)
        for name in dict.fromkeys(_names(node, stored=False)):
            if name in file.bindings:
                self._add_symbol(file, name, code)

    def _add_import(
        self,
        file: _File,
        node: ast.Import | ast.ImportFrom,
        bound: str | None,
        code: dict[str, str],
    ) -> None:
        """Adds the modules behind an import, or behind the one name `bound` that it binds."""
        for alias in node.names:
            if bound is not None and (alias.asname or alias.name.split(".")[0]) != bound:
                continue
            base = _imported_from(node, alias, file.package)
            if isinstance(node, ast.ImportFrom):
                inner = self._file(f"{base}.{alias.name}")
                outer = self._file(base)
                if inner is None and outer is not None and _in(base, _CATALOGUE):
                    if alias.name in outer.bindings:
                        self._add_symbol(outer, alias.name, code)
                    continue
                if inner is not None:
                    base = f"{base}.{alias.name}"
            code.update(self._closure(base))

    def _closure(self, module: str) -> dict[str, str]:
        """Returns the hashes of a module and of all project modules that it imports."""
        if module in self._closures:
            return self._closures[module]
        found: dict[str, str] = {}
        waiting, seen = [module], set()
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            file = self._file(name)
            if file is None:
                continue
            found[file.label] = file.digest
            if "." in name and not _in(name, _CATALOGUE):
                waiting.append(name.rpartition(".")[0])
            for node in file.imports:
                for alias in node.names:
                    base = _imported_from(node, alias, file.package)
                    waiting.append(base)
                    if isinstance(node, ast.ImportFrom):
                        waiting.append(f"{base}.{alias.name}")
        self._closures[module] = found
        return found

    def _is_library(self, module: str) -> bool:
        """Whether a module is neither the project's nor a user's own."""
        if _in(module, PACKAGE):
            return False
        path = getattr(sys.modules.get(module), "__file__", None)
        return path is None or os.path.realpath(path).startswith(_LIBRARIES)

    def _file(self, module: str) -> _File | None:
        if module not in self._files:
            self._files[module] = self._read(module)
        return self._files[module]

    def _read(self, module: str) -> _File | None:
        """Reads a module's file; `None` if it is not one of the project or of a user's own."""
        top, _, below = module.partition(".")
        if top not in self._roots and not self._is_library(module):
            package = getattr(sys.modules.get(top), "__path__", None)
            self._roots[top] = next(iter(package)) if package else ""
        path, root = None, self._roots.get(top)
        if root:
            stem = os.path.join(root, *below.split(".")) if below else root
            candidates = [os.path.join(stem, "__init__.py"), f"{stem}.py"]
            path = next((name for name in candidates if os.path.isfile(name)), None)
        elif root is not None and module in sys.modules:
            path = sys.modules[module].__file__
        if path is None:
            return None
        with open(path, "rb") as reader:
            tree = ast.parse(reader.read(), filename=path)
        is_package = os.path.basename(path) == "__init__.py"
        tree = _WithoutTypeChecking().visit(tree)
        _strip(tree, is_package)
        base = root if top == PACKAGE and root else os.path.dirname(root or path)
        inside = os.path.relpath(path, base)
        return _File(
            label=inside.replace(os.sep, "/"),
            package=module if is_package else module.rpartition(".")[0],
            tree=tree,
        )


def _in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _digest(*nodes: ast.AST) -> str:
    text = "\n".join(ast.dump(node) for node in nodes)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _strip(tree: ast.Module, is_package: bool) -> None:
    """Removes docstrings, and a package's version, which is no code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                empty = (
                    [] if isinstance(node, ast.Module) else [ast.copy_location(ast.Pass(), first)]
                )
                node.body = node.body[1:] or empty
    if is_package:
        tree.body = [
            node
            for node in tree.body
            if not (
                isinstance(node, ast.Assign)
                and isinstance(node.targets[0], ast.Name)
                and node.targets[0].id == "__version__"
            )
        ]


class _WithoutTypeChecking(ast.NodeTransformer):
    """Removes what only type checkers read."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        if getattr(node.test, "id", getattr(node.test, "attr", "")) != "TYPE_CHECKING":
            return node
        return node.orelse or ast.copy_location(ast.Pass(), node)


def _names(node: ast.AST, stored: bool) -> Iterator[str]:
    """Yields the module-level names that a syntax tree binds, or those that it uses.

    The compiler knows which names are local to a function or a comprehension.
    """
    code: types.CodeType
    if isinstance(node, ast.expr):
        code = compile(ast.Expression(node), "<names>", "eval", dont_inherit=True)
    else:
        whole = ast.Module(body=[node], type_ignores=[])  # type: ignore[list-item]
        code = compile(whole, "<names>", "exec", dont_inherit=True)
    wanted = ("STORE_NAME", "STORE_GLOBAL") if stored else ("LOAD_NAME", "LOAD_GLOBAL")
    waiting = [code]
    while waiting:
        part = waiting.pop()
        for instruction in dis.get_instructions(part):
            if instruction.opname in wanted:
                yield str(instruction.argval)
        if not stored:
            waiting += [entry for entry in part.co_consts if isinstance(entry, types.CodeType)]


def _imported_from(node: ast.Import | ast.ImportFrom, alias: ast.alias, package: str) -> str:
    """Returns the module that an import statement names, absolute."""
    if isinstance(node, ast.Import):
        return alias.name
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    parts = parts[: len(parts) - node.level + 1]
    return ".".join([*parts, node.module] if node.module else parts)
