"""Which runs have one training: those that differ in nothing that training reads."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from orchestrator.algorithms.folders import algorithm_named, resolve_params
from orchestrator.paths import layout
from orchestrator.records.record import Choice, KeyParts
from orchestrator.runs.training import training_key

SHA = "0" * 64


@pytest.fixture
def n2v():
    return algorithm_named(layout().containers, "n2v")


@pytest.fixture
def parts(n2v):
    return KeyParts(
        choice=Choice(),
        contract=2,
        device="cpu",
        frame_rate_hz=None,
        image="1" * 64,
        inputs={"train/a.tif": SHA, "test/b.tif": SHA},
        output_dtype="float32",
        params=resolve_params(n2v, "quick", {}),
        precision="float32",
        seed=1,
        threads=1,
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"params": {"predict_tiling": "study"}},
        {"inputs": {"train/a.tif": SHA, "test/c.tif": "2" * 64}},
        {"output_dtype": "input"},
    ],
)
def test_what_only_prediction_reads_leaves_the_training_as_it_is(n2v, parts, changed):
    other = replace(parts, **(changed | {"params": dict(parts.params) | changed.get("params", {})}))
    assert other.key != parts.key
    assert training_key(other, n2v) == training_key(parts, n2v)


@pytest.mark.parametrize(
    "changed",
    [
        {"params": {"lr": 0.5}},
        {"inputs": {"train/a.tif": "2" * 64}},
        {"inputs": {"train/a.tif": SHA, "val/b.tif": SHA}},
        {"seed": 2},
        {"threads": 2},
        {"image": "3" * 64},
    ],
)
def test_whatever_training_reads_asks_for_another_training(n2v, parts, changed):
    other = replace(parts, **(changed | {"params": dict(parts.params) | changed.get("params", {})}))
    assert training_key(other, n2v) != training_key(parts, n2v)
