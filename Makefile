# Every target sets up .venv by itself, and again only when pyproject.toml has changed.
#   make test ARGS="tests/spec -x"      passes arguments to pytest
#   make test JOBS=4                    runs test files in so many processes
#   make test PYTHON=/path/to/python    names the interpreter .venv is made from

PYTHON ?=
ARGS ?=
JOBS ?= 2
VENV := .venv
PY := $(VENV)/bin/python

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-slow lint format bench docs docs-output notebooks clean distclean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.installed-run ## fit the shipped example, print its tables, draw plots into out/
	$(PY) examples/lq2002_demo.py

test: $(VENV)/.installed-test ## run the tests (all but those marked slow)
	$(PY) -m pytest -n $(JOBS) --dist loadfile $(ARGS)

test-slow: $(VENV)/.installed-test ## run the tests marked slow
	$(PY) -m pytest -m slow $(ARGS)

lint: $(VENV)/.installed-lint ## check style (ruff) and types (mypy)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(VENV)/.installed-lint ## rewrite the sources in the house format
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: $(VENV)/.installed-run ## run the benchmarks, print one table of figures and targets
	$(PY) benchmarks/suite.py $(ARGS)

docs: $(VENV)/.installed-docs ## build the site into docs/_build/html
	rm -rf docs/generated
	$(PY) -m sphinx -W -n --keep-going -q -b html -d docs/_build/doctrees docs docs/_build/html
	@echo "The site is at docs/_build/html/index.html"

docs-output: $(VENV)/.installed-test ## put fresh output into the pages that show output of fits
	$(PY) -m tools.refresh_docs $(ARGS)

notebooks: $(VENV)/.installed-test ## run the notebooks of examples/, write their pages in docs/gallery
	$(PY) -m tools.notebooks $(ARGS)

clean: ## remove outputs and caches
	rm -rf out dist docs/_build docs/generated .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name .venv -prune -o -name .git -prune -o -type d -name __pycache__ -exec rm -rf {} +

distclean: clean ## also remove .venv
	rm -rf $(VENV)

$(VENV)/.installed-run: pyproject.toml
	@PYTHON="$(PYTHON)" sh tools/setup_venv.sh $(VENV) .
	@touch $@

$(VENV)/.installed-%: pyproject.toml
	@PYTHON="$(PYTHON)" sh tools/setup_venv.sh $(VENV) ".[$*]"
	@touch $@
