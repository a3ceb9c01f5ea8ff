"""Decide what a run is, without starting anything: its inputs, parameters, key, jobs and needs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from contract import CONTRACT_VERSION
from contract.job import Inputs, Job
from orchestrator.algorithms.folders import resolve_params
from orchestrator.data.inspect import check_gaps, check_path
from orchestrator.errors import BadInput, DeviceMissing
from orchestrator.records.record import TRAINED, KeyParts, MovieName, input_names
from orchestrator.records.run import read_run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.data.checksums import Checksums
    from orchestrator.data.movies import Source
    from orchestrator.data.recording import Facts, Recording
    from orchestrator.domain import Algorithm, Command, Device, Image
    from orchestrator.paths import Layout, RunFolder
    from orchestrator.records.run import Run
    from orchestrator.runs.settings import Settings

_DRAFT = "not-known-yet-"  # the key of a run is known when its files are
_FLOAT32_BYTES = 4
_LEARNED = ("train", "val")  # splits that training sees
_MARGIN_BYTES = 64 * 2**20  # checkpoints, logs, scores and a report


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A run, decided.

    Parameters
    ----------
    algorithm : Algorithm
        What runs.
    image : Image
        In which image.
    source : Source
        On which movies.
    settings : Settings
        As the user chose.
    params : mapping
        Every parameter.
    facts : mapping of Path to Facts
        Shape, dtype and axes of every noisy movie.
    inputs : mapping of str to str
        SHA-256 of every file read, by `<split>/<name>` and role.
    experiment, key : str
        Names of the run folder; the key is a content hash.
    folder : RunFolder
        The run folder.
    prior : tuple of Path
        Predictions of another experiment, or a noise model.
    trained : Run or None
        The finished run whose training is used; None for a run that trains itself.
    """

    algorithm: Algorithm
    image: Image
    source: Source
    settings: Settings
    params: Mapping[str, Any]
    facts: Mapping[Path, Facts]
    inputs: Mapping[str, str]
    experiment: str
    key: str
    folder: RunFolder
    prior: tuple[Path, ...] = ()
    trained: Run | None = None

    @property
    def key_parts(self) -> KeyParts:
        """All that the bits of its results depend on."""
        return _key_parts(self.image, self.params, self.inputs, self.settings, self.source)

    @property
    def axes(self) -> str | None:
        """Axes of the movies as stored; None where they differ, and each file is believed."""
        found = {facts.axes for facts in self.facts.values()}
        return found.pop() if len(found) == 1 else None

    @property
    def needed_bytes(self) -> int:
        """Disk that predictions and movies beside them take, with a margin for everything else."""
        written = 1 + sum(int(self.params[name] or 0) for name in self.algorithm.extra_movies)  # for each movie
        predictions_bytes = _FLOAT32_BYTES * written * sum(facts.pixels for facts in self.facts.values())
        return predictions_bytes + _MARGIN_BYTES

    def job(self, command: Command, split: str | None = None) -> Job:
        """Return the train job, or the predict job of a split."""
        movies = self.source.of(split) if split is not None else ()
        training = command == "train"
        return Job(
            folder=self.folder.job(command, split),
            job=f"{self.experiment}/{self.key}/{command}" + (f"-{split}" if split else ""),
            command=command,
            axes=self.axes,
            frame_rate_hz=self.source.frame_rate_hz,
            inputs=Inputs(
                train=tuple(movie.noisy for movie in self.source.of("train")) if training else (),
                val=tuple(movie.noisy for movie in self.source.of("val")) if training else (),
                target=self._targets() if training else (),
                noisy=tuple(movie.noisy for movie in movies),
                prior=self.prior if training else (),
            ),
            checkpoint=self.folder.checkpoint,
            predictions=self.folder.predictions(split or "none"),
            params=dict(self.params),
            seed=self.settings.seed,
            device=self.settings.device,
            threads=self.settings.threads,
            precision=self.settings.precision,
            output_dtype=self.settings.output_dtype,
        )

    def _targets(self) -> tuple[Path, ...]:
        """Return the targets that a supervised algorithm is given: of the movies of train, then of val."""
        movies = (*self.source.of("train"), *self.source.of("val")) if self.algorithm.supervised else ()
        return tuple(movie.target for movie in movies if movie.target is not None)

    def jobs(self) -> tuple[Job, ...]:
        """Return every job of the run in order: train, then one prediction for each split."""
        return (self.job("train"), *(self.job("predict", split) for split in self.source.splits))


def make_plan(  # noqa: PLR0913 - everything a run depends on
    algorithm: Algorithm,
    image: Image,
    *,
    source: Source,
    settings: Settings,
    layout: Layout,
    checksums: Checksums,
    prior: tuple[Path, ...] = (),
    trained: Run | None = None,
) -> Plan:
    """Check every input and decide the run; nothing is written.

    Raises
    ------
    BadInput
        For any movie, parameter, preset or path that cannot be used.
    DeviceMissing
        When the algorithm cannot use the device.
    """
    _check_device(algorithm, settings.device)
    _check_prior_taken(algorithm, prior)
    _check_targets(algorithm, source)
    params = resolve_params(algorithm, settings.preset, dict(settings.overrides))
    if (params.get("detector"), params.get("detector_gaps")) != ("repair", "fill"):
        check_gaps(source.recordings.values())
    inputs = _input_checksums(source, prior, checksums, targets=algorithm.supervised) | _training(trained, image)
    experiment = f"{algorithm.folder_name}-{source.name}-{settings.preset}"
    key = _key_parts(image, params, inputs, settings, source).key
    check_path(layout.outputs)
    return Plan(
        algorithm=algorithm,
        image=image,
        source=source,
        settings=settings,
        params=params,
        facts={stack: recording.facts for stack, recording in source.recordings.items()},
        inputs=inputs,
        experiment=experiment,
        key=key,
        folder=layout.run(experiment, key),
        prior=prior,
        trained=trained,
    )


