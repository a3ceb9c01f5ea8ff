"""Runs the probe on Podman as whoever starts it, below a folder: `python rootless_look.py FOLDER`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import tifffile
from conftest import Probe

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    movie = folder / "movie.tif"
    tifffile.imwrite(movie, np.random.default_rng(0).poisson(100, (20, 32, 40)).astype(np.uint16))
    plan, seen = Probe(folder=folder, movie=movie).look("podman")
    promises = json.loads(plan.folder.record.read_text())["engine"]["promises"]
    sys.stdout.write(json.dumps({"promises": promises, "run": str(plan.folder.path), "seen": seen}) + "\n")
