# Two commands do everything on a machine with Python 3.11, gcc and make: `make demo` and `make test`.
#   TORCH_INDEX=URL   take torch from another index, such as a CUDA one
#   PYTHON=python3.11 the interpreter that makes the virtual environment
#   WHEELS=DIR        where the compiled llama-cpp-python is kept between checkouts
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
WHEELS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/modelbreeder/wheels
BIN := $(VENV)/bin
READY := $(VENV)/.ready
NO_KEYS := env -u OPENAI_API_KEY -u ANTHROPIC_API_KEY MLFLOW_DISABLE_TELEMETRY=true HF_HUB_OFFLINE=1

.PHONY: help setup demo test test-all test-clients lint bench bench-proxies bench-redaction bench-seedling lock clean

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## install everything into the virtual environment

$(READY): constraints.txt pyproject.toml Makefile .ci/setup
	@PYTHON=$(PYTHON) VENV=$(VENV) TORCH_INDEX=$(TORCH_INDEX) WHEELS=$(WHEELS) .ci/setup
	@touch $@

demo: $(READY) ## the whole loop on the shipped sample: no key, no GPU, no download but packages
	@$(NO_KEYS) $(BIN)/modelbreeder --home . demo

test: $(READY) lint ## lint, types, import contract and the tests that CI runs
	@$(NO_KEYS) $(BIN)/python -P -m pytest -m "not slow and not gpu"

test-all: $(READY) lint ## the slow tests as well
	@$(NO_KEYS) $(BIN)/python -P -m pytest -m "not gpu"

test-clients: $(READY) ## unmodified SDKs and agents of PyPI and npm against the daemon (installs 2 GB once; needs npm)
	@PYTHON=$(abspath $(BIN)/python) tests/clients/install
	@$(NO_KEYS) $(BIN)/python -P -m pytest -m clients --durations=5 tests/clients

lint: $(READY) ## ruff, mypy strict, import-linter
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

bench: $(READY) ## measure speed and memory, as ratios in one run
	@$(NO_KEYS) $(BIN)/python -P -m tests.bench

bench-proxies: $(READY) ## measure the router beside LiteLLM's proxy (installed on demand) and a bare one
	@$(NO_KEYS) $(BIN)/python -P -m tests.bench.proxies $(BENCH)

bench-redaction: $(READY) ## measure what of the published secrets and personal data in MODELBREEDER_DATA is found
	@$(NO_KEYS) $(BIN)/python -P -m tests.bench.redaction_recall

bench-seedling: $(READY) ## measure what the shipped base learns of the workloads in MODELBREEDER_DATA
	@$(NO_KEYS) $(BIN)/python -P -m tests.bench.seedling_reach

lock: $(READY) ## resolve the newest allowed versions into constraints.txt
	@.ci/lock $(VENV)

clean: ## remove the virtual environment, caches and everything that a demo left
	rm -rf $(VENV) .bench .clients .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis mlruns
	@! [ -e modelbreeder.toml ] || grep -q '"rehearsal"' modelbreeder.toml || { echo 'this checkout is a real home: its data stays'; exit 1; }
	rm -rf data/artifacts data/datasets data/runs data/backups data/ledger.db* data/router.log modelbreeder.toml
