"""The table of every clip: what is wrong is in it, and nothing that is right is called wrong."""

from __future__ import annotations

import csv
import io

from tcc.video import ClipInfo
from tcc.video.check import ClipCheck, as_csv, as_text, bad_clips, check_clips, summary, too_few, too_many, usable_clips


def row(name, **values):
    info = ClipInfo(
        num_frames=90, fps=30.0, duration_seconds=3.0, codec="h264", decoder="opencv", sha256=f"hash of {name}"
    )
    clip = {**info.as_dict(), "name": name, "split": "train", "phases": ["reach", "pour"], "warnings": []}
    return {**clip, **values}


def checked():
    clips = [
        row("good.mp4"),
        row("phone.mov", rotation=90, variable_rate=True, fps=29.87, warnings=["labels.csv, line 7: a gap"]),
        row("text.mp4", codec="", num_frames=0, fps=0.0, duration_seconds=0.0, problem="cannot be read as a video (x)"),
        row("night.mp4"),
        row("short.mp4"),
        row("copy.mp4", sha256="hash of good.mp4"),
    ]
    decoded = {
        name: {"num_frames": 30, "black": name == "night.mp4"}
        for name in ("good.mp4", "phone.mov", "night.mp4", "copy.mp4")
    }
    return check_clips(
        clips, decoded, {"text.mp4": "cannot be read as a video (x)", "short.mp4": "too short: 2 frames"}
    )


def test_every_problem_is_named_with_its_clip():
    assert bad_clips(checked()) == [
        {"clip": "good.mp4", "reason": "the same content as copy.mp4; remove one of them"},
        {"clip": "text.mp4", "reason": "cannot be read as a video (x)"},
        {"clip": "night.mp4", "reason": "black: no sampled frame shows anything; record it again or remove it"},
        {"clip": "short.mp4", "reason": "too short: 2 frames"},
        {"clip": "copy.mp4", "reason": "the same content as good.mp4; remove one of them"},
    ]


def test_the_csv_holds_every_clip():
    rows = list(csv.DictReader(io.StringIO(as_csv(checked()))))
    assert [one["clip"] for one in rows] == ["good.mp4", "phone.mov", "text.mp4", "night.mp4", "short.mp4", "copy.mp4"]
    phone = rows[1]
    assert (phone["VFR"], phone["rotation"], phone["fps"], phone["seconds"], phone["sampled"], phone["phases"]) == (
        *("yes", "90", "29.87", "3.00", "30", "reach pour"),
    )
    assert phone["warnings"] == "labels.csv, line 7: a gap"
    assert rows[2]["problems"] == "cannot be read as a video (x)" and rows[2]["frames"] == ""


def test_the_text_is_a_table_with_a_summary():
    lines = as_text(checked()).splitlines()
    assert " ".join(lines[0].split()) == "clip split codec frames fps VFR rotation seconds sampled phases problems"
    assert lines[1].startswith("good.mp4   train  h264")
    assert lines[-2] == "warning: labels.csv, line 7: a gap"
    assert lines[-1] == "6 clips, 5 with problems (83 %), 1 warnings"
    assert len(lines) == 10


def test_a_clean_set_shows_no_empty_columns_and_a_name_with_a_line_break_stays_on_its_line():
    text = as_text(check_clips([row("a\nb.mp4")], {"a\nb.mp4": {"num_frames": 30, "black": False}}, {}))
    assert " ".join(text.splitlines()[0].split()) == "clip split codec frames fps seconds sampled phases"
    assert text.splitlines()[1].startswith("a\\nb.mp4")
    assert summary([]) == "0 clips, 0 with problems"


def test_warnings_about_the_set_stand_below_the_table_once():
    text = as_text(checked(), ["12 files were passed over", "labels.csv, line 7: a gap"])
    assert text.splitlines()[-3:] == [
        "warning: 12 files were passed over",
        "warning: labels.csv, line 7: a gap",
        "6 clips, 5 with problems (83 %), 2 warnings",
    ]


def test_too_many_bad_clips_are_an_error_that_names_the_first():
    assert too_many(checked(), 0.9) == ""
    assert too_many(checked(), 0.5).startswith(
        "5 of 6 clips have problems, more than [clips] max_bad_fraction = 0.5 allows. good.mp4: the same content as"
    )
    assert too_many(checked(), 0.5).endswith("Repair or remove them, or raise the setting")
    assert too_many([], 0.0) == ""


def test_what_a_run_will_stop_at_is_told_before():
    checks = [ClipCheck("a", "train", sampled=5), ClipCheck("b", "train", sampled=5), ClipCheck("c", "test")]
    assert usable_clips(checks) == {"train": 2}
    fix = "give more clips, or other splits ([videos] splits, [clips] train_fraction and val_fraction)"
    assert too_few(usable_clips(checks), {"train": 4, "val": 1, "test": 1}) == [
        "2 usable clips are in the train split, and [training] batch_size = 4 takes 4; lower batch_size to 2, " + fix,
        "no usable clip in the val split, a whole run needs 1 or more; " + fix,
        "no usable clip in the test split, a whole run needs 1 or more; " + fix,
    ]
    assert too_few({"train": 1}, {"train": 2}) == [
        f"1 usable clip is in the train split, and [training] batch_size = 2 takes 2; {fix}"
    ]
    assert too_few({"train": 2, "val": 1}, {"train": 2, "val": 1}) == []


def test_a_carriage_return_in_a_name_stays_in_its_cell():
    rows = list(csv.DictReader(io.StringIO(as_csv([ClipCheck("a\rb.mp4", "train")]), newline="")))
    assert [one["clip"] for one in rows] == ["a\rb.mp4"]
