# gradserve. A bare `make` lists the targets.
#
# Needs only Python 3.11 or newer: the packages of uv.lock go into .venv.
# PYTHON=/path/to/python3.12 chooses the interpreter for .venv. ARGS="…" adds arguments to
# `make up`, `make test`, `make test-long`, `make test-torch`, `make fuzz`, `make faults` and
# `make bench-engine`. TORCH_INDEX is the package index from which `make bench-engine` and
# `make test-torch` install PyTorch without CUDA, if the index that pip is configured for does
# not have it.

export TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

RECENT := import sys; sys.exit(sys.version_info < (3, 11))

.DEFAULT_GOAL := help
.PHONY: help setup demo up env test test-long test-torch fuzz audit faults bench-engine compose-test lint format docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

setup: ## create .venv, or update it to uv.lock
	@for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	  if "$$python" -c '$(RECENT)' 2>/dev/null; then exec "$$python" .ci/setup.py; fi; \
	done; \
	echo "No Python 3.11 or newer was found; name one: make setup PYTHON=/path/to/python3" >&2; \
	exit 1

demo: setup ## start the service, train a network over HTTP, draw the result
	@.venv/bin/python -m gradserve.cli.demo

up: setup ## run the whole service on this machine until Ctrl-C
	@exec .venv/bin/gradserve up $(ARGS)

env: ## write .env with random passwords and a first API key for docker compose; an existing one is kept
	@if [ -e .env ]; then echo ".env exists already and is kept"; exit; fi; \
	umask 077; \
	random() { LC_ALL=C tr -dc "$$1" </dev/urandom | head -c "$$2"; }; \
	sed -e "s/^POSTGRES_PASSWORD=$$/&$$(random A-Za-z0-9 32)/" \
	  -e "s/^REDIS_PASSWORD=$$/&$$(random A-Za-z0-9 32)/" \
	  -e "s/^GRADSERVE_API_KEY=$$/&gs_$$(random 0-9a-f 8)_$$(random 0-9a-f 64)/" \
	  .env.example >.env && echo "wrote .env with random passwords and a first API key"

test: setup ## run all tests, against real SQLite, Postgres and a real broker
	@.venv/bin/python -m pytest -n 3 $(ARGS)

test-long: setup ## run the tests that `make test` has only a short form of
	@.venv/bin/python -m pytest -n 2 -m long $(ARGS)

test-torch: setup ## compare operations, losses and steps with those of PyTorch
	@.venv/bin/python benchmarks/environment.py
	@.venv-bench/bin/python -m pytest tests/engine/test_torch.py \
	  tests/engine/export/test_torch.py $(ARGS)

fuzz: setup ## search API, tables and specifications for mistakes; EXAMPLES=2000 SEEDS="1 2 3"
	@for seed in $(or $(SEEDS),1 2 3); do \
	  GRADSERVE_TEST_EXAMPLES=$(or $(EXAMPLES),2000) .venv/bin/python -m pytest -n 2 tests/fuzz \
	    --hypothesis-seed=$$seed $(ARGS) || exit 1; \
	done

audit: setup ## look for unsafe code and packages with known holes, write dist/sbom.json
	@.venv/bin/python .ci/audit.py

faults: setup ## inject faults for an hour on both databases, write docs/reliability.md; KILLS=500
	@GRADSERVE_TEST_EXAMPLES=2000 GRADSERVE_TEST_RACES=1000 .venv/bin/python -m pytest -n 2 \
	  tests/faults/test_state_machine.py tests/faults/test_races.py
	@.venv/bin/python -m tests.faults --kills $(or $(KILLS),500) --publish $(ARGS)

bench-engine: setup ## compare the speed of the engine with its peers, write docs/benchmarks.md
	@.venv/bin/python benchmarks/environment.py
	@.venv-bench/bin/python -m benchmarks.engine $(ARGS)

compose-test: setup ## build the image and test docker-compose.yml with Docker
	@.venv/bin/python -m tests.compose

lint: setup ## check style, types and import contracts
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	@if docker compose version >/dev/null 2>&1; then \
	  echo "docker compose config --quiet"; \
	  POSTGRES_PASSWORD=x REDIS_PASSWORD=x docker compose config --quiet; \
	fi

format: setup ## rewrite the code in the project's style
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

docs: setup ## update the table of settings in docs/operations.md
	@.venv/bin/python -m docs.settings

clean: ## remove everything that make created, except the service's data in var/
	rm -rf .venv .venv-bench demo dist
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
