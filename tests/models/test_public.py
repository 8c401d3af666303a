"""What the packages of `models` export: documented, annotated, and run by the conformance suite."""

import importlib
import inspect
import pkgutil

import keras
import pytest
from methodical import models

PACKAGES = sorted(
    f"{models.__name__}.{module.name}"
    for module in pkgutil.iter_modules(models.__path__)
    if module.ispkg
)
MODULES = sorted(
    module.name for module in pkgutil.walk_packages(models.__path__, f"{models.__name__}.")
)
NETWORKS_WITHOUT_EXAMPLE = dict.fromkeys(
    ("nn2", "nn3", "nn4", "nns1", "nns2"),
    "Too deep for each check: `inception_block` and `nn1` have its layers; see test_networks.",
)


def public_names():
    return [
        (package, name) for package in PACKAGES for name in importlib.import_module(package).__all__
    ]


def examples_of(package):
    return importlib.import_module(f"{package}.examples").layer_examples()


def parts(built):
    """The object, and what it is made of."""
    yield built
    for layer in getattr(built, "layers", None) or ():
        yield from parts(layer)


@pytest.mark.parametrize("package", PACKAGES)
def test_all_is_listed_without_repetition(package):
    module = importlib.import_module(package)
    assert set(module.__all__) <= set(dir(module))
    assert len(set(module.__all__)) == len(module.__all__) <= 40


@pytest.mark.parametrize(("package", "name"), public_names())
def test_public_name_is_documented(package, name):
    exported = getattr(importlib.import_module(package), name)
    if callable(exported):
        assert len(exported.__doc__.splitlines()[0].split()) >= 3


@pytest.mark.parametrize("package", PACKAGES)
def test_every_layer_loss_and_network_has_an_example(package):
    module = importlib.import_module(package)
    examples = [*examples_of(package), *examples_of(f"{models.__name__}.layers")]
    built = [part for example in examples for part in parts(example.build())]
    ids = " ".join(example.name for example in examples)
    missing = []
    for name in module.__all__:
        exported = getattr(module, name)
        if inspect.isclass(exported):
            tested = any(isinstance(part, exported) for part in built)
            expected = issubclass(exported, keras.layers.Layer | keras.losses.Loss)
        elif inspect.isfunction(exported):
            tested = name in ids or name in NETWORKS_WITHOUT_EXAMPLE
            expected = inspect.signature(exported, eval_str=True).return_annotation is keras.Model
        else:
            continue
        if expected and not tested:
            missing.append(name)
    assert missing == []


def signatures(module):
    """Yields the public functions and methods that a module defines."""
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(value):
            yield name, value
        elif inspect.isclass(value):
            for method, function in vars(value).items():
                function = getattr(function, "fget", None) or getattr(
                    function, "__func__", function
                )
                if inspect.isfunction(function) and (
                    method in ("__init__", "__call__") or not method.startswith("_")
                ):
                    yield f"{name}.{method}", function


@pytest.mark.parametrize("name", MODULES)
def test_public_signatures_are_annotated(name):
    module = importlib.import_module(name)
    bare = []
    for title, function in signatures(module):
        if inspect.getsourcefile(inspect.unwrap(function)) != inspect.getsourcefile(module):
            continue
        signature = inspect.signature(function)
        arguments = [
            argument.name
            for argument in signature.parameters.values()
            if argument.annotation is argument.empty and argument.name not in ("self", "cls")
        ]
        if arguments or signature.return_annotation is signature.empty:
            bare.append(f"{title}{signature}")
    assert bare == []
