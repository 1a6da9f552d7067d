"""Manifests are believed only as far as they are what a stage writes."""

from __future__ import annotations

import copy
import json

import pytest

from tcc.errors import TargetError
from tcc.manifest import read_manifest

WHOLE = {
    "result": {
        "stage": "shards",
        "version": 2,
        "upstream": {"frames": ["set-0123abcd"], "clips": "set-89abcdef"},
        "skipped": [{"clip": "a.mp4", "reason": "too short"}],
        "files": {"train/a.tfrecord": "00" * 32},
    },
    "run": {"seconds": 1.5},
}


def read(folder, value):
    (folder / "manifest.json").write_text(value if isinstance(value, str) else json.dumps(value))
    return read_manifest(folder)


def test_a_whole_one_is_read(tmp_path):
    assert read(tmp_path, WHOLE) == WHOLE


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("result", "files", {"../secret": "00"}),
        ("result", "files", {"/etc/passwd": "00"}),
        ("result", "files", {"a": 1}),
        ("result", "files", ["a"]),
        ("result", "upstream", {"frames": "../set"}),
        ("result", "upstream", {"frames": [["set"]]}),
        ("result", "upstream", []),
        ("result", "version", "2"),
        ("result", "version", True),
        ("result", "skipped", ["a.mp4"]),
        ("result", "skipped", [{"clip": 3}]),
        ("run", "seconds", float("nan")),
        ("run", "seconds", float("inf")),
        ("run", "seconds", "1"),
        ("run", "seconds", 1e308),
        ("run", "seconds", -1),
        ("run", "seconds", 10**400),
    ],
)
def test_what_no_stage_writes_is_refused(tmp_path, part, key, value):
    manifest = copy.deepcopy(WHOLE)
    manifest[part][key] = value
    with pytest.raises(
        TargetError, match=r"manifest.json: not a whole manifest \(.*\); delete the folder and run again"
    ):
        read(tmp_path, manifest)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"result": {}}', '{"result": 1, "run": {}}', "[" * 10**5]
)
def test_what_is_no_manifest_is_refused(tmp_path, text):
    with pytest.raises(TargetError, match=r"manifest.json: not a whole manifest"):
        read(tmp_path, text)


def test_a_number_beyond_all_numbers_is_refused(tmp_path):
    with pytest.raises(TargetError, match="1e999 is not a number of JSON"):
        read(tmp_path, json.dumps(WHOLE).replace("1.5", "1e999"))


def test_where_there_is_none_that_is_said(tmp_path):
    with pytest.raises(TargetError, match="No such file"):
        read_manifest(tmp_path)
