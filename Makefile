# The two commands of the README: `make run` and `make test`. They need Python 3.10 to 3.13 only.
PYTHON ?= python3
VENV ?= .venv
ARGS ?=

.PHONY: run test lint docs clean

run: $(VENV)/.installed
	$(VENV)/bin/methodical run babi $(ARGS)

test: $(VENV)/.installed-test
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(VENV)/.installed-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# The reference is read from the source, not imported: these pages need no TensorFlow.
docs: $(VENV)-docs/.installed
	rm -rf build/docs build/site
	mkdir -p build/docs/methodical
	cp -R __init__.py models components pipeline build/docs/methodical
	$(VENV)-docs/bin/mkdocs build --strict

$(VENV)/bin/python $(VENV)-docs/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 10) <= v <= (3, 13) else f"Methodical needs Python 3.10 to 3.13. Received: Python {v[0]}.{v[1]}; choose another with make PYTHON=python3.11")'
	$(PYTHON) -m venv $(patsubst %/bin/python,%,$@)

$(VENV)/.installed: $(VENV)/bin/python setup.cfg pyproject.toml
	$(VENV)/bin/python -m pip install --disable-pip-version-check -q -e .
	@touch $@

$(VENV)/.installed-test: $(VENV)/bin/python setup.cfg pyproject.toml
	$(VENV)/bin/python -m pip install --disable-pip-version-check -q -e '.[test]'
	@touch $@ $(VENV)/.installed

$(VENV)-docs/.installed: $(VENV)-docs/bin/python docs/requirements.txt
	$(VENV)-docs/bin/python -m pip install --disable-pip-version-check -q -r docs/requirements.txt
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-docs build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
