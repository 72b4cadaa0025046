# `make` without a target says what there is.
.DEFAULT_GOAL := help
.PHONY: help install run test lint fix chaos chaos-mail properties bench bench-queue bench-mail bench-growth bench-import lock clean

PYTHON ?= python3
BIN := .venv/bin
# Without bytecode every start of Python takes twice as long.
unexport PYTHONDONTWRITEBYTECODE

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 13

install: .venv/installed  ## create .venv and install requirements/dev.txt, when it changed

.venv/installed: $(wildcard requirements/*.txt)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Posthaste needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || \
	  { echo "Python's venv module is missing: install it (Debian: apt install python3-venv) and try again." >&2; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements/dev.txt
	@touch $@

run: install  ## run everything on this machine; options in ARGS="--port 9000"
	@exec $(BIN)/python manage.py up $(ARGS)

test: install  ## all tests, in two processes; a selection in one: ARGS="tests/config -k stop"
	$(BIN)/python -m pytest $(or $(ARGS),-n 2 --dist loadfile)

lint: install  ## format, lint, layers, types, migrations, system checks, the API's description
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check --fail-level WARNING
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null

fix: install  ## format, and repair what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

chaos: install  ## kill, freeze and cut off everything, then check all that happened; SEED= SECONDS= KILLS= QUICK=1
	$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS)) \
	  $(if $(KILLS),--kills $(KILLS)) $(if $(QUICK),--quick)

chaos-mail: install  ## kill -9 senders of campaigns and check every recipient; SEED= KILLS= RECIPIENTS= QUICK=1
	$(BIN)/python -m tests.chaos.mail $(if $(SEED),--seed $(SEED)) $(if $(KILLS),--kills $(KILLS)) \
	  $(if $(RECIPIENTS),--recipients $(RECIPIENTS)) $(if $(QUICK),--quick)

properties: install  ## the property tests, for minutes instead of seconds; PROPERTIES=n times as long
	PROPERTIES=$(or $(PROPERTIES),20) $(BIN)/python -m pytest tests/queue_core/test_state_machine.py \
	  tests/queue_core/test_cron.py tests/queue_core/test_policies.py

bench: bench-queue bench-mail bench-import bench-growth  ## all benchmarks; a look within minutes with QUICK=1

bench-queue: install $(if $(QUICK),,.venv/bench/installed)  ## the queue beside its peers (docs/benchmarks.md)
	$(BIN)/python -m tests.benchmarks.queue_bench --peers .venv/bench $(if $(QUICK),--quick)

bench-growth: install  ## how large the tables grow under a steady load, and with which settings (docs/benchmarks.md)
	$(BIN)/python -m tests.benchmarks.growth $(if $(QUICK),--quick)

bench-mail: install .venv/bench/installed  ## campaigns beside other ways to mail (docs/benchmarks.md)
	$(BIN)/python -m tests.benchmarks.mail_bench --peers .venv/bench $(if $(QUICK),--quick)

bench-import: install .venv/bench/installed  ## lists of recipients beside other ways to import (docs/benchmarks.md)
	$(BIN)/python -m tests.benchmarks.import_bench --peers .venv/bench $(if $(QUICK),--quick)

.venv/bench/installed: .venv/installed requirements/bench.txt
	$(BIN)/python -m venv .venv/bench
	.venv/bench/bin/pip install --quiet --disable-pip-version-check -r requirements/bench.txt
	@touch $@

lock:  ## pin all packages in requirements/constraints.txt
	@rm -rf var/lock && mkdir -p var/lock
	cp -r requirements var/lock/ && : > var/lock/requirements/constraints.txt
	$(PYTHON) -m venv var/lock/venv
	var/lock/venv/bin/pip install --quiet --disable-pip-version-check -r var/lock/requirements/dev.txt
	@{ echo "# Every package in its exact version, direct or not. Made by \`make lock\` from dev.txt; do not edit."; \
	   var/lock/venv/bin/pip freeze | LC_ALL=C sort -f; } > requirements/constraints.txt
	@rm -rf var/lock

clean:  ## stop the servers; remove .venv and caches, keep var/ (the data)
	@if [ -x $(BIN)/python ]; then $(BIN)/python manage.py services stop || true; fi
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis htmlcov .coverage
	find . -name __pycache__ -not -path './var/*' -prune -exec rm -rf {} +
