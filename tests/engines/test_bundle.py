"""Offline bundles for real: made here, loaded into empty caches and run, both without any network."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile

import pytest

pytestmark = pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run(["unshare", "--map-root-user", "--net", "true"], check=False).returncode != 0,
    reason="needs `unshare --net`, to take the network away",
)


def _offline(command, environment):
    """Run a command where no network device is up."""
    command = ["unshare", "--map-root-user", "--net", *command]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize(
    ("images", "engine"),
    [
        ("none", "venv"),
        pytest.param("archive", "docker", marks=pytest.mark.engine("docker")),
        pytest.param("sif", "apptainer", marks=[pytest.mark.engine("apptainer"), pytest.mark.engine("docker")]),
    ],
)
def test_a_bundle_brings_all_that_a_run_needs(calm, tmp_path, movie, images, engine):
    def offline(*arguments):
        return _offline(calm.command(*arguments), calm.environment(CALM_HOME=str(tmp_path / "empty")))

    made = calm("bundle", "create", tmp_path / "calm.tar", "identity", "--images", images)
    assert made.returncode == 0, made.stderr
    verified = offline("bundle", "verify", tmp_path / "calm.tar")
    assert verified.stdout.startswith("Every file is as it was packed.\nRoot digest")
    loaded = offline("bundle", "load", tmp_path / "calm.tar")
    assert loaded.returncode == 0, loaded.stderr
    done = offline("run", "identity", "--input", movie, "--engine", engine, "--threads", 1)
    assert done.returncode == 0, done.stderr
    assert "Building" not in done.stderr or engine == "venv"  # an environment is installed, from wheels in the bundle


def test_a_bundle_brings_every_package_of_calm_itself(calm, tmp_path):
    """What `make setup` installs, asked of pip with hashes, without index and network, as docs/engines.md has it."""
    made = calm("bundle", "create", tmp_path / "calm.tar", "identity", "--images", "none", "--calm")
    assert made.returncode == 0, made.stderr
    verified = calm("bundle", "verify", tmp_path / "calm.tar")
    assert verified.returncode == 0, verified.stdout  # with the wheels of Snakemake, which are of no image
    with tarfile.open(tmp_path / "calm.tar") as tar:
        tar.extractall(tmp_path, filter="data")
    packages = tmp_path / "calm"
    pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--report", "-", "--quiet"]
    lock = ["--require-hashes", "-r", str(packages / "requirements-dev.lock")]
    environment = calm.environment(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(packages))
    done = _offline([*pip, *lock], environment)
    assert done.returncode == 0, done.stderr
    assert '"name": "docker"' in done.stdout
