# ARGS reaches pytest (make test ARGS="-k camera") and the demo.
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup test check compatibility lowest pyqt6 demo docs packages lint format clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

setup: ## Install what the system lacks, make .venv and fill it
	@scripts/setup

test: ## Set up, then check style, types and the manifest, and run the tests
	@scripts/test $(ARGS)

check: ## Style, types and the quick tests: under two minutes, for while you work
	@scripts/test -m "not slow and not gl" $(ARGS)

lowest: ## Run the tests with the lowest versions that pyproject.toml allows
	@scripts/test_with lowest $(ARGS)

compatibility: ## Run the tests with other Pythons, Qt and versions; prints a table
	@scripts/compatibility $(ARGS)

pyqt6: ## Run the tests with PyQt6 in place of PySide6
	@scripts/test_with pyqt6 $(ARGS)

demo: ## Set up, then denoise the sample image into demo-output/
	@scripts/demo $(ARGS)

docs: ## Set up, then build the documentation into build/docs/
	@scripts/docs $(ARGS)

packages: ## Build wheel and sdist, and run the demo with each, installed elsewhere
	@scripts/test_packages $(ARGS)

lint: setup ## Check style and types only
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: setup ## Put the code in the project's style
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

clean: ## Remove caches, built packages and demo-output/ (.venv stays)
	rm -rf .mypy_cache .pytest_cache .ruff_cache build dist demo-output
	find . -name .venv -prune -o -type d -name __pycache__ -exec rm -rf {} +
