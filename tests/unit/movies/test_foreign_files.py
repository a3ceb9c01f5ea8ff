"""Files of other programs, damaged at random: each is read, or refused in one sentence, whatever its library raises."""

from __future__ import annotations

import json
import random
import shutil
import struct
import warnings
import zlib

import numpy as np
import pytest
import roifile
import tifffile
from recordings import FRAMES, ome_set, scanimage

from orchestrator.data.checksums import Checksums
from orchestrator.data.inspect import Inspector
from orchestrator.errors import BadInput
from orchestrator.foreign import reading
from orchestrator.records.record import Choice
from orchestrator.records.regions import read_regions
from orchestrator.records.truth import read_truth

LABELS = np.zeros((40, 48), np.uint16)
LABELS[3:8, 3:8], LABELS[20:30, 10:20] = 1, 2
CORNERS = np.array([[3, 3], [10, 3], [10, 12], [3, 12]], np.float32)
DAMAGES_EACH = 12


def _tiff(**options):
    return lambda path: tifffile.imwrite(path, FRAMES, **options)


def _suite2p(path):
    FRAMES.astype("<i2").tofile(path)
    np.save(path.with_name("ops.npy"), {"Ly": 40, "Lx": 48, "nframes": 12, "fs": 30.0})


def _hdf5(path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file["mov"] = FRAMES


def _zarr(path):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    group.create_array("0", data=FRAMES, chunks=(4, 40, 48))
    axes = [{"name": name, "type": "time" if name == "t" else "space"} for name in "tyx"]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [{"path": "0"}]}]


def _video(path):
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.width, stream.height, stream.pix_fmt = 48, 40, "gray"
        for frame in (FRAMES >> 4).astype(np.uint8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        container.mux(stream.encode())


def _stat(path):
    cells = [{"ypix": np.array([1, 2, 3]), "xpix": np.array([4, 5, 6])}, {"ypix": np.array([9]), "xpix": np.array([4])}]
    np.save(path, np.array(cells, dtype=object))
    np.save(path.with_name("iscell.npy"), np.array([[1, 0.9], [1, 0.2]]))


def _rois(path):
    named = [roifile.ImagejRoi.frompoints(CORNERS, name=name) for name in ("one", "two")]
    roifile.roiwrite(str(path), named)


MOVIES = {
    "plain.tif": _tiff(),
    "deflate.tif": _tiff(compression="zlib"),
    "floats.tif": lambda path: tifffile.imwrite(path, FRAMES.astype(np.float64)),
    "imagej.tif": _tiff(imagej=True, metadata={"axes": "TYX", "finterval": 0.1}),
    "one.ome.tif": _tiff(ome=True, metadata={"axes": "TYX"}),
    "set_0.ome.tif": lambda path: ome_set(path.parent, FRAMES),
    "scanimage.tif": lambda path: scanimage(path, FRAMES, {"hRoiManager.scanFrameRate": 30.0}),
    "data.bin": _suite2p,
    "movie.h5": _hdf5,
    "movie.zarr": _zarr,
    "movie.avi": _video,
}
REGIONS = {
    "labels.tif": lambda path: tifffile.imwrite(path, LABELS),
    "regions.json": lambda path: path.write_text(json.dumps([{"id": 1, "coordinates": [[3, 4], [3, 5]]}])),
    "stat.npy": _stat,
    "one.roi": lambda path: roifile.ImagejRoi.frompoints(CORNERS).tofile(str(path)),
    "rois.zip": _rois,
}
SPIKES = np.eye(2, 12, dtype=np.uint8)
TRUTHS = {
    "truth.npz": lambda path: np.savez(path, labels=LABELS, spikes=SPIKES),
    "packed.npz": lambda path: np.savez_compressed(path, labels=LABELS, spikes=SPIKES),
    "labels.tif": lambda path: tifffile.imwrite(path, LABELS),
}


def _describe(path):
    memory = Checksums(path.parent.with_name("checksums.json"))
    Inspector(stacks=path.parent.with_name("stacks"), checksums=memory).describe(path, Choice())


FORMATS = {
    **{name: (make, _describe) for name, make in MOVIES.items()},
    **{f"regions {name}": (make, lambda path: read_regions(path, FRAMES.shape)) for name, make in REGIONS.items()},
    **{f"truth {name}": (make, lambda path: read_truth(path, FRAMES.shape)) for name, make in TRUTHS.items()},
}
TEXTS = (b"[]", b"{}", b"null", b"5", b'[{"coordinates": 5}]', b"[[1]]", b"[" * 100_000)


def _damage(path, chance):
    """Damage a file in one of many ways; headers, where lengths and offsets stand, more often than pixels."""
    data = bytearray(path.read_bytes())
    size, how = len(data), chance.randrange(7)
    at = chance.randrange(min(size, 600) if how > 1 else size) if size else 0
    if how == 0:
        del data[at:]
    elif how in (1, 2):
        data[at : at + 1] = bytes([chance.randrange(256)])
    elif how in (3, 4):
        count = chance.choice([2, 4, 8])
        data[at : at + count] = chance.choice([b"\0", b"\xff", b"\x7f", b"\x80", b"\1"]) * count
    elif how == 5:
        data[at:at] = data[at : at + 50]
    else:
        data = bytearray(chance.choice(TEXTS))
    path.write_bytes(data)


def _refusal(read):
    try:
        read()
    except BadInput as refused:
        return refused
    return None


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_a_file_damaged_at_random_is_read_or_refused_in_one_sentence(tmp_path, name):
    make, read = FORMATS[name]
    whole, place = tmp_path / "whole", tmp_path / "damaged"
    whole.mkdir()
    file = name.rpartition(" ")[2]
    make(whole / file)
    read(whole / file)
    for seed in range(DAMAGES_EACH):
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(whole, place)
        chance = random.Random(f"{name} {seed}")  # noqa: S311 - the same damages every time
        _damage(chance.choice(sorted(path for path in place.rglob("*") if path.is_file())), chance)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of libraries, about damage that does no harm
            refused = _refusal(lambda: read(place / file))
        if refused is not None:
            assert str(place) in refused.message, seed
            assert "\n" not in refused.message, seed
            assert refused.hint, seed


@pytest.mark.parametrize(
    "error",
    [struct.error("unpack requires\n 4 bytes"), zlib.error("Error -3"), MemoryError(), ZeroDivisionError("x / 0")],
    ids=lambda one: type(one).__name__,
)
def test_whatever_a_library_raises_is_one_sentence_with_the_file_and_its_class(tmp_path, error):
    with pytest.raises(BadInput) as caught, reading(tmp_path / "file", "a movie", "Copy it again."):
        raise error
    assert caught.value.message.startswith(f"{tmp_path}/file: expected a movie, got a file that cannot be read (")
    assert "\n" not in caught.value.message
    assert type(error).__name__ in caught.value.message
