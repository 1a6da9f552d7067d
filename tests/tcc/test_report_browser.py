"""The page in a real browser: it plays, it fits, it is silent, it asks nobody."""

from __future__ import annotations

import pytest

from tcc.config import ReportConfig
from tcc.report import write_report
from tests.tcc.report_browser import open_browser
from tests.tcc.report_samples import make_inputs


@pytest.mark.slow
def test_the_page_works_in_chromium_on_wide_and_narrow_screens(tmp_path):
    page = tmp_path / "report.html"
    write_report(page, make_inputs(), ReportConfig(video_pixels=64))
    with open_browser(tmp_path / "profile") as browser:
        states = [browser.open(page, width=width) for width in (1440, 768, 375)]
        requests, console = browser.requests, browser.console
    for state in states:
        (video,) = state["videos"]
        assert (video["readyState"], video["paused"], video["error"]) == (4, False, None)
        # 42 steps at 10 per second and 0.6 s that are held.
        assert video["duration"] == pytest.approx(4.8, abs=0.01)
        assert (video["width"], video["height"]) == (3 * 86 + 16, 126)
        assert [image["width"] > 100 for image in state["images"]] == [True] * 3
        assert state["overflow"] == 0
        assert state["bare"] == 0
        assert state["dangling"] == 0
        assert state["resources"] == []
    assert console == []
    assert page.as_uri() in requests
    assert [address for address in requests if not address.startswith(("data:", "file:"))] == []
