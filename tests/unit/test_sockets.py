"""Whether a socket answers, told without the Docker SDK: a missing, a stale and a served one."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

import pytest

from orchestrator.engines.docker import DockerServer
from orchestrator.engines.sockets import refusal
from orchestrator.errors import EngineMissing


@pytest.fixture
def path():
    """Return a free path for a socket, short enough for the kernel (108 bytes)."""
    with tempfile.TemporaryDirectory(prefix="calm-") as made:
        yield Path(made) / "one.sock"


def _bound(path):
    """Return a socket file, as a daemon makes it before it listens."""
    served = socket.socket(socket.AF_UNIX)
    served.bind(str(path))
    return served


def test_a_missing_socket_is_called_so(path):
    assert refusal(f"unix://{path}") == "no such socket"


def test_a_socket_that_its_daemon_left_behind_does_not_answer(path):
    _bound(path).close()
    assert path.exists()
    assert refusal(f"unix://{path}") == "a socket that does not answer (Connection refused)"


def test_a_served_socket_is_not_refused(path):
    with _bound(path) as served:
        served.listen()
        assert refusal(f"unix://{path}") is None


def test_an_address_on_the_network_is_left_to_the_sdk():
    assert refusal("tcp://example.org:2376") is None


def test_docker_names_the_address_of_a_stale_socket_and_leaves_nothing_open(path, monkeypatch):
    """Pytest turns a socket left open into an error, which is how the SDK's own attempt failed."""
    _bound(path).close()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with pytest.raises(EngineMissing, match=rf"answers at unix://{path}, got a socket that does not answer"):
        DockerServer().client()
