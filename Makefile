# A few targets and the demo; each calls plain `python -m` tools in one virtual environment.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

SYSTEM := $(if $(shell command -v chromium),,chromium) $(if $(wildcard /usr/lib/postgresql/*/bin/initdb),,postgresql) \
	$(if $(shell command -v npm),,nodejs npm)

.PHONY: help install system fmt check test test-torch bench docs demo clean

$(BIN)/.torch: $(BIN)/.dev constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,large,ann,rank]'
	@touch $@

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

$(BIN)/.salon: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[serve]'
	@touch $@

$(BIN)/.dev: $(BIN)/.salon
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

install: $(BIN)/.salon  ## a virtual environment with salon in it
	$(BIN)/salon weights

system:  ## Debian packages that some tests use, else skip: a browser, PostgreSQL, npm (needs root)
	@if [ -n "$(strip $(SYSTEM))" ]; then apt-get update -qq && apt-get install -qq -y --no-install-recommends $(SYSTEM); fi

fmt: $(BIN)/.dev  ## format the code
	$(BIN)/python -m ruff format src tests benchmarks examples
	$(BIN)/python -m ruff check --fix src tests benchmarks examples

check: $(BIN)/.dev  ## lint and types
	$(BIN)/python -m ruff format --check src tests benchmarks examples
	$(BIN)/python -m ruff check src tests benchmarks examples
	$(BIN)/python -m mypy

test: $(BIN)/.dev check  ## every check that needs no torch
	$(BIN)/salon weights --quiet
	$(BIN)/python -m pytest -n auto --dist loadfile --ignore tests/deep

test-torch: $(BIN)/.torch  ## the checks that need torch; installs it
	$(BIN)/salon weights --quiet
	$(BIN)/python -m pytest -n auto --dist loadfile tests/deep tests/test_docs.py

bench: $(BIN)/.dev  ## the benchmarks that need no data but what they make
	$(BIN)/python benchmarks/bench_cost.py

docs: $(BIN)/.torch  ## write docs/reference from the code
	$(BIN)/python docs/build.py

demo: install  ## the whole way, from raw media to a page of recommendations
	$(BIN)/salon demo --out demo

clean:  ## remove what the other targets made
	rm -rf demo build .mypy_cache .ruff_cache .pytest_cache .hypothesis $(VENV)
