"""How long a sweep of many runs takes to plan and to find finished, and how much memory its head needs.

    python benchmarks/sweep.py [--runs 1000]

The runs are real ones of the control `mean` with other seeds, made from one that was run; Snakemake is never started.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
from msgspec import structs

from orchestrator.documents import write_sealed
from orchestrator.paths import RunFolder
from orchestrator.records.run import read_run

CALM = [sys.executable, "-c", "from orchestrator.cli import main; main()"]


def timed(title: str, *arguments: str, environment: dict[str, str]) -> None:
    """Run a command and print its seconds on the clock and of the processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began_s = time.perf_counter()
    done = subprocess.run([*CALM, *arguments], check=True, env=environment, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    last = done.stdout.strip().splitlines()[-1]
    print(f"{title}: {time.perf_counter() - began_s:.1f} s, {cpu_s:.1f} s of the processor ({last})", flush=True)


def multiply(run: Path, seeds: range) -> None:
    """Make the runs of other seeds from the one of the first: the same files, and the key of the seed."""
    first = read_run(run)
    for seed in seeds[1:]:
        record = structs.replace(first.record, seed=seed)
        record = structs.replace(record, key=record.key_parts.key)
        folder = RunFolder(path=run.with_name(record.key))
        shutil.copytree(run, folder.path, copy_function=shutil.copy2)
        write_sealed(folder.record, record)


def main() -> None:
    """Plan, run one, multiply it, and call the sweep of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as made:
        scratch = Path(made)
        environment = os.environ | {"CALM_OUTPUTS": f"{scratch}/outputs"}
        frames = np.random.default_rng(0).poisson(100, (20, 32, 40)).astype(np.uint16)
        tifffile.imwrite(scratch / "movie.tif", frames)
        seeds = range(runs)
        part = "threads: 1, algorithms: [identity, mean, svd], inputs: [movie.tif], preset: default"
        (scratch / "all.yaml").write_text(
            f"parts: [{{threads: 1, algorithms: [mean], inputs: [movie.tif], seeds: [{', '.join(map(str, seeds))}]}}]\n"
        )
        (scratch / "one.yaml").write_text(f"parts: [{{{part}, seeds: [0]}}]\n")
        timed(f"plan of {runs} runs", "sweep", f"{scratch}/all.yaml", "--plan", environment=environment)
        timed("a sweep of three runs", "sweep", f"{scratch}/one.yaml", "--engine", "venv", environment=environment)
        for run in (scratch / "outputs").glob("mean-*/*/run.json"):
            multiply(run.parent, seeds)
        timed("the first call with all of them there", "sweep", f"{scratch}/all.yaml", environment=environment)
        timed("a call with nothing to do", "sweep", f"{scratch}/all.yaml", environment=environment)
        timed(f"plan of {runs} finished runs", "sweep", f"{scratch}/all.yaml", "--plan", environment=environment)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"largest of these processes: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
