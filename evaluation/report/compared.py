"""The page that compares every run on one movie: pictures and tables as on any page, and first what to take."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from contract.stacks import open_stack
from evaluation.checks.lights import Topic
from evaluation.checks.of_run import check_run, raw_movies
from evaluation.checks.places import find_places
from evaluation.checks.standing import curve_of, patch_traces, standing
from evaluation.checks.words import SHAPES
from evaluation.report.content import NOISY
from evaluation.report.gather import page_of
from evaluation.report.numbers import duration, gibibytes
from evaluation.report.page import write_page
from evaluation.report.recommend import recommend
from evaluation.report.report import key_of
from evaluation.report.runs import entries_of, with_controls
from evaluation.report.shortlist import Candidate, Shortlist
from evaluation.report.text import aligned
from evaluation.scores.score import StackFrames, score_run
from orchestrator.records.record import MovieName
from orchestrator.records.regions import keep_regions, kept_regions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from evaluation.checks.places import Places
    from evaluation.checks.standing import PatchTraces
    from evaluation.report.runs import Entry
    from orchestrator.algorithms.experiments import Experiment
    from orchestrator.domain import Algorithm
    from orchestrator.records.regions import Regions
    from orchestrator.records.run import Run


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """What a comparison is of.

    Parameters
    ----------
    runs : sequence of Run
        Finished runs on one movie.
    failures : mapping of str to str
        Why there is no run, by the title of an algorithm.
    seeds : int
        Trainings of each algorithm.
    budget : str
        The preset of all of them.
    regions : Regions or None
        Where to look; None looks where the first run was looked at before, or at active spots.
    """

    runs: Sequence[Run]
    seeds: int
    budget: str
    failures: Mapping[str, str] = field(default_factory=dict)
    regions: Regions | None = None


def write_comparison(
    given: Compared,
    algorithms: Mapping[str, Algorithm],
    experiments: Mapping[str, Experiment],
    containers: Path,
    target: Path,
) -> str:
    """Score and check every run, all in the same regions, decide, write the page, and return the same as text."""
    runs = with_controls(given.runs, algorithms)
    regions = given.regions or kept_regions(runs[0].folder)
    for run in runs:
        score_run(run, algorithms)
        keep_regions(run.folder, regions)
    entries = entries_of(runs, experiments, algorithms)
    comparison = _comparison(given, entries, regions)
    first = comparison.recommendation.title
    shown = sorted(comparison.candidates, key=lambda one: one.title != first)
    verdicts = {one.title: one.verdict for one in shown if one.verdict is not None}
    page = page_of(entries, experiments)
    page = replace(
        page,
        title=f"What to take for {page.movies[0].name}",
        subtitle=f"{len(entries)} runs, preset {given.budget}",
        verdicts=verdicts,
        raw={MovieName.of(name).file: lines for name, lines in raw_movies(entries[0].runs[0]).items()},
        comparison=comparison,
    )
    write_page(page, target, key_of(runs, containers))
    return text_of(comparison)


def text_of(comparison: Shortlist) -> str:
    """Write what to take, why, what speaks against it, and a line for each run."""
    head = ["run", *(topic.value for topic in Topic), "SNR, times averaging", "height", "took", "memory"]
    rows = [
        [
            one.title,
            *(f"{SHAPES[one.light(topic)]} {one.light(topic)}" for topic in Topic),
            one.times_text or "not tested",
            "" if one.standing is None else f"{one.standing.slope:.2f}",
            "" if one.failure else duration(one.seconds),
            "" if one.failure else gibibytes(one.memory_bytes),
        ]
        for one in comparison.candidates
    ]
    found = comparison.recommendation
    lines = [aligned([head, *rows], right_from=4), "", found.sentence]
    lines += [f"  + {one}" for one in found.reasons] + [f"  ? {one}" for one in found.doubts]
    return "\n".join([*lines, *(f"  - {title}: {why}" for title, why in found.others)])


def _comparison(given: Compared, entries: Sequence[Entry], regions: Regions | None) -> Shortlist:
    first = entries[0].runs[0]
    (name, movie), *_ = first.movies
    with open_stack(movie.noisy) as stack:
        raw = StackFrames(stack)
        places = find_places(raw, raw, None if regions is None else regions.middles)
        before = patch_traces(raw, places)
    found = [*_candidates(entries, str(name), before, places), *_failed(given.failures)]
    return Shortlist(
        recommendation=recommend(found, seeds=given.seeds, budget=given.budget),
        candidates=tuple(found),
        curve=curve_of(before),
    )


def _candidates(entries: Sequence[Entry], movie: str, before: PatchTraces, places: Places) -> Iterator[Candidate]:
    for entry in entries:
        if entry.role != NOISY:
            run = entry.runs[0]
            with open_stack(run.folder.prediction(movie)) as stack:
                after = patch_traces(StackFrames(stack), places)
            jobs = run.record.jobs.values()
            yield Candidate(
                title=entry.title,
                role=entry.role,
                verdict=check_run(run).get(movie),
                standing=standing(before, after),
                seconds=math.fsum(job.seconds for job in jobs),
                memory_bytes=max(job.peak_memory_bytes for job in jobs),
            )


def _failed(failures: Mapping[str, str]) -> Iterator[Candidate]:
    return (Candidate(title=title, role="algorithm", failure=why) for title, why in failures.items())
