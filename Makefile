PYTHON ?= python3
BIN := .venv/bin

# Compiled modules are kept, whatever the environment says: tests and services start dozens of processes, and each
# would compile our modules again (3 s of CPU time to collect the tests).
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo test check up down reset bench faults mutants

help:
	@echo "make demo    play the main job from end to end (KEEP=1 leaves it running, FEED=FILE, GATEWAY=1)"
	@echo "make test    install what is needed and run all tests on real Kafka and MongoDB"
	@echo "make check   ruff, mypy, import-linter, the compose file against its schema"
	@echo "make up      start Kafka, MongoDB, the simulators and the four services, kept running"
	@echo "make down    stop them"
	@echo "make bench   the benchmarks, as ratios to their floors (NAMES=\"relay api\", SCALE=0.1, AGAINST=FILE)"
	@echo "make faults  the whole fault table, on real parts that are killed"
	@echo "make mutants the pure modules, changed in one place at a time, against their tests (NAMES=\"services/safety/rules\")"
	@echo "make reset   forget the local state, after asking (FORCE=1 does not ask)"

install:
	@$(PYTHON) deploy/local/bootstrap.py $(GROUPS)

demo: install
	@$(BIN)/python -m deploy.local.demo

# Three workers on the two cores of CI, because many tests wait. tests/conftest.py says what runs in the same worker.
test: GROUPS = --group browser
test: install
	@$(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder

bench: install
	@$(BIN)/python -m tests.benchmarks $(NAMES) --scale $(or $(SCALE),1) $(if $(AGAINST),--against $(AGAINST))

faults: install
	@$(BIN)/python -m pytest tests -m fault --faults

mutants: install
	@$(BIN)/python -m tests.mutants $(NAMES) $(if $(TESTS),--tests $(TESTS))

check: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml

up down reset: install
	@$(BIN)/python -m deploy.local $@
