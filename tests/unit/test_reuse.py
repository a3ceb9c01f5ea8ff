"""A finished run is found again at once, and nothing of it is written again."""

from __future__ import annotations

import subprocess
import sys

SLOW_TO_IMPORT = {"docker", "jinja2", "requests", "scipy", "torch"}


def test_a_finished_run_is_found_without_what_takes_long_and_nothing_is_written(calm, movie):
    """How long it takes is measured by benchmarks/commands.py."""
    arguments = ["run", "mean", "--input", str(movie), "--engine", "venv"]
    assert calm(*arguments).returncode == 0
    before = {path: path.stat().st_mtime_ns for path in calm.outputs.rglob("*")}
    program = (
        "import sys; from orchestrator.cli import main; main(sys.argv[1:], standalone_mode=False); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], check=True, capture_output=True, text=True, env=calm.environment()
    )
    assert done.stdout.startswith("Found: ")
    assert SLOW_TO_IMPORT & {*done.stdout.splitlines()[-1].split()} == set()
    assert {path: path.stat().st_mtime_ns for path in calm.outputs.rglob("*")} == before
