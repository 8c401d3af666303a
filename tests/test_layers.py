"""The house's rules: arrows run one way, methods stand apart, the package list is whole."""

import ast
import configparser
import pathlib

import methodical
import pytest

HOUSE = pathlib.Path(methodical.__file__).parent
ROOMS = ("models", "components", "pipeline")
MAY_IMPORT = {
    "models": {"models"},
    "components": {"components"},
    "pipeline": {"pipeline", "components", "models"},
}
SHARED = {"models": {"layers"}, "pipeline/methods": {"image_classification"}}
"""Packages beside the methods' own that any method may import."""
STAGES = {path.parent.name for path in (HOUSE / "components").glob("*/component.py")} - {"base"}


def source_files(room):
    return sorted((HOUSE / room).rglob("*.py"))


def imported(path):
    """Yields the absolute names of the modules that a file imports, anywhere in it."""
    inside = path.relative_to(HOUSE).with_suffix("").parts
    package = ["methodical", *inside[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def arrows(files, forbidden):
    """Returns the imports that `forbidden(path, parts of the imported name)` says are wrong."""
    return [
        f"{path.relative_to(HOUSE)}: {name}"
        for path in files
        for name in imported(path)
        if forbidden(path, name.split("."))
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_run_one_way(room):
    files = source_files(room)
    assert files

    def forbidden(path, parts):
        if parts[0] == "methodical" and len(parts) > 1 and parts[1] in ROOMS:
            return parts[1] not in MAY_IMPORT[room]
        return parts[0] in ROOMS

    assert arrows(files, forbidden) == []


@pytest.mark.parametrize("room", SHARED)
def test_methods_do_not_import_one_another(room):
    folder = HOUSE / room
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    methods = packages - SHARED[room]
    inside = ["methodical", *room.split("/")]

    def forbidden(path, parts):
        if parts[: len(inside)] != inside or len(parts) == len(inside):
            return False
        package = path.relative_to(folder).parts[0]
        return parts[len(inside)] in methods - {package}

    files = [path for path in source_files(room) if path.parent != folder]
    assert len(methods) > 3
    assert arrows(files, forbidden) == []


def test_stages_know_no_data_and_data_knows_no_stage():
    def stage_uses_data(path, parts):
        return parts[:3] == ["methodical", "components", "data"]

    stages = [path for path in source_files("components") if path.parent.name in STAGES]
    assert arrows(stages, stage_uses_data) == []

    def data_uses_stage(path, parts):
        return parts[:2] == ["methodical", "components"] and parts[2:3] and parts[2] in STAGES

    assert arrows(source_files("components/data"), data_uses_stage) == []


def test_models_use_tensorflow_only_in_the_backend_module():
    def forbidden(path, parts):
        return parts[0] in ("tensorflow", "jax", "torch", "apache_beam") and (
            path != HOUSE / "models" / "backend.py"
        )

    assert arrows(source_files("models"), forbidden) == []


@pytest.mark.parametrize("room", ROOMS)
def test_no_modules_import_each_other(room):
    """No circles, imports inside functions counted."""
    names = {}
    for path in source_files(room):
        parts = ["methodical", *path.relative_to(HOUSE).with_suffix("").parts]
        names[".".join(parts)] = path
    edges = {
        name: {other for other in imported(path) if other in names and other != name}
        for name, path in names.items()
    }
    done: set[str] = set()
    for start in edges:
        trail, waiting = [], [(start, iter(edges[start]))]
        while waiting and start not in done:
            name, following = waiting[-1]
            trail = [entry for entry, _ in waiting]
            for other in following:
                assert other not in trail, " → ".join([*trail[trail.index(other) :], other])
                if other not in done:
                    waiting.append((other, iter(edges[other])))
                    break
            else:
                done.add(name)
                waiting.pop()


@pytest.mark.parametrize("room", ROOMS)
def test_inside_the_package_imports_are_relative(room):
    found = []
    for path in source_files(room):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            found += [f"{path}: {name}" for name in names if name.split(".")[0] == "methodical"]
    assert found == []


def test_setup_lists_all_packages():
    setup = HOUSE / "setup.cfg"
    if not setup.exists():
        pytest.skip("an installed package has no setup.cfg")
    parser = configparser.ConfigParser()
    parser.read(setup)
    listed = set(parser["options"]["packages"].split())
    folders = {path.parent for room in ROOMS for path in source_files(room)} | {HOUSE}
    without = [str(folder) for folder in folders if not (folder / "__init__.py").exists()]
    assert without == []
    present = {".".join(["methodical", *folder.relative_to(HOUSE).parts]) for folder in folders}
    assert listed == present
