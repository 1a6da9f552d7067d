"""Labels that do not fit their videos, and labels that are allowed but likely a mistake."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tcc.errors import LabelError
from tcc.evaluation.clips import phase_boundary, phase_runs
from tcc.video import FramePhases, Labels, Segment, check_durations, frame_labels, label_warnings
from tests.reference import labels as reference

TENTH = (1.0, 0.1, 10)  # ten frames of a tenth of a second


def segmented(*segments, clip="a", phases=("x", "y", "z"), line=2):
    rows = [Segment(*one, line + k) for k, one in enumerate(segments)]
    return Labels("labels.csv", {clip: rows}, {}, phases, {clip: line})


def framed(labels, phases=("x", "y", "z")):
    """Labels of clip a by frame, from an index into the phases, or -1, for each frame."""
    frames = [frame for frame, label in enumerate(labels) if label != -1]
    found = FramePhases(tuple(frames), tuple(phases[labels[k]] for k in frames), tuple(frame + 2 for frame in frames))
    return Labels("labels.csv", {}, {}, phases, {"a": 2}, frames={"a": found})


def test_a_segment_that_ends_within_a_frame_of_the_clip_is_cut_there():
    labels = check_durations(segmented((0.0, 0.5, "x"), (0.5, 1.1, "y")), {"a": TENTH})
    assert labels.segments == {"a": [Segment(0.0, 0.5, "x", 2), Segment(0.5, 1.0, "y", 3)]}
    assert labels.warnings == (
        "labels.csv, line 3, clip 'a': y ends at 1.1 s, at most a frame after the end of the video at 1 s; write that time"
        " (cut there)",
    )


def test_an_open_end_is_cut_silently_and_what_fits_stays():
    labels = segmented((0.0, 0.5, "x"), (0.5, math.inf, "y"))
    cut = check_durations(labels, {"a": TENTH})
    assert cut.segments["a"] == [Segment(0.0, 0.5, "x", 2), Segment(0.5, 1.0, "y", 3)] and cut.warnings == ()
    assert check_durations(cut, {"a": TENTH}) == cut
    assert check_durations(labels, {"other": TENTH}) == labels


@pytest.mark.parametrize(
    ("segment", "message"),
    [
        (
            (0.0, 1.2, "x"),
            "labels.csv, line 2, clip 'a': x ends at 1.2 s, 0.2 s after the end of the video at 1 s; correct",
        ),
        ((0.0, 1.10001, "x"), "x ends at 1.10001 s, 0.10001 s after the end of the video at 1 s"),
        (
            (1.0, 1.05, "x"),
            "line 2, clip 'a': x starts at 1 s, not before the end of the video at 1 s; correct its times",
        ),
        ((1.0, math.inf, "x"), "x starts at 1 s, not before the end"),
    ],
)
def test_a_segment_that_is_not_of_its_video_is_refused(segment, message):
    with pytest.raises(LabelError, match=message):
        check_durations(segmented(segment), {"a": TENTH})


def test_all_labels_that_do_not_fit_are_in_one_error():
    segments = {f"c{k}": [Segment(0.0, 0.5, "x", 2 * k), Segment(0.5, 2.0 + k, "y", 2 * k + 1)] for k in range(7)}
    labels = Labels("labels.csv", segments, {}, ("x", "y"), dict.fromkeys(segments, 1))
    with pytest.raises(
        LabelError, match=r"labels.csv: 7 problems: line 1, clip 'c0': y ends at 2 s.*'c4'.*; and 2 more$"
    ):
        check_durations(labels, dict.fromkeys(segments, TENTH))


def test_lengths_are_compared_free_of_rounding():
    """0.7 + 0.1 is 0.7999999999999999 and 0.8 is more than that."""
    labels = segmented((0.0, 0.8, "x"))
    assert len(check_durations(labels, {"a": (0.7, 0.1, 7)}).warnings) == 1
    assert check_durations(labels, {"a": (0.7 + 0.1, 0.1, 8)}).warnings == ()


def test_the_label_of_the_frame_after_the_last_one_is_left_out():
    labels = check_durations(framed([0] * 9 + [1, 2]), {"a": TENTH})
    assert labels.frames["a"].frames == tuple(range(10))
    assert labels.warnings == (
        "labels.csv, line 12, clip 'a': frame 10 is labelled z, the last frame of the video is 9; delete the line, and"
        " check that frames count from 0 (left out)",
    )
    with pytest.raises(
        LabelError,
        match=r"labels.csv, line 13, clip 'a': frame 11 is labelled y, the last frame of the video is 9; count",
    ):
        check_durations(framed([0] * 11 + [1]), {"a": TENTH})
    assert check_durations(framed([0] * 10), {"a": TENTH}) == framed([0] * 10)


def test_gaps_between_segments_are_told():
    labels = segmented((0.5, 1.0, "x"), (1.0, 1.5, "y"), (2.0, 2.25, "y"), (1234.567, 2000.0, "z"))
    assert label_warnings(labels) == [
        "labels.csv, line 4, clip 'a': no phase from 1.5 s to 2 s, from 2.25 s to 1234.567 s; frames there get no label and"
        " leave the metrics that need labels; let a phase end where the next one starts if no such gap is meant"
    ]
    many = segmented(*((float(k), k + 0.5, "x") for k in range(9)), phases=("x",))
    (text,) = label_warnings(many)
    assert "from 4.5 s to 5 s and 3 times more; frames" in text
    assert label_warnings(segmented((0.0, 0.3, "x"), (0.1 + 0.2, 0.4, "y"), (0.4, 0.5, "z"))) == []


def test_gaps_between_frames_are_told():
    labels = framed([-1, 0, 0, -1, 0, 1, -1, -1, 2, -1])
    assert [text.split(";")[0] for text in label_warnings(labels)] == [
        "labels.csv, line 6, clip 'a': no phase in frame 3, in frames 6 to 7"
    ]


@pytest.mark.parametrize(
    ("phases", "problem"),
    [
        ("xyyz", None),
        ("xz", "phase 'y' is missing"),
        ("xyzx", "phase 'x' is repeated (lines 2, 5)"),
        ("xzx", "phase 'x' is repeated (lines 2, 4); phase 'y' is missing"),
        ("zxy", "phase 'x' comes after 'z'"),
        ("zx", "phase 'y' is missing; phase 'x' comes after 'z'"),
    ],
)
def test_phases_that_are_missing_repeated_or_out_of_order_are_told(phases, problem):
    complete = [Segment(float(k), k + 1.0, phase, 20 + k) for k, phase in enumerate("xyz")]
    labels = segmented(*((float(k), k + 1.0, phase) for k, phase in enumerate(phases)))
    labels = Labels("labels.csv", {**labels.segments, "whole": complete}, {}, labels.phases, {"a": 2, "whole": 20})
    told = "progression is undefined for this clip; correct its labels if that is not what it shows"
    assert label_warnings(labels) == ([f"labels.csv, line 2, clip 'a': {problem}; {told}"] if problem else [])


def test_a_phase_of_no_clip_is_told_once():
    labels = segmented((0.0, 1.0, "x"), (1.0, 2.0, "z"))
    assert label_warnings(labels) == [
        "labels.csv: phase 'y' occurs in no clip; progression is undefined for all clips; label it, or remove its name"
    ]
    assert label_warnings(Labels("labels.csv", {}, {}, ("x",), {})) == []


def test_labels_of_a_file_without_lines_are_told_by_clip():
    labels = segmented((0.0, 1.0, "y"), (1.0, 2.0, "x"), (2.0, 3.0, "y"), phases=("x", "y"), line=0)
    labels.segments["a"][:] = [Segment(one.start_seconds, one.end_seconds, one.phase) for one in labels.segments["a"]]
    assert label_warnings(labels)[0].startswith("labels.csv, clip 'a': phase 'y' is repeated; progression is undefined")


@pytest.mark.parametrize("kind", ["frames", "segments"])
def test_warnings_match_plain_loops_and_the_metric(kind):
    """Random labels of frames, half of them nearly in order; a tenth of a second each where they become segments."""
    rng = np.random.default_rng([0, 5])
    seen = set()
    for _ in range(400):
        drawn = rng.integers(-1, 3, 12)
        drawn = np.sort(drawn) if rng.random() < 0.5 else drawn
        drawn[rng.integers(0, 12, 2)] = -1
        if set(drawn) - {-1} != {0, 1, 2}:
            continue
        labels = framed(drawn.tolist())
        if kind == "segments":
            runs = labels.frames["a"].runs()
            labels = segmented(*((run.first / 10, (run.last + 1) / 10, run.phase) for run in runs))
            np.testing.assert_array_equal(frame_labels(labels.segments["a"], labels.phases, np.arange(12) / 10), drawn)
        warnings = label_warnings(labels)
        gaps = reference.gaps(drawn.tolist())
        in_order = reference.shows_phases_in_order(drawn.tolist(), 3)
        boundaries = [phase_boundary(phase_runs(drawn), phase, labels.phases) for phase in range(2)]
        assert in_order == all(isinstance(boundary, tuple) for boundary in boundaries)
        assert any("progression is undefined" in text for text in warnings) == (not in_order)
        told = "".join(text for text in warnings if "no phase" in text)
        for first, last in gaps[:5]:
            span = f"from {first / 10:g} s to {(last + 1) / 10:g} s"
            if kind == "frames":
                span = f"in frame {first}" if first == last else f"in frames {first} to {last}"
            assert span in told
        assert bool(told) == bool(gaps) and len(warnings) == bool(gaps) + (not in_order)
        seen.add((bool(gaps), in_order))
    assert len(seen) == 4
