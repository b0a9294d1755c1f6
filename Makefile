# Every target works from a fresh checkout: it makes what it needs first. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
EXTRAS_READY := .venv-extras/.ready
.PHONY: help demo faults test test-extras check lint fmt bench bench-rotate bench-store bench-scan bench-watch fuzz dev lock clean
.DELETE_ON_ERROR:

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
SERVERS := s3 or azure or azurekv or google or gcpkms or aws or awskms or vault or pkcs11 or postgres or cloud or services
BENCH_READY := .venv-bench/.ready
BENCH_SCAN_READY := .venv-bench-scan/.ready
FUZZ_READY := .venv-fuzz/.ready

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

demo: $(READY) ## theft, tampering and forgery against a real deployment, before and after
	@$(BIN)/python -m demo

test: $(READY) lint ## everything: lint, all tests with fault injection and torture, coverage gate
	@$(BIN)/python scripts/run_tests.py

test-extras: $(EXTRAS_READY) ## conversion of PyTorch, Keras and TensorFlow Lite models; torch is too large for .venv
	@.venv-extras/bin/python -m pytest -m "slow or not slow" tests/extras

check: $(READY) lint ## lint, core, and the contracts of what needs no server
	@$(BIN)/python -m pytest -n 2 -m "not slow" -k "not ($(SERVERS))" tests/unit tests/contract

lint: $(READY) ## formatting, ruff, mypy --strict, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fmt: $(READY) ## format the code and fix what ruff can fix
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

faults: $(READY) ## kill -9 again and again, in every verb that writes; about 40 minutes, says how often
	@rm -f .faults && STRONGROOM_FAULTS=20 STRONGROOM_FAULTS_COUNT=.faults $(BIN)/python -m pytest -m slow -k kill tests/faults
	@sort -k2 .faults && awk '{ all += $$1 } END { print all, "deaths in all" }' .faults && rm -f .faults

bench: $(READY) $(BENCH_READY) ## sealing and serving against other tools, as tables; about 20 minutes, needs 2 cores
	@scripts/debian-packages bench
	@$(BIN)/python bench/seal.py
	@$(BIN)/python bench/gateway.py

bench-watch: $(READY) ## the watcher on 1,000 small models; about 20 minutes
	@$(BIN)/python bench/watch.py

bench-rotate: $(READY) ## rewrapping 10,000 data keys and encrypting a version anew; about 5 minutes
	@$(BIN)/python bench/rotate.py

bench-store: $(READY) $(BENCH_READY) ## publishing to and loading from a local S3 against boto3 and s3fs; a few minutes
	@$(BIN)/python bench/stores.py

bench-scan: $(READY) $(BENCH_SCAN_READY) ## scanning against other scanners, as tables; about 20 minutes; SAMPLES=folder
	@$(BIN)/python bench/scan.py $(SAMPLES)

fuzz: $(READY) $(FUZZ_READY) ## look for inputs that break a parser of the scan; MINUTES=30 TARGETS="pickle yaml"
	@.venv-fuzz/bin/python -m bench.fuzz --minutes $(or $(MINUTES),30) $(TARGETS)

dev: $(READY) ## the environment in .venv, from the hash-pinned lock; instant when it is up to date
	@echo "ready: source $(BIN)/activate"

lock: $(READY) ## write the locks anew, keeping versions where possible (scripts/lock --upgrade: newest)
	@scripts/lock

clean: ## remove everything that is not in the repository, environments included
	rm -rf .venv .venv-extras .venv-bench .venv-bench-scan .venv-fuzz .fuzz .demo build dist src/*.egg-info .coverage .coverage.* \
	    .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --no-build-isolation: the project is built by the setuptools of the lock, not by one fetched unpinned.
$(READY): requirements.lock pyproject.toml scripts/make_environment
	@PYTHON="$(PYTHON)" scripts/make_environment .venv requirements.lock
	@$(BIN)/python -m pip install --quiet --no-index --no-deps --no-build-isolation --editable .
	@touch $@

$(EXTRAS_READY): requirements.lock pyproject.toml scripts/make_environment
	@PYTHON="$(PYTHON)" scripts/make_environment .venv-extras requirements.lock
	@.venv-extras/bin/python -m pip install --quiet torch==2.13.0 onnxscript==0.7.2 keras==3.15.1 h5py==3.16.0 ai-edge-litert==2.3.0
	@.venv-extras/bin/python -m pip install --quiet --no-index --no-deps --no-build-isolation --editable .
	@touch $@

$(BENCH_READY): requirements-bench.lock bench/requirements.in scripts/make_environment
	@PYTHON="$(PYTHON)" scripts/make_environment .venv-bench requirements-bench.lock
	@.venv-bench/bin/python -m pip install --quiet "$$(grep '^torch==' bench/requirements.in)"
	@touch $@

$(BENCH_SCAN_READY): requirements-bench-scan.lock scripts/make_environment
	@PYTHON="$(PYTHON)" scripts/make_environment .venv-bench-scan requirements-bench-scan.lock
	@touch $@

# The fuzzer alone; all else is taken from .venv, so that what is fuzzed is what is tested.
$(FUZZ_READY): requirements-fuzz.lock $(READY) scripts/make_environment
	@PYTHON="$(PYTHON)" scripts/make_environment .venv-fuzz requirements-fuzz.lock
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	    > "$$(.venv-fuzz/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/strongroom.pth"
	@echo "$$PWD/src" >> "$$(.venv-fuzz/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/strongroom.pth"
	@touch $@
