"""A run as an RO-Crate: its record in the words of the Process Run Crate profile, for archives and other tools."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from contract.files import write_json
from orchestrator.documents import plain
from orchestrator.records.sharing import for_others

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from orchestrator.domain import Algorithm
    from orchestrator.records.record import Record
    from orchestrator.records.run import Run

_CONTEXT = ("https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context")
_SPECIFICATION = "https://w3id.org/ro/crate/1.1"
_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_PROJECT = "#calm"
_ACTION = "#run"
_ALGORITHM = "#algorithm"
_TIFF = "image/tiff"
_OWN = ("run.json", "scores.json", "scores-study.json", "report.html")
_SHARED = ("run-shared.json", "report-shared.html")


def write_crate(run: Run, algorithm: Algorithm, *, shared: bool = False) -> Path:
    """Write ro-crate-metadata.json into a run folder, which makes the folder an RO-Crate.

    Parameters
    ----------
    run : Run
        A finished run; files that were deleted since are left out.
    algorithm : Algorithm
        What ran.
    shared : bool
        Whether documents that name folders of this machine are left out; a record without them is written instead.

    Returns
    -------
    Path
        The file; the same run gives the same bytes.
    """
    if shared:
        write_json(run.folder.shared_record, for_others(plain(run.record)))
    graph = crate_of(run, algorithm, _SHARED if shared else _OWN)
    write_json(run.folder.crate, {"@context": [*_CONTEXT], "@graph": for_others(graph) if shared else graph})
    return run.folder.crate


def crate_of(run: Run, algorithm: Algorithm, documents: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the entities of the crate, those of its documents among them."""
    record = run.record
    inputs = [*_inputs(record)]
    params = [*_params(record)]
    files = [*_files(run, documents)]
    software = [*_software(record, algorithm)]
    return [
        _descriptor(),
        _root(record, [*inputs, *files]),
        {"@id": _PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"},
        _action(record, [*inputs, *params], files),
        *software,
        *inputs,
        *params,
        *files,
    ]


def _descriptor() -> dict[str, Any]:
    return {
        "@id": "ro-crate-metadata.json",
        "@type": "CreativeWork",
        "about": _reference("./"),
        "conformsTo": _reference(_SPECIFICATION),
    }


def _root(record: Record, parts: list[dict[str, Any]]) -> dict[str, Any]:
    what = f"{record.algorithm} on {record.dataset}, preset {record.preset}, seed {record.seed}"
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": f"{record.experiment}, run {record.key}",
        "description": what,
        "datePublished": _time(record.began_s + record.seconds),
        "license": "Predictions are under the licence of the movies that they were made from.",
        "conformsTo": _reference(_PROFILE),
        "hasPart": _references(parts),
        "mentions": _reference(_ACTION),
    }


def _action(record: Record, used: list[dict[str, Any]], files: list[dict[str, Any]]) -> dict[str, Any]:
    hardware, engine = record.hardware, record.engine
    place = f"{record.device.found}, {hardware.cpus} CPUs, {hardware.system}"
    return {
        "@id": _ACTION,
        "@type": "CreateAction",
        "name": f"{record.algorithm} on {record.dataset}",
        "description": f"engine {engine.name} {engine.version}; {place}",
        "instrument": _reference(_ALGORITHM),
        "startTime": _time(record.began_s),
        "endTime": _time(record.began_s + record.seconds),
        "actionStatus": "http://schema.org/CompletedActionStatus",
        "object": _references(used),
        "result": _references(files),
    }


def _software(record: Record, algorithm: Algorithm) -> Iterator[dict[str, Any]]:
    upstream = record.upstream
    commit = f", commit {upstream.commit}" if upstream.commit else ""
    entity = {
        "@id": _ALGORITHM,
        "@type": "SoftwareApplication",
        "name": algorithm.title,
        "description": algorithm.summary,
        "license": algorithm.licence,
        "softwareVersion": f"{upstream.name} {upstream.version}{commit}",
        "softwareRequirements": [_reference(f"#package/{name}") for name in sorted(record.versions)],
        "identifier": f"image content sha256:{record.image.digest}",
        "isPartOf": _reference(_PROJECT),
    }
    if algorithm.paper is not None:
        paper = f"https://doi.org/{algorithm.paper.doi}"
        entity["citation"] = _reference(paper)
        yield {"@id": paper, "@type": "ScholarlyArticle", "name": algorithm.paper.cite}
    yield entity
    yield {"@id": _PROJECT, "@type": "SoftwareApplication", "name": "calm", "license": "BSD-3-Clause"}
    for name, version in sorted(record.versions.items()):
        yield {
            "@id": f"#package/{name}",
            "@type": "SoftwareApplication",
            "name": name,
            "softwareVersion": str(version),
        }


def _inputs(record: Record) -> Iterator[dict[str, Any]]:
    seen: dict[str, dict[str, Any]] = {}
    for name, sha256 in record.inputs.items():
        identifier = f"ni:///sha-256;{base64.urlsafe_b64encode(bytes.fromhex(sha256)).decode().rstrip('=')}"
        known = seen.setdefault(
            identifier,
            {"@id": identifier, "@type": "File", "name": name, "sha256": sha256, "encodingFormat": _TIFF},
        )
        if known["name"] != name:  # copies share their content, and so their identifier
            known.setdefault("alternateName", []).append(name)
    yield from seen.values()


def _params(record: Record) -> Iterator[dict[str, Any]]:
    names = ("seed", "threads", "precision", "output_dtype", "axes", "frame_rate_hz")
    settings = {name: getattr(record, name) for name in names}
    for name, value in sorted({**settings, **record.params}.items()):
        shown = value if isinstance(value, (bool, int, float)) else str(value)
        yield {"@id": f"#param/{name}", "@type": "PropertyValue", "name": name, "value": shown}


def _files(run: Run, documents: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    folder = run.folder.path
    for path, file in run.files():
        if path.exists():
            name = str(path.relative_to(folder))
            entity = {
                "@id": quote(name),
                "@type": "File",
                "name": name,
                "sha256": file.sha256,
                "contentSize": str(file.bytes),
            }
            yield {**entity, "encodingFormat": _TIFF} if path.suffix in {".tif", ".tiff"} else entity
    frames = sorted(path.name for path in folder.glob("frames*.csv"))
    for name in (*documents, *frames):
        if (folder / name).exists():
            yield {"@id": name, "@type": "File", "name": name, "contentSize": str((folder / name).stat().st_size)}


def _references(entities: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    return [_reference(one["@id"]) for one in entities]


def _reference(identifier: str) -> dict[str, str]:
    return {"@id": identifier}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat(timespec="milliseconds")
