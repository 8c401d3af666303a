import copy
import pickle
import sys

import pytest
from methodical.components.base.lazy import Lazy


def test_a_module_is_imported_when_it_is_used(tmp_path, monkeypatch):
    (tmp_path / "lazy_toy.py").write_text("def double(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    module, function = Lazy("lazy_toy"), Lazy("lazy_toy:double")
    assert module == pickle.loads(pickle.dumps(module)) == copy.deepcopy(module)
    assert "lazy_toy" not in sys.modules
    assert (function(3), module.double(4), function.module) == (6, 8, "lazy_toy")
    assert getattr(module, "missing", None) is None


def test_what_is_missing_is_an_error_of_its_name():
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        Lazy("no_such_module:name")()
    with pytest.raises(AttributeError, match="no_such_name"):
        Lazy("json:no_such_name")()
