"""One vocabulary for how jobs die: from what an engine saw to one sentence and the next thing to try."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import Literal

from orchestrator import errors

Kind = Literal[
    "gpu memory",
    "driver too old",
    "gpu missing",
    "shared memory",
    "no space",
    "memory limit",
    "host memory",
    "illegal instruction",
    "stopped",
    "killed",
    "crashed",
]

_SIGNALS_OF_SHELLS = 128  # a program that died of signal N is reported as 128 + N by shells and container engines
_TAIL_CHARACTERS = 500
NO_SPACE_HINT = "Free some below the run folder or the temporary folder; `calm doctor` shows the disk."

# What libraries and engines write, and what it means; the first that is found decides.
_WORDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (
        "gpu memory",
        re.compile(r"CUDA out of memory|CUDA error: out of memory|cudaErrorMemoryAlloc|CUBLAS_STATUS_ALLOC_FAILED"),
    ),
    (
        "driver too old",
        re.compile(
            r"driver version is insufficient|NVIDIA driver on your system is too old|unsatisfied condition: cuda"
            r"|no kernel image is available|forward compatibility was attempted"
        ),
    ),
    (
        "gpu missing",
        re.compile(
            r"could not select device driver|unresolvable CDI device|CDI device injection failed|no NVIDIA GPU device"
            r"|nvidia-container-cli: initialization error|libcuda\.so\.1: cannot open|Found no NVIDIA driver"
            r"|not compiled with CUDA enabled|Cannot get CUDA generator|No CUDA GPUs are available"
        ),
    ),
    ("shared memory", re.compile(r"insufficient shared memory|Bus error|unable to (?:open|write) .*shared memory")),
    # Small letters where Go says it, as Docker, Podman and Apptainer do, capitals where C and Python do.
    ("no space", re.compile(r"[Nn]o space left on device|[Dd]isk quota exceeded")),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What is known of a job that ended without a result.

    Parameters
    ----------
    job : str
        Name of the job, for the sentence.
    code : int
        Exit code; negative, or above 128, for a signal.
    memory_limit_hit : bool
        Whether the engine says that the memory limit was hit.
    host_out_of_memory : bool
        Whether the kernel ran out of memory on the machine while the job ran.
    words : str
        What the engine, and the program before its log began, printed.
    log : str
        Tail of the job's log.
    memory_bytes : int
        Memory limit of the job.
    """

    job: str
    code: int
    memory_limit_hit: bool = False
    host_out_of_memory: bool = False
    words: str = ""
    log: str = ""
    memory_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """A death with a name."""

    kind: Kind
    error: type[errors.CalmError]
    sentence: str
    hint: str

    def raised(self) -> errors.CalmError:
        """Return the failure as the error to raise."""
        return self.error(self.sentence, self.hint)


def diagnose(evidence: Evidence) -> Failure:
    """Name how a job died.

    What the engine knows outranks the signal, and the signal outranks what was printed, because a log may mention an
    error that the program survived; only a plain exit code is explained by words alone.

    Parameters
    ----------
    evidence : Evidence
        What is known.

    Returns
    -------
    Failure
        Kind, error class, sentence and hint.
    """
    number = signal_of(evidence.code)
    if evidence.memory_limit_hit:
        kind: Kind = "memory limit"
    elif evidence.host_out_of_memory and number == signal.SIGKILL:
        kind = "host memory"
    elif number is not None:
        kind = _KIND_OF_SIGNAL.get(number, "crashed")
    else:
        kind = _kind_of_words(f"{evidence.words}\n{evidence.log}") or "crashed"
    return _failure(kind, evidence)


def diagnose_words(words: str) -> Failure | None:
    """Name a failure by what an engine wrote when it refused to start a job, or the error that ended an algorithm.

    Parameters
    ----------
    words : str
        The words of the engine, beginning with its name, or of the algorithm.

    Returns
    -------
    Failure or None
        None where the words are not of this vocabulary.
    """
    kind = _kind_of_words(words)
    if kind is None:
        return None
    error, text, hint = _TEXTS[kind]
    return Failure(kind=kind, error=error, sentence=f"{words[-_TAIL_CHARACTERS:]}: {text}", hint=hint)


def signal_of(code: int) -> signal.Signals | None:
    """Return the signal that an exit code stands for, None for an ordinary exit code."""
    number = -code if code < 0 else code - _SIGNALS_OF_SHELLS
    return signal.Signals(number) if number in set(signal.Signals) else None


