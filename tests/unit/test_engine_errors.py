"""What a server of the Docker API answers when it cannot do what it is asked, as one sentence with an exit code.

The server is a real one on a socket of its own that gives one recorded answer to everything but the SDK's greeting.
"""

from __future__ import annotations

import json
import tempfile
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer

import pytest

from orchestrator import errors
from orchestrator.domain import Image
from orchestrator.engines.build import follow
from orchestrator.engines.containers import ContainerEngine
from orchestrator.engines.docker import DockerServer
from orchestrator.paths import layout

IMAGE = Image(
    algorithm="n2v", variant="cpu", digest="d" * 64, lock=Path("/l"), wheelhouse=Path("/w"), context=Path("/c")
)
GREETINGS = {"/_ping": "OK", "/v1.41/_ping": "OK", "/version": {"ApiVersion": "1.41", "Version": "20.10.24"}}


@pytest.fixture
def engine(monkeypatch, request):
    """Return Docker's engine, whose server refuses everything with the status and words of the test."""
    status, words = request.param

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self):
            known = self.path in GREETINGS
            body = json.dumps(GREETINGS[self.path] if known else {"message": words}).encode()
            self.send_response(200 if known else status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self):  # a socket of this family has no address to print
            return "client"

        def log_message(self, *_):
            """Print nothing."""

    with tempfile.TemporaryDirectory(prefix="calm-") as made:  # a socket's path must be short
        with UnixStreamServer(f"{made}/one.sock", Refusing) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            monkeypatch.setenv("DOCKER_HOST", f"unix://{made}/one.sock")
            yield ContainerEngine(server=DockerServer(), layout=layout())
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("engine", "error", "words"),
    [
        (
            (500, "write /var/lib/docker/tmp/GetImageBlob1: no space left on device"),
            errors.AlgorithmFailed,
            "no space left on a disk",
        ),
        ((500, "something went wrong"), errors.EngineFailed, "stopped answering"),
        ((400, "invalid reference format"), errors.AlgorithmFailed, "invalid reference format"),
    ],
    indirect=["engine"],
)
def test_a_refusal_is_named_by_its_words_and_not_taken_for_a_daemon_that_is_gone(engine, error, words):
    with pytest.raises(error, match=words) as caught:
        engine.find(IMAGE)
    assert type(caught.value) is error


@pytest.mark.parametrize("engine", [(500, "something went wrong")], indirect=True)
def test_a_server_that_greets_and_then_fails_is_missing_so_that_auto_goes_on(engine):
    """The SDK asks for the version without a number of the API, `check` with one."""
    with pytest.raises(errors.EngineMissing, match="something went wrong"):
        engine.check()


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        # What `docker build` streams where pip, or the engine itself, finds the disk full.
        ([{"stream": "ERROR: [Errno 28] No space left on device\n"}, {"error": "returned a non-zero code: 1"}], "Free"),
        ([{"error": "failed to copy files: write /wheels/x: no space left on device"}], "Free"),
        ([{"stream": "No matching distribution found\n"}, {"error": "returned a non-zero code: 1"}], "the lock"),
    ],
)
def test_a_build_on_a_full_disk_is_not_blamed_on_the_lock(said, hint):
    with pytest.raises(errors.AlgorithmFailed, match="building calm-n2v:cpu failed") as caught:
        follow(iter(said), "calm-n2v:cpu")
    assert hint in caught.value.hint
