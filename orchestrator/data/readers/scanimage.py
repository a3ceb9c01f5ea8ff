"""What ScanImage says of a recording, in its BigTIFF and in its classic files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LINE = re.compile(r"^\s*([A-Za-z][\w.]*)\s*=\s*(.*?)\s*;?\s*$")
_MARKS = ("SI.", "scanimage.SI", "state.acq.")
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanImage:
    """What a ScanImage header says; None where it says nothing.

    Parameters
    ----------
    channels, slices : int
        Channels saved, and planes of a volume on disk.
    per_slice : int or None
        Frames asked for at each plane before the next one; None for an endless recording.
    volumes : int or None
        Volumes asked for.
    is_volume : bool
        Whether planes are parts of volumes.
    interval_s : float or None
        Between frames, or between volumes, as they are saved.
    frames_per_file : int or None
        At how many frames a new file is begun.
    has_regions : bool
        Whether a page holds several regions (mROI), one below the other.
    """

    channels: int
    slices: int
    per_slice: int | None
    volumes: int | None
    is_volume: bool
    interval_s: float | None
    frames_per_file: int | None
    has_regions: bool

    @property
    def asked(self) -> int | None:
        """Pages of the whole recording, by the settings; None where they do not say."""
        if self.per_slice is None:
            return None
        return self.per_slice * self.slices * (self.volumes or 1) * self.channels

    def axes(self, pages: int) -> tuple[str, tuple[int, ...]]:
        """Return the axes of so many pages, the slowest first, and their lengths; the last volume may be incomplete."""
        inner = self.slices * self.channels
        per_slice = self.per_slice or 1
        if self.slices > 1 and per_slice > 1 and (self.volumes or 1) <= 1:  # one plane after the other, each for long
            frames = -(-pages // inner)
            return "ZTC", (self.slices, frames, self.channels)
        return "TZC", (-(-pages // inner), self.slices, self.channels)


def is_scanimage(texts: Iterable[str]) -> bool:
    """Say whether texts of a TIFF are a header of ScanImage."""
    return any(line.lstrip().startswith(_MARKS) for text in texts for line in text.splitlines())


def read_scanimage(texts: Iterable[str]) -> ScanImage:
    """Read a header of ScanImage: `name = value` lines in tag Software, or in the description of classic files.

    Parameters
    ----------
    texts : iterable of str
        Texts of the first page.

    Returns
    -------
    ScanImage
        What it says. Names and meaning are those of ScanImage 3.8 (`state.acq.`), 4 and 5 (`scanimage.SI`) and 2016 to
        2023 (`SI.`).
    """
    found = _fields(texts)
    is_volume = _is_true(found, "hFastZ.enable", "SI4.fastZEnable", "SI5.fastZEnable")
    slices = _count(found, "hStackManager.actualNumSlices", "hStackManager.numSlices", "SI4.stackNumSlices")
    slices = slices or _count(found, "SI5.stackNumSlices", "state.acq.numberOfZSlices") or 1
    if is_volume:
        with_flyback = _count(found, "hStackManager.numFramesPerVolumeWithFlyback", "hFastZ.numFramesPerVolume")
        slices = with_flyback or slices
    averaged = _count(found, "hScan2D.logAverageFactor", "SI4.acqNumAveragedFrames", "state.acq.numAvgFramesSave") or 1
    rate = _float(found, "hRoiManager.scanFrameRate", "SI4.scanFrameRate", "SI5.scanFrameRate", "state.acq.frameRate")
    interval_s = None if not rate else averaged / rate
    if is_volume:
        volume_rate = _float(found, "hRoiManager.scanVolumeRate")
        interval_s = 1 / volume_rate if volume_rate else None if interval_s is None else interval_s * slices
    return ScanImage(
        channels=_channels(found),
        slices=slices,
        per_slice=_per_slice(found, averaged),
        volumes=_count(found, "hStackManager.actualNumVolumes", "hStackManager.numVolumes", "hFastZ.numVolumes"),
        is_volume=is_volume or slices > 1,
        interval_s=interval_s,
        frames_per_file=_count(found, "hScan2D.logFramesPerFile", "loggingFramesPerFile"),
        has_regions=_is_true(found, "hRoiManager.mroiEnable"),
    )


def _fields(texts: Iterable[str]) -> dict[str, str]:
    lines = (_LINE.match(line) for text in texts for line in text.splitlines())
    return {match[1]: match[2] for match in lines if match}


def _value(found: dict[str, str], names: tuple[str, ...]) -> str | None:
    for name in names:
        for field, value in found.items():
            if field == name or field.endswith("." + name):
                return value
    return None


def _float(found: dict[str, str], *names: str) -> float | None:
    text = _value(found, names)
    match = _NUMBER.fullmatch(text) if text is not None else None
    return float(match[0]) if match else None


def _count(found: dict[str, str], *names: str) -> int | None:
    number = _float(found, *names)
    return int(number) if number is not None and number >= 1 else None


def _is_true(found: dict[str, str], *names: str) -> bool:
    return (_value(found, names) or "").lower() in {"true", "1"}


def _per_slice(found: dict[str, str], averaged: int) -> int | None:
    count = _count(found, "hStackManager.framesPerSlice", "SI4.acqNumFrames", "SI5.acqNumFrames")
    count = count or _count(found, "state.acq.numberOfFrames")
    return None if count is None else max(1, count // averaged)


def _channels(found: dict[str, str]) -> int:
    text = _value(found, ("hChannels.channelSave", "SI4.channelsSave", "SI5.channelsSave"))
    if text is not None:
        return max(1, len(_NUMBER.findall(text)))
    saved = [name for name in found if re.search(r"state\.acq\.savingChannel\d$", name)]
    count = sum(_is_true(found, name) for name in saved)
    return count or _count(found, "state.acq.numberOfChannelsSave") or 1
