"""Make docs/images/scheduler.png: the scheduler's page while a tiny set is trained on. Needs Chromium and requirements-dev.txt.

python scripts/picture_of_the_scheduler.py
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Dict, Iterator, List

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.tcc.report_browser import open_browser  # noqa: E402

PICTURE = ROOT / "docs" / "images" / "scheduler.png"
SIZE = {"width": 1280, "height": 720}
SET = {"TCC_TRAINING_NUM_STEPS": "6000", "TCC_TRAINING_CHECKPOINT_EVERY": "1000", "TCC_VIDEOS_NAME": "pouring"}
_SECONDS_TO_TRAIN = 300.0
_PERCENT = 30


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        own = {**SET, "TCC_EXECUTION_DATA": folder, "LUIGI_CONFIG_PATH": "examples/recipes/tiny.cfg"}
        variables = {**os.environ, **own, "PYTHONPATH": str(ROOT)}
        port = _free_port()
        with _running([sys.executable, "-m", "pipeline", "scheduler", "--port", str(port)], variables):
            luigi = [sys.executable, "-m", "luigi", "--module", "pipeline", "RunAll", "--scheduler-port", str(port)]
            with _running(luigi, variables):
                _wait_for_training(port)
                _take(f"http://127.0.0.1:{port}/static/visualiser/index.html", Path(folder))
    print(PICTURE)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


@contextlib.contextmanager
def _running(command: List[str], variables: Dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        command, cwd=ROOT, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _wait_for_training(port: int) -> None:
    until = time.monotonic() + _SECONDS_TO_TRAIN
    while time.monotonic() < until:
        time.sleep(0.5)
        with contextlib.suppress(OSError):
            tasks = _running_tasks(port).values()
            if any(one["name"] == "TrainTask" and (one["progress_percentage"] or 0) >= _PERCENT for one in tasks):
                return
    sys.exit("the training did not come far enough")


def _running_tasks(port: int) -> Dict[str, Any]:
    question = urllib.parse.quote(json.dumps({"status": "RUNNING", "upstream_status": "", "search": ""}))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/task_list?data={question}", timeout=5) as answer:
        return dict(json.load(answer)["response"])


def _take(address: str, folder: Path) -> None:
    """The page, with what the training says of itself, as a click on its status button shows it."""
    with open_browser(folder / "profile") as browser:
        browser.send("Emulation.setDeviceMetricsOverride", **SIZE, deviceScaleFactor=1, mobile=False)
        browser.send("Page.navigate", url=address)
        time.sleep(4)
        browser.ask("JSON.stringify(document.querySelector('td .statusMessage').click())")
        time.sleep(2)
        PICTURE.parent.mkdir(parents=True, exist_ok=True)
        browser.screenshot(PICTURE)


if __name__ == "__main__":
    main()
