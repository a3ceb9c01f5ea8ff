"""Measure containers/deepcad against upstream's own classes (deepcad 1.2.0), both in this run.

Usage: make bench ALGO=deepcad ARGS="[train] [predict] [memory] [quality]"

train: seconds a step; predict: seconds on a cube, projected to the study's movie by the number of tiles and voxels;
memory: peaks; quality: both modes against the noise-free movie, and steps at tile borders.
Times are CPU seconds of a process of its own, the least of some rounds in which all take turns. Nightly sizes:
    --size 256 --steps 40 --frames 6500
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import tifffile

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent / "containers" / "deepcad"
# In place of this script's own folder, in which upstream's package would be this very file.
sys.path[:1] = [str(FOLDER.parent), str(FOLDER), str(FOLDER / "tests")]

import torch  # noqa: E402 - found only once the path is set
from movies import clean_movie, expected_grey, make_job, noisy_movie, psnr_db, write  # noqa: E402

import tiling  # noqa: E402
from checkpoints import new_network, write_manifest  # noqa: E402
from fast import fast_tiling  # noqa: E402
from patch_grid import exact_tiles  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence

FULL = (6500, 490, 490)  # MOUSENEU_LP, the public movie of the study
DEMO = {"fmap": 16, "patch_t": 150, "patch_y": 150, "patch_x": 150, "test_overlap_factor": 0.6}  # upstream's demo
STUDY = {"fmap": 16, "patch_t": 64, "patch_y": 64, "patch_x": 64, "test_overlap_factor": 0.33}  # of the study
GRIDS = {"64/0.33": STUDY, "150/0.6": DEMO}
FAST = {"mode": "fast", "memory_gib": 4.0, "fmap": 16}
QUICK = FAST | {"patch_t": 24, "patch_y": 48, "patch_x": 48, "train_datasets_size": 240, "n_epochs": 3, "batch_size": 2}
PRECISIONS = ("float32", "bfloat16")
HALOS = (8, 16, 24, 32, 48)


def main() -> None:
    """Run the parts that were asked for."""
    parts = {"train": train_speed, "predict": predict_speed, "memory": memory, "quality": quality}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(parts)}; all by default")
    parser.add_argument("--size", type=int, default=160, help="edge of the cube that is predicted, above 150")
    parser.add_argument("--grids", nargs="+", choices=GRIDS, default=list(GRIDS), help="150/0.6 takes 6 GB upstream")
    parser.add_argument("--memory-gib", type=float, nargs="+", default=[4.0, 8.0, 16.0], help="of the projections")
    parser.add_argument("--steps", type=int, default=12, help="training steps that are timed")
    parser.add_argument("--rounds", type=int, default=2, help="of each timing, of which the fastest counts")
    parser.add_argument("--frames", type=int, default=650, help="frames of 490 x 490 trained on for the memory")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if unknown := set(options.parts) - set(parts):
        parser.error(f"expected parts of {', '.join(parts)}, got {', '.join(sorted(unknown))}")
    for part in options.parts or parts:
        print(f"\n{part}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            parts[part](Path(folder), options)


def measured(options: argparse.Namespace, work: Path, kind: str, **case: Any) -> dict[str, float]:  # noqa: ANN401
    """Do one case in a process of its own and return its seconds and peaks; fields as in deepcad_case.Case."""
    document = json.dumps({"kind": kind, "work": str(work), "threads": options.threads} | case, default=str)
    command = [sys.executable, str(HERE / "deepcad_case.py"), document]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return found


def fastest_s(options: argparse.Namespace, work: Path, cases: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return the least CPU seconds of each case; they take turns, so that other load meets all of them."""
    times_s: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(options.rounds):
        for position, (name, case) in enumerate(cases.items()):
            place = work / f"{number}_{position}"
            times_s[name].append(measured(options, place, **{"checkpoint": place / "checkpoint"} | case)["seconds"])
    return {name: min(found) for name, found in times_s.items()}


def untrained(work: Path) -> Path:
    """Make a checkpoint with random weights, which cost as much as trained ones, and return its folder."""
    job = make_job(work / "untrained", "train", [], {"fmap": 16})
    job.checkpoint.mkdir(parents=True)
    torch.manual_seed(0)
    torch.save(new_network(16).state_dict(), job.checkpoint / "E_01_Iter_0001.pth")
    write_manifest(job, "E_01_Iter_0001.pth", {})
    return job.checkpoint


