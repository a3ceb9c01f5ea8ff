"""What an algorithm found out about its own training decides how the job ends."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from contract.errors import DidNotConverge
from contract.evidence import Baseline, document_of, judge, tell_baseline


@dataclass(frozen=True)
class Evidence:
    error: float
    layers: tuple[float, ...] = ()

    @property
    def sentence(self):
        return f"error {self.error}"

    @property
    def failure(self):
        return None if self.error < 1 else f"no better than nothing: {self.sentence}"


@pytest.fixture
def said():
    """Return events whose messages are kept."""
    messages = []
    return SimpleNamespace(message=messages.append, messages=messages)


def test_evidence_of_a_good_training_is_told_and_the_job_goes_on(said):
    judge(Evidence(0.5), said)
    assert said.messages == ["evidence: error 0.5"]


def test_a_failure_is_told_and_ends_the_job_with_figures_and_hint(said):
    with pytest.raises(DidNotConverge, match="held-out frames, no better than nothing: error 2; train longer"):
        judge(Evidence(2), said, on="held-out frames", hint="train longer")
    assert said.messages == ["evidence: held-out frames, no better than nothing: error 2"]


def test_a_failure_that_is_only_to_be_reported_is_told_and_the_job_goes_on(said):
    judge(Evidence(2), said, required=False)
    assert said.messages == ["evidence: no better than nothing: error 2"]


def test_figures_that_are_not_finite_become_null(said):
    document = document_of(Evidence(float("nan"), layers=(1.0, float("inf"))))
    assert json.loads(json.dumps(document, allow_nan=False)) == {"error": None, "layers": [1.0, None]}
    with pytest.raises(DidNotConverge, match="error nan"):
        judge(Evidence(float("nan")), said)


def test_what_a_training_did_to_the_mean_is_told_and_kept(said, tmp_path):
    found = Baseline(noisy=-200.0, predicted=-201.0, on="held-out frames")
    tell_baseline(found, SimpleNamespace(checkpoint=tmp_path), said)
    assert said.messages == ["baseline on held-out frames: the mean moves by -0.5 %, from -200 to -201"]
    kept = json.loads((tmp_path / "baseline.json").read_text())
    assert kept == {"noisy": -200.0, "predicted": -201.0, "on": "held-out frames", "percent": -0.5}


def test_a_movie_around_zero_has_no_per_cent_of_its_mean(said, tmp_path):
    tell_baseline(Baseline(noisy=0.0, predicted=1.0, on="x"), SimpleNamespace(checkpoint=tmp_path), said)
    assert json.loads((tmp_path / "baseline.json").read_text())["percent"] is None
