# headgate: `make serve` runs it, `make test` proves it. A machine needs Python 3.11+ and make; the rest is installed here.

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes
WORKERS ?= auto
ARGS ?=

.PHONY: help serve test torture check format bench reliability locks clean

help: ## List what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 21

serve: $(VENV)/.server ## Install, migrate, and serve on 127.0.0.1:8000; ARGS="--port 9000" is passed on
	@$(BIN)/headgate serve $(ARGS)

test: $(VENV)/.dev ## Run every test, in parallel and in random order; ARGS="tests/wire" narrows it
	$(BIN)/pytest -n $(WORKERS) $(ARGS)

torture: $(VENV)/.dev ## Run the long tests: processes killed at random, thousands of broken connections
	$(BIN)/pytest -n $(WORKERS) -m torture $(ARGS)

check: $(VENV)/.dev ## Check formatting, lint, types and architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest tests/architecture

format: $(VENV)/.dev ## Format the code and sort its imports
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev ## Measure against nginx in the same run (wants wrk and nginx); ARGS="--quick" takes a minute
	$(BIN)/python benchmarks/run.py $(ARGS)

reliability: $(VENV)/.dev ## Measure what failures cost: dead upstreams, callers who leave or are slow; ARGS="--quick" takes a minute
	$(BIN)/python benchmarks/reliability.py $(ARGS)

locks: ## Resolve the lock files anew (wants uv)
	uv pip compile pyproject.toml --group build --universal --python-version 3.11 --generate-hashes --no-header \
		--annotation-style line --upgrade --quiet --output-file locks/server.txt
	uv pip compile pyproject.toml --extra otel --extra prices --group build --group dev --universal --python-version 3.11 \
		--generate-hashes --no-header --annotation-style line --upgrade --quiet --output-file locks/dev.txt

clean: ## Remove what was installed and built here; .headgate, your data, stays
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "headgate needs Python 3.11 or newer; none was found on the PATH." >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.server: locks/server.txt pyproject.toml | $(BIN)/python
	@echo "Installing from locks/server.txt"
	@$(PIP) -r locks/server.txt
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: locks/dev.txt pyproject.toml | $(BIN)/python
	@echo "Installing from locks/dev.txt"
	@$(PIP) -r locks/dev.txt
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.server
