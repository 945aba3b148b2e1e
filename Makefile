# Every target makes .venv first when it is missing or when the dependencies changed.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint types histories chaos bench bench-delivery bench-ingest bench-identity bench-audiences bench-report docs report-picture snapshots check

help:  ## Say what the targets do
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 23

setup: $(STAMP)  ## Make .venv with exact versions and Millstream in it

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Millstream needs Python 3.11 or newer: make setup PYTHON=python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

demo: $(STAMP)  ## Run the whole way against the sandbox, with Prefect's UI open on the runs
	$(BIN)/python -m millstream.flows.demo

test: $(STAMP)  ## Run the tests (WHAT=tests/state for a part of them)
	$(BIN)/python -m pytest $(WHAT)

lint: $(STAMP)  ## Look for mistakes and odd formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## Check types, strictly
	$(BIN)/mypy

histories: $(STAMP)  ## Try identity on ten thousand random histories (HISTORIES=100 for fewer); half an hour
	MILLSTREAM_HISTORIES=$(or $(HISTORIES),10000) $(BIN)/python -m pytest -n 0 --timeout 0 tests/state/test_identity_histories.py

chaos: $(STAMP)  ## Stop deliveries at a thousand points (CHAOS=100 for fewer) while the vendors have bad days; an hour
	MILLSTREAM_CHAOS=$(or $(CHAOS),1000) $(BIN)/python -m pytest -n 0 --timeout 0 --log-cli-level INFO tests/chaos

bench: $(STAMP)  ## Measure ingest, identity and delivery beside a bare floor
	$(BIN)/python -m benchmarks

bench-delivery: $(STAMP)  ## Measure delivery at several sizes and latencies (SIZES="10000 100000 1000000")
	for people in $(or $(SIZES),10000 100000 1000000); do for latency in 0 50; do \
	$(BIN)/python -m benchmarks delivery --people $$people --latency-ms $$latency --repeat 1 || exit 1; done; done

bench-ingest: $(STAMP)  ## Measure ingest of HubSpot, Zendesk and Mixpanel beside a bare floor and dlt (ROWS="100000 1000000")
	$(BIN)/python -m benchmarks.ingest --repeat 1 --rows $(or $(ROWS),100000 1000000)

bench-identity: $(STAMP)  ## Measure identity beside scipy (ROWS=10000000 for more), and against the sandbox's truth
	$(BIN)/python -m benchmarks identity --identifiers $(or $(ROWS),1000000)
	$(BIN)/python -m benchmarks.identity_truth

bench-audiences: $(STAMP)  ## Measure fifty audiences beside a query written by hand (SIZES="100000 1000000": people; 20 events each)
	for people in $(or $(SIZES),1000000); do $(BIN)/python -m benchmarks.audiences --people $$people || exit 1; done

bench-report: $(STAMP)  ## Measure the report of a million people, up to its being drawn in Chromium (PEOPLE=100000)
	$(BIN)/python -m benchmarks.report_page --people $(or $(PEOPLE),1000000)

docs: $(STAMP)  ## Write the generated parts of the docs: commands, connectors, the project file's schema
	$(BIN)/python -m millstream.flows.reference

report-picture: $(STAMP)  ## Take the picture of the report in its documentation anew; needs Chromium
	$(BIN)/python -m tests.report_picture

snapshots: $(STAMP)  ## Write anew what each destination sends; look at the differences before you commit them
	MILLSTREAM_SNAPSHOTS=write $(BIN)/python -m pytest -n 0 tests/contract/destinations/test_snapshots.py

check: lint types test histories  ## All that a change must pass
