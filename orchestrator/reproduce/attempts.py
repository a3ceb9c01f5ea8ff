"""What a user asks to reproduce, and how each experiment ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.algorithms.experiments import ANCHOR, PRESET, in_order
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from orchestrator.algorithms.experiments import Attempt, Experiment
    from orchestrator.domain import Algorithm, Device
    from orchestrator.records.run import Run


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What a user asks for.

    Parameters
    ----------
    names : tuple of str
        Experiments by name or alias.
    seeds : int
        Runs of each experiment that trains, with the seeds `first_seed`, `first_seed` + 1, ...
    first_seed, threads : int
        Both change the bits of a result.
    device : {"cpu", "cuda"}
        Where to compute.
    preset : str or None
        Preset in place of the published settings of every experiment; None for the published ones.
    overrides : mapping
        Parameters of the experiments asked for; those that are only needed first keep theirs.
    """

    names: tuple[str, ...]
    seeds: int
    first_seed: int
    threads: int
    device: Device
    preset: str | None
    overrides: Mapping[str, Any]

    def changes(self, experiment: Experiment) -> str:
        """Say in what a run differs from the published settings; empty where it does not."""
        if experiment.algorithm == ANCHOR:
            return ""
        preset = [] if self.preset is None else [f"preset {self.preset}"]
        params = [f"{name}={value}" for name, value in self._params(experiment).items()]
        return f"run with {', '.join(preset + params)} in place of the published settings" if preset or params else ""

    def settings(self, experiment: Experiment, algorithm: Algorithm, seed: int) -> Settings:
        """Return the settings of a run."""
        published = experiment.overrides if self.preset is None else {}
        control = algorithm.kind == "control"
        return Settings(
            preset="default" if control else self.preset or PRESET,
            overrides={**published, **self._params(experiment)},
            seed=seed,
            threads=1 if control else self.threads,
            device="cpu" if control else self.device,
        )

    def seeds_of(self, algorithm: Algorithm) -> tuple[int, ...]:
        """Return the seeds of the runs of an algorithm; one where nothing is trained."""
        return tuple(self.first_seed + index for index in range(self.seeds if algorithm.needs_training else 1))

    def _params(self, experiment: Experiment) -> Mapping[str, Any]:
        asked = {experiment.name, *experiment.aliases} & {*self.names}
        return self.overrides if asked and experiment.algorithm != ANCHOR else {}


def with_anchors(experiments: Mapping[str, Experiment], names: Sequence[str]) -> tuple[Experiment, ...]:
    """Return experiments in the order of running: the noisy files of every dataset, then priors, then those asked for.

    Raises
    ------
    BadInput
        For an unknown name.
    """
    asked = in_order(experiments, names)
    datasets = {one.dataset for one in asked}
    anchors = [one.name for one in experiments.values() if one.algorithm == ANCHOR and one.dataset in datasets]
    return in_order(experiments, [*anchors, *names])


def prior_files(experiment: Experiment, done: Mapping[str, Attempt], index: int) -> tuple[Path, ...] | str:
    """Return the predictions that an experiment needs, made by the run of the same position among the seeds."""
    if experiment.prior is None:
        return ()
    attempt = done[experiment.prior.experiment]
    if index >= len(attempt.runs):
        why = attempt.reason or attempt.absent
        return f"not run: it needs the prediction of {experiment.prior.experiment}, which did not end well: {why}"
    return tuple(_predictions(attempt.runs[index], experiment.prior.splits))


def _predictions(run: Run, splits: Sequence[str]) -> Iterator[Path]:
    for split in splits:
        yield from sorted(run.folder.predictions(split).glob("*.tif*"))
