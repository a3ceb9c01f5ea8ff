"""A whole `calm run`, killed at random moments: wheels, environment, jobs, scores and page come out as without a kill.

CALM_KILLS sets how many moments are tried; the default is few, for the time they take. 50 take some minutes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

KILLS = int(os.environ.get("CALM_KILLS", "6"))
PATTERNS = ("predictions/**/*.tif", "checkpoint/*", "frames*.csv")
STOPS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


class Place:
    """A world of its own for a command: caches, outputs and temporary folder."""

    def __init__(self, folder, calm, movie):
        self.folder = folder
        self.home, self.outputs, self.temporary = folder / "home", folder / "outputs", folder / "tmp"
        self.temporary.mkdir(parents=True)
        self._command = calm.command("run", "mean", "--input", movie, "--engine", "venv", "--threads", "1")
        own = {"CALM_HOME": self.home, "CALM_OUTPUTS": self.outputs, "TMPDIR": self.temporary}
        self._environment = calm.environment(**{name: str(path) for name, path in own.items()})

    def start(self):
        """Start the command."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(self._command, env=self._environment, **pipes)

    def finish(self):
        """Run the command to its end and return the seconds that it took."""
        began_s = time.monotonic()
        with self.start() as process:
            _, said = process.communicate()
        assert process.returncode == 0, said
        return time.monotonic() - began_s

    def sums(self):
        """Return the SHA-256 of what was computed, by path."""
        paths = {path for pattern in PATTERNS for path in self.outputs.glob(f"*/*/{pattern}") if path.is_file()}
        return {
            str(path.relative_to(self.outputs)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(paths)
        }

    def names(self):
        """Return every path outside of environments, whose packages are compared by pip."""
        below = (path.relative_to(self.folder) for path in self.folder.rglob("*"))
        return {str(path) for path in below if path.parts[:2] != ("home", "environments") and path.suffix != ".lock"}

    def at_work(self):
        """Return the processes that name this place in their command lines."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(self.folder) in words:
                found.append(words.replace("\0", " "))
        return found

    def reset(self, how):
        """Delete runs, and on occasion the environments, or the wheels, too."""
        shutil.rmtree(self.outputs, ignore_errors=True)
        for part in {"runs": (), "environments": ("environments", "contexts"), "everything": ("",)}[how]:
            shutil.rmtree(self.home / part, ignore_errors=True)


def _stop(process, number):
    """Stop a command, and check how it ends."""
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    if number == signal.SIGKILL or process.returncode == 0:
        return
    unborn = process.returncode == -number and not said  # Python itself had not started yet
    assert process.returncode == 130 or unborn, said
    assert "Traceback" not in said
    assert "Aborted!" not in said
    assert unborn or said.splitlines()[-1].startswith("Hint: ")


def _nobody_left(place):
    deadline = time.monotonic() + 20
    while place.at_work():
        assert time.monotonic() < deadline, place.at_work()
        time.sleep(0.05)


@pytest.mark.timeout(1800)
def test_a_run_killed_at_random_moments_ends_with_the_same_bytes_and_leaves_nothing(calm, movie, tmp_path):
    reference = Place(tmp_path / "reference", calm, movie)
    all_s = reference.finish()
    reference.reset("runs")
    runs_s = reference.finish()
    place, chance = Place(tmp_path / "killed", calm, movie), np.random.default_rng(7)
    longest_s = {"everything": all_s, "environments": all_s, "runs": runs_s}
    how = "everything"
    for _ in range(KILLS):
        with place.start() as process:
            try:
                process.wait(chance.uniform(0.05, longest_s[how]))
            except subprocess.TimeoutExpired:
                _stop(process, signal.Signals(chance.choice(STOPS)))
            else:
                assert process.returncode == 0
                how = str(chance.choice(["everything", "environments", "runs", "runs", "runs"]))
                place.reset(how)
        _nobody_left(place)
    place.finish()
    assert place.sums() == reference.sums()
    assert len(place.sums()) > 3
    assert place.names() == reference.names()
    assert list(place.temporary.iterdir()) == []
