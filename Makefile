PYTHON ?= python

.PHONY: check format test bench
check: ## what must be clean before a commit: format, lint, types, fast tests
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest -q -n 2 --dist loadfile -m "not long and not external and not faults"

format: ## puts the code into its format
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

test: ## every test, and which lines they reach
	$(PYTHON) -m pytest -q -n 2 --dist loadfile --cov --cov-report=term

bench: ## ratios beside the peers, into benchmarks/results/
	$(PYTHON) benchmarks/run.py
