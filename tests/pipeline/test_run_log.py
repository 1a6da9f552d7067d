"""What a run tells: its log, its report of failures, further attempts, alerts. The toy pipeline, as a user starts it."""

from __future__ import annotations

import errno
import http.server
import json
import socket
import threading

import pytest

from pipeline.failures import _without_secrets, may_pass
from tcc.config import AlertsConfig
from tcc.errors import DownloadError, SettingsError, TrainingDiverged
from tests.pipeline.test_stage_task import manifests, run


def lines(data):
    (path,) = data.glob("logs/*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_attempt_is_a_line_with_what_it_took(tmp_path):
    assert run(tmp_path, "ToySecond").returncode == 0
    first, second = lines(tmp_path)
    assert [first["task"], second["task"]] == ["ToyFirst", "ToySecond"]
    for line in (first, second):
        assert line["exit"] == 0 and line["error"] is None and line["attempt"] == 1
        assert line["host"] == socket.gethostname() and line["pid"] > 0
        assert line["peak_memory_bytes"] > 5_000_000 and line["seconds"] > 0 and line["start"] < line["end"]
        assert {"python", "luigi"} <= set(line["versions"])
    assert first["target"].startswith("toy_first/toy_first-")


def test_a_run_with_nothing_to_do_leaves_no_log(tmp_path):
    run(tmp_path, "ToySecond")
    run(tmp_path, "ToySecond")
    assert len(lines(tmp_path)) == 2


def test_a_killed_process_is_tried_again_and_the_end_is_the_same(tmp_path):
    assert run(tmp_path / "whole", "ToyFirst").returncode == 0
    answer = run(tmp_path / "killed", "ToyFirst", TOY_FAULT="kill:1", TCC_EXECUTION_RETRY_SECONDS="0")
    assert answer.returncode == 0, answer.stdout
    assert "again in 0 s (1 of 2)" in answer.stdout
    assert [(line["attempt"], line["exit"]) for line in lines(tmp_path / "killed")] == [(1, -9), (2, 0)]
    results = [[one["result"] for one in manifests(tmp_path / name).values()] for name in ("whole", "killed")]
    assert results[0] == results[1]


@pytest.mark.parametrize("fault", ["refuse:1", "raise:1"])
def test_what_will_not_pass_is_not_tried_again_and_is_reported_with_its_log(tmp_path, fault):
    assert run(tmp_path, "ToyFirst", TOY_FAULT=fault).returncode == 30
    (line,) = lines(tmp_path)
    assert line["exit"] == 1 and line["error"]
    (report,) = tmp_path.glob("logs/*.failures.txt")
    text = report.read_text()
    assert line["error"].splitlines()[0] in text
    assert "last lines of the log:" in text and "the work of process" in text


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.EIO, "I/O"), True),
        (OSError(errno.ESTALE, "stale"), True),
        (ConnectionResetError(errno.ECONNRESET, "reset"), True),
        (OSError(errno.ENOSPC, "full"), False),
        (OSError(errno.EROFS, "read-only"), False),
        (PermissionError(errno.EACCES, "no"), False),
        (ValueError("x"), False),
        (TrainingDiverged("nan"), False),
        (DownloadError("no address gave it"), False),
    ],
)
def test_what_may_pass(error, expected):
    assert may_pass(error) is expected


class Listener(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, json.loads(body)))
        self.send_response(500 if "broken" in self.path else 200)
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def listener():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    server.got = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def everything_written(data, told):
    return told + "".join(path.read_text(errors="replace") for path in data.rglob("*") if path.is_file())


def test_a_failure_is_posted_and_the_address_is_nowhere(tmp_path, listener):
    address = f"http://127.0.0.1:{listener.server_port}/hook/verysecret"
    answer = run(tmp_path, "ToyFirst", TOY_FAULT="refuse:1", TCC_ALERTS_WEBHOOK=address)
    ((path, message),) = listener.got
    assert path == "/hook/verysecret"
    assert message["task"] == "ToyFirst" and "the toy refuses it; correct it" in message["text"]
    assert "verysecret" not in everything_written(tmp_path, answer.stdout)


def test_no_failure_no_message(tmp_path, listener):
    address = f"http://127.0.0.1:{listener.server_port}/hook"
    assert run(tmp_path, "ToyFirst", TCC_ALERTS_WEBHOOK=address).returncode == 0
    assert listener.got == []


@pytest.mark.parametrize("reachable", [True, False])
def test_a_webhook_that_does_not_work_changes_nothing_and_stays_secret(tmp_path, listener, reachable):
    port = listener.server_port if reachable else 1
    address = f"http://127.0.0.1:{port}/broken/verysecret"
    answer = run(tmp_path, "ToyFirst", "--alerts-webhook", address, TOY_FAULT="refuse:1")
    assert answer.returncode == 30
    assert "the webhook of [alerts]" in answer.stdout
    assert "verysecret" not in everything_written(tmp_path, answer.stdout)


def test_a_wrong_address_is_refused_and_not_shown():
    with pytest.raises(SettingsError, match="webhook: must begin with https://") as error:
        AlertsConfig(webhook="verysecret")
    assert "verysecret" not in str(error.value)


def test_secrets_of_a_command_line_are_left_out():
    assert _without_secrets(["--a", "b", "--alerts-webhook", "x"]) == ["--a", "b", "--alerts-webhook", "..."]
    assert _without_secrets(["--alerts-webhook=x", "--c"]) == ["--alerts-webhook=...", "--c"]
