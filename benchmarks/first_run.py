"""Time `make run ALGO=n2v` from nothing, split by step, for commits side by side: all of them in one sitting.

    .venv/bin/python benchmarks/first_run.py d159a6b HEAD d159a6b HEAD

Each commit, as often as it is named, is cloned to a temporary folder, with empty caches of calm, pip and uv.
A step ends when the file appears that it leaves: the time since the last such file is its own.
Downloads take as long as the network does.
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
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_POLL_S = 0.1
# What each step leaves in the checkout, in the order in which the table shows them; the first that fits counts.
STEPS = {
    "install calm": (".venv/complete",),
    "download wheels": (".calm/wheels/*/requirements.lock",),
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


def _first_run(commit: str, where: Path | None) -> dict[str, float]:
    """Return the seconds of each step of the first run of a commit."""
    with tempfile.TemporaryDirectory(dir=where) as made:
        clone = Path(made) / "calm"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        named = subprocess.run(["git", "rev-parse", commit], cwd=ROOT, check=True, capture_output=True, text=True)
        subprocess.run(["git", "checkout", "--quiet", named.stdout.strip()], cwd=clone, check=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_KEPT)}
        caches = {"PIP_CACHE_DIR": f"{made}/pip", "UV_CACHE_DIR": f"{made}/uv"}
        with (Path(made) / "log.txt").open("w+") as log:
            command = ["make", "run", "ALGO=n2v", "ENGINE=venv"]
            run = subprocess.Popen(command, cwd=clone, env=kept | caches, stdout=log, stderr=subprocess.STDOUT)
            seconds = _watched(run, clone)
            if run.returncode:
                log.seek(0)
                shutil.copyfileobj(log, sys.stderr)
                sys.exit(f"{commit}: make run ended with {run.returncode}")
        return seconds


def _watched(run: subprocess.Popen[bytes], clone: Path) -> dict[str, float]:
    """Return the seconds of each step of a run, which is watched to its end."""
    seconds: dict[str, float] = defaultdict(float)
    known: set[Path] = set()
    last_s = time.perf_counter()
    while run.poll() is None:
        time.sleep(_POLL_S)
        now_s = time.perf_counter()
        for step, patterns in STEPS.items():
            fresh = {path for pattern in patterns for path in clone.glob(pattern)} - known
            known |= fresh
            if fresh:
                seconds[step] += now_s - last_s
                last_s = now_s
    seconds[REST] = time.perf_counter() - last_s
    return seconds


def _table(commits: list[str], runs: list[dict[str, float]]) -> str:
    rows = [[step, *(f"{seconds.get(step, 0):.0f}" for seconds in runs)] for step in (*STEPS, REST)]
    totals = [sum(seconds.values()) for seconds in runs]
    rows.append(["all", *(f"{total:.0f}" for total in totals)])
    others = (total - seconds.get("download wheels", 0) for total, seconds in zip(totals, runs, strict=True))
    rows.append(["all but the download", *(f"{other:.0f}" for other in others)])
    head = ["step", *(f"{commit}, s" for commit in commits)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---", *["---:"] * len(runs)], *rows])


if __name__ == "__main__":
    main()
