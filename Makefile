# calm: one place for everything a user or developer types. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3.11
VENV := .venv
CALM := $(VENV)/bin/calm
SETUP := $(VENV)/complete

ALGO ?= n2v
PRESET ?= quick
ENGINE ?= auto
DEVICE ?= cpu
INPUT ?=
DATA ?= demo
ARGS ?=
EXP ?=
JOB ?=
SEEDS ?= 1
JOBS ?= 2

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(SETUP) ## Install calm into .venv from its lock
$(SETUP): pyproject.toml requirements-dev.lock
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	PYTHONWARNINGS=ignore $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(SETUP)

run: $(SETUP) ## Run ALGO on the demo, or on INPUT=movie.tif (PRESET, ENGINE, DEVICE, DATA, ARGS)
	$(CALM) run $(ALGO) $(if $(INPUT),--input "$(INPUT)",--data $(DATA)) --preset $(PRESET) --engine $(ENGINE) --device $(DEVICE) $(ARGS)

denoise: $(SETUP) ## Denoise your own INPUT=movie.tif with ALGO and check the result (PRESET, ENGINE, DEVICE, ARGS)
	$(CALM) denoise "$(INPUT)" --algorithm $(ALGO) --preset $(PRESET) --engine $(ENGINE) --device $(DEVICE) $(ARGS)

reproduce: $(SETUP) ## Run published experiments EXP="A B" and compare every number (SEEDS, ENGINE, DEVICE)
	$(CALM) reproduce $(EXP) --seeds $(SEEDS) --engine $(ENGINE) --device $(DEVICE) $(ARGS)

sif: $(SETUP) ## Convert the image of ALGO to a verified Apptainer SIF
	$(CALM) sif $(ALGO) --device $(DEVICE) $(ARGS)

build: $(SETUP) ## Build the environment of ALGO for ENGINE
	$(CALM) build $(ALGO) --engine $(ENGINE) --device $(DEVICE)

doctor: $(SETUP) ## Check this machine
	$(CALM) doctor

check: $(SETUP) ## Lint, types, layers
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

test: $(SETUP) ## Every test that needs no container engine (JOBS at once)
	$(VENV)/bin/pytest -m "not engine" --numprocesses $(JOBS) --dist loadgroup --no-loadscope-reorder $(ARGS)

test-fast: $(SETUP) ## Those of them that take less than a minute together
	$(VENV)/bin/pytest -m "not engine and not slow" --numprocesses $(JOBS) --dist loadgroup --no-loadscope-reorder tests/unit tests/data $(ARGS)

test-training: $(SETUP) ## What trainings reach, on one thread and with the instructions of an older processor
	export ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 OMP_NUM_THREADS=1; \
	for folder in $$(grep -rl mark.training containers/*/tests | cut -d/ -f2 | sort -u); do \
		taskset --cpu-list 0 $(VENV)/bin/python tests/folder_environment.py $$folder \
			-m pytest -q -p no:cacheprovider -m training containers/$$folder/tests $(ARGS); \
	done

test-engines: $(SETUP) ## Tests on container engines; those in REQUIRE_ENGINES must be there
	$(VENV)/bin/pytest -m engine $(ARGS)

debug: $(SETUP) ## Do JOB=.../job.json of ALGO again in pdb, in its own environment
	$(VENV)/bin/python tests/folder_environment.py $(ALGO) -m pdb -c continue tests/debug_job.py "$(JOB)"

bench: $(SETUP) ## Measure ALGO with benchmarks/ALGO.py in its own environment (ARGS)
	$(VENV)/bin/python tests/folder_environment.py $(ALGO) benchmarks/$(ALGO).py $(ARGS)

lock: $(SETUP) ## Resolve the lock of calm itself (developers)
	$(VENV)/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url \
		--no-emit-find-links --no-emit-trusted-host --no-header --extra dev -o requirements-dev.lock pyproject.toml

docs-commands: $(SETUP) ## Write docs/commands.md from the commands themselves (developers)
	$(VENV)/bin/python docs/make_commands.py

clean: ## Delete environments, wheels and caches; runs and data stay
	rm -rf $(VENV) .calm build *.egg-info

.PHONY: help setup run denoise reproduce sif build doctor check test test-fast test-training test-engines debug bench lock docs-commands clean
