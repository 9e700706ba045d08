# Commands of the repository. Every one sets up .venv first, which takes seconds when nothing has changed.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup demo test lint bench bench-million soak clean

setup: $(VENV)/.stamp

$(VENV)/.stamp: requirements.txt requirements-dev.txt tests/setup_azurite.py tests/setup_worker.py
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || \
		{ echo "Python 3.11 is needed; name it: make $(or $(MAKECMDGOALS),setup) PYTHON=/path/to/python3.11" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(BIN)/python -m tests.setup_azurite
	$(BIN)/python -m tests.setup_worker
	@touch $@

demo: setup
	$(BIN)/python -m tests.demo

test: setup
	$(BIN)/python -m pytest -n 2

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m tests.bench

# A million users through the real engine: more than an hour, 8 GiB of memory for the emulators, 15 GiB of disk for the
# state. USERS=100000 does with a tenth of it.
bench-million: setup
	$(BIN)/python -m tests.bench.million $(if $(USERS),--users $(USERS))

# An hour of random histories, the mistakes that they must notice, and the long fuzzing. SEED=... repeats a history.
soak: setup
	$(BIN)/python -m tests.simulation --minutes 60 $(if $(SEED),--seed $(SEED))
	$(BIN)/python -m tests.simulation.mistakes
	FUZZ=long $(BIN)/python -m pytest -n 2 tests/test_fuzz_*.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .demo
