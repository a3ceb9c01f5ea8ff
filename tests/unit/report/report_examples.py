"""A small movie with cells, its noisy version and a smoothed one, and reports about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from scipy import ndimage

from evaluation.metrics import Summary
from evaluation.report.content import STUDY, MovieContent, Page, Part, Resources, Row, Score, TrainingCurve
from evaluation.scores.catalogue import Metric
from evaluation.study.verdict import Comparison

if TYPE_CHECKING:
    from pathlib import Path

    from evaluation.study.verdict import Verdict

SI_PSNR = Metric(name="si_psnr", title="SI-PSNR", unit="dB", better="higher", explanation="Peak signal-to-noise ratio.")
SSIM = Metric(name="ssim", title="SSIM", unit="", better="higher", decimals=3)
NOISE = Metric(name="noise_sd", title="Noise sd", unit="grey levels", better="neither", reference=False)
METRICS = (SI_PSNR, SSIM, NOISE)
TEST = Part(movies="demo", split="test")
VAL = Part(movies="MOUSENEU_LP", split="val", protocol=STUDY)


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """Paths of one synthetic movie."""

    noisy: Path
    prediction: Path
    mean: Path
    target: Path


def clean_movie(frames: int, edge: int, seed: int = 7) -> np.ndarray:
    """Cells that flash on a dim background, shape (frames, edge, edge), float64, photons."""
    random = np.random.default_rng(seed)
    background = 6 + 4 * ndimage.gaussian_filter(random.normal(size=(edge, edge)), edge / 16) * edge / 16
    movie = np.repeat(np.clip(background, 2, None)[None], frames, axis=0)
    rows, columns = np.ogrid[:edge, :edge]
    decay = np.exp(-np.arange(frames) / 12)
    for y, x in random.uniform(0.06 * edge, 0.94 * edge, (max(4, edge // 8), 2)):
        radius = random.uniform(0.018, 0.028) * edge
        distance = np.hypot(rows - y, columns - x)
        disc = (
            1
            / (1 + np.exp(np.minimum(distance - radius, 30) * 1.5))
            * (1 - 0.45 * np.exp(-((distance / radius / 0.5) ** 2)))
        )
        spikes = (random.random(frames) < 0.02) * random.uniform(10, 30)
        movie += (4 + np.convolve(spikes, decay)[:frames])[:, None, None] * disc
    return movie


def write_movie(folder: Path, frames: int = 40, edge: int = 64) -> Files:
    """Write the noisy movie (uint16), a smoothed prediction, a running mean (float32) and the clean target."""
    clean = clean_movie(frames, edge)
    noisy = np.random.default_rng(8).poisson(clean) * 20 + 100
    smooth = ndimage.gaussian_filter(noisy.astype(float), (1.2, 1.0, 1.0))
    mean = ndimage.uniform_filter1d(noisy.astype(float), 9, axis=0)
    stacks = {"noisy": noisy.astype(np.uint16), "prediction": smooth, "mean": mean, "target": clean * 20 + 100}
    paths = {name: folder / f"{name}.tif" for name in stacks}
    for name, stack in stacks.items():
        kept = stack if stack.dtype == np.uint16 else stack.astype(np.float32)
        tifffile.imwrite(paths[name], kept, photometric="minisblack", metadata={"axes": "TYX"})
    return Files(**paths)


def frame_psnr_db(path: Path, target: Path) -> np.ndarray:
    """PSNR of every frame over the range of the target, enough to have something to plot."""
    movie, clean = (tifffile.imread(one).astype(float) for one in (path, target))
    error = ((movie - clean) ** 2).mean(axis=(1, 2))
    return 10 * np.log10(np.ptp(clean) ** 2 / error)


def scores_of(values: np.ndarray) -> dict[str, Score]:
    """Summaries of all metrics, the first one true, the others made up from it."""
    mean, sd, n = float(values.mean()), float(values.std(ddof=1)), len(values)
    made_up = {"si_psnr": (mean, sd), "ssim": (mean / 50, sd / 50), "noise_sd": (100 - mean, sd)}
    return {name: Score(value=Summary(mean=one, sd=spread, n=n)) for name, (one, spread) in made_up.items()}


def movie_content(files: Files, **changes: object) -> MovieContent:
    """One movie with target, prediction and mean control, seven frames a second."""
    values = {
        "noisy": frame_psnr_db(files.noisy, files.target),
        "n2v": frame_psnr_db(files.prediction, files.target),
        "mean": frame_psnr_db(files.mean, files.target),
    }
    default: dict[str, object] = {
        "name": "movie_001.tif",
        "part": TEST,
        "noisy": files.noisy,
        "predictions": {"n2v": files.prediction, "mean": files.mean},
        "target": files.target,
        "frame_rate_hz": 7.0,
        "frame_scores": {name: {"si_psnr": scores} for name, scores in values.items()},
    }
    return MovieContent(**{**default, **changes})


def rows_of(movie: MovieContent) -> tuple[Row, ...]:
    """Noisy input, a control and one trained algorithm with everything a row can have."""
    scores = {name: {TEST: scores_of(np.asarray(one["si_psnr"]))} for name, one in movie.frame_scores.items()}
    steps = np.arange(1, 201) * 5.0
    random = np.random.default_rng(9)
    curve = TrainingCurve(
        steps=steps,
        loss=0.9 * np.exp(-steps / 120) + 0.04 + random.normal(size=200) * 0.003,
        val_steps=steps[9::20],
        val_loss=0.9 * np.exp(-steps[9::20] / 120) + 0.05,
    )
    used = Resources(train_s=154.2, predict_s=8.4, peak_memory_bytes=1_450_000_000, device="cpu, 2 threads")
    return (
        Row(name="noisy", title="Noisy movie", role="noisy", scores=scores["noisy"]),
        Row(name="mean", title="Mean", role="control", scores=scores["mean"], resources=Resources(predict_s=0.4)),
        Row(
            name="n2v",
            title="Noise2Void",
            role="algorithm",
            scores=scores["n2v"],
            resources=used,
            curve=curve,
            doi="10.1109/CVPR.2019.00223",
        ),
    )


def page_about(movie: MovieContent, **changes: object) -> Page:
    """Make a complete page about one movie."""
    record = {
        "key": "3f9a0c51d2",
        "algorithm": {"name": "n2v", "upstream": {"name": "careamics", "version": "0.3.5"}},
        "params": {"patch_size": [64, 64], "num_epochs": 100, "batch_size": 128},
        "seed": 42,
        "inputs": [{"path": "movie_001.tif", "sha256": "ab" * 32}],
    }
    default: dict[str, object] = {
        "title": "Noise2Void on demo",
        "subtitle": "calm run n2v, preset quick, seed 42, on a simulated two-photon movie",
        "metrics": METRICS,
        "rows": rows_of(movie),
        "movies": (movie,),
        "warnings": (),
        "record": record,
    }
    return Page(**{**default, **changes})


def study_page(movie: MovieContent, **changes: object) -> Page:
    """Make a page with published values of MOUSENEU_LP, val movies, and one row for every verdict.

    Published numbers: table of the study's README (mean and sample sd over 6500 frames); ours are made up.
    """
    published = {
        "lowSNR": (22.330, 0.477, 0.411, 0.020),
        "MOUSENEU_LP_N2V_1": (22.297, 0.476, 0.415, 0.020),
        "MOUSENEU_LP_N2N_1": (22.522, 0.480, 0.415, 0.020),
        "MOUSENEU_LP_DEEPCAD_1": (23.713, 0.525, 0.421, 0.020),
    }
    shifts = {"lowSNR": 0.0, "MOUSENEU_LP_N2V_1": 0.06, "MOUSENEU_LP_N2N_1": -0.9, "MOUSENEU_LP_DEEPCAD_1": 0.1}
    verdicts = {
        "lowSNR": ("reproduced", "equal to 3 decimals"),
        "MOUSENEU_LP_N2V_1": ("within seed spread", "3 seeds: 22.21 to 22.41"),
        "MOUSENEU_LP_N2N_1": ("deviates", "tolerance 0.25 dB"),
        "MOUSENEU_LP_DEEPCAD_1": ("not comparable", "published with another crop"),
    }
    rows = []
    for title, (psnr, psnr_sd, ssim, ssim_sd) in published.items():
        values = {"si_psnr": (psnr, psnr_sd, shifts[title]), "ssim": (ssim, ssim_sd, shifts[title] / 60)}
        rows.append(
            Row(
                name="n2v" if title == "MOUSENEU_LP_N2V_1" else title,
                title=title,
                role="noisy" if title == "lowSNR" else "algorithm",
                environment="careamics 0.0.10" if "N2" in title else "",
                scores={VAL: {name: _judged(*value, *verdicts[title]) for name, value in values.items()}},
                resources=Resources(train_s=5321.0, predict_s=402.5, peak_gpu_bytes=4 * 2**30, device="cuda"),
            )
        )
    lost = Score(value=None, study=Comparison(ours=None, published=None, verdict="not published"))
    rows.append(
        Row(
            name="cellmincer",
            title="MOUSENEU_LP_CELLMINCER_1",
            role="algorithm",
            status="did not converge",
            reason="loss is not a number after step 1200",
            scores={VAL: {"si_psnr": lost}},
        )
    )
    default: dict[str, object] = {
        "title": "Were the published numbers reproduced?",
        "subtitle": "MOUSENEU_LP, protocol of the study, seeds 1 to 3",
        "metrics": METRICS,
        "rows": tuple(rows),
        "movies": (movie,),
    }
    return Page(**{**default, **changes})


def _judged(mean: float, sd: float, shift: float, verdict: Verdict, reason: str) -> Score:
    ours = Summary(mean=mean + shift, sd=sd, n=6500)
    published = Summary(mean=mean, sd=sd, n=6500)
    return Score(value=ours, study=Comparison(ours=ours, published=published, verdict=verdict, reason=reason))
