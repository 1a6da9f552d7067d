"""The folder that ModelTask makes, used by the commands as a user would, away from the pipeline."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tcc.sequences import load_sequences
from tests.integration.conftest import ROOT

pytestmark = pytest.mark.slow


def test_a_test_clip_gets_the_embedding_that_the_pipeline_gave_it(finished, tmp_path):
    """Bit for bit: the folder was moved, and the process has neither luigi.cfg nor data/."""
    (model,) = (finished.data / "models").iterdir()
    shutil.copytree(model, tmp_path / "model")
    (source,) = (finished.data / "sources").iterdir()
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("TCC_", "LUIGI_"))}
    answer = subprocess.run(
        [sys.executable, "-m", "tcc", "embed", "model", str(source / "videos"), "--to", "all.npz"],
        cwd=tmp_path,
        env={**outside, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (answer.returncode, answer.stdout[:8]) == (0, "8 clips,"), answer.stderr
    found = {clip.name: clip for clip in load_sequences(tmp_path / "all.npz")[0]}
    expected = [
        clip
        for split in ("train", "val", "test")
        for clip in load_sequences(_model_embeddings(finished, model.name) / f"embeddings-{split}.npz")[0]
    ]
    assert sorted(found) == sorted(clip.name for clip in expected)
    for clip in expected:
        np.testing.assert_array_equal(found[clip.name].values, clip.values)
        np.testing.assert_array_equal(found[clip.name].timestamps, clip.timestamps)


def _model_embeddings(project, model):
    """The target of EmbedTask that the model's references came from."""
    (result,) = [one for target, one in project.results().items() if target == f"models/{model}"]
    return project.data / "embeddings" / result["upstream"]["embeddings"]
