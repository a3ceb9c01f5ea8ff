"""The border to files of other programs: whatever a library raises while it reads one becomes one sentence."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from contract.errors import JobRefused
from orchestrator.errors import BadInput, CalmError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OF_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
AGAIN = "Copy the file again from its source and compare checksums."


@contextmanager
def reading(path: Path, expected: str, hint: str) -> Iterator[None]:
    """Refuse a file when anything goes wrong in a block that reads it; libraries raise classes of their own.

    Parameters
    ----------
    path : Path
        The file.
    expected : str
        What it should be, in words.
    hint : str
        What to do where it is not.

    Raises
    ------
    BadInput
        With the words of the library.
    """
    try:
        yield
    except CalmError:
        raise
    except OSError as error:
        if error.errno in _OF_DISKS:  # a file was being unpacked, and is not to blame
            raise
        raise _refused(path, expected, hint, error) from error
    except JobRefused as error:  # names the file itself
        raise BadInput(str(error), hint) from error
    except Exception as error:  # struct.error, zlib.error, tokenize.TokenError, KeyError, MemoryError ...
        raise _refused(path, expected, hint, error) from error


def _refused(path: Path, expected: str, hint: str, error: Exception) -> BadInput:
    said = " ".join(str(error).split())
    said = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return BadInput(f"{path}: expected {expected}, got a file that cannot be read ({said})", hint)
