"""Measure prediction of containers/n2n: seconds per frame, and its memory for a short and a long movie.

Usage: make bench ALGO=n2n ARGS="[--size 256] [--frames 400 1600]"

Each prediction runs in a process of its own. Times are CPU seconds of that process, which other load disturbs least;
memory is its peak above the process with the network loaded.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).resolve().parents[1] / "containers" / "n2n"
sys.path[:0] = [str(FOLDER.parent), str(FOLDER), str(FOLDER.parent / "careamics"), str(FOLDER / "tests")]

from n2n_jobs import make_job, write_movie  # noqa: E402 - found by the line above

import run  # noqa: E402
from contract.events import Events  # noqa: E402
from contract.files import write_json  # noqa: E402
from unet_denoiser import build_network, load_denoiser  # noqa: E402

MIB = 2**20
GROWTH = 1.05  # most that a movie several times as long may need more


def main() -> None:
    """Print a row for each network and length; end with 1 where memory grows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128, help="height and width of a frame")
    parser.add_argument("--frames", type=int, nargs=2, default=(200, 800), help="of the short and the long movie")
    parser.add_argument("--gib", type=float, default=None, help="predict_memory_gib; by default that of the algorithm")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    flat = [_short_and_long(patch_size_z, options) for patch_size_z in (None, 16)]
    sys.exit(0 if all(flat) else 1)


def _short_and_long(patch_size_z: int | None, options: argparse.Namespace) -> bool:
    peaks, dimensions = [], "2D" if patch_size_z is None else "3D"
    for frames in options.frames:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            peak, cpu_s = pool.apply(_predict, (patch_size_z, frames, options.size, options.gib, options.threads))
        peaks.append(peak)
        shape = f"{frames} x {options.size} x {options.size}"
        print(f"{dimensions}  {shape:18} {peak / MIB:6.0f} MiB  {cpu_s / frames:.3f} CPU s per frame", flush=True)
    print(f"{dimensions}  memory, long / short: {peaks[1] / peaks[0]:.3f}", flush=True)
    return peaks[1] <= GROWTH * peaks[0]


def _predict(patch_size_z: int | None, frames: int, size: int, gib: float | None, threads: int) -> tuple[int, float]:
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        movie = np.random.default_rng(0).integers(0, 1000, (frames, size, size), dtype=np.uint16)
        stack = write_movie(Path(folder, "movie.tif"), movie)
        del movie
        options = {"patch_size_z": patch_size_z, "predict_memory_gib": gib}
        job = make_job(Path(folder, "predict"), "predict", "quick", inputs={"noisy": [stack]}, **options)
        _write_untrained(job, conv_dims=2 if patch_size_z is None else 3)
        load_denoiser(job)
        before = _status_bytes("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM, proc(5)
        began_s = time.process_time()
        with closing(Events(job.folder / "events.jsonl")) as events:
            run.predict(job, events)
        return _status_bytes("VmHWM") - before, time.process_time() - began_s


def _write_untrained(job, conv_dims: int) -> None:  # noqa: ANN001 - of the contract
    torch.manual_seed(0)
    job.checkpoint.mkdir(parents=True)
    network = build_network(job, conv_dims=conv_dims, n2v2=False)
    torch.save(network.state_dict(), job.checkpoint / "network.pt")
    document = {"conv_dims": conv_dims, "n2v2": False, "mean": 500.0, "std": 289.0}
    write_json(job.checkpoint / "denoiser.json", document)


def _status_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    main()
