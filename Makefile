# `make` lists the targets. Everything lives in .venv and var/; `make clean` forgets both.
PY := .venv/bin/python
# Most of the suite waits for real servers, so more processes than cores are of use; a file stays in one of them.
TEST_PROCESSES ?= 3
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo up test test-long faults load check format bench lock clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:  ## make .venv with what the service needs; find or install redis-server
	@scripts/setup.sh

setup-dev:  ## the same, with the tools for tests, checks and benchmarks
	@scripts/setup.sh dev

demo: setup  ## run everything with a sample gallery and search it; ONCE=1 stops after the table
	@exec $(PY) manage.py demo $(if $(filter 1,$(ONCE)),--once)

up: setup  ## run every process of the Procfile, without samples
	@exec $(PY) manage.py up

test:  ## set up from bare, then the whole test suite
	@scripts/setup.sh tests
	$(PY) -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

test-long: setup-dev  ## the parts of the suite that take minutes
	$(PY) -m pytest -m long

faults: setup-dev  ## break each process, Redis, Milvus and the database under load: nothing is lost (half an hour)
	$(PY) -m pytest -s -m "" tests/faults

load: setup-dev  ## 1,000 users search at once while an import runs: refusals at most, nothing lost, pages stay quick
	$(PY) -m benchmarks.load

check: setup-dev  ## format, lint, types, import contracts, fast tests
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	.venv/bin/lint-imports
	$(PY) -m pytest -q -m "not services and not acceptance and not browser and not long and not faults"

format: setup-dev  ## format the code
	$(PY) -m ruff check --fix-only --quiet .
	$(PY) -m ruff format .

bench: setup-dev  ## the benchmarks: tables of ratios measured in one run
	$(PY) -m benchmarks.search_overhead
	$(PY) -m benchmarks.engine
	$(PY) -m benchmarks.reduced_decoding
	$(PY) -m benchmarks.vector_search
	$(PY) -m benchmarks.reindex_copy
	$(PY) -m benchmarks.recall_gate
	$(PY) -m benchmarks.reindex_pace
	$(PY) -m benchmarks.reindex_tick

# The files carry no index address; --universal makes one file serve every platform and Python.
LOCK := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header pyproject.toml

lock: setup-dev  ## pin the dependencies of pyproject.toml into requirements/*.txt
	$(LOCK) -o requirements/base.txt
	$(LOCK) --extra postgres -c requirements/base.txt -o requirements/postgres.txt
	$(LOCK) --extra dev -c requirements/base.txt -o requirements/dev.txt

clean:  ## forget .venv and all local state
	rm -rf .venv var
