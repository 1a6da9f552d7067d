"""Features of whole clips: every frame once, mirrored where asked."""

from __future__ import annotations

import numpy as np
import pytest
import simplejpeg
import tensorflow as tf

from tcc.config import BackboneConfig
from tcc.device import open_device
from tcc.errors import SettingsError
from tcc.features import compute_features
from tcc.models import build_backbone, pool_to_grid
from tcc.video.shards import ClipRecord, decode_jpegs

GRID = 2


@pytest.fixture(autouse=True, scope="module")
def device():
    open_device("cpu")


def record(name, length):
    pictures = np.random.default_rng(length).integers(0, 256, (length, 48, 48, 3)).astype(np.uint8)
    frames = [simplejpeg.encode_jpeg(picture, quality=90) for picture in pictures]
    return ClipRecord(name, frames, np.arange(length) / 10, np.arange(length))


@pytest.fixture(scope="module")
def backbone():
    return build_backbone(BackboneConfig(name="convnet"))


def features(backbone, records, **options):
    """Features of each clip, put together from the parts."""
    parts = list(compute_features(records, backbone, grid=GRID, batch_frames=4, **options))
    assert max(len(part) for part in parts) <= 4
    return np.split(np.concatenate(parts), np.cumsum([len(record) for record in records])[:-1])


def expected(backbone, frames):
    return pool_to_grid(backbone(frames, training=False), GRID).numpy()


def test_features_are_the_backbones_whatever_the_batches(backbone):
    records = [record("a.mp4", 3), record("b.mp4", 9)]
    for values, one in zip(features(backbone, records), records):
        assert values.dtype == np.float16
        np.testing.assert_allclose(values, expected(backbone, decode_jpegs(one.frames)), atol=2e-3, rtol=2e-3)


def test_one_part_at_a_time_is_made_and_progress_is_told(backbone):
    reports = []
    parts = compute_features(
        [record("a.mp4", 3), record("b.mp4", 9)],
        backbone,
        grid=GRID,
        batch_frames=4,
        progress=lambda *report: reports.append(report),
    )
    next(parts), next(parts)
    assert reports == [(0.25, "3/12 frames")]
    assert [len(part) for part in parts] == [4, 1] and reports[-1] == (1.0, "12/12 frames")


def test_mirrored_features_are_those_of_mirrored_frames_and_no_mirrored_grid(backbone):
    one = record("a.mp4", 6)
    (plain,), (mirrored,) = features(backbone, [one]), features(backbone, [one], mirrored=True)
    frames = np.ascontiguousarray(decode_jpegs(one.frames)[:, :, ::-1])
    np.testing.assert_allclose(mirrored, expected(backbone, frames), atol=2e-3, rtol=2e-3)
    spread = plain.astype(np.float32).std()
    assert abs(mirrored.astype(np.float32) - plain[:, :, ::-1]).max() > 0.1 * spread


@pytest.mark.skipif(tf.__version__.startswith("2.6."), reason="TensorFlow 2.6 has no convolution in bfloat16 on a CPU")
def test_bfloat16_is_near_float32_and_stored_as_float16(backbone):
    one = record("a.mp4", 6)
    (exact,), (rounded,) = features(backbone, [one]), features(backbone, [one], precision="bfloat16")
    assert rounded.dtype == np.float16
    difference = np.abs(exact.astype(np.float32) - rounded.astype(np.float32)).max() / np.abs(exact).max()
    assert 1e-3 < difference < 0.05


def test_a_precision_that_the_device_lacks_is_refused(backbone):
    with pytest.raises(SettingsError, match="precision: float16 is for a GPU, a CPU is slower in it; use bfloat16"):
        features(backbone, [record("a.mp4", 2)], precision="float16")
