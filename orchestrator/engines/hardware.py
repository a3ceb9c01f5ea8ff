"""What of a GPU can be seen without starting anything."""

from __future__ import annotations

from pathlib import Path

from contract.device import DEVICE_NODES
from orchestrator.errors import DeviceMissing


def gpus(devices: Path = Path("/dev")) -> tuple[str, ...]:
    """Return the device nodes of GPUs, sorted.

    Parameters
    ----------
    devices : Path
        Folder of device nodes.
    """
    return tuple(str(path) for pattern in DEVICE_NODES for path in sorted(devices.glob(pattern)))


def check_device(device: str, devices: Path = Path("/dev")) -> None:
    """Refuse device cuda on a machine without a GPU, before gigabytes are downloaded for it.

    Raises
    ------
    DeviceMissing
        When cuda is asked for and no device node is there.
    """
    if device == "cuda" and not gpus(devices):
        message = "device cuda was asked for, this machine has no NVIDIA GPU device (/dev/nvidia0)"
        raise DeviceMissing(message, "Use --device cpu, or install the NVIDIA driver; `calm doctor` checks it.")
