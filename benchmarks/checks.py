"""Cost of the checks, and whether their order of denoised movies is that of the true error.

Usage: python benchmarks/checks.py [MOVIE ...] [--seeds N]
       python benchmarks/checks.py --costs 200 800

Three simulated scenes, and each MOVIE (a clean TIFF, to which Poisson noise is added), are denoised by simple filters
and spoilt in known ways. Prints the three lights beside the true error for each, the rank correlation of both orders,
the seconds that the checks took, and how many lights of the clean movies were false alarms over N seeds (default 3).
With --costs it prints the seconds of each pass over two movies of so many frames, and of each check after them.
"""

from __future__ import annotations

import argparse
import sys
import timeit
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import tifffile
from scipy.ndimage import gaussian_filter, uniform_filter1d
from scipy.stats import spearmanr

from evaluation.checks.battery import BATTERY, check_movie
from evaluation.checks.evidence import gather
from evaluation.checks.lagged import covariances
from evaluation.checks.lights import Light, Topic, Verdict
from evaluation.checks.noise_law import noise_law
from evaluation.checks.pair_pass import read_pair
from evaluation.checks.places import find_places
from evaluation.checks.raw_movie import look_at
from evaluation.checks.transients import transients

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "unit" / "checks"))
import planted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_PHOTONS = 5.0  # of the median pixel of a movie that noise is added to
_BADNESS = {Light.PASS: 0, Light.NOT_TESTED: 0, Light.DOUBT: 1, Light.FAIL: 2}
_NOT_DENOISED = 10  # worse than any lights


class Pair(NamedTuple):
    """A noisy movie and its truth."""

    raw: np.ndarray
    clean: np.ndarray


def candidates(pair: Pair) -> Iterator[tuple[str, np.ndarray]]:
    """Yield denoised movies from good to bad, by name."""
    raw = pair.raw.astype(np.float32)
    middle = pair.clean.mean(axis=0)
    yield "truth", pair.clean
    yield "truth, 80 % of height", middle + np.float32(0.8) * (pair.clean - middle)
    yield "truth, half of height", middle + np.float32(0.5) * (pair.clean - middle)
    yield "truth, still", np.broadcast_to(middle, raw.shape)
    yield "raw", raw
    for frames in (3, 7, 15, 31):
        yield f"mean of {frames} frames", uniform_filter1d(raw, frames, axis=0)
    for sigma in (1, 2, 4):
        yield f"blur of {sigma} px", gaussian_filter(raw, (0, sigma, sigma))
    yield "blur in time and space", gaussian_filter(raw, (1, 1, 1))


def true_error(pair: Pair, denoised: np.ndarray) -> float:
    """Return the error of the traces of 4 x 4 pixels, over the standard deviation of the true ones."""
    truth, guess = (_moving(movie) for movie in (pair.clean, denoised))
    return float(np.sqrt(np.mean((guess - truth) ** 2) / np.mean(truth**2)))


def _moving(movie: np.ndarray) -> np.ndarray:
    frames, height, width = movie.shape[0], movie.shape[1] // 4, movie.shape[2] // 4
    blocks = movie[:, : 4 * height, : 4 * width].reshape(frames, height, 4, width, 4).mean(axis=(2, 4))
    return blocks - blocks.mean(axis=0)


def badness(verdict: Verdict) -> int:
    """Return how bad the lights say a movie is."""
    lights = sum(_BADNESS[verdict.light(topic)] for topic in Topic)
    return _NOT_DENOISED if any("did not denoise" in sentence for sentence in verdict.plain) else lights


def compare(title: str, pair: Pair) -> None:
    """Print the lights beside the true error of every candidate, and their rank correlation."""
    print(f"\n{title}: {' x '.join(map(str, pair.raw.shape))}")
    rows = []
    for name, denoised in candidates(pair):
        verdict = check_movie(pair.raw, denoised)
        rows.append((badness(verdict), true_error(pair, denoised)))
        lights = "  ".join(f"{topic}: {verdict.light(topic):10}" for topic in Topic)
        print(f"  {name:24} error {rows[-1][1]:6.2f}  {lights}  {verdict.seconds:5.1f} s")
    print(f"  rank correlation of verdict and true error: {spearmanr(*zip(*rows, strict=True)).statistic:.2f}")


def with_noise(path: Path) -> Pair:
    """Read a clean movie and add Poisson noise."""
    clean = tifffile.imread(path).astype(np.float32)
    light = clean - min(0.0, float(np.percentile(clean, 0.1)))
    scale = _PHOTONS / float(np.median(light))
    noisy = np.random.default_rng(0).poisson(np.maximum(light, 0) * scale).astype(np.uint16)
    return Pair(noisy, (light * scale).astype(np.float32))


def false_alarms(seeds: int) -> None:
    """Count the lights of clean movies that do not pass."""
    lights = []
    for name in planted.SCENES:
        for seed in range(100, 100 + seeds):
            known = planted.movie(name, seed=seed)
            lights += [check_movie(known.raw, known.clean).light(topic) for topic in Topic]
    alarms = sum(light in {Light.DOUBT, Light.FAIL} for light in lights)
    print(f"\nfalse alarms: {alarms} of {len(lights)} lights of clean movies, {seeds} seeds of three scenes")


def costs(frames: int) -> Iterator[tuple[str, float]]:
    """Yield what each pass over a movie of 256 x 256 pixels takes, and each check: name and seconds, best of three."""
    tile = planted.movie("two-photon with bleed", seed=1, frames=frames)
    raw, clean = (np.tile(movie, (1, 2, 2)) for movie in (tile.raw, tile.clean))
    maps, _ = read_pair(raw, clean)
    law = noise_law(maps.raw, maps.jump_raw)
    places = find_places(raw, clean, None)
    evidence = gather(raw, clean)
    found = transients(evidence)
    parts: list[tuple[str, Callable[[], object]]] = [
        ("pass over both movies", lambda: read_pair(raw, clean)),
        ("law of the noise", lambda: noise_law(maps.raw, maps.jump_raw)),
        ("active places", lambda: find_places(raw, clean, None)),
        ("traces and their covariances", lambda: covariances(raw, clean, places, law)),
        ("what became of transients", lambda: transients(evidence)),
        *((judge(evidence, found).name, partial(judge, evidence, found)) for judge in BATTERY),
        ("the look at the raw movie", lambda: look_at(raw, evidence)),
    ]
    for name, part in parts:
        yield name, min(timeit.repeat(part, number=1, repeat=3))


def print_costs(counts: Sequence[int]) -> None:
    """Print a row for each part: seconds for each number of frames."""
    print("| part | " + " | ".join(f"{count} frames, s" for count in counts) + " |\n|---" + "|---:" * len(counts) + "|")
    for row in zip(*map(costs, counts), strict=True):
        print(f"| {row[0][0]} | " + " | ".join(f"{seconds:.4f}" for _, seconds in row) + " |", flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("movies", nargs="*", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--costs", type=int, nargs="+", metavar="FRAMES")
    arguments = parser.parse_args()
    if arguments.costs:
        print_costs(arguments.costs)
        return
    for name in planted.SCENES:
        known = planted.movie(name, seed=1)
        compare(name, Pair(known.raw, known.clean))
    for path in arguments.movies:
        compare(path.name, with_noise(path))
    false_alarms(arguments.seeds)


if __name__ == "__main__":
    main()
