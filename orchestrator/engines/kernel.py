"""What the kernel says about memory and namespaces, whatever the engine."""

from __future__ import annotations

from pathlib import Path


def kernel_kills() -> int:
    """Return how many processes the kernel has killed for want of memory since the machine started.

    Memory limits included; 0 where the kernel does not say.
    """
    try:
        lines = Path("/proc/vmstat").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def allows_user_namespaces() -> bool:
    """Return whether an ordinary user may make namespaces; some clusters and distributions forbid it."""
    for path in ("/proc/sys/user/max_user_namespaces", "/proc/sys/kernel/unprivileged_userns_clone"):
        try:
            if int(Path(path).read_text(encoding="utf-8")) == 0:
                return False
        except OSError:
            continue
    return Path("/proc/self/ns/user").exists()
