"""Measure containers/care: memory and speed of prediction, what a job costs to start, and widefield pairs.

Usage: make bench ALGO=care ARGS="[memory] [start] [widefield] [--size 128] [--frames 200 800]"

memory: peak of predicting a short and a long movie, 2D and 3D, and CPU seconds per frame; ends with 1 where it grows.
start: seconds of a job that predicts one small frame, and megabytes of the environment.
widefield: train on 8 pairs of W2S, predict the other 4; needs the folder of test data (CALM_TEST_DATA).
Every job runs in a process of its own, as in an image. Times are CPU seconds, which other load disturbs least.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "containers" / "care"
sys.path[:0] = [str(FOLDER.parent), str(FOLDER), str(FOLDER.parent / "careamics"), str(FOLDER / "tests")]

from care_jobs import make_job, run_job, si_psnr, write_movie  # noqa: E402 - found by the line above

from contract.files import write_json  # noqa: E402
from csbdeep_unet import build_unet  # noqa: E402
from keras_store import write_network  # noqa: E402
from run import shape_of  # noqa: E402

MIB = 2**20
GROWTH = 1.05  # most that a movie several times as long may need more
TRAINED_ON = 8  # of the 12 widefield pairs
TEST_DATA = Path(os.environ.get("CALM_TEST_DATA", ROOT.parent / "shared" / "data"))


def main() -> None:
    """Run the parts that were asked for."""
    parts = {"memory": memory, "start": start, "widefield": widefield}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(parts)}; all by default")
    parser.add_argument("--size", type=int, default=128, help="height and width of a frame")
    parser.add_argument("--frames", type=int, nargs=2, default=(200, 800), help="of the short and the long movie")
    options = parser.parse_args()
    flat = [parts[part](options) for part in options.parts or parts]
    sys.exit(0 if all(flat) else 1)


def memory(options: argparse.Namespace) -> bool:
    """Predict a short and a long movie with an untrained network of preset quick."""
    flat = True
    for patch_size_z in (None, 16):
        peaks = []
        for frames in options.frames:
            result, cpu_s = _predict(frames, options.size, patch_size_z)
            peaks.append(result["peak_memory_bytes"])
            shape = f"{'2D' if patch_size_z is None else '3D'} {frames} x {options.size} x {options.size}"
            print(f"{shape:22} {peaks[-1] / MIB:6.0f} MiB  {cpu_s / frames:.3f} CPU s per frame", flush=True)
        print(f"memory, long / short: {peaks[1] / peaks[0]:.3f}", flush=True)
        flat = flat and peaks[1] <= GROWTH * peaks[0]
    return flat


def start(_: argparse.Namespace) -> bool:
    """Predict one small frame, and weigh the environment."""
    result, cpu_s = _predict(1, 16, None)
    print(f"a job of one frame: {result['seconds']:.1f} s wall, {cpu_s:.1f} CPU s", flush=True)
    files = (path for path in Path(sys.prefix).rglob("*") if path.is_file() and not path.is_symlink())
    print(f"environment: {sum(path.stat().st_size for path in files) / 1e6:.0f} MB", flush=True)
    return True


def widefield(_: argparse.Namespace) -> bool:
    """Train on the first pairs and score the others; each image was rescaled on its own."""
    noisy, clean = (tifffile.imread(TEST_DATA / f"w2s_test12_{name}.tif") for name in ("noisy_avg1", "gt_avg400"))
    with tempfile.TemporaryDirectory() as folder:
        stacks = {
            name: write_movie(Path(folder, name, "pairs.tif"), images)
            for name, images in (
                ("noisy", noisy[:TRAINED_ON]), ("clean", clean[:TRAINED_ON]), ("others", noisy[TRAINED_ON:]),
            )
        }  # fmt: skip
        given = {"train": [stacks["noisy"]], "target": [stacks["clean"]]}
        for command, inputs in (("train", given), ("predict", {"noisy": [stacks["others"]]})):
            job = make_job(Path(folder, command), command, "quick", inputs=inputs, target_fit="frame")
            result, cpu_s = _timed(job)
            print(f"{command}: {result['status']}, {cpu_s:.0f} CPU s, {result['peak_memory_bytes'] / MIB:.0f} MiB")
        prediction = tifffile.imread(Path(folder, "predictions", "pairs.tif"))
    scores = [si_psnr(clean[TRAINED_ON:], images) for images in (noisy[TRAINED_ON:], prediction)]
    print(f"SI-PSNR of the 4 others: noisy {scores[0]:.2f} dB, CARE {scores[1]:.2f} dB", flush=True)
    return True


def _predict(frames: int, size: int, patch_size_z: int | None) -> tuple[dict[str, Any], float]:
    with tempfile.TemporaryDirectory() as folder:
        movie = np.random.default_rng(0).integers(0, 1000, (frames, size, size), dtype=np.uint16)
        stack = write_movie(Path(folder, "movie.tif"), movie)
        del movie
        job = make_job(
            Path(folder, "predict"), "predict", "quick", inputs={"noisy": [stack]}, patch_size_z=patch_size_z
        )
        job.checkpoint.mkdir()
        shape = shape_of(job.params)
        write_network(job.checkpoint / "network.keras", build_unet(shape))
        write_json(job.checkpoint / "network.json", {"shape": shape.document, "mean": 500.0, "std": 289.0})
        return _timed(job)


def _timed(job: Any) -> tuple[dict[str, Any], float]:  # noqa: ANN401 - a Job
    before = os.times()
    result = run_job(job)
    after = os.times()
    return result, sum(after[field] - before[field] for field in (2, 3))  # user and system time of children


if __name__ == "__main__":
    main()
