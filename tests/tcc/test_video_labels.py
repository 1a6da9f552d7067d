"""Label files in CSV, splits files, labels of frames."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from tcc.errors import LabelError, SettingsError
from tcc.video import FramePhases, Labels, Segment, Splits, check_groups, frame_labels, read_labels, read_splits
from tests.reference import labels as reference

ROOT = Path(__file__).resolve().parents[2]
HEADER = "clip,start_seconds,end_seconds,phase"
FRAME_HEADER = "clip,frame,phase"


def write(tmp_path, text, name="labels.csv"):
    (tmp_path / name).write_bytes(text.encode())
    return tmp_path / name


def test_labels_are_read_and_ordered_by_time(tmp_path):
    rows = ["b.mp4,1.5,2,pour,val", "", "b.mp4,0,1.5, reach ,", "\"a, 'x'\n.mp4\",.5,1e0,reach,train", "c.mp4,,,,test"]
    text = "\r\n".join([f"\ufeff{HEADER},split", *rows, ""])
    labels = read_labels(write(tmp_path, text))
    assert labels.segments == {
        "b.mp4": [Segment(0.0, 1.5, "reach", 4), Segment(1.5, 2.0, "pour", 2)],
        "a, 'x'\n.mp4": [Segment(0.5, 1.0, "reach", 6)],
    }
    assert labels.splits == {"a, 'x'\n.mp4": "train", "b.mp4": "val", "c.mp4": "test"}
    assert labels.phases == ("reach", "pour")
    assert labels.lines == {"a, 'x'\n.mp4": 6, "b.mp4": 2, "c.mp4": 7}


def test_an_overlap_of_rounding_is_none(tmp_path):
    path = write(tmp_path, f"{HEADER}\na,0,0.30000000000000004,reach\na,0.3,1,pour\n")
    assert len(read_labels(path).segments["a"]) == 2


def test_the_last_segment_of_a_clip_may_last_until_its_end(tmp_path):
    labels = read_labels(write(tmp_path, f"{HEADER}\na,1.,,pour\na,+0,1,reach\nb,.5e1,,reach\n"))
    assert labels.segments["a"] == [Segment(0.0, 1.0, "reach", 3), Segment(1.0, math.inf, "pour", 2)]
    assert labels.segments["b"] == [Segment(5.0, math.inf, "reach", 4)]
    np.testing.assert_array_equal(labels.label_frames("a", np.array([0.5, 1.0, 1e6])), [0, 1, 1])


def test_columns_may_come_in_any_order_with_others(tmp_path):
    labels = read_labels(write(tmp_path, "note,Phase,end_seconds,START_SECONDS,clip\nx,reach,2,1,a.mp4\n"))
    assert labels.segments == {"a.mp4": [Segment(1.0, 2.0, "reach", 2)]}


def test_phases_are_in_the_order_of_the_action_not_of_the_file(tmp_path):
    """A clip without `lift` and a clip of one phase must not disturb the order of the others."""
    rows = [
        "a,3,4,place",
        "a,2,3,lift",
        "a,1,2,grasp",
        "a,0,1,reach",
        "b,0,1,reach",
        "b,1,2,grasp",
        "b,2,3,place",
        "c,5,6,lift",
        "d,0,1,lift",
    ]
    labels = read_labels(write(tmp_path, "\n".join([HEADER, *rows])))
    assert labels.phases == ("reach", "grasp", "lift", "place")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "clip,start,end_seconds,phase\n",
            r"line 1: no column start_seconds; the first line must be clip,start_seconds",
        ),
        ("clip;start_seconds;end_seconds;phase\n", r"no column clip, .* separated by commas, got 'clip;start_seconds"),
        ("", "line 1: no column clip, start_seconds, end_seconds, phase"),
        (f"{HEADER}\na.mp4,0\n", "line 2, clip 'a.mp4': has 2 cells, the header has 4; quote names"),
        (f"{HEADER}\n,0,1,reach\n", "line 2, clip '': has no clip; write the name"),
        (f"{HEADER}\na.mp4,0,x,reach\n", "line 2, clip 'a.mp4': end_seconds 'x' is not a number; write seconds"),
        (f"{HEADER}\na.mp4,nan,1,reach\n", "start_seconds 'nan' is not a number"),
        (f"{HEADER}\na.mp4,1_5,20,reach\n", "start_seconds '1_5' is not a number; write .* such as 1.5$"),
        (
            f"{HEADER}\na.mp4,0,\u0661,reach\n",
            "end_seconds '\u0661' is not a number; .* or leave it empty: until the end of",
        ),
        (f"{HEADER}\na.mp4,0,1e999,reach\n", "end_seconds '1e999' is not a number"),
        (f'{HEADER}\na.mp4,0,"1,5",reach\n', "end_seconds '1,5' is not a number; write seconds with a decimal point"),
        (f"{HEADER}\na.mp4,,1,reach\n", "start_seconds '' is not a number"),
        (
            f"{HEADER}\na.mp4,0,,reach\na.mp4,1,,pour\n",
            "line 2, clip 'a.mp4': reach has no end_seconds, and pour of line 3 comes after it; write its end, only the last",
        ),
        (f"{HEADER}\na.mp4,0,inf,reach\n", "end_seconds 'inf' is not a number"),
        (f"{HEADER}\na.mp4,-1,1,reach\n", "start_seconds -1.0 is negative; times count from the clip's first frame"),
        (f"{HEADER}\na.mp4,2,1,reach\n", "end_seconds 1.0 is not after start_seconds 2.0; correct them"),
        (f"{HEADER}\na.mp4,2,2,reach\n", "end_seconds 2.0 is not after start_seconds 2.0"),
        (f"{HEADER}\na.mp4,0,1,\n", "has no phase; name it, or delete the line"),
        (
            f"{HEADER}\na.mp4,1,3,pour\na.mp4,0,1.5,reach\n",
            "line 2, clip 'a.mp4': pour starts at 1.0, inside reach of line 3, which ends at 1.5; segments may",
        ),
        (f"{HEADER},split\na.mp4,0,1,reach,tset\n", "unknown split 'tset'; write one of train, val, test"),
        (
            f"{HEADER},split\na.mp4,0,1,reach,val\na.mp4,1,2,pour,test\n",
            "line 3, clip 'a.mp4': split test contradicts val of an earlier line; a clip has one split",
        ),
        (
            f"{HEADER},group\na.mp4,0,1,reach,ann\na.mp4,1,2,pour,bob\n",
            "line 3, clip 'a.mp4': group 'bob' contradicts 'ann' of an earlier line; a clip has one group",
        ),
        (
            f"{HEADER},split,group\na,,,,val,ann\nb,,,,train,ann\n",
            "group 'ann' is in two splits: clip 'a' in val, clip 'b' in train; put all clips of a group into one split",
        ),
        (f"{HEADER},phase\n", "line 1: column phase is there 2 times; keep one of them"),
        (f"{HEADER},split,split\n", "line 1: column split is there 2 times; keep one of them"),
        ("clip,frame,fase\n", "no column phase; .*start_seconds,end_seconds,phase or clip,frame,phase separated by"),
        (f"{FRAME_HEADER}\na,-1,reach\n", "line 2, clip 'a': frame '-1' is not a frame's number; count the frames of"),
        (f"{FRAME_HEADER}\na,1.0,reach\n", "line 2, clip 'a': frame '1.0' is not a frame's number"),
        (f"{FRAME_HEADER}\na,,reach\n", "line 2, clip 'a': frame '' is not a frame's number"),
        (
            f"{FRAME_HEADER}\na,4,reach\nb,4,reach\na,4,\n",
            "line 4, clip 'a': frame 4 is there already, on line 2; keep one of the lines",
        ),
        (
            f"{FRAME_HEADER}\na,4,1\na,5,-1\n",
            "line 3, clip 'a': phase -1 is negative; phases count from 0, and what has no phase needs no label",
        ),
        (f'{HEADER}\n"a.mp4,0,1,reach\n', r"line 2: not CSV \(unexpected end of data\); check its quotes"),
    ],
)
def test_a_bad_label_file_is_refused_with_place_and_fix(tmp_path, text, message):
    with pytest.raises(LabelError, match=r"labels\.csv.*" + message):
        read_labels(write(tmp_path, text))


def test_unreadable_label_files_are_refused(tmp_path):
    with pytest.raises(LabelError, match=r"gone.csv: cannot be read \(No such file or directory\); give the path"):
        read_labels(tmp_path / "gone.csv")
    (tmp_path / "latin.csv").write_bytes(b"clip\xff")
    with pytest.raises(LabelError, match=r"latin.csv: is not UTF-8 text .* save it as CSV in UTF-8"):
        read_labels(tmp_path / "latin.csv")


def test_empty_segments_are_left_out_on_request_and_named(tmp_path):
    path = write(tmp_path, f"{HEADER}\na,0,1,reach\na,1,1,lift\na,1,2,pour\n")
    labels = read_labels(path, bad_labels="drop")
    assert [segment.phase for segment in labels.segments["a"]] == ["reach", "pour"]
    assert labels.phases == ("reach", "pour")
    assert labels.warnings == (
        f"{path}, line 3, clip 'a': lift ends where it starts, at 1 s; correct its times or delete the line (left out)",
    )
    with pytest.raises(
        LabelError, match=r"line 3, clip 'a': end_seconds 1.0 is not after .* by \[clips\] bad_labels = drop"
    ):
        read_labels(path)
    with pytest.raises(LabelError, match=r"is not after start_seconds 1.0; correct them or delete the line$"):
        read_labels(write(tmp_path, f"{HEADER}\na,1,.5,lift\n"), bad_labels="drop")
    with pytest.raises(SettingsError, match="bad_labels: must be one of refuse, drop; got 'skip'"):
        read_labels(path, bad_labels="skip")


def test_one_phase_per_frame_is_read_in_any_order_with_gaps(tmp_path):
    rows = ["b.mp4,7,pour,,z", "b.mp4,2,reach,ann,z", "b.mp4,3,reach,,", "b.mp4,4,,,", "a.mp4,,,bob,", "c.mp4,0,,,"]
    labels = read_labels(write(tmp_path, "\n".join([f"{FRAME_HEADER},group,seconds", *rows])))
    assert labels.frames == {"b.mp4": FramePhases((2, 3, 7), ("reach", "reach", "pour"), (3, 4, 2))}
    assert labels.segments == {} and labels.groups == {"a.mp4": "bob", "b.mp4": "ann"}
    assert labels.lines == {"a.mp4": 6, "b.mp4": 2, "c.mp4": 7}
    assert labels.phases == ("reach", "pour")
    assert [labels.num_segments(clip) for clip in "abc"] == [0, 0, 0] and labels.num_segments("b.mp4") == 2


def test_phases_of_frames_are_in_the_order_of_the_action(tmp_path):
    """Counted by stretches: `reach` has most frames of a, and its mean frame is later than that of `lift`."""
    rows = ["a,0,lift", "a,1,pour", "b,9,pour", "b,0,reach", *(f"b,{frame},lift" for frame in range(1, 9))]
    rows += [f"c,{frame},reach" for frame in range(100)] + ["c,100,lift"]
    assert read_labels(write(tmp_path, "\n".join([FRAME_HEADER, *rows]))).phases == ("reach", "lift", "pour")


def test_labels_of_single_frames_match_plain_loops(tmp_path):
    rng = np.random.default_rng([0, 3])
    for _ in range(10):
        rows = [(f"c{clip}", frame, rng.choice(["", "x", "y", "z"])) for clip in range(3) for frame in range(12)]
        rows = [rows[k] for k in rng.permutation(len(rows))[:25]]
        text = "\n".join([FRAME_HEADER, *(f"{clip},{frame},{phase}" for clip, frame, phase in rows)])
        labels = read_labels(write(tmp_path, text), phases=["z", "x", "y"])
        for clip in ("c0", "c1", "c2"):
            source_frames = np.sort(rng.integers(0, 14, 20))
            found = labels.label_frames(clip, source_frames / 10, source_frames)
            assert found.dtype == np.int64
            np.testing.assert_array_equal(found, reference.single_frames(rows, clip, ["z", "x", "y"], source_frames))


def test_labels_by_frame_need_the_numbers_of_the_frames(tmp_path):
    labels = read_labels(write(tmp_path, f"{FRAME_HEADER}\na,0,reach\n"))
    with pytest.raises(LabelError, match=r"labels.csv, line 2, clip 'a': is labelled by frame, .* decode it again"):
        labels.label_frames("a", np.arange(3.0))
    np.testing.assert_array_equal(labels.label_frames("other", np.arange(3.0)), [-1, -1, -1])
    assert labels.label_frames("a", np.zeros(0), np.zeros(0, np.int64)).tolist() == []


def test_segments_label_frames_by_their_times_alone(tmp_path):
    labels = read_labels(write(tmp_path, f"{HEADER}\na,1,2,reach\n"))
    np.testing.assert_array_equal(labels.label_frames("a", np.arange(4.0), np.arange(10, 14)), [-1, 0, -1, -1])
    assert (labels.num_segments("a"), labels.num_segments("b")) == (1, 0)


@pytest.mark.parametrize("kind", ["segments", "frames"])
def test_numbers_are_in_the_order_of_numbers_and_can_be_named(tmp_path, kind):
    rows = {"segments": ["a,0,1,10", "a,1,2,2", "a,2,3,02"], "frames": ["a,0,10", "a,1,2", "a,2,02"]}[kind]
    path = write(tmp_path, "\n".join([{"segments": HEADER, "frames": FRAME_HEADER}[kind], *rows]))
    labels = read_labels(path)
    assert labels.phases == ("2", "10")
    names = [f"phase{k}" for k in range(11)]
    named = read_labels(path, phases=names)
    assert named.phases == tuple(names)
    for one, expected in ((labels, [1, 0, 0]), (named, [10, 2, 2])):
        np.testing.assert_array_equal(one.label_frames("a", np.arange(3.0), np.arange(3)), expected)
    with pytest.raises(LabelError, match="line 2, clip 'a': phase 10 has no name: phases names 0 to 2; add names up"):
        read_labels(path, phases=names[:3])


def test_given_phases_tell_the_order_and_all_names(tmp_path):
    path = write(tmp_path, f"{HEADER}\na,0,1,reach\na,1,2,pour\na,2,3,raech\nb,0,1,zzz\n")
    assert read_labels(path, phases=["raech", "pour", "place", "zzz", "reach"]).phases[:3] == ("raech", "pour", "place")
    with pytest.raises(
        LabelError,
        match=r"labels.csv: 2 problems: line 4, clip 'a': phase 'raech' is not among the phases pour, reach; did you mean"
        r" 'reach'\?; line 5, clip 'b': phase 'zzz' is not among .*; correct the label, or add the name to phases$",
    ):
        read_labels(path, phases=["pour", "reach"])
    with pytest.raises(LabelError, match="phases: 'a' is there twice; name each phase once"):
        read_labels(path, phases=["a", "b", "a"])
    with pytest.raises(LabelError, match="phases: number 1 of 2 has no name; name it"):
        read_labels(path, phases=["a", ""])


def test_numbers_among_the_given_names_are_names(tmp_path):
    path = write(tmp_path, f"{HEADER}\na,0,1,1\na,1,2,2\n")
    labels = read_labels(path, phases=["2", "1"])
    assert [segment.phase for segment in labels.segments["a"]] == ["1", "2"] and labels.phases == ("2", "1")


def test_unknown_clips_are_left_out_on_request_with_their_phases(tmp_path):
    """What only a clip that is left out has is no phase of the set, unless the phases were given."""
    rows = ["a,0,1,lift,,ann", "a,1,2,pour,,ann", "gone,0,1,pour,val,bob", "gone,1,2,mix,,", "b,,,,train,"]
    path = write(tmp_path, "\n".join([f"{HEADER},split,group", *rows]))
    labels = read_labels(path, bad_labels="drop").check_against(["x/a.mp4", "b.mp4"])
    assert set(labels.segments) == {"x/a.mp4"} and set(labels.lines) == {"x/a.mp4", "b.mp4"}
    assert labels.splits == {"b.mp4": "train"} and labels.groups == {"x/a.mp4": "ann"}
    assert labels.phases == ("lift", "pour")
    assert labels.warnings == (
        f"{path}, line 4, clip 'gone': no such clip among 2 videos; correct the name or remove the line (left out)",
    )
    given = read_labels(path, bad_labels="drop", phases=["mix", "lift", "pour"]).check_against(["a.mp4", "b.mp4"])
    assert given.phases == ("mix", "lift", "pour")
    frames = read_labels(write(tmp_path, f"{FRAME_HEADER}\na,0,x\ngone,0,y\n"), bad_labels="drop")
    assert frames.check_against(["a.mp4"]).frames == {"a.mp4": FramePhases((0,), ("x",), (2,))}
    assert frames.check_against(["a.mp4"]).phases == ("x",)


def test_all_unknown_clips_are_in_one_error(tmp_path):
    path = write(tmp_path, "\n".join([HEADER, *(f"clip{k},0,1,reach" for k in range(8))]))
    with pytest.raises(
        LabelError, match=r"labels.csv: 8 problems: line 2, clip 'clip0': no .*'clip4': .*; and 3 more$"
    ):
        read_labels(path).check_against(["other.mp4"])


def test_the_identity_of_labels_is_json_and_tells_every_change(tmp_path):
    def identity(text, **options):
        labels = read_labels(write(tmp_path, text), **options)
        return json.dumps(labels.identity(["a", "b"]), allow_nan=False)

    rows = [
        f"{HEADER}\na,0,1,reach\n",
        f"{HEADER}\na,0,1.5,reach\n",
        f"{HEADER}\na,0,1,pour\n",
        f"{HEADER}\nb,0,1,reach\n",
        f"{FRAME_HEADER}\na,0,reach\n",
        f"{FRAME_HEADER}\na,0,reach\na,1,reach\n",
        f"{FRAME_HEADER}\na,0,reach\na,2,reach\n",
    ]
    found = [identity(text) for text in rows] + [identity(rows[0], phases=["reach", "pour"])]
    assert len(set(found)) == len(found)
    assert identity(f"{HEADER}\nc,1,2,reach\na,0,1,reach\n") == found[0]
    labels = Labels("l.json", {"a": [Segment(0.0, math.inf, "0")]}, {}, ("0",), {"a": 0})
    assert labels.identity(["a"]) == {"phases": ["0"], "segments": {"a": [[0.0, None, "0"]]}, "frames": {}}


def test_clips_are_found_without_folder_or_suffix(tmp_path):
    path = write(tmp_path, f"{HEADER},split\na,0,1,reach,val\nsub/b,0,1,reach,\nc.mov,0,1,reach,\nd.mp4,0,1,reach,\n")
    names = ["sub/a.mp4", "sub/b.mp4", "sub/c.mov", "d.mp4", "sub/d.mp4"]
    labels = read_labels(path).check_against(names)
    assert sorted(labels.segments) == ["d.mp4", "sub/a.mp4", "sub/b.mp4", "sub/c.mov"]
    assert labels.splits == {"sub/a.mp4": "val"}


def test_a_dot_in_the_name_of_a_folder_of_images_is_no_suffix(tmp_path):
    path = write(tmp_path, f"{HEADER}\nrun.2,0,1,reach\n")
    assert list(read_labels(path).check_against(["x/run.2", "x/run.3"]).segments) == ["x/run.2"]
    path = write(tmp_path, f"{HEADER}\nrun,0,1,reach\ntake.1,0,1,reach\n")
    labels = read_labels(path).check_against(["run", "run.2", "take.1.MP4"])
    assert list(labels.segments) == ["run", "take.1.MP4"]
    with pytest.raises(LabelError, match=r"clip 'run': no such clip among 2 videos; did you mean 'x/run.2'\?"):
        read_labels(path).check_against(["x/run.2", "take.1.mp4"])


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        (["epsiode1.mp4"], "line 2, clip 'epsiode1.mp4': no such clip among 3 videos; did you mean 'x/episode1.mp4'"),
        (["zzz"], "clip 'zzz': no such clip among 3 videos; correct the name or remove the line"),
        (["b"], "clip 'b': could be 'x/b.mov' or 'x/b.mp4'; write the whole name"),
        (["episode1", "episode1.mp4"], "line 3, clip 'episode1.mp4': is the same clip as 'episode1' of another line"),
    ],
)
def test_clips_that_do_not_exist_or_leave_doubt_are_refused(tmp_path, clips, message):
    path = write(tmp_path, "\n".join([HEADER, *(f"{clip},0,1,reach" for clip in clips)]))
    with pytest.raises(LabelError, match=message):
        read_labels(path).check_against(["x/episode1.mp4", "x/b.mp4", "x/b.mov"])


def test_the_examples_of_the_documentation_can_be_read(tmp_path):
    section = (ROOT / "docs" / "data.md").read_text(encoding="utf-8").split("## Labels\n")[1].split("\n## ")[0]
    examples = re.findall(r"```(\w+)\n(.*?)```", section, re.S)
    assert [kind for kind, _ in examples] == ["csv", "csv", "json"]
    found = [read_labels(write(tmp_path, text, f"labels.{kind}")) for kind, text in examples]
    assert [labels.phases for labels in found] == [("reach", "pour"), ("reach", "pour"), ("0", "1")]
    assert found[0].splits == {"kitchen/a.mp4": "train", "b.mp4": "test"}
    assert found[2].segments["a"] == [Segment(0.0, 1.45, "0"), Segment(1.45, math.inf, "1")]


def test_splits_and_groups_are_read_and_resolved(tmp_path):
    path = write(tmp_path, "clip,split,group\na,train,ann\nb.mp4,test,\n", "splits.csv")
    assert read_splits(path) == Splits({"a": "train", "b.mp4": "test"}, {"a": "ann"})
    assert read_splits(path, ["x/a.mp4", "b.mp4"]) == Splits({"x/a.mp4": "train", "b.mp4": "test"}, {"x/a.mp4": "ann"})
    with pytest.raises(LabelError, match=r"splits.csv, line 2, clip 'a': no such clip"):
        read_splits(path, ["b.mp4"])
    with pytest.raises(LabelError, match=r"line 2, clip 'a': has no split; write one of train, val, test"):
        read_splits(write(tmp_path, "clip,split\na,\n", "splits.csv"))
    with pytest.raises(
        LabelError, match=r"splits.csv: group 'ann' is in two splits: clip 'a' in train, clip 'b' in val"
    ):
        read_splits(write(tmp_path, "clip,split,group\nb,val,ann\nc,val,ann\na,train,ann\n", "splits.csv"))


def test_groups_of_one_file_are_checked_against_splits_of_another():
    groups = {"a": "ann", "b": "ann", "c": "bob", "d": "ann"}
    check_groups({"a": "val", "b": "val", "c": "test"}, groups, "splits.csv")
    with pytest.raises(
        LabelError, match=r"splits.csv: group 'ann' is in two splits: clip 'a' in val, clip 'd' in test"
    ):
        check_groups({"a": "val", "b": "val", "d": "test"}, groups, "splits.csv")


def test_frame_labels_match_plain_loops():
    rng = np.random.default_rng([0, 1])
    for _ in range(20):
        bounds = sorted(rng.choice(60, 6, replace=False) / 10)
        segments = [Segment(a, b, phase) for a, b, phase in zip(bounds[::2], bounds[1::2], "xyz")]
        times = [round(float(time), 9) for time in rng.integers(0, 70, 30) / 10]
        expected = reference.frame_labels(segments, ["z", "y", "x"], times)
        labels = frame_labels(segments, ["z", "y", "x"], np.array(times))
        assert labels.dtype == np.int64
        np.testing.assert_array_equal(labels, expected)


def test_boundaries_are_half_open_and_free_of_rounding():
    """0.1 + 0.2 is 0.30000000000000004: the frame at 0.3 starts the segment, and ends the one before it."""
    segments = [Segment(0.0, 0.1 + 0.2, "a"), Segment(0.3, 0.7, "b")]
    np.testing.assert_array_equal(frame_labels(segments, ["a", "b"], np.arange(9) * 0.1), [0, 0, 0, 1, 1, 1, 1, -1, -1])
    with pytest.raises(LabelError, match=r"phase 'a' is not among the phases \['b'\]; pass all phases of the labels"):
        frame_labels(segments, ["b"], np.arange(3))


def test_names_that_look_the_same_are_the_same_and_case_does_not_hide_a_suggestion(tmp_path):
    """Some systems write an umlaut as one character, others as two."""
    composed, decomposed = "\u00dcbung.mp4", "U\u0308bung.mp4"
    for written, existing in ((composed, decomposed), (decomposed, composed)):
        path = write(tmp_path, f"{HEADER}\n{written},0,1,reach\n")
        assert list(read_labels(path).check_against([existing, "b.mp4"]).segments) == [existing]
    path = write(tmp_path, f"{HEADER}\na.mp4,0,1,reach\n")
    with pytest.raises(LabelError, match=r"did you mean 'sub/A.MP4'\?"):
        read_labels(path).check_against(["sub/A.MP4", "black.mp4"])
