# `make help` lists the targets. Nothing but Python 3.11 or later and make is needed: the environment is made in .venv.
#
#   PYTHON=python3.12 make test        which Python the environment is made with
#   make test PIP_ARGS="..."           passed on to pip, for example --extra-index-url https://download.pytorch.org/whl/cpu
#   make test PYTEST_ARGS="-k conv"    passed on to pytest
#   make test WORKERS=8                how many tests run at once

ifneq ($(origin PYTHON),undefined)
ASKED := yes
endif
PYTHON ?= python3
PIP_ARGS ?=
PYTEST_ARGS ?=
WORKERS ?= 2

PY := .venv/bin/python
PIP := $(PY) -m pip install --no-input --disable-pip-version-check -qq -c constraints.txt $(PIP_ARGS)
# One thread for each worker: they run side by side. Each begins with a part of its own, so that what a file's tests share is made once.
# What Python compiles is kept, whatever the shell says: the workers would each compile the tests, and the processes that tests start the library.
PYTEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(PY) -m pytest -n $(WORKERS) --dist worksteal

EXAMPLES := $(shell grep -l __main__ examples/*.py)

.PHONY: help demo examples test test-all faults lint types bench stub table clean FORCE
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' Makefile | awk -F': ' '{ printf "  make %-10s %s\n", $$1, $$2 }'

demo: .venv/.installed-dev ## train a small network on handwritten digits
	$(PY) examples/digits.py

examples: .venv/.installed-dev ## every example in full; the pictures are in examples/output
	@for example in $(EXAMPLES); do echo "== $$example"; $(PY) $$example --output examples/output || exit 1; done

test: lint types ## ruff, mypy, and the tests that are not slow
	$(PYTEST) -m "not slow" $(PYTEST_ARGS)

test-all: lint types ## ruff, mypy, and every test
	$(PYTEST) $(PYTEST_ARGS)

faults: .venv/.installed-dev ## make every rule wrong, one at a time: do the checks notice?
	OMP_NUM_THREADS=1 $(PY) tools/plant_faults.py

lint: .venv/.installed-dev ## ruff
	$(PY) -m ruff check .

types: .venv/.installed-dev ## mypy
	$(PY) -m mypy

bench: .venv/.installed-bench ## gradloom beside its rivals
	$(PY) -m benchmarks

stub: .venv/.installed-dev ## write the stub files anew
	$(PY) tools/make_stub.py

table: .venv/.installed-dev ## write the generated tables of the docs anew
	$(PY) tools/make_operation_table.py
	$(PY) tools/make_layer_table.py
	$(PY) tools/make_options_table.py

clean: ## remove what was built or written, but not .venv (rm -rf .venv does that)
	rm -rf build dist output examples/output .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name .venv -prune -o -name __pycache__ -type d -exec rm -rf {} +

# The environment. .made holds the folder it was made in. It is made again where it no longer runs, was moved or copied here, or is
# of another version than the PYTHON that was asked for; a Python that is too old is refused before anything is made or removed.

version = $(1) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null

USABLE := $(shell $(PY) -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { [ ! -e .venv/.made ] || [ "`cat .venv/.made`" = "`pwd -P`" ]; } \
	$(if $(ASKED),&& [ "`$(call version,$(PY))`" = "`$(call version,$(PYTHON))`" ]) && echo yes)

.venv/.made: $(if $(USABLE),,FORCE)
ifneq ($(USABLE),yes)
	@version=`$(call version,$(PYTHON))`; case "$$version" in \
	3.1[1-9]|3.[2-9][0-9]|[4-9].*) ;; \
	"") echo "gradloom needs Python 3.11 or later, and '$(PYTHON)' does not run: name another one, as in PYTHON=python3.12 make test" >&2; exit 1 ;; \
	*) echo "gradloom needs Python 3.11 or later, and '$(PYTHON)' is $$version: name another one, as in PYTHON=python3.12 make test" >&2; exit 1 ;; \
	esac
	@echo "Making the environment in .venv"
	@rm -rf .venv
	@$(PYTHON) -m venv .venv
endif
	@pwd -P > $@

.venv/.installed-dev: .venv/.made pyproject.toml constraints.txt
	@echo "Installing into .venv (some minutes, the first time)"
	@$(PIP) -e ".[dev]"
	@touch $@

.venv/.installed-bench: .venv/.installed-dev
	@echo "Installing the benchmarks' rivals into .venv"
	@$(PIP) -e ".[dev,bench,architectures]"
	@touch $@

FORCE:
