"""A sweep on a real one-node Slurm with real SIFs, in which tasks end in every way there is.

That Slurm has no accounting; tests/slurm_accounting.sh runs the same with it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from orchestrator.paths import layout
from orchestrator.sweep.executors import LocalExecutor, has_accounting

SWEEP = """
parts:
  - {threads: 1, algorithms: [identity, mean, svd], inputs: [a.tif, b.tif], preset: smoke, seeds: [1, 2]}
  - threads: 1
    algorithms: [tiny]
    inputs: [a.tif]
    params: {steps: 45, step_s: 1}
    seeds: [3]
    resources: {minutes: 1}
  - threads: 1
    algorithms: [tiny]
    inputs: [a.tif]
    params: {size_mib: 900, step_s: 1}
    seeds: [4]
    resources: {memory_gib: 1}
  - {threads: 1, algorithms: [tiny], inputs: [b.tif], params: {steps: 15, step_s: 1}, seeds: [5]}
  - {threads: 1, algorithms: [tiny], inputs: [flat.tif, torn.tif], seeds: [6]}
"""
pytestmark = [pytest.mark.engine("slurm"), pytest.mark.engine("apptainer"), pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def world(checkout):
    """Return the folder of the checkout, with movies to sweep over beside it."""
    folder = checkout.parent
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        tifffile.imwrite(folder / f"{name}.tif", rng.poisson(100, (30, 24, 32)).astype(np.uint16))
    tifffile.imwrite(folder / "flat.tif", np.full((30, 24, 32), 7, np.uint16))
    (folder / "torn.tif").write_bytes((folder / "a.tif").read_bytes()[:5000])
    (folder / "all.yaml").write_text(SWEEP)
    return folder


def _start(world, where, *arguments):
    checkout = world / "checkout"
    environment = os.environ | {
        "CALM_OUTPUTS": str(world / where),
        "CALM_HOME": str(layout().home),
        "PYTHONPATH": f"{checkout}:{checkout / 'containers'}",
        "PYTHONSAFEPATH": "1",
    }
    command = [sys.executable, "-c", "from orchestrator.cli import main; main()", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def _calm(world, where, *arguments):
    started = _start(world, where, *arguments)
    printed, _ = started.communicate()
    return started.returncode, printed


def _attempts(world, where, seed):
    (path,) = (world / where / ".sweeps" / "all" / "status").glob(f"tiny-*-{seed}-*.json")
    return json.loads(path.read_text())["attempts"]


def _states(world, where, seed):
    return [attempt["state"] for attempt in _attempts(world, where, seed)]


@pytest.fixture(scope="module")
def cancelled(world):
    """Return what the first sweep on Slurm printed, one of whose tasks was cancelled while it ran."""
    started = _start(world, "slurm", "sweep", world / "all.yaml", "--executor", "slurm")
    status = world / "slurm" / ".sweeps" / "all" / "status"
    while started.poll() is None:
        found = [path for path in status.glob("tiny-*-5-*.json") if '"train"' in path.read_text()]
        if found:
            subprocess.run(["scancel", json.loads(found[0].read_text())["attempts"][0]["job"]], check=True)
            break
        time.sleep(0.3)
    printed, _ = started.communicate()
    shown = _calm(world, "slurm", "status", "all")[1]
    return printed + shown, started.returncode


@pytest.fixture(scope="module")
def again(world, cancelled):  # noqa: ARG001 - it comes first
    """Return what the second call of the same sweep printed."""
    before = {path: path.stat().st_mtime_ns for path in (world / "slurm").glob("*/*/run.json")}
    code, printed = _calm(world, "slurm", "sweep", world / "all.yaml", "--executor", "slurm")
    return before, code, printed


def test_every_task_that_did_not_end_well_is_named_with_its_reason_and_all_others_finish(world, cancelled):
    printed, code = cancelled
    assert code == 1, printed
    assert len([*(world / "slurm").glob("*/*/run.json")]) == 14, printed
    assert _states(world, "slurm", 5) == ["cancelled"], printed
    assert "expected a movie with structure" in printed
    assert "torn.tif" in printed
    assert "17 tasks: 14 finished, 1 cancelled, 2 failed" in printed


def test_a_task_that_ran_into_its_time_limit_goes_on_in_another_job(world, cancelled):
    printed, _ = cancelled
    assert set(_states(world, "slurm", 3)) == {"walltime", "finished"}, printed
    last = _attempts(world, "slurm", 3)[-1]
    assert "resuming after step" in (Path(last["run"]) / "train" / "events.jsonl").read_text()


def test_a_task_that_ran_out_of_memory_is_repeated_with_more(world, cancelled):
    printed, _ = cancelled
    attempts = _attempts(world, "slurm", 4)
    assert [one["state"] for one in attempts] == ["out of memory", "finished"], printed
    assert attempts[1]["resources"]["memory_mb"] == 2 * attempts[0]["resources"]["memory_mb"]


def test_a_second_call_does_only_what_is_missing(world, again):
    before, code, printed = again
    assert code == 1, printed  # the two movies are as bad as before
    assert _states(world, "slurm", 5) == ["cancelled", "finished"]
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in before.items())
    assert len([*(world / "slurm").glob("*/*/run.json")]) == len(before) + 1


@pytest.fixture(scope="module")
def local(world):
    """Return what the same sweep printed on this machine."""
    code, printed = _calm(world, "local", "sweep", world / "all.yaml", "--engine", "apptainer")
    assert code == 1, printed
    return printed


@pytest.mark.usefixtures("again")
def test_results_on_slurm_equal_those_of_this_machine_byte_for_byte_and_are_one_page(world, local):
    ours, theirs = (_predictions(world / where) for where in ("local", "slurm"))
    assert len(ours) >= 15, local
    assert ours == theirs
    assert "2 seeds" in (world / "slurm" / "sweep-all.html").read_text()


def test_this_machine_is_filled_and_never_given_more_than_it_has(world, local):
    node = LocalExecutor(profiles=world).node()
    paths = (world / "local" / ".sweeps" / "all" / "status").glob("*.json")
    attempts = [one for path in paths for one in json.loads(path.read_text())["attempts"]]
    together = [
        [one["resources"] for one in attempts if one["began_s"] <= begun["began_s"] < one["ended_s"]]
        for begun in attempts
    ]
    assert max(sum(one["cpus"] for one in given) for given in together) == node.cpus, local
    assert max(sum(one["memory_mb"] for one in given) for given in together) <= node.memory_mb


@pytest.mark.usefixtures("cancelled")
def test_jobs_are_charged_to_the_account_that_is_named_or_else_to_the_default_of_the_user(world):
    if not has_accounting():
        pytest.skip("Slurm without accounting; tests/engines/provision/slurm-accounting.sh adds it")
    (world / "charged.yaml").write_text("parts: [{threads: 1, algorithms: [identity], inputs: [a.tif]}]")
    named = "--snakemake=--default-resources=slurm_account=other"
    code, printed = _calm(world, "charged", "sweep", world / "charged.yaml", "--executor", "slurm", named)
    assert code == 0, printed
    assert _accounts("calm-charged-") == {"other"}
    assert _accounts("calm-all-") == {"lab"}


def _accounts(prefix):
    """Return the accounts of the jobs whose names begin so."""
    command = ["sacct", "--allocations", "--noheader", "--parsable2", "--format=JobName,Account"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return {account for name, _, account in (line.partition("|") for line in lines) if name.startswith(prefix)}


def _predictions(outputs):
    return {
        str(path.relative_to(outputs)): path.read_bytes() for path in sorted(outputs.glob("*/*/predictions/**/*.tif"))
    }


MORE = """
parts:
  - {threads: 1, algorithms: [tiny], inputs: [a.tif], params: {steps: 60, step_s: 1}, seeds: [7]}
