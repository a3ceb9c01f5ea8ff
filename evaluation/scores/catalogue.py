"""The scores that a report shows, in the order of its columns, each with a sentence for the reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower", "neither"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One column of a score table.

    Attributes
    ----------
    name : str
        Key of this metric in scores.json, for example "si_psnr".
    title : str
        Heading, for example "SI-PSNR".
    unit : str
        Unit of the value, for example "dB"; empty for a plain number.
    better : {"higher", "lower", "neither"}
        Which direction is better; "neither" marks no best value.
    over : str
        What one value stands for, in the plural: "frames", "files".
    decimals : int
        Digits shown behind the decimal point.
    reference : bool
        Whether the metric compares with a clean target.
    aim : str
        Where neither direction is better: which value is good, and for what; empty where the value alone says nothing.
    explanation : str
        One sentence for readers who do not know the metric; empty for none.
    """

    name: str
    title: str
    unit: str
    better: Better
    over: str = "frames"
    decimals: int = 2
    reference: bool = True
    aim: str = ""
    explanation: str = ""


METRICS = (
    Metric(
        name="si_psnr",
        title="SI-PSNR",
        unit="dB",
        better="higher",
        explanation="Peak signal-to-noise ratio after the best gain and offset: blind to intensity units.",
    ),
    Metric(
        name="si_psnr_gain",
        title="SI-PSNR gain",
        unit="dB",
        better="higher",
        over="files",
        explanation="SI-PSNR of the denoised image minus that of the noisy image, image by image.",
    ),
    Metric(
        name="psnr",
        title="PSNR",
        unit="dB",
        better="higher",
        explanation="Peak signal-to-noise ratio; the range is that of the target movie.",
    ),
    Metric(name="ssim", title="SSIM", unit="", better="higher", decimals=3, explanation="Structural similarity."),
    Metric(
        name="microssim",
        title="MicroSSIM",
        unit="",
        better="higher",
        decimals=3,
        explanation="Structural similarity made for microscopy: background removed, best scale fitted.",
    ),
    Metric(
        name="upsnr",
        title="uPSNR",
        unit="dB",
        better="higher",
        over="movies",
        explanation="PSNR with the noise of the target itself taken out; only for targets that a detector recorded.",
    ),
    Metric(
        name="stsnr",
        title="stSNR",
        unit="dB",
        better="higher",
        over="movies",
        explanation="Mean of spatial and temporal signal-to-noise ratio, as the challenges score; stills score high.",
    ),
    Metric(
        name="stsnr_centred",
        title="stSNR centred",
        unit="dB",
        better="higher",
        over="movies",
        explanation="Mean of spatial and temporal signal-to-noise ratio, means subtracted: a still picture scores low.",
    ),
    Metric(
        name="temporal_correlation",
        title="Temporal r",
        unit="",
        better="higher",
        over="movies",
        decimals=3,
        explanation="Correlation with the target over time at each pixel: whether transients survive.",
    ),
    Metric(
        name="roi_correlation",
        title="Trace r",
        unit="",
        better="higher",
        over="movies",
        decimals=3,
        explanation="Correlation of the mean trace of each known region with that of the target, mean over regions.",
    ),
    Metric(
        name="roi_slope",
        title="Trace slope",
        unit="",
        better="neither",
        over="movies",
        decimals=3,
        aim="1 keeps amplitudes",
        explanation="Slope of those traces on those of the target; below 1, amplitudes are damped.",
    ),
    Metric(
        name="event_f1",
        title="Event F1",
        unit="",
        better="higher",
        over="movies",
        decimals=3,
        explanation="Known events found again as jumps of the traces, one frame early or late at most.",
    ),
    Metric(
        name="event_peak",
        title="Event peak",
        unit="",
        better="neither",
        over="movies",
        decimals=3,
        aim="1 keeps peaks",
        explanation="Peak height of known events over that in the target, median; below 1, transients are damped.",
    ),
    Metric(
        name="gain",
        title="Gain",
        unit="",
        better="neither",
        over="movies",
        decimals=3,
        aim="1 keeps amplitudes",
        explanation="Slope of the denoised movie on the target, over all pixels; below 1, amplitudes are damped.",
    ),
    Metric(
        name="residual_sd",
        title="Removed, sd",
        unit="grey levels",
        better="neither",
        over="movies",
        reference=False,
        explanation="Spread of what was removed; a good denoiser removes the noise and nothing else.",
    ),
    Metric(
        name="mean_shift",
        title="Mean shift",
        unit="grey levels",
        better="neither",
        over="movies",
        reference=False,
        aim="0 keeps the offset",
        explanation="Mean of the denoised movie minus that of the noisy one; dF/F changes with it.",
    ),
    Metric(
        name="residual_autocorrelation_t",
        title="Removed, r over time",
        unit="",
        better="neither",
        over="movies",
        decimals=3,
        reference=False,
        aim="0 for white noise",
        explanation="Correlation of what was removed between neighbouring frames; away from 0, signal may have gone.",
    ),
    Metric(
        name="residual_autocorrelation_x",
        title="Removed, r over x",
        unit="",
        better="neither",
        over="movies",
        decimals=3,
        reference=False,
        aim="0 for white noise",
        explanation="The same between neighbouring columns; the noise of a detector may be correlated itself.",
    ),
    Metric(
        name="residual_correlation",
        title="Removed, r with result",
        unit="",
        better="neither",
        over="movies",
        decimals=3,
        reference=False,
        aim="0 leaves no trace",
        explanation="Correlation of what was removed with the denoised movie; away from 0, structure leaked out.",
    ),
    Metric(
        name="noise_level",
        title="Noise level",
        unit="grey levels/√Hz",
        better="neither",
        over="movies",
        reference=False,
        explanation="Median jump between frames over the root of the frame rate; says smooth, not right.",
    ),
    Metric(
        name="temporal_smoothness",
        title="Smoothness",
        unit="",
        better="neither",
        over="movies",
        decimals=3,
        reference=False,
        explanation="0: as rough as the noisy movie; 1: frozen. High values say smooth, not right.",
    ),
)
