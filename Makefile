# Every target sets up what it needs. Only Python, make and a package index are needed.
BIN := .venv/bin
STAMP := .venv/.synced
KERNELS := .venv/.kernels
PROTOS := $(wildcard proto/depgraph/v1/*.proto)
SAMPLE := examples/online_shop.json
HTTP_LISTEN ?= 127.0.0.1:8051
SOAK_SECONDS ?= 600

.DEFAULT_GOAL := help
.NOTPARALLEL: # `check` installs tools before it tests
.PHONY: help setup run test soak check tools proto proto-fresh format lint types imports buf breaking package bench lock clean

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(KERNELS) ## make or refresh .venv with everything, kernels compiled

$(STAMP): pyproject.toml uv.lock
	@PYTHON="$(PYTHON)" sh scripts/setup.sh
	@touch $@

# Compiles what has changed: a minute of a core the first time. `run` does not wait for it: the server compiles while it serves.
$(KERNELS): $(STAMP) $(shell find graphcore server/wire server/domain depgraph -name '*.py')
	@$(BIN)/depgraph compile
	@touch $@

# What is not given here comes from the environment: DEPGRAPH_LISTEN, DEPGRAPH_DATA_DIR and the other settings.
run: $(STAMP) ## start the server with a sample topology (LISTEN=..., HTTP_LISTEN=..., DATA_DIR=..., DATABASE_URL=...)
	@exec $(BIN)/depgraph serve $(if $(LISTEN),--listen $(LISTEN)) \
		$(if $(DEPGRAPH_HTTP_LISTEN),,--http-listen $(HTTP_LISTEN)) $(if $(DATA_DIR),--data-dir $(DATA_DIR)) \
		$(if $(DEPGRAPH_SEED_FILE),,--seed-file $(SAMPLE))

test: $(KERNELS) ## run every test (PYTEST_ARGS="tests/unit -k paging" runs some)
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(PYTEST_ARGS)

soak: $(KERNELS) ## random writers against feed and history, fast callers against the transports, ten minutes each (SOAK_SECONDS=600, SEED=...)
	@$(BIN)/python -m pytest -s -q --full -o timeout=0 tests/faults/test_random_writers.py tests/faults/test_history_random.py tests/faults/test_transport_soak.py --soak-seconds $(SOAK_SECONDS) $(if $(SEED),--seed $(SEED))

# Tests find what they need then, or fail: a skip would pass for a check. REQUIRE_REAL=1 asks for programs of the system, too.
check: export REQUIRE_REAL ?= packages
check: PYTEST_ARGS += --full
check: tools lint types imports buf breaking proto-fresh package test ## everything CI does

tools: $(STAMP)
	@PYTHON="$(PYTHON)" sh scripts/setup.sh --inexact --group deploy --group browser

format: $(STAMP) ## rewrite code into the project's format
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix . && $(BIN)/buf format -w

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

imports: $(STAMP)
	$(BIN)/lint-imports

buf: $(STAMP)
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code

breaking: $(STAMP)
	@sh scripts/buf_breaking.sh $(BIN)/buf

proto: $(STAMP) ## generate the stubs from proto/
	@sh scripts/generate_stubs.sh . $(PROTOS)

proto-fresh: $(STAMP)
	@sh scripts/stubs_are_fresh.sh $(PROTOS)

package: $(STAMP) ## install as the Dockerfile does, into a folder that is thrown away, and try the command
	@sh scripts/try_install.sh

bench: $(KERNELS) ## measure; prints a table (BENCH_ARGS="--only NAME --json FILE")
	@VIRTUAL_ENV= $(BIN)/uv sync --quiet --locked --inexact --all-extras --group bench --group browser --python $(BIN)/python
	@$(BIN)/python -m bench $(BENCH_ARGS)

lock: $(STAMP) ## renew uv.lock within the bounds of pyproject.toml
	@$(BIN)/uv lock --upgrade --default-index https://pypi.org/simple

clean: ## remove what setup and tests left (not the data folder)
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
