PYTHON ?= python3
BIN := .venv/bin

.PHONY: help install test check up down reset

help:
	@echo "make test    install what is needed and run all tests on real Kafka and MongoDB"
	@echo "make check   ruff, mypy, import-linter, the compose file against its schema"
	@echo "make up      start the local Kafka and MongoDB, kept running"
	@echo "make down    stop them"
	@echo "make reset   forget the local state, after asking (FORCE=1 does not ask)"

install:
	@$(PYTHON) deploy/local/bootstrap.py

test: install
	@$(BIN)/python -m pytest

check: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml

up down reset: install
	@$(BIN)/python -m deploy.local $@
