"""Make a run again from its record, on other engines, and compare every byte of its predictions."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.algorithms import algorithm_named, in_environment
from orchestrator.data.checksums import Checksums
from orchestrator.data.movies import described_source
from orchestrator.data.recording import Choice
from orchestrator.domain import CURRENT, Movie
from orchestrator.engines import engine_named
from orchestrator.engines.image import image_of
from orchestrator.errors import BadInput, EngineMissing
from orchestrator.runs.compare import first_difference, is_untouched, prediction_sums
from orchestrator.runs.execute import execute
from orchestrator.runs.plan import Plan, Settings, make_plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.paths import Layout, RunFolder
    from orchestrator.runs.session import Session


@dataclass(frozen=True, kw_only=True, slots=True)
class Repetition:
    """What came of a run on one engine."""

    engine: str
    agrees: bool
    sentence: str


def repeat(folder: RunFolder, engines: Sequence[str], session: Session, *, skip_missing: bool) -> Iterator[Repetition]:
    """Check a run against its record, then make it again on each engine.

    Parameters
    ----------
    folder : RunFolder
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
    changed = is_untouched(folder)
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
        yield _repeated(folder, name, session)


def _repeated(folder: RunFolder, name: str, session: Session) -> Repetition:
    record = json.loads(folder.record.read_text())
    session.layout.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=session.layout.home, prefix="verify-") as scratch:
        plan = plan_of(record, replace(session.layout, outputs=Path(scratch)))
        engine = replace(session, engine_name=name).build(plan.algorithm, plan.image)
        execute(plan, engine, session.progress, record["memory_limit_bytes"])
        difference = first_difference(folder, plan.folder)
    if difference is None:
        sums = ", ".join(f"{file} sha256 {digest[:12]}" for file, digest in prediction_sums(folder).items())
        return Repetition(engine=name, agrees=True, sentence=f"the same predictions, byte for byte: {sums}")
    return Repetition(engine=name, agrees=False, sentence=difference.sentence())


def plan_of(record: Mapping[str, object], layout: Layout) -> Plan:
    """Plan a run again from its record."""
    document = json.loads(json.dumps(record))
    algorithm = algorithm_named(layout.containers, document["algorithm"])
    algorithm = in_environment(algorithm, document.get("environment", CURRENT))
    movies = tuple(
        Movie(
            split=name.partition("/")[0],
            noisy=Path(movie["recording"]["given"]),
            target=None if movie["target"] is None else Path(movie["target"]),
            truth=None if movie.get("truth") is None else Path(movie["truth"]),
        )
        for name, movie in sorted(document["movies"].items())
    )
    settings = Settings(
        preset=document["preset"],
        overrides=document["params"],
        **{name: document[name] for name in ("seed", "threads", "precision", "output_dtype")},
        device=document["device"]["asked"],
    )
    plan = make_plan(
        algorithm,
        image_of(algorithm, settings.device, layout),
        source=described_source(document["dataset"], movies, Choice(**document["choice"]), layout),
        settings=settings,
        layout=layout,
        checksums=Checksums(layout.checksums),
        prior=tuple(map(Path, document["prior"])),
    )
    if plan.key != document["key"]:
        message = f"{document['experiment']}/{document['key']}: expected the inputs and code of that run, got others"
        raise BadInput(message, "Check out the version of calm that made it, and put its movies back.")
    return plan