def engine_gone(engine: str, detail: str) -> errors.CalmError:
    """Return the error of an engine that stopped answering while it was used."""
    message = f"{engine}: the engine stopped answering while it was used ({detail.strip()[:200]})"
    return errors.EngineFailed(message, f"Start {engine} again; the same command goes on where this one stopped.")


def image_missing(engine: str, image: str) -> errors.CalmError:
    """Return the error of an image that was there when the run was planned and is not there any more."""
    message = f"{engine}: expected the image {image}, got none; it was deleted since it was built"
    return errors.EngineFailed(message, "The same command builds it again.")


def image_changed(engine: str, tag: str, expected: str, found: str) -> errors.CalmError:
    """Return the error of a name that was given to another image since calm built or loaded its own."""
    message = f"{engine}: expected {tag} to be the image {expected[:19]} that calm made, got {found[:19]}"
    hint = f"Somebody changed it. Remove it: {engine} rmi {tag}; the same command builds it again."
    return errors.EngineFailed(message, hint)


_KIND_OF_SIGNAL: dict[int, Kind] = {
    signal.SIGBUS: "shared memory",
    signal.SIGHUP: "stopped",
    signal.SIGILL: "illegal instruction",
    signal.SIGINT: "stopped",
    signal.SIGKILL: "killed",
    signal.SIGTERM: "stopped",
    signal.SIGUSR1: "stopped",
    signal.SIGUSR2: "stopped",
    signal.SIGXCPU: "stopped",
}

# Error class, sentence after the job's name, hint.
_TEXTS: dict[Kind, tuple[type[errors.CalmError], str, str]] = {
    "gpu memory": (
        errors.OutOfMemory,
        "the GPU has too little memory for it",
        "Lower the batch or block size of the algorithm, or set CUDA_VISIBLE_DEVICES to a free GPU.",
    ),
    "driver too old": (
        errors.DeviceMissing,
        "the NVIDIA driver or GPU of this machine does not fit the CUDA of the environment",
        "`calm doctor` compares them; update the driver, or use --device cpu.",
    ),
    "gpu missing": (
        errors.DeviceMissing,
        "device cuda was asked for, and no GPU could be used",
        "`calm doctor` checks GPU and engine; or use --device cpu.",
    ),
    "shared memory": (
        errors.OutOfMemory,
        "bus error: shared memory (/dev/shm) or a mapped file was too small for it",
        "`calm doctor` shows the size of /dev/shm; lower the number of data loading workers, or enlarge it.",
    ),
    "no space": (
        errors.AlgorithmFailed,
        "no space left on a disk it wrote to",
        NO_SPACE_HINT,
    ),
    "memory limit": (
        errors.OutOfMemory,
        "killed: it needed more than its memory limit of {limit:.1f} GiB",
        "Raise --memory, or lower the batch or block size of the algorithm.",
    ),
    "host memory": (
        errors.OutOfMemory,
        "killed by the kernel: a program of this machine ran out of memory while it ran",
        "End other programs, set --memory, or lower the batch or block size of the algorithm.",
    ),
    "illegal instruction": (
        errors.AlgorithmFailed,
        "illegal instruction: its compiled code uses instructions that this processor lacks",
        "`calm doctor` shows the processor; run it on a newer one.",
    ),
    "stopped": (
        errors.Interrupted,
        "stopped by {signal}, as schedulers do at the end of the walltime",
        "The same command goes on where this one stopped; ask the scheduler for more time.",
    ),
    "killed": (
        errors.Interrupted,
        "killed by SIGKILL, by a user or a scheduler; the kernel reports no lack of memory",
        "The same command goes on where this one stopped; ask the scheduler for its reason.",
    ),
    "crashed": (
        errors.AlgorithmFailed,
        "ended with exit code {code}{signal_words} and no result{said}",
        "The same command resumes the run.",
    ),
}


def _kind_of_words(words: str) -> Kind | None:
    return next((kind for kind, pattern in _WORDS if pattern.search(words)), None)


def _failure(kind: Kind, evidence: Evidence) -> Failure:
    error, text, hint = _TEXTS[kind]
    number = signal_of(evidence.code)
    said = (evidence.words.strip() or evidence.log.strip())[-_TAIL_CHARACTERS:]
    sentence = text.format(
        code=evidence.code,
        limit=evidence.memory_bytes / 2**30,
        said=f": {said}" if said else "",
        signal=number.name if number else "a signal",
        signal_words=f" ({number.name})" if number else "",
    )
    return Failure(kind=kind, error=error, sentence=f"{evidence.job}: {sentence}", hint=hint)
