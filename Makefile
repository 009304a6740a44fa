# make quickstart   set up .venv, then run configs/quickstart.yaml
# make test         set up .venv with the development tools, then run the tests in TEST_PROCESSES (3) processes
# make quick        likewise, the tests that need no Ray and no second each
# make soak         250,000 programs, 1 % hostile, slots and actors killed: fails when anything grows, stays or is lost
# make lint         ruff (lint, format) and mypy --strict
# PYTHON=python3.12 picks the interpreter, PIP_ARGS="..." goes to every `pip install`.

PYTHON ?= python3
PIP_ARGS ?=
TEST_PROCESSES ?= 3
BIN := .venv/bin

.PHONY: quickstart test quick soak lint
.DELETE_ON_ERROR:

quickstart: .venv/installed
	$(BIN)/raysweep run configs/quickstart.yaml

test: .venv/installed-dev
	$(BIN)/python -m pytest -n $(TEST_PROCESSES)

quick: .venv/installed-dev
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) -m "not (ray or chaos or slow)"

soak: .venv/installed-dev
	$(BIN)/python -m tests.execution.soak 200000
	$(BIN)/python -m tests.engine.soak 50000

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy raysweep

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "raysweep needs Python 3.11 or newer; name one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -m venv .venv \
	  || { rm -rf .venv; echo "no venv module: on Debian and Ubuntu, apt install python3-venv"; exit 2; }

.venv/installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install $(PIP_ARGS) --editable .
	@touch $@

.venv/installed-dev: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install $(PIP_ARGS) --editable ".[dev]"
	@touch $@ .venv/installed
