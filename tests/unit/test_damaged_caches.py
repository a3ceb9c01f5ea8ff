"""Documents of engines and sweeps, damaged in ten ways: exit code 2 or a `BadInput`, one sentence with the path."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from damages import DAMAGES

from orchestrator import paths
from orchestrator.algorithms.folders import load_algorithms
from orchestrator.cli import main
from orchestrator.documents import write_record, write_sealed
from orchestrator.engines import known
from orchestrator.engines.base import base_image
from orchestrator.engines.image import image_of
from orchestrator.engines.sif import Sidecar, sif_path
from orchestrator.errors import BadInput
from orchestrator.records.record import Choice
from orchestrator.sweep.records import Attempt, Entry, Place, Resources, Status, Sweep, Task, Wishes

CONTAINERS = Path(__file__).parents[2] / "containers"


@pytest.fixture
def sidecar(tmp_path, monkeypatch):
    """Return what lies beside a finished SIF of `mean`, on a machine with a program `apptainer`."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "apptainer"
    program.write_text("#!/bin/sh\necho apptainer version 1.4.5\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    where = replace(paths.layout(), home=tmp_path / "home", outputs=tmp_path / "outputs")
    monkeypatch.setattr(paths, "layout", lambda: where)
    image = image_of(load_algorithms(where.containers)["mean"], "cpu", where)
    sif = sif_path(where.sifs, image)
    sif.parent.mkdir(parents=True)
    sif.write_bytes(b"content")
    digest = hashlib.sha256(b"content").hexdigest()
    write_sealed(
        sif.with_suffix(".json"),
        Sidecar(
            algorithm="mean", apptainer="1.4.5", archive_sha256=digest, entries=12, identifier="sha256:12",
            image=image.digest, sha256=digest, variant="cpu",
        ),
    )  # fmt: skip
    return sif.with_suffix(".json")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_sidecar_of_a_sif_is_named_by_every_command_that_reads_it(sidecar, capsys, damage):
    DAMAGES[damage](sidecar)
    before = sidecar.read_bytes()
    for command in (("sif", "mean"), ("build", "mean", "--engine", "apptainer")):
        with pytest.raises(SystemExit) as ended:
            main([*command])
        error, hint = capsys.readouterr().err.splitlines()[-2:]
        assert ended.value.code == 2
        assert error.startswith(f"Error: {sidecar}: ")
        assert hint == "Hint: Delete it; `calm sif mean` makes it again."
    assert sidecar.read_bytes() == before
    assert sorted(path.suffix for path in sidecar.parent.iterdir() if path.suffix != ".lock") == [".json", ".sif"]


@pytest.mark.parametrize("damage", [one for one in DAMAGES if one != "digits swapped"])  # another digest, and as good
def test_a_damaged_lock_of_the_base_is_one_sentence_before_any_engine_is_asked(tmp_path, damage):
    shutil.copytree(CONTAINERS / "base", tmp_path / "containers" / "base")
    path = tmp_path / "containers" / "base" / "base.lock.json"
    DAMAGES[damage](path)
    with pytest.raises(BadInput, match=str(path)) as caught:
        base_image(None, replace(paths.layout(), root=tmp_path))
    assert caught.value.hint == "Check it out again: git checkout containers/base."


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_list_of_known_images_is_one_sentence(tmp_path, damage):
    path = tmp_path / "docker-mean.json"
    known.remember(path, "sha256:1234")
    DAMAGES[damage](path)
    with pytest.raises(BadInput, match=str(path)) as caught:
        known.checked(path, "sha256:1234", "docker", "calm-mean")
    assert caught.value.hint.startswith("Delete it")


GIVEN = Resources(cpus=1, gpus=0, memory_mb=1000, minutes=10)
TASK = Task(
    name="mean-demo-42", algorithm="mean", dataset="demo", inputs=(), reading=Choice(), experiment=None, prior=None,
    preset="default", params={"window": 13}, seed=42, threads=1, device="cpu", precision="float32",
    output_dtype="float32", wishes=Wishes(),
)  # fmt: skip
LAST = Attempt(
    state="failed", reason="", resources=GIVEN, host="node", process=12, job="7", began_s=12.5, ended_s=13.5, stage=""
)


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """Return the folder of a sweep of one task that failed."""
    where = replace(paths.layout(), home=tmp_path / "home", outputs=tmp_path / "outputs")
    monkeypatch.setattr(paths, "layout", lambda: where)
    folder = where.sweep("night")
    folder.statuses.mkdir(parents=True)
    place = Place(engine="venv", executor="local")
    write_record(folder.record, Sweep(name="night", place=place, entries=(Entry(task=TASK),)))
    write_record(folder.status(TASK.name), Status(task=TASK.name, attempts=(LAST,)))
    return folder


def _told(capsys, *command):
    with pytest.raises(SystemExit) as ended:
        main([*command])
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return ended.value.code, said.splitlines()


RESOURCES = '{"cpus": 1, "gpus": 0, "memory_mb": 1000, "minutes": 10}'


@pytest.mark.parametrize("damage", [one for one in DAMAGES if one != "digits swapped"])
@pytest.mark.parametrize("document", ["sweep.json", "status/mean-demo-42.json"])
def test_a_damaged_document_of_a_sweep_is_named_by_every_command_that_reads_it(sweep, capsys, document, damage):
    path = sweep.path / document
    DAMAGES[damage](path)
    for command in (("status",), ("status", "night", "--once"), ("task", "night", TASK.name, RESOURCES)):
        code, (*_, error, hint) = _told(capsys, *command)
        assert code == 2
        assert error.startswith(f"Error: {path}: ")
        assert hint.startswith("Hint: ")


@pytest.mark.parametrize("name", ["none", "../../../escaped"])
def test_a_task_that_a_sweep_does_not_have_is_refused_and_nothing_is_written(sweep, capsys, name):
    before = sorted(sweep.path.rglob("*"))
    code, (error, _) = _told(capsys, "task", "night", name, RESOURCES)
    assert (code, error) == (2, f"Error: {sweep.record}: expected a task {name} in the sweep, got 1 others")
    assert sorted(sweep.path.rglob("*")) == before
