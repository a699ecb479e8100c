# Two commands do everything on a fresh machine: `make run` and `make test`. Both work offline after the install.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXAMPLE ?= examples/ticket-triage
# The project beside the tools that it is compared with: heavy, and only for races and interoperability.
PEERS := .venv-peers
RACES := $(if $(wildcard $(PEERS)/bin/python),$(PEERS)/bin,$(BIN))
# Nothing is fetched from a model hub behind your back.
export HF_HUB_OFFLINE := 1

.PHONY: run test test-slow lint bench peers docs clean

run: $(VENV)/installed  ## the main job on the shipped example with the shipped model
	$(BIN)/tuneworthy check $(EXAMPLE) || true
	$(BIN)/tuneworthy suite lock $(EXAMPLE)
	$(BIN)/tuneworthy run $(EXAMPLE) || [ $$? -ge 3 ]  # 3 and 4 are verdicts too

test: $(VENV)/installed lint  ## everything but the slow tests
	$(BIN)/python -m pytest -m "not slow"

test-slow: $(VENV)/installed  ## minutes of work, and a real browser
	$(BIN)/python -m pytest -m slow --timeout=1800

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/installed  ## measured: writes benchmarks/RESULTS.md and docs/concepts/simulated-projects.md
	$(BIN)/python -m benchmarks.statistics
	$(BIN)/python -m benchmarks.scorers
	$(BIN)/python -m benchmarks.data
	$(BIN)/python -m benchmarks.price
	$(BIN)/python -m benchmarks.plan
	$(BIN)/python -m benchmarks.serving
	$(BIN)/python -m benchmarks.drift
	$(RACES)/python -m benchmarks.data_peers
	$(RACES)/python -m benchmarks.measuring
	$(RACES)/python -m benchmarks.retrieval
	$(RACES)/python -m benchmarks.decision
	$(RACES)/python -m benchmarks.training

peers: $(PEERS)/installed  ## a second environment with the tools that `make bench` races against

docs: $(VENV)/installed  ## the generated pages of docs/reference
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) build

$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(PEERS)/installed: requirements-peers.lock pyproject.toml
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check --no-deps -r requirements-peers.lock
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@
