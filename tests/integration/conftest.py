"""RunAll on a tiny rendered set, as a user would start it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Project:
    """One data folder and the commands that work on it."""

    def __init__(self, data, port=None):
        self.data, self.port = data, port

    def command(self, task="RunAll", *arguments):
        scheduler = ["--local-scheduler"] if self.port is None else ["--scheduler-port", str(self.port)]
        return [sys.executable, "-m", "luigi", "--module", "pipeline", task, *scheduler, *arguments]

    def environment(self, **variables):
        own = {
            "LUIGI_CONFIG_PATH": str(ROOT / "examples" / "recipes" / "tiny.cfg"),
            "TCC_EXECUTION_DATA": str(self.data),
            "PYTHONPATH": str(ROOT),
        }
        return {**os.environ, **own, **variables}

    def run(self, task="RunAll", *arguments, **variables):
        """(exit code, what it printed)."""
        return self._answer(self.command(task, *arguments), variables)

    def python(self, *words, **variables):
        """The same of `python -m pipeline`."""
        return self._answer([sys.executable, "-m", "pipeline", *words], variables)

    def _answer(self, command, variables):
        answer = subprocess.run(command, cwd=ROOT, env=self.environment(**variables), capture_output=True, text=True)
        return answer.returncode, answer.stdout + answer.stderr

    def start(self, task="RunAll", *arguments, **variables):
        command, environment = self.command(task, *arguments), self.environment(**variables)
        with open(f"{self.data}.log", "a") as log:
            return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)

    def log(self):
        """What the commands of `start` printed."""
        return Path(f"{self.data}.log").read_text()

    def manifests(self):
        """Target -> its manifest."""
        paths = sorted(self.data.glob("*/*/manifest.json"))
        return {f"{path.parent.parent.name}/{path.parent.name}": json.loads(path.read_text()) for path in paths}

    def results(self):
        """Target -> the part of its manifest that must repeat."""
        return {target: manifest["result"] for target, manifest in self.manifests().items()}


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A project whose RunAll has finished undisturbed."""
    project = Project(tmp_path_factory.mktemp("finished") / "data")
    code, told = project.run()
    assert code == 0, told
    return project


@pytest.fixture
def project(tmp_path):
    """A project in which nothing was done yet."""
    return Project(tmp_path / "data")