"""


@pytest.fixture(scope="module")
def more(world):
    """Write a sweep of one training of a minute."""
    (world / "more.yaml").write_text(MORE)
    return world / "more.yaml"


def _begun(world, where, state="running"):
    """Wait until the training of a sweep is at work, and return its attempts."""
    folder = world / where / ".sweeps" / "more" / "status"
    while True:
        time.sleep(0.3)
        for path in folder.glob("tiny-*.json"):
            attempts = json.loads(path.read_text())["attempts"]
            if attempts[-1]["state"] == state and '"train"' in path.read_text():
                return attempts


def test_a_node_is_looked_at_first_and_inputs_are_copied_to_its_disk(world, more, tmp_path):
    (tmp_path / "disk").mkdir()
    there = ["--scratch", tmp_path / "disk", "--probe", "--executor", "slurm"]
    code, printed = _calm(world, "near", "sweep", more, *there)
    assert code == 0, printed
    assert "Probing a node." in printed
    (job,) = (world / "near").glob("tiny-*/*/train/job.json")
    assert json.loads(job.read_text())["inputs"]["train"][0].startswith(str(tmp_path / "disk"))
    assert [*(tmp_path / "disk").iterdir()] == []


def test_a_probe_that_finds_something_missing_stops_the_sweep_before_its_tasks(world, more, tmp_path):
    there = ["--scratch", tmp_path / "none", "--probe", "--executor", "slurm"]
    code, printed = _calm(world, "probed", "sweep", more, *there)
    assert code == 2, printed
    assert f"{tmp_path / 'none'}: expected a folder that can be written to" in printed
    assert not [*(world / "probed").glob("tiny-*/*/train")]


def test_ctrl_c_on_the_head_cancels_its_jobs_and_the_same_command_goes_on(world, more):
    started = _start(world, "stopped", "sweep", more, "--executor", "slurm")
    while not [*(world / "stopped").glob("tiny-*/*/checkpoint/*")]:  # a state, which is saved after ten seconds
        time.sleep(0.3)
    started.send_signal(signal.SIGINT)
    printed, _ = started.communicate(timeout=120)
    assert started.returncode == 130, printed
    while _jobs():  # Slurm takes a moment to clear them away; the limit of time is that of the test
        time.sleep(0.3)
    code, printed = _calm(world, "stopped", "sweep", more, "--executor", "slurm")
    assert code == 0, printed
    (events,) = (world / "stopped").glob("tiny-*/*/train/events.jsonl")
    assert "resuming after step" in events.read_text()


def test_a_head_that_was_killed_leaves_its_jobs_at_work_and_the_same_command_takes_them_over(world, more):
    started = _start(world, "killed", "sweep", more, "--executor", "slurm")
    (attempt,) = _begun(world, "killed")
    started.kill()
    started.communicate()
    assert attempt["job"] in _jobs()
    code, printed = _calm(world, "killed", "sweep", more, "--executor", "slurm")
    assert code == 0, printed
    (path,) = (world / "killed" / ".sweeps" / "more" / "status").glob("tiny-*.json")
    attempts = json.loads(path.read_text())["attempts"]
    assert [(one["job"], one["state"]) for one in attempts] == [(attempt["job"], "finished")]


def _jobs():
    """Return the numbers of the jobs that are queued or running in Slurm."""
    return subprocess.run(["squeue", "--noheader", "--format=%i"], check=True, capture_output=True, text=True).stdout
