"""How long the commands take that people wait for, beside a Python that only imports click.

    python benchmarks/commands.py [--tries 7] [--gigabytes 2]

Prints the median of each, and its ratio to the reference measured in turn with it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile

CALM = [sys.executable, "-c", "from orchestrator.cli import main; main()"]
FRAME = (512, 512)


def seconds(command: list[str], environment: dict[str, str]) -> float:
    """Run a command and return its seconds on the clock."""
    began_s = time.perf_counter()
    subprocess.run(command, check=True, env=environment, capture_output=True)
    return time.perf_counter() - began_s


def compare(title: str, command: list[str], environment: dict[str, str], tries: int) -> None:
    """Print the median seconds of a command, and the median ratio to the reference, taken in turn."""
    reference = [sys.executable, "-c", "import click"]
    pairs = [(seconds(command, environment), seconds(reference, environment)) for _ in range(tries)]
    ratio = statistics.median(one / other for one, other in pairs)
    print(f"{title}: {statistics.median(one for one, _ in pairs):.2f} s, {ratio:.1f} times `import click`", flush=True)


def movie(path: Path, gigabytes: float) -> Path:
    """Write a movie of so many gigabytes, frame by frame."""
    frames = max(2, round(gigabytes * 1e9 / (2 * FRAME[0] * FRAME[1])))
    random = np.random.default_rng(0)
    block = random.poisson(100, (16, *FRAME)).astype(np.uint16)
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for index in range(frames):
            writer.write(block[index % len(block)], contiguous=True)
    return path


def main() -> None:
    """Measure `--help`, `list`, and a found run on a large movie."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=7)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        environment = os.environ | {"CALM_OUTPUTS": f"{scratch}/outputs", "CALM_DATA": f"{scratch}/data"}
        compare("calm --help", [*CALM, "--help"], environment, chosen.tries)
        compare("calm list", [*CALM, "list"], environment, chosen.tries)
        path = movie(Path(scratch) / "movie.tif", chosen.gigabytes)
        run = [*CALM, "run", "identity", "--input", str(path), "--engine", "venv"]
        subprocess.run(run, check=True, env=environment, capture_output=True)
        compare(f"calm run, found, {chosen.gigabytes:g} GB", run, environment, chosen.tries)


if __name__ == "__main__":
    main()
