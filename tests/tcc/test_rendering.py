"""The rendered set: names, timelines, pixels and what they may and may not tell."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from tcc.config import RenderingConfig
from tcc.errors import SettingsError
from tcc.rendering import PHASES, clip_names, render_clip
from tcc.rendering.clip import clip_timeline
from tcc.rendering.motion import draw_timeline

CONFIG = RenderingConfig()
SMALL = RenderingConfig(num_train=3, num_val=1, num_test=1, width=64, height=48)


def timelines(count: int):
    return [clip_timeline(CONFIG, f"train_{index:03d}.mp4") for index in range(count)]


def test_names_do_not_depend_on_the_counts():
    few, many = clip_names(SMALL), clip_names(dataclasses.replace(SMALL, num_train=5, num_val=2))
    assert few == [
        ("train_000.mp4", "train"),
        ("train_001.mp4", "train"),
        ("train_002.mp4", "train"),
        ("val_000.mp4", "val"),
        ("test_000.mp4", "test"),
    ]
    assert set(few) < set(many)


def test_a_clip_follows_from_seed_and_name_alone():
    frame = render_clip(SMALL, "val_000.mp4").frame(7)
    again = render_clip(dataclasses.replace(SMALL, num_train=9), "val_000.mp4").frame(7)
    other_seed = render_clip(dataclasses.replace(SMALL, seed=1), "val_000.mp4").frame(7)
    other_name = render_clip(SMALL, "val_001.mp4").frame(7)
    np.testing.assert_array_equal(frame, again)
    assert not np.array_equal(frame, other_seed)
    assert not np.array_equal(frame, other_name)


def test_frames_in_order_are_the_frames_asked_for_one_by_one():
    clip = render_clip(SMALL, "train_000.mp4")
    frames = list(clip.frames())
    assert len(frames) == clip.num_frames == len(clip.progress) == len(clip.phases)
    assert frames[0].shape == (48, 64, 3) and frames[0].dtype == np.uint8
    np.testing.assert_array_equal(frames[11], clip.frame(11))


def test_boundaries_cover_the_clip_in_order():
    for timeline in timelines(50):
        bounds = timeline.boundaries_seconds
        assert len(bounds) == len(PHASES) + 1
        assert bounds[0] == 0 and bounds[-1] == pytest.approx(timeline.num_frames / 30)
        assert (np.diff(bounds) > 0).all()
        assert 2 - 0.01 <= bounds[-1] <= 8 + 0.01


def test_a_frame_lies_in_the_phase_whose_boundaries_hold_its_time():
    for timeline in timelines(10):
        seconds = np.arange(timeline.num_frames) / timeline.fps
        expected = np.searchsorted(timeline.boundaries_seconds, seconds + 1e-9, side="right") - 1
        np.testing.assert_array_equal(timeline.phases, expected)


def test_phases_vary_fourfold_and_independently():
    seconds = np.array([np.diff(timeline.boundaries_seconds) for timeline in timelines(200)])
    ratios = np.quantile(seconds, 0.99, axis=0) / np.quantile(seconds, 0.01, axis=0)
    assert (ratios > 3.2).all() and (seconds.max(axis=0) / seconds.min(axis=0) < 4.6).all()
    correlations = np.corrcoef(seconds.T)[np.triu_indices(len(PHASES), 1)]
    assert np.abs(correlations).max() < 0.25  # 200 independent pairs: standard deviation 0.07


def test_progress_rises_from_zero_to_one_and_pauses():
    paused = 0
    for timeline in timelines(50):
        steps = np.diff(timeline.progress)
        assert timeline.progress[0] == 0 and timeline.progress[-1] == 1
        assert (steps >= 0).all()
        np.testing.assert_array_equal(np.minimum(timeline.progress * 5 + 1e-9, 4.9).astype(int), timeline.phases)
        paused += (steps < 1e-9).sum() >= 3
    assert paused > 25


@pytest.mark.parametrize("fps", [1.0, 2.5, 29.97])
def test_every_phase_has_a_frame_at_any_rate(fps):
    for seed in range(20):
        timeline = draw_timeline(np.random.default_rng(seed), fps=fps, min_seconds=0.5, max_seconds=2.0)
        assert (np.diff(timeline.starts) >= 1).all()
        assert np.isfinite(timeline.progress).all() and timeline.progress[-1] == 1


def test_odd_sizes_are_refused():
    with pytest.raises(SettingsError, match=r"width, height: .* got 321 x 240; choose even numbers"):
        render_clip(dataclasses.replace(CONFIG, width=321), "train_000.mp4")


def test_liquid_wanders_from_the_cup_to_the_target():
    course = render_clip(SMALL, "train_001.mp4")._stage.course
    poses = [course.pose(phase, share) for phase in range(5) for share in np.linspace(0, 1, 11)]
    cup, target = np.array([[pose.cup_fill, pose.target_fill] for pose in poses]).T
    assert (np.diff(cup) <= 1e-12).all() and cup[0] > 0.7 and cup[-1] < 0.05
    assert (np.diff(target) >= -1e-12).all() and target[0] < 0.05 and target[-1] > 0.6


def test_the_course_has_no_jumps():
    """The end of a phase is the beginning of the next one, and the cup stands where it stood."""
    course = render_clip(SMALL, "train_002.mp4")._stage.course
    for phase in range(4):
        before, after = course.pose(phase, 1.0), course.pose(phase + 1, 0.0)
        np.testing.assert_allclose(before.cup, after.cup, atol=1e-6)
        np.testing.assert_allclose(before.hand, after.hand, atol=1e-6)
        assert before.tilt == pytest.approx(after.tilt, abs=1e-6) and before.grip == pytest.approx(after.grip)
    np.testing.assert_allclose(course.pose(0, 0.0).cup, course.pose(4, 1.0).cup)


def test_a_tilted_cup_holds_what_its_spill_table_says():
    """At its spill tilt the surface passes through the lip; at a smaller tilt it stays below."""
    cup = render_clip(SMALL, "train_000.mp4")._stage.course.cup
    for fraction in (0.2, 0.5, 0.8):
        tilt = cup.spill_tilt(fraction)
        lip = cup.lip[1] * np.cos(tilt) - cup.lip[0] * -np.sin(tilt)
        assert cup.level(fraction, tilt) == pytest.approx(lip, abs=0.04)
        smaller = 0.5 * tilt
        assert cup.level(fraction, smaller) < cup.lip[1] * np.cos(smaller) + cup.lip[0] * np.sin(smaller)


def test_leaving_out_the_action_changes_only_its_place():
    with_action = render_clip(CONFIG, "val_003.mp4")
    without = render_clip(CONFIG, "val_003.mp4", action=False)
    index = int(with_action.timeline.starts[2]) + 2
    difference = np.abs(with_action.frame(index).astype(int) - without.frame(index)).max(axis=-1)
    assert 0.1 < (difference > 12).mean() < 0.75
    assert (difference[-8:, :8] <= 12).all()


def masked_samples(names, frames_per_clip: int):
    """Small gray pictures without the action, their true progress, and the clip each is from."""
    pictures, progress = [], []
    for name in names:
        clip = render_clip(CONFIG, name, action=False)
        for index in np.linspace(0, clip.num_frames - 1, frames_per_clip).round().astype(int):
            gray = cv2.cvtColor(clip.frame(int(index)), cv2.COLOR_BGR2GRAY)
            pictures.append(cv2.resize(gray, (16, 12), interpolation=cv2.INTER_AREA).reshape(-1) / 255.0)
            progress.append(clip.progress[index])
    return np.array(pictures), np.array(progress)


def r2_of_ridge(train_x, train_y, test_x, test_y, weight: float) -> float:
    mean = train_x.mean(axis=0)
    centered = train_x - mean
    solution = np.linalg.solve(
        centered.T @ centered + weight * np.eye(centered.shape[1]), centered.T @ (train_y - train_y.mean())
    )
    predicted = (test_x - mean) @ solution + train_y.mean()
    return 1 - ((predicted - test_y) ** 2).sum() / ((test_y - test_y.mean()) ** 2).sum()


def per_clip_centered(pictures, frames_per_clip: int):
    """Each picture against the mean of its clip: takes the scenery away, leaves whatever moves."""
    clips = pictures.reshape(-1, frames_per_clip, pictures.shape[-1])
    return (clips - clips.mean(axis=1, keepdims=True)).reshape(pictures.shape)


def test_nothing_but_the_action_tells_the_time():
    """Ridge regression on pictures without the action explains less than a tenth of progress on other clips."""
    frames = 8
    train = masked_samples([f"train_{index:03d}.mp4" for index in range(40)], frames)
    held_out = masked_samples([f"test_{index:03d}.mp4" for index in range(15)], frames)
    for weight in (0.1, 3.0):
        assert r2_of_ridge(*train, *held_out, weight) < 0.1
        moving = r2_of_ridge(
            per_clip_centered(train[0], frames), train[1], per_clip_centered(held_out[0], frames), held_out[1], weight
        )
        assert moving < 0.1
