"""Plots that a run asks its report to show: the noise model beside its data, and what averaging samples is worth."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from contract.figures import Curve, Figure, Scored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_UNIT = "intensity units"


def noise_figures(report: Mapping[str, Any]) -> list[Figure]:
    """Plot a noise model.

    Parameters
    ----------
    report : mapping
        What `noise_report` returns.

    Returns
    -------
    list of Figure
        Variance against signal, then histogram and density of noisy - signal at each signal level.
    """
    points, curve = report["points"], report["curve"]
    variance = Figure(
        title="Variance against signal",
        note=_in_words(report),
        x=f"signal ({_UNIT})",
        y=f"variance ({_UNIT}²)",
        curves=[
            Curve(name="data", kind="points", x=points["signal"], y=points["variance"]),
            Curve(name="noise model", kind="line", x=curve["signal"], y=curve["variance"]),
        ],
    )
    return [variance, *map(_density_figure, report["densities"])]


def sample_figures(names: Sequence[str], settling: Path, folder: Path) -> list[Figure]:
    """Plot what averaging samples is worth: against the clean target where there is one, and how far the mean moves.

    Parameters
    ----------
    names : sequence of str
        File names of the movies.
    settling : Path
        Folder of what was written of each, also by a job that was interrupted.
    folder : Path
        Where the list will stand; files are named relative to it, as run folders may be moved.

    Returns
    -------
    list of Figure
        Score against samples, which needs a target, and distance from the mean of infinitely many samples.
    """
    settled = {name: json.loads((settling / f"{name}.json").read_text()) for name in names}
    place = os.path.relpath(settling, folder)
    against_target = Figure(
        title="Samples averaged against SI-PSNR",
        note="A few frames of each movie against the clean target; where a line is flat, samples are wasted.",
        x="samples averaged",
        scored=[
            Scored(movie=name, file=f"{place}/{name}.npy", at=one["samples"], frames=one["frames"])
            for name, one in settled.items()
        ],
    )
    against_all = Figure(
        title="Samples averaged against distance from the mean of all possible ones",
        note="Standard deviation of the samples over the root of their number, all pixels.",
        x="samples averaged",
        y=f"rms ({_UNIT})",
        curves=[
            Curve(name=name, kind="line", x=one["samples"], y=one["expected_rms_error"])
            for name, one in settled.items()
        ],
    )
    return [against_target, against_all]


def _density_figure(density: Mapping[str, Sequence[float]]) -> Figure:
    return Figure(
        title=f"Noise around signal {density['signal']:.4g}",
        note=f"{density['pixels']} pixels of about that signal.",
        x=f"noisy - signal ({_UNIT})",
        y=f"density (1 / {_UNIT})",
        curves=[
            Curve(name="histogram", kind="bars", x=density["residual"], y=density["histogram"]),
            Curve(name="noise model", kind="line", x=density["residual"], y=density["fitted"]),
        ],
    )


def _in_words(report: Mapping[str, Any]) -> str:
    if report["kind"] == "gaussian":
        return f"One standard deviation, {report['variance_at_zero'] ** 0.5:.4g} {_UNIT}."
    read_noise = report["read_noise"]
    zero = f"unknown, as the variance vanishes at a signal of {report['zero_variance_signal']:.4g} {_UNIT}"
    shown = zero if read_noise is None else f"{read_noise:.4g} {_UNIT}"
    at = f"read noise {shown} (at camera_offset {report['camera_offset']:g})"
    if report["kind"] == "gmm":
        return (
            f"Mixture of {report['components']} Gaussians, none narrower than {report['min_sigma']:.3g} {_UNIT}; "
            f"the line through its variance has gain {report['gain']:.4g} {_UNIT} per photo-electron, {at}."
        )
    return f"Gain {report['gain']:.4g} \N{PLUS-MINUS SIGN} {report['gain_error']:.2g} {_UNIT} per photo-electron; {at}."
