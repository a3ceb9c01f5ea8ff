"""The written file: complete, self-contained, the same bytes every time, and robust against odd content."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import tifffile
from report_examples import METRICS, board_of, movie_content, report_of, runs_of, write_movie

from evaluation.report.content import MovieContent, RunContent
from evaluation.report.leaderboard import write_leaderboard
from evaluation.report.page import write_report
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


def written(report, folder):
    path = folder / "report.html"
    write_report(report, path)
    return path.read_text("utf-8")


@pytest.mark.parametrize("page", ["report_page", "leaderboard_page"])
def test_nothing_outside_the_file_is_referred_to_but_dois(page, request):
    elements = Elements(request.getfixturevalue(page).read_text("utf-8"))
    assert all(one["src"].startswith("data:image/webp;base64,") for one in elements.of("img"))
    assert not [one for one in elements.of("script") if "src" in one]
    links = [one["href"] for one in elements.of("a")]
    outside = [link for link in links if ":" in link]
    assert all(link.startswith("https://doi.org/10.") for link in outside)
    assert [one["href"] for one in elements.of("link")] == ["data:,"]


def test_every_picture_has_an_alternative_text_and_every_plot_a_title(report_page):
    page = report_page.read_text("utf-8")
    assert all(one["alt"] for one in Elements(page).of("img"))
    plots = re.findall(r'<svg class="plot".*?</svg>', page, re.DOTALL)
    assert len(plots) == 7  # mean trace, four regions, one score, one training curve
    assert all(re.search(r"<title>[^<]+</title>", plot) for plot in plots)


def test_two_writes_give_the_same_bytes(movie, tmp_path):
    assert written(report_of(movie), tmp_path) == written(report_of(movie), tmp_path)


def test_texts_cannot_become_markup(files, tmp_path):
    hostile = "</script><img src=x onerror=alert(1)>\"'&"
    movie = movie_content(files, name=hostile, unit=hostile)
    report = report_of(
        movie, title=hostile, subtitle=hostile, warnings=(hostile,), record={hostile: {hostile: hostile}}
    )
    elements = Elements(written(report, tmp_path))
    assert not [one for one in elements.of("img") if one["src"] == "x"]
    assert len(elements.of("script")) == 1


def test_without_target_there_is_no_error_picture_and_the_headline_says_so(files, tmp_path):
    scored = movie_content(files)
    runs = tuple(
        RunContent(name=run.name, title=run.title, role=run.role, scores={"test": only_noise(run)})
        for run in runs_of(scored)
    )
    movie = movie_content(files, target=None, frame_scores={}, frame_rate_hz=None)
    text = Elements(written(report_of(scored, runs=runs, movies=(movie,)), tmp_path)).text
    assert "No clean target was given" in text
    assert "what is wrong" not in text
    assert "frame rate not stated" in text


def only_noise(run):
    return {"noise_sd": run.scores["test"]["noise_sd"]}


def test_a_run_that_did_not_converge_is_shown_with_its_reason(files, tmp_path):
    movie = movie_content(files, predictions={})
    failed = RunContent(
        name="n2v", title="Noise2Void", role="algorithm", status="did not converge", reason="loss is not a number"
    )
    page = written(report_of(movie, runs=(*runs_of(movie)[:2], failed)), tmp_path)
    text = Elements(page).text
    assert text.count("did not converge") == 3  # in the headline and in both tables
    assert "loss is not a number" in text
    assert 'value="slider"' in page  # noisy and target can still be compared


def test_a_prediction_that_is_not_a_number_is_shown_and_warned_about(files, tmp_path):
    stack = tifffile.imread(files.prediction)
    stack[10:] = np.nan
    stack[3], stack[4, 0, :2] = np.inf, (np.inf, -np.inf)
    path = tmp_path / "nan.tif"
    tifffile.imwrite(path, stack, photometric="minisblack", metadata={"axes": "TYX"})
    text = Elements(written(report_of(movie_content(files, predictions={"n2v": path})), tmp_path)).text
    assert "movie_001.tif, n2v: 32 frames hold pixels that are not finite numbers" in text


@pytest.mark.parametrize("shape", [(1, 40, 40), (2, 33, 70), (3, 8, 8)])
def test_a_very_short_or_small_movie_is_no_special_case(shape, tmp_path):
    path = tmp_path / "tiny.tif"
    tifffile.imwrite(path, np.random.default_rng(5).integers(0, 999, shape).astype(np.uint16), photometric="minisblack")
    movie = MovieContent(name="tiny.tif", split="test", noisy=path, predictions={"n2v": path})
    assert "tiny.tif" in written(report_of(movie_without_files(), movies=(movie,)), tmp_path)


def test_a_report_without_movies_scores_or_record_can_be_written(tmp_path):
    noisy = RunContent(name="noisy", title="noisy", role="noisy")
    report = report_of(movie_without_files(), runs=(noisy,), movies=(), record={})
    assert "Nothing was scored" in written(report, tmp_path)


def movie_without_files():
    scores = {name: {"si_psnr": [1.0, math.nan]} for name in ("noisy", "mean", "n2v")}
    return MovieContent(name="", split="", noisy=None, predictions={}, frame_scores=scores)


def test_movies_beyond_the_fourth_are_named_but_not_pictured(files, tmp_path):
    movies = tuple(movie_content(files, name=f"movie_{index}.tif") for index in range(5))
    text = Elements(written(report_of(movies[0], movies=movies), tmp_path)).text
    assert "not pictured, to keep this file small: movie_4.tif" in text


def test_bad_input_leaves_no_file_behind(files, tmp_path):
    movie = movie_content(files, predictions={"n2v": tmp_path / "missing.tif"})
    for write, content in ((write_report, report_of(movie)), (write_leaderboard, board_of(movie))):
        with pytest.raises(BadInput):
            write(content, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_the_record_stands_on_the_page_as_json(report_page):
    page = report_page.read_text("utf-8")
    assert "&#34;num_epochs&#34;: 100" in page
    assert "ab" * 32 in page


def test_a_leaderboard_says_every_verdict_in_words(leaderboard_page):
    text = Elements(leaderboard_page.read_text("utf-8")).text
    for verdict in ("reproduced", "within seed spread", "deviates", "not comparable", "not published"):
        assert verdict in text
    assert "SI-PSNR: ours against published" in text


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
    assert len(METRICS) == 3


def test_a_single_image_is_pictured_without_what_only_a_movie_has(movie, tmp_path):
    image = movie_content(write_movie(tmp_path, frames=1))
    page = Elements(written(report_of(movie, movies=(image,)), tmp_path))
    assert "one image of 64 \u00d7 64 pixels" in page.text
    assert "What was removed" in page.text
    for heading in ("Moving pictures", "Standard deviation over time", "Mean of every frame", "Scores over time"):
        assert heading not in page.text


def test_of_many_files_the_first_that_are_not_pictured_are_named_and_the_rest_counted(movie, tmp_path):
    movies = tuple(replace(movie, name=f"image_{index}.tif") for index in range(20))
    page = Elements(written(report_of(movie, movies=movies), tmp_path))
    assert "image_15.tif and 4 others" in page.text
    assert "image_16.tif" not in page.text
