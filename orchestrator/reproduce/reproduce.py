"""Run published experiments in order, each once for every seed, and say how each ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.algorithms.experiments import ANCHOR, Attempt
from orchestrator.algorithms.folders import algorithm_named
from orchestrator.data.datasets import locate
from orchestrator.data.manifest import load_manifest
from orchestrator.data.movies import dataset_source
from orchestrator.data.verify import verify
from orchestrator.errors import AlgorithmFailed, BadInput, DidNotConverge, OutOfMemory
from orchestrator.reproduce.attempts import Request, prior_files
from orchestrator.runs.execute import finished

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from orchestrator.algorithms.experiments import Experiment, Status
    from orchestrator.data.fetch import Progress
    from orchestrator.data.movies import Source
    from orchestrator.domain import Algorithm
    from orchestrator.records.run import Run
    from orchestrator.runs.plan import Plan
    from orchestrator.runs.session import Session


@dataclass(frozen=True, kw_only=True, slots=True)
class Reproduction:
    """Runs experiments.

    Parameters
    ----------
    session : Session
        Who runs jobs, and where.
    request : Request
        What was asked for.
    progress : Progress
        Told about every byte of data that is checked or made.
    score : callable
        Scores a finished run as its experiment was scored.
    deviates : callable
        Whether an attempt deviates from the study; asked for the noisy files before anything is trained.
    """

    session: Session
    request: Request
    progress: Progress
    score: Callable[[Run, Experiment], object]
    deviates: Callable[[Attempt], bool]

    def attempts(self, experiments: Sequence[Experiment]) -> tuple[Attempt, ...]:
        """Run experiments in the order given, and return how each ended.

        Raises
        ------
        CalmError
            For whatever stops everything: bad input, a missing engine or device, the user.
        """
        done: dict[str, Attempt] = {}
        unsound: set[str] = set()
        for experiment in experiments:
            if experiment.dataset in unsound:
                reason = "not run: the noisy files do not score as published, so the data or the metric code differ"
                done[experiment.name] = Attempt(experiment=experiment, status="failed", reason=reason)
                continue
            done[experiment.name] = self._attempt(experiment, done)
            if experiment.algorithm == ANCHOR and self.deviates(done[experiment.name]):
                unsound.add(experiment.dataset)
        return tuple(done.values())

    def source(self, experiment: Experiment) -> Source | str:
        """Return the movies of an experiment; the reason as text, where they are private and not here.

        Raises
        ------
        BadInput
            When public data are not here.
        """
        layout = self.session.layout
        dataset = load_manifest(layout.manifest).named(experiment.dataset)
        if dataset.access == "restricted":
            try:
                locate(dataset, layout.data)
            except BadInput as error:
                return f"its data are private and not here: {error.message}"
        return used(experiment, dataset_source(experiment.dataset, layout, self.progress))

    def plans(self, experiment: Experiment, source: Source, seed: int, prior: tuple[Path, ...]) -> tuple[Plan, ...]:
        """Plan an experiment with a seed and, after it, the controls on the same movies."""
        algorithm = self.algorithm(experiment)
        return self.session.plans(algorithm, source, self.request.settings(experiment, algorithm, seed), prior)

    def algorithm(self, experiment: Experiment) -> Algorithm:
        """Return the algorithm of an experiment, in its environment.

        Raises
        ------
        BadInput
            When its folder has no algorithm.yaml, or not that environment.
        """
        return algorithm_named(self.session.layout.containers, experiment.image_name)

    def _attempt(self, experiment: Experiment, done: Mapping[str, Attempt]) -> Attempt:
        changes = self.request.changes(experiment)
        source = self.source(experiment)
        if isinstance(source, str):
            return Attempt(experiment=experiment, absent=source, changes=changes)
        runs: list[Run] = []
        controls: tuple[Run, ...] = ()
        status: Status = "ok"
        reason = ""
        for index, seed in enumerate(self.request.seeds_of(self.algorithm(experiment))):
            prior = prior_files(experiment, done, index)
            if isinstance(prior, str):
                status, reason = "failed", prior
                break
            try:
                plans = self.plans(experiment, source, seed, prior)
                self._check_data(experiment, plans)
                self.session.make_ready(plans)
                if not controls:
                    controls = self._scored(experiment, plans[1:])
                runs += self._scored(experiment, plans[:1])
            except (DidNotConverge, OutOfMemory, AlgorithmFailed) as error:
                status = "did not converge" if isinstance(error, DidNotConverge) else "failed"
                reason = f"seed {seed}: {error.message}"
                break
        return Attempt(
            experiment=experiment,
            runs=tuple(runs),
            controls=controls,
            status=status,
            reason=reason,
            changes=changes,
        )

    def _scored(self, experiment: Experiment, plans: Sequence[Plan]) -> tuple[Run, ...]:
        runs = tuple(self.session.run(plan).run for plan in plans)
        for run in runs:
            self.score(run, experiment)
        return runs

    def _check_data(self, experiment: Experiment, plans: Sequence[Plan]) -> None:
        """Compare the data with the manifest before anything is computed from them."""
        if all(finished(plan) for plan in plans):
            return
        layout = self.session.layout
        findings = verify(load_manifest(layout.manifest).named(experiment.dataset), layout.data, self.progress)
        if findings:
            message = f"{experiment.dataset}: {findings[0]}; {len(findings)} findings in all"
            raise BadInput(
                message, f"`calm data verify {experiment.dataset}` lists them; docs/data.md says what belongs."
            )


def used(experiment: Experiment, source: Source) -> Source:
    """Leave out the movies of split train that the study did not use."""
    names = experiment.train_files
    kept = (movie for movie in source.movies if movie.split != "train" or not names or movie.noisy.name in names)
    return replace(source, movies=tuple(kept))
