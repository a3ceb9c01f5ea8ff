"""Small checks of this machine: each says what it found and, where something is wrong, what to do."""

from __future__ import annotations

import os
import platform
import pwd
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from orchestrator.algorithms.folders import in_environment, load_algorithms
from orchestrator.doctor.known_faults import faulty_locks
from orchestrator.doctor.nvidia import QUERY, CudaBuild, cuda_build, misfit, read_gpus
from orchestrator.doctor.old_images import leftovers
from orchestrator.domain import CURRENT, EngineName
from orchestrator.engines import engine_named, process
from orchestrator.engines.hardware import gpus
from orchestrator.engines.kernel import allows_user_namespaces
from orchestrator.engines.locks import read_lock
from orchestrator.engines.machine import FAST_FLAGS, NEEDED_FLAGS, SUBIDS, processor_flags, subordinate_ids
from orchestrator.engines.python import VERSION, found_python
from orchestrator.errors import CalmError
from orchestrator.paths import existing_parent, free_bytes_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.paths import Layout

_MIN_FREE_BYTES = 5 * 10**9  # wheels, environment and image of one algorithm
_MIN_MEMORY_BYTES = 4 * 2**30
_MIN_SHM_BYTES = 2**26
_CDI_FOLDERS = ("/etc/cdi", "/var/run/cdi")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    severity: Literal["ok", "note", "warning", "error"]
    message: str
    remedy: str = ""

    def document(self) -> dict[str, Any]:
        """Return the finding as JSON."""
        return asdict(self)


def examine(layout: Layout) -> tuple[Finding, ...]:
    """Run every check; none of them changes anything but for what an engine starts to answer."""
    checks: tuple[Callable[[Layout], Finding], ...] = (
        _python,
        *(_engine(name) for name in get_args(EngineName)),
        _users,
        _namespaces,
        _processor,
        _memory,
        _shared_memory,
        _disk,
        _old_images,
        _clock,
        _gpu,
        _cuda,
        _cdi,
        _known_faults,
    )
    return tuple(check(layout) for check in checks)


def _python(_: Layout) -> Finding:
    try:
        found = found_python() or f"Python {VERSION} for the environments will be downloaded"
        return Finding(check="python", severity="ok", message=str(found))
    except CalmError as error:
        return Finding(check="python", severity="error", message=error.message, remedy=error.hint)


def _engine(name: str) -> Callable[[Layout], Finding]:
    def check(layout: Layout) -> Finding:
        try:
            version = engine_named(name, layout).check()
        except CalmError as error:
            return Finding(check=name, severity="note", message=error.message, remedy=error.hint)
        return Finding(check=name, severity="ok", message=version)

    return check


def _disk(layout: Layout) -> Finding:
    free = free_bytes_at(layout.home)
    message = f"{free / 1e9:.0f} GB free at {existing_parent(layout.home)}"
    if free < _MIN_FREE_BYTES:
        return Finding(check="disk", severity="error", message=message, remedy="Free some, or move it with CALM_HOME.")
    return Finding(check="disk", severity="ok", message=message)


def _old_images(layout: Layout) -> Finding:
    found = leftovers(layout)
    if not found:
        return Finding(check="old images", severity="ok", message="none")
    counts = ", ".join(f"{len(one.names)} of {one.engine}" for one in found)
    return Finding(
        check="old images",
        severity="note",
        message=f"{counts}, which no algorithm folder of this checkout asks for",
        remedy="; ".join(one.command for one in found),
    )


def _memory(_: Layout) -> Finding:
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    message = f"{size / 2**30:.1f} GiB"
    if size < _MIN_MEMORY_BYTES:
        return Finding(
            check="memory", severity="warning", message=message, remedy="Use presets quick and smaller batches."
        )
    return Finding(check="memory", severity="ok", message=message)


def _shared_memory(_: Layout) -> Finding:
    folder = Path("/dev/shm")  # noqa: S108 - looked at, not written to
    if not folder.exists():
        return Finding(check="shared memory", severity="note", message="no /dev/shm", remedy="Nothing to do for venv.")
    size = shutil.disk_usage(folder).total
    severity: Literal["ok", "warning"] = "ok" if size >= _MIN_SHM_BYTES else "warning"
    remedy = "" if severity == "ok" else "Enlarge it: mount -o remount,size=1G /dev/shm"
    return Finding(check="shared memory", severity=severity, message=f"{size / 2**20:.0f} MiB", remedy=remedy)


def _users(_: Layout) -> Finding:
    """Look for the ids that Podman and Apptainer give to the users of an image when they run without root."""
    if os.getuid() == 0:
        return Finding(check="user ids", severity="ok", message="running as root; outputs will belong to root")
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        message = f"the user number {os.getuid()} has no name on this machine"
        remedy = "apptainer refuses to run without one; ask the administrator to add it, or use another --engine."
        return Finding(check="user ids", severity="note", message=message, remedy=remedy)
    found = min(subordinate_ids(_text(path), name, os.getuid()) for path in ("/etc/subuid", "/etc/subgid"))
    message = f"{found} subordinate ids for {name}"
    if found < SUBIDS:
        remedy = (
            f"Rootless podman needs {SUBIDS}: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}"
        )
        return Finding(check="user ids", severity="note", message=message, remedy=remedy)
    return Finding(check="user ids", severity="ok", message=message)


