"""What `calm reproduce --plan` says before any file is here, and on a machine that could not run it."""

from __future__ import annotations

import mini
import pytest
from run_records import JOB, write_run
from small_disk import small_disk

from orchestrator.algorithms.folders import load_algorithms, resolve_params
from orchestrator.data.checksums import Checksums
from orchestrator.data.manifest import load_manifest
from orchestrator.data.outline import outline_of
from orchestrator.data.prepare import is_prepared, prepared_movies
from orchestrator.engines.hardware import gpus
from orchestrator.paths import layout

PIXELS = 2 * 6500 * 490 * 490  # of the two noisy movies of MOUSENEU_LP
MARGIN_BYTES = 64 * 2**20  # beside the predictions of a run


@pytest.fixture
def plan(calm, tmp_path):
    """Return `calm reproduce ... --plan` with a home of its own and nothing in it."""

    def ask(*arguments, **environment):
        done = calm("reproduce", *arguments, "--plan", **{"CALM_HOME": str(tmp_path / "home")} | environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return ask


def _row(text, algorithm):
    """Return the cells of the run of an algorithm; two blanks or more are between them."""
    (row,) = (line for line in text.splitlines() if f"  {algorithm} " in line)
    return [cell.strip() for cell in row.split("  ") if cell.strip()]


def test_public_data_that_are_not_here_are_planned_from_the_manifest(plan, calm, tmp_path):
    text = plan("MOUSENEU_LP_N2N_1")
    *cells, disk = _row(text, "n2n@study")
    assert cells[1:5] == ["n2n@study", "42", "train, predict-train, predict-val", "data missing"]
    assert disk == f"{(4 * PIXELS + MARGIN_BYTES) / 1e9:.1f} GB"
    folder = calm.data / "MOUSENEU_LP"
    assert f"{folder}/val_gt/02_MouseNeurite_GCaMP6f_66mWpower_70umdepth_30Hz_highSNR_MCRound1.tif" in text
    assert f"`calm data fetch mouseneu_lp` downloads them: {4 * PIXELS / 1e9:.1f} GB" in text  # 2 pairs of 2 bytes
    assert "Time is unknown where" in text
    assert not any(path.exists() for path in (calm.outputs, calm.data, tmp_path / "home"))


def test_private_data_that_are_not_here_are_planned_and_the_owners_named(plan):
    text = plan("REFINED_N2V_1")
    assert _row(text, "n2v@study")[-1] == f"{(4 * 4 * 1009 * 1024 * 1024 + MARGIN_BYTES) / 1e9:.1f} GB"
    assert "average_image.tif" in text
    assert "ask them by way of https://github.com/ai4life-opencalls" in text


def test_what_the_manifest_does_not_tell_is_unknown_and_said_to_be(plan):
    text = plan("NIDDL_N2V_1", "--seeds", 3)
    runs = [line.split() for line in text.splitlines() if line.startswith("NIDDL_N2V_1")]
    assert [(run[2], run[-1]) for run in runs] == [("42", "unknown"), ("43", "unknown"), ("44", "unknown")]
    assert "the manifest does not tell the size of its movies" in text
    assert "20ms_20%_[0-9][0-9][0-9].tif (32 of 32 files)" in text


def test_a_disk_that_is_too_small_is_a_warning_beside_the_estimate(plan, tmp_path):
    with small_disk(tmp_path / "small", "size=1m") as small:
        text = plan("MOUSENEU_LP_N2N_1", CALM_OUTPUTS=str(small / "outputs"))
        assert f"Disk at {small}: 50.2 GB needed, 0.0 GB free" in text  # 4 runs of 12.6 GB
        assert "Warning: 50.2 GB too little; free some, or choose another disk with CALM_OUTPUTS." in text


def test_an_output_folder_that_cannot_be_written_is_a_warning_too(plan, tmp_path):
    with small_disk(tmp_path / "fixed", "ro") as fixed:
        text = plan("MOUSENEU_LP_N2N_1", CALM_OUTPUTS=str(fixed / "outputs"))
        assert "Warning: " in text
        assert "expected a folder that can be written to" in text


@pytest.mark.skipif(bool(gpus()), reason="this machine has a GPU")
def test_a_gpu_can_be_planned_for_on_a_machine_without(plan):
    assert "Warning: device cuda was asked for" in plan("MOUSENEU_LP_N2N_1", "--device", "cuda")


@pytest.mark.parametrize(
    ("share", "time"),
    [
        (1, "3 min"),  # 1 minute of training, 2 of prediction
        (10, "21 min to 30 min"),  # ten times the pixels: the training as long as it was, or ten times
    ],
)
def test_the_time_of_movies_of_another_size_is_a_range_between_two_rules(plan, calm, share, time):
    movie = {"noisy": "/a.tif", "target": None, "truth": None, "shape": [6500 // share, 490, 490], "dtype": "uint16"}
    seconds = {"train": 60.0, "predict-train": 70.0, "predict-val": 50.0}
    write_run(
        calm.outputs / "mean-other-default" / "key",
        params=resolve_params(load_algorithms(layout().containers)["mean"], "default", {}),
        jobs={name: {**JOB, "seconds": one} for name, one in seconds.items()},
        movies={f"{split}/a.tif": movie for split in ("train", "val")},
    )
    assert _row(plan("MOUSENEU_LP_LOWSNR"), "mean")[5] == time


def test_movies_that_wait_for_preparation_are_planned_and_not_prepared(plan, calm, tmp_path):
    mini.write_refined(calm.data)
    manifest = mini.write_manifest(tmp_path / "manifest")
    text = plan("REFINED_N2V_1", CALM_MANIFEST=str(manifest))
    assert _row(text, "n2v@study")[4] == "to run"
    assert "refined: copies of its movies will be prepared" in text
    assert "Not here" not in text
    assert not (tmp_path / "home" / "prepared").exists()


def test_prepared_copies_are_found(calm, tmp_path):
    mini.write_refined(calm.data)
    dataset = load_manifest(mini.write_manifest(tmp_path / "manifest")).named("refined")
    cache, sha256 = tmp_path / "prepared", Checksums(tmp_path / "checksums.json").of
    assert not is_prepared(dataset, calm.data, cache=cache, sha256=sha256)
    prepared_movies(dataset, calm.data, cache=cache, sha256=sha256, progress=lambda *_: None)
    assert is_prepared(dataset, calm.data, cache=cache, sha256=sha256)


def test_files_that_are_here_outrank_the_manifest_and_only_the_others_are_to_be_had(calm):
    folder = mini.write_mouseneu_lp(calm.data)  # 12 frames of 50 x 50, where the manifest says 6500 of 490 x 490
    for path in folder.glob("val*/*.tif"):
        path.unlink()
    outline = outline_of(load_manifest(mini.MANIFEST).named("mouseneu_lp"), calm.data)
    assert {facts.shape for facts in outline.facts.values()} == {(12, 50, 50), (6500, 490, 490)}
    assert outline.fetch_bytes == PIXELS * 2
    assert len(outline.missing) == 2


def test_a_target_of_another_name_is_missing(calm, tmp_path):
    folder = mini.write_niddl(calm.data)
    target = folder / "High_SNR" / "Img1.tif"
    target.rename(target.with_name("Img9.tif"))
    outline = outline_of(load_manifest(mini.write_manifest(tmp_path / "manifest")).named("huvec_img"), calm.data)
    assert len(outline.missing) == 1
    assert f"{target}, the target of Img1.tif" in outline.missing[0]
