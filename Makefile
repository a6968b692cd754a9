# The two commands most people need: `make demo` and `make test`. Each makes .venv and installs what it needs.
.DEFAULT_GOAL := help
SHELL := /bin/bash

VENV ?= .venv
# The site needs MkDocs only, and is built in an environment of its own.
SITE_VENV ?= .venv-site
# A Python from 3.10 to 3.12; PYTHON=/path/to/python chooses another.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.10; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && { echo $$p; break; }; done)
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# The CPU build of PyTorch, never the CUDA one; TORCH= leaves the choice to pip, for a machine with a GPU.
TORCH ?= torch==2.13.0+cpu
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

.PHONY: help demo test install lint test-slow test-gpu bench docs site clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

demo: $(INSTALLED) ## the whole chain on real text: corpus, probe, refine, process, train, evaluate (about 4 minutes)
	$(BIN)/dj-sandbox --config configs/demo/sandbox.yaml

test: $(INSTALLED) ## the tests, but for those that take minutes or need a GPU
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not gpu"

install: $(INSTALLED) ## make .venv and install everything
	@echo "installed; to use it in this shell: source $(VENV)/bin/activate (or call $(BIN)/dj-sandbox)"

lint: $(INSTALLED) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test-slow: $(INSTALLED) ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

test-gpu: ## the tests that need a CUDA GPU, with the Python that is active
	python3 -m pytest -m gpu

bench: $(INSTALLED) ## measure; prints the tables of docs/benchmarks.md
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/tracking.py
	$(BIN)/python benchmarks/k_sigma_chain.py
	$(BIN)/python benchmarks/pools
	$(BIN)/python benchmarks/search.py
	$(BIN)/python benchmarks/parallel.py
	$(BIN)/python benchmarks/parallel_driver.py
	$(BIN)/python benchmarks/api_inference.py
	$(BIN)/python benchmarks/hf_inference.py

docs: $(INSTALLED) ## write the reference pages from the code
	$(BIN)/python docs/generate.py

site: ## build the documentation as a site in outputs/site; a broken link is an error
	@test -x $(SITE_VENV)/bin/mkdocs || { test -n "$(PYTHON)" && $(PYTHON) -m venv $(SITE_VENV) \
		&& $(SITE_VENV)/bin/pip install --quiet --disable-pip-version-check 'mkdocs-material>=9.8'; }
	NO_MKDOCS_2_WARNING=1 $(SITE_VENV)/bin/mkdocs build

clean: ## delete .venv and outputs
	rm -rf $(VENV) $(SITE_VENV) outputs

$(INSTALLED): pyproject.toml $(wildcard constraints/*.txt)
	@test -n "$(PYTHON)" || { echo "Python 3.10, 3.11 or 3.12 is needed; name one with PYTHON=..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "venv failed; on Debian: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(if $(TORCH),$(BIN)/pip install --quiet $(TORCH) || $(BIN)/pip install --quiet $(TORCH) --index-url $(TORCH_INDEX))
	$(BIN)/pip install --quiet --constraint constraints/python$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])').txt --editable '.[train,api,evaluate,wandb,search,slurm,dev]'
	@touch $@
