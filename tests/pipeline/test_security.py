"""What a file or a setting says is never run, never leaves its folder, and secrets are told to nobody."""

from __future__ import annotations

import csv
import email
import email.policy
import json
import os
import socketserver
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import h5py
import numpy as np
import psutil
import pytest

from pipeline.failures import _without_secrets
from tcc.download import download_file
from tcc.embedding_folder import read_embedding_folder
from tcc.errors import DownloadError, TccError
from tcc.sequences import load_sequences
from tcc.weights import files as weights
from tcc.weights.h5 import load_keras
from tests.pipeline.test_run_log import everything_written
from tests.pipeline.test_scheduler import scheduler  # noqa: F401
from tests.pipeline.test_stage_task import ROOT, environment, run


class Bomb:
    """Whose pickle makes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda path: weights.load(path), id="weights"),
        pytest.param(lambda path: load_sequences(path), id="sequences"),
        pytest.param(lambda path: load_sequences(path, in_memory=False), id="stored sequences"),
        pytest.param(lambda path: read_embedding_folder(path.parent.parent), id="embeddings"),
    ],
)
def test_a_pickle_in_an_npz_is_not_loaded(tmp_path, read):
    folder = tmp_path / "embeddings" / "train"
    folder.mkdir(parents=True)
    bomb = np.array([Bomb(tmp_path / "hacked")], dtype=object)
    np.savez(folder / "a.npz", **dict.fromkeys(("embeddings", "format", "names", "w", "timestamps"), bomb))
    with pytest.raises(TccError):
        read(folder / "a.npz")
    assert not (tmp_path / "hacked").exists()


def test_weights_of_keras_do_not_reach_into_other_files(tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["kernel"] = np.arange(3.0)
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file.attrs["layer_names"] = [b"conv1_conv"]
        group = file.create_group("conv1_conv")
        group.attrs["weight_names"] = [b"conv1_conv/kernel:0"]
        group["conv1_conv/kernel:0"] = h5py.ExternalLink(str(secret), "kernel")
    with pytest.raises(TccError):
        load_keras(tmp_path / "weights.h5", {"conv1_conv/kernel": (3,)}, network="resnet50v2")


HOSTILE = [
    "; touch hacked ;",
    "$(touch hacked)",
    "`touch hacked`",
    "--help",
    "-rf",
    "a b'\"c",
    "a..b",
    "x\ny",
    "%(x)s",
]


def write_video(path, shade=0):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for number in range(12):
        writer.write(np.full((48, 64, 3), 20 * number + shade, np.uint8))
    writer.release()


def test_names_of_videos_and_phases_start_nothing_and_stay_in_the_data_folder(tmp_path):
    videos, data = tmp_path / "videos", tmp_path / "run" / "data"
    videos.mkdir()
    data.parent.mkdir()
    for shade, name in enumerate(HOSTILE):
        write_video(tmp_path / "one.avi", 3 * shade)
        os.rename(tmp_path / "one.avi", videos / f"{name}.avi")
    with open(tmp_path / "labels.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["clip", "start_seconds", "end_seconds", "phase", "split"])
        for name in HOSTILE:
            rows.writerow([f"{name}.avi", 0, 0.5, "../../../escaped", "train"])
            rows.writerow([f"{name}.avi", 0.5, 1.2, "$(touch hacked)", "train"])
    quick = {
        "TCC_VIDEOS_SOURCE": "folder",
        "TCC_VIDEOS_PATH": str(videos),
        "TCC_VIDEOS_LABELS": str(tmp_path / "labels.csv"),
        "TCC_VIDEOS_NAME": "../../$(touch hacked)",
        "TCC_EXECUTION_DATA": str(data),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "luigi", "--module", "pipeline", "ExportTask", "--split", "train"]
    answer = subprocess.run(
        [*command, "--local-scheduler"], cwd=ROOT, env={**os.environ, **quick}, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (table,) = data.glob("exports/*/labels.csv")
    with open(table, newline="") as file:
        assert {row["name"] for row in csv.DictReader(file)} == {f"{name}.avi" for name in HOSTILE}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.csv", "run", "videos"]
    assert sorted(path.name for path in videos.iterdir()) == sorted(f"{name}.avi" for name in HOSTILE)
    assert [path.name for path in data.parent.iterdir()] == ["data"]
    assert not list(tmp_path.rglob("hacked")) and not (ROOT / "hacked").exists()


def test_a_label_file_cannot_name_a_file_elsewhere(tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    write_video(videos / "a.avi")
    write_video(tmp_path / "outside.avi")
    (tmp_path / "labels.csv").write_text("clip,start_seconds,end_seconds,phase,split\n../outside.avi,0,1,pour,train\n")
    answer = run(
        tmp_path / "data",
        "ToyFirst",
        TCC_VIDEOS_SOURCE="folder",
        TCC_VIDEOS_PATH=str(videos),
        TCC_VIDEOS_LABELS=str(tmp_path / "labels.csv"),
    )
    check = subprocess.run(
        [sys.executable, "-m", "luigi", "--module", "pipeline", "ClipsTask", "--local-scheduler"],
        cwd=ROOT,
        env={
            **environment(tmp_path / "data"),
            "TCC_VIDEOS_SOURCE": "folder",
            "TCC_VIDEOS_PATH": str(videos),
            "TCC_VIDEOS_LABELS": str(tmp_path / "labels.csv"),
        },
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0
    assert check.returncode != 0 and "../outside.avi" in check.stderr and "no such clip" in check.stderr


def test_the_scheduler_listens_to_this_machine_alone(scheduler):  # noqa: F811
    port, _ = scheduler
    found = [
        one.laddr.ip
        for child in psutil.Process().children()
        for one in child.net_connections(kind="inet")
        if one.status == psutil.CONN_LISTEN and one.laddr.port == port
    ]
    assert set(found) == {"127.0.0.1"}


def test_the_password_of_an_address_that_no_protocol_is_known_for_is_told_to_nobody(tmp_path):
    with pytest.raises(DownloadError, match="No connection adapters") as error:
        download_file(["ftp://user:verysecret@host/a"], tmp_path / "a", attempts=1, timeout_seconds=1)
    assert "verysecret" not in str(error.value)


@pytest.mark.parametrize(
    "proxy",
    [
        "http://user:verysecret@127.0.0.1:1",
        "http://user:verysecret#x@127.0.0.1:1",
        "http://user:verysecret@[bad:1",
        "http://user:verysecret@127.0.0.1:port",
    ],
)
def test_the_password_of_a_proxy_is_told_to_nobody(tmp_path, monkeypatch, proxy):
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(DownloadError) as error:
        download_file(["http://example.invalid/a"], tmp_path / "a", attempts=1, timeout_seconds=1)
    assert "verysecret" not in str(error.value)


def test_the_password_of_an_address_is_told_to_nobody(tmp_path):
    data = tmp_path / "data"
    command = [sys.executable, "-m", "luigi", "--module", "pipeline", "VideosTask", "--local-scheduler"]
    words = ["--videos-source", "download", "--download-urls", "http://user:verysecret@127.0.0.1:1/set/"]
    quick = {**environment(data), "TCC_DOWNLOAD_ATTEMPTS": "1", "TCC_EXECUTION_RETRIES": "0"}
    answer = subprocess.run([*command, *words], cwd=ROOT, env=quick, capture_output=True, text=True)
    assert answer.returncode == 30, answer.stdout + answer.stderr
    assert "127.0.0.1:1/set/" in answer.stderr
    assert "verysecret" not in everything_written(data, answer.stdout + answer.stderr)


def test_passwords_are_left_out_of_the_command_that_continues():
    words = ["--smtp-password", "verysecret", "--sendgrid-apikey=verysecret", "--download-urls=http://u:verysecret@h/"]
    assert "verysecret" not in " ".join(_without_secrets([*words, "http://u:verysecret@h/a@b"]))
    assert _without_secrets(["http://u:x@h/a@b", "a@b"]) == ["http://...@h/a@b", "a@b"]


class Mail(socketserver.StreamRequestHandler):
    """As little of SMTP as it takes to be sent a letter."""

    def handle(self):
        self.say("220 here")
        while True:
            word = self.rfile.readline().decode().split(" ")[0].strip().upper()
            if word == "DATA":
                self.say("354 go on")
                lines = iter(self.rfile.readline, b".\r\n")
                self.server.letters.append(b"".join(lines).decode())
            if word in ("QUIT", ""):
                return self.say("221 bye")
            self.say("250 well")

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")


def test_a_failure_is_told_by_e_mail(tmp_path):
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mail)
    server.letters = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = tmp_path / "mail.cfg"
    config.write_text(
        "[email]\nmethod = smtp\nreceiver = lab@example.org\nsender = pipeline@example.org\n"
        f"[smtp]\nhost = 127.0.0.1\nport = {server.server_address[1]}\n"
    )
    answer = run(tmp_path / "data", "ToyFirst", TOY_FAULT="refuse:1", LUIGI_CONFIG_PATH=str(config))
    server.shutdown()
    assert answer.returncode == 30
    (letter,) = server.letters
    parsed = email.message_from_string(letter, policy=email.policy.default)
    body = parsed.get_body(("plain", "html")).get_content()
    assert parsed["To"] == "lab@example.org" and "ToyFirst" in parsed["Subject"]
    assert "the toy refuses it" in body and "Traceback" not in body


def test_settings_with_secrets_are_in_no_request_that_is_kept(tmp_path):
    assert run(tmp_path, "ToySecond", TCC_ALERTS_WEBHOOK="https://example.invalid/verysecret").returncode == 0
    written = everything_written(tmp_path, "")
    assert "verysecret" not in written and json.loads(next(tmp_path.glob("toy_second/*/manifest.json")).read_text())
