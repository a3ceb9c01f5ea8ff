"""Every error a user can meet: a message (what, where, expected, got), a hint (what to do) and an exit code."""

from __future__ import annotations


class CalmError(Exception):
    """Base of all errors that end a command with one sentence and a hint.

    Parameters
    ----------
    message : str
        What went wrong, where, what was expected and what was found.
    hint : str
        What to do next; a command where one exists.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BadInput(CalmError):
    """Something the user gave cannot be used; nothing was written."""

    exit_code = 2


class EngineMissing(BadInput):
    """The chosen engine is not installed or does not answer."""


class EngineFailed(CalmError):
    """The engine stopped working while it was used; what was written so far is kept."""

    exit_code = 6


class AlgorithmFailed(CalmError):
    """The algorithm itself failed inside its environment."""

    exit_code = 1


class OutOfMemory(CalmError):
    """The job needed more memory than it was given."""

    exit_code = 3


class DeviceMissing(CalmError):
    """The job asked for a device that is not there; there is never a silent fall-back."""

    exit_code = 4


class DidNotConverge(CalmError):
    """Training ended without a usable result; the run keeps the evidence."""

    exit_code = 5


class Interrupted(CalmError):
    """The user or the scheduler stopped the run; the same command resumes it."""

    exit_code = 130
