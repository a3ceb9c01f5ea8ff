"""What a movie of each format costs on its way through identity: peak memory of `calm run`, and frames per second.

    python benchmarks/movies.py [--frames 400 1600] [--formats suite2p HDF5]

Every row is one command on a movie of 256 x 256 pixels that is seen for the first time: described, copied where a job
cannot map it, predicted, scored and reported. Memory is the largest of calm and of its jobs. The last column is the
memory of the longest movie over that of the shortest.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIDE = 256
CALM = [sys.executable, "-c", "from orchestrator.cli import main; main()"]


def frames(count: int) -> Iterator[np.ndarray]:
    """Yield frames of Poisson noise, shape (Y, X), uint16, a few of them in turn."""
    some = np.random.default_rng(0).poisson(100, (16, SIDE, SIDE)).astype(np.uint16)
    return (some[index % len(some)] for index in range(count))


def plain_tiff(folder: Path, count: int) -> Path:
    """Write one block."""
    path = folder / "plain.tif"
    tifffile.imwrite(path, frames(count), shape=(count, SIDE, SIDE), dtype="uint16", photometric="minisblack")
    return path


def compressed_tiff(folder: Path, count: int) -> Path:
    """Write pages that are compressed one by one."""
    path = folder / "compressed.tif"
    options = {"photometric": "minisblack", "compression": "zlib"}
    tifffile.imwrite(path, frames(count), shape=(count, SIDE, SIDE), dtype="uint16", **options)
    return path


def numbered_tiffs(folder: Path, count: int) -> Path:
    """Write a file for each 100 frames."""
    path = folder / "numbered"
    path.mkdir()
    for first in range(0, count, 100):
        stop = min(100, count - first)
        tifffile.imwrite(path / f"part_{first // 100}.tif", np.stack(list(frames(stop))), photometric="minisblack")
    return path


def suite2p(folder: Path, count: int) -> Path:
    """Write data.bin and ops.npy."""
    path = folder / "plane0"
    path.mkdir()
    with (path / "data.bin").open("wb") as stream:
        for frame in frames(count):
            stream.write(frame.astype("<i2").tobytes())
    np.save(path / "ops.npy", np.array({"Ly": SIDE, "Lx": SIDE, "fs": 30.0}, dtype=object))
    return path


def hdf5(folder: Path, count: int) -> Path:
    """Write chunks of 16 frames."""
    import h5py  # noqa: PLC0415 - an optional extra

    path = folder / "movie.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("mov", (count, SIDE, SIDE), "u2", chunks=(16, SIDE, SIDE), compression="gzip")
        for index, frame in enumerate(frames(count)):
            data[index] = frame
    return path


def ome_zarr(folder: Path, count: int) -> Path:
    """Write chunks of 16 frames."""
    import zarr  # noqa: PLC0415 - an optional extra

    path = folder / "movie.ome.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    array = group.create_array("0", shape=(count, SIDE, SIDE), chunks=(16, SIDE, SIDE), dtype="uint16")
    for first in range(0, count, 16):
        array[first : first + 16] = np.stack(list(frames(min(16, count - first))))
    levels = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 1]}]}]
    axes = [{"name": "t", "type": "time"}, {"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": levels}]}
    return path


def video(folder: Path, count: int) -> Path:
    """Write FFV1 in 16 bits."""
    import av  # noqa: PLC0415 - an optional extra

    path = folder / "movie.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=Fraction(30))
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "gray16le"
        for frame in frames(count):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray16le")))
        out.mux(stream.encode())
    return path


FORMATS: dict[str, Callable[[Path, int], Path]] = {
    "plain TIFF": plain_tiff,
    "compressed TIFF": compressed_tiff,
    "numbered TIFFs": numbered_tiffs,
    "suite2p": suite2p,
    "HDF5": hdf5,
    "OME-Zarr": ome_zarr,
    "video": video,
}


def measured(path: Path, count: int, scratch: Path) -> tuple[int, float]:
    """Run identity on a movie in a cache of its own; return peak bytes and frames per second of the whole command."""
    home = Path(os.environ.get("CALM_HOME", Path(__file__).parents[1] / ".calm"))
    own = scratch / "home"
    own.mkdir()
    for name in ("wheels", "environments", "contexts"):
        (home / name).mkdir(parents=True, exist_ok=True)
        (own / name).symlink_to(home / name)
    environment = os.environ | {"CALM_HOME": str(own), "CALM_OUTPUTS": str(scratch / "outputs")}
    began_s = time.perf_counter()
    command = [*CALM, "run", "identity", "--input", str(path), "--engine", "venv"]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    took_s = time.perf_counter() - began_s
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024, count / took_s


def in_own_process(name: str, count: int) -> tuple[int, float]:
    """Measure in a process of its own, whose largest child is that of one command."""
    this = [sys.executable, __file__, "--one", name, str(count)]
    done = subprocess.run(this, check=True, capture_output=True, text=True)
    peak_bytes, rate = json.loads(done.stdout)
    return int(peak_bytes), float(rate)


def one(name: str, count: int) -> None:
    """Write a movie in a process of its own, as that takes memory too; measure, and print the result as JSON."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        pid = os.fork()
        if pid == 0:
            FORMATS[name](folder, count)
            os._exit(0)
        os.waitpid(pid, 0)
        path = next(entry for entry in folder.iterdir())
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        peak_bytes, rate = measured(path, count, folder)
        if peak_bytes <= before:
            message = f"{name}: writing the movie took {before} bytes, more than the command; measure another way"
            raise SystemExit(message)
        print(json.dumps([peak_bytes, rate]))


def main() -> None:
    """Print a row for each format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[400, 1600])
    parser.add_argument("--formats", nargs="+", default=list(FORMATS), choices=list(FORMATS))
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        one(chosen.one[0], int(chosen.one[1]))
        return
    print("| format |" + "".join(f" {count} frames: MB, frames/s |" for count in chosen.frames) + " memory ratio |")
    for name in chosen.formats:
        found = [in_own_process(name, count) for count in chosen.frames]
        cells = "".join(f" {peak / 1e6:.0f}, {rate:.0f} |" for peak, rate in found)
        print(f"| {name} |{cells} {found[-1][0] / found[0][0]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