def _namespaces(_: Layout) -> Finding:
    if allows_user_namespaces():
        return Finding(check="namespaces", severity="ok", message="ordinary users may make them")
    remedy = "Apptainer then keeps the host's network, and run.json says so; ask the administrator about sysctl user.*"
    return Finding(check="namespaces", severity="note", message="ordinary users may not make them", remedy=remedy)


def _processor(_: Layout) -> Finding:
    machine, flags = platform.machine(), processor_flags(_text("/proc/cpuinfo"))
    missing = sorted(NEEDED_FLAGS - flags)
    if machine != "x86_64" or missing:
        message = f"{machine} without {', '.join(missing)}" if missing else machine
        remedy = "The locks hold packages for x86-64-v2 processors on Linux; use such a machine."
        return Finding(check="processor", severity="error", message=message, remedy=remedy)
    slow = sorted(FAST_FLAGS - flags)
    if slow:
        remedy = "Jobs run, but slowly."
        return Finding(
            check="processor", severity="note", message=f"{machine} without {', '.join(slow)}", remedy=remedy
        )
    return Finding(check="processor", severity="ok", message=f"{machine}, {os.cpu_count()} cores, AVX2")


def _clock(_: Layout) -> Finding:
    """Notice a clock behind the files of calm itself: certificates look invalid then, and results older than inputs."""
    written = max(path.stat().st_mtime for path in Path(__file__).parents[1].rglob("*.py"))
    now = time.time()
    message = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now))
    if now < written:
        remedy = "Set the clock; downloads will fail with certificate errors until then."
        return Finding(check="clock", severity="warning", message=f"{message}, behind calm itself", remedy=remedy)
    return Finding(check="clock", severity="ok", message=message)


def _gpu(_: Layout) -> Finding:
    if not gpus():
        remedy = "Only --device cuda needs one; install the NVIDIA driver if there is a card."
        return Finding(check="gpu", severity="note", message="no NVIDIA GPU device on this machine", remedy=remedy)
    try:
        found = read_gpus(process.run(QUERY))
    except CalmError as error:
        return Finding(check="gpu", severity="warning", message=error.message, remedy="Repair the NVIDIA driver.")
    if not found:
        remedy = "Repair the NVIDIA driver, or ask the scheduler for a GPU."
        return Finding(
            check="gpu", severity="warning", message="a device node, but nvidia-smi finds none", remedy=remedy
        )
    return Finding(check="gpu", severity="ok", message="; ".join(gpu.sentence() for gpu in found))


def _cuda(layout: Layout) -> Finding:
    """Compare what every cuda lock holds with the driver and the GPUs."""
    builds = _cuda_builds(layout)
    message = "; ".join(f"{build.sentence()}: {', '.join(names)}" for build, names in builds.items())
    message = message or "no lock holds CUDA"
    if not gpus():
        return Finding(check="cuda", severity="note", message=f"{message}; no GPU to compare with")
    try:
        found = read_gpus(process.run(QUERY))
    except CalmError:
        found = ()
    if not found:
        remedy = "See the check of the GPU: whether they fit can be told once nvidia-smi answers."
        return Finding(check="cuda", severity="warning", message=f"{message}; no driver answers", remedy=remedy)
    reasons = sorted({reason for gpu in found for build in builds if (reason := misfit(gpu, build))})
    if reasons:
        remedy = (
            "Update a driver that is too old; instead of a GPU without code choose another with CUDA_VISIBLE_DEVICES, "
            "or use --device cpu; calm never falls back by itself."
        )
        return Finding(check="cuda", severity="warning", message="; ".join(reasons), remedy=remedy)
    return Finding(check="cuda", severity="ok", message=message)


def _cuda_builds(layout: Layout) -> dict[CudaBuild, list[str]]:
    """Return what the cuda locks hold, and in which environments of which algorithms."""
    found: dict[CudaBuild, list[str]] = {}
    for plain in load_algorithms(layout.containers).values():
        for one in (in_environment(plain, name) for name in (CURRENT, *plain.environments)):
            lock = one.lock("cuda")
            versions = {pin.name: pin.version for pin in read_lock(lock)} if lock.exists() else {}
            if (build := cuda_build(versions)) is not None:
                found.setdefault(build, []).append(one.full_name)
    return found


def _cdi(_: Layout) -> Finding:
    found = sorted(str(path) for folder in _CDI_FOLDERS for path in Path(folder).glob("*nvidia*"))
    if found or not gpus():
        return Finding(check="cdi", severity="ok" if found else "note", message=", ".join(found) or "no specification")
    remedy = "podman needs it for --device cuda: nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
    return Finding(check="cdi", severity="warning", message="no specification for the GPU", remedy=remedy)


def _known_faults(layout: Layout) -> Finding:
    found = faulty_locks(layout.containers)
    if not found:
        return Finding(check="known faults", severity="ok", message="no lock holds a release of known_faults.yaml")
    message = "; ".join(f"{sentence} in {', '.join(locks)}" for sentence, locks in found.items())
    remedy = "Raise the version in requirements.in of that folder and run `calm lock`; results will differ in bits."
    return Finding(check="known faults", severity="warning", message=message, remedy=remedy)


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
