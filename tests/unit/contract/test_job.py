"""job.json: one schema, two readers that agree, and no field that slips through."""

from __future__ import annotations

import copy
import json

import jsonschema
import pytest

from contract.errors import JobRefused
from contract.files import write_json
from contract.job import from_document, read_job, to_document
from contract.schema import job_schema, problems

DOCUMENT = {
    "contract": 1, "job": "e/k/train", "command": "train", "axes": "TYX", "frame_rate_hz": 7.5,
    "inputs": {"train": ["/d/a b.tif"], "val": [], "noisy": [], "prior": []},
    "checkpoint": "/o/checkpoint", "predictions": "/o/p", "params": {"epochs": 2}, "seed": 42, "device": "cpu",
    "threads": 2, "precision": "float32", "output_dtype": "float32",
}  # fmt: skip

WRONG = [
    ("contract", 3), ("contract", "1"), ("job", ""), ("command", "denoise"), ("axes", "X"), ("frame_rate_hz", 0),
    ("frame_rate_hz", "7"), ("inputs", []), ("inputs", {"train": []}), ("checkpoint", "here"), ("checkpoint", "/a,b"),
    ("predictions", "/a:b"), ("params", None), ("seed", -1), ("seed", 2**32), ("seed", 1.5), ("seed", True),
    ("device", "gpu"), ("threads", 0), ("precision", "float16"), ("output_dtype", "uint16"), ("unknown", 1),
]  # fmt: skip


def test_a_job_survives_the_way_to_disk_and_back(tmp_path):
    job = from_document(DOCUMENT, tmp_path)
    write_json(job.path, to_document(job))
    assert read_job(job.path) == job
    assert to_document(job) == DOCUMENT


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_both_readers_refuse_the_same_jobs(tmp_path, field, value):
    document = copy.deepcopy(DOCUMENT) | {field: value}
    assert not jsonschema.Draft202012Validator(job_schema()).is_valid(document)
    assert problems(document, job_schema())
    (tmp_path / "job.json").write_text(json.dumps(document))
    with pytest.raises(JobRefused, match=field):
        read_job(tmp_path / "job.json")


def test_a_job_with_targets_survives_too_and_needs_version_2(tmp_path):
    document = DOCUMENT | {"contract": 2, "inputs": DOCUMENT["inputs"] | {"target": ["/d/clean.tif"]}}
    job = from_document(document, tmp_path)
    write_json(job.path, to_document(job))
    assert read_job(job.path) == job
    assert to_document(job) == document
    write_json(job.path, document | {"contract": 1})
    with pytest.raises(JobRefused, match=r"expected contract 2 where inputs[.]target is given, got 1"):
        read_job(job.path)


@pytest.mark.parametrize("field", sorted(DOCUMENT))
def test_every_field_is_required(field):
    document = {name: value for name, value in DOCUMENT.items() if name != field}
    assert problems(document, job_schema()) == [f"job: {field} is missing"]


def test_a_valid_job_is_valid_for_both_readers():
    jsonschema.validate(DOCUMENT, job_schema())
    assert problems(DOCUMENT, job_schema()) == []


def test_json_has_the_same_bytes_whatever_the_order_of_its_keys(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": 2})
    write_json(tmp_path / "b.json", {"a": 2, "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes() == b'{\n  "a": 2,\n  "b": 1\n}\n'
