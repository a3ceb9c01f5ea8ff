"""Daemons: one that stops during a job, one that calm serves itself, and which engine is taken where none answers."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator import errors
from orchestrator.algorithms.folders import load_algorithm
from orchestrator.engines import chosen_engine, container_engines
from orchestrator.engines.docker import DockerServer
from orchestrator.engines.image import image_of
from orchestrator.paths import layout


class Daemon:
    """A daemon that a test may stop."""

    def __init__(self, command, socket, folder):
        self.command, self.socket, self.log = command, socket, folder / "daemon.log"

    def __enter__(self):
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        return self.process

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)

    def _answers(self):
        address = ["curl", "--silent", "--fail", "--unix-socket", self.socket, "http://localhost/_ping"]
        return subprocess.run(address, capture_output=True, check=False).returncode == 0


@pytest.fixture
def own_podman(tmp_path, monkeypatch, probe):
    """Serve Podman's API on a socket of the test, and return the process."""
    with tempfile.TemporaryDirectory(prefix="calm-podman-") as made:  # a socket's path must be short
        address = f"unix://{made}/podman.sock"
        with Daemon(
            ["podman", "system", "service", "--time=0", address], Path(made) / "podman.sock", tmp_path
        ) as process:
            monkeypatch.setenv("CONTAINER_HOST", address)
            yield process
    monkeypatch.undo()
    for name in probe.containers("podman"):  # Podman's containers do not need the server and go on without it
        subprocess.run(["podman", "rm", "--force", "--time", "1", name], check=True, capture_output=True)


@pytest.fixture
def own_docker(tmp_path, monkeypatch, probe):
    """Start a second Docker daemon that holds the probe's image, and return its process."""
    if shutil.which("dockerd") is None or os.getuid() != 0:
        pytest.skip("needs the program dockerd and root, to start a daemon that may be stopped")
    engine, image = probe.built("docker")
    with tempfile.TemporaryDirectory(prefix="calm-dockerd-") as made:  # a socket's path must be short
        folder = Path(made)
        socket = folder / "docker.sock"
        state = ["--data-root", folder / "data", "--exec-root", folder / "exec", "--pidfile", folder / "pid"]
        network = ["--bridge", "none", "--iptables=false", "--ip-masq=false"]
        command = [str(word) for word in ("dockerd", *state, "-H", f"unix://{socket}", *network)]
        with Daemon(command, socket, tmp_path) as process:
            with (folder / "image.tar").open("wb") as archive:
                engine.save(image, archive)
            monkeypatch.setenv("DOCKER_HOST", f"unix://{socket}")
            replace(engine, server=DockerServer()).load(folder / "image.tar", image)
            yield process


# The Docker SDK leaves a socket open where it fails to connect, which happens here because the daemon is gone.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_daemon_that_stops_during_a_job_is_named_and_nothing_is_lost(probe, server, request):
    daemon = request.getfixturevalue(f"own_{server}")

    def stop():
        probe.wait_until_it_sleeps()
        daemon.terminate()

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(errors.EngineFailed, match=f"{server}: the engine stopped answering"):
        probe.run(server, act="sleep")
    stopper.join()
    gc.collect()  # so that the open socket is noticed in this test and not in another
    assert list(probe.folder.glob("outputs/*/*/train/result.json"))


SERVED = """
import orchestrator.engines.podman as podman
podman.addresses = lambda *_: ()
print(podman.PodmanServer().client().version()["Version"])
"""


@pytest.mark.engine("podman")
def test_podman_is_served_by_calm_where_nobody_serves_it_and_stopped_with_it(tmp_path):
    """What a user without a running socket has: only the program podman."""
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", SERVED], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(".") == 2
    assert list(tmp_path.iterdir()) == []
    assert str(tmp_path) not in "".join(_commands())


def _commands():
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_text(errors="replace")
        except OSError:
            continue


def test_auto_says_in_one_line_which_engine_it_is(tmp_path, monkeypatch, probe):
    """DOCKER_HOST and CONTAINER_HOST name sockets that nobody serves; neither podman nor apptainer is found."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("CONTAINER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("PATH", str(tmp_path))
    said = []
    image = image_of(load_algorithm(probe.source), "cpu", layout())
    assert chosen_engine("auto", layout(), image, said.append).name == "venv"
    (line,) = said
    assert line.startswith("Engine: venv ")
    assert "docker, podman, apptainer cannot be used here" in line


def test_servers_are_tried_in_the_order_of_the_manual():
    assert [engine.name for engine in container_engines(layout())] == ["docker", "podman"]
