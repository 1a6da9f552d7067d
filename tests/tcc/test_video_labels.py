"""Label files, splits files, labels of frames, the reference's annotators."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tcc.errors import LabelError
from tcc.video import Segment, frame_labels, label_timestamps, merge_annotations, read_labels, read_splits
from tests.golden import golden_path
from tests.reference import labels as reference

HEADER = "clip,start_seconds,end_seconds,phase"


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


def test_empty_segments_are_left_out_on_request_and_listed(tmp_path):
    path = write(tmp_path, f"{HEADER}\na,0,1,reach\na,1,1,lift\na,1,2,pour\n")
    labels = read_labels(path, drop_empty=True)
    assert [segment.phase for segment in labels.segments["a"]] == ["reach", "pour"]
    assert labels.check_against(["a.mp4"]).dropped == (("a.mp4", Segment(1.0, 1.0, "lift", 3)),)
    with pytest.raises(LabelError, match="is not after"):
        read_labels(write(tmp_path, f"{HEADER}\na,1,.5,lift\n"), drop_empty=True)


def test_clips_are_found_without_folder_or_suffix(tmp_path):
    path = write(tmp_path, f"{HEADER},split\na,0,1,reach,val\nsub/b,0,1,reach,\nc.mov,0,1,reach,\nd.mp4,0,1,reach,\n")
    names = ["sub/a.mp4", "sub/b.mp4", "sub/c.mov", "d.mp4", "sub/d.mp4"]
    labels = read_labels(path).check_against(names)
    assert sorted(labels.segments) == ["d.mp4", "sub/a.mp4", "sub/b.mp4", "sub/c.mov"]
    assert labels.splits == {"sub/a.mp4": "val"}


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


def test_splits_are_read_and_resolved(tmp_path):
    path = write(tmp_path, "clip,split\na,train\nb.mp4,test\n", "splits.csv")
    assert read_splits(path) == {"a": "train", "b.mp4": "test"}
    assert read_splits(path, ["x/a.mp4", "b.mp4"]) == {"x/a.mp4": "train", "b.mp4": "test"}
    with pytest.raises(LabelError, match=r"splits.csv, line 2, clip 'a': no such clip"):
        read_splits(path, ["b.mp4"])
    with pytest.raises(LabelError, match=r"line 2, clip 'a': has no split; write one of train, val, test"):
        read_splits(write(tmp_path, "clip,split\na,\n", "splits.csv"))


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


def test_merged_annotations_match_plain_loops():
    rng = np.random.default_rng([0, 2])
    for _ in range(10):
        annotations = {}
        for person in "pqr":
            # Four phases two seconds apart, drawn in any order; each annotator but one misses a phase.
            drawn = {str(k): 2_000_000 * k + np.sort(rng.integers(0, 2_500_000, 2)) for k in rng.permutation(4)}
            annotations[person] = dict(list(drawn.items())[: 3 + (person == "p")])
        expected = reference.merge_annotations(annotations)
        merged = merge_annotations(annotations)
        assert list(merged) == list(expected)
        for phase, interval in expected.items():
            np.testing.assert_allclose(merged[phase], interval, atol=1e-9)


def test_the_references_merging_and_labelling_are_reproduced():
    golden = json.loads(golden_path("labels.json").read_text())
    for video, drawn in golden["annotations_us"].items():
        expected = golden["expected"][video]
        merged = merge_annotations(drawn)
        assert sorted(merged) == sorted(expected["merged"])
        for phase, interval in expected["merged"].items():
            np.testing.assert_allclose(merged[phase], interval, rtol=0, atol=1e-9)
        np.testing.assert_array_equal(label_timestamps(merged, expected["timestamps"]), expected["labels"])


def test_a_gap_is_unlabelled_where_the_reference_drops_frames():
    gap = json.loads(golden_path("labels.json").read_text())["expected"]["label_timestamps_without_merge_gap"]
    labels = label_timestamps(
        {phase: tuple(interval) for phase, interval in gap["annotations"].items()}, gap["timestamps"]
    )
    np.testing.assert_array_equal(labels[labels >= 0], gap["labels"])
    np.testing.assert_array_equal(np.flatnonzero(labels < 0), [10, 11, 12, 13, 14])


def test_unusable_annotations_are_refused():
    with pytest.raises(LabelError, match=r"phase 1: ends at 1.000000 s, not after its start 2.000000 s; correct its"):
        merge_annotations({"p": {"1": (2_000_000, 1_000_000)}})
    with pytest.raises(LabelError, match="no segments; a clip needs at least one"):
        label_timestamps({}, [0.0])
    with pytest.raises(LabelError, match=r"phases must be integers, got \['reach'\]; number them from 0 in order"):
        label_timestamps({"reach": (0.0, 1.0)}, [0.0])
