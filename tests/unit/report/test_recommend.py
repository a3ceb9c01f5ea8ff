"""What is recommended: from checks, traces and costs together."""

from __future__ import annotations

import math

import pytest

from evaluation.checks.evidence import Estimate
from evaluation.checks.lights import Band, Check, Light, Topic, Verdict
from evaluation.checks.standing import Standing
from evaluation.report.recommend import recommend
from evaluation.report.shortlist import Candidate

MAIN = {
    Topic.AMPLITUDE: "transient height",
    Topic.TIME: "left behind",
    Topic.INVENTED: "unsupported activity",
}


def candidate(title, *, times=2.0, error=0.05, seconds=60.0, role="algorithm", **lights):
    checks = tuple(
        Check(
            name=MAIN[topic],
            topic=topic,
            light=lights.get(topic.name.lower(), Light.PASS),
            value=1.0,
            error=0.1,
            band=Band(low=0.0),
            unit="",
            sentence=f"What {topic} says.",
        )
        for topic in Topic
    )
    standing = Standing(slope=0.95, snr=3.0, times=Estimate(value=times, error=error), patches=20)
    verdict = Verdict(checks=checks, plain=(), seconds=0.0)
    return Candidate(title=title, role=role, verdict=verdict, standing=standing, seconds=seconds, memory_bytes=1)


def chosen(*candidates):
    return recommend(candidates, seeds=1, budget="quick")


def test_the_highest_trace_snr_is_taken_where_all_checks_pass():
    assert chosen(candidate("a", times=2.0), candidate("b", times=3.0)).title == "b"


def test_what_fails_a_check_is_out_however_high_its_traces_stand():
    found = chosen(candidate("a", times=9.0, time=Light.FAIL), candidate("b", times=1.5))
    assert found.title == "b"
    assert dict(found.others)["a"] == "It fails the light time: What time says."


def test_fewer_doubts_count_before_trace_snr():
    found = chosen(candidate("a", times=3.0, amplitude=Light.DOUBT), candidate("b", times=2.0))
    assert (found.title, dict(found.others)["a"].startswith("More is in doubt: ")) == ("b", True)


def test_of_those_that_cannot_be_told_apart_the_cheapest_is_taken():
    found = chosen(candidate("a", times=2.05, seconds=900), candidate("b", times=2.0, seconds=9))
    assert (found.title, "the least of 2 that cannot be told apart" in found.reasons[-1]) == ("b", True)


def test_what_is_no_better_than_averaging_frames_is_out():
    found = chosen(candidate("a", times=0.95, error=0.05))
    assert (found.title, found.sentence.startswith("Nothing is recommended")) == ("", True)
    assert "no better than those of a running mean" in dict(found.others)["a"]


def test_what_may_be_better_than_averaging_frames_by_chance_is_said_to_be_no_more():
    found = chosen(candidate("a", times=3.4, error=1.4))
    assert found.title == ""
    assert "not surely better than" in dict(found.others)["a"]
    assert "3.40 ± 1.40 times" in dict(found.others)["a"]


def test_a_supervised_run_is_never_recommended():
    found = chosen(candidate("care", times=9.0, role="supervised"), candidate("b"))
    assert (found.title, "a ceiling" in dict(found.others)["care"]) == ("b", True)


def test_a_run_that_failed_is_named_with_its_reason():
    found = chosen(Candidate(title="a", role="algorithm", failure="it needs 300 frames"), candidate("b"))
    assert dict(found.others)["a"] == "There is no movie: it needs 300 frames"


def test_the_doubts_of_a_short_training_with_one_seed_are_always_said():
    doubts = " ".join(chosen(candidate("a")).doubts)
    assert all(word in doubts for word in ("no clean target", "preset quick", "One seed"))


@pytest.mark.parametrize("error", [0.1, math.nan])
def test_a_movie_without_tested_activity_can_still_be_recommended_with_that_doubt(error):
    calm = candidate("a", error=error, amplitude=Light.NOT_TESTED)
    found = chosen(calm)
    assert (found.title, "Not tested: amplitude." in found.doubts) == ("a", True)
