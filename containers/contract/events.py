"""Progress as lines of JSON in `events.jsonl`, the same on every engine and on a cluster."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_EVERY_S = 0.2  # more lines than this per second help nobody who looks at a progress bar


class Events:
    """Append progress events to a file.

    Parameters
    ----------
    path : Path
        The `events.jsonl` to append to.
    """

    def __init__(self, path: Path) -> None:
        self._stream = path.open("a", buffering=1, encoding="utf-8")
        self._next_s = 0.0
        self.clipped_pixels: dict[str, int] = {}
        self.network_parameters: int | None = None

    def step(self, step: int, steps: int, *, loss: float | None = None, val_loss: float | None = None) -> None:
        """Report that `step` of `steps` are done; lines are thinned to a few per second, the last is always kept.

        Parameters
        ----------
        step, steps : int
            Work done and work in all, in any unit of similar length.
        loss, val_loss : float, optional
            Training and validation loss; a line with `val_loss` is never thinned out.
        """
        now_s = time.monotonic()
        if step < steps and val_loss is None and now_s < self._next_s:
            return
        self._next_s = now_s + _EVERY_S
        self._write({"step": step, "steps": steps, "loss": loss, "val_loss": val_loss})

    def message(self, message: str) -> None:
        """Tell the user something worth a line: a warning, a phase that starts."""
        self._write({"message": message})

    def network(self, parameters: int) -> None:
        """Record how many parameters the network has that is trained; goes into the result."""
        self.network_parameters = parameters
        self.message(f"the network has {parameters} parameters")

    def clipped(self, name: str, pixels: int) -> None:
        """Record how many pixels of a prediction were clipped to the dtype of its input; goes into the result."""
        if pixels:
            self.clipped_pixels[name] = pixels
            self.message(f"{name}: {pixels} pixels clipped to the range of the input's dtype")

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _write(self, event: dict[str, Any]) -> None:
        kept = {
            name: (None if isinstance(value, float) and not math.isfinite(value) else value)
            for name, value in event.items()
            if value is not None
        }
        self._stream.write(json.dumps(kept | {"time_s": round(time.time(), 3)}, sort_keys=True) + "\n")
