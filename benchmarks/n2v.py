"""Measure prediction of containers/n2v: its memory, and its speed against the study's own tiling, both in this run.

Usage: make bench ALGO=n2v ARGS="[memory] [tiling] [streaming]"

memory: peak of predicting a short and a long movie, above the process with the network loaded.
tiling: predict_tiling exact against study (tiles of 64 pixels, overlap 3/4) on the same network.
streaming: the 3D network chunk by chunk against one forward pass over all frames.
Times are CPU seconds of the process, which other load disturbs least. The sizes of the README, for the night:
    make bench ALGO=n2v ARGS="memory --size 256 --frames 800 3200"
    make bench ALGO=n2v ARGS="tiling --size 490 --tiling-frames 128"
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).resolve().parents[1] / "containers" / "n2v"
sys.path[:0] = [str(FOLDER.parent), str(FOLDER), str(FOLDER.parent / "careamics"), str(FOLDER / "tests")]

from n2v_jobs import predict_job, train_job, write_stack  # noqa: E402

from careamics_unet import UNet  # noqa: E402 - found by the line above
from contract.events import Events  # noqa: E402
from contract.files import write_json  # noqa: E402
from unet_denoiser import load_denoiser  # noqa: E402
from unet_prediction import predict_all  # noqa: E402
from unet_streaming import CHUNK, StreamedUNet  # noqa: E402

_MIB = 2**20


def main() -> None:
    """Run the parts that were asked for."""
    parts = {"memory": memory, "tiling": tiling, "streaming": streaming}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(parts)}; all by default")
    parser.add_argument("--size", type=int, default=96, help="height and width of a frame")
    parser.add_argument("--frames", type=int, nargs=2, default=(100, 400), help="of the short and the long movie")
    parser.add_argument(
        "--networks", type=int, nargs="+", choices=(2, 3), default=(2, 3), help="memory: their dimensions"
    )
    parser.add_argument("--tiling-frames", type=int, default=64, help="frames for tiling and streaming in 3D")
    parser.add_argument("--gib", type=float, default=None, help="predict_memory_gib; by default that of the algorithm")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    for part in options.parts or parts:
        print(f"\n{part}", flush=True)
        parts[part](options)


def memory(options: argparse.Namespace) -> None:
    """Print the peak of a short and a long movie, 2D and 3D; each in a process of its own."""
    for conv_dims in options.networks:
        peaks = []
        for frames in options.frames:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                peak, cpu_s = pool.apply(_peak, (conv_dims, frames, options.size, options.gib, options.threads))
            peaks.append(peak)
            shape = f"{frames} x {options.size} x {options.size}"
            print(f"  {conv_dims}D  {shape:18}  {peak / _MIB:7.0f} MiB above the loaded network  {cpu_s:7.0f} CPU s")
        print(f"  {conv_dims}D  long / short {peaks[1] / peaks[0]:.3f}", flush=True)


def _peak(conv_dims: int, frames: int, size: int, gib: float | None, threads: int) -> tuple[int, float]:
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        job = _untrained(Path(folder), (frames, size, size), conv_dims, predict_memory_gib=gib)
        load_denoiser(job)
        before = _status_bytes("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM, proc(5)
        began_s = time.process_time()
        _predict(job)
        return _status_bytes("VmHWM") - before, time.process_time() - began_s


def tiling(options: argparse.Namespace) -> None:
    """Print CPU seconds of exact prediction and of the study's tiles, and their ratio."""
    torch.set_num_threads(options.threads)
    for conv_dims, frames in ((2, 2), (3, options.tiling_frames)):
        shape = (frames, options.size, options.size)
        with tempfile.TemporaryDirectory() as folder:
            changes = {"patch_size_z": 64 if conv_dims == 3 else None, "predict_memory_gib": options.gib}  # noqa: PLR2004 - a volume
            job = _untrained(Path(folder), shape, conv_dims, **changes)
            exact_s = _predict(job)
            (job.predictions / "movie.tif").unlink()
            study_s = _predict(replace(job, params=job.params | {"predict_tiling": "study"}))
        megapixels = np.prod(shape) / 1e6
        print(
            f"  {conv_dims}D  {' x '.join(map(str, shape)):15}  exact {exact_s / megapixels:6.2f}, "
            f"study {study_s / megapixels:6.2f} CPU s per megapixel; study / exact {study_s / exact_s:.1f}",
            flush=True,
        )


def streaming(options: argparse.Namespace) -> None:
    """Print CPU seconds and difference of the 3D network chunk by chunk and in one forward pass."""
    torch.set_num_threads(options.threads)
    network = _random_network(3)
    movie = torch.rand(1, 1, options.tiling_frames // 4 * 4, options.size // 4 * 4, options.size // 4 * 4)
    with torch.inference_mode():
        began_s = time.process_time()
        whole = network(movie)
        whole_s, began_s = time.process_time() - began_s, time.process_time()
        streamed, chunks = StreamedUNet(network), movie.split(CHUNK, 2)
        parts = [part for chunk in chunks for part in streamed.push(chunk, end=chunk is chunks[-1])]
        streamed_s = time.process_time() - began_s
    difference = (torch.cat(parts, 2) - whole).abs().max().item()
    print(f"  chunk by chunk / one pass {streamed_s / whole_s:.2f} in CPU time; largest difference {difference:.1e}")


def _predict(job) -> float:  # noqa: ANN001 - of the contract
    began_s = time.process_time()
    with closing(Events(job.folder / "events.jsonl")) as events:
        predict_all(job, events)
    return time.process_time() - began_s


def _untrained(folder: Path, shape: tuple[int, int, int], conv_dims: int, **changes: object):  # noqa: ANN202 - of the contract
    movie = np.random.default_rng(0).integers(0, 1000, shape, dtype=np.uint16)
    stack = write_stack(folder / "movie.tif", movie)
    job = predict_job(train_job(folder, [stack]), [stack], **changes)
    job.checkpoint.mkdir(parents=True)
    torch.save(_random_network(conv_dims).state_dict(), job.checkpoint / "network.pt")
    document = {"conv_dims": conv_dims, "n2v2": False, "mean": 500.0, "std": 289.0}
    write_json(job.checkpoint / "denoiser.json", document)
    return job


def _random_network(conv_dims: int) -> UNet:
    torch.manual_seed(0)
    return UNet(conv_dims=conv_dims, depth=2, num_channels_init=32).eval()


def _status_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    main()
