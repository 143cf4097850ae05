# Two commands do everything: `make demo` and `make test`. `make` alone lists the rest.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# The first Python that is new enough and can make a virtual environment. The order prefers those
# that all peers support; a pyenv shim that leads nowhere fails the check and is passed over.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3 python \
	"$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.*/bin/python; do \
	"$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' \
	>/dev/null 2>&1 && { echo "$$python"; break; }; done)

# Options for pytest in `make test` and `make nightly`, e.g. make test PYTEST="-n 8"
PYTEST ?= -n 2 --dist loadfile --durations=10

.DEFAULT_GOAL := help
.PHONY: help demo test lint types format bench nightly clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "bknn needs Python 3.11 or newer with the venv module, and" \
		"none was found; install one or say which: make PYTHON=/path/to/python" >&2; exit 2; }
	"$(PYTHON)" -m venv $(VENV)
	touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) install --quiet -c constraints.txt -e .
	touch $@

# All extras in one go: pip resolves once. It includes what `make demo` needs.
$(VENV)/.installed-test: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) install --quiet -c constraints.txt -e '.[test,peers]'
	touch $(VENV)/.installed $@

demo: $(VENV)/.installed ## install bknn and fit a two-body decay to the Belle II data (figures in demo/)
	$(BIN)/bknn fit resonance --data belle2-2025 --out demo

test: lint types ## install bknn with its peers, check and test everything
	BKNN_PEERS_REQUIRED=1 $(BIN)/pytest $(PYTEST)

lint: $(VENV)/.installed-test ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Of the installed wheel: only there do models/ and inference/ lie where their import names say.
# Old build/lib would bring deleted modules back.
types: $(VENV)/.installed-test ## check the types of the installed wheel
	rm -rf build && mkdir build
	$(BIN)/python -m build --wheel --no-isolation --outdir build/wheel . >build/log 2>&1 \
		|| { cat build/log; exit 1; }
	$(PIP) install --quiet --no-deps --no-index --target build/installed build/wheel/*.whl
	cd build/installed && ../../$(BIN)/mypy --config-file ../../pyproject.toml \
		--cache-dir ../../.mypy_cache -p bknn

format: $(VENV)/.installed-test ## repair style and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-test ## measure the numbers that we claim, beside the peers
	for script in benchmarks/bench_*.py; do $(BIN)/python "$$script" || exit; done

nightly: $(VENV)/.installed-test ## the long tests, with fresh random examples
	BKNN_PEERS_REQUIRED=1 XLA_FLAGS=--xla_backend_optimization_level=3 \
		$(BIN)/pytest $(PYTEST) -m "nightly or slow" --hypothesis-profile=nightly

clean: ## remove everything that can be made again
	rm -rf $(VENV) build dist demo bknn.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
