"""`python -m pipeline diff`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.tcc.report_samples import make_metric
from tests.tcc.test_report_comparison import write_run

ROOT = Path(__file__).resolve().parents[2]


def pipeline(data, *arguments):
    command = [sys.executable, "-W", "ignore", "-m", "pipeline", *arguments]
    environment = {**os.environ, "TCC_EXECUTION_DATA": str(data)}
    answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    return answer.returncode, answer.stdout, answer.stderr


def test_runs_are_compared_as_text_and_as_a_page(tmp_path):
    write_run(tmp_path, "a")
    write_run(tmp_path, "b", kendalls_tau=make_metric("kendalls_tau", 0.95))
    code, told, _ = pipeline(tmp_path, "diff", "aaa", "bbb", "--to", str(tmp_path / "page.html"))
    assert code == 1
    assert "Kendall's tau        0.900  0.950  +0.050 better" in told
    assert told.endswith(f"page: {tmp_path / 'page.html'}\n")
    assert (tmp_path / "page.html").read_text().startswith("<!DOCTYPE html>")


def test_the_data_folder_may_be_an_option_behind_the_runs(tmp_path):
    write_run(tmp_path, "a")
    write_run(tmp_path, "b")
    code, told, _ = pipeline("elsewhere", "diff", "aaa", "bbb", "--execution-data", str(tmp_path))
    assert (code, told.splitlines()[0]) == (0, "A  pouring-aaaaaaaa")


def test_an_unknown_run_is_refused_in_one_line(tmp_path):
    code, _, error = pipeline(tmp_path, "diff", "aaa", "bbb")
    assert (code, error.count("\n")) == (2, 1)
    assert error.startswith("error: aaa: no evaluated run has this in its name")
