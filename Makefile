# Two targets do everything on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

.PHONY: help demo quick test lint docs clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

# The environment is made once, and again when what it is made of changes.
$(VENV)/.run: pyproject.toml
	@echo "== making $(VENV) and installing tlzoo with its dependencies (several GB the first time)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=23.2"
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.run requirements-learn2learn.txt
	@echo "== installing what tests, checks and docs need"
	$(BIN)/python -m pip install --quiet --editable '.[dev,docs,ray,slurm,optuna,tensorboard]'
	@echo "== building learn2learn (without its requirements, see requirements-learn2learn.txt)"
	$(BIN)/python -m pip install --quiet --no-deps -r requirements-learn2learn.txt
	touch $@

demo: $(VENV)/.run  ## set up, fetch real data, run the five-type benchmark, write the report
	@echo "== running the quickstart suite: five types of transfer learning on real data"
	$(BIN)/tlzoo bench run quickstart

test: lint  ## set up, lint, type-check, run all tests
	@echo "== running the tests, one process a core"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadgroup --cov --cov-report=term:skip-covered

# what most changes touch, without data and without long training: 2.5 minutes of CPU time
QUICK := tests/conformance tests/functional tests/methods tests/nn tests/reference tests/selection tests/sources \
	tests/stats tests/test_cli.py tests/test_imports.py tests/test_registry.py tests/test_types.py

quick: $(VENV)/.dev  ## lint and run the quick tests, under two minutes on two cores
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist loadgroup -m "not data and not cluster" $(QUICK)

lint: $(VENV)/.dev  ## ruff, mypy, layer contracts
	@echo "== ruff, mypy, import-linter"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.dev  ## build the documentation into docs/_build/html
	$(BIN)/sphinx-build -W -b html docs docs/_build/html
	@echo "== docs/_build/html/index.html"

clean:  ## remove the environment and what was built; the data cache stays
	rm -rf $(VENV) docs/_build build dist *.egg-info
