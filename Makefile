# Every target makes the environment it needs; the second call finds it there.
#
#   PYTHON=python3.12   interpreter for a new environment      VENV=.venv      where it stands
#   PIP_FLAGS=...       more arguments for pip                 PYTEST_FLAGS=   more arguments for pytest

SUPPORTED = import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c "$(SUPPORTED)" 2>/dev/null && echo "$$p" && break; done)
VENV ?= .venv
BIN = $(VENV)/bin
PIP_INSTALL = $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt $(PIP_FLAGS)

.DEFAULT_GOAL := help
.PHONY: help demo test workers check lint types layers format docs clean

help:  ## what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed-examples  ## tune a small network, offline, on a recorded answer
	@$(BIN)/python examples/quickstart.py

test: $(VENV)/.installed-dev  ## all tests but the slow ones, in two processes
	@$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile $(PYTEST_FLAGS)

workers: $(VENV)/.installed-dev  ## the tests with many processes, slow ones too; PostgreSQL's if it is installed
	@$(BIN)/python -m pytest tests/workers $(PYTEST_FLAGS)

check: lint types layers  ## lint, format, types, layers

lint: $(VENV)/.installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	@$(BIN)/mypy

layers: $(VENV)/.installed-dev
	@$(BIN)/lint-imports

format: $(VENV)/.installed-dev  ## mend what ruff can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(VENV)/.installed-docs  ## the documentation, in site/
	@$(BIN)/python -m mkdocs build --strict

clean:  ## remove the environment and what tools left behind
	@rm -rf $(VENV) build dist site htmlcov .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

$(VENV)/.created:
	@test -n "$(PYTHON)" || { echo "Expected Python 3.11 or newer, found none; install it or name it: make PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c "$(SUPPORTED)" || { echo "Expected Python 3.11 or newer, got $$("$(PYTHON)" --version 2>&1); name another one: make PYTHON=..." >&2; exit 1; }
	@echo "Making $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv $(VENV)
	@touch $@

$(VENV)/.installed-%: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing llm-prior-bo[$*] into $(VENV) (torch is large, this may take some minutes)"
	@$(PIP_INSTALL) -e ".[$*]"
	@touch $@
