"""What a broken pixel costs a denoiser away from it: the error on a movie with it, and on the same movie without.

    python benchmarks/faults.py movie.tif clean.npy 5 5 [--algorithms n2v hdn] [--seeds 1] [--preset quick]

The movie is of Poisson noise around the clean one, and one pixel (y, x) of it is wrong. The movie without the fault has
other Poisson noise there. Both are denoised by `calm run` with one thread, and the movie with the fault also by the
network that was trained on the one without, as two trainings differ by far more than a pixel can do. Errors are mean
squared ones over all frames, pixels within two of the wrong one left out, in dB below that of the noisy movie.
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile

CALM = [sys.executable, "-c", "from orchestrator.cli import main; main()"]
ALGORITHMS = ("n2v", "n2n", "hdn", "deepcad", "cellmincer")
REACH = 2  # pixels around the wrong one that do not count: optics spread its light in a real movie
ALLOWED_DB = 0.3


def said(arguments: list[str], *heads: str) -> str:
    """Return what calm prints after one of some heads of a line, or raise ChildProcessError."""
    done = subprocess.run([*CALM, *arguments, "--engine", "venv"], capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"{' '.join(arguments)}: {done.stderr.strip().splitlines()[-1]}"
        raise ChildProcessError(message)
    return next(line.split(": ", 1)[1] for line in done.stdout.splitlines() if line.startswith(heads))


def run(path: Path, algorithm: str, seed: int, preset: str) -> Path:
    """Run an algorithm on a movie, or find its run; return its folder."""
    options = ["--preset", preset, "--seed", str(seed), "--threads", "1"]
    return Path(said(["run", algorithm, "--input", str(path), *options], "Finished: ", "Found: "))


def denoised(folder: Path, path: Path) -> np.ndarray:
    """Return the prediction of a run for its movie."""
    found: np.ndarray = tifffile.imread(folder / "predictions" / "train" / path.name)
    return found


def by_network_of(folder: Path, path: Path, scratch: Path) -> np.ndarray:
    """Denoise another movie with the network of a run."""
    target = scratch / f"{folder.name}.tif"
    if not target.exists():
        said(["predict", str(folder), str(path), "-o", str(target)], "Denoised: ")
    found: np.ndarray = tifffile.imread(target)
    return found


def gain_db(clean: np.ndarray, noisy: np.ndarray, made: np.ndarray, counts: np.ndarray) -> float:
    """Return how far the error is below that of the noisy movie where it counts."""
    before, after = (np.mean((movie.astype(np.float64) - clean)[:, counts] ** 2) for movie in (noisy, made))
    return float(10 * math.log10(before / after))


def main() -> None:
    """Print a row for each algorithm; end with 1 where a fault costs more than is allowed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("movie", type=Path)
    parser.add_argument("clean", type=Path, help=".npy of shape (T, Y, X)")
    parser.add_argument("pixel", type=int, nargs=2, help="y and x of the wrong pixel")
    parser.add_argument("--algorithms", nargs="+", default=ALGORITHMS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--preset", default="quick")
    chosen = parser.parse_args()
    faulty, clean = tifffile.imread(chosen.movie), np.load(chosen.clean).astype(np.float64)
    y, x = chosen.pixel
    sound = faulty.copy()
    sound[:, y, x] = np.random.default_rng(0).poisson(clean[:, y, x])
    counts = np.ones(clean.shape[1:], bool)
    counts[max(0, y - REACH) : y + REACH + 1, max(0, x - REACH) : x + REACH + 1] = False
    print(
        f"`python benchmarks/faults.py`, preset {chosen.preset}, seeds {', '.join(map(str, chosen.seeds))}, one thread"
    )
    print("| | without the fault, dB | with it, dB | by the network of the first, dB |\n|---|---|---|---|", flush=True)
    worst = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "without.tif"
        tifffile.imwrite(path, sound, photometric="minisblack", metadata={"axes": "TYX"})
        pair = (path, chosen.movie)
        for algorithm in chosen.algorithms:
            try:
                gains = []
                for seed in chosen.seeds:
                    runs = [run(one, algorithm, seed, chosen.preset) for one in pair]
                    made = [denoised(*one) for one in zip(runs, pair, strict=True)]
                    made.append(by_network_of(runs[0], chosen.movie, Path(scratch)))
                    gains.append([gain_db(clean, sound, one, counts) for one in made])
            except ChildProcessError as error:
                print(f"| {error} |", flush=True)
                continue
            without, with_it, by_first = map(statistics.fmean, zip(*gains, strict=True))
            worst = max(worst, without - by_first)
            cells = f"{without:.2f} | {with_it:.2f} | {by_first:.2f} ({by_first - without:+.3f})"
            print(f"| {algorithm} | {cells} |", flush=True)
    sys.exit(0 if worst <= ALLOWED_DB else 1)


if __name__ == "__main__":
    main()
