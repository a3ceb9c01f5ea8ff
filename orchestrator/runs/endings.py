"""How a job ended that did not end well, as an error with a hint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator import errors
from orchestrator.engines.failures import NO_SPACE_HINT, Evidence, diagnose, diagnose_words
from orchestrator.paths import refusal_of

if TYPE_CHECKING:
    from pathlib import Path

    from contract.job import Job
    from orchestrator.domain import Exit
    from orchestrator.records.record import Result

_LOG_TAIL_CHARACTERS = 4000
# Classes of errors as result.json names them: that of a full disk, and those whose words alone tell the fault, as
# torch and CUDA raise them. Any other message may hold a path of the user, whatever words that is made of.
_DISK_FULL = "DiskFull"
_PLAIN_ERRORS = ("AssertionError", "AcceleratorError", "InternalError", "RuntimeError")


def ending_of(job: Job, result: Result | None, ended: Exit, limit: int) -> errors.CalmError:
    """Turn how a job ended into an error with a hint."""
    log = job.folder / "log.txt"
    if result is None or result.error is None:
        return _crash(job, ended, limit, log)
    message = result.error.message
    kinds: dict[str, tuple[type[errors.CalmError], str]] = {
        "refused": (errors.BadInput, "Change the movie or the parameter that the message names."),
        "out of memory": (errors.OutOfMemory, "Raise --memory, or lower the batch or block size of the algorithm."),
        "device missing": (errors.DeviceMissing, "`calm doctor` checks the GPU; or use --device cpu."),
        "did not converge": (
            errors.DidNotConverge,
            f"The evidence is in {_evidence(job)}; try another preset or seed.",
        ),
        "interrupted": (errors.Interrupted, "The same command goes on where this one stopped."),
    }
    if result.error.kind == _DISK_FULL:
        return errors.AlgorithmFailed(f"{job.job}: {message}: no space left on a disk it wrote to", NO_SPACE_HINT)
    failure = diagnose_words(message) if result.error.kind in _PLAIN_ERRORS else None
    if failure is not None:  # libraries raise plain errors for a missing GPU or an old driver
        return failure.error(failure.sentence, f"{failure.hint} The log is {log}.")
    kind, hint = kinds.get(result.status, (errors.AlgorithmFailed, f"The whole story is in {log}."))
    return kind(message, hint)


def _evidence(job: Job) -> Path:
    """Return the figures that an algorithm judged its network by; its log where it wrote none."""
    figures = job.checkpoint / "evidence.json"
    return figures if figures.exists() else job.folder / "log.txt"


def _crash(job: Job, ended: Exit, limit: int, log: Path) -> errors.CalmError:
    refused = refusal_of(job.folder)
    if refused is not None:  # whatever else is seen may come of it
        message = f"{job.job}: ended without a result, and {job.folder} cannot be written to: {refused}"
        return errors.AlgorithmFailed(
            message, "Free some space there; the same command goes on where this one stopped."
        )
    tail = log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL_CHARACTERS:] if log.exists() else ""
    failure = diagnose(
        Evidence(
            job=job.job,
            code=ended.code,
            memory_limit_hit=ended.out_of_memory,
            host_out_of_memory=ended.host_out_of_memory,
            words=ended.output,
            log=tail,
            memory_bytes=limit,
        )
    )
    return failure.error(failure.sentence, f"{failure.hint} The log is {log}.")
