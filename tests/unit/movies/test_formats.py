"""Movies of other formats, each written by the format's own library: every pixel, rate and size; no code is run."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import tifffile
from recordings import FRAMES

from orchestrator.errors import BadInput


def _suite2p(folder, ops):
    folder.mkdir(exist_ok=True)
    FRAMES.astype("<i2").tofile(folder / "data.bin")
    np.save(folder / "ops.npy", ops)
    return folder


def test_a_binary_movie_of_suite2p_has_as_many_frames_as_its_file(tmp_path, through_identity):
    folder = _suite2p(tmp_path / "plane0", {"Ly": 40, "Lx": 48, "nframes": 9, "fs": 30.0, "save_path": Path("/x")})
    for named in (folder, folder / "data.bin"):
        recording, pixels, _ = through_identity(named)
        assert np.array_equal(pixels, FRAMES)
        assert recording.frame_rate_hz.value == pytest.approx(30)
        assert "counts 9 frames, the file holds 12" in recording.notes[0]


class _Harm:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def test_the_pickle_of_suite2p_runs_no_code(tmp_path, through_identity):
    folder = _suite2p(tmp_path / "plane0", {"Ly": 40, "Lx": 48, "harm": _Harm(tmp_path / "harm")})
    _, pixels, _ = through_identity(folder)
    assert np.array_equal(pixels, FRAMES)
    assert not (tmp_path / "harm").exists()


def test_a_binary_movie_without_its_settings_or_with_half_a_frame_is_refused(tmp_path, describe):
    folder = _suite2p(tmp_path / "plane0", {"Ly": 41, "Lx": 48})
    with pytest.raises(BadInput, match="expected whole frames of 41 x 48"):
        describe(folder)
    (folder / "ops.npy").unlink()
    with pytest.raises(BadInput, match=r"expected Ly and Lx in ops.npy"):
        describe(folder)


def test_the_only_movie_of_an_hdf5_file_is_found_and_one_of_several_is_chosen(tmp_path, describe, through_identity):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.create_dataset("a/mov", data=FRAMES, chunks=(5, 40, 48), compression="gzip").attrs["fr"] = 15.0
        file["trace"] = np.arange(12)
    recording, pixels, target = through_identity(tmp_path / "m.h5")
    assert np.array_equal(pixels, FRAMES)
    assert recording.frame_rate_hz.value == pytest.approx(15)
    assert target.name == "m.ome.tif"
    with h5py.File(tmp_path / "m.h5", "a") as file:
        file["b"] = FRAMES[::-1]
    with pytest.raises(BadInput, match="expected one movie in the file, got a/mov, b") as caught:
        describe(tmp_path / "m.h5")
    assert caught.value.hint == "Choose with --inside a/mov."
    _, pixels, _ = through_identity(tmp_path / "m.h5", inside="/b")
    assert np.array_equal(pixels, FRAMES[::-1])


def test_pixels_of_an_hdf5_file_that_lie_in_other_files_are_part_of_the_recording(tmp_path, describe, through_identity):
    h5py = pytest.importorskip("h5py")
    for index, part in enumerate((FRAMES[:6], FRAMES[6:])):
        with h5py.File(tmp_path / f"part_{index}.h5", "w") as file:
            file["mov"] = part
    layout = h5py.VirtualLayout(FRAMES.shape, FRAMES.dtype)
    for index in range(2):
        layout[6 * index : 6 * index + 6] = h5py.VirtualSource(f"part_{index}.h5", "mov", (6, *FRAMES.shape[1:]))
    with h5py.File(tmp_path / "whole.h5", "w") as file:
        file.create_virtual_dataset("mov", layout)
        file["away"] = h5py.ExternalLink("part_0.h5", "/mov")
        file["name"] = h5py.SoftLink("/mov")
    recording, pixels, _ = through_identity(tmp_path / "whole.h5", inside="name")
    assert np.array_equal(pixels, FRAMES)
    assert [path.name for path in recording.files] == ["part_0.h5", "part_1.h5", "whole.h5"]
    with pytest.raises(BadInput, match=r"got a link to part_0\.h5"):
        describe(tmp_path / "whole.h5", inside="away")
    (tmp_path / "part_1.h5").unlink()
    with pytest.raises(BadInput, match=r"got no part_1\.h5"):
        describe(tmp_path / "whole.h5")


def test_frames_that_were_never_written_are_counted(tmp_path, describe):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.create_dataset("mov", (12, 40, 48), "u2", chunks=(1, 40, 48))[:8] = FRAMES[:8]
    assert "12 blocks of pixels, 8 were written" in describe(tmp_path / "m.h5").notes[0]
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.create_dataset("mov", (0, 40, 48), "u2", chunks=(1, 40, 48), maxshape=(None, 40, 48))
    with pytest.raises(BadInput, match="expected a movie, got no frame"):
        describe(tmp_path / "m.h5")


def test_an_array_that_matlab_wrote_is_turned_to_rows_and_columns(tmp_path, through_identity):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "m.mat", "w") as file:
        file["mov"] = FRAMES.transpose(0, 2, 1)
        file["mov"].attrs["MATLAB_class"] = np.bytes_("uint16")
    _, pixels, _ = through_identity(tmp_path / "m.mat")
    assert np.array_equal(pixels, FRAMES)


def _nwb(path, *, rate=None, timestamps=None, one_photon=False, **more):
    pynwb = pytest.importorskip("pynwb")
    from pynwb.ophys import OnePhotonSeries, OpticalChannel, TwoPhotonSeries  # noqa: PLC0415

    file = pynwb.NWBFile("s", "i", datetime(2024, 1, 1, tzinfo=UTC))
    device = file.create_device("microscope")
    channel = OpticalChannel(name="c", description="d", emission_lambda=500.0)
    plane = file.create_imaging_plane(
        name="p",
        optical_channel=channel,
        description="d",
        device=device,
        excitation_lambda=900.0,
        indicator="GCaMP",
        location="V1",
        grid_spacing=[1.25e-6, 1.5e-6],
        grid_spacing_unit="meters",
    )
    kind = OnePhotonSeries if one_photon else TwoPhotonSeries
    options = {"rate": rate} if timestamps is None else {"timestamps": timestamps}
    more = more or {"data": FRAMES.transpose(0, 2, 1), "unit": "n.a."}
    file.add_acquisition(kind(name="movie", imaging_plane=plane, **options, **more))
    with pynwb.NWBHDF5IO(str(path), "w") as out:
        out.write(file)
    return path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("one_photon", [False, True])
@pytest.mark.parametrize("times", [{"rate": 20.0}, {"timestamps": np.arange(12) / 20.0}], ids=["rate", "timestamps"])
def test_the_series_of_an_nwb_file_is_turned_to_rows_and_columns(tmp_path, through_identity, one_photon, times):
    recording, pixels, _ = through_identity(_nwb(tmp_path / "m.nwb", one_photon=one_photon, **times))
    assert np.array_equal(pixels, FRAMES)
    assert recording.frame_rate_hz.value == pytest.approx(20)
    assert recording.pixel_um.value == pytest.approx((1.5, 1.25))


@pytest.mark.filterwarnings("ignore")
def test_an_nwb_series_without_a_rate_has_none_and_uneven_times_are_said(tmp_path, through_identity):
    times = np.arange(12) / 20.0
    times[7:] += 3.0
    recording, _, _ = through_identity(_nwb(tmp_path / "m.nwb", timestamps=times))
    assert recording.frame_rate_hz.value == pytest.approx(20)
    assert "1 of its frames come early or late, the first is frame 7" in recording.notes[0]
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "m.nwb", "a") as file:
        del file["acquisition/movie/timestamps"]
    recording, pixels, _ = through_identity(tmp_path / "m.nwb")
    assert np.array_equal(pixels, FRAMES)
    assert recording.frame_rate_hz is None


@pytest.mark.filterwarnings("ignore")
def test_an_nwb_series_in_other_files_says_so(tmp_path, describe):
    away = {"external_file": ["m.avi"], "format": "external", "starting_frame": [0], "unit": "n.a."}
    path = _nwb(tmp_path / "m.nwb", timestamps=np.arange(12) / 20.0, **away)
    with pytest.raises(BadInput, match=r"got a reference to m.avi"):
        describe(path)


def _zarr(path, version, movie=FRAMES, axes="tyx"):
    zarr = pytest.importorskip("zarr")
    old = version == "0.4"
    group = zarr.open_group(str(path), mode="w", zarr_format=2 if old else 3)
    how = {"chunk_key_encoding": {"name": "v2", "separator": "/"}} if old else {"dimension_names": list(axes)}
    chunks = (*([1] * (movie.ndim - 3)), 5, 40, 48)[-movie.ndim :]
    group.create_array("0", data=movie, chunks=chunks, **how)
    kinds = {"t": ("time", "millisecond"), "y": ("space", "micrometer"), "x": ("space", "micrometer")}
    named = [{"name": one, "type": kinds.get(one, ("channel", None))[0]} for one in axes]
    for one in named:
        if one["name"] in kinds:
            one["unit"] = kinds[one["name"]][1]
    scale = [{"t": 50.0, "y": 1.5, "x": 1.25}.get(one, 1.0) for one in axes]
    levels = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}]
    scales = [{"axes": named, "datasets": levels} | ({"version": "0.4"} if old else {})]
    group.attrs.update({"multiscales": scales} if old else {"ome": {"version": "0.5", "multiscales": scales}})
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_ome_zarr_image_gives_frames_rate_and_pixel_size(tmp_path, through_identity, version):
    recording, pixels, target = through_identity(_zarr(tmp_path / "m.ome.zarr", version))
    assert np.array_equal(pixels, FRAMES)
    assert recording.format == f"OME-Zarr {version}"
    assert recording.frame_rate_hz.value == pytest.approx(20)
    assert recording.pixel_um.value == pytest.approx((1.5, 1.25))
    assert target.name == "m.ome.tif"


def test_channels_of_an_ome_zarr_image_are_asked_for(tmp_path, describe, through_identity):
    path = _zarr(tmp_path / "m.ome.zarr", "0.5", FRAMES.reshape(6, 2, 40, 48), "tcyx")
    with pytest.raises(BadInput, match="2 channels"):
        describe(path)
    _, pixels, _ = through_identity(path, channel=2)
    assert np.array_equal(pixels, FRAMES[1::2])


def test_a_changed_chunk_makes_another_stack(tmp_path, describe):
    before = describe(_zarr(tmp_path / "m.ome.zarr", "0.5"))
    changed = FRAMES.copy()
    changed[7, 3, 3] += 1
    assert describe(_zarr(tmp_path / "m.ome.zarr", "0.5", changed)).stack != before.stack


def test_the_full_resolution_of_several_is_taken_and_missing_chunks_are_counted(tmp_path, describe, through_identity):
    zarr = pytest.importorskip("zarr")
    path = _zarr(tmp_path / "m.ome.zarr", "0.5")
    group = zarr.open_group(str(path))
    group.create_array("1", data=FRAMES[:, ::2, ::2])
    attrs = dict(group.attrs["ome"])
    scale = [{"type": "scale", "scale": [50.0, 3.0, 2.5]}]
    attrs["multiscales"][0]["datasets"].append({"path": "1", "coordinateTransformations": scale})
    group.attrs["ome"] = attrs
    _, pixels, _ = through_identity(path)
    assert np.array_equal(pixels, FRAMES)
    shutil.rmtree(path / "0" / "c" / "1")
    assert "of 3 blocks of pixels, 2 are there; the others read 0" in describe(path).notes[0]


@pytest.mark.parametrize("damage", [{"axes": None}, {"datasets": []}, {"datasets": [{"path": "9"}]}, {"scale": [1.0]}])
def test_metadata_of_an_ome_zarr_image_that_do_not_fit_are_no_traceback(tmp_path, describe, damage):
    zarr = pytest.importorskip("zarr")
    path = _zarr(tmp_path / "m.ome.zarr", "0.5")
    group = zarr.open_group(str(path))
    attrs = dict(group.attrs["ome"])
    image = attrs["multiscales"][0]
    if "scale" in damage:
        image["datasets"][0]["coordinateTransformations"][0] |= damage
    else:
        image |= damage
    group.attrs["ome"] = attrs
    with pytest.raises(BadInput, match="expected an OME-Zarr image"):
        describe(path)


def _video(path, codec, layout, movie):
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=Fraction(20))
        stream.width, stream.height, stream.pix_fmt = 48, 40, layout
        for frame in movie:
            grey = av.VideoFrame.from_ndarray(frame, format="gray16le" if frame.dtype == np.uint16 else "gray")
            out.mux(stream.encode(grey))
        out.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("name", "codec", "layout"),
    [
        ("m.mkv", "ffv1", "gray"),
        ("m.avi", "ffv1", "gray"),
        ("m.mkv", "ffv1", "gray16le"),
        ("m.avi", "rawvideo", "gray"),
    ],
)
def test_a_grey_video_without_loss_gives_every_frame(tmp_path, through_identity, name, codec, layout):
    movie = FRAMES if layout == "gray16le" else (FRAMES % 256).astype(np.uint8)
    recording, pixels, _ = through_identity(_video(tmp_path / name, codec, layout, movie))
    assert np.array_equal(pixels, movie)
    assert recording.frame_rate_hz.value == pytest.approx(20)
    assert not recording.notes


def test_a_codec_that_loses_information_is_named_with_what_it_does_to_the_noise(tmp_path, through_identity):
    path = _video(tmp_path / "m.mp4", "h264", "yuv420p", (FRAMES % 256).astype(np.uint8))
    recording, pixels, _ = through_identity(path)
    assert len(pixels) == 12
    assert "its codec h264 loses information" in recording.notes[0]


def _colours(path, codec, layout, movie):
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=Fraction(20))
        stream.width, stream.height, stream.pix_fmt = 48, 40, layout
        for frame in movie:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode())
    return path


GREY = (FRAMES % 256).astype(np.uint8)
COLOURS = np.stack([GREY, GREY // 2, GREY // 3], axis=-1)


@pytest.mark.parametrize("how", [("m.avi", "rawvideo", "bgr24"), ("m.mkv", "ffv1", "bgr0")], ids="-".join)
def test_colours_of_a_video_are_channels_and_one_is_asked_for(tmp_path, describe, through_identity, how):
    path = _colours(tmp_path / how[0], *how[1:], COLOURS)
    with pytest.raises(BadInput, match="3 channels") as caught:
        describe(path)
    assert caught.value.hint == "Choose with --channel 1 (red), 2 (green) or 3 (blue)."
    _, pixels, _ = through_identity(path, channel=2)
    assert np.array_equal(pixels, COLOURS[..., 1])


def test_a_grey_video_that_is_stored_in_colours_is_grey(tmp_path, through_identity):
    path = _colours(tmp_path / "m.avi", "rawvideo", "bgr24", np.stack([GREY] * 3, axis=-1))
    _, pixels, _ = through_identity(path)
    assert np.array_equal(pixels, GREY)


def test_a_video_whose_brightness_is_mixed_of_colours_is_refused(tmp_path, describe):
    path = _colours(tmp_path / "m.mp4", "h264", "yuv420p", np.stack([GREY, 255 - GREY, GREY * 0], axis=-1))
    with pytest.raises(BadInput, match="expected a grey video, got one in colour"):
        describe(path)


@pytest.mark.parametrize(("name", "codec"), [("m.mkv", "ffv1"), ("m.avi", "rawvideo")])
def test_a_video_that_ends_before_its_header_says_is_refused_with_both_numbers(tmp_path, describe, name, codec):
    path = _video(tmp_path / name, codec, "gray", GREY)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BadInput, match=r"expected 12 frames, as its header counts, got [1-9]\b"):
        describe(path)


@pytest.mark.parametrize("name", ["m.h5", "m.nwb", "m.avi", "m.mp4", "m.bin"])
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path, describe, name):
    for module in ("h5py", "av"):
        pytest.importorskip(module)
    tifffile.imwrite(tmp_path / name, FRAMES)
    with pytest.raises(BadInput):
        describe(tmp_path / name)


def test_a_package_that_is_not_installed_is_named_with_one_line_that_installs_it(tmp_path, describe, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    (tmp_path / "m.h5").write_bytes(b"\x89HDF")
    with pytest.raises(BadInput, match="expected the package h5py") as caught:
        describe(tmp_path / "m.h5")
    assert "pip install 'calm[hdf5]'" in caught.value.hint
