"""Downloads from a server that cuts, stalls, corrupts and refuses: complete and right, or not there at all."""

from __future__ import annotations

import fcntl
import json
from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs

from orchestrator.data.datasets import Dataset, File
from orchestrator.data.download import Transfer
from orchestrator.data.fetch import fetch
from orchestrator.errors import BadInput

IMPATIENT = Transfer(timeout_s=0.5, retries=2, wait_s=0.01)
CONTENT = np.random.default_rng(0).bytes(400_000)


def _ignore(*_):
    pass


@pytest.fixture
def dataset(server, served):
    server.files["a.tif"] = served(content=CONTENT)
    server.files["b.tif"] = served(content=CONTENT[::-1])
    return Dataset(
        name="public",
        title="",
        summary="",
        aliases=(),
        access="public",
        instructions=None,
        licence="stated by the record",
        doi="10.5281/zenodo.1",
        record_url=server.record(1),
        folder="PUBLIC",
        axes="TYX",
        frame_rate_hz=None,
        um_per_pixel=None,
        files=(
            File(path="train/a.tif", split="train", role="noisy"),
            File(path="val/b.tif", split="val", role="noisy"),
        ),
        targets=(),
        preparation=(),
        simulation=None,
    )


def _fetch(dataset, tmp_path, **changes):
    arguments = {"lock": tmp_path / "lock.json", "progress": _ignore, "transfer": IMPATIENT} | changes
    return fetch(dataset, tmp_path / "files", **arguments)


def _files(tmp_path):
    """All files below the dataset folder that are not hidden."""
    folder = tmp_path / "files" / "PUBLIC"
    paths = (path for path in folder.rglob("*") if path.is_file())
    return sorted(str(path.relative_to(folder)) for path in paths if ".incoming" not in path.parts)


def test_files_are_downloaded_into_their_splits_and_their_checksums_locked(dataset, tmp_path):
    paths = _fetch(dataset, tmp_path)
    assert _files(tmp_path) == ["train/a.tif", "val/b.tif"]
    assert [path.read_bytes() for path in paths] == [CONTENT, CONTENT[::-1]]
    lock = json.loads((tmp_path / "lock.json").read_text())["public"]
    # md5 of the served bytes, as the record publishes it
    assert lock["files"]["train/a.tif"]["checksum"].startswith("md5:")
    assert lock["files"]["train/a.tif"]["bytes"] == len(CONTENT)
    assert lock["licence"] == "cc-by-4.0"
    assert not list(tmp_path.rglob(".incoming"))


def test_progress_counts_the_bytes_of_every_file(dataset, tmp_path):
    told = []
    _fetch(dataset, tmp_path, progress=lambda *event: told.append(event))
    assert told[-1] == ("b.tif", len(CONTENT), len(CONTENT))
    assert {name for name, _, _ in told} == {"a.tif", "b.tif"}


def test_files_that_are_there_and_locked_need_no_network(dataset, server, tmp_path):
    _fetch(dataset, tmp_path)
    locked = _with_lock(dataset, tmp_path)
    server.requests.clear()
    _fetch(locked, tmp_path)
    assert server.requests == []


def test_a_cut_connection_is_continued_where_it_broke(dataset, server, tmp_path):
    server.files["a.tif"].cut_after = [200_000, 100_000]
    _fetch(dataset, tmp_path)
    ranges = [asked for name, asked in server.requests if name == "a.tif"]
    assert ranges[0] is None
    assert len(ranges) == 3
    assert all(asked.startswith("bytes=") for asked in ranges[1:])
    assert (tmp_path / "files/PUBLIC/train/a.tif").read_bytes() == CONTENT


def test_a_server_without_ranges_is_asked_for_the_whole_file_again(dataset, server, tmp_path):
    server.files["a.tif"].cut_after = [200_000]
    server.files["a.tif"].ranges = False
    _fetch(dataset, tmp_path)
    assert (tmp_path / "files/PUBLIC/train/a.tif").read_bytes() == CONTENT


def test_a_download_broken_for_good_leaves_nothing_under_the_final_name_and_goes_on_next_time(
    dataset, server, tmp_path
):
    server.files["a.tif"].cut_after = [200_000, 0, 0, 0, 0]
    with pytest.raises(BadInput, match=r"a\.tif"):
        _fetch(dataset, tmp_path)
    assert _files(tmp_path) == []
    server.files["a.tif"].cut_after = []
    server.requests.clear()
    _fetch(dataset, tmp_path)
    first = next(asked for name, asked in server.requests if name == "a.tif")
    assert int(first.removeprefix("bytes=").removesuffix("-")) > 0
    assert (tmp_path / "files/PUBLIC/train/a.tif").read_bytes() == CONTENT


def test_many_cuts_are_survived_as_long_as_each_brings_new_bytes(dataset, server, tmp_path):
    server.files["a.tif"].cut_after = [70_000] * 5  # more cuts than retries
    _fetch(dataset, tmp_path)
    assert (tmp_path / "files/PUBLIC/train/a.tif").read_bytes() == CONTENT


def test_a_silent_server_is_given_up_after_the_retries(dataset, server, tmp_path):
    server.files["a.tif"].stall_after = [0, 0, 0, 0]
    with pytest.raises(BadInput, match="timed out") as caught:
        _fetch(dataset, tmp_path)
    assert "network" in caught.value.hint
    assert _files(tmp_path) == []
    assert len([name for name, _ in server.requests if name == "a.tif"]) == 1 + IMPATIENT.retries


