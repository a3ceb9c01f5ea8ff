"""Wheels for a machine without network: listed and downloaded for its Python, and unpacked where nothing is installed.

Usage: python3 benchmarks/gpu/wheels.py --python 3.12 [--to DIR] [--list]

torch and numpy are left out: such a machine has its own. deepcad has only a source archive, which needs no building.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

_MOST_BYTES = 50 * 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """A package that a measurement needs beside torch and numpy.

    Parameters
    ----------
    pin : str
        As pip takes it; the version of the locks.
    module : str
        What is imported.
    source : bool
        Whether there is a source archive only.
    """

    pin: str
    module: str
    source: bool = False


PACKAGES = (
    Package(pin="tifffile==2026.3.3", module="tifffile"),
    Package(pin="pyyaml==6.0.3", module="yaml"),
    Package(pin="careamics==0.3.5", module="careamics"),
    Package(pin="pydantic==2.14.1", module="pydantic"),
    Package(pin="pydantic_core==2.50.1", module="pydantic_core"),
    Package(pin="annotated_types==0.8.0", module="annotated_types"),
    Package(pin="typing_inspection==0.4.5", module="typing_inspection"),
    Package(pin="typing_extensions==4.16.0", module="typing_extensions"),
    Package(pin="deepcad==1.2.0", module="deepcad", source=True),
)


def missing(names: tuple[str, ...]) -> list[str]:
    """Return those modules of a list that cannot be imported here; a folder of their name is not one of them."""
    specs = {name: importlib.util.find_spec(name) for name in names}
    return [name for name, spec in specs.items() if spec is None or spec.origin is None]


def unpack(wheels: tuple[Path, ...], to: Path) -> None:
    """Unpack what this interpreter lacks of `PACKAGES` from folders of wheels and source archives."""
    to.mkdir(parents=True, exist_ok=True)
    lacking = set(missing(tuple(package.module for package in PACKAGES)))
    for package in (one for one in PACKAGES if one.module in lacking):
        name, _, version = package.pin.partition("==")
        for archive in sorted(path for folder in wheels for path in folder.glob(f"{name}-{version}*")):
            if archive.suffix == ".whl":
                with zipfile.ZipFile(archive) as opened:
                    opened.extractall(to)  # noqa: S202 - a wheel that the caller chose
            else:
                _unpack_source(archive, f"{name}-{version}", package.module, to)
            break
    sys.path.insert(0, str(to))
    importlib.invalidate_caches()


def _unpack_source(archive: Path, root: str, module: str, to: Path) -> None:
    with tarfile.open(archive) as opened, tempfile.TemporaryDirectory(dir=to) as scratch:
        opened.extractall(scratch, filter="data")
        (Path(scratch) / root / module).rename(to / module)


def main() -> None:
    """List the wheels for a version of Python, or download them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=f"3.{sys.version_info.minor}", help="of the machine, for instance 3.12")
    parser.add_argument("--to", type=Path, default=Path("wheels"), help="folder; default: wheels")
    parser.add_argument("--list", action="store_true", help="print the pins and download nothing")
    options = parser.parse_args()
    if options.list:
        print("\n".join(package.pin for package in PACKAGES))
        return
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    forms = {
        False: ["--only-binary", ":all:", "--python-version", options.python, "--implementation", "cp"],
        True: ["--no-binary", ":all:"],
    }
    for source, form in forms.items():
        pins = [package.pin for package in PACKAGES if package.source == source]
        subprocess.run([*command, *form, "--dest", str(options.to), *pins], check=True)
    total = sum(path.stat().st_size for path in options.to.iterdir())
    print(f"{len(PACKAGES)} packages for Python {options.python} in {options.to}, {total / 2**20:.1f} MiB")
    if total > _MOST_BYTES:
        sys.exit(f"{options.to}: expected at most {_MOST_BYTES / 2**20:.0f} MiB, which is all that may be carried")


if __name__ == "__main__":
    main()
