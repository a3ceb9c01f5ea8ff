"""The layout of grand-challenge.org: an image that is started without arguments denoises what lies in /input.

It reads every TIFF of `/input/images/NAME/` and writes one of the same name to `/output/images/NAME/`, where challenges
give both names. `/opt/ml/model` may hold a finished run of calm, whose training and parameters are taken then; without
one, a network is trained on each movie with preset quick. Nothing outside `/output` and `/tmp` is written.
Source: AI4Life Calcium Imaging Denoising Challenge 2025 and Microscopy Denoising Challenge 2024, interface pages.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from contract.errors import JobRefused
from contract.files import write_json
from contract.job import Inputs, Job, read_job, to_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

INPUT = Path("/input")
OUTPUT_OF = {  # of a folder of inputs, which a challenge names
    "stacked-neuron-images-with-noise": "stacked-neuron-images-with-reduced-noise",
    "image-stack-unstructured-noise": "image-stack-denoised",
    "image-stack-structured-noise": "image-stack-denoised",
}
_PRESET = "quick"


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Where a challenge puts movies and a model, and expects predictions."""

    images: Path = INPUT / "images"
    output: Path = Path("/output/images")
    model: Path = Path("/opt/ml/model")


def is_challenge() -> bool:
    """Say whether movies lie where challenges put them."""
    return Places().images.is_dir()


def denoise(places: Places, algorithm: Mapping[str, Any], packages: Iterable[str], command: list[str]) -> None:
    """Denoise every movie of a challenge, each by jobs of its own.

    Parameters
    ----------
    places : Places
        Where everything lies.
    algorithm : dict
        The algorithm.json of the image.
    packages : iterable of str
        Names of the installed packages, which tell whether they can use a GPU.
    command : list of str
        What starts the `algorithm` command of this image.

    Raises
    ------
    JobRefused
        For inputs of no known challenge, a model that cannot be used, or a job that did not end well.
    """
    device = _device(packages)
    for movie, target in _movies(places):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:  # on that disk: /tmp may be memory
            for job in _jobs(movie, Path(scratch), places.model, algorithm, device):
                _run(job, command)
            (Path(scratch) / "predictions" / movie.name).replace(target)


def _movies(places: Places) -> list[tuple[Path, Path]]:
    """Return each movie with the file that its prediction is to be."""
    known = [places.images / name for name in OUTPUT_OF if (places.images / name).is_dir()]
    movies = [path for folder in known for path in sorted(folder.glob("*.tif*"))]
    if not movies:
        found = ", ".join(sorted(path.name for path in places.images.iterdir())) or "nothing"
        message = f"{places.images}: expected TIFF files in one of {', '.join(OUTPUT_OF)}, got {found}"
        raise JobRefused(message)
    return [(movie, places.output / OUTPUT_OF[movie.parent.name] / movie.name) for movie in movies]


def _device(packages: Iterable[str]) -> Literal["cpu", "cuda"]:
    """Return the GPU where there is one that the packages of this image can use."""
    can = any(name.startswith("nvidia-") for name in packages)
    return "cuda" if can and Path("/dev/nvidiactl").exists() else "cpu"


def _jobs(
    movie: Path, scratch: Path, model: Path, algorithm: Mapping[str, Any], device: Literal["cpu", "cuda"]
) -> list[Job]:
    """Return the jobs of one movie: a training where there is none, and a prediction."""
    taught = model / "train" / "job.json"
    learns = algorithm["needs_training"] and not taught.exists()
    if learns and algorithm["kind"] == "supervised":
        message = f"{taught}: expected a training, as {algorithm['name']} learns from clean movies, got none"
        raise JobRefused(message)
    given = read_job(taught).params if taught.exists() else _params(algorithm)
    predict = Job(
        folder=scratch / "predict",
        job="predict",
        command="predict",
        axes=None,
        frame_rate_hz=None,
        inputs=Inputs(noisy=(movie,)),
        checkpoint=scratch / "checkpoint" if learns else model / "checkpoint",
        predictions=scratch / "predictions",
        params=given,
        seed=1,
        device=device,
        threads=len(os.sched_getaffinity(0)),
        precision="float32",
    )
    train = replace(predict, folder=scratch / "train", job="train", command="train", inputs=Inputs(train=(movie,)))
    return [train, predict] if learns else [predict]


def _params(algorithm: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {name: one["default"] for name, one in algorithm["params"].items()}
    chosen: dict[str, Any] = algorithm["presets"].get(_PRESET, {})
    return defaults | chosen


def _run(job: Job, command: list[str]) -> None:
    """Do a job in a process of its own, whose output is its log, and tell how it ended."""
    job.folder.mkdir()
    if job.command == "train":
        job.checkpoint.mkdir()
    write_json(job.path, to_document(job))
    subprocess.run([*command, job.command, job.path], check=False)  # noqa: S603 - this very program
    result = json.loads((job.folder / "result.json").read_text(encoding="utf-8"))
    sys.stdout.write((job.folder / "log.txt").read_text(encoding="utf-8", errors="replace"))
    if result["status"] != "ok":
        message = f"{job.command} of {job.inputs.files[0].name}: {result['error']['message']}"
        raise JobRefused(message)
    sys.stdout.write(f"{job.command}: {', '.join(path.name for path in job.inputs.files)}: {result['seconds']} s\n")
