"""Whether anybody listens at an address of a daemon, asked before the Docker SDK is.

The SDK leaves its socket open when a connection is refused, and takes its whole timeout over a daemon that is stuck.
"""

from __future__ import annotations

import socket

_SCHEME = "unix://"
_TIMEOUT_S = 5


def refusal(address: str) -> str | None:
    """Return in a few words why nobody can be reached at an address, None when somebody listens.

    Parameters
    ----------
    address : str
        As DOCKER_HOST has it. Only `unix://` sockets are tried; of others, None is returned.
    """
    if not address.startswith(_SCHEME):
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as tried:
        tried.settimeout(_TIMEOUT_S)
        try:
            tried.connect(address.removeprefix(_SCHEME))
        except FileNotFoundError:
            return "no such socket"
        except PermissionError:
            return "permission denied"
        except OSError as error:
            return f"a socket that does not answer ({error.strerror or error})"
    return None
