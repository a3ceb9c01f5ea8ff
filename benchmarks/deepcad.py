"""Measure containers/deepcad against upstream's own classes (deepcad 1.2.0), both in this run.

Usage: make bench ALGO=deepcad ARGS="[train] [predict] [memory] [quality]"

train: seconds a step; predict: seconds on a cube, projected to the study's movie by the number of tiles and voxels;
memory: peaks; quality: both modes against the noise-free movie, and steps at tile borders.
Times are CPU seconds of the process, which other load on the machine disturbs least. Nightly sizes:
    --size 256 --steps 40 --frames 6500
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import torch

FOLDER = Path(__file__).resolve().parents[1] / "containers" / "deepcad"
# In place of this script's own folder, in which upstream's package would be this very file.
sys.path[:1] = [str(FOLDER.parent), str(FOLDER), str(FOLDER / "tests")]

import oracle  # noqa: E402
from movies import PARAMS, clean_movie, do, expected_grey, make_job, noisy_movie, psnr_db, write  # noqa: E402

import learning  # noqa: E402 - found only once the path is set
import run  # noqa: E402
from checkpoints import new_network, write_manifest  # noqa: E402
from contract.errors import Interrupted  # noqa: E402
from fast import BYTES_PER_VOXEL  # noqa: E402
from patch_grid import exact_tiles  # noqa: E402
from tiling import Tiling, best_tiling  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FULL = (6500, 490, 490)  # MOUSENEU_LP, the public movie of the study
DEMO = {"patch_t": 150, "patch_y": 150, "patch_x": 150, "test_overlap_factor": 0.6}  # upstream's demo
STUDY = {"patch_t": 64, "patch_y": 64, "patch_x": 64, "test_overlap_factor": 0.33}  # the study's configuration
GRIDS = {"64/0.33": STUDY, "150/0.6": DEMO}
FAST = {"mode": "fast", "memory_gib": 4.0, "fmap": 16}
QUICK = FAST | {"patch_t": 24, "patch_y": 48, "patch_x": 48, "train_datasets_size": 240, "n_epochs": 3, "batch_size": 2}
PRECISIONS = ("float32", "bfloat16")


def main() -> None:
    """Run the parts that were asked for."""
    parts = {"train": train_speed, "predict": predict_speed, "memory": memory, "quality": quality}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(parts)}; all by default")
    parser.add_argument("--size", type=int, default=160, help="edge of the cube that is predicted, above 150")
    parser.add_argument("--grids", nargs="+", choices=GRIDS, default=list(GRIDS), help="150/0.6 takes 6 GB upstream")
    parser.add_argument("--steps", type=int, default=6, help="training steps that are timed")
    parser.add_argument("--rounds", type=int, default=2, help="of each timing, of which the fastest counts")
    parser.add_argument("--frames", type=int, default=650, help="frames of 490 x 490 trained on for the memory")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.measure:
        print(peak_bytes(**json.loads(options.measure)))
        return
    for part in options.parts or parts:
        print(f"\n{part}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            parts[part](Path(folder), options)


def timed_s(action: Callable[..., object], *arguments: Any, **fields: Any) -> float:  # noqa: ANN401 - passed on
    """Return the CPU seconds of a call."""
    began_s = time.process_time()
    action(*arguments, **fields)
    return time.process_time() - began_s


def train(work: Path, movie: Path, params: dict[str, Any], **fields: Any) -> Path:  # noqa: ANN401 - passed on
    """Train on a movie and return the checkpoint folder."""
    job = make_job(work / "train", "train", [movie], params, **fields)
    do(job)
    return job.checkpoint


def predict(work: Path, movie: Path, checkpoint: Path, params: dict[str, Any], **fields: Any) -> Path:  # noqa: ANN401
    """Predict a movie and return its prediction."""
    job = make_job(work / "predict", "predict", [movie], {"fmap": 16} | params, checkpoint=checkpoint, **fields)
    do(job)
    return job.predictions / movie.name


def untrained(work: Path) -> Path:
    """Make a checkpoint with random weights, which cost as much as trained ones, and return its folder."""
    job = make_job(work / "untrained", "train", [], {"fmap": 16})
    job.checkpoint.mkdir(parents=True)
    torch.manual_seed(0)
    torch.save(new_network(16).state_dict(), job.checkpoint / "E_01_Iter_0001.pth")
    write_manifest(job, "E_01_Iter_0001.pth", {})
    return job.checkpoint


def fastest_s(actions: dict[str, Callable[[Path], object]], work: Path, rounds: int) -> dict[str, float]:
    """Return the least CPU seconds of each action; they take turns, so that other load meets all of them."""
    times_s: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(rounds):
        for name, action in actions.items():
            times_s[name].append(timed_s(action, work / f"{number}{name}"))
    return {name: min(found) for name, found in times_s.items()}


def train_speed(work: Path, options: argparse.Namespace) -> None:
    """Time training steps on patches of 64; an epoch of them, with its saving and checks."""
    movie = write(work / "movies" / "m.tif", noisy_movie(clean_movie((127 + options.steps, 64, 64))))
    params = STUDY | {"fmap": 16, "overlap_factor": 0.33, "train_datasets_size": options.steps, "n_epochs": 1}
    actions: dict[str, Callable[[Path], object]] = {
        "upstream": lambda place: oracle.train(movie.parent, PARAMS | params, 3, options.threads, place),
        "exact float32": lambda place: train(place, movie, params, threads=options.threads),
    }
    for precision in PRECISIONS:
        actions[f"fast {precision}"] = partial(
            train, movie=movie, params=params | {"mode": "fast"}, threads=options.threads, precision=precision
        )
    found_s = fastest_s(actions, work, options.rounds)
    for name, seconds in found_s.items():
        times = found_s["upstream"] / seconds
        print(f"{name}: {seconds / options.steps:.2f} s a step, {times:.2f}x upstream's speed")


def predict_speed(work: Path, options: argparse.Namespace) -> None:
    """Time upstream's two tilings, exact mode on the same tiles, and fast mode; project them to the study's movie."""
    shape = (options.size,) * 3
    movie = write(work / "movies" / "m.tif", noisy_movie(clean_movie(shape)))
    checkpoint = untrained(work)
    upstream_s, full_s = {}, {}
    for name in options.grids:
        grid = GRIDS[name]
        place, weights = work / name.replace("/", "_"), next(checkpoint.glob("*.pth"))
        actions: dict[str, Callable[[Path], object]] = {
            "upstream": partial(oracle.predict, movie.parent, weights, PARAMS | {"fmap": 16} | grid, options.threads),
            "exact": partial(predict, movie=movie, checkpoint=checkpoint, params=grid, threads=options.threads),
        }
        found_s = fastest_s(actions, place, options.rounds)
        upstream_s[name] = found_s["upstream"]
        full_s[name] = upstream_s[name] / tiles(shape, grid) * tiles(FULL, grid)
        times = upstream_s[name] / found_s["exact"]
        print(f"upstream {name}: {upstream_s[name]:.1f} s; exact: {times:.2f}x upstream's speed")
    for precision in PRECISIONS:
        place = work / precision
        fast_s = timed_s(predict, place, movie, checkpoint, FAST, precision=precision, threads=options.threads)
        ours_s = fast_s / computed(shape, precision) * computed(FULL, precision)
        for name, seconds in upstream_s.items():
            print(
                f"fast {precision}: {fast_s:.1f} s, {seconds / fast_s:.1f}x upstream {name}; projected to {FULL}: "
                f"{full_s[name] / ours_s:.1f}x, {full_s[name] / 3600:.1f} h become {ours_s / 3600:.2f} h"
            )


def tiles(shape: Sequence[int], grid: dict[str, Any]) -> int:
    """Return how many tiles upstream's grid has."""
    patches = (grid["patch_t"], grid["patch_y"], grid["patch_x"])
    return int(
        np.prod([len(exact_tiles(*axis, grid["test_overlap_factor"])) for axis in zip(shape, patches, strict=True)])
    )


