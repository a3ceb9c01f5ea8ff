"""Measure containers/care: memory and speed of prediction, what a job costs to start, and gains.

Usage: make bench ALGO=care ARGS="[memory] [budget] [start] [widefield] [demo] [--size 128] [--frames 200 800]"

memory: peak of predicting a short and a long movie, 2D and 3D, and CPU seconds per frame; ends with 1 where it grows.
budget: how much of predict_memory_gib prediction takes; ends with 1 where it takes more.
start: seconds of a job that predicts one small frame, and megabytes of the environment.
widefield: train on 8 pairs of W2S, predict the other 4; needs the folder of test data (CALM_TEST_DATA).
demo: gain of preset quick on the demo, over seeds and sets of instructions; needs `calm data fetch demo`.
Every job runs in a process of its own, as in an image. Times are CPU seconds, which other load disturbs least.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "containers" / "care"
sys.path[:0] = [str(FOLDER.parent), str(FOLDER), str(FOLDER.parent / "careamics"), str(FOLDER / "tests")]

from care_jobs import make_job, run_job, si_psnr, widefield_scores, write_movie  # noqa: E402 - found by the line above

from contract.files import write_json  # noqa: E402
from csbdeep_unet import build_unet  # noqa: E402
from keras_store import write_network  # noqa: E402
from run import shape_of  # noqa: E402

MIB = 2**20
GROWTH = 1.05  # most that a movie several times as long may need more
_BUDGETS_GIB = 0.25, 0.75, 2.0
SPLITS = ("train", "val")
DEMO = ROOT / "data" / "files" / "demo"


def main() -> None:
    """Run the parts that were asked for."""
    parts = {"memory": memory, "budget": budget, "start": start, "widefield": widefield, "demo": demo}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(parts)}; all by default")
    parser.add_argument("--size", type=int, default=128, help="height and width of a frame")
    parser.add_argument("--frames", type=int, nargs=2, default=(200, 800), help="of the short and the long movie")
    parser.add_argument("--seeds", type=int, nargs="+", default=(1, 2, 3), help="of widefield and demo")
    parser.add_argument("--limits", nargs="+", default=("DEFAULT", "AVX2"), help="demo: instructions of oneDNN")
    options = parser.parse_args()
    held = [parts[part](options) for part in options.parts or parts]
    sys.exit(0 if all(held) else 1)


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


def budget(options: argparse.Namespace) -> bool:
    """Compare what prediction takes beyond a job of one small frame with what it was allowed."""
    least, held = _predict(1, 16, None)[0]["peak_memory_bytes"], True
    for patch_size_z in (None, 16):
        for gib in _BUDGETS_GIB:
            result, _ = _predict(options.frames[0], options.size, patch_size_z, predict_memory_gib=gib)
            share = (result["peak_memory_bytes"] - least) / (gib * 1024 * MIB)
            print(f"{'2D' if patch_size_z is None else '3D'} predict_memory_gib {gib}: {share:.2f} of it", flush=True)
            held = held and share <= 1
    return held


def start(_: argparse.Namespace) -> bool:
    """Predict one small frame, and weigh the environment."""
    result, cpu_s = _predict(1, 16, None)
    print(f"a job of one frame: {result['seconds']:.1f} s wall, {cpu_s:.1f} CPU s", flush=True)
    files = (path for path in Path(sys.prefix).rglob("*") if path.is_file() and not path.is_symlink())
    print(f"environment: {sum(path.stat().st_size for path in files) / 1e6:.0f} MB", flush=True)
    return True


def widefield(options: argparse.Namespace) -> bool:
    """Train on the first pairs and score the others."""
    gains = []
    for seed in options.seeds:
        os.environ["CALM_TEST_SEED"] = str(seed)
        with tempfile.TemporaryDirectory() as folder:
            noisy, denoised = widefield_scores(Path(folder))
        gains.append(denoised - noisy)
        print(f"seed {seed}, SI-PSNR of the 4 others: noisy {noisy:.2f} dB, CARE {denoised:.2f} dB", flush=True)
    _print_spread("gain on widefield", gains)
    return True


def demo(options: argparse.Namespace) -> bool:
    """Train on the demo with every seed under every limit on the instructions of oneDNN."""
    gains: dict[str, list[float]] = {split: [] for split in SPLITS}
    for limit in options.limits:
        os.environ["ONEDNN_MAX_CPU_ISA"] = limit
        for seed in options.seeds:
            os.environ["CALM_TEST_SEED"] = str(seed)
            for split, gain in _demo_gains().items():
                gains[split].append(gain)
                print(f"instructions {limit}, seed {seed}, {split}: {gain:+.2f} dB", flush=True)
    for split, found in gains.items():
        _print_spread(f"gain on {split}", found)
    return True


def _demo_gains() -> dict[str, float]:
    inputs = {split: [DEMO / split / f"demo_{split}.tif"] for split in SPLITS}
    targets = {split: DEMO / f"{split}_target" / f"demo_{split}.tif" for split in SPLITS}
    with tempfile.TemporaryDirectory() as folder:
        given = inputs | {"target": [*targets.values()]}
        _finished(make_job(Path(folder, "train"), "train", "quick", inputs=given))
        for split, noisy in inputs.items():
            _finished(make_job(Path(folder, split), "predict", "quick", inputs={"noisy": noisy}))
        return {
            split: si_psnr(target, tifffile.imread(Path(folder, "predictions", target_path.name)))
            - si_psnr(target, tifffile.imread(inputs[split][0]))
            for split, target_path in targets.items()
            for target in [tifffile.imread(target_path)]
        }


def _finished(job: Any) -> None:  # noqa: ANN401 - a Job
    result, cpu_s = _timed(job)
    if result["status"] != "ok":
        sys.exit(f"{job.command}: {result['error']}")
    print(f"  {job.command}: {cpu_s:.0f} CPU s, {result['peak_memory_bytes'] / MIB:.0f} MiB", flush=True)


def _print_spread(what: str, values: list[float]) -> None:
    spread = statistics.stdev(values) if len(values) > 1 else math.nan
    print(
        f"{what}: mean {statistics.fmean(values):.2f} dB, sd {spread:.2f} dB, lowest {min(values):.2f} dB", flush=True
    )


def _predict(frames: int, size: int, patch_size_z: int | None, **overrides: float) -> tuple[dict[str, Any], float]:
    with tempfile.TemporaryDirectory() as folder:
        movie = np.random.default_rng(0).integers(0, 1000, (frames, size, size), dtype=np.uint16)
        stack = write_movie(Path(folder, "movie.tif"), movie)
        del movie
        params = {"patch_size_z": patch_size_z, **overrides}
        job = make_job(Path(folder, "predict"), "predict", "quick", inputs={"noisy": [stack]}, **params)
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
