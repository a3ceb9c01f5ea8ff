"""What building environments will download, said before it begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.engines.locks import read_lock
from orchestrator.engines.python import VERSION, found_python
from orchestrator.engines.sizes import read_sizes
from orchestrator.engines.wheelhouse import wheels_here

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.domain import Image
    from orchestrator.paths import Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class Download:
    """What building environments will download.

    Parameters
    ----------
    packages, unknown : int
        How many packages there are, and of how many of them nobody recorded the size.
    bytes : int
        Of the others; pip may find some of them on this machine.
    python : bool
        Whether the Python of the environments is to be downloaded, too; nothing tells its size before.
    """

    packages: int
    bytes: int
    unknown: int
    python: bool

    def __str__(self) -> str:
        sizes = [f"at most {self.bytes / 1e6:.0f} MB"] if self.bytes or not self.unknown else []
        sizes += [f"{self.unknown} of unknown size"] if self.unknown else []
        parts = [f"{self.packages} packages, {' and '.join(sizes)}"] if self.packages else []
        parts += [f"Python {VERSION}, size unknown"] if self.python else []
        return f"to download: {'; '.join(parts) or 'nothing'}"


def download_of(images: Iterable[Image], layout: Layout) -> Download:
    """Return what is to be downloaded for images; wheels that any wheelhouse holds are not."""
    pinned = [image for image in images if not image.python]
    here = wheels_here(layout.wheels)
    wanted: dict[str, int | None] = {}
    for image in pinned:
        if not image.wheelhouse.exists():
            sizes = read_sizes(image.lock)
            wanted |= {pin.sha256: sizes.get(pin.sha256) for pin in read_lock(image.lock) if pin.sha256 not in here}
    known = [size for size in wanted.values() if size is not None]
    return Download(
        packages=len(wanted),
        bytes=sum(known),
        unknown=len(wanted) - len(known),
        python=bool(pinned) and found_python() is None,
    )
