# Every target sets up what it needs in this folder first: Python 3.11 or newer, make, and Node.js 20 with npm (for the
# voices where no hub is in reach, and for the JavaScript tests) are all that has to be there.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
INSTALLED := .venv/.installed
DEVELOP := .venv/.develop
NODE := $(shell command -v npm)
JAVASCRIPT := $(if $(NODE),tests/sdk/node_modules/.package-lock.json)
QUESTION ?=
ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo serve test lint bench calls turns hostile weights guide peers lock clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## Make .venv with bin/openlive in it
	@echo "Installed: $(BIN)/openlive"

demo: $(INSTALLED)  ## Ask a spoken question and show the answer; QUESTION=my.wav asks yours
	@$(BIN)/openlive demo $(if $(QUESTION),"$(QUESTION)")

serve: $(INSTALLED)  ## Run the server until Ctrl-C; ARGS="--port 8443" passes options on
	@$(BIN)/openlive serve $(ARGS)

test: $(DEVELOP) $(JAVASCRIPT) weights  ## Run all tests, those of the models last
	-@$(BIN)/openlive models fetch smollm2-135m
	@code=0; set -x; \
	$(BIN)/pytest -n auto --durations=15 -m "not weights and not node" $(ARGS) || code=1; \
	$(BIN)/pytest --durations=25 -m "weights$(if $(NODE), or node)" $(ARGS) || code=1; \
	{ set +x; } 2>/dev/null; exit $$code

lint: $(DEVELOP)  ## Check style, types and which folder imports which
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/mypy src tests/bench tests/cli tests/core tests/engines tests/faults tests/hostile tests/models tests/sdk tests/tools
	$(BIN)/lint-imports

bench: $(DEVELOP)  ## Time ten spoken questions (ARGS="--turns 30" asks more), then score the calls of functions
	@$(BIN)/openlive bench latency $(ARGS)
	@$(BIN)/python -m tests.bench.calls

calls: $(DEVELOP)  ## Score the calls of functions alone; ARGS="--only de" chooses some
	@$(BIN)/python -m tests.bench.calls $(ARGS)

turns: $(DEVELOP)  ## Measure how well the end of a turn and a barge-in are told; ARGS="--verbose" tells of each clip
	@$(BIN)/python -m tests.bench.turns $(ARGS)

hostile: $(DEVELOP)  ## Attack a server in all the ways that are known, ten minutes; ARGS="--only setup" chooses some
	@$(BIN)/python -m tests.hostile $(ARGS)

weights: $(INSTALLED)  ## Fetch the models that are not on this machine yet
	@$(BIN)/openlive models fetch

guide: $(DEVELOP) $(JAVASCRIPT) .venv-guide/.installed  ## Install what the programs of Google's guide import

peers: | .venv/bin/python  ## Install what openlive is compared with (3 GB), each in an environment of its own
	@for peer in pipecat livekit speech-to-speech; do \
	    echo "Installing $$peer into .venv-peers"; \
	    "$(PYTHON)" -m venv .venv-peers/$$peer && .venv-peers/$$peer/bin/python -m pip --disable-pip-version-check -qq \
	        install --no-deps --requirement tests/bench/peers/$$peer.txt || exit 1; \
	done

lock: .venv-lock/bin/uv  ## Write the lock files anew from pyproject.toml
	@for set in requirements:pyproject.toml:'--extra client --extra code --group build' \
	            requirements-dev:pyproject.toml:'--extra client --extra code --extra heic --group build --group dev' \
	            requirements-guide:requirements-guide.in:; do \
	    IFS=: read -r name source options <<< "$$set"; \
	    .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	        --no-emit-index-url --no-emit-find-links --no-strip-extras $$options $$source --output-file $$name.lock || exit 1; \
	done

clean:  ## Remove what the other targets made here; the models stay in the user's cache
	rm -rf .venv .venv-guide .venv-lock .venv-peers tests/sdk/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis

# --- what the targets stand on ---

# The recipe of `lock` reads with bash.
lock: SHELL := bash

.venv/bin/python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "openlive needs Python 3.11 or newer; this is " \
	    + sys.version.split()[0] + ". Name another one: make PYTHON=/path/to/python3.11")'
	@echo "Making .venv with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv .venv

$(INSTALLED): requirements.lock pyproject.toml | .venv/bin/python
	@echo "Installing what openlive needs into .venv (a minute or two)"
	@$(PIP) install --require-hashes --requirement requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(DEVELOP): requirements-dev.lock $(INSTALLED)
	@echo "Installing what its tests need"
	@$(PIP) install --require-hashes --requirement requirements-dev.lock
	@touch $@

.venv-guide/.installed: requirements-guide.lock | .venv/bin/python
	@echo "Installing what the guide's programs import into .venv-guide"
	@"$(PYTHON)" -m venv .venv-guide
	@.venv-guide/bin/python -m pip --disable-pip-version-check -qq install --require-hashes --requirement requirements-guide.lock
	@touch $@

tests/sdk/node_modules/.package-lock.json: tests/sdk/package-lock.json
	@echo "Installing the JavaScript SDK for the tests"
	@cd tests/sdk && npm ci --no-fund --no-audit --loglevel=error
	@touch $@

.venv-lock/bin/uv:
	@"$(PYTHON)" -m venv .venv-lock
	@.venv-lock/bin/python -m pip -qq install uv
