"""The simulator: bytes that depend on the seed alone, noise of known mean and variance, truth that fits the movie."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile
from msgspec.structs import replace

from contract.files import sha256
from contract.stacks import open_stack
from orchestrator.data.manifest import load_manifest
from orchestrator.data.simulator import movie as simulate
from orchestrator.data.simulator.movie import SimulatedMovie, write_movie
from orchestrator.data.simulator.noise import Scmos, TwoPhoton
from orchestrator.data.simulator.scene import PHOTON_GRID, Light, Scene

MANIFEST = load_manifest(Path(__file__).parents[2] / "data" / "manifest.yaml")
SCENE = Scene(
    seed=7,
    frames=20,
    height=40,
    width=48,
    frame_rate_hz=15.0,
    um_per_pixel=0.5,
    cells=5,
    puncta=6,
    soma_radius_um=2.5,
    dark_nuclei=0.5,
    process_um=8.0,
    neuropil_photons=1.0,
    resting_photons=1.0,
    spike_photons=4.0,
    spike_rate_hz=1.0,
    rise_s=0.03,
    decay_s=0.25,
    bleach_s=30.0,
    vignette=0.4,
)
TUBE = TwoPhoton(
    gain_adu_per_photon=100.0,
    gain_cv=0.48,
    dark_photons=0.05,
    read_noise_adu=2.7,
    bleed_probability=0.3,
    bleed_fraction=0.4,
    offset_adu=100.0,
)
CAMERA = Scmos(
    quantum_efficiency=0.8,
    dark_electrons=0.1,
    read_noise_electrons=1.4,
    read_noise_spread=0.3,
    row_noise_electrons=0.4,
    gain_adu_per_electron=2.2,
    offset_adu=100.0,
    bits=16,
    levels=None,
)


def _write(folder, scene=SCENE, noise=TUBE, progress=lambda _: None):
    paths = {"noisy": folder / "a.tif", "target": folder / "t" / "a.tif", "truth": folder / "a.npz"}
    write_movie(scene, noise, **paths, progress=progress)
    return paths


def _exposures(noise, photons, count, seed=1):
    expose = noise.detector(photons.shape, np.random.default_rng(seed))
    rng = np.random.default_rng(seed + 1)
    return np.stack([expose(photons, rng) for _ in range(count)]).astype(np.float64)


def test_frames_do_not_depend_on_how_many_are_made_at_once_nor_in_which_order():
    movie = SimulatedMovie(SCENE, TUBE)
    late = movie.noisy(7, 20)
    early = movie.noisy(0, 7)
    whole = SimulatedMovie(SCENE, TUBE).noisy(0, 20)
    np.testing.assert_array_equal(np.concatenate([early, late]), whole)
    np.testing.assert_array_equal(movie.clean(3, 5), SimulatedMovie(SCENE, TUBE).clean(0, 20)[3:5])


@pytest.mark.parametrize("noise", [TUBE, CAMERA], ids=["two_photon", "scmos"])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path, noise):
    first, second = _write(tmp_path / "1", noise=noise), _write(tmp_path / "2", noise=noise)
    other = _write(tmp_path / "3", scene=replace(SCENE, seed=8), noise=noise)
    for role, path in first.items():
        assert path.read_bytes() == second[role].read_bytes()
        assert path.read_bytes() != other[role].read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["demo", "demo_fewlevels"])
def test_the_bytes_of_the_demo_are_those_locked_in_the_manifest(tmp_path, name):
    dataset = MANIFEST.named(name)
    paths = _write(tmp_path, scene=dataset.simulation.scenes["val"], noise=dataset.simulation.noise)
    locked = {file.role: file.checksum for file in dataset.files if file.split == "val"}
    assert {role: f"sha256:{sha256(path)}" for role, path in paths.items()} == locked


@pytest.mark.parametrize("noise", [TUBE, CAMERA], ids=["two_photon", "scmos"])
def test_the_mean_of_many_noisy_frames_is_the_clean_frame(noise):
    # Of 12 x 16 pixels averaged over 4000 frames, none is expected further than 5 standard errors away (chance 1e-4).
    photons = np.random.default_rng(0).uniform(0.2, 8.0, (12, 16))
    frames = _exposures(noise, photons, 4000)
    errors = np.abs(frames.mean(axis=0) - noise.expected(photons)) / (frames.std(axis=0, ddof=1) / np.sqrt(4000))
    assert errors.max() < 5


def test_variance_over_mean_of_two_photon_noise_is_gain_times_excess_noise():
    # Poisson photons, each with a charge of mean g and variance (g cv)^2: variance = g (1 + cv^2) mean.
    noise = replace(TUBE, bleed_probability=0.0, dark_photons=0.0)
    levels = np.repeat(np.array([0.5, 1.0, 2.0, 4.0, 8.0]), 20000).reshape(5, -1)
    frame = _exposures(noise, levels, 1)[0]
    slope, intercept = np.polyfit(frame.mean(axis=1) - noise.offset_adu, frame.var(axis=1), 1)
    assert slope == pytest.approx(100 * (1 + 0.48**2), rel=0.03)
    assert abs(intercept) < 0.03 * frame.var(axis=1).max()


def test_bleeding_correlates_the_noise_of_neighbours_along_x_only():
    # Late photons (p) leave a part w in the next pixel: correlation p w (1-w) / (1 - p + p ((1-w)^2 + w^2)) = 0.0841;
    # read noise is negligible here. 3 standard errors of 200 x 200 x 5 pairs: 0.007.
    frames = _exposures(TUBE, np.full((200, 200), 2.0), 5)
    noise = frames - TUBE.expected(np.full((200, 200), 2.0))
    along_x = np.corrcoef(noise[:, :, 1:].ravel(), noise[:, :, :-1].ravel())[0, 1]
    along_y = np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]
    assert along_x == pytest.approx(0.072 / 0.856, abs=0.007)
    assert abs(along_y) < 0.007


def test_gain_of_scmos_noise_is_recovered_by_photon_transfer():
    # variance = g (mean - offset) + constant for Poisson electrons; read and row noise are in the constant.
    levels = np.repeat(np.array([5.0, 20.0, 60.0, 150.0]), 40000).reshape(4, 200, 200)
    means, variances = [], []
    for photons in levels:
        frame = _exposures(CAMERA, photons, 1)[0]
        means.append(frame.mean())
        variances.append(frame.var())
    slope, _ = np.polyfit(means, variances, 1)
    assert slope == pytest.approx(2.2, rel=0.03)


def test_read_noise_of_scmos_differs_between_pixels_with_a_heavy_tail():
    # In the dark the standard deviation of a pixel is gain x read noise (+ rounding): log-normal with the given median.
    noise = replace(CAMERA, dark_electrons=0.0, row_noise_electrons=0.0, gain_adu_per_electron=20.0)
    spread = _exposures(noise, np.zeros((40, 40)), 1500).std(axis=0, ddof=1) / 20.0
    assert np.median(spread) == pytest.approx(1.4, rel=0.03)
    assert np.log(spread).std() == pytest.approx(0.3, rel=0.08)


def test_row_noise_of_scmos_is_shared_by_a_row_and_new_in_every_frame():
    noise = replace(CAMERA, dark_electrons=0.0, read_noise_electrons=0.0, gain_adu_per_electron=100.0)
    frames = _exposures(noise, np.zeros((200, 8)), 50)
    np.testing.assert_array_equal(frames, frames[:, :, :1].repeat(8, axis=2))
    assert frames.std() / 100 == pytest.approx(0.4, rel=0.03)


def test_scmos_clips_at_its_bit_depth_and_never_wraps():
    noise = replace(CAMERA, bits=8)
    frame = _exposures(noise, np.full((20, 20), 10000.0), 1)[0]
    assert noise.dtype == np.uint8
    assert frame.min() == frame.max() == 255


def test_few_levels_means_four_to_six_grey_levels():
    # The published study counts 3 to 5 grey levels in most of its movies.
    simulation = MANIFEST.named("demo_fewlevels").simulation
    movie = SimulatedMovie(simulation.scenes["val"], simulation.noise)
    noisy = movie.noisy(0, 20)
    assert noisy.dtype == np.uint8
    assert 4 <= len(np.unique(noisy)) <= 6
    # Rounding to so few levels, and the rare clipped pixel, bias the mean by less than 0.02 grey levels.
    assert abs((noisy - movie.clean(0, 20)).mean()) < 0.02


def test_spikes_are_the_innovations_of_the_traces():
    # AR(2): c[t] - (d + r) c[t-1] + d r c[t-2] is the spike count, up to scale and resting light.
    light = Light(replace(SCENE, frames=200))
    decay, rise = np.exp(-1 / (0.25 * 15)), np.exp(-1 / (0.03 * 15))
    traces = light.traces
    innovations = traces[:, 2:] - (decay + rise) * traces[:, 1:-1] + decay * rise * traces[:, :-2]
    active = 0
    for spikes, innovation in zip(light.spikes[:, 2:], innovations, strict=True):
        if spikes.any():
            slope, offset = np.polyfit(spikes, innovation, 1)
            np.testing.assert_allclose(innovation, offset + slope * spikes, atol=4 * PHOTON_GRID)
            active += 1
    assert active > 5


def test_light_fades_by_one_over_e_after_the_bleaching_time():
    still = replace(SCENE, frames=451, neuropil_photons=0.0, spike_rate_hz=0.0, resting_photons=50.0)
    light = Light(still)
    assert light.photons(450).sum() / light.photons(0).sum() == pytest.approx(np.exp(-1), rel=1e-3)


def test_labels_mark_where_the_cells_shine():
    still = replace(SCENE, neuropil_photons=0.0, spike_rate_hz=0.0, process_um=0.0, dark_nuclei=0.0)
    light = Light(still)
    labels, photons = light.labels(), light.photons(0)
    assert labels.max() <= still.cells + still.puncta
    assert photons[labels > 0].min() > 0
    assert photons[labels > 0].mean() > 5 * photons[labels == 0].mean()


def test_files_carry_axes_frame_rate_pixel_size_and_truth(tmp_path):
    paths = _write(tmp_path)
    with open_stack(paths["noisy"]) as noisy, open_stack(paths["target"]) as target:
        assert (noisy.shape, noisy.axes, noisy.dtype) == ((20, 40, 48), "TYX", np.uint16)
        assert (target.shape, target.axes, target.dtype) == ((20, 40, 48), "TYX", np.float32)
        assert noisy.tiff.imagej_metadata["finterval"] == pytest.approx(1 / 15)
        assert noisy.tiff.pages[0].tags["XResolution"].value == (2, 1)  # pixels per um
        np.testing.assert_array_equal(noisy.frames(0, 20), SimulatedMovie(SCENE, TUBE).noisy(0, 20))
    with np.load(paths["truth"]) as truth:
        assert truth["labels"].shape == (40, 48)
        assert truth["traces"].shape == truth["spikes"].shape == (11, 20)
        assert truth["frame_rate_hz"] == 15.0


def test_a_movie_too_large_for_imagej_is_ome_bigtiff_of_the_same_bytes_every_time(tmp_path, monkeypatch):
    monkeypatch.setattr(simulate, "_IMAGEJ_LIMIT_BYTES", 1000)
    first, second = _write(tmp_path / "1"), _write(tmp_path / "2")
    assert first["noisy"].read_bytes() == second["noisy"].read_bytes()
    with tifffile.TiffFile(first["noisy"]) as tiff:
        assert tiff.is_ome
        assert tiff.is_bigtiff
        assert tiff.series[0].axes == "TYX"
        assert 'PhysicalSizeX="0.5"' in tiff.ome_metadata


def test_an_interrupted_simulation_leaves_no_file(tmp_path):
    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _write(tmp_path, progress=stop)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_frames(tmp_path):
    def peak_bytes(frames):
        tracemalloc.start()
        try:
            _write(tmp_path / str(frames), scene=replace(SCENE, frames=frames, height=96, width=96, cells=1, puncta=1))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak_bytes(2)  # imports and caches
    # 120 frames more would be 4.4 MB as float32.
    assert peak_bytes(140) - peak_bytes(20) < 0.5e6
