"""Whether a socket answers, told without the Docker SDK: a missing, a stale, a hanging, a closing and a served one."""

from __future__ import annotations

import socket
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.engines import sockets
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


@contextmanager
def _answering(path, answer):
    """Serve one connection: read the question, then send the answer and close."""
    with _bound(path) as served:
        served.listen()

        def serve():
            asked, _ = served.accept()
            with asked:
                assert asked.recv(100).startswith(b"GET /_ping ")
                asked.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


def test_a_served_socket_is_not_refused(path):
    with _answering(path, b"HTTP/1.0 200 OK\r\n\r\nOK"):
        assert refusal(f"unix://{path}") is None


def test_a_socket_that_is_closed_without_a_word_does_not_answer(path):
    with _answering(path, b""):
        assert refusal(f"unix://{path}") == "a socket that does not answer (closed)"


def test_a_daemon_that_hangs_is_given_up_and_not_waited_for_as_a_build_is(path, monkeypatch):
    """Somebody listens and never answers, as a stopped process does: the SDK would wait for ten minutes."""
    monkeypatch.setattr(sockets, "_TIMEOUT_S", 0.2)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with _bound(path) as served:
        served.listen()
        with pytest.raises(EngineMissing, match=r"does not answer \(timed out\)"):
            DockerServer().client()


def test_an_address_on_the_network_is_left_to_the_sdk():
    assert refusal("tcp://example.org:2376") is None


def test_docker_names_the_address_of_a_stale_socket_and_leaves_nothing_open(path, monkeypatch):
    """Pytest turns a socket left open into an error, which is how the SDK's own attempt failed."""
    _bound(path).close()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with pytest.raises(EngineMissing, match=rf"answers at unix://{path}, got a socket that does not answer"):
        DockerServer().client()