def test_a_stall_in_the_middle_is_continued(dataset, server, tmp_path):
    server.files["a.tif"].stall_after = [200_000]
    _fetch(dataset, tmp_path)
    assert (tmp_path / "files/PUBLIC/train/a.tif").read_bytes() == CONTENT


def test_corrupt_bytes_are_fetched_again_from_the_beginning(dataset, server, tmp_path):
    server.files["a.tif"].flip = [1234]
    _fetch(dataset, tmp_path)
    assert (tmp_path / "files/PUBLIC/train/a.tif").read_bytes() == CONTENT


def test_bytes_that_are_corrupt_twice_are_an_error_and_are_not_kept(dataset, server, tmp_path):
    server.files["a.tif"].flip = [1234, 1234]
    with pytest.raises(BadInput, match="expected md5:"):
        _fetch(dataset, tmp_path)
    assert _files(tmp_path) == []


def test_a_file_that_the_server_does_not_have_is_an_error_at_once(dataset, server, tmp_path):
    server.files["a.tif"].status = [404]
    with pytest.raises(BadInput, match="404"):
        _fetch(dataset, tmp_path)
    assert len([name for name, _ in server.requests if name == "a.tif"]) == 1
    assert _files(tmp_path) == []


def test_a_server_that_is_busy_for_a_moment_is_asked_again(dataset, server, tmp_path):
    server.files["a.tif"].status = [503, 429]
    _fetch(dataset, tmp_path)
    assert (tmp_path / "files/PUBLIC/train/a.tif").read_bytes() == CONTENT


def test_no_server_at_all_is_an_error_with_a_hint(dataset, tmp_path):
    nowhere = replace(dataset, record_url="http://127.0.0.1:9/api/records/1")  # port 9, discard: nobody listens
    with pytest.raises(BadInput, match=r"127\.0\.0\.1:9") as caught:
        _fetch(nowhere, tmp_path)
    assert "proxy" in caught.value.hint


def test_a_record_without_the_file_is_an_error_that_names_what_there_is(dataset, tmp_path):
    other = replace(dataset, files=(File(path="train/c.tif", split="train", role="noisy"),))
    with pytest.raises(BadInput, match=r"expected a file c\.tif, got a\.tif, b\.tif"):
        _fetch(other, tmp_path)


@pytest.mark.parametrize("answer", [b"[]", b'{"files": [{"name": "a.tif"}]}', b"<html>"], ids=["list", "other", "html"])
def test_a_record_in_another_form_is_an_error(dataset, server, served, tmp_path, answer):
    server.files["api/records/1"] = served(content=answer)
    with pytest.raises(BadInput, match="api/records/1"):
        _fetch(dataset, tmp_path)


def test_a_record_that_changed_since_the_first_fetch_is_an_error(dataset, server, served, tmp_path):
    _fetch(dataset, tmp_path)
    locked = _with_lock(dataset, tmp_path)
    (tmp_path / "files/PUBLIC/train/a.tif").unlink()
    server.files["a.tif"] = served(content=b"new version")
    server.record(1)
    with pytest.raises(BadInput, match=r"expected a\.tif with md5:"):
        _fetch(locked, tmp_path)
    assert _files(tmp_path) == ["val/b.tif"]


def test_a_damaged_file_is_replaced(dataset, tmp_path):
    _fetch(dataset, tmp_path)
    path = tmp_path / "files/PUBLIC/train/a.tif"
    path.write_bytes(b"damaged")
    _fetch(_with_lock(dataset, tmp_path), tmp_path)
    assert path.read_bytes() == CONTENT


def test_a_disk_too_small_is_an_error_before_the_first_byte(dataset, server, tmp_path):
    document = json.loads(server.files["api/records/1"].content)
    document["files"][0]["size"] = 10**18
    server.files["api/records/1"].content = json.dumps(document).encode()
    with pytest.raises(BadInput, match="free bytes"):
        _fetch(dataset, tmp_path)
    assert {name for name, _ in server.requests} == {"api/records/1"}
    assert _files(tmp_path) == []


def test_another_process_that_fetches_the_same_dataset_is_an_error(dataset, tmp_path):
    (tmp_path / "files").mkdir()
    with (tmp_path / "files" / ".public.fetch").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(BadInput, match="another process"):
            _fetch(dataset, tmp_path)


def test_what_an_earlier_process_left_behind_is_cleaned_up(dataset, tmp_path):
    incoming = tmp_path / "files/PUBLIC/train/.incoming"
    incoming.mkdir(parents=True)
    (incoming / "tmpabc").write_bytes(b"temporary file of a killed process")
    (incoming / "a.tif.part").write_bytes(CONTENT + b"longer than the file")
    _fetch(dataset, tmp_path)
    assert (tmp_path / "files/PUBLIC/train/a.tif").read_bytes() == CONTENT
    assert not incoming.exists()


def _with_lock(dataset, tmp_path):
    """Return the dataset as the manifest would give it after the first fetch."""
    known = json.loads((tmp_path / "lock.json").read_text())["public"]["files"]
    return replace(dataset, files=tuple(structs.replace(file, **known[file.path]) for file in dataset.files))
