"""result.json lists every file that a job made, with checksum and size."""

from __future__ import annotations

import hashlib
import json

import pytest

from contract.events import Events
from contract.job import Inputs, Job
from contract.result import Ending, write_result

MADE = (
    "checkpoint/network.pt",
    "predictions/extra/trend_only/val/movie.tif",
    "predictions/extra/trend_only/train/movie.tif",
    "predictions/extra/train/settling/movie.tif.json",
    "predictions/extra/train/sd/movie.tif",
    "predictions/extra/val/sd/train",  # a movie of this name
    "predictions/train/movie.tif",
    "predictions/val/movie.tif",
)


@pytest.fixture
def files(tmp_path):
    """Return a function that gives the files in the result of a job, in the order of the result."""
    for name in MADE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())

    def of(command, split):
        job = Job(
            folder=tmp_path / command,
            job="test",
            command=command,
            axes="TYX",
            frame_rate_hz=None,
            inputs=Inputs(),
            checkpoint=tmp_path / "checkpoint",
            predictions=tmp_path / "predictions" / split,
            seed=1,
            device="cpu",
            threads=1,
            precision="float32",
        )
        job.folder.mkdir()
        events = Events(job.folder / "events.jsonl")
        write_result(job.folder, job, Ending(status="ok"), events, upstream=None, versions={})
        events.close()
        return json.loads((job.folder / "result.json").read_text())["files"]

    return of


def test_a_predict_job_lists_its_predictions_and_what_lies_beside_them_for_its_split(files):
    listed = files("predict", "train")
    assert [file["path"] for file in listed] == [
        "extra/train/sd/movie.tif",
        "extra/train/settling/movie.tif.json",
        "extra/trend_only/train/movie.tif",
        "train/movie.tif",
    ]
    content = b"predictions/extra/train/sd/movie.tif"  # each file holds its name
    assert listed[0]["sha256"] == hashlib.sha256(content).hexdigest()
    assert listed[0]["bytes"] == len(content)


def test_a_train_job_lists_its_checkpoint_only(files):
    assert [file["path"] for file in files("train", "none")] == ["checkpoint/network.pt"]
