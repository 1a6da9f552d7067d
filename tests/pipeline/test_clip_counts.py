"""A run that has too few clips ends with one error as soon as that is known. Every run is a `luigi` command, as a user's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tcc.video_samples import times_at, write_video

ROOT = Path(__file__).resolve().parents[2]
SPLIT_OF = {"a": "train", "b": "train", "c": "train", "d": "val", "e": "test"}


@pytest.fixture
def folder(tmp_path):
    """Three clips to train on, one to choose by, one to test on."""
    for index, name in enumerate(SPLIT_OF):
        write_video(tmp_path / "videos" / f"{name}.mp4", times_at(10, 12), numbers=[index + k for k in range(12)])
    rows = [f"{name}.mp4,{split}\n" for name, split in SPLIT_OF.items()]
    (tmp_path / "splits.csv").write_text("clip,split\n" + "".join(rows))
    return tmp_path


def luigi(folder, task, *arguments, **variables):
    """(exit code, last line, stages that have a target)."""
    settings = {
        "LUIGI_CONFIG_PATH": str(ROOT / "examples" / "recipes" / "tiny.cfg"),
        "PYTHONPATH": str(ROOT),
        "TCC_EXECUTION_DATA": str(folder / "data"),
        "TCC_VIDEOS_SOURCE": "folder",
        "TCC_VIDEOS_PATH": str(folder / "videos"),
        "TCC_VIDEOS_SPLITS": str(folder / "splits.csv"),
        "TCC_CLIPS_MAX_BAD_FRACTION": "1",
        "TCC_TRAINING_BATCH_SIZE": "3",
    }
    command = [sys.executable, "-m", "luigi", "--module", "pipeline", task, "--local-scheduler", *arguments]
    answer = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **settings, **variables}, capture_output=True, text=True
    )
    return answer.returncode, answer.stderr.splitlines()[-1], stages(folder / "data")


def stages(data):
    return {path.name for path in data.glob("[a-z]*")} - {"logs"}


TOO_FEW = (
    "2 usable clips are in the train split, and [training] batch_size = 3 takes 3; lower batch_size to 2, give more"
)


def test_too_few_files_are_told_before_anything_is_done(folder):
    (folder / "videos" / "c.mp4").unlink()
    (folder / "splits.csv").write_text((folder / "splits.csv").read_text().replace("c.mp4,train\n", ""))
    code, told, stages = luigi(folder, "RunAll")
    assert code == 1 and told.startswith(f"error: too few clips: {TOO_FEW}")
    assert stages == set()


def test_an_empty_split_is_told_before_anything_is_done(folder):
    (folder / "splits.csv").write_text((folder / "splits.csv").read_text().replace("val", "train"))
    code, told, stages = luigi(folder, "RunAll")
    assert code == 1 and told.startswith("error: too few clips: no usable clip in the val split, a whole run needs 1")
    assert stages == set()


def test_too_few_readable_clips_are_told_before_anything_is_decoded(folder):
    (folder / "videos" / "b.mp4").write_bytes(b"no video")
    code, told, stages = luigi(folder, "RunAll", "--workers", "2")
    assert code == 30 and told.startswith(f"error: ClipsTask: too few clips: {TOO_FEW}")
    assert stages <= {"sources", "clips", "weights"}
    code, told, again = luigi(folder, "RunAll")
    assert code == 1 and told.startswith(f"error: too few clips: {TOO_FEW}") and again == stages


@pytest.mark.slow
def test_too_few_decodable_clips_are_told_before_the_shards(folder):
    write_video(folder / "videos" / "b.mp4", times_at(10, 4))
    code, told, stages = luigi(folder, "RunAll")
    assert code == 30 and told.startswith(f"error: CheckTask: too few clips: {TOO_FEW}")
    assert {"frames", "checks"} <= stages and not stages & {"shards", "features"}
    code, told, _ = luigi(folder, "RunAll")
    assert code == 1 and told.startswith(f"error: too few clips: {TOO_FEW}")


@pytest.mark.slow
def test_what_needs_no_training_is_not_refused(folder):
    (folder / "videos" / "b.mp4").write_bytes(b"no video")
    assert luigi(folder, "CheckTask")[0] == 0
    assert luigi(folder, "ExportTask", "--split", "train")[0] == 0
    assert luigi(folder, "TrainTask", TCC_TRAINING_BATCH_SIZE="2", TCC_TRAINING_NUM_STEPS="1")[0] == 0
