"""A state of a training that cannot be used is set aside, so that the next start does not fail for ever."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from damages import DAMAGES

from contract.errors import AlgorithmFailed, JobRefused
from contract.events import Events
from contract.files import write_json
from contract.job import Inputs, Job
from contract.training import run_steps

STEPS = 6


class Store:
    """Keeps the state as JSON."""

    file_name = "state.json"

    def save(self, path, record, parts):
        """Write the state."""
        write_json(path, {**record, "parts": {name: list(part) for name, part in parts.items()}})

    def record(self, path):
        """Return all of it."""
        return json.loads(path.read_text())

    def restore(self, path, parts):
        """Put the state back."""
        for name, part in parts.items():
            part[:] = [float(one) for one in self.record(path)["parts"][name]]


@pytest.fixture
def job(tmp_path):
    """Return a train job in a folder of its own."""
    (tmp_path / "train").mkdir()
    (tmp_path / "movie.tif").write_bytes(b"frames")
    return Job(
        folder=tmp_path / "train", job="x/y/train", command="train", axes="TYX", frame_rate_hz=None,
        inputs=Inputs(train=(tmp_path / "movie.tif",)), checkpoint=tmp_path / "checkpoint",
        predictions=tmp_path / "predictions", params={}, seed=3, device="cpu", threads=1,
        precision="float32", output_dtype="float32",
    )  # fmt: skip


def _trained(job, steps=STEPS):
    """Train to a step and return what was learned, and what was told."""
    learned = [0.0]

    def step(_):
        learned[0] += float(np.random.random())  # noqa: NPY002 - seeded for every step
        return learned[0]

    with closing(Events(job.folder / "events.jsonl")) as events:
        run_steps(job, events, parts={"learned": learned}, steps=steps, step=step, store=Store())
    told = [json.loads(line).get("message", "") for line in (job.folder / "events.jsonl").read_text().splitlines()]
    return learned[0], [one for one in told if one]


@pytest.mark.parametrize("damage", [one for one in DAMAGES if one not in ("extra field", "digits swapped")])
def test_a_state_that_cannot_be_read_is_set_aside_and_the_training_starts_anew(job, damage):
    expected, _ = _trained(replace(job, checkpoint=job.folder.parent / "reference"))
    _trained(job, steps=3)
    state = job.checkpoint / "state.json"
    DAMAGES[damage](state)
    damaged = state.read_bytes()
    if damage == "missing field":  # the first is "done"
        assert "done" not in json.loads(damaged)
    found, told = _trained(job)
    assert found == expected
    aside = job.folder / "state.json.damaged"
    assert aside.read_bytes() == damaged
    assert f"{state} cannot be read (" in told[-1]
    assert f"lies at {aside}; training starts anew" in told[-1]
    assert [path.name for path in job.checkpoint.iterdir()] == ["state.json"]


def test_a_state_that_cannot_be_restored_ends_this_training_and_the_next_one_starts_anew(job):
    expected, _ = _trained(replace(job, checkpoint=job.folder.parent / "reference"))
    _trained(job, steps=3)
    state = job.checkpoint / "state.json"
    write_json(state, json.loads(state.read_text()) | {"parts": {"other": [1.0]}})
    with pytest.raises(AlgorithmFailed, match="the same command starts the training anew") as caught:
        _trained(job)
    assert str(state) in str(caught.value)
    assert _trained(job)[0] == expected


def test_a_state_of_another_job_is_refused_and_stays(job):
    _trained(job, steps=3)
    before = (job.checkpoint / "state.json").read_bytes()
    with pytest.raises(JobRefused, match="other params, seed or training stacks"):
        _trained(replace(job, seed=4))
    assert (job.checkpoint / "state.json").read_bytes() == before
