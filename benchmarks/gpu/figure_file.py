"""How the scripts beside this file tell what they found: a line for each figure, written at once."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

VERDICT, SOUND = "verdict", "agrees"  # name and value of a figure that says whether an arithmetic is right


class Told:
    """Figures of a script, each on disk as soon as it is told.

    Parameters
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def tell(  # noqa: PLR0913, PLR0917 - the fields of a figure
        self, case: str, name: str, value: float | str | None, unit: str = "", note: str = "", arithmetic: str = ""
    ) -> None:
        """Append a figure; fields as in `gpu.records.Figure`."""
        figure = {"case": case, "name": name, "value": value, "unit": unit, "note": note, "arithmetic": arithmetic}
        with self._path.open("a") as stream:
            stream.write(json.dumps(figure) + "\n")


def main(parts: dict[str, Callable[[Told, str, bool], None]]) -> None:
    """Run the part that the command line names: PART DEVICE TINY FILE."""
    part, device, tiny, path = sys.argv[1:]
    parts[part](Told(Path(path)), device, tiny == "1")
