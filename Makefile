# `make demo` and `make test` set up what they need in .venv and run; nothing else has to be installed first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
DEMO := FLUJO_DB=build/demo.db $(BIN)/python -m flujo_actors demo

.PHONY: demo test slow-test crash-test lint types check benchmark fuzz clean

# The demos on files of this project; `flujo lens list --db build/demo.db` lists the runs afterwards.
demo: $(READY)
	$(DEMO) documents docs --trace
	$(DEMO) inventory flujo_actors/demos/samples
	$(DEMO) summary docs/explanation/contexts.md --trace
	$(DEMO) fallback flujo_actors/demos/samples --trace

test: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy
	$(BIN)/pyright

# What waits for real, as long as the world may.
slow-test: $(READY)
	$(BIN)/python -m pytest -m slow

# 300 processes are killed while they store runs; `make test` kills 30.
crash-test: $(READY)
	CRASH_TEST_KILLS=300 $(BIN)/python -m pytest tests/storage/test_crashes.py

check: lint types test

benchmark: $(READY)
	$(BIN)/python benchmarks/step_overhead.py
	$(BIN)/python benchmarks/composites.py
	$(BIN)/python benchmarks/context_merging.py
	$(BIN)/python benchmarks/messaging.py
	$(BIN)/python benchmarks/storage.py
	$(BIN)/python benchmarks/cancellation.py
	$(BIN)/python benchmarks/telemetry.py

# Until interrupted: new examples for the laws of contexts.
fuzz: $(READY)
	$(BIN)/python tests/context/fuzz.py

# An environment that works is kept: `venv` over one of another Python leaves a mixture of both.
$(READY): pyproject.toml hatch_build.py
	@$(PYTHON) -c 'import sys; sys.exit("flujo_actors needs Python 3.11 or newer, this is %s (make PYTHON=...)" % sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $(READY)

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
