"""Opens a page in headless Chromium and asks it questions, over the DevTools protocol."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    "--autoplay-policy=no-user-gesture-required",
)
_SECONDS_TO_WAIT = 30.0

STATE = """JSON.stringify({
  ready: document.readyState,
  title: document.title,
  images: [...document.images].map(i => ({complete: i.complete, width: i.naturalWidth, alt: i.alt})),
  videos: [...document.querySelectorAll('video')].map(v => ({
    readyState: v.readyState, duration: v.duration, width: v.videoWidth, height: v.videoHeight, paused: v.paused,
    autoplay: v.autoplay, time: v.currentTime, error: v.error && v.error.message, label: v.getAttribute('aria-label')})),
  resources: performance.getEntriesByType('resource').map(r => r.name),
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  headings: [...document.querySelectorAll('h1, h2, h3, h4')].map(h => Number(h.tagName[1])),
  uncaptioned: [...document.querySelectorAll('table')].filter(t => !t.caption || !t.caption.textContent.trim()).length,
  unnamed: [...document.querySelectorAll('[role=region], video, nav')].filter(e => !e.getAttribute('aria-label')).length,
  bare: [...document.querySelectorAll('th')].filter(h => !h.scope).length,
  dangling: [...document.querySelectorAll('a[href^="#"]')].filter(a => !document.getElementById(a.hash.slice(1))).length
})"""


class Browser:
    """One page in a browser; what it logs and requests is kept."""

    def __init__(self, address: str) -> None:
        websocket = pytest.importorskip("tornado.websocket", reason="comes with Luigi")
        ioloop = pytest.importorskip("tornado.ioloop", reason="comes with Luigi")
        self._loop = ioloop.IOLoop()
        self._socket = self._loop.run_sync(
            lambda: websocket.websocket_connect(address, max_message_size=1 << 28), timeout=_SECONDS_TO_WAIT
        )
        self._next = 0
        self.requests: List[str] = []
        self.console: List[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> Dict[str, Any]:
        """One command, and its answer; events on the way are kept."""
        self._next += 1
        self._socket.write_message(json.dumps({"id": self._next, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._loop.run_sync(self._socket.read_message, timeout=_SECONDS_TO_WAIT))
            if message.get("id") == self._next:
                return message.get("result", message)
            self._keep(message)

    def open(self, page: Path, *, width: int = 1280, height: int = 900) -> Dict[str, Any]:
        """Load a file and wait until its images are there and its videos play; returns the page's state."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        self.send("Page.navigate", url=page.resolve().as_uri())
        deadline = time.monotonic() + _SECONDS_TO_WAIT
        while time.monotonic() < deadline:
            state = self.ask(STATE)
            if state and _has_all(state):
                return state
            time.sleep(0.2)
        raise AssertionError(f"{page.name} is not whole after {_SECONDS_TO_WAIT:.0f} s: {state}")

    def ask(self, expression: str) -> Any:
        """The value of an expression that gives JSON; None while there is no document."""
        answer = self.send("Runtime.evaluate", expression=expression)
        return json.loads(answer.get("result", {}).get("value", "null"))

    def press(self, key: str, code: int) -> None:
        """One key, down and up."""
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """What the page looks like, as PNG; `whole`: with what lies below the window."""
        answer = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    def pdf(self, path: Path) -> None:
        """The page as it is printed."""
        answer = self.send("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)
        path.write_bytes(base64.b64decode(answer["data"]))

    def _keep(self, message: Dict[str, Any]) -> None:
        parameters = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        if message.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.console.append(json.dumps(parameters)[:500])


@contextlib.contextmanager
def open_browser(profile: Path) -> Iterator[Browser]:
    """A browser with an empty profile in that folder; skips the calling test, with the reason, where there is none."""
    program = next((found for found in map(shutil.which, _NAMES) if found), None)
    if program is None:
        pytest.skip("no Chromium is installed")
    command = [program, *_SWITCHES, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield Browser(_page_address(profile))
    finally:
        process.terminate()
        process.wait(_SECONDS_TO_WAIT)


def _has_all(state: Dict[str, Any]) -> bool:
    whole = (
        state["ready"] == "complete" and bool(state["title"]) and all(image["complete"] for image in state["images"])
    )
    return whole and all(
        video["readyState"] == 4 and (video["time"] > 0 or not video["autoplay"]) for video in state["videos"]
    )


def _page_address(profile: Path) -> str:
    """The browser writes the port that it listens on into its profile."""
    file = profile / "DevToolsActivePort"
    deadline = time.monotonic() + _SECONDS_TO_WAIT
    while not (file.exists() and file.read_text().strip()):
        if time.monotonic() > deadline:
            pytest.skip("Chromium is installed and does not start here")
        time.sleep(0.1)
    port = int(file.read_text().split()[0])
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"http://127.0.0.1:{port}/json/list", timeout=_SECONDS_TO_WAIT) as answer:
        pages = [target for target in json.load(answer) if target["type"] == "page"]
    return str(pages[0]["webSocketDebuggerUrl"])
