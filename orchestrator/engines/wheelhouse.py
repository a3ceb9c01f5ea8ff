"""A wheelhouse: the wheels of a lock, downloaded once and compared with that lock whenever they are used."""

from __future__ import annotations

import hashlib
import math
import os
import shlex
import shutil
import tarfile
import zipfile
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from contract.files import sha256
from orchestrator.engines.locks import Pin, no_space, pip, read_lock
from orchestrator.engines.progress import SILENT, counted
from orchestrator.engines.sizes import read_sizes
from orchestrator.engines.stamps import changes, files_below, sums
from orchestrator.errors import BadInput, CalmError, EngineFailed
from orchestrator.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orchestrator.domain import Image
    from orchestrator.engines.progress import Progress
    from orchestrator.paths import Layout

LOCK = "requirements.lock"  # of the wheels themselves, which is what pip is given
_SOURCES = Path("sources")
_MB = 10**6
# The CPU wheels of torch are published here and not on the default index; asked only when that lacks one.
_CPU_WHEELS = "https://download.pytorch.org/whl/cpu"


def fill_wheelhouse(lock: Path, wheelhouse: Path, progress: Progress = SILENT) -> None:
    """Take the packages of a lock from other wheelhouses, download the rest, and build wheels of what comes as source.

    The hash of every file is compared with the lock.
    """
    wheelhouse.parent.mkdir(parents=True, exist_ok=True)
    with scratch(wheelhouse.parent) as made:
        folder = made / "wheels"
        folder.mkdir()
        missing = _link_known(read_lock(lock), wheels_here(wheelhouse.parent), folder)
        if missing:
            rest = made / "missing.lock"
            rest.write_text("".join(f"{pin.line}\n" for pin in missing), encoding="utf-8")
            _download(rest, folder, read_sizes(lock), progress)
        for source in sorted((*folder.glob("*.tar.gz"), *folder.glob("*.zip"))):
            _build_wheel(source, folder)
        sums_of_wheels = sums(made / "stamp", {path.name: path for path in folder.glob("*.whl")})
        (folder / LOCK).write_text(_wheel_lock(lock, sums_of_wheels), encoding="utf-8")
        folder.rename(wheelhouse)


def wheels_here(wheelhouses: Path) -> dict[str, Path]:
    """Return the wheels of all wheelhouses by the SHA-256 that they had when they came."""
    found: dict[str, Path] = {}
    for listed in sorted(wheelhouses.glob(f"*/{LOCK}")):
        files = {_package(path.name): path for path in listed.parent.glob("*.whl")}
        with suppress(BadInput, UnicodeDecodeError):  # damaged, which is told where it is used
            found |= {pin.sha256: files[pin.name] for pin in read_lock(listed) if pin.name in files}
    return found


def _link_known(pins: Sequence[Pin], here: Mapping[str, Path], folder: Path) -> list[Pin]:
    """Link the wheels that are here and whole, and return the pins of the others."""
    missing = []
    for pin in pins:
        path = here.get(pin.sha256)
        if path is not None and sha256(path) == pin.sha256:
            _put(path, folder / path.name)
        else:
            missing.append(pin)
    return missing


def _put(wheel: Path, target: Path) -> None:
    """Link a wheel, or copy it where a disk knows no links."""
    try:
        os.link(wheel, target)
    except OSError:
        shutil.copyfile(wheel, target)


def check_wheelhouse(image: Image, layout: Layout) -> None:
    """Compare the wheelhouse of an image, where it is there, with the lock of the checkout.

    Raises
    ------
    EngineFailed
        With the first file that is missing, extra or altered.
    """
    if not image.python and image.wheelhouse.exists():
        stamp = layout.stamps / f"{image.wheelhouse.name}.json"
        found = next(altered(image.lock, image.wheelhouse, stamp), None)
        if found is not None:
            message = f"{image.wheelhouse}: expected the wheels of {image.lock}, got others: {found}"
            hint = f"Delete it: rm -r {shlex.quote(str(image.wheelhouse))}; the same command downloads it again."
            raise EngineFailed(message, hint)


