"""Which frames are drawn: the reference's numbers where they are sound, and the properties that it breaks."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tcc.config import SamplingConfig
from tcc.dataset import (
    context_indices,
    positive_indices,
    sample_frame_indices,
    sample_segments,
    sample_stride,
    sample_two_views,
)
from tcc.dataset.sampling import context_offsets, draw_frame_indices, random_order
from tcc.errors import ShapeError
from tests.golden import golden_path


def golden(key):
    return json.loads(golden_path("sampling.json").read_text())[key]


@pytest.mark.parametrize(
    ("length", "num_frames", "offset"), [(100, 20, 1), (21, 20, 1), (60, 5, 10), (5, 5, 0), (6, 5, 1)]
)
def test_drawn_frames_are_sorted_different_and_after_the_offset(length, num_frames, offset):
    for seed in range(20):
        drawn = sample_frame_indices(length, num_frames, random_offset=offset, rng=np.random.default_rng(seed))
        assert len(drawn) == num_frames and (np.diff(drawn) > 0).all()
        assert drawn[0] >= offset and drawn[-1] <= length - 1


def test_every_frame_is_equally_likely():
    """10000 draws of 3 of 6 frames: each comes 5000 times, give or take five standard deviations of 50."""
    rng = np.random.default_rng(0)
    draws = [sample_frame_indices(7, 3, random_offset=1, rng=rng) for _ in range(10000)]
    counts = np.bincount(np.concatenate(draws), minlength=7)
    assert counts[0] == 0 and (abs(counts[1:] - 5000) < 250).all()


@pytest.mark.parametrize(("length", "offset"), [(20, 1), (15, 1), (3, 1), (1, 1), (5, 10)])
def test_short_clips_tell_the_truth_about_their_frames(length, offset):
    drawn = sample_frame_indices(length, 20, random_offset=offset, rng=np.random.default_rng(0))
    assert drawn.tolist() == [min(index, length - 1) for index in range(20)]


def test_draws_obey_what_the_reference_obeys():
    """Where its draw is range(num_frames) ours is too, clamped; elsewhere both start after the offset."""
    compared = 0
    for case in golden("sampling"):
        if case["strategy"] != "offset_uniform" or case["algo"] != "alignment" or case["sample_all"]:
            continue
        length, num_frames, offset = case["seq_len"], case["num_frames"], case["random_offset"]
        drawn = sample_frame_indices(length, num_frames, random_offset=offset, rng=np.random.default_rng(0))
        for draw in case.get("draws", []):
            steps = np.array(draw["chosen_steps"])
            short = num_frames > length - offset
            assert drawn.tolist() == np.minimum(steps, length - 1).tolist() if short else steps.min() >= offset
            windows = context_indices(
                steps,
                num_context_frames=case["num_context_steps"],
                context_stride=case["frame_stride"],
                length=length,
            )
            assert windows.reshape(-1).tolist() == draw["gathered_steps"]
            compared += 1
    assert compared >= 20


def test_context_frames_are_the_reference_ones():
    for case in golden("get_steps"):
        windows = context_indices(
            [case["step"]], num_context_frames=case["num_context_steps"], context_stride=case["frame_stride"]
        )
        assert windows.tolist() == [case["get_steps"]]
    for case in golden("eval_get_indices"):
        frames = np.arange(case["curr_idx"], case["curr_idx"] + case["num_steps"])
        windows = context_indices(frames, num_context_frames=2, context_stride=15, length=case["seq_len"])
        assert windows.reshape(-1).tolist() == case["get_indices"]


def test_context_stays_in_the_clip():
    windows = context_indices([[0, 4], [2, 9]], num_context_frames=3, context_stride=2, length=8)
    assert windows.tolist() == [[[0, 0, 0], [0, 2, 4]], [[0, 0, 2], [5, 7, 7]]]
    assert context_offsets(3, 7).tolist() == [-14, -7, 0]
    assert context_offsets(1, 15).tolist() == [0]


def test_positives_lie_before_their_anchor_within_the_window_and_the_clip():
    anchors = np.tile([0, 1, 2, 5, 6, 50], (2000, 1))
    positives = positive_indices(anchors, window=5, rng=np.random.default_rng(0))
    expected = [{0}, {0}, {0, 1}, set(range(0, 5)), set(range(1, 6)), set(range(45, 50))]
    assert [set(column.tolist()) for column in positives.T] == expected
    for column in positives.T[2:]:
        # Uniform: 2000 draws of n frames, give or take five standard deviations.
        counts = np.unique(column, return_counts=True)[1]
        mean = 2000 / len(counts)
        assert (abs(counts - mean) < 5 * np.sqrt(mean)).all()


def test_an_order_is_the_same_in_every_numpy():
    """The numbers are written down: another NumPy, or another way to draw, would train differently."""
    assert random_order(8, np.random.default_rng([3, 1, 1])).tolist() == [3, 6, 2, 5, 7, 0, 1, 4]
    drawn = sample_frame_indices(30, 5, random_offset=1, rng=np.random.default_rng([0, 7, 2]))
    assert drawn.tolist() == [10, 17, 25, 26, 29]


def test_a_clip_without_frames():
    with pytest.raises(ShapeError, match="length: a clip needs at least one frame, got 0"):
        sample_frame_indices(0, 5, random_offset=1, rng=np.random.default_rng(0))
    with pytest.raises(ShapeError, match="length: a clip needs at least one frame, got 0"):
        sample_two_views(0, 5, region=1.5, overlap=0.2, rng=np.random.default_rng(0))


@pytest.mark.parametrize(("length", "num_frames"), [(100, 20), (21, 20), (20, 20), (47, 5)])
def test_each_segment_gives_one_of_its_frames_and_every_frame_gets_its_turn(length, num_frames):
    rng, seen = np.random.default_rng(0), set()
    for _ in range(400):
        drawn = sample_segments(length, num_frames, rng=rng)
        for segment, frame in enumerate(drawn):
            assert segment * length // num_frames <= frame < (segment + 1) * length // num_frames
        seen.update(drawn.tolist())
    assert seen == set(range(length))


def test_segments_of_a_short_clip_repeat_its_last_frame():
    assert sample_segments(3, 5, rng=np.random.default_rng(0)).tolist() == [0, 1, 2, 2, 2]


def test_strides_obey_what_the_reference_obeys():
    compared = 0
    for case in golden("sampling"):
        if case["strategy"] != "stride" or case["algo"] != "alignment":
            continue
        length, num_frames, stride = case["seq_len"], case["num_frames"], case["stride"]
        possible = {
            tuple(sample_stride(length, num_frames, stride=stride, rng=np.random.default_rng(seed)))
            for seed in range(500)
        }
        assert {tuple(draw["chosen_steps"]) for draw in case["draws"]} <= possible
        assert len(possible) == max(length - stride * num_frames, 1)
        compared += len(case["draws"])
    assert compared >= 10


def test_the_strategy_is_the_one_that_the_settings_name():
    for strategy, expected in (
        ("offset_uniform", lambda rng: sample_frame_indices(90, 4, random_offset=3, rng=rng)),
        ("segment_uniform", lambda rng: sample_segments(90, 4, rng=rng)),
        ("stride", lambda rng: sample_stride(90, 4, stride=7, rng=rng)),
    ):
        sampling = SamplingConfig(num_frames=4, random_offset=3, stride=7, strategy=strategy)
        drawn = draw_frame_indices(90, sampling, np.random.default_rng(5))
        assert drawn.tolist() == expected(np.random.default_rng(5)).tolist()


def two_views(length, num_frames, seed, *, region=1.5, overlap=0.2):
    return sample_two_views(length, num_frames, region=region, overlap=overlap, rng=np.random.default_rng(seed))


@pytest.mark.parametrize(("length", "num_frames"), [(200, 20), (31, 20), (1000, 40)])
def test_views_are_different_frames_of_windows_that_overlap(length, num_frames):
    widest, reach = int(np.ceil(1.5 * num_frames)), int(0.8 * num_frames)
    apart = []
    for seed in range(300):
        first, second = two_views(length, num_frames, seed)
        for view in (first, second):
            assert view.valid.all() and len(view.frames) == num_frames and (np.diff(view.frames) > 0).all()
            assert view.frames[0] >= 0 and view.frames[-1] < length
            assert view.frames[-1] - view.frames[0] < widest
        # The second window begins within reach of the first frame, and its first frame lies at most w - n after that.
        assert -reach <= second.frames[0] - first.frames[0] <= reach + widest - num_frames
        apart.append(second.frames[0] - first.frames[0])
    assert min(apart) < 0 < max(apart)


def test_views_begin_anywhere_in_the_clip():
    starts = [two_views(60, 10, seed)[0].frames[0] for seed in range(2000)]
    counts = np.histogram(starts, bins=5, range=(0, 50))[0]
    assert counts.min() > 200 and max(starts) >= 48


@pytest.mark.parametrize("length", [1, 2, 7, 12])
def test_views_of_a_short_clip_are_padded_and_say_so(length):
    for seed in range(200):
        for view in two_views(length, 12, seed):
            count = view.valid.sum()
            assert view.valid[:count].all() and count <= length
            assert (np.diff(view.frames[:count]) > 0).all()
            assert (view.frames[count:] == length - 1).all()


def test_a_region_of_one_without_padding_is_a_crop():
    first, second = two_views(50, 8, 3, region=1.0, overlap=1.0)
    assert (np.diff(first.frames) == 1).all() and first.valid.all()
    assert second.frames.tolist() == first.frames.tolist()


def test_views_are_the_same_in_every_numpy():
    """The numbers are written down: another NumPy, or another way to draw, would train differently."""
    first, second = sample_two_views(60, 5, region=1.5, overlap=0.2, rng=np.random.default_rng([0, 7, 2]))
    assert (first.frames.tolist(), second.frames.tolist()) == ([22, 23, 24, 25, 27], [23, 25, 26, 28, 29])