def computed(shape: Sequence[int], precision: str) -> int:
    """Return how many voxels fast mode computes within 4 GiB, those computed twice included."""
    tiling = best_tiling(tuple(shape), 4 * 2**30, BYTES_PER_VOXEL[precision])
    return int(np.prod([sum(one.read_stop - one.read_start + one.pad for one in axis) for axis in axes(tiling)]))


def axes(tiling: Tiling) -> tuple[Any, ...]:
    """Return the blocks of the three axes."""
    return tiling.times, tiling.rows, tiling.columns


def memory(work: Path, options: argparse.Namespace) -> None:
    """Measure peak memory, of prediction above that of the loaded network, each in a process of its own."""
    checkpoint = str(untrained(work))
    for frames in (200, 800):
        movie = write(work / f"movies{frames}" / "m.tif", noisy_movie(clean_movie((frames, 70, 70))))
        for kind in ("upstream", "exact"):
            peak = measured(options, kind=kind, movie=str(movie), checkpoint=checkpoint, grid=STUDY)
            print(f"predict {kind}, patches of 64, {frames} frames: {peak / 2**20:.0f} MiB")
    movie = write(work / "movies150" / "m.tif", noisy_movie(clean_movie((150, 150, 150))))
    one_tile = DEMO | {"test_overlap_factor": 0.0}
    peak = measured(options, kind="exact", movie=str(movie), checkpoint=checkpoint, grid=one_tile)
    print(f"predict exact, patches of 150: {peak / 2**20:.0f} MiB")
    for gib in (0.5, 1.0):
        grid = FAST | {"memory_gib": gib}
        peak = measured(options, kind="exact", movie=str(movie), checkpoint=checkpoint, grid=grid)
        print(f"predict fast, memory_gib {gib}: {peak / 2**20:.0f} MiB")
    movie = work / "long" / "m.tif"
    movie.parent.mkdir()
    tifffile.memmap(movie, shape=(options.frames, *FULL[1:]), dtype=np.uint16, photometric="minisblack").flush()
    for grid in (STUDY, DEMO):
        peak = measured(options, kind="train", movie=str(movie), checkpoint=str(work / "trained"), grid=grid)
        patch = grid["patch_t"]
        print(f"train exact, patches of {patch}, {options.frames} frames of 490 x 490: {peak / 2**20:.0f} MiB in all")


