"""Embeddings as Parquet: one row a frame."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tcc import parquet
from tcc.errors import SettingsError, ShapeError
from tcc.sequences import ClipSequence

PHASES = ["reach", "pour"]


def clips():
    rng = np.random.default_rng(0)
    return [
        ClipSequence(name, np.arange(length) / 10, np.arange(length) % 3 - 1, rng.normal(size=(length, 4)).astype("f4"))
        for name, length in (("a/ü.mp4", 5), ("b.mp4", 1))
    ]


def test_every_frame_is_a_row_with_its_clip_time_phase_and_embedding(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    parquet.write_parquet(tmp_path / "a.parquet", clips(), phases=PHASES, fingerprint="0123abcd")
    table, (first, second) = pq.read_table(tmp_path / "a.parquet"), clips()
    assert [str(field.type) for field in table.schema] == [
        "string",
        "int32",
        "double",
        "string",
        "fixed_size_list<element: float>[4]",
    ]
    rows = table.to_pydict()
    assert list(rows) == ["clip", "frame", "seconds", "phase", "embedding"]
    assert rows["clip"] == ["a/ü.mp4"] * 5 + ["b.mp4"] and rows["frame"] == [0, 1, 2, 3, 4, 0]
    assert rows["seconds"] == [0, 0.1, 0.2, 0.3, 0.4, 0] and rows["phase"] == [
        None,
        "reach",
        "pour",
        None,
        "reach",
        None,
    ]
    np.testing.assert_array_equal(rows["embedding"], np.concatenate([first.values, second.values]))
    assert table.schema.metadata[b"fingerprint"] == b"0123abcd"
    assert json.loads(table.schema.metadata[b"phases"]) == PHASES
    parquet.write_parquet(tmp_path / "b.parquet", clips(), phases=PHASES, fingerprint="0123abcd")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_no_clips_are_a_file_without_rows(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    parquet.write_parquet(tmp_path / "a.parquet", [], phases=[])
    assert pq.read_table(tmp_path / "a.parquet").num_rows == 0


def test_embeddings_of_unequal_size_are_refused(tmp_path):
    pytest.importorskip("pyarrow")
    other = ClipSequence("c", np.zeros(2), np.zeros(2), np.zeros((2, 5)))
    with pytest.raises(ShapeError, match=r"embeddings \[T, D\] of one size D are needed, got \[\(4,\), \(5,\)\]"):
        parquet.write_parquet(tmp_path / "a.parquet", [*clips(), other], phases=PHASES)


def test_without_pyarrow_the_command_that_helps_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"needs pyarrow.*; pip install -r requirements-parquet.txt"):
        parquet.write_parquet(tmp_path / "a.parquet", clips(), phases=PHASES)
