"""A small calcium movie with known signal, and jobs run on it, for the tests of this folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import tifffile
import yaml

from n2v.tests.forked import begin, ended

FOLDER = Path(__file__).resolve().parents[1]


def clean_movie(frames: int, height: int, width: int, seed: int = 0, rate_hz: float = 30.0) -> np.ndarray:
    """Return cells with transients (decay 1 s) on a vignetted background: (T, Y, X), float32, about 100 to 200."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    movie = np.full((frames, height, width), 100.0, np.float32)
    movie += (10 * np.cos(x / width * 3) * np.cos(y / height * 3)).astype(np.float32)
    kernel = np.exp(-np.arange(4 * rate_hz) / rate_hz)
    for _ in range(max(2, height * width // 250)):
        centre = rng.uniform(0, height), rng.uniform(0, width)
        shape = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (2 * rng.uniform(2, 4) ** 2))
        spikes = rng.random(frames + len(kernel)) < 0.6 / rate_hz
        trace = np.convolve(spikes * rng.uniform(8, 25), kernel)[len(kernel) : len(kernel) + frames]
        movie += (trace[:, None, None] * shape).astype(np.float32)
    return movie


def params(preset: str = "quick", **changes: object) -> dict[str, object]:
    """Return complete parameters."""
    document = yaml.safe_load((FOLDER / "algorithm.yaml").read_text())
    defaults = {name: entry["default"] for name, entry in document["params"].items()}
    return defaults | document["presets"][preset] | changes


def run_job(folder: Path, command: str, settings: dict[str, object], **inputs: list[Path]) -> dict[str, object]:
    """Run a job in a process of its own, as an image would, and return its result with the exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    home = folder / "algorithm"
    home.mkdir(exist_ok=True)
    document = yaml.safe_load((FOLDER / "algorithm.yaml").read_text())
    (home / "algorithm.json").write_text(json.dumps(document))
    (home / "run.py").write_text((FOLDER / "run.py").read_text())
    job = {
        "contract": 1, "job": "test", "command": command, "axes": "TYX", "frame_rate_hz": 30.0,
        "inputs": {name: [str(path) for path in inputs.get(name, [])] for name in ("train", "val", "noisy", "prior")},
        "checkpoint": str(folder.parent / "checkpoint"), "predictions": str(folder / "predictions"), "params": settings,
        "seed": 1, "device": "cpu", "threads": 1, "precision": "float32", "output_dtype": "float32",
    }  # fmt: skip
    (folder / "job.json").write_text(json.dumps(job))
    code = ended(begin(folder / "job.json", command, {"ALGORITHM_DIR": str(home)}))
    return json.loads((folder / "result.json").read_text()) | {"exit_code": code}


def write_movie(path: Path, movie: np.ndarray) -> Path:
    """Write a TIFF and return its path."""
    tifffile.imwrite(path, movie, metadata={"axes": "TYX"})
    return path


def psnr_db(clean: np.ndarray, movie: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio, dB, of which differences are gains."""
    return float(10 * np.log10(np.ptp(clean) ** 2 / np.mean((movie.astype(np.float64) - clean) ** 2)))
