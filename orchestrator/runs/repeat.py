"""Make a run again from its record, on other engines, and compare every byte of its predictions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.algorithms.folders import algorithm_named, in_environment
from orchestrator.data.checksums import Checksums
from orchestrator.data.movies import described_source
from orchestrator.domain import Movie
from orchestrator.engines import engine_named
from orchestrator.engines.image import image_of
from orchestrator.errors import BadInput, EngineMissing
from orchestrator.records.record import MovieName
from orchestrator.records.run import read_run
from orchestrator.runs.compare import first_difference, is_untouched, prediction_sums
from orchestrator.runs.execute import execute
from orchestrator.runs.plan import Plan, make_plan
from orchestrator.runs.settings import settings_of
from orchestrator.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.paths import Layout
    from orchestrator.records.record import Record
    from orchestrator.records.run import Run
    from orchestrator.runs.session import Session


@dataclass(frozen=True, kw_only=True, slots=True)
class Repetition:
    """What came of a run on one engine."""

    engine: str
    agrees: bool
    sentence: str


def repeat(run: Run, engines: Sequence[str], session: Session, *, skip_missing: bool) -> Iterator[Repetition]:
    """Check a run against its record, then make it again on each engine.

    Parameters
    ----------
    run : Run
        A finished run.
    engines : sequence of str
        Engines to use.
    session : Session
        Builds what is not built.
    skip_missing : bool
        Whether an engine that does not answer is reported and passed over.

    Yields
    ------
    Repetition
        One for the record, then one for each engine.

    Raises
    ------
    BadInput
        When the inputs or the code are no longer those of the run.
    EngineMissing
        When an engine does not answer and may not be passed over.
    """
    changed = is_untouched(run)
    sentence = "every file is as it was made" if changed is None else changed.sentence()
    yield Repetition(engine="record", agrees=changed is None, sentence=sentence)
    for name in engines:
        try:
            engine_named(name, session.layout)
        except EngineMissing as error:
            if not skip_missing:
                raise
            yield Repetition(engine=name, agrees=True, sentence=f"not compared: {error.message}")
            continue
        yield _repeated(run, name, session)


def _repeated(run: Run, name: str, session: Session) -> Repetition:
    session.layout.home.mkdir(parents=True, exist_ok=True)
    with scratch(session.layout.home) as outputs:
        plan = plan_of(run.record, replace(session.layout, outputs=outputs))
        engine = replace(session, engine_name=name).build(plan.algorithm, plan.image)
        execute(plan, engine, session.progress, run.record.memory_limit_bytes)
        difference = first_difference(run.folder, plan.folder)
    if difference is None:
        sums = ", ".join(f"{file} sha256 {digest[:12]}" for file, digest in prediction_sums(run.folder).items())
        itself = "; only compared with itself, which made the record" if name == run.record.engine.name else ""
        return Repetition(engine=name, agrees=True, sentence=f"the same predictions, byte for byte: {sums}{itself}")
    return Repetition(engine=name, agrees=False, sentence=difference.sentence())


def _movies_of(record: Record) -> tuple[Movie, ...]:
    return tuple(
        Movie(split=MovieName.of(name).split, noisy=movie.given, target=movie.target, truth=movie.truth)
        for name, movie in sorted(record.movies.items())
    )


def plan_of(record: Record, layout: Layout) -> Plan:
    """Plan a run again from its record."""
    algorithm = in_environment(algorithm_named(layout.containers, record.algorithm), record.environment)
    settings = settings_of(record)
    plan = make_plan(
        algorithm,
        image_of(algorithm, settings.device, layout),
        source=described_source(record.dataset, _movies_of(record), record.choice, layout),
        settings=settings,
        layout=layout,
        checksums=Checksums(layout.checksums),
        prior=record.prior,
        trained=read_run(record.trained) if isinstance(record.trained, Path) else None,
    )
    if plan.key != record.key:
        message = f"{record.experiment}/{record.key}: expected the inputs and code of that run, got others"
        raise BadInput(message, "Check out the version of calm that made it, and put its movies back.")
    return plan
