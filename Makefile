# calm: one place for everything a user or developer types. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The newest Python that calm runs on and that can make virtual environments.
PYTHON ?= $(shell for name in python3.14 python3.13 python3.12 python3.11 python3; do \
	$$name -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2> /dev/null \
	&& echo $$name && break; done)
VENV := .venv
CALM := $(VENV)/bin/calm
SETUP := $(VENV)/complete
TOOLS := $(VENV)/tools-complete
LOCK := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header -o
INSTALL := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile

# Tests start hundreds of programs, and each would compile every package anew.
unexport PYTHONDONTWRITEBYTECODE

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
$(SETUP): pyproject.toml requirements.lock
	@test -n "$(PYTHON)" || { echo "Error: no Python 3.11 to 3.14 with its venv module was found; install one" \
		"(Debian, Ubuntu: apt-get install python3-venv; macOS: brew install python), or name it: make PYTHON=..." >&2; exit 1; }
	@echo "Installing calm into $(VENV) with $(PYTHON), once."
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --require-hashes -r requirements.lock
	PYTHONWARNINGS=ignore $(INSTALL) --no-deps --no-build-isolation -e .
	touch $(SETUP)

tools: $(TOOLS) ## Install what tests and checks need as well (developers)
$(TOOLS): $(SETUP) requirements-dev.lock
	$(INSTALL) --require-hashes -r requirements-dev.lock
	touch $(TOOLS)

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

check: $(TOOLS) ## Lint, types, layers
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

test: $(TOOLS) ## Every test that needs no container engine, but test-training (JOBS at once)
	$(VENV)/bin/pytest -m "not engine" --numprocesses $(JOBS) --no-loadscope-reorder $(ARGS)

test-fast: $(TOOLS) ## Those of them that take less than a minute together
	$(VENV)/bin/pytest -m "not engine and not slow" --numprocesses $(JOBS) --no-loadscope-reorder tests/unit tests/data $(ARGS)

test-training: $(TOOLS) ## What trainings reach, on one thread and with the instructions of an older processor
	export ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE; \
	for folder in $$(grep -rl mark.training containers/*/tests | cut -d/ -f2 | sort -u); do \
		taskset --cpu-list 0 $(VENV)/bin/python tests/folder_environment.py $$folder \
			-m pytest -q -p no:cacheprovider -m training containers/$$folder/tests $(ARGS); \
	done

test-engines: $(TOOLS) ## Tests on container engines; those in REQUIRE_ENGINES must be there
	$(VENV)/bin/pytest -m engine $(ARGS)

debug: $(TOOLS) ## Do JOB=.../job.json of ALGO again in pdb, in its own environment
	$(VENV)/bin/python tests/folder_environment.py $(ALGO) -m pdb -c continue tests/debug_job.py "$(JOB)"

bench: $(TOOLS) ## Measure ALGO with benchmarks/ALGO.py in its own environment (ARGS)
	$(VENV)/bin/python tests/folder_environment.py $(ALGO) benchmarks/$(ALGO).py $(ARGS)

lock: $(SETUP) ## Resolve the locks of calm itself, for every Python and system it runs on (developers)
	echo "setuptools>=77" | $(LOCK) requirements.lock - pyproject.toml
	echo "setuptools>=77" | $(LOCK) requirements-dev.lock --constraint requirements.lock --extra dev - pyproject.toml

wheel: $(SETUP) ## Pack calm with its algorithms into build/wheel, to be installed without a checkout
	rm -rf build/lib build/wheel
	PYTHONWARNINGS=ignore $(VENV)/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation -w build/wheel .

docs: $(TOOLS) ## Build the documentation as a site in build/site, without network
	$(VENV)/bin/python docs/make_site.py

docs-commands: $(TOOLS) ## Write docs/commands.md from the commands themselves (developers)
	$(VENV)/bin/python docs/make_commands.py

clean: ## Delete environments, wheels and caches; runs and data stay
	rm -rf $(VENV) .calm build *.egg-info

.PHONY: help setup tools run denoise reproduce sif build doctor check test test-fast test-training test-engines debug bench lock wheel docs docs-commands clean
