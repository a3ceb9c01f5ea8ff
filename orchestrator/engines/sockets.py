"""Whether anybody answers at an address of a daemon, asked before the Docker SDK is.

The SDK leaves its socket open when a connection is refused, and takes its whole timeout over a daemon that is stuck.
"""

from __future__ import annotations

import socket

_SCHEME = "unix://"
_TIMEOUT_S = 20  # for a busy machine; the SDK's own, made for builds, is ten minutes
_PING = b"GET /_ping HTTP/1.0\r\n\r\n"


def refusal(address: str) -> str | None:
    """Return in a few words why nobody can be reached at an address, None when somebody answers.

    A daemon that hangs still has its socket, and the kernel connects to it: only an answer tells them apart.
    """
    if not address.startswith(_SCHEME):
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as tried:
        tried.settimeout(_TIMEOUT_S)
        try:
            tried.connect(address.removeprefix(_SCHEME))
            tried.sendall(_PING)
            answer = tried.recv(1)
        except FileNotFoundError:
            return "no such socket"
        except PermissionError:
            return "permission denied"
        except OSError as error:  # a timeout among them
            return f"a socket that does not answer ({error.strerror or error})"
    return None if answer else "a socket that does not answer (closed)"
