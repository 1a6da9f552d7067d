"""Splits as text files with a clip a line."""

from __future__ import annotations

import pytest

from tcc.errors import LabelError
from tcc.video import read_clip_list, splits_from_lists

NAMES = ["frames/0001", "frames/0002", "frames/0003", "a/x.mp4", "b/x.mp4", "b/y.mov"]


def write(tmp_path, text, name="train.txt"):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return tmp_path / name


def test_a_list_is_read_in_its_order(tmp_path):
    text = "\ufeff# the first ones\r\nframes/0002/\r\n\r\n  ./frames/0001 \r\n#frames/0003\r\nüber 日本/c.mp4"
    assert read_clip_list(write(tmp_path, text)) == ["frames/0002", "frames/0001", "über 日本/c.mp4"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\nb\n\na/\n", r"train.txt, line 4, clip 'a': stands in line 1 too; delete one of them"),
        ("", r"train.txt: lists no clip; write one a line, or leave the list out"),
        ("# nothing\n", r"train.txt: lists no clip"),
        (b"a\xff", r"train.txt: is not UTF-8 text \(invalid start byte\); save it as text in UTF-8"),
    ],
)
def test_a_bad_list_is_refused_with_place_and_fix(tmp_path, text, message):
    with pytest.raises(LabelError, match=message):
        read_clip_list(write(tmp_path, text))
    with pytest.raises(
        LabelError, match=r"gone: cannot be read \(No such file or directory\); give the path of a text"
    ):
        read_clip_list(tmp_path / "gone")


def test_lists_give_each_clip_a_split_under_its_whole_name(tmp_path):
    lists = {
        "train": write(tmp_path, "0001\na/x\n"),
        "val": "",
        "test": write(tmp_path, "y.mov\nframes/0003\n", "test.txt"),
    }
    assert splits_from_lists(lists, NAMES) == {
        "frames/0001": "train",
        "a/x.mp4": "train",
        "b/y.mov": "test",
        "frames/0003": "test",
    }


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (
            "0002\n0001\n",
            "# ours\nframes/0001\n",
            r"test.txt, line 2, clip 'frames/0001': is also in .*train.txt, line 2; a clip has one split, delete one",
        ),
        ("0001\nx\n", "", r"train.txt, line 2, clip 'x': could be 'a/x.mp4' or 'b/x.mp4'; write the whole name"),
        ("frames/0004\n", "", r"train.txt, line 1, clip 'frames/0004': no such clip among 6 videos; did you mean"),
        (
            "0001\nframes/0001\n",
            "",
            r"train.txt, line 2, clip 'frames/0001': is the same clip as '0001' of another line; write one name for it",
        ),
    ],
)
def test_clips_that_contradict_or_do_not_exist_are_refused(tmp_path, train, test, message):
    lists = {"train": write(tmp_path, train), "test": write(tmp_path, test, "test.txt") if test else ""}
    with pytest.raises(LabelError, match=message):
        splits_from_lists(lists, NAMES)


def test_a_whole_name_wins_over_the_shortened_name_of_another_clip(tmp_path):
    assert splits_from_lists({"val": write(tmp_path, "x.mp4\n")}, ["x.mp4", "b/x.mp4"]) == {"x.mp4": "val"}


def test_a_line_with_a_number_sign_is_a_clip_where_there_is_such_a_clip(tmp_path):
    names = ["x/#1.mp4", "2.mp4", "3.mp4"]
    assert splits_from_lists({"val": write(tmp_path, "#1.mp4\n#2.mp4\n# a note\n3\n")}, names) == {
        "x/#1.mp4": "val",
        "3.mp4": "val",
    }
    assert read_clip_list(write(tmp_path, "#1.mp4\n./#1.mp4\n")) == ["#1.mp4"]


def test_a_number_sign_before_a_clip_that_hides_another_clip_is_refused(tmp_path):
    names = ["#1.mp4", "1.mp4"]
    with pytest.raises(LabelError, match=r"line 1: '#1.mp4' is a clip, and may also .*; write './#1.mp4' for the clip"):
        splits_from_lists({"val": write(tmp_path, "#1.mp4\n")}, names)
    assert splits_from_lists({"val": write(tmp_path, "./#1.mp4\n## 1.mp4\n")}, names) == {"#1.mp4": "val"}


def test_all_unknown_clips_of_a_list_are_told_together(tmp_path):
    with pytest.raises(
        LabelError, match=r"train.txt: 2 problems: line 1, clip '0007': no such .*; line 3, clip '0009'"
    ):
        splits_from_lists({"train": write(tmp_path, "0007\n0001\n0009\n")}, NAMES)
