"""The pages in headless Chromium: drawn, clicked, dragged and typed at as a reader does."""

from __future__ import annotations

import http.server
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

PAGES = ["report_page", "study_page_file"]
SPREAD_OF_A_PICTURE = 10.0  # grey levels; an empty or one-coloured picture has 0
TABLE = ".scores"
LEFT_PANE = ".frame:not([hidden]) .intensities .at-left .window"


@contextmanager
def listening():
    visitors = []

    class Count(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            visitors.append(self.path)

    server = http.server.HTTPServer(("127.0.0.1", 0), Count)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_port, visitors
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def report(browser, report_page):
    browser.open(report_page)
    return browser


@pytest.fixture
def study(browser, study_page_file):
    browser.open(study_page_file)
    return browser


def column(browser, table, index):
    rows = "[...document.querySelectorAll(arguments[0] + ' tbody tr')]"
    return browser.run(f"return {rows}.map(row => row.children[arguments[1]].innerText)", table, index)


def names(browser, table):
    return [text.split("\n")[0] for text in column(browser, table, 0)]


def cut_percent(browser):
    return float(browser.run("return document.querySelector('.viewer').style.getPropertyValue('--cut')").rstrip("%"))


def zoom_of(browser):
    return browser.run(
        "const m = new DOMMatrix(getComputedStyle(document.querySelector(arguments[0] + ' img')).transform);"
        "return [m.a, m.e, m.f]",
        LEFT_PANE,
    )


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_requested_and_nothing_is_wrong_in_the_console(page, browser, request):
    path = request.getfixturevalue(page)
    browser.open(path)
    assert browser.requested() == [path.as_uri()]
    assert browser.console_errors() == []


def test_the_policy_of_the_page_forbids_all_requests(report):
    with listening() as (port, visitors):
        report.run("const i = new Image(); i.src = arguments[0]; document.body.append(i)", f"http://127.0.0.1:{port}/")
        assert any("Content Security Policy" in message for message in report.console_errors())
    assert visitors == []


@pytest.mark.parametrize("page", PAGES)
def test_every_picture_is_decoded(page, browser, request):
    browser.open(request.getfixturevalue(page))
    widths = browser.run("return [...document.images].map(i => i.naturalWidth)")
    assert len(widths) == 12 + 12 + 6 + 24 + 1  # 3 frames x 4 stacks, 3 x 4 differences, projections, crops, preview
    assert min(widths) >= 17


@pytest.mark.parametrize("selector", [LEFT_PANE, ".removed .window", ".crops img", ".preview", ".plot"])
def test_what_is_drawn_has_content(report, selector):
    range_of_drawn(report)
    assert report.picture(selector).std() > SPREAD_OF_A_PICTURE


def test_the_divider_moves_the_border_between_the_two_pictures(report):
    before = report.picture(".stage")
    assert cut_percent(report) == 50
    report.drag(LEFT_PANE, 0.5, 0.2)
    assert cut_percent(report) == pytest.approx(20, abs=1)
    after = report.picture(".stage")
    rows, columns = before.shape[:2]
    middle = (slice(rows // 4, None), slice(int(columns * 0.25), int(columns * 0.45)))
    assert np.abs(before[middle].astype(int) - after[middle]).mean() > 3  # noisy gave way to the prediction
    far = (slice(rows // 4, None), slice(int(columns * 0.6), int(columns * 0.95)))
    assert np.abs(before[far].astype(int) - after[far]).max() <= 4  # the same picture, drawn twice


def test_the_divider_works_by_keyboard_and_says_where_it_is(report):
    report.press(".divider", "\ue012" * 4)  # four times the left arrow key, half a percent each
    assert cut_percent(report) == 48
    said = report.run("return document.querySelector('.divider').getAttribute('aria-valuetext')")
    assert said == "48 % noisy, the rest n2v"


def test_another_frame_can_be_chosen_for_intensities_and_differences(report):
    shown = "return [...document.querySelectorAll('.frame:not([hidden])')].map(f => f.dataset.frame)"
    assert report.run(shown) == ["0", "0"]
    first = report.picture(".stage")
    report.click("input.choose-frame[value='1']")
    assert report.run(shown) == ["1", "1"]
    assert not np.array_equal(first, report.picture(".stage"))


def test_side_by_side_shows_all_stacks_in_one_row(report):
    boxes = (
        "return [...document.querySelectorAll('.frame:not([hidden]) .intensities .pane')]"
        ".filter(p => p.checkVisibility()).map(p => [p.dataset.name, p.getBoundingClientRect().top])"
    )
    assert [name for name, _ in report.run(boxes)] == ["noisy", "n2v"]
    report.click("input.choose-view[value=side]")
    shown = report.run(boxes)
    assert [name for name, _ in shown] == ["noisy", "n2v", "mean", "target"]
    assert len({top for _, top in shown}) == 1


def test_the_right_picture_can_be_changed_to_the_target(report):
    report.press("select.right", "target")
    assert report.run("return document.querySelector('.frame:not([hidden]) .at-right').dataset.name") == "target"


def test_zoom_enlarges_all_pictures_together_and_a_drag_moves_them(report):
    report.press("input.zoom", "\ue014\ue014")  # right arrow key, half a step each
    assert zoom_of(report)[0] == 2
    report.click("input.choose-view[value=side]")
    _, x, y = zoom_of(report)
    report.drag(LEFT_PANE, 0.3, 0.5)
    _, moved_x, moved_y = zoom_of(report)
    assert moved_x > x
    assert moved_y == y
    places = report.run(
        "return [...document.querySelectorAll('.frame:not([hidden]) .intensities img')]"
        ".map(i => { const m = new DOMMatrix(getComputedStyle(i).transform); return [m.a, m.e, m.f]; })"
    )
    assert len(places) == 4
    np.testing.assert_allclose(places, [places[0]] * 4, atol=0.1)  # px; the columns differ by less than that


def test_zoom_and_moving_work_by_keyboard(report):
    report.press(".stage", "++")
    scale, x, _ = zoom_of(report)
    assert scale == 4
    report.press(".stage", "\ue014")
    assert zoom_of(report)[1] < x
    report.press(".stage", "--")
    assert zoom_of(report) == [1, 0, 0]


def test_a_click_on_a_heading_sorts_best_first_and_a_second_click_turns_the_order(report):
    assert names(report, TABLE) == ["Noisy movie", "Mean", "Noise2Void"]
    report.click(".scores th:nth-child(2) button")
    assert names(report, TABLE) == ["Noise2Void", "Mean", "Noisy movie"]
    order = "return document.querySelector('.scores th:nth-child(2)').getAttribute('aria-sort')"
    assert report.run(order) == "descending"
    report.click(".scores th:nth-child(2) button")
    assert names(report, TABLE) == ["Noisy movie", "Mean", "Noise2Void"]
    report.click(".scores th:nth-child(1) button")
    assert names(report, TABLE) == ["Mean", "Noise2Void", "Noisy movie"]


def test_runs_without_a_score_stay_last_in_both_orders(study):
    for _ in range(2):
        study.click(".judged th:nth-child(2) button")
        assert names(study, ".judged")[-1] == "MOUSENEU_LP_CELLMINCER_1"
    assert names(study, ".judged")[0] == "MOUSENEU_LP_N2N_1"


def test_a_click_on_a_heading_of_the_study_changes_the_order_and_a_second_click_turns_it(study):
    given = names(study, ".judged")
    study.click(".judged th:nth-child(1) button")
    by_name = names(study, ".judged")
    assert by_name == sorted(given, key=str.lower)  # as a dictionary sorts
    assert by_name != given
    study.click(".judged th:nth-child(1) button")
    assert names(study, ".judged") == by_name[::-1]


def test_the_best_value_is_bold_and_says_best(report):
    best = report.run(
        "return [...document.querySelectorAll('.scores td.best')]"
        ".map(cell => [cell.innerText, getComputedStyle(cell).fontWeight])"
    )
    assert len(best) == 2
    assert all("best" in text and weight == "700" for text, weight in best)


def test_dark_and_light_follow_the_reader(report):
    light = report.picture("header").mean()
    report.set_media("screen", "dark")
    assert light > 180
    assert report.picture("header").mean() < 80


def test_print_shows_all_pictures_and_no_controls(report):
    report.set_media("print", "dark")
    report.run("window.dispatchEvent(new Event('beforeprint'))")
    visible = "return [...document.querySelectorAll(arguments[0])].filter(e => e.checkVisibility()).length"
    assert report.run(visible, ".frame:not([hidden]) .intensities .pane") == 4
    assert report.run(visible, ".tools, .plot-tools, .divider, nav") == 0
    assert report.picture("header").mean() > 180
    report.run("window.dispatchEvent(new Event('afterprint'))")
    assert report.run("return document.querySelector('.viewer').dataset.view") == "slider"


@pytest.mark.parametrize("pixels", [360, 1300, 1920])
@pytest.mark.parametrize("page", [*PAGES, "long_page_file"])
def test_everything_fits_at_three_widths(page, pixels, browser, request):
    browser.open(request.getfixturevalue(page))
    cut = "return [...document.querySelectorAll(arguments[0])].filter(e => e.scrollWidth > e.clientWidth + 1).length"
    with browser.width(pixels):
        assert browser.run("document.querySelectorAll('details').forEach(d => { d.open = true; })") is None
        assert browser.run(cut, "html, .scroll, td, th, .headline, .paths dd") == 0
        shown = "return [...document.querySelectorAll('.scores td')].filter(e => e.checkVisibility()).length"
        assert browser.run(shown) > 4
    if pixels == 360:
        with browser.width(pixels):
            label = "return getComputedStyle(document.querySelector('.scores td'), '::before').content"
            assert browser.run(label) == '"SI-PSNR (dB)"'


def shown_values(browser):
    return browser.run(
        "return [...document.querySelector('.plot').querySelectorAll('.u-value')].map(v => v.innerText.trim())"
    )


def range_of(browser):
    return browser.run("const p = document.querySelector('.plot').plot; return [p.scales.x.min, p.scales.x.max]")


def test_a_plot_tells_values_under_the_pointer_and_a_drag_zooms(report):
    whole = range_of_drawn(report)
    report.drag(".plot .u-over", 0.25, 0.5)
    low, high = range_of(report)
    assert whole[0] < low < high < whole[1]
    assert all(shown_values(report))
    report.click(".plot-tools button")
    assert range_of(report) == whole


def range_of_drawn(browser):
    browser.run("document.querySelector('.plot').scrollIntoView({block: 'center'})")
    wait(lambda: browser.run("return Boolean(document.querySelector('.plot').plot)"))
    return range_of(browser)


def wait(ready):
    deadline = time.monotonic() + 20
    while not ready():
        assert time.monotonic() < deadline


def test_a_plot_is_read_and_zoomed_by_keyboard(report):
    whole = range_of_drawn(report)
    report.press(".plot", "\ue014")  # right arrow key
    first = shown_values(report)
    assert all(first)
    report.press(".plot", "\ue014")
    assert shown_values(report) != first
    report.press(".plot", "+")
    low, high = range_of(report)
    assert high - low < whole[1] - whole[0]
    report.press(".plot", "\ue00c")  # Escape
    assert range_of(report) == whole


def saved(browser, selector):
    """Click what downloads, and return the names and texts that it would have saved."""
    browser.run(
        "window.saved = []; URL.createObjectURL = b => { b.text().then(t => window.saved.push(t)); return '#'; };"
        "HTMLAnchorElement.prototype.click = function () { window.saved.unshift(this.download); };"
    )
    browser.click(selector)
    wait(lambda: browser.run("return window.saved.length") == 2)
    return browser.run("return window.saved")


def test_the_table_and_the_values_of_a_plot_are_downloaded_as_csv(report):
    name, text = saved(report, ".save-table")
    assert name == "scores_demo_test_movies.csv"
    assert text.splitlines()[0] == "Run,SI-PSNR (dB),SSIM,Noise sd (grey levels)"
    assert [line.partition(",")[0] for line in text.splitlines()[1:]] == ["Noisy movie", "Mean", "Noise2Void"]
    range_of_drawn(report)
    name, text = saved(report, ".plot-tools button:nth-of-type(2)")
    assert text.splitlines()[0] == "time (s),noisy,n2v,mean,target"
    assert len(text.splitlines()) == 1 + 40


def test_pictures_traces_and_moving_pictures_of_a_movie_are_downloaded(report):
    _, text = saved(report, ".save-traces")
    lines = text.splitlines()
    assert lines[0] == "region,stack,x,value"
    assert {line.split(",")[-3] for line in lines[1:]} == {"noisy", "n2v", "mean", "target"}
    report.run(
        "window.saved = [];"
        "HTMLAnchorElement.prototype.click = function () { window.saved.push(this.download, this.href.slice(0, 15)); };"
    )
    report.click(".save-figure")
    report.click(".save-preview")
    figure, figure_data, preview, preview_data = report.run("return window.saved")
    assert (figure.endswith(".png"), figure_data) == (True, "data:image/png;")
    assert preview_data.startswith("data:image/" + preview.rpartition(".")[2])


def test_copy_gives_the_whole_path(report, files):
    report.run("navigator.clipboard.writeText = text => { window.copied = text; return Promise.resolve(); }")
    report.click("button.copy")
    assert report.run("return window.copied") == str(files.prediction)


def test_verdicts_have_colour_and_word(study):
    chips = study.run(
        "return [...document.querySelectorAll('.judged .tag:not(.best):not(.bad)')]"
        ".map(t => [t.innerText, getComputedStyle(t).color])"
    )
    words = {text.split(" ", 1)[1] for text, _ in chips}
    assert words == {"reproduced", "within seed spread", "deviates", "not comparable", "not published"}
    assert len({colour for _, colour in chips}) == 5
