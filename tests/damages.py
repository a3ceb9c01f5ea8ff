"""Ten ways to damage a document; every reader of one must name it, and say what to do."""

from __future__ import annotations

import json
import re

TEXTS = (".csv", ".yaml")


def _without_a_field(path):
    if path.suffix == ".json":
        document = json.loads(path.read_text())
        document.pop(min(document)) if isinstance(document, dict) else document[0].pop("title")
        path.write_text(json.dumps(document))
    elif path.suffix in TEXTS:
        lines = path.read_text().splitlines()
        path.write_text("\n".join(line for line in lines if not line.lstrip().startswith(("title:", "filename"))))
    else:
        path.write_bytes(path.read_bytes()[:-1000])


def _with_a_field(path):
    if path.suffix == ".json":
        document = json.loads(path.read_text())
        document = document | {"more": 1} if isinstance(document, dict) else [*document, {"more": 1}]
        path.write_text(json.dumps(document))
    else:
        path.write_bytes(path.read_bytes() + b"\nmore: 1, 2, 3, 4\n")


def _digits_swapped(path):
    """Swap the first two different digits that stand side by side; in a binary file, two bytes in the middle."""
    data = path.read_bytes()
    pairs = re.compile(rb"[1-9]{2}").finditer(data) if path.suffix in (*TEXTS, ".json") else ()
    pair = next((one.span() for one in pairs if one[0][:1] != one[0][1:]), None)
    if pair is None:
        middle = len(data) // 2
        pair = next((at, at + 2) for at in range(middle, len(data)) if data[at] != data[at + 1])
    path.write_bytes(data[: pair[0]] + data[pair[0] : pair[1]][::-1] + data[pair[1] :])


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "[]": lambda path: path.write_text("[]"),
    "{}": lambda path: path.write_text("{}"),
    "wrong type": lambda path: path.write_bytes(re.sub(rb"\d+", b'"x"', path.read_bytes(), count=1) + b" "),
    "wrong encoding": lambda path: path.write_bytes(b"\xff\xfe" + path.read_bytes()),
    "huge number": lambda path: path.write_bytes(re.sub(rb"\d+", b"9" * 400, path.read_bytes(), count=1)),
    "missing field": _without_a_field,
    "extra field": _with_a_field,
    "digits swapped": _digits_swapped,
}
