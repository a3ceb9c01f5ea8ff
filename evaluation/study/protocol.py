"""Score a run as the published study did, faults included, and beside it by a corrected protocol."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contract.files import write_json
from contract.stacks import open_stack
from evaluation.metrics import STUDY_PROTOCOL, score_movie, si_psnr, summarise
from evaluation.metrics.workers import over_files
from evaluation.scores.score import StackFrames, score_run
from orchestrator.errors import AlgorithmFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from contract.stacks import Stack
    from evaluation.metrics import Summary
    from orchestrator.domain import Algorithm
    from orchestrator.experiments import Experiment, ScoreProtocolName
    from orchestrator.paths import RunFolder

VERSION = 1  # of the study's scores; a change scores every run again

# Metrics of each protocol, in the order of the study's tables.
METRICS: Mapping[ScoreProtocolName, tuple[str, ...]] = {
    "movies": ("ssim", "microssim", "psnr", "si_psnr"),
    "images": ("si_psnr", "si_psnr_gain"),
}
_Table = dict[str, list[float]]


def score_study(
    folder: RunFolder, protocol: ScoreProtocolName, algorithms: Mapping[str, Algorithm]
) -> Mapping[str, Any]:
    """Score every prediction of a run by the study's protocol and write scores-study.json, where it is not there yet.

    Parameters
    ----------
    folder : RunFolder
        A finished run on a dataset with targets.
    protocol : {"movies", "images"}
        movies: both sides cast to uint16 as the study casts, data range 65535, MicroSSIM fitted to every 10th frame of
        each video (MOUSENEU_LP_EVALUATION.ipynb, cell 3). images: SI-PSNR of each image without a cast, and its gain
        over the noisy image (NIDDL_N2V_evaluation.ipynb, cell 1). Both at commit 50970a3 of the study.
    algorithms : mapping of str to Algorithm
        As in `score_run`, which gives the corrected scores.

    Returns
    -------
    mapping
        `study` and `corrected`: split to metric to mean, sd (ddof=1) and n; `copies`: names of images whose pixels,
        target included, are those of an image before them, and which the corrected protocol leaves out.

    Raises
    ------
    BadInput
        When a movie or target of the run is no longer where it was.
    AlgorithmFailed
        When a prediction holds values for which the study's cast is undefined.
    """
    corrected = score_run(folder, algorithms)
    basis = {**corrected["basis"], "protocol": protocol, "study_version": VERSION}
    known = _known(folder)
    if known is not None and known["basis"] == basis:
        return known
    record = json.loads(folder.record.read_text())
    movies = {name: movie for name, movie in sorted(record["movies"].items()) if movie["target"] is not None}
    copies = _copies(movies) if protocol == "images" else []
    score = _SCORERS[protocol]
    tables = over_files(movies, lambda name, movie, cores: score(folder, name, movie, cores))
    kept = {name: table for name, table in tables.items() if name not in copies}
    document = {
        "basis": basis,
        "copies": copies,
        "corrected": _corrected(protocol, corrected, kept),
        "protocol": protocol,
        "study": _splits(tables),
    }
    write_json(folder.study_scores, document)
    return document


def score_experiment(folder: RunFolder, experiment: Experiment, algorithms: Mapping[str, Algorithm]) -> None:
    """Score a run of an experiment: by the study's protocol where its movies have targets.

    Parameters
    ----------
    folder : RunFolder
        A finished run.
    experiment : Experiment
        Whose protocol.
    algorithms : mapping of str to Algorithm
        As in `score_run`.
    """
    movies = json.loads(folder.record.read_text())["movies"].values()
    if any(movie["target"] is not None for movie in movies):
        score_study(folder, experiment.protocol, algorithms)
    else:
        score_run(folder, algorithms)


def _known(folder: RunFolder) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = json.loads(folder.study_scores.read_text())
    except (OSError, ValueError):
        return None
    return document


def _score_movie(folder: RunFolder, name: str, movie: Mapping[str, Any], threads: int) -> _Table:
    split, _, file = name.partition("/")
    with open_stack(Path(movie["target"])) as target, open_stack(folder.predictions(split) / file) as prediction:
        try:
            scores = score_movie(StackFrames(target), StackFrames(prediction), STUDY_PROTOCOL, threads=threads)
        except ValueError as error:
            message = f"{prediction.path}: cannot be scored as the study did: {error}"
            raise AlgorithmFailed(message, "The corrected protocol scores it: `calm evaluate`.") from error
    return {metric: getattr(scores.frames, metric).tolist() for metric in METRICS["movies"]}


def _score_image(folder: RunFolder, name: str, movie: Mapping[str, Any], _threads: int) -> _Table:
    split, _, file = name.partition("/")
    with (
        open_stack(Path(movie["target"])) as target,
        open_stack(Path(movie["noisy"])) as noisy,
        open_stack(folder.predictions(split) / file) as prediction,
    ):
        ours, base = _frame_scores(target, prediction), _frame_scores(target, noisy)
    return {"si_psnr": ours, "si_psnr_gain": [one - other for one, other in zip(ours, base, strict=True)]}


_SCORERS: Mapping[ScoreProtocolName, Callable[[RunFolder, str, Mapping[str, Any], int], _Table]] = {
    "movies": _score_movie,
    "images": _score_image,
}


def _frame_scores(target: Stack, prediction: Stack) -> list[float]:
    frames, others = StackFrames(target), StackFrames(prediction)
    return [si_psnr(frames[index], others[index]) for index in range(len(frames))]


def _corrected(protocol: ScoreProtocolName, scores: Mapping[str, Any], kept: Mapping[str, _Table]) -> dict[str, Any]:
    """Score without casts, by the range of the target, every image once."""
    if protocol == "images":
        return _splits(kept)
    splits = scores["splits"]
    return {split: {name: metrics[name] for name in METRICS["movies"]} for split, metrics in splits.items()}


def _copies(movies: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Name images whose pixels, and those of their targets, are those of an image before them."""
    seen: set[str] = set()
    copies = []
    for name, movie in movies.items():
        pixels = _pixels(Path(movie["noisy"])) + _pixels(Path(movie["target"]))
        if pixels in seen:
            copies.append(name)
        seen.add(pixels)
    return copies


def _pixels(path: Path) -> str:
    """Hash the pixels of a stack: copies may differ in their metadata."""
    with open_stack(path) as stack:
        digest = hashlib.sha256(f"{stack.shape} {stack.dtype}".encode())
        for block in stack.blocks(32):
            digest.update(block.tobytes())
    return digest.hexdigest()


def _splits(tables: Mapping[str, _Table]) -> dict[str, dict[str, Any]]:
    pooled: dict[str, _Table] = {}
    for name, table in tables.items():
        split = pooled.setdefault(name.partition("/")[0], {})
        for metric, values in table.items():
            split.setdefault(metric, []).extend(values)
    return {
        split: {metric: _document(summarise(values)) for metric, values in metrics.items()}
        for split, metrics in pooled.items()
    }


def _document(summary: Summary) -> dict[str, Any]:
    mean, sd = (value if math.isfinite(value) else None for value in (summary.mean, summary.sd))
    return {"mean": mean, "sd": sd, "n": summary.n}
