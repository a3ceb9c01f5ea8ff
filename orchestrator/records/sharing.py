"""Records for other people: without the folders of this machine, and so without the name of its user."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_FOLDERS = re.compile(r"(?<![\w:/.~-])/(?:[^/\s\"'`,;()]+/)+")  # of an absolute path inside a text; not of an address
_TO_NAME = re.compile(r"^(?P<option>-[^=]*=)?.*/")  # of an argument of a command line
_COMMAND_LINE = "command_line"


def for_others(value: Any) -> Any:  # noqa: ANN401 - a JSON document
    """Return a JSON document with the last part of every absolute path alone, in texts and in command lines too."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Path):
        return value.name
    if isinstance(value, Mapping):
        line = value.get(_COMMAND_LINE)
        rest = {_text(str(name)): for_others(one) for name, one in value.items() if name != _COMMAND_LINE}
        return rest if line is None else rest | {_COMMAND_LINE: [_argument(one) for one in line]}
    if isinstance(value, list | tuple):
        return [for_others(one) for one in value]
    return value


def _text(text: str) -> str:
    if text.startswith("/"):  # a path as a whole, whatever blanks it has
        return Path(text).name
    return _FOLDERS.sub("", text.replace(str(Path.home()), "~"))


def _argument(text: str) -> str:
    found = _TO_NAME.match(text)
    return text if found is None else f"{found['option'] or ''}{text[found.end() :]}"