def train_speed(work: Path, options: argparse.Namespace) -> None:
    """Time training steps on patches of 64; an epoch of them, with its saving and checks."""
    movie = write(work / "movies" / "m.tif", noisy_movie(clean_movie((127 + options.steps, 64, 64))))
    params = STUDY | {"overlap_factor": 0.33, "train_datasets_size": options.steps, "n_epochs": 1}
    ours = {"kind": "train", "movie": movie}
    cases = {
        "upstream": {"kind": "upstream_train", "movie": movie, "params": params},
        "exact float32": ours | {"params": params},
    }
    for precision in PRECISIONS:
        cases[f"fast {precision}"] = ours | {"params": params | {"mode": "fast"}, "precision": precision}
    found_s = fastest_s(options, work, cases)
    for name, seconds in found_s.items():
        times = found_s["upstream"] / seconds
        print(f"{name}: {seconds / options.steps:.3f} s a step, {times:.2f}x upstream's speed")


def predict_speed(work: Path, options: argparse.Namespace) -> None:
    """Time upstream's tilings, exact mode on the same tiles, and fast mode; project them to the study's movie."""
    shape = (options.size,) * 3
    movie = write(work / "movies" / "m.tif", noisy_movie(clean_movie(shape)))
    inputs = {"movie": movie, "checkpoint": untrained(work)}
    cases = {
        f"fast {precision}": inputs | {"kind": "predict", "params": FAST, "precision": precision}
        for precision in PRECISIONS
    }
    for name in options.grids:
        cases[f"upstream {name}"] = inputs | {"kind": "upstream_predict", "params": GRIDS[name]}
        cases[f"exact {name}"] = inputs | {"kind": "predict", "params": GRIDS[name]}
    found_s = fastest_s(options, work, cases)
    for name, seconds in found_s.items():
        print(f"{name}: {seconds:.1f} s")
    for name in options.grids:
        theirs_s = found_s[f"upstream {name}"]
        print(f"exact {name}: {theirs_s / found_s[f'exact {name}']:.2f}x upstream's speed")
        full_s = theirs_s / tiles(shape, GRIDS[name]) * tiles(FULL, GRIDS[name])
        for precision in PRECISIONS:
            ours_s = found_s[f"fast {precision}"]
            print(f"fast {precision}: {theirs_s / ours_s:.1f}x upstream {name}; projected to {FULL}:", end="")
            for gib in options.memory_gib:
                ours_full_s = ours_s / computed(shape, FAST["memory_gib"], precision) * computed(FULL, gib, precision)
                print(f" {full_s / ours_full_s:.1f}x with {gib} GiB ({ours_full_s / 3600:.2f} h)", end="")
            print(f", upstream {full_s / 3600:.1f} h")


def tiles(shape: Sequence[int], grid: dict[str, Any]) -> int:
    """Return how many tiles upstream's grid has."""
    patches = (grid["patch_t"], grid["patch_y"], grid["patch_x"])
    return int(
        np.prod([len(exact_tiles(*axis, grid["test_overlap_factor"])) for axis in zip(shape, patches, strict=True)])
    )


def computed(shape: tuple[int, ...], memory_gib: float, precision: str) -> int:
    """Return how many voxels fast mode computes, those computed twice included."""
    cut = fast_tiling(shape, memory_gib, FAST["fmap"], precision)
    return int(np.prod([sum(one.read_stop - one.read_start + one.pad for one in axis) for axis in axes(cut)]))


def axes(cut: tiling.Tiling) -> tuple[Any, ...]:
    """Return the blocks of the three axes."""
    return cut.times, cut.rows, cut.columns


def memory(work: Path, options: argparse.Namespace) -> None:
    """Measure peak memory, of prediction above that of the loaded network, each in a process of its own."""
    checkpoint = untrained(work)

    def above(name: str, kind: str, movie: Path, params: dict[str, Any]) -> None:
        case = {"movie": movie, "checkpoint": checkpoint, "params": params}
        print(f"{name}: {measured(options, work / name, kind, **case)['above_bytes'] / 2**20:.0f} MiB", flush=True)

    for frames in (200, 800):
        movie = write(work / f"movies{frames}" / "m.tif", noisy_movie(clean_movie((frames, 70, 70))))
        above(f"upstream, patches of 64, {frames} frames", "upstream_predict", movie, STUDY)
        above(f"exact, patches of 64, {frames} frames", "predict", movie, STUDY)
        above(f"fast, memory_gib 0.2, {frames} frames", "predict", movie, FAST | {"memory_gib": 0.2})
    movie = write(work / "movies150" / "m.tif", noisy_movie(clean_movie((150, 150, 150))))
    above("exact, patches of 150", "predict", movie, DEMO | {"test_overlap_factor": 0.0})
    for gib in (0.5, 1.0):
        above(f"fast, memory_gib {gib}", "predict", movie, FAST | {"memory_gib": gib})
    activations(work, options)
    train_memory(work, options)