def outlined_plan(  # noqa: PLR0913 - everything a run depends on, but for its files
    algorithm: Algorithm,
    image: Image,
    *,
    source: Source,
    facts: Mapping[Path, Facts],
    settings: Settings,
    layout: Layout,
) -> Plan:
    """Plan a run whose files are not here: its jobs and needs are those of the run, its key is not.

    Raises
    ------
    BadInput
        For a parameter or preset that cannot be used.
    """
    _check_targets(algorithm, source)
    params = resolve_params(algorithm, settings.preset, dict(settings.overrides))
    experiment = f"{algorithm.folder_name}-{source.name}-{settings.preset}"
    names = sorted(movie.noisy.name for movie in source.movies)
    text = json.dumps([params, asdict(settings), names, image.digest], sort_keys=True)
    key = _DRAFT + hashlib.sha256(text.encode()).hexdigest()
    return Plan(
        algorithm=algorithm,
        image=image,
        source=source,
        settings=settings,
        params=params,
        facts={movie.noisy: facts[movie.noisy] for movie in source.movies},
        inputs={},
        experiment=experiment,
        key=key,
        folder=layout.run(experiment, key),
    )


def _check_device(algorithm: Algorithm, device: Device) -> None:
    """Refuse a device that an algorithm cannot use.

    Raises
    ------
    DeviceMissing
        With those it can use.
    """
    if device not in algorithm.devices:
        message = f"{algorithm.name}: expected a device of {', '.join(algorithm.devices)}, got {device}"
        raise DeviceMissing(message, f"Use --device {algorithm.devices[0]}.")


def _check_prior_taken(algorithm: Algorithm, prior: Sequence[Path]) -> None:
    """Refuse a prior that the algorithm would not use."""
    if prior and algorithm.prior is None:
        message = f"{algorithm.name}: expected no earlier result, as it uses none, got {prior[0]}"
        raise BadInput(message, "Leave --earlier out; `calm list ALGORITHM` says what an algorithm takes.")


def _check_targets(algorithm: Algorithm, source: Source) -> None:
    """Refuse movies without targets to an algorithm that learns from them."""
    learned = (*source.of("train"), *source.of("val")) if algorithm.supervised else ()
    missing = next((movie for movie in learned if movie.target is None), None)
    if missing is not None:
        message = (
            f"{algorithm.name}: expected a clean target for every movie to learn from, got none for {missing.noisy}"
        )
        hint = "It is a ceiling for datasets with targets; `calm list` shows what learns from noisy movies alone."
        raise BadInput(message, hint)


def _input_checksums(source: Source, prior: tuple[Path, ...], checksums: Checksums, *, targets: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    for movie in source.movies:
        name = str(MovieName(movie.split, movie.noisy.name))
        found |= _recording_checksums(name, source.recordings[movie.noisy], checksums)
        if targets and movie.target is not None and movie.split in _LEARNED:
            found[f"target/{movie.split}/{movie.target.name}"] = checksums.of(movie.target)
    for index, path in enumerate(prior):
        check_path(path)
        if not path.is_file():
            message = f"{path}: expected a prediction or a noise model, got no such file"
            raise BadInput(message, "Predictions lie in outputs/<experiment>/<key>/predictions.")
        _check_origin(path)
        found[f"prior/{index}/{path.name}"] = checksums.of(path)
    return dict(sorted(found.items()))


def _check_origin(path: Path) -> None:
    """Refuse a file of a finished run that is not as that run made it."""
    for folder in path.parents:
        if (folder / "run.json").exists():
            read_run(folder).check()


def _recording_checksums(name: str, recording: Recording, checksums: Checksums) -> dict[str, str]:
    """Return the SHA-256 of every file of a recording; the only file goes by the name of its movie."""
    return dict(zip(input_names(name, recording.files), checksums.of_all(recording.files), strict=True))


def _training(trained: Run | None, image: Image) -> dict[str, str]:
    """Return the checksums of the checkpoint that is used in place of a training, by `trained/<file>`."""
    if trained is None:
        return {}
    if trained.record.image.digest != image.digest:
        message = (
            f"{trained.folder.path}: expected a training by the {image.algorithm} that is here, got one by another"
        )
        raise BadInput(message, "Check out the version of calm that made it, or train again.")
    return {f"{TRAINED}{file.path}": file.sha256 for file in trained.record.training.files}


def _key_parts(
    image: Image, params: Mapping[str, Any], inputs: Mapping[str, str], settings: Settings, source: Source
) -> KeyParts:
    return KeyParts(
        choice=source.choice,
        contract=CONTRACT_VERSION,
        device=settings.device,
        frame_rate_hz=None if source.frame_rate_hz is None else float(source.frame_rate_hz),
        image=image.digest,
        inputs=dict(inputs),
        output_dtype=settings.output_dtype,
        params=dict(params),
        precision=settings.precision,
        seed=settings.seed,
        threads=settings.threads,
    )
