"""Metrics: pure functions and streamed sums on arrays. No files, no printing, no guessed defaults.

Computed in float64 with NumPy and SciPy alone, equal to the reference libraries named at each metric.
docs/metrics.md lists every metric with formula, unit, source and what it catches.
"""

from .activity import Activity, activity
from .casts import Cast, as_study_uint16
from .events import Detection, Peaks, match_events, onsets, peaks, robust_threshold
from .frames import Frames
from .microssim import MicroSsim, fit_microssim
from .noise_level import noise_level
from .noisy_target import LookNoise, umse, upsnr
from .pixels import PixelMoments, PixelSums
from .psnr import psnr, si_psnr
from .regression import Regression, regression
from .residual import ResidualScorer, ResidualScores
from .scorer import STUDY_PROTOCOL, FrameScores, MovieScorer, MovieScores, ScoreProtocol, score_movie
from .snr import FramePower, Snr, frame_power, snr
from .ssim import ssim
from .summary import Interval, Summary, block_bootstrap, frames_interval, summarise
from .traces import RoiTraces, TraceScores, trace_scores

__all__ = [
    "STUDY_PROTOCOL",
    "Activity",
    "Cast",
    "Detection",
    "FramePower",
    "FrameScores",
    "Frames",
    "Interval",
    "LookNoise",
    "MicroSsim",
    "MovieScorer",
    "MovieScores",
    "Peaks",
    "PixelMoments",
    "PixelSums",
    "Regression",
    "ResidualScorer",
    "ResidualScores",
    "RoiTraces",
    "ScoreProtocol",
    "Snr",
    "Summary",
    "TraceScores",
    "activity",
    "as_study_uint16",
    "block_bootstrap",
    "fit_microssim",
    "frame_power",
    "frames_interval",
    "match_events",
    "noise_level",
    "onsets",
    "peaks",
    "psnr",
    "regression",
    "robust_threshold",
    "score_movie",
    "si_psnr",
    "snr",
    "ssim",
    "summarise",
    "trace_scores",
    "umse",
    "upsnr",
]
