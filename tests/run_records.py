"""Finished runs for tests, written without running anything."""

from __future__ import annotations

import hashlib

from contract import CONTRACT_VERSION
from orchestrator.documents import convert, plain, write_sealed
from orchestrator.paths import RunFolder
from orchestrator.records.record import Record, Scores, StudyScores
from orchestrator.records.run import SCORES_VERSION, STUDY_SCORES_VERSION, Run

JOB = {"seconds": 1.0, "files": [], "peak_memory_bytes": 2**20, "peak_gpu_bytes": 0, "clipped_pixels": {}}
RECORD = {
    "algorithm": "mean",
    "axes": "TYX",
    "choice": {},
    "began_s": 1764000000.5,
    "command_line": ["calm", "run", "mean"],
    "contract": CONTRACT_VERSION,
    "dataset": "demo",
    "device": {"asked": "cpu", "found": "x86_64 CPU"},
    "engine": {"name": "venv", "version": "Python 3.11", "promises": {}},
    "environment": "current",
    "experiment": "mean-demo-default",
    "frame_rate_hz": None,
    "hardware": {"machine": "x86_64", "system": "Linux", "cpus": 2},
    "image": {"digest": "ab" * 32, "engine_identifier": "sha256:1", "variant": "cpu"},
    "inputs": {},
    "jobs": {"train": JOB},
    "key": "",
    "memory_limit_bytes": 2**30,
    "movies": {},
    "network_parameters": None,
    "output_dtype": "float32",
    "params": {},
    "precision": "float32",
    "preset": "default",
    "prior": [],
    "python": "3.11.2",
    "seconds": 2.0,
    "seed": 42,
    "threads": 1,
    "upstream": {"name": "calm", "version": "1", "commit": None},
    "versions": {"numpy": "2.4.0"},
}


def record_with(**changes):
    """Return the record of a run of the control `mean`, with some fields as given and the key that belongs to them."""
    record = convert(RECORD | plain(changes), Record, "a test")
    return convert(plain(record) | {"key": record.key_parts.key}, Record, "a test")


def file_of(path, below):
    """Return the record of a file."""
    content = path.read_bytes()
    return {"path": str(path.relative_to(below)), "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def write_run(path, **changes):
    """Write run.json into a folder, and return the run."""
    folder = RunFolder(path=path)
    path.mkdir(parents=True, exist_ok=True)
    return Run(folder=folder, record=write_sealed(folder.record, record_with(**changes)))


def write_scores(run, splits):
    """Write the same scores, by split and metric, for a run: its own, and by the study's protocol."""
    basis = {"record": run.record.digest, "controls": [], "targets": {}, "truths": {}, "version": SCORES_VERSION}
    own = {"basis": basis, "controls": {}, "frames": {}, "movies": {}, "splits": splits}
    write_sealed(run.folder.scores, convert(own, Scores, "a test"))
    study = {"scores": basis, "protocol": "movies", "version": STUDY_SCORES_VERSION}
    both = {"basis": study, "copies": [], "protocol": "movies", "corrected": splits, "study": splits}
    write_sealed(run.folder.study_scores, convert(both, StudyScores, "a test"))
