# `make demo` and `make test` need nothing but Python 3.11 or newer. Both build .venv and install what is missing;
# a stamp file makes the second call skip that until pyproject.toml changes.
# On Linux without an NVIDIA GPU, `make demo TORCH=cpu` takes the CPU build of torch, 10 times smaller than the default.
PYTHON ?= python3
VENV   ?= .venv
TORCH  ?= default
BIN    := $(VENV)/bin

.PHONY: demo test lint tables notebooks clean
demo: $(VENV)/.installed
	$(BIN)/tinylm demo

test: $(VENV)/.installed-dev lint
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check tinylm tests
	$(BIN)/ruff format --check tinylm tests
	$(BIN)/mypy

# Writes the tables of the guides from the committed results.
tables: $(VENV)/.installed
	$(BIN)/python -m tinylm.workshop.tables

# Runs every notebook at full scale and keeps its outputs; minutes each and in all are printed.
notebooks: $(VENV)/.installed-dev
	test -f runs/demo/verse/manifest.json || $(BIN)/tinylm demo
	$(BIN)/python notebooks/execute.py

$(VENV)/.torch: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("TinyLM needs Python 3.11 or newer: make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
ifeq ($(TORCH),cpu)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --torch-backend=cpu "torch>=2.9,<2.14"
endif
	@touch $@

$(VENV)/.installed: $(VENV)/.torch
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.torch
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache
