"""What a job can reach, seen from inside by the probe, against what the record of the run promises."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest

# What an engine cannot keep, and therefore must not promise.
NOT_PROMISED = {
    "docker": set(),
    "podman": set(),
    "apptainer": {"memory_limit", "pids_limit"},
    "venv": {
        "capabilities_dropped", "memory_limit", "no_network", "no_new_privileges", "pids_limit",
        "private_shared_memory", "read_only_inputs", "read_only_root",
    },
}  # fmt: skip
OF_A_JOB = {
    "ALGORITHM_DIR", "CUBLAS_WORKSPACE_CONFIG", "CUDA_VISIBLE_DEVICES", "GPG_KEY", "HOME", "HOSTNAME", "LANG",
    "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "OMP_WAIT_POLICY",
    "OPENBLAS_NUM_THREADS", "PATH", "PROMPT_COMMAND", "PS1", "PWD", "PYTHONHASHSEED", "PYTHON_SHA256",
    "PYTHON_VERSION", "SHLVL", "TERM", "TMPDIR", "TZ", "USER", "_", "container",
}  # fmt: skip


@pytest.fixture
def traces():
    """Leave files on the host where a job must not see them, and return their name."""
    name = f"calm-test-{os.getpid()}"
    paths = [Path("/dev/shm") / name, Path(tempfile.gettempdir()) / name]
    for path in paths:
        path.touch()
    yield name
    for path in paths:
        path.unlink()


def test_a_job_sees_from_inside_what_the_record_promises_and_leaves_nothing(probe, engine, traces, monkeypatch):
    monkeypatch.setenv("CALM_TEST_SECRET", "not for the job")
    plan, seen = probe.look(engine)
    promises = json.loads(plan.folder.record.read_text())["engine"]["promises"]
    kept = {
        "capabilities_dropped": int(seen["capabilities"], 16) == 0,
        "clean_environment": not seen["secret_in_environment"],
        "no_network": seen["interfaces"] == ["lo"],
        "no_new_privileges": seen["no_new_privileges"] == "1",
        "pids_limit": seen["most_threads"] < 1024,
        "private_home_and_tmp": seen["home_writable"] and seen["tmp_writable"] and traces not in seen["tmp"],
        "private_shared_memory": traces not in seen["shared_memory"] and seen["shm_bytes"] >= 2**30,
        "read_only_inputs": not seen["input_writable"],
        "read_only_root": not seen["root_writable"],
    }
    assert {name for name, promised in promises.items() if not promised} == NOT_PROMISED[engine]
    assert [name for name in kept if promises[name] and not kept[name]] == []
    assert set(promises) == {*kept, "memory_limit"}  # test_deaths.py provokes the last one
    assert (seen["uid"], seen["gid"]) == (os.getuid(), os.getgid())
    assert {path.stat().st_uid for path in plan.folder.path.rglob("*")} == {os.getuid()}
    assert probe.containers(engine) == []


@pytest.mark.parametrize("chosen", ["1,0", "", None])
def test_the_choice_of_gpus_reaches_the_job_as_the_caller_or_the_scheduler_made_it(probe, engine, monkeypatch, chosen):
    """An empty value hides every GPU and is not the same as none; a comma must survive each engine's own syntax."""
    if chosen is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    _, seen = probe.look(engine)
    assert seen["visible_gpus"] == chosen


def test_a_job_sees_its_inputs_and_nothing_beside_them(probe, image_engine):
    (probe.folder / "secret.txt").write_text("not for the job")
    _, seen = probe.look(image_engine)
    assert "secret.txt" not in seen["neighbours"]
    own = ("APPTAINER_", "SINGULARITY_")  # Apptainer tells a job how it was started
    assert {name for name in seen["environment"] if not name.startswith(own)} <= OF_A_JOB


@pytest.mark.engine("podman")
def test_a_path_that_podman_cannot_hand_in_is_refused_before_anything_runs_and_other_engines_take_it(calm, movie):
    quoted = movie.rename(movie.with_name('5" objective.tif'))
    done = calm("run", "identity", "--input", quoted, "--engine", "podman", "--threads", 1)
    assert done.returncode == 2, done.stderr
    assert f"{quoted}: expected a path that podman can hand in, got one with '\"' in it" in done.stderr
    assert not list(calm.outputs.rglob("job.json"))
    assert calm("run", "identity", "--input", quoted, "--engine", "venv", "--threads", 1).returncode == 0
