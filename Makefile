# `make` lists the targets. Everything lives in .venv and var/; `make clean` deletes both.
PY := .venv/bin/python
# Most tests wait for real servers, so more processes than cores help. The tests of one file stay in one process.
TEST_PROCESSES ?= 3
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo up test test-long faults poison fuzz-api load accuracy check format formats schema bench lock clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:  ## create .venv with what the service needs; find or install redis-server
	@scripts/setup.sh

setup-dev:  ## the same, plus the tools for tests, checks and benchmarks
	@scripts/setup.sh dev

demo: setup  ## run everything, index a sample gallery and search it; ONCE=1 exits after the table
	@exec $(PY) manage.py demo $(if $(filter 1,$(ONCE)),--once)

up: setup  ## run every process in the Procfile, without samples
	@exec $(PY) manage.py up

test:  ## set up, then run the whole test suite
	@scripts/setup.sh tests
	$(PY) -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

test-long: setup-dev  ## run the tests that take minutes
	$(PY) -m pytest -m long

faults: setup-dev  ## break each process, Redis, Milvus and the database under load; nothing may be lost (half an hour)
	$(PY) -m pytest -s -m "" tests/faults

poison: setup-dev  ## thirty photos that kill workers, one after the other: no neighbour may be lost (twenty minutes)
	$(PY) -m pytest -s -m "" tests/faults/test_poison_photo.py -k long

fuzz-api: setup-dev  ## send the API many requests that follow its document or break it, as two tenants (half an hour)
	FUZZ_API_EXAMPLES=$(or $(EXAMPLES),300) $(PY) -m pytest -s tests/fuzz/api

load: setup-dev  ## 1,000 users search at once while an import runs; BESIDE=checkout shows another version's figures too
	$(PY) -m benchmarks.load $(if $(BESIDE),--beside "$(BESIDE)")

accuracy: setup-dev  ## how well the pack recognises the people in PHOTOS, a folder or tar archive of people's folders
	@test -n "$(PHOTOS)" || { echo "Say which photos: make accuracy PHOTOS=photos.tar" >&2; exit 2; }
	$(PY) -m benchmarks.accuracy --photos "$(PHOTOS)"

check: setup-dev  ## check format, lint, types and import contracts; run the fast tests
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	.venv/bin/lint-imports
	$(PY) -m pytest -q -m "not services and not acceptance and not browser and not long and not faults"

format: setup-dev  ## format the code
	$(PY) -m ruff check --fix-only --quiet .
	$(PY) -m ruff format .

schema: setup-dev  ## write docs/openapi.json, the API's document, so that a change of the API shows in review
	$(PY) manage.py export_openapi_schema --api webapp.config.api.api --indent 1 --output docs/openapi.json

formats: setup-dev  ## write docs/formats.md: what becomes of which file, compared with what Chromium shows
	$(PY) -m tests.formats

bench: setup-dev  ## run the benchmarks: tables of ratios measured within one run
	$(PY) -m benchmarks.search_overhead
	$(PY) -m benchmarks.engine
	$(PY) -m benchmarks.photos_per_core
	$(PY) -m benchmarks.reduced_decoding
	$(PY) -m benchmarks.hostile_pictures
	$(PY) -m benchmarks.vector_search
	$(PY) -m benchmarks.reindex_copy
	$(PY) -m benchmarks.recall_gate
	$(PY) -m benchmarks.reindex_pace
	$(PY) -m benchmarks.reindex_tick

# The files contain no index address; with --universal one file serves every platform and Python version.
LOCK := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header pyproject.toml

lock: setup-dev  ## pin the dependencies from pyproject.toml in requirements/*.txt
	$(LOCK) -o requirements/base.txt
	$(LOCK) --extra postgres -c requirements/base.txt -o requirements/postgres.txt
	$(LOCK) --extra dev -c requirements/base.txt -o requirements/dev.txt

clean:  ## delete .venv and all local state
	rm -rf .venv var
