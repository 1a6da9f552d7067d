"""The pages in a real browser: they play, they fit, they are silent, they ask nobody, a keyboard is enough."""

from __future__ import annotations

import time

import pytest

from tcc.config import ReportConfig
from tcc.report import compare_runs, read_run, write_comparison, write_report
from tests.tcc.report_browser import STATE, open_browser
from tests.tcc.report_samples import make_clips, make_inputs, make_metric, make_metrics, make_seeds
from tests.tcc.test_report_comparison import write_run

TAB = 9
# The element that has the focus, and whether it can be seen.
FOCUS = """JSON.stringify((e => ({tag: e.tagName, text: (e.getAttribute('aria-label') || e.textContent).slice(0, 60),
  href: e.getAttribute('href'), outline: getComputedStyle(e).outlineStyle}))(document.activeElement))"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report with all that a page can have: nine clips, every metric, several seeds."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    metrics = make_metrics()
    metrics["phase_agreement"] = make_seeds(metrics["phase_agreement"], (0.8, 0.9))
    inputs = make_inputs(clips=make_clips(count=9), metrics=metrics)
    write_report(path, inputs, ReportConfig(video_pixels=64, grid_pixels=48))
    return path


@pytest.fixture
def browser(tmp_path):
    with open_browser(tmp_path / "profile") as opened:
        yield opened


def check_page(state):
    """What holds for every page at every width."""
    assert [image for image in state["images"] if not image["width"] > 0] == []
    assert [image for image in state["images"] if not image["alt"].strip()] == []
    assert state["overflow"] == 0
    assert (state["bare"], state["uncaptioned"], state["unnamed"], state["dangling"]) == (0, 0, 0, 0)
    assert state["resources"] == []
    headings = state["headings"]
    assert headings[0] == 1 and headings.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(headings, headings[1:]))


def check_silence(browser, page):
    assert browser.console == []
    assert page.as_uri() in browser.requests
    assert [address for address in browser.requests if not address.startswith(("data:", "file:"))] == []
    assert {address for address in browser.requests if address.startswith("file:")} == {page.as_uri()}


@pytest.mark.parametrize("width", [1440, 1280, 768, 390])
def test_the_report_works_in_chromium_on_wide_and_narrow_screens(page, browser, width):
    state = browser.open(page, width=width)
    check_page(state)
    grid, pair = state["videos"]
    assert (grid["readyState"], grid["paused"], grid["error"]) == (4, False, None)
    assert (pair["readyState"], pair["paused"], pair["error"]) == (4, True, None)
    # Steps of the reference at 10 per second, and 0.6 s that are held.
    durations = {round(len(clip) / 10 + 0.6, 2) for clip in make_clips(count=9)}
    assert round(grid["duration"], 2) in durations and round(pair["duration"], 2) in durations
    assert (grid["width"], pair["width"]) == (3 * 64 + 4 * 8, 3 * 86 + 2 * 8)
    assert all(
        video["height"] > 0 and f"{video['duration']:.1f} seconds" in video["label"] for video in state["videos"]
    )
    check_silence(browser, page)


def test_the_second_video_plays_once_it_is_asked_to(page, browser):
    browser.open(page)
    browser.ask("JSON.stringify(document.querySelectorAll('video')[1].play() && 0)")
    deadline = time.monotonic() + 20
    while browser.ask(STATE)["videos"][1]["time"] == 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_whoever_wants_less_motion_gets_a_video_that_waits(page, browser):
    browser.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    browser.send("Page.navigate", url=page.as_uri())
    deadline = time.monotonic() + 20
    while not (state := browser.ask(STATE)) or state["ready"] != "complete":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert [(video["paused"], video["time"]) for video in state["videos"]] == [(True, 0)] * 2


def test_a_keyboard_reaches_everything_in_the_order_of_the_page(page, browser):
    browser.open(page)
    reached = []
    for _ in range(400):
        browser.press("Tab", TAB)
        focus = browser.ask(FOCUS)
        if reached and focus == reached[0]:
            break
        # A video's own controls have the focus one after another.
        if not reached or focus["tag"] != "VIDEO" or focus["text"] != reached[-1]["text"]:
            reached.append(focus)
    assert (reached[0]["tag"], reached[0]["href"]) == ("A", "#results")
    places = {
        tag: [number for number, focus in enumerate(reached) if focus["tag"] == tag]
        for tag in ("VIDEO", "DIV", "SUMMARY")
    }
    assert len(places["VIDEO"]) == 2
    assert any("Metrics on the test split" in focus["text"] for focus in reached)
    assert reached.index(next(f for f in reached if "Metrics on the test split" in f["text"])) < places["VIDEO"][0]
    tables = browser.ask(
        "JSON.stringify([...document.querySelectorAll('.scroll')].filter(e => e.checkVisibility()).length)"
    )
    assert len(places["DIV"]) == tables
    summaries = browser.ask("JSON.stringify(document.querySelectorAll('summary').length)")
    assert len(places["SUMMARY"]) == summaries
    assert all(focus["outline"] != "none" for focus in reached if focus["tag"] in ("DIV", "SUMMARY", "A"))


def test_the_report_is_printed_with_all_that_is_folded(page, browser, tmp_path):
    browser.open(page)
    browser.send("Emulation.setEmulatedMedia", media="print")
    # A4 without margins of 1 cm, in CSS pixels.
    browser.send("Emulation.setDeviceMetricsOverride", width=718, height=1000, deviceScaleFactor=1, mobile=False)
    hidden = "[...document.querySelectorAll('details table')].filter(t => t.getBoundingClientRect().height < 20).length"
    wide = "Math.max(...[...document.querySelectorAll('table, img, video')].map(e => e.getBoundingClientRect().right))"
    assert browser.ask(f"JSON.stringify({hidden})") == 0
    assert browser.ask(f"JSON.stringify({wide})") <= 718
    browser.pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


def test_a_comparison_works_in_chromium(browser, tmp_path):
    runs = [write_run(tmp_path, "a"), write_run(tmp_path, "b", steps=7, kendalls_tau=make_metric("kendalls_tau", 0.95))]
    page = tmp_path / "comparison.html"
    write_comparison(page, compare_runs([read_run(run) for run in runs]))
    for width in (1280, 390):
        check_page(browser.open(page, width=width))
    check_silence(browser, page)