def measured(options: argparse.Namespace, **case: Any) -> int:  # noqa: ANN401 - passed on as JSON
    """Run one case in a process of its own and return its peak in bytes."""
    command = [sys.executable, __file__, "--threads", str(options.threads), "--measure", json.dumps(case)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peak_bytes(*, kind: str, movie: str, checkpoint: str, grid: dict[str, Any]) -> int:
    """Do one case and return by how much the peak of this process grew; for training the peak itself."""
    with torch.inference_mode():
        new_network(16)(torch.zeros(1, 1, 16, 16, 16))
    before = 0 if kind == "train" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    weights = Path(checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        match kind:
            case "upstream":
                params = PARAMS | {"fmap": 16} | grid
                path = Path(movie)
                oracle.predict(path.parent, next(weights.glob("*.pth")), params, torch.get_num_threads(), work / "up")
            case "train":
                train_a_little(work, Path(movie), grid)
            case _:
                predict(work, Path(movie), weights, grid, threads=torch.get_num_threads())
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024


def train_a_little(work: Path, movie: Path, grid: dict[str, Any]) -> None:
    """Look at every frame of a movie, as a whole epoch would, and do two training steps."""

    class Seen(run.Centred):
        def __init__(self, pixels: np.memmap, mean: np.float32) -> None:
            super().__init__(pixels, mean)
            for start in range(0, len(pixels), 16):
                self[start : start + 16, :, :]

    run.Centred = Seen
    step, calls = learning.Learner.step, []

    def counted(self: learning.Learner, *pair: torch.Tensor) -> torch.Tensor:
        calls.append(pair)
        if len(calls) > 2:  # noqa: PLR2004 - steps after which memory no longer grows
            raise Interrupted
        return step(self, *pair)

    learning.Learner.step = counted
    with suppress(Interrupted):
        every = {"select_img_num": 10**6, "train_datasets_size": 12000}  # frames and patches
        train(work, movie, grid | every | {"fmap": 16, "overlap_factor": 0.25})


def quality(work: Path, options: argparse.Namespace) -> None:
    """Train once, predict in both modes, compare with the noise-free movie and look for seams."""
    clean = clean_movie((200, 128, 128))
    truth, noisy = expected_grey(clean), noisy_movie(clean)
    movie = write(work / "movies" / "m.tif", noisy)
    checkpoint = train(work, movie, QUICK | {"lr": 1e-3}, threads=options.threads)
    means = np.stack([noisy[max(0, t - 2) : t + 3].mean(axis=0) for t in range(len(noisy))])
    print(f"noisy: {psnr_db(truth, noisy):.2f} dB; mean of 5 frames: {psnr_db(truth, means):.2f} dB")
    upstream = [[tile.start for tile in exact_tiles(length, 64, 0.33)][1:] for length in truth.shape]
    cases: list[tuple[str, dict[str, Any], str, list[list[int]]]] = [
        ("exact (= upstream) 64/0.33", STUDY, "float32", upstream)
    ]
    for precision, gib in (("float32", 4.0), ("float32", 0.2), ("bfloat16", 4.0)):
        tiling = best_tiling(truth.shape, gib * 2**30, BYTES_PER_VOXEL[precision])
        borders = [[block.start for block in blocks][1:] for blocks in axes(tiling)]
        cases.append((f"fast {precision}, {gib} GiB", FAST | {"memory_gib": gib}, precision, borders))
    for number, (name, params, precision, borders) in enumerate(cases):
        path = predict(work / str(number), movie, checkpoint, params, precision=precision, threads=options.threads)
        found = tifffile.imread(path)
        seams = ", ".join(f"{axis} {seam(found - truth, borders[i], i)}" for i, axis in enumerate("TYX"))
        print(f"{name}: {psnr_db(truth, found):.2f} dB; step of the error at tile borders / elsewhere: {seams}")


def seam(error: np.ndarray, borders: list[int], axis: int) -> str:
    """Return the mean squared step of the error across tile borders over that elsewhere; 1 is seamless."""
    steps = np.square(np.diff(error, axis=axis)).mean(axis=tuple({0, 1, 2} - {axis}))
    if not borders:
        return "no border"
    inside = np.delete(steps, [border - 1 for border in borders])
    return f"{steps[[border - 1 for border in borders]].mean() / inside.mean():.2f}"


if __name__ == "__main__":
    main()
