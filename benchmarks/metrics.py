"""Speed of the four metrics against the loop of the published study.

Usage: python benchmarks/metrics.py [FRAMES] [--threads N]

Scores a simulated movie of FRAMES (default 600) frames of 490 x 490, as in MOUSENEU_LP, twice in one run:
with scikit-image, careamics and microssim in a loop as the study did, and with evaluation.metrics. Prints both
times, their ratio and the largest difference of every score. The reference libraries live in an environment of
their own, built at the first run below $CALM_HOME. Importing and loading the movie are not timed for either.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from evaluation.metrics import STUDY_PROTOCOL, fit_microssim, psnr, si_psnr, ssim
from evaluation.metrics.workers import ordered_map

_TESTS = Path(__file__).resolve().parents[1] / "tests" / "unit" / "metrics"
_SIDE = 490
_SEED = 20240918
_SPARSE = 0.999  # pixels above it seed a cell


def simulate(frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a target and a noisy movie of shape (T, Y, X), uint16, the target ten times brighter."""
    generator = np.random.default_rng(_SEED)
    scene = gaussian_filter(generator.random((_SIDE, _SIDE)), 4)
    cells = gaussian_filter((generator.random((_SIDE, _SIDE)) > _SPARSE).astype(float), 3)
    target = np.empty((frames, _SIDE, _SIDE), dtype=np.uint16)
    noisy = np.empty_like(target)
    for frame in range(frames):
        bright = 4000 * scene + 60000 * cells * (1 + np.sin(frame / 7)) + 500
        target[frame] = generator.normal(bright, np.sqrt(bright))
        noisy[frame] = generator.poisson(bright / 10)
    return target, noisy


def score_ours(target: np.ndarray, noisy: np.ndarray, threads: int) -> tuple[dict[str, list[float]], float]:
    """Return the four scores per frame and the seconds they took."""
    start = time.perf_counter()
    fit = fit_microssim(target, noisy, every=STUDY_PROTOCOL.every, cast=STUDY_PROTOCOL.cast, threads=threads)
    peak = STUDY_PROTOCOL.data_range

    def row(pair: tuple[np.ndarray, np.ndarray]) -> tuple[float, ...]:
        return psnr(*pair, peak), si_psnr(*pair), ssim(*pair, peak), fit.score(*pair)

    rows = list(ordered_map(row, zip(target, noisy, strict=True), threads))
    seconds = time.perf_counter() - start
    names = ("psnr", "si_psnr", "ssim", "microssim")
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}, seconds


def score_study(target: np.ndarray, noisy: np.ndarray) -> dict[str, list[float]]:
    """Return the study's scores per frame and its seconds, from the reference environment."""
    sys.path.insert(0, str(_TESTS))
    from reference_environment import reference_python  # noqa: PLC0415 - found by the line above

    with tempfile.TemporaryDirectory() as folder:
        source, destination = Path(folder, "movie.npz"), Path(folder, "scores.json")
        settings = {"movie/data_range": STUDY_PROTOCOL.data_range, "movie/every": STUDY_PROTOCOL.every}
        np.savez(source, **{"movie/target": target, "movie/prediction": noisy}, **settings)
        command = [str(reference_python()), str(_TESTS / "reference_scores.py"), str(source), str(destination)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        return json.loads(destination.read_text())["movie"]


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("frames", nargs="?", type=int, default=600)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    target, noisy = simulate(arguments.frames)
    study = score_study(target, noisy)
    print(f"{arguments.frames} frames of {_SIDE} x {_SIDE}, psnr, si_psnr, ssim, microssim")
    print(f"study's loop          {study['seconds']:8.2f} s")
    for threads in sorted({1, arguments.threads}):
        ours, seconds = score_ours(target, noisy, threads)
        print(f"calm, {threads} thread(s)     {seconds:8.2f} s   ratio {study['seconds'] / seconds:5.1f}")
    for name, column in ours.items():
        difference = float(np.max(np.abs(np.array(column) - np.array(study[name]))))
        print(f"largest difference of {name:10s} {difference:.1e}")


if __name__ == "__main__":
    main()
