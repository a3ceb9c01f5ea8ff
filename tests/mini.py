"""Tiny simulated datasets laid out as those of the study: same names, splits, pairs and dtypes, other sizes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import tifffile
import yaml
from msgspec.structs import replace

from orchestrator.data.simulator.noise import Scmos, TwoPhoton
from orchestrator.data.simulator.scene import DETECTOR, EXPOSURE, Light, Scene

MANIFEST = Path(__file__).parents[1] / "data" / "manifest.yaml"
SCENE = Scene(
    seed=0,
    frames=12,
    height=50,  # not a multiple of 4, like the 490 of MOUSENEU_LP
    width=50,
    frame_rate_hz=30.0,
    um_per_pixel=0.977,
    cells=6,
    puncta=12,
    soma_radius_um=5.0,
    dark_nuclei=0.5,
    process_um=15.0,
    neuropil_photons=1.0,
    resting_photons=2.0,
    spike_photons=6.0,
    spike_rate_hz=2.0,
    rise_s=0.03,
    decay_s=0.2,
    bleach_s=60.0,
    vignette=0.3,
)
TWO_PHOTON = TwoPhoton(
    gain_adu_per_photon=100.0,
    gain_cv=0.48,
    dark_photons=0.05,
    read_noise_adu=2.7,
    bleed_probability=0.0,
    bleed_fraction=0.0,
    offset_adu=100.0,
)
SCMOS = Scmos(
    quantum_efficiency=0.8,
    dark_electrons=0.1,
    read_noise_electrons=1.4,
    read_noise_spread=0.3,
    row_noise_electrons=0.3,
    gain_adu_per_electron=2.2,
    offset_adu=100.0,
    bits=16,
    levels=None,
)
_SECOND_PATH = 1000  # frame numbers from here on draw the noise of the second, brighter exposure
_BRIGHTER = 10.0  # photons of the high-SNR path over those of the low one, both in MOUSENEU_LP and in NIDDL


def write_mouseneu_lp(root: Path, *, frames: int = 12, size: int = 50) -> Path:
    """Write MOUSENEU_LP: one uint16 movie in train and val, its tenfold brighter twin in train_gt and val_gt.

    Returns
    -------
    Path
        ``<root>/MOUSENEU_LP``.
    """
    folder = root / "MOUSENEU_LP"
    for seed, (split, number, depth) in enumerate((("train", "01", "40"), ("val", "02", "70"))):
        scene = replace(SCENE, seed=seed, frames=frames, height=size, width=size)
        name = f"{number}_MouseNeurite_GCaMP6f_66mWpower_{depth}umdepth_30Hz_{{}}_MCRound1.tif"
        low, high = _pair(scene, TWO_PHOTON)
        _write(folder / split / name.format("lowSNR"), low)
        _write(folder / f"{split}_gt" / name.format("highSNR"), high)
    return folder


def write_niddl(root: Path, *, each: int = 2, size: int = 48) -> Path:
    """Write NIDDL: `each` single uint16 frames of every name family; the family ``20ms_20__`` holds copies.

    Returns
    -------
    Path
        ``<root>/NIDDL``.
    """
    folder = root / "NIDDL"
    families = (("20ms_20%_{:03d}.tif", 4), ("Img{}.tif", 1), ("Img_{:03d}.tif", 1))
    for index, (name, first) in enumerate(families):
        for number in range(first, first + each):
            scene = replace(SCENE, seed=100 * index + number, frames=1, height=size, width=size)
            low, high = _pair(scene, SCMOS)
            _write(folder / "Low_SNR" / name.format(number), low[0])
            _write(folder / "High_SNR" / name.format(number).replace("20ms", "200ms"), high[0])
    for path in sorted(folder.glob("*/*_20%_*.tif")):
        shutil.copyfile(path, path.with_name(path.name.replace("%", "_")))
    return folder


def write_refined(root: Path, *, frames: int = 9, size: int = 48) -> Path:
    """Write REFINED: four uint16 movies without their background, and the average image beside their folder.

    Returns
    -------
    Path
        ``<root>/refined``.
    """
    folder = root / "refined"
    for split, number in (("train", 5), ("train", 6), ("val", 8), ("test", 9)):
        scene = replace(SCENE, seed=number, frames=frames, height=size, width=size, frame_rate_hz=50.0)
        low, _ = _pair(scene, SCMOS)
        _write(folder / split / f"20ms_20%_Yoda1_{number:03d}.tif", low)
    y, x = np.mgrid[:size, :size]
    _write(root / "average_image.tif", (720 + y + x).astype(np.uint16))
    return folder


def write_manifest(folder: Path, *, frames: int = 12, size: int = 50, each: int = 2) -> Path:
    """Write the manifest with the shapes and counts of the tiny datasets (of `write_mouseneu_lp` and `write_niddl`).

    Returns
    -------
    Path
        ``<folder>/manifest.yaml``, its schema beside it.
    """
    document = yaml.safe_load(MANIFEST.read_text())
    for file in document["datasets"]["mouseneu_lp"]["files"]:
        file["shape"] = [frames, size, size]
    for file in document["datasets"]["huvec_img"]["files"]:
        file["count"] = each
    for file in document["datasets"]["refined"]["files"]:
        del file["shape"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.yaml").write_text(yaml.safe_dump(document))
    return folder / "manifest.yaml"


def _pair(scene: Scene, noise: TwoPhoton | Scmos) -> tuple[np.ndarray, np.ndarray]:
    light = Light(scene)
    expose = noise.detector((scene.height, scene.width), scene.rng(DETECTOR))
    exposures = [
        [expose(brightness * light.photons(frame), scene.rng(EXPOSURE, path + frame)) for frame in range(scene.frames)]
        for brightness, path in ((1.0, 0), (_BRIGHTER, _SECOND_PATH))
    ]
    return np.stack(exposures[0]), np.stack(exposures[1])


def _write(path: Path, stack: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, stack, photometric="minisblack", metadata={"axes": "TYX"[-stack.ndim :]})
