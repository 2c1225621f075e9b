# Every target makes what it needs on first use (.venv, jars, Debian packages) and is
# quick afterwards.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh
python := .venv/bin/python
runtime := .venv/runtime.stamp
dev := .venv/dev.stamp

$(runtime): pyproject.toml
	@tests/ground/venv.sh
	@touch $@

$(dev): pyproject.toml
	@tests/ground/venv.sh dev
	@touch $@ $(runtime)

.PHONY: demo
demo: $(runtime) ## a published outage replayed into a small fleet, with nothing installed but Python
	@$(python) -m dbslo demo

.PHONY: test
test: $(dev) ## every test, against real Kafka, PostgreSQL, MariaDB and Prometheus
	@$(python) -m tests.ground.provide
	$(python) -m pytest

.PHONY: cases
cases: $(dev) ## the capture cases of the folder DBSLO_CASES alone
	$(python) -m pytest tests/cases

.PHONY: lint
lint: $(dev) ## format, lint, types, imports, and the figures of the code
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(python) -m tests.ground.figures

.PHONY: check
check: lint ## the same, and the tests that need no server
	$(python) -m pytest -m "not real"

.PHONY: fuzz
fuzz: $(dev) ## mutated payloads of every format against an independent check; PAYLOADS=1000000 SEED=1
	@$(python) -m tests.fuzz --payloads $(or $(PAYLOADS),1000000) --seed $(or $(SEED),1)

.PHONY: flood
flood: $(dev) ## a million names, labels and dates that nobody asked for: memory, refusals, real SLOs
	@$(python) -m tests.flood --values $(or $(VALUES),1000000)

.PHONY: shuffle
shuffle: $(dev) ## the same records in other orders, batches and partitions: the same ledger; SHUFFLES=5 SEED=1
	@$(python) -m tests.shuffle --shuffles $(or $(SHUFFLES),5) --seed $(or $(SEED),1)

.PHONY: bench
bench: $(dev) ## the speed of each stage beside what others do; BENCH_OUT=file, BENCH_ONLY=stage1,latency
	@$(python) -m tests.ground.provide
	$(python) -m benchmarks $(if $(BENCH_OUT),--out "$(BENCH_OUT)") $(if $(BENCH_ONLY),--only "$(BENCH_ONLY)")

.PHONY: chaos
chaos: $(dev) ## kills, restarts and cut wires under a million records; CHAOS_EVENTS, _RUNTIME, _SEED, _OUT
	@$(python) -m tests.ground.provide
	@$(python) -m tests.chaos $(if $(CHAOS_EVENTS),--events $(CHAOS_EVENTS)) $(if $(CHAOS_RUNTIME),--runtime $(CHAOS_RUNTIME)) $(if $(CHAOS_SEED),--seed $(CHAOS_SEED)) $(if $(CHAOS_OUT),--out "$(CHAOS_OUT)")

.PHONY: dashboards
dashboards: $(runtime) ## write dashboards/generated again
	$(python) -m dbslo dashboards

.PHONY: rules
rules: $(runtime) ## write the Prometheus rules of the example SLOs again
	$(python) -m dbslo rules --specs examples/slos --inventory examples/inventory.yaml --out examples/generated/rules.yaml

.PHONY: docs
docs: $(runtime) ## write the generated pages of docs again
	$(python) -m dbslo.reference docs/reference
	$(python) -m dashboards.page docs/boards.md

.PHONY: clean
clean: ## remove .venv and everything made
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
