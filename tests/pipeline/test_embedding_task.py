"""EmbedTask: what its target depends on, and what is told before anything runs."""

from __future__ import annotations

import dataclasses

import pytest

from pipeline.embedding import EmbedTask
from tcc import parquet
from tcc.config import Settings
from tcc.errors import SettingsError


def settings(**embedding):
    plain = Settings()
    return dataclasses.replace(plain, embedding=dataclasses.replace(plain.embedding, **embedding))


def own_settings(of, variant="model"):
    return EmbedTask.own_settings(of, seed=0, variant=variant)


def test_what_changes_the_bytes_is_in_the_fingerprint_and_the_batch_size_is_not(monkeypatch):
    monkeypatch.setattr(parquet.importlib.util, "find_spec", lambda name: "there")
    plain = own_settings(settings())
    assert own_settings(settings(batch_frames=7)) == plain
    assert own_settings(settings(precision="bfloat16")) != plain
    assert own_settings(settings(parquet=True)) != plain


def test_missing_pyarrow_is_told_when_the_task_is_laid_out(monkeypatch):
    monkeypatch.setattr(parquet.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"parquet: needs pyarrow.*; pip install -r requirements-parquet.txt"):
        own_settings(settings(parquet=True))
    own_settings(settings())


def test_embeddings_are_made_in_one_of_two_precisions():
    with pytest.raises(SettingsError, match="precision: must be one of float32, bfloat16; got 'float16'"):
        settings(precision="float16")
