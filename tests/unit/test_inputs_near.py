"""Copies of inputs on a disk of the node: a job reads them and nothing else, and they are gone with it."""

from __future__ import annotations

import pytest

from contract.job import Inputs, Job
from orchestrator.errors import BadInput
from orchestrator.runs.near import near


@pytest.fixture
def job(tmp_path):
    """Return a job on two movies of one name, one of which is predicted too."""
    files = []
    for folder in ("day1", "day2"):
        (tmp_path / folder).mkdir()
        files.append(tmp_path / folder / "movie.tif")
        files[-1].write_bytes(folder.encode())
    return Job(
        folder=tmp_path, job="train", command="train", axes=None, frame_rate_hz=None,
        inputs=Inputs(train=(files[1], files[0]), noisy=(files[0],)),
        checkpoint=tmp_path / "checkpoint", predictions=tmp_path / "predictions",
        seed=1, device="cpu", threads=1, precision="float32",
    )  # fmt: skip


def test_every_file_is_copied_once_and_keeps_name_role_and_order(job, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    with near(job, disk) as given:
        assert all(path.is_relative_to(disk) for path in given.inputs.files)
        assert [path.read_bytes() for path in given.inputs.train] == [b"day2", b"day1"]
        assert given.inputs.noisy == (given.inputs.train[1],)
        assert {path.name for path in given.inputs.files} == {"movie.tif"}
        order = [path.read_bytes() for path in given.inputs.files]
        assert order == [path.read_bytes() for path in job.inputs.files]
    assert [*disk.iterdir()] == []


def test_without_a_folder_the_job_stays_as_it_is(job):
    with near(job, None) as given:
        assert given is job


def test_a_folder_that_is_not_on_this_node_is_refused(job, tmp_path):
    with pytest.raises(BadInput, match="expected a disk of this node for copies of the inputs, got no such folder"):
        with near(job, tmp_path / "none"):
            pass


def test_an_error_of_the_job_itself_is_not_taken_for_one_of_the_disk(job, tmp_path):
    with pytest.raises(FileNotFoundError), near(job, tmp_path):
        open("/no/such/file")  # noqa: PTH123, SIM115 - as a job might
