"""Features of whole clips: every frame once, mirrored where asked."""

from __future__ import annotations

import numpy as np
import pytest
import simplejpeg

from tcc.config import BackboneConfig
from tcc.device import open_device
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
    return list(compute_features(records, backbone, grid=GRID, batch_frames=4, **options))


def expected(backbone, frames):
    return pool_to_grid(backbone(frames, training=False), GRID).numpy()


def test_features_are_the_backbones_whatever_the_batches(backbone):
    records = [record("a.mp4", 3), record("b.mp4", 9)]
    clips = features(backbone, records)
    for clip, one in zip(clips, records):
        assert clip.name == one.name and clip.values.dtype == np.float16
        assert np.array_equal(clip.timestamps, one.timestamps) and np.array_equal(clip.labels, one.frame_labels)
        np.testing.assert_allclose(clip.values, expected(backbone, decode_jpegs(one.frames)), atol=2e-3, rtol=2e-3)


def test_mirrored_features_are_those_of_mirrored_frames_and_no_mirrored_grid(backbone):
    one = record("a.mp4", 6)
    (plain,), (mirrored,) = features(backbone, [one]), features(backbone, [one], mirrored=True)
    frames = np.ascontiguousarray(decode_jpegs(one.frames)[:, :, ::-1])
    np.testing.assert_allclose(mirrored.values, expected(backbone, frames), atol=2e-3, rtol=2e-3)
    spread = plain.values.astype(np.float32).std()
    assert abs(mirrored.values.astype(np.float32) - plain.values[:, :, ::-1]).max() > 0.1 * spread
