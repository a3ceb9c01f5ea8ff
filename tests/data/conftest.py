"""A local web server that misbehaves on request."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass(kw_only=True)
class Served:
    """One file of the server, and what goes wrong with it; every list holds one entry for each request, then stops."""

    content: bytes
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)  # bytes sent before the connection is closed
    stall_after: list[int] = field(default_factory=list)  # bytes sent before the server falls silent
    flip: list[int] = field(default_factory=list)  # index of a byte that arrives wrong
    status: list[int] = field(default_factory=list)  # answers instead of the file


class Server:
    """A web server on 127.0.0.1 in a thread of its own."""

    def __init__(self):
        self.files: dict[str, Served] = {}
        self.requests: list[tuple[str, str | None]] = []  # path and Range header, in order
        self.released = threading.Event()  # ends the silence of stalled answers
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._http.block_on_close = False
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def record(self, number: int, licence: str = "cc-by-4.0") -> str:
        """Serve a record, in the form of Zenodo, that lists all files there are; return its address."""
        files = [
            {
                "key": name,
                "size": len(served.content),
                "checksum": f"md5:{hashlib.md5(served.content).hexdigest()}",  # noqa: S324 - what Zenodo publishes
                "links": {"self": f"{self.url}/{name}"},
            }
            for name, served in self.files.items()
            if not name.startswith("api/")
        ]
        document = {"id": number, "metadata": {"license": {"id": licence}}, "files": files}
        self.files[f"api/records/{number}"] = Served(content=json.dumps(document).encode())
        return f"{self.url}/api/records/{number}"

    def close(self):
        self.released.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _handler(server):  # noqa: N805 - `self` is the handler below
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.lstrip("/")
                server.requests.append((name, self.headers.get("Range")))
                served = server.files.get(name)
                status = 404 if served is None else served.status.pop(0) if served.status else None
                if status is not None:
                    self.send_error(status)
                    return
                with suppress(ConnectionError):  # the client may have given up
                    self._send(served)

            def _send(self, served):
                start = 0
                if served.ranges and (asked := self.headers.get("Range")):
                    start = int(asked.removeprefix("bytes=").removesuffix("-"))
                body = bytearray(served.content[start:])
                if served.flip:
                    body[served.flip.pop(0) - start] ^= 0xFF
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(body)))
                if start:
                    size = len(served.content)
                    self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
                self.end_headers()
                if served.stall_after:
                    self.wfile.write(body[: served.stall_after.pop(0)])
                    self.wfile.flush()
                    server.released.wait(10)
                elif served.cut_after:
                    self.wfile.write(body[: served.cut_after.pop(0)])
                    self.close_connection = True
                else:
                    self.wfile.write(body)

            def log_message(self, *_):
                """Stay silent."""

        return Handler


@pytest.fixture
def served():
    """Return the class of a served file."""
    return Served


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running = Server()
    yield running
    running.close()
