"""How a job can end other than well; each class carries the status and the exit code of the contract."""

from __future__ import annotations


class JobError(Exception):
    """Base of the errors with which an algorithm ends a job on purpose."""

    status = "failed"
    exit_code = 1


class AlgorithmFailed(JobError):
    """The algorithm could not do its work, for a reason that is not the user's input."""


class JobRefused(JobError):
    """The job or its input cannot be used: unknown parameter, unreadable stack, movie too short."""

    status = "refused"
    exit_code = 2


class DiskFull(JobError):
    """A disk that the job wrote to is full, or a quota is used up; started again on a roomier one it goes on."""


class OutOfMemory(JobError):
    """The job needed more memory than there was."""

    status = "out of memory"
    exit_code = 3


class DeviceMissing(JobError):
    """The job names a device that is not there; there is never a silent fall-back to another one."""

    status = "device missing"
    exit_code = 4


class DidNotConverge(JobError):
    """Training ended without a usable result; the message holds the evidence."""

    status = "did not converge"
    exit_code = 5


class Interrupted(JobError):
    """The job was stopped from outside; started again it resumes."""

    status = "interrupted"
    exit_code = 130
