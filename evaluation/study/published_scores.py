"""The study's own tables of scores per image: read them, and compute its table 1 from them again."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluation.metrics import Summary, summarise
from orchestrator.documents import LIMIT_BYTES, read_text
from orchestrator.errors import BadInput
from orchestrator.foreign import reading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_NOISY, _PREDICTION, _GAIN = "Low_SNR_PSNR", "Pred_PSNR", "PSNR_diff"
_COLUMNS = ("filename", _NOISY, _PREDICTION, _GAIN)
_HINT = "Take the files results/NIDDL_N2V_*.csv of the study's repository as they are."


@dataclass(frozen=True, kw_only=True, slots=True)
class FileScore:
    """SI-PSNR of one image."""

    file: str
    noisy_db: float
    prediction_db: float
    gain_db: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Table1Row:
    """One row of table 1: an experiment, summarised over files."""

    experiment: str
    noisy: Summary
    prediction: Summary
    gain: Summary


def read_published(path: Path) -> tuple[FileScore, ...]:
    """Read one published CSV."""
    with reading(path, "a CSV table", _HINT):
        reader = csv.DictReader(io.StringIO(read_text(path, _HINT, LIMIT_BYTES)))
        missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            message = f"{path}: expected the columns {', '.join(_COLUMNS)}, got no {', '.join(missing)}"
            raise BadInput(message, _HINT)
        scores = tuple(_file_score(path, row) for row in reader)
    if not scores or len({score.file for score in scores}) != len(scores):
        message = f"{path}: expected one row for each file, got {'none' if not scores else 'a file twice'}"
        raise BadInput(message, _HINT)
    return scores


def unique(scores: Sequence[FileScore]) -> tuple[FileScore, ...]:
    """Leave out copies: files whose noisy and predicted scores agree to the last digit with those of another file."""
    kept: dict[tuple[float, float], FileScore] = {}
    for score in sorted(scores, key=lambda one: one.file):
        kept.setdefault((score.noisy_db, score.prediction_db), score)
    return tuple(kept.values())


def table_1(experiments: Mapping[str, Sequence[FileScore]]) -> tuple[Table1Row, ...]:
    """Summarise every experiment over its files, as the study does (pandas: ddof=1)."""
    return tuple(
        Table1Row(
            experiment=name,
            noisy=summarise([score.noisy_db for score in scores]),
            prediction=summarise([score.prediction_db for score in scores]),
            gain=summarise([score.gain_db for score in scores]),
        )
        for name, scores in experiments.items()
    )


def _file_score(path: Path, row: Mapping[str, str]) -> FileScore:
    file = row["filename"]
    try:
        noisy, prediction, gain = (float(row[name]) for name in (_NOISY, _PREDICTION, _GAIN))
    except (TypeError, ValueError) as error:
        message = f"{path}: {file}: expected three numbers, got {error}"
        raise BadInput(message, _HINT) from error
    if not all(map(math.isfinite, (noisy, prediction, gain))):
        message = f"{path}: {file}: expected finite numbers, got {noisy}, {prediction}, {gain}"
        raise BadInput(message, _HINT)
    return FileScore(file=file, noisy_db=noisy, prediction_db=prediction, gain_db=gain)
