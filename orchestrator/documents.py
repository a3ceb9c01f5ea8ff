"""The border to JSON and YAML: a document becomes a frozen record here, or one sentence that says what is wrong."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from contract.files import write_json
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

# Bounds beyond which a number cannot be meant; every record takes its numbers from here.
Count = Annotated[int, Meta(ge=0, le=2**53)]  # bytes, pixels, parameters, steps: whole numbers that floats still hold
Length = Annotated[int, Meta(ge=1, le=10**8)]  # of an axis of a movie
Nanoseconds = Annotated[int, Meta(ge=0, le=2**63 - 1)]  # of a time, as stat(2) gives it
Seconds = Annotated[float, Meta(ge=0, le=10**11)]
Hertz = Annotated[float, Meta(gt=0, le=10**9)]
Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, Meta(min_length=1, max_length=4096)]

LIMIT_BYTES = 256 * 2**20  # of a document; a record of ten thousand movies has a few
_SHOWN = 80  # characters of what was found
_PLACE = re.compile(r"(.*?)(?: - at `(.*)`)?", re.DOTALL)
_STEP = re.compile(r"\[\.\.\.\]|\[\d+\]|\.[^.\[\]]+")
_GOT = re.compile(r"(?P<expected>Expected .*), got .*", re.DOTALL)
_DAMAGED = "Put back the file as it was, or delete it and give the command again that writes it."


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every record on disk: frozen, with the fields that it names alone.

    A subclass repeats `frozen=True, kw_only=True`, which neither msgspec nor mypy hands down.
    """


class Sealed(Document, frozen=True, kw_only=True):
    """A record that holds a digest of itself, so that one which was edited is not believed."""

    digest: str = ""

    def seal(self) -> str:
        """Return the digest that belongs here: of everything but the digest."""
        return digest_of(replace(self, digest=""))


SealedT = TypeVar("SealedT", bound=Sealed)


def read_sealed(path: Path, kind: type[SealedT], *, hint: str = _DAMAGED) -> SealedT:
    """Read a record and compare it with its digest; parameters and errors as of `read_json`."""
    record = read_json(path, kind, hint=hint)
    if record.digest != record.seal():
        got = f"one that says {record.digest}" if record.digest else "one without, as an older calm wrote it"
        message = f"{path}: expected a document as calm wrote it, with the digest {record.seal()}, got {got}"
        raise BadInput(message, hint)
    return record


def write_sealed(path: Path, record: SealedT) -> SealedT:
    """Put its digest into a record and write it; the file appears complete or not at all."""
    as_read = convert(plain(record), type(record), path)  # a whole number in the place of a float is a float then
    sealed = replace(as_read, digest=as_read.seal())
    write_json(path, plain(sealed))
    return sealed


def read_json(path: Path, kind: type[T], *, hint: str = _DAMAGED, limit_bytes: int = LIMIT_BYTES) -> T:
    """Read a JSON document as a typed record.

    Parameters
    ----------
    path : Path
        The file.
    kind : type
        What it holds: a `Document`, or any type that msgspec knows.
    hint : str
        What to do where it cannot be used.
    limit_bytes : int
        Size above which it is not read.

    Raises
    ------
    BadInput
        With the file, the place in it, what was expected there and what was found.
    """
    return parse_json(read_text(path, hint, limit_bytes), kind, path, hint)


def parse_json(text: str, kind: type[T], source: object, hint: str = _DAMAGED) -> T:
    """Parse a JSON document as a typed record; `source` says in errors where it came from."""
    try:
        return msgspec.json.decode(text, type=kind, dec_hook=_decoded)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _refused(text, kind, error, source, hint) from error


def read_yaml(path: Path, kind: type[T], *, hint: str = _DAMAGED, limit_bytes: int = LIMIT_BYTES) -> T:
    """Read a YAML document as a typed record; parameters and errors as of `read_json`."""
    import yaml  # noqa: PLC0415 - 20 ms that `calm --help` need not spend

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the compiled one is ten times faster
    text = read_text(path, hint, limit_bytes)
    try:
        document = yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        message = f"{path}: expected a YAML document, got one that is damaged: {' '.join(str(error).split())}"
        raise BadInput(message, hint) from error
    return convert(document, kind, path, hint)


def convert(document: object, kind: type[T], source: object, hint: str = _DAMAGED) -> T:
    """Make a typed record of what a parser returned; `source` says in errors where it came from."""
    try:
        return msgspec.convert(document, type=kind, dec_hook=_decoded)
    except msgspec.ValidationError as error:
        raise _misfit(source, error, document, kind, hint) from error


def plain(record: object) -> Any:  # noqa: ANN401 - a JSON document
    """Return a record as dicts, lists and numbers, as they stand in its file."""
    return msgspec.to_builtins(record, enc_hook=_encoded)