def altered(lock: Path, wheelhouse: Path, stamp: Path) -> Iterator[str]:
    """Say in words of each file of a wheelhouse that is not as a lock says what is wrong with it.

    A wheel must have the hash of its pin. One that was built here has another; its source, which has the hash of the
    pin, lies beside it, and the wheel must hold files of that source and nothing else.

    Parameters
    ----------
    lock : Path
        The lock of the algorithm folder; the one that lies beside the wheels proves nothing.
    wheelhouse : Path
        Folder of wheels.
    stamp : Path
        Remembers the contents.
    """
    found = sums(stamp, files_below(wheelhouse))
    pins = {pin.name: pin for pin in read_lock(lock)}
    pinned = {pin.sha256 for pin in pins.values()}
    expected = {name: digest for name, digest in found.items() if Path(name).parent == _SOURCES and digest in pinned}
    for name in [name for name in found if name.endswith(".whl")]:
        pin = pins.pop(_package(name), None)
        if pin is not None:
            expected[name] = _expected(name, pin, wheelhouse, found)
    yield from (f"{name}: missing" for name in sorted(pins))
    if not pins:
        expected[LOCK] = hashlib.sha256(_wheel_lock(lock, expected).encode()).hexdigest()
        yield from changes(expected, found)


def _expected(wheel: str, pin: Pin, wheelhouse: Path, found: Mapping[str, str]) -> str:
    """Return the sum that a wheel should have: its own where it was built of the source that the pin names."""
    sources = [name for name, digest in found.items() if digest == pin.sha256 and Path(name).parent == _SOURCES]
    if sources and _is_built_of(wheelhouse / sources[0], wheelhouse / wheel):
        return found[wheel]
    return pin.sha256


def _is_built_of(source: Path, wheel: Path) -> bool:
    """Return whether every file of a wheel, but for what describes it, is one of its source under the same name."""
    try:
        with tarfile.open(source) as tar, zipfile.ZipFile(wheel) as built:
            members = {member.name.partition("/")[2]: member for member in tar if member.isfile()}
            for name in built.namelist():
                if Path(name).parts[0].endswith(".dist-info"):
                    continue
                member = members.get(name) or members.get(f"src/{name}")
                stream = None if member is None else tar.extractfile(member)
                if stream is None or stream.read() != built.read(name):
                    return False
    except (OSError, tarfile.TarError, zipfile.BadZipFile):
        return False
    return True


def _package(wheel: str) -> str:
    """Return the name of the package of a wheel, as locks write it; an empty text where it has none."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename  # noqa: PLC0415 - once per start

    try:
        return str(parse_wheel_filename(wheel)[0])
    except InvalidWheelFilename:
        return ""


def _wheel_lock(lock: Path, wheels: Mapping[str, str]) -> str:
    """Return the text of the lock of the wheels: the same pins, by the sums of what was built as well."""
    by_package = {_package(name): digest for name, digest in wheels.items() if name.endswith(".whl")}
    pins = (Pin(name=pin.name, version=pin.version, sha256=by_package[pin.name]) for pin in read_lock(lock))
    return "".join(f"{pin.line}\n" for pin in pins)


def _download(lock: Path, folder: Path, sizes: Mapping[str, int], progress: Progress) -> None:
    arguments = ["download", "--quiet", "--no-deps", "--require-hashes", "-r", str(lock), "-d", str(folder)]
    with _bar(read_lock(lock), sizes, progress) as watch:
        try:
            pip(*arguments, watch=watch)
        except CalmError as first:
            if "+cpu" not in lock.read_text(encoding="utf-8") or no_space(first):
                raise
            try:
                pip(*arguments, "--extra-index-url", _CPU_WHEELS, watch=watch)
            except CalmError as second:
                if no_space(second):
                    raise
                raise first from None


@contextmanager
def _bar(pins: Sequence[Pin], sizes: Mapping[str, int], progress: Progress) -> Iterator[Callable[[Path], None]]:
    """Draw a bar of what pip has downloaded to its temporary folder: of MB, or of files where a size is not known."""
    known = [sizes[pin.sha256] for pin in pins if pin.sha256 in sizes]
    in_mb = len(known) == len(pins)
    steps = math.ceil(sum(known) / _MB) if in_mb else len(pins)

    def arrived(temporary: Path) -> int:
        sizes_bytes = [*_sizes_bytes(temporary)]
        return sum(sizes_bytes) // _MB if in_mb else len(sizes_bytes)

    with counted(progress, f"downloading {len(pins)} packages{', in MB' if in_mb else ''}", steps) as look:
        yield lambda temporary: look(partial(arrived, temporary))


def _sizes_bytes(temporary: Path) -> Iterator[int]:
    """Yield the sizes of what pip has downloaded so far; it may move or delete any of it at any moment."""
    for name, path in files_below(temporary).items():
        if name.startswith("pip-unpack-"):
            with suppress(FileNotFoundError):
                yield path.stat().st_size


def _build_wheel(source: Path, folder: Path) -> None:
    """Build a wheel and keep the source, which has the hash of the lock."""
    pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source))
    (folder / _SOURCES).mkdir(exist_ok=True)
    shutil.move(source, folder / _SOURCES / source.name)
