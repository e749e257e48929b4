# make run    a simulated house in this terminal        make lint   style and types
# make test   all tests                                 make bench  speed and memory
# make quick  the tests that take less than a minute    make lock   renew requirements.lock
#                                                       make reference  renew docs/reference/settings.md
#
# Needs Python 3.11 or newer (with venv and pip) and make. Everything else goes into .venv.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
EXTRAS := gpio,mqtt,sql,table
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: run test quick test-full lint bench lock reference clean debian

run: $(VENV)/.run
	@$(BIN)/emonhub demo

test: $(VENV)/.dev debian
	@$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not full"

quick: $(VENV)/.dev
	@$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow and not full"

test-full: $(VENV)/.dev debian
	@$(BIN)/python -m pytest -n 2 --dist loadgroup --timeout 3600

lint: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy src tests bench

bench: $(VENV)/.dev
	@$(BIN)/python -m bench

# What the tests need from Debian. Installed when that is possible, said in one line when it is not.
debian:
	@sh tests/debian.sh

$(VENV)/.run: pyproject.toml requirements.lock
	@test -n "$(PYTHON)" || { echo "emonHub needs Python 3.11 or newer, and found none: install it, or name it with make PYTHON=..."; exit 1; }
	@echo "Making $(VENV) ..."
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV) || { echo "Can't make a virtual environment: on Debian, apt install python3-venv"; exit 1; }
	@$(PIP) install --constraint requirements.lock --editable '.[table]'
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.txt Makefile
	@echo "Installing what the tests and checks need ..."
	@$(PIP) install --constraint requirements.lock --requirement requirements-dev.txt --editable '.[$(EXTRAS)]'
	@touch $@

lock: $(VENV)/.dev
	@$(BIN)/python -m pip freeze --exclude-editable --exclude pip --exclude setuptools | sort -f > requirements.lock

reference: $(VENV)/.run
	@$(BIN)/emonhub describe --markdown > docs/reference/settings.md

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
