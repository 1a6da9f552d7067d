"""Make docs/images/scheduler.png: the scheduler's page while RunAll trains on a tiny set; needs Chromium.

python scripts/picture_of_the_scheduler.py
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
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
PICTURE = ROOT / "docs" / "images" / "scheduler.png"
SIZE = "1280,860"
SET = {"TCC_TRAINING_NUM_STEPS": "6000", "TCC_TRAINING_CHECKPOINT_EVERY": "1000", "TCC_VIDEOS_NAME": "pouring"}
_SECONDS_TO_TRAIN = 300.0
_PERCENT = 30


def main() -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        sys.exit("no Chromium found: install it (Debian: apt-get install chromium)")
    with tempfile.TemporaryDirectory() as folder:
        own = {**SET, "TCC_EXECUTION_DATA": folder, "LUIGI_CONFIG_PATH": "examples/recipes/tiny.cfg"}
        variables = {**os.environ, **own, "PYTHONPATH": str(ROOT)}
        port = _free_port()
        with _running([sys.executable, "-m", "pipeline", "scheduler", "--port", str(port)], variables):
            luigi = [sys.executable, "-m", "luigi", "--module", "pipeline", "RunAll", "--scheduler-port", str(port)]
            with _running(luigi, variables):
                _wait_for_training(port)
                _take(browser, f"http://127.0.0.1:{port}/static/visualiser/index.html", Path(folder))
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
            if any(one["name"] == "TrainTask" and (one.get("progress") or 0) >= _PERCENT for one in tasks):
                return
    sys.exit("the training did not come far enough")


def _running_tasks(port: int) -> Dict[str, Any]:
    question = urllib.parse.quote(json.dumps({"status": "RUNNING", "upstream_status": "", "search": ""}))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/task_list?data={question}", timeout=5) as answer:
        return dict(json.load(answer)["response"])


def _take(browser: str, address: str, folder: Path) -> None:
    picture = folder / "picture.png"
    switches = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={SIZE}"]
    subprocess.run(
        [browser, *switches, "--virtual-time-budget=6000", f"--screenshot={picture}", address],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(picture, PICTURE)


if __name__ == "__main__":
    main()
