"""Measure containers/hdn against upstream's way of doing the same, both in this run.

Usage: make bench ALGO=hdn ARGS="[predict] [noise] [density] [memory]"

predict: seconds per frame for the mean of samples, against a whole forward pass per sample.
noise: error of gain and read noise, against half the mean squared difference of frames over mean brightness.
density: a mixture over many pixels, and what a far residual gives, against careamics' GaussianMixtureNoiseModel.
memory: peak of predicting a short and a long movie; ends with 1 where it grows.
Times are CPU seconds of the process, which other load disturbs least. Nightly sizes: --size 512 --samples 100
--frames 3000
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import yaml

FOLDER = Path(__file__).resolve().parents[1] / "containers" / "hdn"
sys.path[:0] = [str(FOLDER.parent), str(FOLDER), str(FOLDER.parent / "careamics"), str(FOLDER / "tests")]

from hdn_jobs import clean_movie, make_job, noisy_movie, run_job, write_movie  # noqa: E402 - found by the line above

from contract.stacks import open_stack  # noqa: E402
from ladder import build_ladder  # noqa: E402
from noise_estimate import estimate_affine  # noqa: E402
from noise_models import MixtureNoise  # noqa: E402
from patch_source import Scale  # noqa: E402
from posterior import Posterior, Window  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

GAIN, READ_NOISE, OFFSET = 2.0, 8.0, 100.0  # of the simulated detector, intensity units
GROWTH = 1.05  # most that a movie several times as long may need more memory


def main() -> None:
    """Run the parts that were asked for."""
    parts = {"predict": predict_speed, "noise": noise_error, "density": density_speed, "memory": memory}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(parts)}; all by default")
    parser.add_argument("--size", type=int, default=128, help="height and width of a frame")
    parser.add_argument("--samples", type=int, default=10, help="samples averaged")
    parser.add_argument("--frames", type=int, default=640, help="frames of the long movie")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for part in options.parts or parts:
        print(f"\n{part}", flush=True)
        parts[part](options)


def predict_speed(options: argparse.Namespace) -> None:
    """Compare one pass of the encoder and many of the decoder with as many of both."""
    params = _params("quick")
    torch.manual_seed(0)
    network = build_ladder(params).eval()
    network.mode_pred = True
    pixels = np.random.default_rng(0).normal(200, 60, (options.size, options.size)).astype(np.float32)
    noisy = torch.from_numpy((pixels - 200) / 60)[None, None]

    def forward_passes() -> None:
        with torch.inference_mode():
            for _ in range(options.samples):
                network(noisy)

    theirs = _cpu_seconds(forward_passes)
    posterior = Posterior(network, Scale(mean=200.0, std=60.0), seed=1, device="cpu", precision=nullcontext)
    window = Window(options.size, options.size, slice(0, options.size), slice(0, options.size))
    ours = _cpu_seconds(lambda: list(posterior.samples(pixels, window, 0, options.samples)))
    print(f"mean of {options.samples} samples of a {options.size} x {options.size} frame, CPU seconds per frame")
    print(f"  a forward pass per sample {theirs:.3f}, encoder once {ours:.3f}, ratio {theirs / ours:.2f}")


def noise_error(_: argparse.Namespace) -> None:
    """Compare the estimate with a line through half the squared differences of every pixel."""
    clean = clean_movie(200, 128)
    movie = noisy_movie(clean, gain=GAIN, read_noise=READ_NOISE, offset=OFFSET)
    with tempfile.TemporaryDirectory() as folder, open_stack(write_movie(Path(folder, "a.tif"), movie)) as stack:
        start = time.process_time()
        fit = estimate_affine([stack], "temporal").noise_model
        seconds = time.process_time() - start
    values = movie.astype(float)
    squares, means = np.diff(values, axis=0) ** 2 / 2, (values[1:] + values[:-1]) / 2
    slope, level = np.polyfit(means.ravel(), squares.ravel(), 1)
    naive = np.sqrt(max(level + slope * OFFSET, 0))
    print(f"truth: gain {GAIN:.3f}, read noise {np.sqrt(READ_NOISE**2 + 1 / 12):.3f}")
    print(f"  line through every difference: gain {slope:.3f}, read noise {naive:.3f}")
    print(f"  ours: gain {fit.gain:.3f}, read noise {fit.read_noise(OFFSET):.3f}, {seconds:.2f} CPU seconds")


def density_speed(_: argparse.Namespace) -> None:
    """Compare our mixture with upstream's, with the same coefficients."""
    from careamics.config.noise_model.noise_model_config import GaussianMixtureNMConfig  # noqa: PLC0415 - needs `ladder`
    from careamics.models.lvae.noise_models import GaussianMixtureNoiseModel  # noqa: PLC0415 - as above

    weight = np.random.default_rng(0).normal(0, 1, (9, 2)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(None):
        path = Path(folder, "mixture.npz")
        np.savez(path, trained_weight=weight, min_signal=0.0, max_signal=100.0, min_sigma=0.25)
        upstream = GaussianMixtureNoiseModel(
            GaussianMixtureNMConfig(model_type="GaussianMixtureNoiseModel", path=str(path))
        )
    ours = MixtureNoise(
        means=weight[:3], log_variances=weight[3:6], logits=weight[6:],
        min_variance=0.25, signal_low=0.0, signal_high=100.0,
    )  # fmt: skip
    signal = torch.rand(1, 1, 1000, 1000) * 100
    noisy = signal + torch.randn_like(signal)
    with torch.inference_mode():
        theirs_s = _cpu_seconds(lambda: torch.log(upstream.likelihood(noisy, signal)))
        ours_s = _cpu_seconds(lambda: ours.log_density(noisy - signal, signal))
        off = torch.log(upstream.likelihood(noisy, signal)) - ours.log_density(noisy - signal, signal)
    print(f"log density of a million pixels, CPU seconds: upstream {theirs_s:.3f}, ours {ours_s:.3f}")
    print(f"  largest difference near the signal {off.abs().max():.2g} nats")
    for name, density in (("upstream", lambda s: torch.log(upstream.likelihood(torch.tensor([1e3]), s))),
                          ("ours", lambda s: ours.log_density(torch.tensor([1e3]) - s, s))):  # fmt: skip
        at = torch.tensor([50.0], requires_grad=True)
        density(at).sum().backward()
        print(f"  gradient for a residual of 950: {name} {at.grad.item():.4g}")


def memory(options: argparse.Namespace) -> None:
    """Compare the peak of predicting a short movie with that of a long one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        movie = noisy_movie(clean_movie(32, 64), gain=GAIN, read_noise=READ_NOISE, offset=OFFSET)
        short = write_movie(folder / "short" / "a.tif", movie)
        long = write_movie(folder / "long" / "a.tif", np.resize(movie, (options.frames, 64, 64)))
        trained = run_job(make_job(folder / "short" / "train", "train", "smoke", inputs={"train": [short]}))
        if trained["status"] != "ok":
            sys.exit(f"training: {trained['error']}")
        (folder / "long" / "checkpoint").symlink_to(folder / "short" / "checkpoint")
        peaks = []
        for path in (short, long):
            job = make_job(path.parent / "predict", "predict", "smoke", inputs={"noisy": [path]})
            peaks.append(run_job(job)["peak_memory_bytes"] / 1e6)
        ratio = peaks[1] / peaks[0]
        print(f"predicting 32 frames {peaks[0]:.0f} MB, {options.frames} frames {peaks[1]:.0f} MB, ratio {ratio:.3f}")
        if ratio > GROWTH:
            sys.exit("memory grows with the number of frames")


def _params(preset: str) -> dict[str, Any]:
    document = yaml.safe_load((FOLDER / "algorithm.yaml").read_text())
    return {name: param["default"] for name, param in document["params"].items()} | document["presets"][preset]


def _cpu_seconds(work: Callable[[], object], times: int = 3) -> float:
    """Return the least CPU seconds of a few runs, after one to warm up."""
    work()
    found = []
    for _ in range(times):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


if __name__ == "__main__":
    main()
