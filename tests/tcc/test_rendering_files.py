"""The rendered set on disk: whole files or none, the same bytes each time, truth beside them."""

from __future__ import annotations

import csv
import multiprocessing
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from tcc.config import RenderingConfig
from tcc.errors import SettingsError, VideoError
from tcc.progress import silent
from tcc.rendering import PHASES, files, render_clip, render_set
from tests.tcc import video_workers

ROOT = Path(__file__).resolve().parents[2]
SMALL = RenderingConfig(
    num_train=2, num_val=1, num_test=1, width=64, height=48, fps=10, min_seconds=1.0, max_seconds=2.0
)


def contents(folder: Path) -> dict:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def rows(path: Path) -> list:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    return folder, render_set(SMALL, folder, workers=1)


def test_writes_clips_labels_and_progress_and_nothing_else(rendered):
    folder, counts = rendered
    names = ["test_000.mp4", "train_000.mp4", "train_001.mp4", "val_000.mp4"]
    assert sorted(contents(folder)) == ["labels.csv", "progress.csv", *(f"videos/{name}" for name in names)]
    frames = sum(render_clip(SMALL, name).num_frames for name in names)
    assert counts == {"clips": 4, "frames": frames}


def test_workers_do_not_change_the_bytes(rendered, tmp_path):
    render_set(SMALL, tmp_path, workers=2)
    assert contents(tmp_path) == contents(rendered[0])


class DrawnClip:
    """A clip whose frames are drawn once and can be encoded often."""

    def __init__(self, clip):
        self.fps, self.drawn = clip.fps, list(clip.frames())

    def frame(self, index):
        return self.drawn[index]

    def frames(self):
        return iter(self.drawn)


def test_the_same_frames_give_the_same_file_at_full_size(tmp_path):
    """Full size and length, noise and B-frames: where libx264's macroblock tree gave other bytes from call to call."""
    clip = DrawnClip(render_clip(RenderingConfig(), "train_003.mp4"))
    for index in range(4):
        files.encode(clip, tmp_path / f"{index}.mp4", crf=25)
    assert len({(tmp_path / f"{index}.mp4").read_bytes() for index in range(4)}) == 1


def test_decodes_to_the_frames_that_were_drawn(rendered):
    clip = render_clip(SMALL, "train_000.mp4")
    with av.open(str(rendered[0] / "videos" / "train_000.mp4")) as container:
        decoded = list(container.decode(video=0))
    assert [float(frame.time) for frame in decoded] == pytest.approx([index / 10 for index in range(clip.num_frames)])
    errors = [
        np.abs(frame.to_ndarray(format="bgr24").astype(int) - drawn).mean()
        for frame, drawn in zip(decoded, clip.frames())
    ]
    assert len(errors) == clip.num_frames and max(errors) < 16


def test_labels_cover_each_clip_without_gap_or_overlap(rendered):
    for name, split in (("train_001.mp4", "train"), ("val_000.mp4", "val")):
        labels = [row for row in rows(rendered[0] / "labels.csv") if row["clip"] == name]
        assert [row["phase"] for row in labels] == list(PHASES)
        assert {row["split"] for row in labels} == {split}
        starts, ends = ([float(row[key]) for row in labels] for key in ("start_seconds", "end_seconds"))
        assert starts[0] == 0 and starts[1:] == ends[:-1]
        assert ends[-1] == pytest.approx(render_clip(SMALL, name).num_frames / 10)


def test_progress_has_a_row_per_frame(rendered):
    found = [row for row in rows(rendered[0] / "progress.csv") if row["clip"] == "test_000.mp4"]
    clip = render_clip(SMALL, "test_000.mp4")
    assert [int(row["frame"]) for row in found] == list(range(clip.num_frames))
    np.testing.assert_allclose([float(row["progress"]) for row in found], clip.progress, atol=1e-6)
    np.testing.assert_allclose([float(row["seconds"]) for row in found], np.arange(clip.num_frames) / 10, atol=1e-6)


def test_goes_on_where_a_killed_run_stopped(rendered, tmp_path, monkeypatch):
    written = []
    encode = files.encode

    def killed_in_the_third_clip(clip, path, *, crf):
        if len(written) == 2:
            path.write_bytes(b"half a file")
            raise KeyboardInterrupt
        encode(clip, path, crf=crf)
        written.append(clip.name)

    monkeypatch.setattr(files, "encode", killed_in_the_third_clip)
    with pytest.raises(KeyboardInterrupt):
        render_set(SMALL, tmp_path, workers=1)
    assert sorted(contents(tmp_path)) == ["videos/train_000.mp4", "videos/train_001.mp4"]
    times = [path.stat().st_mtime_ns for path in sorted((tmp_path / "videos").iterdir())]

    monkeypatch.setattr(files, "encode", encode)
    counts = render_set(SMALL, tmp_path, workers=1)
    assert counts == rendered[1]
    assert [(tmp_path / "videos" / name).stat().st_mtime_ns for name in written] == times
    assert contents(tmp_path) == contents(rendered[0])


def test_leftovers_of_a_kill_are_removed(rendered, tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / ".val_000.mp4.4194304.tmp").write_bytes(b"half a file")
    render_set(SMALL, tmp_path, workers=1)
    assert contents(tmp_path) == contents(rendered[0])


def test_reports_how_far_it_is(tmp_path):
    reports = []
    render_set(SMALL, tmp_path, workers=1, progress=lambda share, status: reports.append((share, status)))
    shares = [share for share, _ in reports]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1
    assert reports[1][1] == "rendering train_001.mp4 (2 of 4)"


def test_bad_settings_are_refused_before_a_process_starts(tmp_path):
    with pytest.raises(SettingsError, match="choose even numbers"):
        render_set(RenderingConfig(width=63), tmp_path)


def test_a_dead_worker_and_a_full_disk_are_told_as_what_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_write_clip", video_workers.render_badly)
    with pytest.raises(
        VideoError, match=r"rendering train_000.mp4: its process ended early \(exit status 7\); run again"
    ):
        files._render_in_processes(SMALL, tmp_path, ["train_000.mp4"], 1, silent)
    with pytest.raises(OSError, match="No space left"):
        files._render_in_processes(SMALL, tmp_path, ["train_001.mp4"], 1, silent)


def _render_in_child(folder: str) -> None:
    render_set(SMALL, folder, workers=2)


@pytest.mark.parametrize("daemon", [False, True])
def test_works_in_a_child_process(rendered, tmp_path, daemon):
    context = multiprocessing.get_context("spawn")
    child = context.Process(target=_render_in_child, args=(str(tmp_path),), daemon=daemon)
    child.start()
    child.join()
    assert child.exitcode == 0
    assert contents(tmp_path) == contents(rendered[0])


def test_importing_imports_no_tensorflow():
    code = "import tcc.rendering, sys; print('tensorflow' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], cwd=str(ROOT), capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "False"
