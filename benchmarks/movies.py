"""What a movie of each format costs on its way through identity: peak memory of `calm run`, and frames per second.

    python benchmarks/movies.py [--frames 400 1600] [--formats suite2p HDF5] [--reading]

Every row is one command on a movie of 256 x 256 pixels that is seen for the first time: described, copied where a job
cannot map it, predicted, scored and reported beside three controls. Memory is the largest of calm and of its jobs. The
last column is the memory of the longest movie over that of the shortest. With --reading a row is a process that does
no more than describe the movie and copy it where that is needed, so it shows what the reader of the format costs.
"""

from __future__ import annotations

import argparse
import json
import os
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
    from collections.abc import Callable, Iterable, Iterator, Sequence

SIDE = 256
CALM = [sys.executable, "-c", "from orchestrator.cli import main; main()"]


READING = """
import sys
from pathlib import Path
from orchestrator.data.checksums import Checksums
from orchestrator.data.inspect import Inspector
from orchestrator.data.stacks import make_stacks
from orchestrator.records.record import Choice
movie, cache = map(Path, sys.argv[1:])
recording = Inspector(stacks=cache, checksums=Checksums(cache / "sums.json")).describe(movie, Choice())
make_stacks([recording], lambda _: None)
"""


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


def float64_tiff(folder: Path, count: int) -> Path:
    """Write values that are looked at and converted."""
    path = folder / "float64.tif"
    movie = (frame.astype(np.float64) for frame in frames(count))
    tifffile.imwrite(path, movie, shape=(count, SIDE, SIDE), dtype="float64", photometric="minisblack")
    return path


def scanimage_tiff(folder: Path, count: int) -> Path:
    """Write a directory and a header of ScanImage for every frame."""
    path = folder / "scanimage.tif"
    header = f"SI.VERSION_MAJOR = 2020\nSI.hStackManager.framesPerSlice = {count}\nSI.hRoiManager.scanFrameRate = 30"
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for frame in frames(count):
            options = {"software": header, "metadata": None, "contiguous": False, "photometric": "minisblack"}
            tiff.write(frame.astype(np.int16), **options)
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


def nwb(folder: Path, count: int) -> Path:
    """Write a series of (time, x, y) with as much of NWB as a reader needs."""
    import h5py  # noqa: PLC0415 - an optional extra

    path = folder / "movie.nwb"
    with h5py.File(path, "w") as file:
        file.attrs["nwb_version"] = "2.7.0"
        series = file.create_group("acquisition/movie")
        series.attrs["neurodata_type"] = "TwoPhotonSeries"
        data = series.create_dataset("data", (count, SIDE, SIDE), "u2", chunks=(16, SIDE, SIDE))
        for index, frame in enumerate(frames(count)):
            data[index] = frame.T
        series.create_dataset("starting_time", data=0.0).attrs["rate"] = 30.0
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


def ffv1(folder: Path, count: int) -> Path:
    """Write FFV1 in 16 bits, which loses nothing."""
    return _video(folder / "movie.mkv", count, "ffv1", "gray16le")


def h264(folder: Path, count: int) -> Path:
    """Write H.264 in 8 bits, whose frames lean on each other."""
    return _video(folder / "movie.mp4", count, "h264", "yuv420p")


def _video(path: Path, count: int, codec: str, layout: str) -> Path:
    import av  # noqa: PLC0415 - an optional extra

    deep = layout == "gray16le"
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=Fraction(30))
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, layout
        for frame in frames(count):
            grey = frame if deep else frame.clip(0, 255).astype(np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format=layout if deep else "gray")))
        out.mux(stream.encode())
    return path


FORMATS: dict[str, Callable[[Path, int], Path]] = {
    "plain TIFF": plain_tiff,
    "compressed TIFF": compressed_tiff,
    "float64 TIFF": float64_tiff,
    "numbered TIFFs": numbered_tiffs,
    "ScanImage TIFF": scanimage_tiff,
    "suite2p": suite2p,
    "HDF5": hdf5,
    "NWB": nwb,
    "OME-Zarr": ome_zarr,
    "video, FFV1": ffv1,
    "video, H.264": h264,
}


def identity(path: Path, scratch: Path) -> subprocess.Popen[bytes]:
    """Begin to run identity on a movie in a cache of its own."""
    home = Path(os.environ.get("CALM_HOME", Path(__file__).parents[1] / ".calm"))
    own = scratch / "home"
    own.mkdir()
    for name in ("wheels", "environments", "contexts"):
        (home / name).mkdir(parents=True, exist_ok=True)
        (own / name).symlink_to(home / name)
    environment = os.environ | {"CALM_HOME": str(own), "CALM_OUTPUTS": str(scratch / "outputs")}
    command = [*CALM, "run", "identity", "--input", str(path), "--engine", "venv"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def reading(path: Path, scratch: Path) -> subprocess.Popen[bytes]:
    """Begin to describe a movie and to copy it where a job cannot map it."""
    return subprocess.Popen([sys.executable, "-c", READING, str(path), str(scratch / "cache")])


def in_own_process(name: str, count: int, how: str) -> tuple[int, float]:
    """Measure in a process of its own: what a process has needed counts for the programs that it starts, too."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", name, str(count), how], check=True, stdout=subprocess.PIPE
    )
    peak_bytes, rate = json.loads(done.stdout)
    return int(peak_bytes), float(rate)


def one(name: str, count: int, how: str) -> None:
    """Write a movie in another process, measure, and print peak bytes and frames per second as JSON."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        subprocess.run([sys.executable, __file__, "--write", name, str(count), scratch], check=True)
        path = next(folder.iterdir())
        began_s = time.perf_counter()
        process = (reading if how == "reading" else identity)(path, folder)
        _, status, used = os.wait4(process.pid, 0)  # of the command and of all that it waited for
        took_s = time.perf_counter() - began_s
        if status != 0:
            message = f"{name}: {how} of {count} frames ended with {os.waitstatus_to_exitcode(status)}"
            raise SystemExit(message)
        print(json.dumps([used.ru_maxrss * 1024, count / took_s]))


def main() -> None:
    """Print a row for each format."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[400, 1600])
    parser.add_argument("--formats", nargs="+", default=list(FORMATS), choices=list(FORMATS))
    parser.add_argument("--reading", action="store_true", help="measure describing and copying alone")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--write", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.write:
        FORMATS[chosen.write[0]](Path(chosen.write[2]), int(chosen.write[1]))
    elif chosen.one:
        one(chosen.one[0], int(chosen.one[1]), chosen.one[2])
    else:
        table(chosen.formats, chosen.frames, "reading" if chosen.reading else "identity")


def table(formats: Iterable[str], counts: Sequence[int], how: str) -> None:
    """Measure and print, a row for each format."""
    print("| format |" + "".join(f" {count} frames: MB, frames/s |" for count in counts) + " memory ratio |")
    print("|---" * (len(counts) + 2) + "|")
    for name in formats:
        found = [in_own_process(name, count, how) for count in counts]
        cells = "".join(f" {peak / 1e6:.0f}, {rate:.0f} |" for peak, rate in found)
        print(f"| {name} |{cells} {found[-1][0] / found[0][0]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
