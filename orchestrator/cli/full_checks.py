"""What `--checks full` adds to the checks of a run: further predictions and trainings, as jobs with keys of their own.

The trained denoiser predicts the movie with transients added, noise without activity, and the frames in random order;
two trainings with other seeds and two on every other frame show what is not in the data. The movies and the runs on
them lie in the folder of the run until they are judged; runs with other seeds are ordinary ones.
"""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from orchestrator.errors import CalmError, Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    import numpy as np

    from evaluation.checks.lights import Check
    from evaluation.checks.of_run import Added
    from evaluation.checks.planting import Ground, Injection
    from evaluation.scores.score import StackFrames
    from orchestrator.data.datasets import Split
    from orchestrator.data.movies import Source
    from orchestrator.records.run import Run
    from orchestrator.runs.plan import Plan
    from orchestrator.runs.session import Session

_SEEDS = 2  # trainings beside the run's own
_HALVES = 2
_PREDICTED = ("injected", "noise", "shuffled")

FULL = "full"
checks_option = click.option(
    "--checks",
    "depth",
    type=click.Choice(("quick", FULL)),
    default="quick",
    show_default=True,
    help="full also predicts movies with known answers and trains again: 3 predictions and 4 trainings more.",
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Subject:
    """A movie of the run, and what is planted into it.

    Parameters
    ----------
    raw, denoised : Path
        The stack and its prediction.
    ground : Ground
    injection : Injection
    """

    raw: Path
    denoised: Path
    ground: Ground
    injection: Injection

    def made(self, kind: str, frames: StackFrames) -> Iterable[np.ndarray]:
        """Yield the frames of a movie made from it."""
        from evaluation.checks.planting import EveryOther, injected, noise_only, shuffled

        match kind:
            case "injected":
                return injected(frames, self.ground, self.injection)
            case "noise":
                return noise_only(frames, self.ground)
            case "shuffled":
                return shuffled(frames)
            case _:
                return EveryOther(frames, 1 if kind == "odd" else 0)


def check_fully(plan: Plan, run: Run, opened: Session) -> None:
    """Try the denoiser of a finished run, and write checks-full.json; a run that was tried before is left alone.

    Raises
    ------
    BadInput
        When a file of the run is no longer what it was.
    """
    from filelock import FileLock

    from evaluation.checks.of_run import read_full_checks

    run.check()
    if read_full_checks(run) is not None:
        return
    with FileLock(run.folder.lock):  # another command that tries the same run is waited for, and what it found is used
        if read_full_checks(run) is None:
            _try(plan, run, opened)
        run.folder.lock.unlink(missing_ok=True)


def _try(plan: Plan, run: Run, opened: Session) -> None:
    from evaluation.checks.of_run import keep_full_checks

    began_s = time.monotonic()
    subjects = _subjects(run)
    opened.say(_cost(plan, run) if subjects else f"{run.title}: no movie is long enough for full checks.")
    trials = _Trials(plan=plan, run=run, opened=opened, subjects=subjects)
    tried = {what: trials.attempt(what) for what in (*_PREDICTED, "seeds", "even", "odd")} if subjects else {}
    notes = [note for _, note in tried.values() if note]
    made = {
        name: _Tried(**{what: tuple(found.get(name, ())) for what, (found, _) in tried.items()}) for name in subjects
    }
    seconds = (time.monotonic() - began_s) / max(len(subjects), 1)
    keep_full_checks(run, {name: _judged(one, made[name], notes, seconds) for name, one in subjects.items()})
    shutil.rmtree(run.folder.trials, ignore_errors=True)


def _cost(plan: Plan, run: Run) -> str:
    """Say what the trials will take, by what the run itself took."""
    from evaluation.report.numbers import duration

    training_s, prediction_s = run.record.training.seconds, run.record.predicting_s
    trains = _trains(plan)
    seconds = len(_PREDICTED) * prediction_s
    if trains:
        seconds += _SEEDS * (training_s + prediction_s) + _HALVES * (training_s + prediction_s / 2)
    trainings = f" and {_SEEDS + _HALVES} trainings" if trains else ""
    return f"Full checks of {run.title}: {len(_PREDICTED)} predictions{trainings} more, about {duration(seconds)}."


def _trains(plan: Plan) -> bool:
    return plan.algorithm.needs_training and plan.trained is None


def _subjects(run: Run) -> dict[str, _Subject]:
    """Look at the movies of a run; those too short for their activity to be told are left out."""
    from evaluation.checks.planting import ground_of, injection_for
    from orchestrator.records.regions import kept_regions

    regions = kept_regions(run.folder)
    middles = None if regions is None else regions.middles
    found = {}
    for name, movie in sorted(run.record.movies.items()):
        with _frames(movie.noisy) as frames:
            ground = ground_of(frames, middles)
        if ground is not None:
            injection = injection_for(ground, movie.shape[0], run.record.frame_rate_hz)
            found[name] = _Subject(
                raw=movie.noisy, denoised=run.folder.prediction(name), ground=ground, injection=injection
            )
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tried:
    """Predictions of one movie, or of movies made from it, by trial; those of noise with that noise beside them."""

    injected: tuple[Path, ...] = ()
    noise: tuple[Path, ...] = ()
    shuffled: tuple[Path, ...] = ()
    seeds: tuple[Path, ...] = ()
    even: tuple[Path, ...] = ()
    odd: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Trials:
    """Makes movies from those of a run, and lets its denoiser, or its algorithm, predict them."""

    plan: Plan
    run: Run
    opened: Session
    subjects: Mapping[str, _Subject]

    def attempt(self, what: str) -> tuple[dict[str, list[Path]], str]:
        """Return predictions by the movie they belong to, or why there are none; the other trials go on."""
        if what in _PREDICTED:
            call: Callable[[str], dict[str, list[Path]]] = self._predicted
        elif not _trains(self.plan):
            return {}, ""
        else:
            call = self._other_seeds if what == "seeds" else self._half
        try:
            return call(what), ""
        except Interrupted:
            raise
        except CalmError as error:
            return {}, f"The trial {what} did not run: {error.message}."

    def _predicted(self, kind: str) -> dict[str, list[Path]]:
        """Return the prediction of each movie that was made, and that movie."""
        files = self._written(kind, self.subjects)
        source = self._source(files, split="test", rate_of=1.0)
        plan, *_ = self._session.plans_with_training(self.run, source)
        return {name: [*paths, files[name]] for name, paths in self._results(plan, files, "test").items()}

    def _other_seeds(self, _: str) -> dict[str, list[Path]]:
        """Train with other seeds; these are runs as any other, which a user may ask for as well."""
        plan = self.plan
        seeds = [(plan.settings.seed + more) % 2**32 for more in range(1, _SEEDS + 1)]
        plans = [
            self.opened.decide(plan.algorithm, plan.source, replace(plan.settings, seed=seed), plan.prior)[0]
            for seed in seeds
        ]
        runs = [outcome.run for outcome in self.opened.run_all(plans)]
        return {name: [one.folder.prediction(name) for one in runs] for name in self.subjects}

    def _half(self, kind: str) -> dict[str, list[Path]]:
        from evaluation.checks.sampling import LEAST_FRAMES

        learned = {
            name: one
            for name, one in self.subjects.items()
            if name.startswith("train/") and self.run.record.movies[name].shape[0] >= 2 * LEAST_FRAMES
        }  # a half that is too short to be judged is not trained on
        if self.plan.algorithm.supervised or not learned:
            return {}
        files = self._written(kind, learned)
        source = self._source(files, split="train", rate_of=0.5)
        plan = self._session.decide(self.plan.algorithm, source, self.plan.settings, self.plan.prior)[0]
        return self._results(plan, files, "train")

    @property
    def _session(self) -> Session:
        """Return a session whose runs lie in the folder of the run."""
        return replace(self.opened, layout=replace(self.opened.layout, outputs=self.run.folder.trials / "runs"))

    def _source(self, files: Mapping[str, Path], *, split: Split, rate_of: float) -> Source:
        from orchestrator.data.movies import input_source
        from orchestrator.records.record import Choice

        rate = self.run.record.frame_rate_hz
        choice = Choice(frame_rate_hz=None if rate is None else rate * rate_of)
        return input_source(list(files.values()), choice, self.opened.layout, split=split)

    def _results(self, plan: Plan, files: Mapping[str, Path], split: Split) -> dict[str, list[Path]]:
        (outcome,) = self._session.run_all([plan])
        return {name: [outcome.run.folder.prediction(f"{split}/{file.name}")] for name, file in files.items()}

    def _written(self, kind: str, subjects: Mapping[str, _Subject]) -> dict[str, Path]:
        """Write a movie of a kind for each subject."""
        folder = self.run.folder.trials / kind
        folder.mkdir(parents=True, exist_ok=True)
        files = {}
        for number, (name, subject) in enumerate(subjects.items()):
            files[name] = folder / f"{number:03d}-{subject.raw.stem}-{kind}.tif"
            _write(files[name], subject, kind)
        return files


def _write(path: Path, subject: _Subject, kind: str) -> None:
    from contract.headers import Header
    from contract.predictions import write_stack
    from contract.stacks import open_stack
    from evaluation.scores.score import StackFrames

    with open_stack(subject.raw) as stack:
        frames, height, width = stack.shape
        shape = (frames // 2 if kind in {"even", "odd"} else frames, height, width)
        with write_stack(path, Header(flavour="ome", axes="TYX", shape=shape), stack.dtype, gaps=True) as made:
            for frame in subject.made(kind, StackFrames(stack)):
                made.write(frame)


@contextmanager
def _frames(path: Path) -> Iterator[StackFrames]:
    from contract.stacks import open_stack
    from evaluation.scores.score import StackFrames

    with open_stack(path) as stack:
        yield StackFrames(stack)


def _judged(subject: _Subject, tried: _Tried, notes: list[str], seconds: float) -> Added:
    """Judge what the trials gave for a movie."""
    from evaluation.checks.injected import judge_injected
    from evaluation.checks.noise_alone import judge_noise
    from evaluation.checks.of_run import Added
    from evaluation.checks.shuffled import temporal_context
    from evaluation.checks.trained_again import judge_halves, judge_seeds

    checks: list[Check] = []
    said = None
    places = subject.ground.places
    with ExitStack() as held:

        def opened(*paths: Path) -> list[StackFrames]:
            return [held.enter_context(_frames(path)) for path in paths]

        raw, denoised = opened(subject.raw, subject.denoised)
        if tried.injected:
            planted, _ = opened(*tried.injected)
            checks += judge_injected(denoised, planted, subject.ground, subject.injection)
        if tried.noise:
            after, before = opened(*tried.noise)
            checks.append(judge_noise(before, after, places))
        if tried.seeds:
            checks.append(judge_seeds([denoised, *opened(*tried.seeds)], places))
        if tried.even and tried.odd:
            even, odd = opened(*tried.even, *tried.odd)
            checks.append(judge_halves(raw, even, odd, places))
        if tried.shuffled:
            unordered, _ = opened(*tried.shuffled)
            said = temporal_context(denoised, unordered, places)
    return Added(checks=tuple(checks), notes=(*([said] if said else []), *notes), seconds=seconds)
