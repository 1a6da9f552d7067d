"""Augmentations of frames: within a level of float arithmetic, one draw per clip, each draw by itself."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tcc.config import AugmentationConfig
from tcc.dataset.augment import (
    FrameChange,
    change_frames,
    color_matrix,
    draw_crop,
    draw_frame_change,
    draw_noise,
    flatten_channels,
    pixels_of_crop,
)
from tcc.errors import SettingsError, ShapeError
from tests.golden import golden_path
from tests.reference import augmentation as reference

CHANGES = {
    "nothing": FrameChange(),
    "flip": FrameChange(flip=True),
    "crop": FrameChange(crop=(0.1, 0.3, 0.8, 0.6)),
    "brighter": FrameChange(brightness=0.12),
    "darker": FrameChange(brightness=-0.3),
    "less contrast": FrameChange(contrast=0.5),
    "more contrast": FrameChange(contrast=1.5),
    "gray": FrameChange(saturation=0.0),
    "colorful": FrameChange(saturation=2.0),
    "hue": FrameChange(hue=0.2),
    "hue the other way": FrameChange(hue=-0.5),
    "noise": FrameChange(noise=0.1, noise_seed=7),
    "colors": FrameChange(brightness=-0.1, contrast=1.7, saturation=1.8, hue=0.1),
    "all": FrameChange(True, (0.0, 0.4, 0.9, 0.5), 0.1, 1.4, 1.3, -0.1, 0.05, 3),
}
EVERYTHING = AugmentationConfig(
    crop_min_area=0.5, brightness=0.2, contrast=0.4, saturation=0.3, hue=0.1, noise=0.05, flip=0.5
)


def random_frames(*shape, seed=0):
    """Every level of every channel, from all sides; edges as sharp as they get."""
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3)).astype(np.uint8)


def drawn(step=0, clip=0, *, seed=0, augmentation=EVERYTHING):
    return draw_frame_change(augmentation, seed=seed, step=step, clip=clip)


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_a_change_is_within_a_level_of_float_arithmetic(name):
    change, frames = CHANGES[name], random_frames(3, 18, 22)
    part = pixels_of_crop(change.crop, 18, 22) if change.crop else (slice(None), slice(None))
    noise = draw_noise((18, 22, 3), change.noise, rng=np.random.default_rng(change.noise_seed))
    changed = change_frames(frames, change)
    # Where a frame is resized before its colors are mapped, the map stretches a first rounding.
    stretch = change.contrast * abs(color_matrix(change.saturation, change.hue)).sum(axis=1).max()
    allowed = 1.0 if change.crop is None or stretch < 1.001 else 1.0 + 0.5 * stretch
    for frame, got in zip(frames, changed):
        expected = reference.change_frame(frame, change, part, noise)
        np.testing.assert_allclose(got.astype(float), expected, atol=allowed)
    assert changed.dtype == np.uint8 and changed.shape == frames.shape


def test_axes_before_the_frames_are_kept_and_the_input_is_left_alone():
    frames = random_frames(2, 3, 8, 10)
    before = frames.copy()
    changed = change_frames(frames, CHANGES["all"])
    assert changed.shape == frames.shape and np.array_equal(frames, before)
    assert np.array_equal(changed[1, 2], change_frames(frames[1, 2], CHANGES["all"]))


def test_frames_of_another_kind_are_refused():
    with pytest.raises(ShapeError, match=r"frames: expected uint8 \[\.\.\., H, W, 3\], got float64 \[4, 4, 3\]"):
        change_frames(np.zeros((4, 4, 3)), FrameChange())


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("aug_brightness_+0.1", FrameChange(brightness=0.1)),
        ("aug_brightness_-0.12", FrameChange(brightness=-0.12)),
        ("aug_contrast_0.5", FrameChange(contrast=0.5)),
        ("aug_contrast_1.5", FrameChange(contrast=1.5)),
        ("aug_flip_dim2", FrameChange(flip=True)),
    ],
)
def test_brightness_contrast_and_flip_are_the_references(name, change):
    with np.load(golden_path("preprocess.npz")) as golden:
        frames, expected = golden["aug_in_uint8"], golden[name]
    changed = change_frames(frames, change)
    np.testing.assert_allclose(changed.astype(float), np.clip(255 * expected, 0, 255), atol=1.0)


def test_saturation_keeps_luma_and_none_is_gray():
    weights = np.array([0.299, 0.587, 0.114])
    for saturation in (0.0, 0.5, 1.7):
        np.testing.assert_allclose(weights @ color_matrix(saturation, 0.0), weights, atol=1e-12)
    # The first column of YIQ to RGB is (1, 1, 1) only as far as the matrix's three digits go.
    np.testing.assert_allclose(color_matrix(0.0, 0.0), np.tile(weights, (3, 1)), atol=1e-3)


def test_hue_turns_colors_and_a_whole_turn_is_none():
    np.testing.assert_allclose(color_matrix(1.0, 1.0), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(color_matrix(1.0, 0.1) @ color_matrix(1.0, -0.1), np.eye(3), atol=1e-12)
    color = np.array([150.0, 120.0, 110.0])
    turned = color_matrix(1.0, 1 / 3) @ color
    assert 0.15 < abs(reference.hsv_hue(turned) - reference.hsv_hue(color)) < 0.85


def test_a_draw_depends_on_seed_step_and_clip():
    assert drawn(5, 3) == drawn(5, 3)
    others = [drawn(5, 4), drawn(6, 3), drawn(5, 3, seed=1)]
    assert all(other.brightness != drawn(5, 3).brightness for other in others)
    assert len({drawn(step, clip).brightness for step in range(6) for clip in range(6)}) == 36


@pytest.mark.parametrize(
    "options",
    [
        {"flip": 0.0},
        {"crop_min_area": 1.0},
        {"brightness": 0.0},
        {"contrast": 0.0},
        {"saturation": 0.0},
        {"hue": 0.0},
        {"noise": 0.0},
    ],
)
def test_one_augmentation_more_or_less_moves_no_others_draws(options):
    (switched_off,) = options
    kept = {"crop_min_area": "crop"}.get(switched_off, switched_off)
    without = dataclasses.replace(EVERYTHING, **options)
    for step in range(5):
        both = drawn(step), drawn(step, augmentation=without)
        neutral = getattr(FrameChange(), kept)
        assert getattr(both[1], kept) == neutral
        assert dataclasses.replace(both[0], **{kept: neutral}) == both[1]


def test_draws_fill_their_ranges_and_no_more():
    changes = [drawn(step) for step in range(400)]
    for name, low, high in (
        ("brightness", -0.2, 0.2),
        ("contrast", 0.6, 1.4),
        ("saturation", 0.7, 1.3),
        ("hue", -0.1, 0.1),
        ("noise", 0.0, 0.05),
    ):
        values = np.array([getattr(change, name) for change in changes])
        assert low <= values.min() < low + 0.05 * (high - low) and high - 0.05 * (high - low) < values.max() <= high
        assert abs(values.mean() - (low + high) / 2) < 0.1 * (high - low)


def test_draws_of_one_kind_tell_nothing_of_another():
    names = ("flip", "brightness", "contrast", "saturation", "hue", "noise")
    values = [[float(getattr(drawn(step), name)) for step in range(400)] for name in names]
    assert abs(np.corrcoef(values) - np.eye(len(names))).max() < 0.2


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_clips_are_mirrored_with_the_probability_that_the_setting_says(probability):
    settings = AugmentationConfig(flip=probability)
    share = np.mean([drawn(step, augmentation=settings).flip for step in range(1000)])
    assert abs(share - probability) <= (0.04 if 0 < probability < 1 else 0)


def test_crops_keep_the_area_and_stay_within_the_frame():
    areas, aspects = [], []
    for seed in range(400):
        top, left, height, width = draw_crop(0.3, rng=np.random.default_rng(seed))
        assert top >= 0 and left >= 0 and top + height <= 1 + 1e-9 and left + width <= 1 + 1e-9
        areas.append(height * width)
        aspects.append(width / height)
        rows, columns = pixels_of_crop((top, left, height, width), 30, 40)
        assert 0 <= rows.start < rows.stop <= 30 and 0 <= columns.start < columns.stop <= 40
    assert 0.3 <= min(areas) < 0.33 and 0.97 < max(areas) <= 1
    assert 3 / 4 <= min(aspects) < 0.8 and 1.25 < max(aspects) <= 4 / 3
    assert draw_crop(1.0, rng=np.random.default_rng(0)) is None


def test_without_settings_nothing_is_changed():
    nothing = AugmentationConfig(flip=0, brightness=0, contrast=0)
    assert {dataclasses.replace(drawn(step, augmentation=nothing), noise_seed=0) for step in range(5)} == {
        FrameChange()
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flip": 1.5}, "flip: must lie between 0 and 1, got 1.5"),
        ({"crop_min_area": 0}, "crop_min_area: must lie between 0.01 and 1, got 0"),
        ({"brightness": -0.1}, "brightness: must lie between 0 and 1"),
        ({"contrast": 2}, "contrast: must lie between 0 and 1"),
        ({"saturation": 2}, "saturation: must lie between 0 and 1"),
        ({"hue": 0.6}, "hue: must lie between 0 and 0.5"),
        ({"noise": -1}, "noise: must lie between 0 and 1"),
    ],
)
def test_settings_outside_their_range(options, message):
    with pytest.raises(SettingsError, match=message):
        AugmentationConfig(**options)


def test_chosen_channels_are_flattened_to_their_mean_over_the_clip():
    features = np.random.default_rng(0).normal(size=(6, 2, 3, 3, 40)).astype(np.float16)
    chosen = np.arange(40) % 3 == 0
    flattened = flatten_channels(features, chosen)
    assert np.array_equal(flattened[..., ~chosen], features[..., ~chosen]) and flattened.dtype == np.float16
    for channel in np.flatnonzero(chosen):
        assert len(np.unique(flattened[..., channel])) == 1
        np.testing.assert_allclose(flattened[0, 0, 0, 0, channel], features[..., channel].mean(), atol=1e-2)
