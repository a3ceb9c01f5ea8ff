"""SIFs: made from an archive without a daemon, compared with the image, reused, and refused where they differ."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from orchestrator import errors
from orchestrator.algorithms.folders import load_algorithms
from orchestrator.engines import container_engines
from orchestrator.engines.image import image_of, prepare
from orchestrator.engines.sif import check_content, find_sif, make_sif
from orchestrator.engines.tree import read_archive
from orchestrator.paths import layout

pytestmark = [pytest.mark.engine("apptainer"), pytest.mark.engine("docker")]


@pytest.fixture(scope="module")
def image():
    """Return the image of identity, built by Docker."""
    where = layout()
    algorithm = load_algorithms(where.containers)["identity"]
    found = image_of(algorithm, "cpu", where)
    engine = container_engines(where)[0]
    if engine.find(found) is None:
        prepare(algorithm, found, where)
        engine.build(found)
    return found


@pytest.fixture(scope="module")
def archive(image, tmp_path_factory):
    """Return the image as `docker save` writes it."""
    path = tmp_path_factory.mktemp("archives") / "identity.tar"
    with path.open("wb") as stream:
        container_engines(layout())[0].save(image, stream)
    return path


@pytest.fixture(scope="module")
def home(archive, tmp_path_factory):
    """Return a cache that holds nothing but the SIF, made by the command where no daemon answers."""
    folder = tmp_path_factory.mktemp("home")
    done = _sif(folder, "--archive", archive)
    assert done.returncode == 0, done.stderr
    return folder


def _sif(home, *options):
    nobody = f"unix://{home}/none.sock"
    code = "from orchestrator.cli import main; main()"
    environment = {
        "CALM_HOME": str(home),
        "DOCKER_HOST": nobody,
        "CONTAINER_HOST": nobody,
        "PATH": "/usr/bin:/bin:/sbin",
    }
    command = [sys.executable, "-c", code, "sif", "identity", *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_a_sif_is_named_by_the_digest_of_its_image_and_says_what_it_was_made_from(home, image, archive):
    sif = home / "sif" / f"identity-cpu-{image.digest[:12]}.sif"
    document = json.loads(sif.with_suffix(".json").read_text())
    assert document["image"] == image.digest
    assert document["identifier"] == container_engines(layout())[0].find(image)
    assert document["entries"] == len(read_archive(archive).tree)
    left = {path.name for path in (home / "sif").iterdir()}
    assert left == {sif.name, sif.with_suffix(".json").name, sif.with_suffix(".lock").name}


def test_a_finished_sif_is_reused_without_archive_or_daemon(home, image):
    (sif,) = (home / "sif").glob("*.sif")
    before = sif.stat().st_mtime_ns
    found = make_sif(replace(layout(), home=home), image, lambda _: pytest.fail("asked for an archive"), print)
    assert found.path == sif
    assert sif.stat().st_mtime_ns == before


def test_a_sif_that_differs_from_its_image_in_one_file_is_refused_by_name(home, archive):
    (sif,) = (home / "sif").glob("*.sif")
    saved = read_archive(archive)
    check_content(sif, saved)
    name = "opt/calm/algorithm/run.py"
    other = replace(saved, tree={**saved.tree, name: replace(saved.tree[name], sha256="0" * 64)})
    with pytest.raises(errors.AlgorithmFailed, match=f"1 differences: /{name}: expected file"):
        check_content(sif, other)


def test_an_archive_of_another_image_is_refused_and_nothing_is_left(archive, image, tmp_path):
    other = replace(image, digest="0" * 64)
    with pytest.raises(errors.BadInput, match="expected the image 000000000000"):
        make_sif(replace(layout(), home=tmp_path), other, lambda _: archive, print)
    assert find_sif(replace(layout(), home=tmp_path), other) is None
    assert {path.suffix for path in (tmp_path / "sif").iterdir()} == {".lock"}


def test_without_sif_archive_and_daemon_the_next_step_is_said(tmp_path):
    done = _sif(tmp_path)
    assert done.returncode == errors.EngineMissing.exit_code
    assert "calm sif ALGORITHM --archive FILE" in done.stderr


def test_the_lock_of_a_dead_process_is_free(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from filelock import FileLock\n"
        "with FileLock(Path(sys.argv[1])): print('held', flush=True); os.kill(os.getpid(), 9)"
    )
    dead = subprocess.run([sys.executable, "-c", code, tmp_path / "lock"], capture_output=True, text=True, check=False)
    assert (dead.returncode, dead.stdout) == (-9, "held\n")
    with FileLock(Path(tmp_path / "lock")):
        pass
