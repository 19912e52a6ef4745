# Needs Python 3.11 or newer and make; everything else is installed into .venv from the hashes in deploy/requirements.lock.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PYTEST_ARGS ?=
# A process for each core, each with a broker of its own (half a gigabyte); a file's tests stay together.
WORKERS ?= auto
PARALLEL = -n $(WORKERS) --maxprocesses 4 --dist loadfile
# One after the other: each of these is a whole pipeline under load, and two at once are too slow for codes that live 30 s.
WHOLE := tests/acceptance
SEEDS ?= 2000
JOBS ?= 2
DEMO_ARGS ?=
KAFKA_LINES ?= 4.3.1 3.9.1
FAULTS := tests/faults tests/contract/log tests/integration/runtime tests/integration/hanging tests/integration/senders \
	tests/acceptance/test_kills.py tests/acceptance/providers

.PHONY: help venv test test-faults simulate lint format demo bench schemas reference lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(INSTALLED) ## Install everything into .venv (again only when pyproject.toml or the lock changed)

# `pip` checks each download against the lock, and the checkout itself is installed without any further download.
$(INSTALLED): pyproject.toml deploy/requirements.lock
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with venv is needed; install it, or run: make PYTHON=/path/to/python" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r deploy/requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

test: lint ## Check style and types, then run every test but the long faults
ifeq ($(strip $(PYTEST_ARGS)),)
	$(BIN)/python -m pytest $(PARALLEL) --ignore $(WHOLE)
	$(BIN)/python -m pytest $(WHOLE)
else
	$(BIN)/python -m pytest $(PYTEST_ARGS)
endif

test-faults: venv ## Run every fault test, the long ones too, on each Kafka line (KAFKA_LINES=3.9.1 for one)
	@for line in $(KAFKA_LINES); do \
		echo "Kafka $$line"; \
		TEST_KAFKA_VERSION=$$line $(BIN)/python -m pytest --campaign $(FAULTS) $(PYTEST_ARGS) || failed="$$failed $$line"; \
	done; test -z "$$failed" || { echo "failed on Kafka$$failed" >&2; exit 1; }

simulate: venv ## Run the whole pipeline in simulated time under seeded faults (SEEDS=2000 JOBS=2)
	$(BIN)/python -m pipeline.testing.simulation --seeds $(SEEDS) --jobs $(JOBS)

lint: venv ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: venv ## Put all Python files into the house's form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

demo: venv ## Start Kafka, simulator and all stages, and watch verifications flow
	$(BIN)/pipeline demo $(DEMO_ARGS)

bench: venv ## Measure, print a table and write build/bench.json
	$(BIN)/python -m tests.benchmarks

schemas: venv ## Write schemas/*.avsc from the Python records
	$(BIN)/python -m pipeline.records.generate

reference: venv ## Write docs/reference/ from the code
	$(BIN)/python -m pipeline.reference

lock: venv ## Pin the newest allowed versions of all dependencies
	$(BIN)/uv pip compile pyproject.toml --output-file deploy/requirements.lock --upgrade --universal --python-version 3.11 \
		--all-extras --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet

clean: ## Remove everything that make built
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
