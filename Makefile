# Everything runs in .venv, which is made on first use. Only a Python (3.11 or later), make and a package registry are assumed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install simulate test lint types check prove attack bench clean

help:  ## show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or later is needed: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(STAMP)

install: $(STAMP)  ## make .venv and install into it

simulate: $(STAMP)  ## replay the trading graph and write plots and a report to report/
	$(BIN)/python -m simulation replay

test: $(STAMP)  ## run the tests
	$(BIN)/python -m pytest

lint: $(STAMP)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## mypy --strict
	$(BIN)/mypy

check: lint types test  ## lint, types, tests

prove: $(STAMP)  ## explore every reachable state of the checker's scenarios, small and large (about two minutes)
	$(BIN)/python -m statemachine check
	$(BIN)/python -m statemachine check --large

attack: $(STAMP)  ## a million steps of Hypothesis over the model, 100,000 over the manager (an hour; goes on where it was interrupted)
	$(BIN)/python -m tests.attack manager --steps 100000
	$(BIN)/python -m tests.attack model --steps 1000000

bench: $(STAMP)  ## measure the core; writes bench-results/ (JSON and a plot)
	$(BIN)/python -m benchmarks --gate

clean:  ## remove what was made
	rm -rf $(VENV) report report-compare attack-results bench-results .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
