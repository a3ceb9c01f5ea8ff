#!/usr/bin/env bash
# The tests of sweeps on a Slurm with accounting; afterwards this machine's Slurm is without accounting again.
#
#     sudo bash tests/slurm_accounting.sh [ARGUMENT OF PYTEST]...
set -euo pipefail
cd "$(dirname "$0")/.."

provision=tests/engines/provision
bash "$provision/docker.sh"
bash "$provision/apptainer.sh"
trap 'bash "$provision/slurm-accounting.sh" stop' EXIT
bash "$provision/slurm-accounting.sh"
REQUIRE_ENGINES=docker,apptainer,slurm make test-engines ARGS="tests/engines/test_sweep.py -v $*"
sacct --allocations --format=JobID,JobName%12,Account,State,ExitCode,Elapsed
