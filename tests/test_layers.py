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
    "components": {"components", "models"},
    "pipeline": {"pipeline", "components", "models"},
}


def source_files(room):
    return sorted(path for path in (HOUSE / room).rglob("*.py"))


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


def forbidden_arrows(path, room):
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "methodical" and len(parts) > 1 and parts[1] in ROOMS:
            if parts[1] not in MAY_IMPORT[room]:
                yield name
        elif parts[0] in ROOMS:
            yield name


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_run_one_way(room):
    files = source_files(room)
    assert files
    found = {str(path): list(forbidden_arrows(path, room)) for path in files}
    assert {path: names for path, names in found.items() if names} == {}


def test_methods_do_not_import_one_another():
    found = []
    for path in source_files("models"):
        parts = path.relative_to(HOUSE / "models").parts
        if len(parts) == 1:
            continue
        for name in imported(path):
            other = name.split(".")
            if other[:2] != ["methodical", "models"] or len(other) < 3:
                continue
            is_package = (HOUSE / "models" / other[2]).is_dir()
            if is_package and other[2] != parts[0]:
                found.append(f"{path}: {name}")
    assert found == []


def test_data_kinds_and_components_name_no_method():
    methods = {
        path.name for path in (HOUSE / "models").iterdir() if (path / "__init__.py").exists()
    }
    found = [
        f"{path}: {name}"
        for path in source_files("components")
        for name in imported(path)
        if path.parent == HOUSE / "components" and methods & set(name.split("."))
    ]
    assert found == []


def test_models_use_tensorflow_only_in_a_backend_module():
    found = [
        f"{path}: {name}"
        for path in source_files("models")
        for name in imported(path)
        if name.split(".")[0] in ("tensorflow", "jax", "torch", "apache_beam")
        and "backend" not in path.stem
    ]
    assert found == []


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
