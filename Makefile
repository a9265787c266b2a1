PYTHON ?= python

.PHONY: check lint format test bench docs
check: lint ## what must be clean before a commit: format, lint, types, and the tests of the README
	$(PYTHON) -m pytest -n 4 --dist loadfile

lint: ## format, lint, types
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy

format: ## puts the code into its format
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

test: ## every test, which lines they reach, and the fifty slowest of them
	$(PYTHON) -m pytest -q -n 4 --dist loadfile --long --cov --cov-report=term --slowest tests/slowest.txt

bench: ## ratios beside the peers, into benchmarks/results/
	$(PYTHON) benchmarks/run.py

docs: ## the documentation site, into docs/_build/html; its tutorials run, and a warning is an error
	$(PYTHON) -m sphinx -b html -W --keep-going -q docs docs/_build/html
