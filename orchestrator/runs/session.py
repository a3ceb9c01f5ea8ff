"""What a command does, step by step: plan, build, execute."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orchestrator.algorithms.folders import algorithm_named, in_environment, load_algorithms
from orchestrator.data.checksums import Checksums
from orchestrator.data.stacks import make_stacks
from orchestrator.domain import SYSTEM
from orchestrator.engines import chosen_engine
from orchestrator.engines.downloads import download_of
from orchestrator.engines.hardware import check_device
from orchestrator.engines.image import check_caches, image_of, prepare
from orchestrator.errors import BadInput, CalmError, Interrupted
from orchestrator.runs.execute import execute, found
from orchestrator.runs.needs import check_disk, check_writable
from orchestrator.runs.pace import training_seconds
from orchestrator.runs.plan import Plan, make_plan
from orchestrator.runs.settings import settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from orchestrator.data.movies import Source
    from orchestrator.domain import Algorithm, Device, Image
    from orchestrator.engines import Engine
    from orchestrator.engines.progress import Progress
    from orchestrator.paths import Layout
    from orchestrator.records.run import Run
    from orchestrator.runs.execute import Outcome
    from orchestrator.runs.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """Who runs things, and where.

    Parameters
    ----------
    layout : Layout
        Folders.
    engine_name : str
        Engine as the user named it; it is looked for only when something has to run.
    progress : Progress
        Who is told how jobs go.
    say : callable
        Prints one line for the user.
    memory_bytes : int or None
        Memory limit of jobs.
    copies : Path or None
        Folder on a disk of this node, where jobs read copies of their inputs.
    decided : dict of str to str
        What "auto" came to be; once for a command, whatever appears or goes away meanwhile.
    """

    layout: Layout
    engine_name: str
    progress: Progress
    say: Callable[[str], None]
    memory_bytes: int | None = None
    copies: Path | None = None
    decided: dict[str, str] = field(default_factory=dict)

    def plans(
        self, algorithm: Algorithm, source: Source, settings: Settings, prior: tuple[Path, ...] = ()
    ) -> tuple[Plan, ...]:
        """Plan an algorithm and, after it, every control on the same movies.

        Raises
        ------
        BadInput, DeviceMissing
            For whatever cannot be used; nothing is written.
        """
        plans = self.decide(algorithm, source, settings, prior)
        check_device(settings.device)
        check_writable(self.layout.outputs)
        check_disk(plans, self.layout.outputs)
        return plans

    def decide(
        self, algorithm: Algorithm, source: Source, settings: Settings, prior: tuple[Path, ...] = ()
    ) -> tuple[Plan, ...]:
        """Plan as `plans` does, whatever this machine has room and devices for.

        Raises
        ------
        BadInput, DeviceMissing
            For a movie or a setting that cannot be used.
        """
        checksums = Checksums(self.layout.checksums)
        first, *controls = self.with_controls(algorithm, settings)
        plans = [self._plan(*first, source, checksums, prior)]
        return (*plans, *(self._plan(*control, source, checksums, ()) for control in controls))

    def plans_with_training(self, trained: Run, source: Source) -> tuple[Plan, ...]:
        """Plan the prediction of other movies by a finished training and, after it, every control on them.

        Raises
        ------
        BadInput, DeviceMissing
            For whatever cannot be used, such as a training by another version of the code; nothing is written.
        """
        settings = settings_of(trained.record)
        checksums = Checksums(self.layout.checksums)
        one, *controls = self.with_controls(algorithm_named(self.layout.containers, trained.record.full_name), settings)
        plans = (
            self._plan(*one, source, checksums, (), trained=trained),
            *(self._plan(*control, source, checksums, ()) for control in controls),
        )
        check_device(settings.device)
        check_writable(self.layout.outputs)
        check_disk(plans, self.layout.outputs)
        return plans

    def with_controls(self, algorithm: Algorithm, settings: Settings) -> tuple[tuple[Algorithm, Settings], ...]:
        """Return an algorithm and, after it, every control, each with its settings; a control takes one thread."""
        plain = replace(settings, preset="default", overrides={}, device="cpu", precision="float32", threads=1)
        known = load_algorithms(self.layout.containers).values()
        controls = (one for one in known if one.kind == "control" and one.name != algorithm.name)
        if algorithm.environment == SYSTEM:  # such a machine may have no other environment
            controls = (in_environment(one, SYSTEM) for one in controls)
        return ((algorithm, settings), *((one, plain) for one in controls))

    def run_all(self, plans: Sequence[Plan]) -> tuple[Outcome, ...]:
        """Run plans, or find them finished; every environment is built before the first job starts."""
        there = [found(plan) for plan in plans]
        self.make_ready([plan for plan, outcome in zip(plans, there, strict=True) if outcome is None])
        return tuple(outcome or self.run(plan) for plan, outcome in zip(plans, there, strict=True))

    def make_ready(self, plans: Sequence[Plan]) -> None:
        """Build what plans need that are not finished, so that no job runs for hours before another cannot start."""
        wanted = [plan for plan in plans if not plan.folder.record.exists()]
        missing = {
            plan.image.wheelhouse: plan.image
            for plan in wanted
            if not plan.image.wheelhouse.exists() and self.engine(plan.algorithm, plan.image).find(plan.image) is None
        }
        if len(missing) > 1:
            self.say(f"Packages of {len(missing)} locks are not here; {download_of(missing.values(), self.layout)}.")
        for plan in wanted:
            self._engine_for(plan)

    def run(self, plan: Plan) -> Outcome:
        """Run a plan, or find it finished; the stacks that it reads are there afterwards, for scores and reports."""
        make_stacks(plan.source.recordings.values(), self.say)
        outcome = found(plan)
        if outcome is None:
            outcome = execute(plan, self._engine_for(plan), self.progress, self.memory_bytes, self.copies)
        return outcome

    def training_seconds(self, plan: Plan) -> float | None:
        """Time the first steps of a training, which goes on from there when the plan is run; None where it cannot be.

        Why it cannot be is told when the plan is run.
        """
        self.say(f"Timing the first steps of {plan.algorithm.full_name}; its training goes on from there.")
        make_stacks(plan.source.recordings.values(), self.say)
        try:
            return training_seconds(plan, self._engine_for(plan), self.memory_bytes)
        except Interrupted:
            raise
        except CalmError:
            return None

    def _engine_for(self, plan: Plan) -> Engine:
        """Return the engine of a plan, with the image built, and refuse a path that it cannot hand in."""
        engine = self.build(plan.algorithm, plan.image)
        for path in (plan.folder.path, *(path for job in plan.jobs() for path in job.inputs.files)):
            character = next((one for one in engine.unusable if one in str(path)), None)
            if character is not None:
                message = f"{path}: expected a path that {engine.name} can hand in, got one with {character!r} in it"
                raise BadInput(message, "Rename or move it, or choose another --engine.")
        return engine

    def build(self, algorithm: Algorithm, image: Image) -> Engine:
        """Return the engine, with the image built; errors as of `engine`."""
        engine = self.engine(algorithm, image)
        if engine.find(image) is None:
            what = f"{algorithm.full_name} ({image.variant})"
            download = download_of([image], self.layout)
            self.say(f"Building the {engine.name} environment of {what}, once for each lock; {download}.")
            prepare(algorithm, image, self.layout, self.progress)
            engine.build(image, self.progress)
        return engine

    def engine(self, algorithm: Algorithm, image: Image) -> Engine:
        """Return the engine that is to run an image.

        Raises
        ------
        BadInput
            For the environment of the machine on an engine that cannot reach it.
        """
        if image.python and self.engine_name not in {"auto", "venv"}:
            message = (
                f"{algorithm.full_name}: expected engine venv, which can use {image.python}, got {self.engine_name}"
            )
            raise BadInput(message, "Leave out --engine, or @system.")
        name = "venv" if image.python else self.decided.get(self.engine_name, self.engine_name)
        engine = chosen_engine(name, self.layout, image, self.say)
        self.decided[name] = engine.name
        check_caches(image, self.layout)
        if self.memory_bytes is not None and not engine.promises()["memory_limit"]:
            self.say(f"Warning: --memory: {engine.name} cannot keep a memory limit on this machine; none is set.")
        return engine

    def image(self, algorithm: Algorithm, device: Device) -> Image:
        """Describe the image of an algorithm for a device."""
        return image_of(algorithm, device, self.layout)

    def _plan(  # noqa: PLR0913 - everything a run depends on
        self,
        algorithm: Algorithm,
        settings: Settings,
        source: Source,
        checksums: Checksums,
        prior: tuple[Path, ...],
        *,
        trained: Run | None = None,
    ) -> Plan:
        return make_plan(
            algorithm,
            self.image(algorithm, settings.device),
            source=source,
            settings=settings,
            layout=self.layout,
            checksums=checksums,
            prior=prior,
            trained=trained,
        )