def activations(work: Path, options: argparse.Namespace) -> None:
    """Measure the memory of the network alone for each voxel of a cube."""
    for mode, precision in (("exact", "float32"), *(("fast", precision) for precision in PRECISIONS)):
        for kind, edge in (("one_pass", 96), ("one_pass", 160), ("one_step", 64)):
            found = measured(options, work, kind, params={"mode": mode, "fmap": 16}, precision=precision, edge=edge)
            print(f"{mode} {precision}, {kind} on {edge}^3: {found['above_bytes'] / edge**3:.0f} bytes a voxel")


def train_memory(work: Path, options: argparse.Namespace) -> None:
    """Measure the peak of the whole process in training on a long movie."""
    movie = work / "long" / "m.tif"
    movie.parent.mkdir()
    tifffile.memmap(movie, shape=(options.frames, *FULL[1:]), dtype=np.uint16, photometric="minisblack").flush()
    for grid in (STUDY, DEMO):
        params = grid | {"select_img_num": 10**6, "train_datasets_size": 200, "overlap_factor": 0.25}
        checkpoint = work / f"trained{grid['patch_t']}"
        found = measured(options, checkpoint, "two_steps", movie=movie, checkpoint=checkpoint, params=params)
        case = f"train exact, patches of {grid['patch_t']}, {options.frames} frames of {FULL[1]} x {FULL[2]}"
        print(f"{case}: {found['peak_bytes'] / 2**20:.0f} MiB in all", flush=True)


def quality(work: Path, options: argparse.Namespace) -> None:
    """Train once, predict in both modes, compare with the noise-free movie and look for seams."""
    clean = clean_movie((200, 128, 128))
    truth, noisy = expected_grey(clean), noisy_movie(clean)
    inputs = {"movie": write(work / "movies" / "m.tif", noisy), "checkpoint": work / "checkpoint"}
    measured(options, work, "train", params=QUICK | {"lr": 1e-3}, **inputs)
    means = np.stack([noisy[max(0, t - 2) : t + 3].mean(axis=0) for t in range(len(noisy))])
    print(f"noisy: {psnr_db(truth, noisy):.2f} dB; mean of 5 frames: {psnr_db(truth, means):.2f} dB")

    def predicted(name: str, borders: list[list[int]], **case: Any) -> np.ndarray:  # noqa: ANN401 - passed on
        measured(options, work / name, "predict", **inputs, **case)
        found: np.ndarray = tifffile.imread(work / name / "predict" / "predictions" / "m.tif")
        seams = ", ".join(f"{axis} {seam(found - truth, borders[i], i)}" for i, axis in enumerate("TYX"))
        print(f"{name}: {psnr_db(truth, found):.2f} dB; step of the error at tile borders / elsewhere: {seams}")
        return found

    upstream = [[tile.start for tile in exact_tiles(length, 64, 0.33)][1:] for length in truth.shape]
    predicted("exact, as upstream 64 at 0.33", upstream, params=STUDY)
    whole = predicted("fast, one tile", [[], [], []], params=FAST)
    predicted("fast, one tile, bfloat16", [[], [], []], params=FAST, precision="bfloat16")
    small = FAST | {"memory_gib": 0.5}
    for halo in HALOS:
        found = predicted(f"fast, 0.5 GiB, context of {halo}", borders_with(truth.shape, halo), params=small, halo=halo)
        off = np.abs(found - whole)
        print(f"    differs from one tile by {np.sqrt(np.mean(off**2)):.5f} (RMS), at most {off.max():.4f} grey levels")


def borders_with(shape: tuple[int, ...], halo: int) -> list[list[int]]:
    """Return where tiles of fast mode meet along each axis, within 0.5 GiB and with some context."""
    with patch.object(tiling, "HALO", halo):
        return [[block.start for block in blocks][1:] for blocks in axes(fast_tiling(shape, 0.5, 16, "float32"))]


def seam(error: np.ndarray, borders: list[int], axis: int) -> str:
    """Return the mean squared step of the error across tile borders over that elsewhere; 1 is seamless."""
    steps = np.square(np.diff(error, axis=axis)).mean(axis=tuple({0, 1, 2} - {axis}))
    if not borders:
        return "no border"
    inside = np.delete(steps, [border - 1 for border in borders])
    return f"{steps[[border - 1 for border in borders]].mean() / inside.mean():.2f}"


if __name__ == "__main__":
    main()
