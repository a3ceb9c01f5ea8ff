"""GPUs: which there are, what a job says of those that it leaves idle, and how memory that runs out is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import pytest

from contract.device import halving, tell_idle_gpus, visible_gpus
from contract.errors import JobRefused, OutOfMemory
from contract.events import Events
from contract.files import write_json
from contract.job import Inputs, Job, to_document


@pytest.fixture
def job(tmp_path):
    return Job(
        folder=tmp_path, job="test", command="predict", axes="TYX", frame_rate_hz=None, inputs=Inputs(),
        checkpoint=tmp_path, predictions=tmp_path, seed=1, device="cuda", threads=1, precision="float32",
    )  # fmt: skip


def told(job, act):
    """Return the messages of something that is given a job's events."""
    with closing(Events(job.folder / "events.jsonl")) as events:
        act(events)
    return [json.loads(line)["message"] for line in (job.folder / "events.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("chosen", "names"), [(None, ("0", "1")), ("", ()), ("3", ("3",)), ("GPU-a,GPU-b", ("GPU-a", "GPU-b"))]
)
def test_the_variable_of_a_scheduler_counts_before_the_device_nodes(monkeypatch, tmp_path, chosen, names):
    for name in ("nvidia0", "nvidia1", "nvidiactl", "null"):
        (tmp_path / name).touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if chosen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert visible_gpus(tmp_path) == names


def test_a_job_says_that_it_leaves_gpus_idle_and_how_to_use_them(monkeypatch, job):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    (message,) = told(job, lambda events: tell_idle_gpus(job, events))
    assert message.startswith("2 GPUs are visible and this job uses the first, 2")
    assert "calm sweep" in message


@pytest.mark.parametrize(("device", "chosen"), [("cuda", "2"), ("cpu", "2,5")])
def test_a_job_with_one_gpu_or_none_says_nothing(monkeypatch, job, device, chosen):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert told(job, lambda events: tell_idle_gpus(replace(job, device=device), events)) == []


class Full(Exception):
    """What a framework raises."""


def test_where_memory_runs_out_the_work_goes_on_with_half_as_often_as_it_must(job):
    given = []

    def attempt(gib):
        given.append(gib)
        if gib > 1:
            raise Full

    messages = told(job, lambda events: halving(events, "memory_gib", 4.0, attempt, Full))
    assert given == [4.0, 2.0, 1.0]
    assert messages == [
        "memory_gib: the GPU is out of memory with 4 GiB, going on with 2",
        "memory_gib: the GPU is out of memory with 2 GiB, going on with 1",
    ]


def test_too_little_for_the_smallest_tile_is_out_of_memory_only_after_it_ran_out(job):
    def attempt(gib):
        if gib < 4:
            message = "expected at least 3 GiB"
            raise JobRefused(message)
        raise Full

    with pytest.raises(OutOfMemory, match="ran out of memory with 4 GiB, and with less: expected at least 3 GiB"):
        told(job, lambda events: halving(events, "memory_gib", 4.0, attempt, Full))
    with pytest.raises(JobRefused, match="expected at least 3 GiB"):
        told(job, lambda events: halving(events, "memory_gib", 2.0, attempt, Full))


@pytest.mark.parametrize("error", ["OutOfMemoryError", "ResourceExhaustedError"])
def test_what_torch_and_tensorflow_raise_without_memory_ends_a_job_with_code_3_and_a_sentence(tmp_path, job, error):
    """Classes of these names; neither framework is needed to see that they are known by name."""
    folder, image = tmp_path / "job", tmp_path / "image"
    folder.mkdir()
    image.mkdir()
    write_json(image / "algorithm.json", {"name": "full", "params": {}})
    raising = (
        f'class {error}(RuntimeError): ...\ndef predict(job, events): raise {error}("tried to allocate 2.00 GiB")\n'
    )
    (image / "run.py").write_text(raising)
    write_json(folder / "job.json", to_document(replace(job, device="cpu")))
    command = [sys.executable, "-m", "contract", "predict", folder / "job.json"]
    done = subprocess.run(command, env=os.environ | {"ALGORITHM_DIR": str(image)}, check=False)
    result = json.loads((folder / "result.json").read_text())
    assert (done.returncode, result["status"]) == (3, "out of memory")
    assert result["error"] == {"kind": "OutOfMemory", "message": "tried to allocate 2.00 GiB"}
