# Everything starts here: `make demo` and `make test` set up what they need by themselves.
# Needs python3.11, pip, git and make; uv is fetched into .tools/ when the machine has none.

PYTHON  ?= python3.11
UV      := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
UV_VERSION := 0.13.8
BIN     := .venv/bin
READY   := .venv/.ready
CORPUS  ?= data/wiki-20mb.txt.xz

.DEFAULT_GOAL := help
.PHONY: help setup demo test stress check bench lock clean

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: $(READY)  ## install everything, exact versions with hashes, into .venv

.tools/bin/uv:
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --target .tools uv==$(UV_VERSION)

$(READY): requirements.lock pyproject.toml | $(if $(findstring .tools,$(UV)),.tools/bin/uv)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: $(READY)  ## train vectors on the shipped sample and ask them a few things
	$(BIN)/corpus2vec train data/configs/demo.toml
	$(BIN)/corpus2vec similar king --candidates 10000 -n 5
	$(BIN)/corpus2vec analogy france paris germany --candidates 10000 -n 3

check: $(READY)  ## lint, types and the layers between the packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check  ## every check and the tests that take minutes
	$(BIN)/pytest

stress: $(READY)  ## the long tests: more shardings and passes of phrases, 20 million words in 1 GB, 140 kills
	$(BIN)/pytest -m stress

bench: $(READY)  ## measure the demo and gensim, write benchmarks/results and the README's tables
	$(BIN)/python benchmarks/demo.py
	$(BIN)/python -m benchmarks.against_gensim $(CORPUS)
	$(BIN)/python -m benchmarks.against_gensim $(CORPUS) --dimensions 300 --epochs 1
	$(BIN)/python -m benchmarks.models $(CORPUS)
	$(BIN)/python -m benchmarks.models $(CORPUS) --speed
	$(BIN)/python -m benchmarks.shards $(CORPUS)
	$(BIN)/python -m benchmarks.inputs $(CORPUS)
	$(BIN)/python -m benchmarks.lineage_questions $(CORPUS)
	$(BIN)/python -m benchmarks.counting $(CORPUS)
	$(BIN)/python -m benchmarks.preparation $(CORPUS)
	$(BIN)/python -m benchmarks.bookkeeping
	$(BIN)/python -m benchmarks.lineage
	$(BIN)/python -m benchmarks.lineage_diff
	$(BIN)/python -m benchmarks.cooccurrence $(CORPUS)
	$(BIN)/python -m benchmarks.glove
	$(BIN)/python -m benchmarks.softmax
	$(BIN)/python -m benchmarks.costs --large
	$(BIN)/python -m benchmarks.roofline
	$(BIN)/python -m benchmarks.cluster
	$(BIN)/python benchmarks/write_readme.py

lock: $(READY)  ## resolve requirements.lock again
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --upgrade \
		--python-version 3.11 --extra dev pyproject.toml --output-file requirements.lock

clean:  ## remove what was installed and cached here, no store
	rm -rf .venv .tools .bench
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
