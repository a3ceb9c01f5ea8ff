"""CellMincer: frames per second against a loop over single frames, and memory against the length of the movie.

Usage: make bench ALGO=cellmincer ARGS="[--size 128] [--frames 60] [--lengths 200 800] [--channels 16] [--depth 2]
                                         [--threads 1]"

Times are CPU seconds of the process, which other load disturbs least; wall time is the same with one thread on an
idle machine. The exit code is 1 where the loop is faster or the longer movie needs 5 % more memory.
Nightly sizes: --size 490 --channels 64 --depth 3 --frames 20 --lengths 40 160

The loop is what the published code does: U-Net on one frame at a time with the features concatenated to every
level, then the convolutions over time on all 13 embeddings for every frame. Both run here, with the same weights.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# In place of the folder of this file, which would hide the package of the same name.
sys.path[:1] = [str(ROOT / "containers"), str(ROOT / "containers" / "cellmincer")]

import numpy as np  # noqa: E402 - the folders above must be on the path first
import torch  # noqa: E402
from torch.nn import functional  # noqa: E402

from cellmincer.tests.synthetic import clean_movie, params, run_job, write_movie  # noqa: E402
from checkpoint import save  # noqa: E402
from contract.job import Inputs, Job  # noqa: E402
from correlation import Occlusion  # noqa: E402
from denoise import Denoiser  # noqa: E402
from network import CellMincer, centre_crop  # noqa: E402
from preprocess import prepare  # noqa: E402
from recording import Mapped, Recording  # noqa: E402
from settings import settings_of  # noqa: E402
from window import feature_window, frame_window, window_at  # noqa: E402

MOST_GROWTH = 1.05  # of peak memory from the shorter to the longer movie


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128, help="side of the frames, pixels")
    parser.add_argument("--frames", type=int, default=60, help="frames for speed")
    parser.add_argument("--lengths", type=int, nargs=2, default=(200, 800), help="frames of two movies, for memory")
    parser.add_argument("--channels", type=int, default=16, help="channels of the first level (upstream: 64)")
    parser.add_argument("--depth", type=int, default=2, help="levels of the U-Net (upstream: 3)")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    settings = params(
        spatial_unet_first_conv_channels=chosen.channels,
        temporal_denoiser_conv_channels=chosen.channels,
        spatial_unet_depth=chosen.depth,
        n_bootstrap=20,
    )
    torch.manual_seed(0)
    network = CellMincer(settings_of(settings).architecture, 74).eval()
    faster = _speed(chosen, settings, network)
    growth = _memory(chosen, settings, network)
    sys.exit(0 if faster > 1 and growth < MOST_GROWTH else 1)


def _movie(frames: int, size: int) -> np.ndarray:
    clean = clean_movie(frames, size, size)
    return np.rint(clean + np.random.default_rng(1).normal(0, 6, clean.shape)).clip(0).astype(np.uint16)


def _speed(chosen: argparse.Namespace, settings: dict[str, object], network: CellMincer) -> float:
    recording = Recording(Mapped(_movie(chosen.frames, chosen.size)), "movie")
    prepared = prepare(recording, settings_of(settings), seed=0, rate_hz=30.0, say=lambda _: None)
    job = Job(
        folder=ROOT, job="benchmark", command="predict", axes="TYX", frame_rate_hz=30.0, inputs=Inputs(),
        checkpoint=ROOT, predictions=ROOT, params=settings, seed=0, device="cpu", threads=chosen.threads,
        precision="float32",
    )  # fmt: skip
    began = time.process_time()
    reference = _loop(network, prepared)
    loop_s = (time.process_time() - began) / len(reference)
    network.spatial_unet.to(memory_format=torch.channels_last)
    began = time.process_time()
    streamed = np.concatenate(list(Denoiser(network, prepared, job, upstream=False).frames()))
    ours_s = (time.process_time() - began) / len(streamed)
    middle = streamed[6:-6] - prepared.trend.at(np.arange(6, chosen.frames - 6))
    difference = np.abs(middle / prepared.features.scale - reference).max()
    print(f"{chosen.size} x {chosen.size} pixels, {chosen.channels} channels, depth {chosen.depth}")
    print(f"loop over single frames  {1 / loop_s:8.2f} frames per CPU second")
    print(f"this implementation      {1 / ours_s:8.2f} frames per CPU second   ratio {loop_s / ours_s:.2f}")
    print(f"largest difference of both results {difference:.1e} standard deviations of the movie")
    return loop_s / ours_s


def _loop(network: CellMincer, prepared: object) -> np.ndarray:
    """Denoise frames 6 to T - 7 as the published code does."""
    window = window_at((0, 0), prepared.recording.shape[1:], network.architecture.valid)
    features = torch.from_numpy(feature_window(prepared, window, "reflect")[None])
    held, made = [], []
    with torch.no_grad():
        for frame in range(len(prepared.recording)):
            single = torch.from_numpy(frame_window(prepared, np.array([frame]), window)[None])
            held = [*held[-12:], _embedded(network, single, features)]
            if len(held) == 13:  # noqa: PLR2004 - the frames that upstream sees
                denoiser = network.temporal_denoiser
                found = denoiser.dense_block(denoiser.conv_block(torch.stack(held, dim=2)))
                made.append(window.cropped(found[0, 0, 0].numpy()))
    return np.stack(made)


def _embedded(network: CellMincer, frame: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    unet, bridges, values = network.spatial_unet, [], frame
    for level, block in enumerate(unet.down_path):
        if level:
            features, values = functional.max_pool2d(features, 2), functional.max_pool2d(values, 2)
        values = block.block(torch.cat([features, values], dim=1))
        features = centre_crop(features, *values.shape[-2:])
        bridges.append(torch.cat([features, values], dim=1))
    for up, bridge in zip(unet.up_path, reversed(bridges[:-1]), strict=True):
        risen = up.up(values)
        values = up.conv_block.block(torch.cat([risen, centre_crop(bridge, *risen.shape[-2:])], dim=1))
    return values


def _memory(chosen: argparse.Namespace, settings: dict[str, object], network: CellMincer) -> float:
    peaks = []
    for frames in chosen.lengths:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "checkpoint").mkdir()
            save(folder / "checkpoint", network, Occlusion(), {})
            path = write_movie(folder / "movie.tif", _movie(frames, chosen.size))
            result = run_job(folder / "predict", "predict", settings, noisy=[path])
            peaks.append(result["peak_memory_bytes"])
            print(f"predict {frames:6d} frames: peak memory {peaks[-1] / 2**20:7.0f} MiB ({result['seconds']:.0f} s)")
    print(f"{chosen.lengths[1] / chosen.lengths[0]:.0f} times the frames, {peaks[1] / peaks[0]:.3f} times the memory")
    return peaks[1] / peaks[0]


if __name__ == "__main__":
    main()
