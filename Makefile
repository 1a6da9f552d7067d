# make run    create .venv, install, run the pipeline on the embedded set
# make scheduler   the central scheduler and its web page on http://127.0.0.1:8082
# make test   create .venv, install, run the tests

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready-$(shell cat requirements.lock pyproject.toml 2>/dev/null | cksum | cut -d' ' -f1)

.PHONY: install run scheduler test test-full check lock clean-venv

run: $(READY)
	$(BIN)/luigi --module pipeline RunAll --local-scheduler $(ARGS)
	@$(BIN)/python -m pipeline status | grep '^report'

scheduler: $(READY)
	$(BIN)/python -m pipeline scheduler

test: $(READY)
	$(BIN)/python -m pytest -m "not slow"

test-full: $(READY)
	$(BIN)/python -m pytest

check: $(READY)
	bash .ci/run

install: $(READY)

$(READY):
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, $(PYTHON) is %s; give another: make PYTHON=python3.11" % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@rm -f $(VENV)/.ready-*
	@touch $@
