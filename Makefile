# The whole developer interface. Needs Python 3.11 or newer, and nothing else:
#   make run     set up and start the demo
#   make test    every test       make check   formatting, lint, types, imports       make bench   measure
#   make faults  break everything, for half an hour (FLOWZZ_SEED=… repeats a run), and plain RQ beside it
#   make docs    renew what the documentation generates from the code

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
DISTRIBUTIONS := pyproject.toml $(sort $(wildcard plugins/*/pyproject.toml))
PLUGINS := $(patsubst %/pyproject.toml,-e %,$(filter plugins/%,$(DISTRIBUTIONS)))
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --root-user-action=ignore
ARGS ?=
# Tests mostly wait, so one process more than the usual two cores; each has its own Valkey, PostgreSQL and ports.
PROCESSES ?= 3

.DEFAULT_GOAL := run
.PHONY: run test check bench docs faults machine
.DELETE_ON_ERROR:

run: $(VENV)/installed
	@$(BIN)/flowzz demo $(ARGS)

test: $(VENV)/installed-dev machine
	@$(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal $(ARGS)

check: $(VENV)/installed-dev
	@$(BIN)/ruff format --check --quiet . || { echo 'run: $(BIN)/ruff format .'; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo 2>&1 | grep -v -e '^$$' -e '^-*$$' -e '^Contracts$$'; exit $${PIPESTATUS[0]}

faults: $(VENV)/installed-dev machine
	@$(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal -m 'long or not long' tests/faults $(ARGS)
	@$(BIN)/python -m pytest -n $(PROCESSES) -m long plugins $(ARGS)
	@PYTHONPATH=tests $(BIN)/python -m support.faults.stock

docs: $(VENV)/installed-dev
	@PYTHONPATH=tests $(BIN)/python -m support.generated

bench: $(VENV)/installed-dev
	@$(BIN)/python benchmarks/run.py $(ARGS)

# What tests of the web and of PostgreSQL need from the machine; installed only where that is possible without asking.
machine:
	@missing=; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v postgres >/dev/null || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$$missing postgresql"; \
	command -v pdftoppm >/dev/null || missing="$$missing poppler-utils"; \
	[ -z "$$missing" ] && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing$$missing"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	else \
		echo "not installed here:$$missing (the tests that need it will say so)"; \
	fi

$(BIN)/python:
	@[ -n "$(PYTHON)" ] || { echo 'Flowzz needs Python 3.11 or newer; set PYTHON=/path/to/python3'; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(BIN)/python $(DISTRIBUTIONS)
	@echo 'installing Flowzz and its plugins into $(VENV)'
	@$(PIP) -e . $(PLUGINS)
	@touch $@

$(VENV)/installed-dev: $(BIN)/python $(DISTRIBUTIONS)
	@echo 'installing Flowzz, its plugins and the development tools into $(VENV)'
	@$(PIP) -e '.[dev]' $(PLUGINS)
	@touch $@ $(VENV)/installed
