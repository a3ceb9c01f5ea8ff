"""The result: written last and atomically; a job without one has crashed."""

from __future__ import annotations

import platform
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contract import CONTRACT_VERSION
from contract.files import sha256, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract.events import Events
    from contract.job import Job


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How a job ended.

    Parameters
    ----------
    status : str
        "ok" or the status of a class in `contract.errors`.
    exit_code : int
        Exit code of the process.
    kind : str or None
        Class of the error.
    message : str or None
        One sentence of what, where, expected and got.
    """

    status: str
    exit_code: int = 0
    kind: str | None = None
    message: str | None = None


def write_result(  # noqa: PLR0913 - one argument per field of the record
    folder: Path,
    job: Job | None,
    ending: Ending,
    events: Events,
    *,
    upstream: dict[str, Any] | None,
    versions: dict[str, str],
) -> None:
    """Write `result.json` into the folder of the job.

    Parameters
    ----------
    folder : Path
        Folder of `job.json`.
    job : Job or None
        None when `job.json` could not be read.
    ending : Ending
        How it ended.
    events : Events
        Knows the clipped pixels of each prediction, and the size of the network.
    upstream : dict or None
        Name, version and commit of the upstream code.
    versions : dict
        Packages of the environment, name to version.
    """
    error = None if ending.kind is None else {"kind": ending.kind, "message": ending.message}
    document = {
        "contract": CONTRACT_VERSION,
        "status": ending.status,
        "error": error,
        "seconds": round(time.clock_gettime(time.CLOCK_MONOTONIC) - _started_s(), 3),
        "files": _outputs(job) if job is not None and ending.status == "ok" else [],
        "clipped_pixels": events.clipped_pixels,
        "network_parameters": events.network_parameters,
        "upstream": upstream,
        "versions": versions,
        "device": _device_name(job),
        "python": platform.python_version(),
        "peak_memory_bytes": _peak_memory_bytes(),
        "peak_gpu_bytes": _peak_gpu_bytes(),
    }
    write_json(folder / "result.json", document)


def _peak_memory_bytes() -> int:
    """Return the peak of this program; `ru_maxrss` would also count the one that started it on Linux, getrusage(2)."""
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS
    (line,) = (
        line for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM")
    )
    return int(line.split()[1]) * 1024


def _outputs(job: Job) -> list[dict[str, Any]]:
    """List what the job made, with checksums: the checkpoint, or predictions and what lies beside them."""
    made = job.checkpoint if job.command == "train" else job.predictions
    return [
        {"path": str(path.relative_to(made.parent)), "sha256": sha256(path), "bytes": path.stat().st_size}
        for path in sorted((*made.rglob("*"), *(_extras(job) if job.command == "predict" else ())))
        if path.is_file()
    ]


def _extras(job: Job) -> Iterator[Path]:
    """Find what a predict job wrote beside its predictions; jobs of other splits have folders of other names there."""
    folder = job.predictions.parent / "extra"
    for path in folder.rglob("*"):
        if job.predictions.name in path.relative_to(folder).parent.parts:
            yield path


def _started_s() -> float:
    """Return when this process began, in seconds of the monotonic clock (field 22 of proc(5) stat, in ticks)."""
    import os  # noqa: PLC0415 - used here only

    with open("/proc/self/stat", encoding="utf-8") as stat:  # noqa: PTH123 - not a file of the project
        ticks = int(stat.read().rsplit(")", 1)[1].split()[19])
    return ticks / os.sysconf("SC_CLK_TCK")


def _device_name(job: Job | None) -> str:
    if job is not None and job.device == "cuda" and "torch" in sys.modules:
        torch = sys.modules["torch"]
        if torch.cuda.is_available():
            return str(torch.cuda.get_device_name())
    return f"{platform.machine()} CPU"


def _peak_gpu_bytes() -> int:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return 0
    return int(torch.cuda.max_memory_allocated())
