# Every target makes the environment it needs; the second call finds it there.
#
#   PYTHON=python3.12   interpreter for a new environment      VENV=.venv      where it stands
#   PIP_FLAGS=...       more arguments for pip                 PYTEST_FLAGS=   more arguments for pytest
#   WHEEL=...           test this wheel; without it, the source tree, which is installed editable

SUPPORTED = import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c "$(SUPPORTED)" 2>/dev/null && echo "$$p" && break; done)
VENV ?= .venv
BIN = $(VENV)/bin
CONSTRAINTS ?= constraints.txt
WHEEL ?=
DIST ?= dist
SITE ?= site
PIP_INSTALL = $(BIN)/python -m pip install -qq --disable-pip-version-check $(PIP_FLAGS)
PYTEST = $(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile
# What depends most on the versions of Optuna, BoTorch, PyTorch, SciPy, pydantic and LiteLLM.
CORE = tests/test_space.py tests/test_decay.py tests/priors tests/models tests/acquisition tests/study \
	tests/optimization tests/test_sampler.py tests/test_optuna_suite.py tests/elicitation/llm tests/elicitation/answer \
	$(addprefix tests/elicitation/, test_elicitor.py test_portability.py test_no_secrets_leak.py)

# What the fast path computes, and suggestions made with it.
PLAIN = tests/test_fast_path.py tests/acquisition/test_log_sum.py tests/acquisition/test_optimize.py \
	tests/acquisition/test_prior_weighted.py

.DEFAULT_GOAL := help
.PHONY: help demo test test-core test-plain test-lowest test-latest workers check lint types layers format docs build clean

help:  ## what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed-examples  ## tune a small network on a recorded answer, offline, and compare
	@$(BIN)/python examples/basic_usage.py

test: $(VENV)/.installed-dev  ## all tests but the slow ones, in two processes
	@$(PYTEST) $(PYTEST_FLAGS)

test-core: $(VENV)/.installed-test  ## the tests that depend most on the versions of other packages
	@$(PYTEST) $(CORE) $(PYTEST_FLAGS)

test-plain: $(VENV)/.installed-test  ## the core of the models without the fast path: BoTorch, GPyTorch and SciPy as they come
	@LLM_PRIOR_BO_FAST=0 $(PYTEST) $(PLAIN) $(PYTEST_FLAGS)

test-lowest:  ## those with the lowest versions of what the package declares, in .venv-lowest
	@$(MAKE) --no-print-directory test-core VENV=$(VENV)-lowest CONSTRAINTS=constraints-lowest.txt

test-latest:  ## those with the latest versions, in .venv-latest
	@$(MAKE) --no-print-directory test-core VENV=$(VENV)-latest CONSTRAINTS=constraints-latest.txt

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

# With --quiet no warning would be counted, and --strict would let them pass.
docs: $(VENV)/.installed-docs  ## the documentation, in site/; a link or an anchor that leads nowhere is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --site-dir "$(abspath $(SITE))"

build: $(VENV)/.created  ## source distribution and wheel, in dist/
	@$(PIP_INSTALL) "build>=1.2"
	@$(BIN)/python -m build --outdir "$(DIST)" .

clean:  ## remove the environments and what tools left behind
	@rm -rf $(VENV) $(VENV)-lowest $(VENV)-latest build dist site htmlcov .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

$(VENV)/.created:
	@test -n "$(PYTHON)" || { echo "Expected Python 3.11 or newer, found none; install it or name it: make PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c "$(SUPPORTED)" || { echo "Expected Python 3.11 or newer, got $$("$(PYTHON)" --version 2>&1); name another one: make PYTHON=..." >&2; exit 1; }
	@echo "Making $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv $(VENV)
	@touch $@

$(VENV)/.installed-%: $(VENV)/.created pyproject.toml $(CONSTRAINTS) $(WHEEL)
	@echo "Installing llm-prior-bo[$*] into $(VENV) (torch is large, this may take some minutes)"
	@$(PIP_INSTALL) -c $(CONSTRAINTS) $(if $(WHEEL),"$(WHEEL)[$*]",-e ".[$*]")
	@touch $@
