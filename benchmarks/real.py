"""What every algorithm and control makes of real movies: trace SNR, height, delay, baseline, time, and the true error.

    python benchmarks/real.py --raw movie.tif regions.json --raw other.tif --clean quiet.tif --data demo
                              [--algorithms n2v hdn] [--seeds 1 2 3] [--preset quick]
                              [--photons 2] [--param n2v.lr=0.01]

A --raw movie is taken as it is, with or without regions of cells. A --clean movie has little noise: it is the truth,
and what is denoised is what a two-photon detector makes of it at so many photons a pixel on average. Of --data the
first training movie counts, and its target is the truth. Each row is one algorithm on one movie, run by `calm run` with
one thread; with several seeds it holds mean and standard deviation. Runs that are there already are found.

SNR, height and times averaging are of evaluation/checks/standing.py: height of transients that is left, 1 being all,
over the noise that is left in quiet places, and that SNR over the one of running means of the same height. Slope and
correlation are those of traces on the raw, or where it is known on the true traces. Trace error is the root mean square
error of the traces of active places over the standard deviation of the true ones, and gain the PSNR over that of the
noisy movie, in which quiet places count most. Seconds are those of training and prediction. Lights are worse by 1 for
a doubt and by 2 for a fail, and 10 where nothing was denoised.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from checks import badness
from scipy.stats import spearmanr

from contract.stacks import open_stack
from evaluation.checks.battery import check_movie
from evaluation.checks.places import Places, find_places
from evaluation.checks.standing import PatchTraces, curve_of, patch_traces, standing
from evaluation.metrics import psnr, summarise, trace_scores
from evaluation.scores.score import StackFrames
from orchestrator.algorithms.folders import load_algorithms
from orchestrator.data.simulator.noise import TwoPhoton
from orchestrator.paths import layout
from orchestrator.records.regions import read_regions
from orchestrator.records.run import read_run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchestrator.records.run import Run

CALM = [sys.executable, "-c", "from orchestrator.cli import main; main()"]
ALGORITHMS = ("identity", "mean", "svd", "n2v", "n2n", "hdn", "deepcad", "cellmincer")
_GAIN, _TIMES, _ERROR, _LIGHTS = "gain, dB", "times averaging", "trace error", "lights"
COLUMNS = (
    "SNR",
    "height",
    "slope",
    "correlation",
    "delay, frames",
    "mean shift, %",
    _ERROR,
    _GAIN,
    "seconds",
    _TIMES,
    _LIGHTS,
)
DETECTOR = TwoPhoton(  # of the demo, but for the photons that arrive late
    gain_adu_per_photon=100.0,
    gain_cv=0.48,
    dark_photons=0.05,
    read_noise_adu=2.7,
    bleed_probability=0.0,
    bleed_fraction=0.0,
    offset_adu=100.0,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Movie:
    """What is denoised: the options that name it for `calm run`, the truth and regions of cells where known."""

    title: str
    options: tuple[str, ...]
    truth: Path | None = None
    regions: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scene:
    """One movie, opened: what predictions are compared with."""

    noisy: StackFrames
    truth: StackFrames | None
    middles: np.ndarray | None
    places: Places
    raw: PatchTraces


def with_noise(path: Path, photons: float, folder: Path) -> Movie:
    """Write what a detector makes of a movie with little noise, and what it would be on average."""
    clean = np.clip(tifffile.imread(path), 0, None).astype(np.float64)
    clean *= photons / clean.mean()
    expose = DETECTOR.detector(clean.shape[1:], np.random.default_rng(0))
    noisy = np.stack([expose(frame, np.random.default_rng((1, number))) for number, frame in enumerate(clean)])
    truth = np.stack([DETECTOR.expected(frame) for frame in clean]).astype(np.float32)
    made = folder / f"{path.stem}_{photons:g}_photons.tif"
    target = folder / f"{path.stem}_{photons:g}_photons_truth.tif"
    for place, movie in ((made, noisy), (target, truth)):
        tifffile.imwrite(place, movie, photometric="minisblack", metadata={"axes": "TYX"})
    return Movie(title=f"{path.stem}, {photons:g} photons", options=("--input", str(made)), truth=target)


def movies_of(chosen: argparse.Namespace, folder: Path) -> Iterator[Movie]:
    """Yield what was asked for."""
    for path, *regions in chosen.raw:
        yield Movie(title=path.stem, options=("--input", str(path)), regions=regions[0] if regions else None)
    for path in chosen.clean:
        yield with_noise(path, chosen.photons, folder)
    for name in chosen.data:
        yield Movie(title=name, options=("--data", name))


def run(movie: Movie, algorithm: str, seed: int, chosen: argparse.Namespace) -> Run | str:
    """Run an algorithm, or find its run; return why there is none."""
    names = [one.removeprefix(f"{algorithm}.") for one in chosen.param if one.startswith(f"{algorithm}.")]
    options = [*movie.options, "--preset", chosen.preset, "--seed", str(seed), "--engine", "venv", "--threads", "1"]
    options += [part for name in names for part in ("--param", name)]
    done = subprocess.run([*CALM, "run", algorithm, *options], capture_output=True, text=True, check=False)
    if done.returncode:
        return done.stderr.strip().splitlines()[-1]
    finished = next(line for line in done.stdout.splitlines() if line.startswith(("Finished: ", "Found: ")))
    return read_run(Path(finished.split(": ", 1)[1]))


def predictions(run: Run, name: str, controls: Mapping[str, str]) -> dict[str, Path]:
    """Return the prediction of a run, and those of its controls that it wrote beside it."""
    beside = {title: run.folder.control(control, name) for control, title in controls.items()}
    made = {title: path for title, path in beside.items() if run.made(path)}
    return {run.record.algorithm: run.folder.prediction(name)} | made


def scene_of(noisy: StackFrames, truth: StackFrames | None, regions: Path | None) -> Scene:
    """Find where a movie is active, and read its traces there."""
    middles = None if regions is None else read_regions(regions, (len(noisy), *noisy[0].shape)).middles
    places = find_places(noisy, noisy, middles)
    return Scene(noisy=noisy, truth=truth, middles=middles, places=places, raw=patch_traces(noisy, places))


def figures(scene: Scene, path: Path, seconds: float) -> dict[str, float]:
    """Compare a prediction with the movie it was made from."""
    with open_stack(path) as stack:
        denoised = StackFrames(stack)
        after = patch_traces(denoised, scene.places)
        true = scene.raw if scene.truth is None else patch_traces(scene.truth, scene.places)
        found = standing(scene.raw, after)
        both = [np.concatenate([active for active, _ in one.stretches]) for one in (true, after)]
        traces = trace_scores(*both)
        truth, made = (one - one.mean(axis=0) for one in both)
        verdict = check_movie(scene.noisy, denoised, scene.middles)
        checks = {check.name: check.value for check in verdict.checks}
        means = [math.fsum(float(frame.mean(dtype=np.float64)) for frame in movie) for movie in (scene.noisy, denoised)]
        gain = math.nan if scene.truth is None else _psnr(scene.truth, denoised) - _psnr(scene.truth, scene.noisy)
    delay = checks["delay"]
    return {
        "SNR": math.nan if found is None else found.snr,
        "height": math.nan if found is None else found.slope,
        "slope": summarise(traces.slope).mean,
        "correlation": summarise(traces.correlation).mean,
        "delay, frames": math.nan if delay is None else delay,
        "mean shift, %": 100 * (means[1] / means[0] - 1),
        _ERROR: math.nan if scene.truth is None else math.sqrt(np.mean((made - truth) ** 2) / np.mean(truth**2)),
        _GAIN: gain,
        "seconds": seconds,
        _TIMES: math.nan if found is None else found.times.value,
        _LIGHTS: badness(verdict),
    }


def _psnr(truth: StackFrames, movie: StackFrames) -> float:
    low, high = (edge(float(edge_of(frame)) for frame in truth) for edge, edge_of in ((min, np.min), (max, np.max)))
    return statistics.fmean(psnr(*pair, data_range=high - low) for pair in zip(truth, movie, strict=True))


def table(movie: Movie, chosen: argparse.Namespace) -> None:
    """Print the rows of one movie as they are found."""
    declared = load_algorithms(layout().containers)
    print(f"\n## {movie.title}\n", flush=True)
    header, judged = True, []
    for algorithm in chosen.algorithms:
        rows: dict[str, list[dict[str, float]]] = {}
        for seed in chosen.seeds if declared[algorithm].needs_training else chosen.seeds[:1]:
            made = run(movie, algorithm, seed, chosen)
            if isinstance(made, str):
                print(f"| {algorithm} | seed {seed}: {made} |", flush=True)
                continue
            with ExitStack() as opened:
                scene, name = _opened(movie, made, opened)
                if header:
                    _head(scene)
                    header = False
                seconds = math.fsum(job.seconds for job in made.record.jobs.values())
                for title, path in predictions(made, name, declared[algorithm].controls).items():
                    rows.setdefault(title, []).append(figures(scene, path, seconds))
        judged += [one for found in rows.values() for one in found]
        for title, found in rows.items():
            print(
                f"| {title} | {len(found)} | "
                + " | ".join(_cell([one[column] for one in found]) for column in COLUMNS)
                + " |",
                flush=True,
            )
    if all(math.isfinite(one[_GAIN]) for one in judged):
        lights = [one[_LIGHTS] for one in judged]
        print("\nRank correlation with the trace error and with the gain, as positive where they agree:")
        for title, order in (("lights", lights), ("lights, then times averaging", _ranks(judged))):
            errors, gains = (
                spearmanr(order, [sign * one[name] for one in judged]).statistic
                for name, sign in ((_ERROR, 1), (_GAIN, -1))
            )
            print(f"{title}: {errors:.2f}, {gains:.2f}", flush=True)


def _ranks(judged: Sequence[Mapping[str, float]]) -> list[int]:
    """Rank movies by their lights, and those of equal lights by how far they stand above averaging."""
    known = (one[_TIMES] if math.isfinite(one[_TIMES]) else -math.inf for one in judged)
    places = [(one[_LIGHTS], -times) for one, times in zip(judged, known, strict=True)]
    order = sorted(set(places))
    return [order.index(place) for place in places]


def _opened(movie: Movie, made: Run, opened: ExitStack) -> tuple[Scene, str]:
    name, record = min(made.record.movies.items(), key=lambda one: not one[0].startswith("train/"))
    target = movie.truth or record.target
    noisy = StackFrames(opened.enter_context(open_stack(record.noisy)))
    truth = None if target is None else StackFrames(opened.enter_context(open_stack(target)))
    return scene_of(noisy, truth, movie.regions), name


def _head(scene: Scene) -> None:
    points = ", ".join(f"{snr:.1f} at {height:.2f}" for height, snr in curve_of(scene.raw)) or "cannot be told"
    print(f"{len(scene.places.active)} active places; running means of 1, 3, 7, 15 and 31 frames: SNR {points}.\n")
    print("| | seeds | " + " | ".join(COLUMNS) + " |\n|---|---|" + "---|" * len(COLUMNS), flush=True)


def _cell(values: Iterable[float]) -> str:
    found = [value for value in values if math.isfinite(value)]
    if not found:
        return ""
    spread = f" ± {statistics.stdev(found):.2g}" if len(found) > 1 else ""
    return f"{statistics.fmean(found):.3g}{spread}"


def main() -> None:
    """Print a table for every movie."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, nargs="+", action="append", default=[], help="a movie, and regions in it")
    parser.add_argument("--clean", type=Path, nargs="+", default=[], help="movies that get noise")
    parser.add_argument("--data", nargs="+", default=[], help="datasets of the manifest with targets")
    parser.add_argument("--algorithms", nargs="+", default=ALGORITHMS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--photons", type=float, default=2.0, help="of --clean, mean over pixels and frames")
    parser.add_argument("--param", nargs="+", default=[], help="ALGORITHM.NAME=VALUE")
    chosen = parser.parse_args()
    print(f"`python benchmarks/real.py`, preset {chosen.preset}, seeds {', '.join(map(str, chosen.seeds))}, one thread")
    home = Path(os.environ.get("CALM_HOME", tempfile.gettempdir())) / "benchmarks"
    home.mkdir(parents=True, exist_ok=True)
    for movie in movies_of(chosen, home):
        table(movie, chosen)


if __name__ == "__main__":
    main()