def write_record(path: Path, record: object) -> None:
    """Write a record as JSON with sorted keys; the file appears complete or not at all."""
    write_json(path, plain(record))


def digest_of(record: object) -> str:
    """Return the SHA-256 of a record: of its JSON with sorted keys and no blanks."""
    text = json.dumps(plain(record), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def read_text(path: Path, hint: str, limit_bytes: int) -> str:
    """Read a text file of a bounded size; errors as of `read_json`."""
    data = _read_bytes(path, hint, limit_bytes)
    if not data.strip():
        message = f"{path}: expected a document, got an empty file"
        raise BadInput(message, hint)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        message = f"{path}: expected text in UTF-8, got byte {data[error.start]:#04x} at position {error.start}"
        raise BadInput(message, hint) from error


def _read_bytes(path: Path, hint: str, limit_bytes: int) -> bytes:
    if path.is_fifo() or path.is_socket():  # from which nothing may ever come
        message = f"{path}: expected a file that can be read, got a pipe or a socket"
        raise BadInput(message, hint)
    try:
        with path.open("rb") as stream:
            data = stream.read(limit_bytes + 1)
    except OSError as error:
        message = f"{path}: expected a file that can be read, got: {error.strerror}"
        raise BadInput(message, hint) from error
    if len(data) > limit_bytes:
        message = f"{path}: expected a document of at most {limit_bytes / 2**20:.0f} MiB, got more"
        raise BadInput(message, hint)
    return data


def _decoded(kind: type, value: object) -> object:
    if kind is Path:
        if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
            message = f"Expected an absolute path, got {_shown(value)}"
            raise ValueError(message)
        return Path(value)
    message = f"no way to read {kind}"
    raise NotImplementedError(message)


def _encoded(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    message = f"no way to write {type(value)}"
    raise NotImplementedError(message)


def _refused(text: str, kind: type, error: Exception, source: object, hint: str) -> BadInput:
    """Say what is wrong with a document: where it does not fit, or that it is none."""
    try:
        document = json.loads(text, parse_float=_number)
    except (ValueError, RecursionError) as damage:
        error = damage
    else:
        if isinstance(error, msgspec.ValidationError):
            return _misfit(source, error, document, kind, hint)
    return BadInput(f"{source}: expected a JSON document, got one that is damaged: {error}", hint)


def _misfit(source: object, error: Exception, document: object, kind: type, hint: str) -> BadInput:
    """Say where a document does not fit, what belongs there and what was found."""
    words, place = _split(error)
    where, found = _found(document, place, lambda trial: _place_of(trial, kind) == place)
    return BadInput(f"{source}: at {where}: {_sentence(words, found)}", hint)


def _sentence(words: str, found: object) -> str:
    if words.startswith("Object missing required field "):
        return f"expected the field {words.split('`')[1]}, got none"
    if words.startswith("Object contains unknown field "):
        return f"expected known fields only, got {words.split('`')[1]}"
    if words.startswith("Invalid enum value "):
        return f"expected one of the values allowed, got {_shown(found)}"
    known = _GOT.fullmatch(words)
    expected = known["expected"] if known else words
    return f"{expected[0].lower()}{expected[1:]}, got {_shown(found)}".replace("`", "")


def _split(error: Exception) -> tuple[str, str]:
    match = _PLACE.fullmatch(str(error))
    words, place = match.groups() if match else (str(error), None)
    return words, place or "$"


def _place_of(document: object, kind: type) -> str | None:
    try:
        msgspec.convert(document, type=kind, dec_hook=_decoded)
    except msgspec.ValidationError as error:
        return _split(error)[1]
    return None


def _number(text: str) -> float | str:
    """Leave a number that is beyond floats as text, which fits as little."""
    return float(text) if math.isfinite(float(text)) else text


def _found(document: object, place: str, fails: Callable[[object], bool]) -> tuple[str, object]:
    """Return a place with the keys that msgspec writes as dots, and what lies there.

    A mapping of which only the key at fault is left fails in the same way; so keys are found by trying.
    """
    trial: Any = [copy.deepcopy(document)]  # so that the document itself can be replaced
    holder, at, names = trial, 0, []
    for step in _STEP.findall(place):
        here = holder[at]
        if step == "[...]":
            key = _key_at_fault(holder, at, lambda: fails(trial[0]))
        else:
            key = int(step[1:-1]) if step.startswith("[") else step[1:]
        names.append(f"[{key}]" if isinstance(here, list) else str(key))
        holder, at = here, key
    return ".".join(names).replace(".[", "[") or "the top level", holder[at]


def _key_at_fault(holder: Any, at: Any, fails: Callable[[], bool]) -> Any:  # noqa: ANN401 - parts of a document
    here = holder[at]
    for key in here:
        holder[at] = {key: here[key]}
        if fails():
            break
    holder[at] = here
    return key


def _shown(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
