"""Shards become folders of images and a CSV, with the frames' own bytes."""

from __future__ import annotations

import csv

import numpy as np

from tcc.__main__ import main
from tcc.video.export import export_shards
from tcc.video.shards import ClipRecord, write_records


def rows_of(path):
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def test_frames_labels_and_times_come_back(tmp_path):
    first = ClipRecord("a.mp4", [b"0", b"1", b"2"], np.array([0, 0.1, 0.3]), np.array([-1, 0, 1]))
    second = ClipRecord("b.mp4", [b"3"], np.array([0.0]), np.array([2]))
    write_records(tmp_path / "0.tfrecord", [first])
    write_records(tmp_path / "1.tfrecord", [second])
    shards = [tmp_path / "0.tfrecord", tmp_path / "1.tfrecord"]
    assert export_shards(shards, tmp_path / "out", phases=["reach", "pour", "put"]) == {"clips": 2, "frames": 4}
    assert [path.read_bytes() for path in sorted((tmp_path / "out/a.mp4").iterdir())] == [b"0", b"1", b"2"]
    assert (tmp_path / "out/b.mp4/000000.jpg").read_bytes() == b"3"
    assert rows_of(tmp_path / "out/labels.csv") == [
        {"clip": "a.mp4", "frame": "0", "phase": "", "seconds": "0", "name": "a.mp4"},
        {"clip": "a.mp4", "frame": "1", "phase": "reach", "seconds": "0.1", "name": "a.mp4"},
        {"clip": "a.mp4", "frame": "2", "phase": "pour", "seconds": "0.3", "name": "a.mp4"},
        {"clip": "b.mp4", "frame": "0", "phase": "put", "seconds": "0", "name": "b.mp4"},
    ]


def test_a_name_never_leads_out_of_the_folder(tmp_path):
    names = ["../../escape.mp4", "sub/a.mp4", 'new\nline, "quoted".mp4', "über.mp4", ".hidden"]
    records = [ClipRecord(name, [b"x"], np.zeros(1), np.zeros(1, np.int64)) for name in names]
    write_records(tmp_path / "0.tfrecord", records)
    export_shards([tmp_path / "0.tfrecord"], tmp_path / "deep/er/out")
    inside = {path.parent.parent for path in tmp_path.rglob("*.jpg")}
    assert inside == {tmp_path / "deep/er/out"}
    rows = rows_of(tmp_path / "deep/er/out/labels.csv")
    assert [row["name"] for row in rows] == names
    assert len({row["clip"] for row in rows}) == 5


def test_the_command_exports_and_refuses_what_is_not_empty(tmp_path, capsys):
    write_records(tmp_path / "0.tfrecord", [ClipRecord("a.mp4", [b"0", b"1"], np.arange(2) / 1.0, np.array([0, 1]))])
    command = ["export", str(tmp_path / "0.tfrecord"), "--to", str(tmp_path / "out"), "--phases", "reach, pour"]
    assert main(command) == 0
    assert capsys.readouterr().out == f"1 clips, 2 frames: {tmp_path / 'out'}\n"
    assert [row["phase"] for row in rows_of(tmp_path / "out/labels.csv")] == ["reach", "pour"]
    assert main(command) == 2
    assert "is not empty; give a new folder" in capsys.readouterr().err
    (tmp_path / "index.json").write_text('{"phases": ["a", "b"]}')
    assert main([*command[:3], str(tmp_path / "named")]) == 0
    assert [row["phase"] for row in rows_of(tmp_path / "named/labels.csv")] == ["a", "b"]
    assert main([*command[:3], str(tmp_path / "few"), "--phases", "reach"]) == 2
    assert "label 1 has no name among the 1 phases; name all of them, or none" in capsys.readouterr().err
    capsys.readouterr()
    assert main(["export", str(tmp_path / "gone"), "--to", str(tmp_path / "other")]) == 2
    assert "gone: cannot be read (No such file or directory); correct the path" in capsys.readouterr().err
