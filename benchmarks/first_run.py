"""Time `make run ALGO=n2v` from nothing, split by step, for commits side by side: all of them in one sitting.

    .venv/bin/python benchmarks/first_run.py d159a6b HEAD d159a6b HEAD

Each commit, as often as it is named, is cloned to a temporary folder, with empty caches of calm, pip and uv.
A step ends when the file appears that it leaves: the time since the last such file is its own.
Downloads take as long as the network does. On a machine that has other work to do, look at the CPU seconds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
_POLL_S = 0.1
DOWNLOAD = "download wheels"
# What each step leaves in the checkout, in the order in which the table shows them; the first that fits counts.
STEPS = {
    "install calm": (".venv/complete",),
    DOWNLOAD: (".calm/wheels/*/requirements.lock",),
    "install environments": (".calm/envs/*/calm-complete", ".calm/environments/*.json"),
    "simulate the demo": ("data/files/demo/**/*.tif", "data/files/demo/**/*.npz"),
    "train": ("outputs/n2v-*/*/train/result.json",),
    "predict": ("outputs/n2v-*/*/predict-*/result.json",),
    "controls": ("outputs/*/*/train/result.json", "outputs/*/*/predict-*/result.json", "outputs/*/*/run.json"),
    "scores": ("outputs/*/*/scores.json",),
    "checks": ("outputs/*/*/checks.json",),
}
_NOT_KEPT = ("CALM_", "PYTHON", "VIRTUAL_ENV")
REST = "page, and whatever is left"


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock, and of all processors together."""

    clock_s: float = 0.0
    cpu_s: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.clock_s + other.clock_s, self.cpu_s + other.cpu_s)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.clock_s - other.clock_s, self.cpu_s - other.cpu_s)

    def words(self) -> str:
        """Return it as the table shows it."""
        return f"{self.clock_s:.0f} ({self.cpu_s:.0f})"


def main() -> None:
    """Measure every commit that is named and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commits", nargs="+")
    parser.add_argument("--where", type=Path, help="Folder for the clones.  [default: the temporary one]")
    asked = parser.parse_args()
    runs = []
    for commit in asked.commits:
        print(f"{commit}: load {os.getloadavg()[0]:.1f} before", file=sys.stderr, flush=True)
        runs.append(_first_run(commit, asked.where))
        print(f"{commit}: load {os.getloadavg()[0]:.1f} after", file=sys.stderr, flush=True)
    print(_table(asked.commits, runs))


def _first_run(commit: str, where: Path | None) -> dict[str, Cost]:
    """Return what each step of the first run of a commit costs."""
    with tempfile.TemporaryDirectory(dir=where) as made:
        clone = Path(made) / "calm"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        named = subprocess.run(["git", "rev-parse", commit], cwd=ROOT, check=True, capture_output=True, text=True)
        subprocess.run(["git", "checkout", "--quiet", named.stdout.strip()], cwd=clone, check=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_KEPT)}
        caches = {"PIP_CACHE_DIR": f"{made}/pip", "UV_CACHE_DIR": f"{made}/uv"}
        with (Path(made) / "log.txt").open("w+") as log:
            command = ["make", "run", "ALGO=n2v", "ENGINE=venv"]
            run = psutil.Popen(command, cwd=clone, env=kept | caches, stdout=log, stderr=subprocess.STDOUT)
            costs = _watched(run, clone)
            if run.returncode:
                log.seek(0)
                shutil.copyfileobj(log, sys.stderr)
                sys.exit(f"{commit}: make run ended with {run.returncode}")
        return costs


def _watched(run: psutil.Popen, clone: Path) -> dict[str, Cost]:
    """Return what each step of a run costs, which is watched to its end."""
    costs: dict[str, Cost] = defaultdict(Cost)
    known: set[Path] = set()
    last = now = Cost(time.perf_counter(), 0.0)
    while run.poll() is None:
        time.sleep(_POLL_S)
        now = Cost(time.perf_counter(), max(_cpu_seconds(run), now.cpu_s))
        for step, patterns in STEPS.items():
            fresh = {path for pattern in patterns for path in clone.glob(pattern)} - known
            known |= fresh
            if fresh:
                costs[step] += now - last
                last = now
    costs[REST] = now - last
    return costs


def _cpu_seconds(run: psutil.Popen) -> float:
    """Return the CPU seconds of a program and all that it started, those that have ended among them."""
    total = 0.0
    with suppress(psutil.Error):
        for one in (run, *run.children(recursive=True)):
            with suppress(psutil.Error):  # it ended just now
                times = one.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
    return total


def _table(commits: list[str], runs: list[dict[str, Cost]]) -> str:
    steps = (*STEPS, REST)
    rows = [[step, *(run[step].words() for run in runs)] for step in steps]
    rows.append(["all", *(sum((run[step] for step in steps), Cost()).words() for run in runs)])
    kept = [step for step in steps if step != DOWNLOAD]
    rows.append(["all but the download", *(sum((run[step] for step in kept), Cost()).words() for run in runs)])
    head = ["step", *(f"{commit}, s (CPU s)" for commit in commits)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---", *["---:"] * len(runs)], *rows])


if __name__ == "__main__":
    main()
