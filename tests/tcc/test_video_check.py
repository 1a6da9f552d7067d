"""The table of every clip: what is wrong is in it, and nothing that is right is called wrong."""

from __future__ import annotations

import csv
import io

from tcc.video import ClipInfo
from tcc.video.check import ClipCheck, as_csv, as_text, bad_clips, check_clips, summary, too_few, too_many, usable_clips
from tcc.video.inventory import UNREADABLE


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
        {"clip": "text.mp4", "reason": "cannot be read as a video (x)"},
        {"clip": "night.mp4", "reason": "black: no sampled frame shows anything; record it again or remove it"},
        {"clip": "short.mp4", "reason": "too short: 2 frames"},
        {"clip": "copy.mp4", "reason": "the same content as good.mp4; remove one of them"},
    ]


def problems(*clips, frames=None):
    decoded = {clip["name"]: {"num_frames": 30, "black": False, **(frames or {})} for clip in clips}
    return {one["clip"]: one["reason"] for one in bad_clips(check_clips(clips, decoded, {}))}


def test_of_clips_with_the_same_content_the_first_is_good_unless_their_splits_differ():
    same = [row(name, sha256="same") for name in ("a.mp4", "b.mp4", "c.mp4")]
    assert problems(*same) == dict.fromkeys(("b.mp4", "c.mp4"), "the same content as a.mp4; remove one of them")
    same[2]["split"] = "test"
    assert problems(*same) == {
        "a.mp4": "the same content as c.mp4 of the test split; remove one of them",
        "b.mp4": "the same content as c.mp4 of the test split; remove one of them",
        "c.mp4": "the same content as a.mp4 of the train split; remove one of them",
    }


def test_files_that_cannot_be_read_are_not_taken_for_copies_of_each_other():
    clips = [row(name, sha256=UNREADABLE, problem="cannot be read") for name in ("a.mp4", "b.mp4")]
    assert problems(*clips) == {"a.mp4": "cannot be read", "b.mp4": "cannot be read"}


def test_missing_frames_are_a_problem_and_a_few_of_them_a_warning():
    lost = row("a.mkv", num_frames=80, missing_frames=10)
    reason = "damaged: 10 of 90 frames are missing or cannot be decoded; copy or record the file again"
    assert problems(lost) == {"a.mkv": reason}
    assert problems(row("a.avi"), frames={"missing_frames": 2}) == {"a.avi": reason.replace("10 of", "2 of")}
    one = check_clips([row("a.avi")], {"a.avi": {"num_frames": 30, "black": False, "missing_frames": 1}}, {})
    assert (one[0].problems, one[0].warnings) == ([], ["a.avi: " + reason.replace("10 of", "1 of")])
    assert problems(row("t.mkv", missing_frames=10, problem="truncated: 80 of 90 frames")) == {
        "t.mkv": "truncated: 80 of 90 frames"
    }


def test_a_name_that_is_not_utf_8_can_be_printed_and_read_back():
    checks = check_clips([row("caf\udce9.mp4")], {"caf\udce9.mp4": {"num_frames": 30, "black": False}}, {})
    assert as_text(checks).encode().splitlines()[1].startswith(b"caf\\udce9.mp4 ")
    assert as_csv(checks).encode("utf-8", "surrogateescape").splitlines()[1].startswith(b"caf\xe9.mp4,")


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
    assert lines[-1] == "6 clips, 4 with problems (67 %), 1 warnings"
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
        "6 clips, 4 with problems (67 %), 2 warnings",
    ]


def test_too_many_bad_clips_are_an_error_that_names_the_first():
    assert too_many(checked(), 0.9) == ""
    assert too_many(checked(), 0.5).startswith(
        "4 of 6 clips have problems, more than [clips] max_bad_fraction = 0.5 allows. text.mp4: cannot be read as a"
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
