# make eval   sets up .venv and runs the demo suite
# make test   sets up .venv and runs the tests (under 12 minutes on 2 cores, no GPU)
# make canary injects faults one at a time and says who sees them (forty minutes on 2 cores)
# make test-all adds the slow tests; make check adds linting and types

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: eval test test-all check canary setup lock clean

eval: setup
	$(BIN)/python run_eval.py

test: setup
	$(BIN)/python -m pytest -q -m "not slow"

test-all: setup
	$(BIN)/python -m pytest -q

canary: setup
	$(BIN)/python -m tests.canary.damage

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup: .venv/ready

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "lavit-eval needs Python 3.11 or newer; say which: make PYTHON=/path/to/python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

lock:
	$(BIN)/uv pip compile --universal --python-version 3.11 --no-emit-index-url --no-annotate --quiet \
		--extra dev --extra mvextractor pyproject.toml --upgrade --output-file requirements.lock

clean:
	rm -rf .venv build dist
