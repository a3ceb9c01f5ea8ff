"""What stands beside a prediction: the trend alone as a control, the evidence, and plots of both for the report.

A still picture has a high PSNR where transients are few. So a report draws, for every movie, what the network adds to
the trend alone: on a few frames against the target, where there is one, and on masked pixels, which need none.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from contract.figures import Curve, Figure, Scored, write_figures
from contract.files import atomic, write_json
from contract.predictions import open_prediction

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from contract.job import Job
    from contract.stacks import Stack
    from heldout import Evidence
    from preprocess import Prepared

_SHARES = (0.0, 0.5, 1.0)  # of what the network adds to the trend
_FRAMES = 4  # of each movie, spread over it
_LINES = 5  # of one plot, beside that of the noisy movie
_X = "share of what the network adds: 0 is the trend alone, 1 the prediction"


class Controls:
    """Write what stands beside the predictions of a job: below `extra`, a sibling of the folder of predictions.

    Movies of different splits may bear the same name, so files lie in folders named like that of the predictions.

    Parameters
    ----------
    job : Job
        A predict job.
    trend_only : bool
        Write the trend alone as a movie, and frames to score it by.
    """

    def __init__(self, job: Job, *, trend_only: bool) -> None:
        self._job, self._trend_only = job, trend_only
        self._evidence: dict[str, Evidence] = {}
        self._scored: list[Scored] = []

    def add(self, stack: Stack, movie: Prepared, evidence: Evidence) -> None:
        """Write the evidence of a movie and, when asked for, its trend."""
        self._evidence[stack.path.name] = evidence
        write_json(self._path("evidence", f"{stack.path.name}.json"), evidence.document())
        if not self._trend_only:
            return
        size = movie.recording.block_frames()
        with open_prediction(self._path("trend_only", stack.path.name), stack, self._job.output_dtype) as control:
            for start in range(0, stack.shape[0], size):
                frames = np.arange(start, min(start + size, stack.shape[0]))
                control.write(movie.trend.at(frames).transpose(0, 2, 1))

    def watched(self, name: str, movie: Prepared, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """Pass on a prediction and keep a few of its frames.

        Parameters
        ----------
        name : str
            File of the movie.
        movie : Prepared
            The movie.
        blocks : iterator of ndarray of shape (n, X, Y), float32
            Its denoised frames in order, counts.

        Yields
        ------
        ndarray of shape (n, X, Y), float32
            The same.
        """
        chosen = np.unique(np.linspace(0, len(movie.recording) - 1, _FRAMES + 2)[1:-1].astype(int))
        kept: list[np.ndarray] = []
        start = 0
        for block in blocks:
            yield block
            kept += [block[number - start] for number in chosen if start <= number < start + len(block)]
            start += len(block)
        if self._trend_only:
            self._keep(name, chosen, movie.trend.at(chosen), np.stack(kept))

    def _keep(self, name: str, chosen: np.ndarray, trend: np.ndarray, denoised: np.ndarray) -> None:
        """Write frames at all shares, (shares, n, Y, X), and note where."""
        path = self._path("trend_only", f"{name}.shares.npy")
        shares = np.stack([trend + np.float32(share) * (denoised - trend) for share in _SHARES])
        with atomic(path) as part, part.open("wb") as stream:
            np.save(stream, shares.transpose(0, 1, 3, 2))
        file = os.path.relpath(path, self._job.folder)
        self._scored.append(Scored(movie=name, file=file, at=_SHARES, frames=chosen.tolist()))

    def write_figures(self) -> None:
        """Write the plots for the report."""
        write_figures(self._job, [self._against_targets(), self._on_masked_pixels()])

    def _against_targets(self) -> Figure:
        return Figure(
            title="From the trend alone to the prediction, against the target",
            note=f"{_FRAMES} frames of each movie. A line that does not rise belongs to a still picture.",
            x=_X,
            scored=self._scored,
        )

    def _on_masked_pixels(self) -> Figure:
        shown = list(self._evidence.items())[:_LINES]
        lines = {name: [one.trend, one.network] for name, one in shown} | {"noisy movie": [2.0, 2.0]}
        return Figure(
            title="From the trend alone to the prediction, on masked pixels",
            note="No target is needed; about 1 is perfect. A line that does not fall belongs to a still picture, "
            "one that ends well below 1 to copied noise.",
            x=_X,
            y="mean squared error (noise variances)",
            curves=[
                Curve(name=name, kind="line", x=[0, 1], y=values)
                for name, values in lines.items()
                if np.isfinite(values).all()
            ],
        )

    def _path(self, kind: str, name: str) -> Path:
        folder = self._job.predictions.parent / "extra" / kind / self._job.predictions.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name
