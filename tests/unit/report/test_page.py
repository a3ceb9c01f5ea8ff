"""The written file: complete, self-contained, the same bytes every time, and robust against odd content."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import tifffile
from report_examples import TEST, movie_content, page_about, rows_of, write_movie

from evaluation.checks.lights import Light, Topic, Verdict, at_least, judged
from evaluation.report.content import MovieContent, Part, Row
from evaluation.report.page import write_page
from evaluation.report.styles import run_styles
from evaluation.report.viewer import plan
from orchestrator.errors import BadInput


class Elements(HTMLParser):
    """All start tags with their attributes, and all text."""

    def __init__(self, page):
        super().__init__()
        self.found, self.text = [("", {})], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        if self.found[-1][0] not in ("style", "script"):
            self.text += data

    def of(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


def written(page, folder):
    path = folder / "report.html"
    write_page(page, path)
    return path.read_text("utf-8")


@pytest.mark.parametrize("page", ["report_page", "study_page_file"])
def test_nothing_outside_the_file_is_referred_to_but_dois(page, request):
    elements = Elements(request.getfixturevalue(page).read_text("utf-8"))
    assert all(one["src"].startswith("data:image/webp;base64,") for one in elements.of("img"))
    assert not [one for one in elements.of("script") if "src" in one]
    links = [one["href"] for one in elements.of("a")]
    outside = [link for link in links if ":" in link]
    assert all(link.startswith("https://doi.org/10.") for link in outside)
    assert [one["href"] for one in elements.of("link")] == ["data:,"]


def test_every_picture_has_an_alternative_text_and_every_plot_a_title_and_its_data(report_page):
    elements = Elements(report_page.read_text("utf-8"))
    assert all(one["alt"] for one in elements.of("img"))
    plots = [one for one in elements.of("div") if "data-plot" in one]
    assert len(plots) == 9  # six regions, mean trace, one score, one training curve
    for one in plots:
        data = json.loads(one["data-plot"])
        assert one["aria-label"].startswith(data["title"])
        assert data["series"]


def test_two_writes_give_the_same_bytes(movie, tmp_path):
    assert written(page_about(movie), tmp_path) == written(page_about(movie), tmp_path)


def test_texts_cannot_become_markup(files, tmp_path):
    hostile = "</script><img src=x onerror=alert(1)>\"'&"
    movie = movie_content(files, name=hostile, unit=hostile)
    report = page_about(
        movie, title=hostile, subtitle=hostile, warnings=(hostile,), record={hostile: {hostile: hostile}}
    )
    elements = Elements(written(report, tmp_path))
    assert not [one for one in elements.of("img") if one["src"] == "x"]
    assert len(elements.of("script")) == 1


def test_without_target_there_is_no_error_picture_and_the_headline_says_so(files, tmp_path):
    scored = movie_content(files)
    rows = tuple(
        Row(name=row.name, title=row.title, role=row.role, scores={TEST: {"noise_sd": row.scores[TEST]["noise_sd"]}})
        for row in rows_of(scored)
    )
    movie = movie_content(files, target=None, frame_scores={}, frame_rate_hz=None)
    text = Elements(written(page_about(scored, rows=rows, movies=(movie,)), tmp_path)).text
    assert "there is no clean target" in text
    assert "what is wrong" not in text
    assert "frame rate not stated" in text


def test_a_run_that_did_not_converge_is_shown_with_its_reason(files, tmp_path):
    movie = movie_content(files, predictions={})
    failed = Row(
        name="n2v", title="Noise2Void", role="algorithm", status="did not converge", reason="loss is not a number"
    )
    page = written(page_about(movie, rows=(*rows_of(movie)[:2], failed)), tmp_path)
    text = Elements(page).text
    assert text.count("did not converge") == 2  # in the headline and in the table
    assert "loss is not a number" in text
    assert 'value="slider"' in page  # noisy and target can still be compared


def test_a_prediction_that_is_not_a_number_is_shown_and_warned_about(files, tmp_path):
    stack = tifffile.imread(files.prediction)
    stack[10:] = np.nan
    stack[3], stack[4, 0, :2] = np.inf, (np.inf, -np.inf)
    path = tmp_path / "nan.tif"
    tifffile.imwrite(path, stack, photometric="minisblack", metadata={"axes": "TYX"})
    text = Elements(written(page_about(movie_content(files, predictions={"n2v": path})), tmp_path)).text
    assert "movie_001.tif, n2v: 32 frames hold pixels that are not finite numbers" in text


@pytest.mark.parametrize("shape", [(1, 40, 40), (2, 33, 70), (3, 8, 8)])
def test_a_very_short_or_small_movie_is_no_special_case(shape, tmp_path):
    path = tmp_path / "tiny.tif"
    tifffile.imwrite(path, np.random.default_rng(5).integers(0, 999, shape).astype(np.uint16), photometric="minisblack")
    movie = MovieContent(name="tiny.tif", part=TEST, noisy=path, predictions={"n2v": path})
    assert "tiny.tif" in written(page_about(movie_without_files(), movies=(movie,)), tmp_path)


def test_a_report_without_movies_scores_or_record_can_be_written(tmp_path):
    noisy = Row(name="noisy", title="noisy", role="noisy")
    report = page_about(movie_without_files(), rows=(noisy,), movies=(), record={})
    assert "Nothing was scored" in written(report, tmp_path)


def movie_without_files():
    scores = {name: {"si_psnr": [1.0, math.nan]} for name in ("noisy", "mean", "n2v")}
    return MovieContent(name="", part=TEST, noisy=None, predictions={}, frame_scores=scores)


@pytest.mark.slow
def test_movies_beyond_the_fourth_are_named_but_not_pictured(files, tmp_path):
    movies = tuple(movie_content(files, name=f"movie_{index}.tif") for index in range(5))
    text = Elements(written(page_about(movies[0], movies=movies), tmp_path)).text
    assert "not pictured, to keep this file small: movie_4.tif" in text


def test_bad_input_leaves_no_file_behind(files, tmp_path):
    movie = movie_content(files, predictions={"n2v": tmp_path / "missing.tif"})
    with pytest.raises(BadInput):
        write_page(page_about(movie), tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_the_record_stands_on_the_page_as_json(report_page):
    page = report_page.read_text("utf-8")
    assert "&#34;num_epochs&#34;: 100" in page
    assert "ab" * 32 in page


def test_a_page_of_the_study_says_every_verdict_in_words(study_page_file):
    text = Elements(study_page_file.read_text("utf-8")).text
    for verdict in ("reproduced", "within seed spread", "deviates", "not comparable", "not published"):
        assert verdict in text
    assert "SI-PSNR: ours against published" in text


def test_a_page_of_own_runs_uses_no_word_of_the_study_nor_of_the_code(report_page, files, tmp_path):
    own = movie_content(files, part=Part(movies="movie_001", split="train", own=True))
    rows = tuple(replace(row, scores={own.part: row.scores[TEST]}) for row in rows_of(own))
    for page in (report_page.read_text("utf-8"), written(page_about(own, rows=rows), tmp_path)):
        text = Elements(page).text
        for word in ("not published", "published", "split", "prior", "anchor", "subject", "no direction is better"):
            assert word not in text
    assert "training movies" not in text


def test_the_denoised_movie_of_the_algorithm_stands_in_the_head_with_its_whole_path(report_page, files):
    head = report_page.read_text("utf-8").partition("<main>")[0]
    assert f"<code>{files.prediction}</code>" in head
    assert str(files.mean) not in head


@pytest.mark.slow
def test_of_many_denoised_movies_the_folder_is_named(files, tmp_path):
    movies = tuple(movie_content(files, name=f"movie_{index}.tif") for index in range(5))
    head = written(page_about(movies[0], movies=movies), tmp_path).partition("<main>")[0]
    assert "5 movies, Noise2Void" in head
    assert f"<code>{files.prediction.parent}</code>" in head


def test_lights_stand_above_the_verdict_where_there_are_any(movie, report_page, tmp_path):
    height = judged(
        "height", Topic.AMPLITUDE, 0.5, 0.01, at_least(0.8, 0.7), unit="of raw", sentences={Light.FAIL: "Peaks shrank."}
    )
    verdicts = {"movie_001.tif": Verdict(checks=(height,), plain=("It did not denoise.",), seconds=1.0)}
    head = written(page_about(movie, verdicts=verdicts), tmp_path).partition("<main>")[0]
    assert head.index("It did not denoise.") < head.index("Peaks shrank.") < head.index("improves SI-PSNR")
    assert "amplitude: fail" in head
    assert "May I believe" not in Elements(report_page.read_text("utf-8")).text


def test_what_a_metric_means_is_said_once(report_page):
    assert Elements(report_page.read_text("utf-8")).text.count("Peak signal-to-noise ratio.") == 1


def test_a_prediction_that_changed_nothing_is_said_to_have(files, tmp_path):
    page = page_about(movie_content(files, predictions={"n2v": files.noisy}, target=None))
    assert "No difference at any pixel." in Elements(written(page, tmp_path)).text


def test_a_movie_in_which_nothing_happens_has_a_sentence_in_place_of_regions(files, tmp_path):
    still = tmp_path / "still.tif"
    tifffile.imwrite(still, np.ones((9, 40, 40), np.uint16), photometric="minisblack")
    page = page_about(movie_content(files), movies=(MovieContent(name="s", part=TEST, noisy=still, predictions={}),))
    text = Elements(written(page, tmp_path)).text
    assert "there is no region to show" in text
    assert "nothing was removed from it" in text


def test_a_full_size_movie_is_shown_pixel_by_pixel_and_a_larger_one_thinned():
    study = plan((6500, 490, 490), predictions=2, target=True, pixels=4.5e6)
    assert (study.frames, study.step, study.small_step) == (3, 1, 2)
    assert plan((100, 2048, 2048), predictions=1, target=True, pixels=4.5e6).step == 4
    many = plan((6500, 490, 490), predictions=7, target=True, pixels=4.5e6 / 4)
    pictures = many.frames * (9 + 14) + 9 + 7  # stacks and differences of every frame, projections
    assert pictures * (490 / many.step) ** 2 < 4.5e6 / 4


def test_a_run_keeps_its_style_in_all_plots(movie):
    roles = {"noisy": "noisy", "identity": "control", "mean": "control", "n2v": "algorithm"}
    assert run_styles(roles, [movie]) == {
        "noisy": "noisy",
        "target": "target",
        "identity": "control0",
        "mean": "control1",
        "n2v": "algorithm0",
    }


def test_a_single_image_is_pictured_without_what_only_a_movie_has(movie, tmp_path):
    image = movie_content(write_movie(tmp_path, frames=1))
    page = Elements(written(page_about(movie, movies=(image,)), tmp_path))
    assert "one image of 64 \u00d7 64 pixels" in page.text
    assert "What was removed" in page.text
    for heading in ("Moving pictures", "Standard deviation over time", "Mean of every frame", "Most active regions"):
        assert heading not in page.text


@pytest.mark.slow
def test_of_many_files_the_first_that_are_not_pictured_are_named_and_the_rest_counted(movie, tmp_path):
    movies = tuple(replace(movie, name=f"image_{index}.tif") for index in range(20))
    page = Elements(written(page_about(movie, movies=movies), tmp_path))
    assert "image_15.tif and 4 others" in page.text
    assert "image_16.tif" not in page.text
