# One virtual environment per Python: `make test` uses python3 and .venv, `make test PYTHON=python3.13` uses .venv-3.13.
ifeq ($(origin PYTHON),undefined)
PYTHON := python3
VENV := .venv
else
VENV := .venv-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
endif

# JAX keeps what it compiled, so that a second run starts warm. The library itself never sets this.
export JAX_COMPILATION_CACHE_DIR ?= $(CURDIR)/.cache/jax
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS ?= 0.2
export PIP_DISABLE_PIP_VERSION_CHECK := 1

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DOCS_INSTALLED := $(VENV)/.installed-docs
TESTS ?=
SPREAD := -n auto --maxprocesses 4 --dist loadscope --no-loadscope-reorder

.PHONY: demo test test-versions validate lint docs bench clean

demo: $(INSTALLED)
	$(BIN)/twinprob demo --out out

# Most of a first run is compiling, a quarter less where LLVM does not optimize; what a program computes stays the same.
test test-versions: export XLA_FLAGS ?= --xla_backend_optimization_level=0

test: $(INSTALLED)
	$(BIN)/python -m pytest $(SPREAD) $(TESTS)

test-versions: $(INSTALLED)
	$(BIN)/python -m pytest $(SPREAD) -m "versions and not slow"

validate: $(INSTALLED)
	$(BIN)/python -m tests.validation --all

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(DOCS_INSTALLED)
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -b html docs docs/_build/html

bench: export OPENBLAS_NUM_THREADS ?= 1
bench: $(INSTALLED)
	$(BIN)/python -m tests.benchmarks

clean:
	rm -rf .cache .hypothesis build dist docs/_build docs/notebooks out
	find twinprob tests docs datasets -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

$(DOCS_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@
