"""TIFF files of many programs: every frame, no axis taken for time that is none, and what the file says is kept."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from recordings import FRAMES, block, ome_xml, pages, scanimage

from orchestrator.errors import BadInput

VOLUME = {"hChannels.channelSave": 1, "hStackManager.framesPerSlice": 1, "hRoiManager.scanFrameRate": 30.0}


def _classic_scanimage(path, movie, frames):
    text = "\r".join((f"state.acq.numberOfFrames={frames}", "state.acq.frameRate=30", "state.acq.numberOfZSlices=1"))
    return pages(path, movie, text)


COUNTS_FEWER = {  # all say 8 frames of 12
    "ImageJ pages": lambda path: pages(path, FRAMES, "ImageJ=1.53t\nimages=8\nframes=8"),
    "ImageJ block": lambda path: block(path, FRAMES, "ImageJ=1.53t\nimages=8\nframes=8"),
    "ImageJ slices": lambda path: block(path, FRAMES, "ImageJ=1.53t\nimages=8\nslices=8"),
    "ImageJ images alone": lambda path: block(path, FRAMES, "ImageJ=1.53t\nimages=8"),
    "OME": lambda path: pages(path, FRAMES, ome_xml(FRAMES, sizes=(8, 1, 1))),
    "OME block": lambda path: block(path, FRAMES, ome_xml(FRAMES, sizes=(8, 1, 1))),
    "ScanImage": lambda path: scanimage(path, FRAMES, VOLUME | {"hStackManager.framesPerSlice": 8}),
    "classic ScanImage": lambda path: _classic_scanimage(path, FRAMES, 8),
    "tifffile": lambda path: block(path, FRAMES, '{"shape": [8, 40, 48]}'),
}
COUNTS_MORE = {  # all say 20 frames of 12
    "ImageJ pages": lambda path: pages(path, FRAMES, "ImageJ=1.53t\nimages=20\nframes=20"),
    "ImageJ block": lambda path: block(path, FRAMES, "ImageJ=1.53t\nimages=20\nframes=20"),
    "OME": lambda path: pages(path, FRAMES, ome_xml(FRAMES, sizes=(20, 1, 1))),
    "OME block": lambda path: block(path, FRAMES, ome_xml(FRAMES, sizes=(20, 1, 1))),
}


@pytest.mark.parametrize("dialect", COUNTS_FEWER)
def test_pages_that_metadata_do_not_count_are_taken_and_both_numbers_are_said(tmp_path, through_identity, dialect):
    recording, pixels, _ = through_identity(COUNTS_FEWER[dialect](tmp_path / "movie.tif"))
    assert np.array_equal(pixels, FRAMES)
    assert any("8" in note and "12" in note for note in recording.notes), recording.notes


@pytest.mark.parametrize("dialect", COUNTS_MORE)
def test_pages_that_are_missing_are_refused_with_both_numbers_and_taken_on_request(
    tmp_path, describe, through_identity, dialect
):
    path = COUNTS_MORE[dialect](tmp_path / "movie.tif")
    with pytest.raises(BadInput, match=r"expected 20 frames, .*got 12") as caught:
        describe(path)
    assert "--axes TYX" in caught.value.hint
    _, pixels, _ = through_identity(path, axes="TYX")
    assert np.array_equal(pixels, FRAMES)


@pytest.mark.parametrize("settings", [8, 20, 100000], ids="{} frames asked for".format)
def test_scanimage_settings_are_a_wish_and_all_pages_of_a_recording_are_taken(tmp_path, through_identity, settings):
    wish = VOLUME | {"hStackManager.framesPerSlice": settings}
    recording, pixels, _ = through_identity(scanimage(tmp_path / "movie.tif", FRAMES, wish))
    assert np.array_equal(pixels, FRAMES.astype(np.int16))
    assert str(settings) in recording.notes[0]
    assert recording.frame_rate_hz.value == pytest.approx(30)


def test_a_volume_of_scanimage_asks_for_a_plane_and_gives_its_frames(tmp_path, describe, through_identity):
    volume = VOLUME | {"hStackManager.numSlices": 3, "hStackManager.actualNumVolumes": 4, "hFastZ.enable": "true"}
    path = scanimage(tmp_path / "movie.tif", FRAMES, volume)
    with pytest.raises(BadInput, match="got 3 planes") as caught:
        describe(path)
    assert caught.value.hint == "Choose with --plane 1, 2 or 3."
    recording, pixels, _ = through_identity(path, plane=2)
    assert np.array_equal(pixels, FRAMES[1::3])
    assert recording.frame_rate_hz.value == pytest.approx(10)  # a third of the frames


def test_the_last_volume_of_a_recording_may_be_incomplete(tmp_path, through_identity):
    volume = VOLUME | {"hStackManager.numSlices": 5, "hFastZ.enable": "true"}
    path = scanimage(tmp_path / "movie.tif", FRAMES, volume)
    for plane, frames in ((1, 3), (2, 3), (3, 2)):
        _, pixels, _ = through_identity(path, plane=plane)
        assert np.array_equal(pixels, FRAMES[plane - 1 :: 5])
        assert len(pixels) == frames


def test_channels_and_planes_of_scanimage_are_chosen_together(tmp_path, describe, through_identity):
    both = VOLUME | {"hChannels.channelSave": "[1;2]", "hStackManager.numSlices": 3, "hFastZ.enable": "true"}
    path = scanimage(tmp_path / "movie.tif", FRAMES, both)
    with pytest.raises(BadInput, match="3 planes"):
        describe(path, channel=1)
    _, pixels, _ = through_identity(path, channel=2, plane=3)
    assert np.array_equal(pixels, FRAMES[5::6])


TWO_COLOURS = {
    "ImageJ": lambda path: block(path, FRAMES, "ImageJ=1.53t\nimages=12\nchannels=2\nframes=6\nhyperstack=true"),
    "OME": lambda path: pages(path, FRAMES, ome_xml(FRAMES, sizes=(6, 1, 2))),
    "ScanImage": lambda path: scanimage(path, FRAMES, VOLUME | {"hChannels.channelSave": "[1;3]"}),
    "tifffile": lambda path: tifffile.imwrite(path, FRAMES.reshape(6, 2, 40, 48), metadata={"axes": "TCYX"}) or path,
}


@pytest.mark.parametrize("dialect", TWO_COLOURS)
def test_channels_are_asked_for_and_never_lined_up_as_time(tmp_path, describe, through_identity, dialect):
    path = TWO_COLOURS[dialect](tmp_path / "movie.tif")
    with pytest.raises(BadInput, match="2 channels") as caught:
        describe(path)
    assert "--channel 1 or 2" in caught.value.hint
    for channel in (1, 2):
        _, pixels, _ = through_identity(path, channel=channel)
        assert np.array_equal(pixels, FRAMES[channel - 1 :: 2])
    with pytest.raises(BadInput, match="expected a channel of 1 to 2, got --channel 3"):
        describe(path, channel=3)


def test_a_colour_image_is_refused_and_one_of_its_samples_may_be_chosen(tmp_path, describe, through_identity):
    colour = np.stack([FRAMES.astype(np.uint8), FRAMES.astype(np.uint8) + 1, FRAMES.astype(np.uint8) + 2], axis=-1)
    tifffile.imwrite(tmp_path / "movie.tif", colour, photometric="rgb")
    with pytest.raises(BadInput, match="colour image, 3 channels") as caught:
        describe(tmp_path / "movie.tif")
    assert caught.value.hint == "Choose with --channel 1 (red), 2 (green) or 3 (blue)."
    _, pixels, _ = through_identity(tmp_path / "movie.tif", channel=2)
    assert np.array_equal(pixels, colour[..., 1])


def test_samples_in_planes_of_their_own_are_channels_too(tmp_path, through_identity):
    planar = np.stack([FRAMES, FRAMES + 1, FRAMES + 2], axis=1)
    tifffile.imwrite(tmp_path / "movie.tif", planar, photometric="rgb", planarconfig="separate")
    _, pixels, _ = through_identity(tmp_path / "movie.tif", channel=2)
    assert np.array_equal(pixels, planar[:, 1])


STORED = {
    "BigTIFF": {"bigtiff": True},
    "big-endian": {"byteorder": ">"},
    "tiles": {"tile": (16, 16)},
    "strips": {"rowsperstrip": 7},
    "LZW": {"compression": "lzw"},
    "deflate with predictor": {"compression": "zlib", "predictor": True},
    "Zstandard": {"compression": "zstd"},
    "PackBits": {"compression": "packbits"},
    "white is zero": {"photometric": "miniswhite"},
}


@pytest.mark.parametrize("how", STORED)
def test_every_way_to_store_a_page_gives_the_same_pixels(tmp_path, through_identity, how):
    tifffile.imwrite(tmp_path / "movie.tif", FRAMES, **({"photometric": "minisblack"} | STORED[how]))
    recording, pixels, _ = through_identity(tmp_path / "movie.tif")
    assert np.array_equal(pixels, FRAMES)
    assert not recording.notes


@pytest.mark.parametrize("ome", [False, True])
def test_smaller_copies_of_a_pyramid_are_no_frames(tmp_path, through_identity, ome):
    with tifffile.TiffWriter(tmp_path / "movie.tif", ome=ome) as tiff:
        axes = {"axes": "TYX"} if ome else None
        tiff.write(FRAMES, subifds=1, photometric="minisblack", tile=(16, 16), metadata=axes)
        tiff.write(FRAMES[:, ::2, ::2], subfiletype=1, photometric="minisblack", tile=(16, 16))
    _, pixels, _ = through_identity(tmp_path / "movie.tif")
    assert np.array_equal(pixels, FRAMES)


def test_a_compression_that_loses_information_is_named(tmp_path, through_identity):
    tifffile.imwrite(tmp_path / "m.tif", (FRAMES // 16).astype(np.uint8), photometric="minisblack", compression="jpeg")
    recording, pixels, _ = through_identity(tmp_path / "m.tif")
    assert len(pixels) == 12
    assert "compression JPEG loses information" in recording.notes[0]


def test_regions_of_scanimage_are_said_to_lie_in_one_frame(tmp_path, through_identity):
    recording, pixels, _ = through_identity(
        scanimage(tmp_path / "m.tif", FRAMES, VOLUME | {"hRoiManager.mroiEnable": "true"})
    )
    assert np.array_equal(pixels, FRAMES.astype(np.int16))
    assert "regions (mROI) lie below each other" in recording.notes[-1]


def test_an_ome_xml_without_an_image_is_refused_and_its_pages_are_taken_on_request(
    tmp_path, describe, through_identity
):
    path = block(tmp_path / "m.tif", FRAMES, '<?xml version="1.0"?><OME></OME>')
    with pytest.raises(BadInput, match="expected an image in its OME-XML") as caught:
        describe(path)
    assert "--axes TYX" in caught.value.hint
    _, pixels, _ = through_identity(path, axes="TYX")
    assert np.array_equal(pixels, FRAMES)


def test_a_stack_that_says_depth_is_taken_as_time_with_a_line_that_says_so(tmp_path, through_identity):
    recording, pixels, _ = through_identity(block(tmp_path / "m.tif", FRAMES, "ImageJ=1.53t\nimages=12\nslices=12"))
    assert np.array_equal(pixels, FRAMES)
    assert recording.notes == ("m.tif: its 12 planes (Z) are taken as frames; it states no other time.",)


def test_time_and_depth_together_ask_for_a_plane(tmp_path, describe, through_identity):
    tifffile.imwrite(tmp_path / "m.tif", FRAMES.reshape(4, 3, 40, 48), ome=True, metadata={"axes": "TZYX"})
    with pytest.raises(BadInput, match="got 3 planes"):
        describe(tmp_path / "m.tif")
    _, pixels, _ = through_identity(tmp_path / "m.tif", plane=3)
    assert np.array_equal(pixels, FRAMES[2::3])


def test_axes_without_a_meaning_are_named_by_the_user(tmp_path, describe, through_identity):
    tifffile.imwrite(tmp_path / "m.tif", FRAMES.reshape(4, 3, 40, 48), photometric="minisblack")
    with pytest.raises(BadInput, match="expected one axis besides Y and X") as caught:
        describe(tmp_path / "m.tif")
    assert "--axes" in caught.value.hint
    _, pixels, _ = through_identity(tmp_path / "m.tif", axes="TZYX", plane=2)
    assert np.array_equal(pixels, FRAMES[1::3])


def test_several_images_in_a_file_are_named_and_one_is_chosen(tmp_path, describe, through_identity):
    with tifffile.TiffWriter(tmp_path / "m.tif") as tiff:
        tiff.write(FRAMES[0, ::2, ::2], metadata=None)  # a thumbnail
        tiff.write(FRAMES, metadata=None, photometric="minisblack")
    with pytest.raises(BadInput, match=r"got 2 .*thumbnail") as caught:
        describe(tmp_path / "m.tif")
    assert "--series 1 to 2" in caught.value.hint
    _, pixels, _ = through_identity(tmp_path / "m.tif", series=2)
    assert np.array_equal(pixels, FRAMES)


def test_images_of_different_sizes_that_tifffile_wrote_are_named_and_one_is_chosen(
    tmp_path, describe, through_identity
):
    with tifffile.TiffWriter(tmp_path / "m.tif") as tiff:
        tiff.write(FRAMES, photometric="minisblack")
        tiff.write(FRAMES[:, ::2, ::2], photometric="minisblack")
    with pytest.raises(BadInput, match="got 2 "):
        describe(tmp_path / "m.tif")
    _, pixels, _ = through_identity(tmp_path / "m.tif", series=1)
    assert np.array_equal(pixels, FRAMES)


@pytest.mark.parametrize("unit", ["µm", "\\u00B5m", "micron", "Ωm"])
def test_an_imagej_unit_that_is_not_ascii_is_kept_as_imagej_writes_it(tmp_path, through_identity, unit):
    text = f"ImageJ=1.53t\nimages=12\nframes=12\nunit={unit}\nfinterval=0.05"
    recording, pixels, target = through_identity(block(tmp_path / "movie.tif", FRAMES, text))
    assert np.array_equal(pixels, FRAMES)
    assert not recording.copied
    with tifffile.TiffFile(target) as tiff:
        kept = tiff.imagej_metadata["unit"]
    assert kept.encode("ascii").decode("unicode_escape") == unit.encode("ascii", "backslashreplace").decode(
        "unicode_escape"
    )


def test_an_ome_file_that_was_renamed_is_its_own_file(tmp_path, through_identity):
    body = "".join(
        f'<TiffData IFD="{t}" FirstT="{t}" PlaneCount="1"><UUID FileName="old.ome.tif">urn:uuid:1</UUID></TiffData>'
        for t in range(12)
    )
    path = pages(tmp_path / "new.ome.tif", FRAMES, ome_xml(FRAMES, sizes=(12, 1, 1), body=body))
    _, pixels, _ = through_identity(path)
    assert np.array_equal(pixels, FRAMES)


def test_planes_lie_where_the_ome_xml_says(tmp_path, through_identity):
    body = "".join(f'<TiffData IFD="{11 - t}" FirstT="{t}" PlaneCount="1"/>' for t in range(12))
    path = pages(tmp_path / "m.ome.tif", FRAMES, ome_xml(FRAMES, sizes=(12, 1, 1), body=body))
    _, pixels, _ = through_identity(path)
    assert np.array_equal(pixels, FRAMES[::-1])


SCALES = {
    "ImageJ": (
        lambda path: (
            tifffile.imwrite(
                path,
                FRAMES,
                imagej=True,
                resolution=(2.0, 4.0),
                metadata={"axes": "TYX", "finterval": 0.05, "unit": "um"},
                compression="zlib",
            )
            or path
        ),
        20,
        (0.25, 0.5),
    ),
    "OME": (
        lambda path: pages(
            path,
            FRAMES,
            ome_xml(
                FRAMES,
                sizes=(12, 1, 1),
                scales='PhysicalSizeX="0.5" PhysicalSizeY="250" PhysicalSizeYUnit="nm" '
                'TimeIncrement="50" TimeIncrementUnit="ms"',
            ),
        ),
        20,
        (0.25, 0.5),
    ),
    "ScanImage": (lambda path: scanimage(path, FRAMES, VOLUME), 30, None),
}


@pytest.mark.parametrize("dialect", SCALES)
def test_rate_and_pixel_size_are_read_from_the_file_and_kept_in_the_output(
    tmp_path, describe, through_identity, dialect
):
    write, rate_hz, pixel_um = SCALES[dialect]
    recording, _, target = through_identity(write(tmp_path / "movie.tif"))
    again = describe(target)
    for one in (recording, again):
        assert one.frame_rate_hz.value == pytest.approx(rate_hz)
        assert pixel_um is None or one.pixel_um.value == pytest.approx(pixel_um)


def test_a_rate_that_is_given_beats_the_file_and_says_so(tmp_path, describe):
    path = block(tmp_path / "movie.tif", FRAMES, "ImageJ=1.53t\nimages=12\nframes=12\nfinterval=0.05")
    assert describe(path).frame_rate_hz.value == 20
    recording = describe(path, frame_rate_hz=30.0)
    assert recording.frame_rate_hz.value == 30
    assert "--frame-rate 30 Hz is used" in recording.notes[0]


def test_a_plain_movie_is_read_where_it_lies(tmp_path, describe):
    for flavour in ({}, {"imagej": True, "metadata": {"axes": "TYX"}}, {"ome": True, "metadata": {"axes": "TYX"}}):
        tifffile.imwrite(tmp_path / "m.tif", FRAMES, photometric="minisblack", **flavour)
        recording = describe(tmp_path / "m.tif")
        assert recording.stack == tmp_path / "m.tif"
        assert not recording.notes


WHOLE = FRAMES.astype(np.int64)


@pytest.mark.parametrize(
    ("dtype", "offset", "stack"),
    [
        ("int8", -4000, "uint16"),
        ("int32", 0, "uint16"),
        ("int32", -2000, "int16"),
        ("uint32", 100000, "float32"),
        ("int32", -100000, "float32"),
        ("float64", 0, "float32"),
        ("float16", 0, "float32"),
    ],
)
def test_dtypes_that_lose_nothing_are_converted(tmp_path, through_identity, dtype, offset, stack):
    movie = (WHOLE % 100 if dtype == "int8" else WHOLE + offset).astype(dtype)
    tifffile.imwrite(tmp_path / "m.tif", movie, photometric="minisblack")
    recording, pixels, _ = through_identity(tmp_path / "m.tif")
    assert recording.dtype == stack
    assert np.array_equal(pixels, movie)


@pytest.mark.parametrize(("dtype", "value"), [("int32", -(2**24) - 1), ("uint32", 2**24 + 1), ("float64", 0.1)])
def test_a_value_that_would_change_is_refused_with_its_frame(tmp_path, describe, dtype, value):
    movie = WHOLE.astype(dtype)
    movie[7, 3, 3] = value
    tifffile.imwrite(tmp_path / "m.tif", movie, photometric="minisblack")
    with pytest.raises(BadInput, match=rf"got .*{value}.* in frame 7"):
        describe(tmp_path / "m.tif")
