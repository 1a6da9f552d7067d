"""The reference's labels: several annotators in a JSON file."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from tcc.errors import LabelError
from tcc.video import Segment, label_timestamps, merge_annotations, read_labels
from tests.golden import golden_path
from tests.reference import labels as reference


def write(tmp_path, content):
    path = tmp_path / "labels.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def random_annotations(rng):
    """Four phases two seconds apart, drawn in any order; each annotator but one misses a phase."""
    annotations = {}
    for person in "pqrs":
        drawn = {str(k): (2_000_000 * k + np.sort(rng.integers(0, 2_500_000, 2))).tolist() for k in rng.permutation(4)}
        annotations[person] = dict(list(drawn.items())[: 3 + (person == "p")])
    return annotations


def test_merged_annotations_match_plain_loops():
    rng = np.random.default_rng([0, 2])
    for _ in range(10):
        annotations = random_annotations(rng)
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


def test_a_json_file_gives_the_references_labels_exactly(tmp_path):
    golden = json.loads(golden_path("labels.json").read_text())
    labels = read_labels(write(tmp_path, golden["annotations_us"]))
    assert labels.phases == ("0", "1", "2") and set(labels.segments) == set(golden["annotations_us"])
    for video in golden["annotations_us"]:
        expected = golden["expected"][video]
        found = labels.label_frames(video, np.array(expected["timestamps"]))
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, expected["labels"])


def test_labels_of_a_json_file_match_plain_loops(tmp_path):
    """Times lie between the microseconds at which a mean of up to four annotators can lie."""
    rng = np.random.default_rng([0, 4])
    for _ in range(20):
        annotations = random_annotations(rng)
        labels = read_labels(write(tmp_path, {"v": annotations}))
        times = rng.integers(-1_000_000, 12_000_000, 200) / 1e6 + 1e-7
        expected = reference.first_and_last_extended(reference.merge_annotations(annotations), times)
        np.testing.assert_array_equal(labels.label_frames("v", times), np.where(times < 0, -1, expected))
        np.testing.assert_array_equal(label_timestamps(merge_annotations(annotations), times), expected)


def test_segments_of_a_json_file_cover_the_whole_clip_and_phases_count_from_zero(tmp_path):
    path = write(tmp_path, {"b": {"ann": {"03": [1e6, 2e6], "1": [500_000, 800_000]}}, "a": {"ann": {"1": [5, 6]}}})
    labels = read_labels(path)
    assert labels.segments["b"] == [Segment(0.0, 0.9, "1"), Segment(0.9, math.inf, "3")]
    assert labels.segments["a"] == [Segment(0.0, math.inf, "1")]
    assert labels.phases == ("0", "1", "2", "3")
    assert labels.splits == {} and labels.groups == {} and labels.lines == {"a": 0, "b": 0}
    assert set(labels.check_against(["x/a.mp4", "b.mov"]).segments) == {"x/a.mp4", "b.mov"}
    with pytest.raises(LabelError, match=r"labels.json, clip 'a': no such clip among 1 videos"):
        labels.check_against(["b.mp4"])


def test_phases_of_a_json_file_can_be_named(tmp_path):
    """Numbers stay numbers here, also where the names are other numbers."""
    path = write(tmp_path, {"a": {"ann": {"0": [0, 10], "2": [10, 20]}}})
    labels = read_labels(path, phases=["reach", "lift", "pour"])
    assert [segment.phase for segment in labels.segments["a"]] == ["reach", "pour"]
    assert labels.phases == ("reach", "lift", "pour")
    assert [one.phase for one in read_labels(path, phases=["2", "1", "0"]).segments["a"]] == ["2", "0"]
    with pytest.raises(LabelError, match=r"labels.json, clip 'a': phase 2 has no name: phases names 0 to 1; add names"):
        read_labels(path, phases=["reach", "lift"])


def test_a_phase_without_duration_is_left_out_on_request(tmp_path):
    path = write(tmp_path, {"a": {"p": {"0": [0, 4], "1": [6, 6]}, "q": {"0": [0, 6]}}, "b": {"p": {"0": [3, 3]}}})
    labels = read_labels(path, bad_labels="drop")
    assert labels.segments == {"a": [Segment(0.0, math.inf, "0")]} and labels.phases == ("0",)
    assert labels.warnings == (
        f"{path}, clip 'a', annotator 'p' and 'q', phase 1: ends where it starts, at 6e-06 s; correct its annotations"
        " (left out)",
        f"{path}, clip 'b', annotator 'p', phase 0: ends where it starts, at 3e-06 s; correct its annotations (left out)",
    )
    assert set(labels.check_against(["a.mp4", "b.mp4"]).lines) == {"a.mp4", "b.mp4"}
    with pytest.raises(
        LabelError, match=r"clip 'a', annotator 'p' and 'q', phase 1: ends at 0.000006 s, not after its"
    ):
        read_labels(path)


def test_an_empty_json_file_has_no_labels(tmp_path):
    labels = read_labels(write(tmp_path, "{}"))
    assert (labels.segments, labels.phases) == ({}, ())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{\n"a": {', r", line 2: not JSON \(Expecting property name.*\); it must be \{video: \{annotator: \{"),
        ('{"a": {}, "a": {}}', r"not usable JSON \('a' is there twice in one object\); it must be \{video"),
        ('{"a": {"p": {"0": [0, NaN]}}}', r"not usable JSON \(NaN is not a number of JSON\)"),
        ("[" * 100_000, r"not usable JSON \(maximum recursion depth"),
        ([1], r": holds \[1\] where an object belongs; the file must be \{video: \{annotator: "),
        ({"a": [1]}, r"clip 'a': holds \[1\] where an object belongs"),
        ({"a": {"p": "x" * 100}}, r"clip 'a', annotator 'p': holds \"x{56}\.\.\. where an object belongs"),
        ({"a": {}}, "clip 'a': has no segment; annotate the video or remove it from the file"),
        ({"a": {"p": {}}}, "clip 'a': has no segment"),
        (
            {"a": {"p": {"reach": [0, 1]}}},
            "clip 'a', annotator 'p', phase 'reach': is not a number from 0 to 999; number the phases from 0, and name",
        ),
        ({"a": {"p": {"-1": [0, 1]}}}, "phase '-1': is not a number from 0 to 999"),
        ({"a": {"p": {"1000": [0, 1]}}}, "phase '1000': is not a number from 0 to 999"),
        ({"a": {"p": {"1": [0, 1], "01": [1, 2]}}}, "phase '01': is there twice in two spellings; keep one of them"),
        (
            {"a": {"p": {"0": ["0", "1"]}}},
            r"clip 'a', annotator 'p', phase '0': \[\"0\", \"1\"\] is not a start and an end; write \[start, end\] in mic",
        ),
        ({"a": {"p": {"0": 5}}}, "phase '0': 5 is not a start and an end"),
        ({"a": {"p": {"0": [0, 1, 2]}}}, r"phase '0': \[0, 1, 2\] is not a start and an end"),
        ({"a": {"p": {"0": [0, True]}}}, r"phase '0': \[0, true\] is not a start and an end"),
        ('{"a": {"p": {"0": [0, 1e999]}}}', r"phase '0': \[0, Infinity\] is not a start and an end"),
        ({"a": {"p": {"0": [0, 10**400]}}}, r"phase '0': \[0, 10+\.\.\. is not a start and an end"),
        ('{"a": {"p": {"0": [0, NaN]}}}', "NaN is not a number of JSON"),
        ({"a": {"p": {"0": [-1, 1]}}}, r"phase '0': \[-1, 1\] has a negative time; times count from the clip's first"),
        (
            {"a": {"p": {"0": [0, 5e6]}, "q": {"0": [6e6, 1e6]}}},
            "clip 'a', annotator 'p' and 'q', phase 0: ends at 3.000000 s, not after its start 3.000000 s; correct its",
        ),
        (
            {"a": {"p": {"0": [0, 10e6], "1": [1e6, 2e6], "2": [3e6, 4e6]}}},
            "clip 'a', annotator 'p', phase 1: its neighbours overlap it so far that nothing is left of it; correct its"
            " start 1.000000 s and end 2.000000 s, or theirs",
        ),
    ],
)
def test_a_bad_json_file_is_refused_with_place_and_fix(tmp_path, content, message):
    with pytest.raises(LabelError, match=r"labels\.json.*" + message):
        read_labels(write(tmp_path, content))
