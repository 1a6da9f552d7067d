"""Batches follow from (seed, step) alone."""

from __future__ import annotations

import sys
import threading
import types

import numpy as np
import pytest

from tcc.config import AugmentationConfig, SamplingConfig
from tcc.dataset import Clips, FeatureClips, FrameClips, draw_batch, draw_clips, draw_views, prefetch
from tcc.dataset.augment import flatten_channels, flip_horizontally
from tcc.errors import SettingsError, ShapeError
from tcc.sequences import ClipSequence

SAMPLING = SamplingConfig(num_frames=4, num_context_frames=2, context_stride=3, random_offset=1)


def clip_that_tells_its_frames(index: int, length: int) -> ClipSequence:
    """Every value of frame t of clip i is 100 i + t."""
    values = np.broadcast_to(100 * index + np.arange(length)[:, None, None, None], (length, 2, 2, 3))
    return ClipSequence(f"clip{index}", np.arange(length) / 10, np.full(length, -1), values.astype(np.float16))


def source(lengths=(3, 12, 20, 9, 30)) -> FeatureClips:
    return FeatureClips([clip_that_tells_its_frames(index, length) for index, length in enumerate(lengths)])


def draw(step, *, clips=None, seed=0, **settings):
    return draw_batch(clips or source(), step, seed=seed, sampling=SAMPLING, batch_size=2, **settings)


def same(a, b) -> bool:
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("clips", "inputs", "frame_indices", "sequence_lengths")
    )


def test_inputs_are_the_frames_that_the_indices_name():
    for step in range(10):
        batch = draw(step, positive_window=5)
        assert batch.inputs.shape == (2, 8, 2, 2, 2, 3) and batch.inputs.dtype == np.float16
        assert batch.frame_indices.dtype == np.int32 and batch.sequence_lengths.dtype == np.int32
        for row, clip in enumerate(batch.clips):
            frames = batch.inputs[row, :, :, 0, 0, 0].astype(int) - 100 * clip
            length = batch.sequence_lengths[row]
            assert length == source().lengths[clip] and frames.min() >= 0 and frames.max() < length
            assert frames[:4, 1].tolist() == batch.frame_indices[row].tolist()
            assert (frames[:, 0] == np.maximum(frames[:, 1] - 3, 0)).all()
            back = frames[:4, 1] - frames[4:, 1]
            assert ((back >= 1) | (frames[:4, 1] == 0)).all() and back.max() <= 5


def test_a_batch_depends_on_seed_and_step_only():
    backwards = {step: draw(step) for step in reversed(range(6))}
    assert all(same(draw(step), backwards[step]) for step in range(6))
    assert not same(draw(0), draw(1)) and not same(draw(0), draw(0, seed=1))


def test_positives_change_nothing_else():
    plain, paired = draw(3), draw(3, positive_window=5)
    assert np.array_equal(plain.frame_indices, paired.frame_indices)
    assert np.array_equal(plain.inputs, paired.inputs[:, :4])


def test_an_epoch_shows_each_clip_once_and_the_next_one_another_order():
    epochs = [
        np.concatenate([draw_clips(8, step, seed=5, batch_size=2) for step in range(4 * e, 4 * e + 4)]) for e in (0, 1)
    ]
    assert all(sorted(epoch.tolist()) == list(range(8)) for epoch in epochs)
    assert epochs[0].tolist() != epochs[1].tolist()


def test_clips_of_a_batch_differ_and_all_get_their_turn():
    drawn = [draw_clips(5, step, seed=0, batch_size=2) for step in range(60)]
    assert all(len(set(clips.tolist())) == 2 for clips in drawn)
    counts = np.bincount(np.concatenate(drawn), minlength=5)
    assert counts.sum() == 120 and counts.min() >= 15


def test_too_few_clips():
    with pytest.raises(
        SettingsError, match="batch_size: 4 different clips are needed for a batch and there are 3; lower"
    ):
        draw_clips(3, 0, seed=0, batch_size=4)


def test_clips_that_do_not_fit_together():
    other = ClipSequence("other", np.zeros(2), np.zeros(2), np.zeros((2, 3, 3, 3)))
    with pytest.raises(ShapeError, match=r"one shape \[h, w, C\], got \[\(2, 2, 3\), \(3, 3, 3\)\]"):
        FeatureClips([clip_that_tells_its_frames(0, 3), other])
    with pytest.raises(ShapeError, match=r"one shape \[h, w, C\], got \[\]"):
        FeatureClips([])
    with pytest.raises(ShapeError, match=r"clips without a frame: empty\.mp4; leave them out"):
        Clips(["empty.mp4"], [np.zeros(0)], [np.zeros(0)])


def test_sources_know_their_clips():
    clips = source()
    assert len(clips) == 5 and clips.names[1] == "clip1" and clips.lengths.tolist() == [3, 12, 20, 9, 30]
    assert clips.feature_channels == 3 and clips.feature_shape == (2, 2, 3)


class Record:
    def __init__(self, name, length):
        self.name = name
        self.timestamps = np.arange(length) / 10
        self.frame_labels = np.full(length, -1)
        self.frames = [bytes([frame]) for frame in range(length)]


def test_forgotten_labels_are_in_no_batch():
    clips = source()
    clips.labels = [np.zeros_like(one) for one in clips.labels]
    assert (draw(0, clips=clips).labels == 0).all()
    clips.forget_labels()
    assert (draw(0, clips=clips).labels == -1).all()


def fake_decoder(monkeypatch):
    """Stands in for the JPEG decoder: frame t is a ramp from left to right that starts at t. Counts what it decodes."""
    decoded = []

    def decode_jpegs(jpegs):
        decoded.extend(jpeg[0] for jpeg in jpegs)
        ramp = np.broadcast_to(np.arange(4)[None, :, None], (4, 4, 3))
        return np.stack([ramp + jpeg[0] for jpeg in jpegs]).astype(np.uint8)

    module = types.ModuleType("tcc.video.shards")
    module.decode_jpegs = decode_jpegs
    monkeypatch.setitem(sys.modules, "tcc.video.shards", module)
    return decoded


def test_only_frames_that_are_asked_for_are_decoded_and_each_once(monkeypatch):
    decoded = fake_decoder(monkeypatch)
    clips = FrameClips([Record("a.mp4", 20), Record("b.mp4", 9)])
    frames = clips.gather(0, np.array([[5, 7], [7, 19]]))
    assert frames.shape == (2, 2, 4, 4, 3) and frames.dtype == np.uint8
    assert frames[:, :, 0, 0, 0].tolist() == [[5, 7], [7, 19]]
    assert decoded == [5, 7, 19]


def test_frames_are_decoded_by_the_real_decoder():
    simplejpeg = pytest.importorskip("simplejpeg")
    record = Record("a.mp4", 6)
    record.frames = [
        simplejpeg.encode_jpeg(np.full((16, 24, 3), 40 * frame, np.uint8), quality=95) for frame in range(6)
    ]
    frames = FrameClips([record]).gather(0, np.array([[5], [0], [2]]))
    assert frames.shape == (3, 1, 16, 24, 3)
    np.testing.assert_allclose(frames[:, 0, 8, 12, 0], [200, 0, 80], atol=2)


def test_a_clip_is_mirrored_as_a_whole_and_only_when_augmented(monkeypatch):
    fake_decoder(monkeypatch)
    clips = FrameClips([Record("a.mp4", 20), Record("b.mp4", 19)])
    directions = []
    for step in range(20):
        frames = draw(step, clips=clips, augmentation=AugmentationConfig()).inputs.astype(int)
        slope = np.sign(frames[..., 0, -1, 0] - frames[..., 0, 0, 0])
        assert all(len(set(clip.reshape(-1).tolist())) == 1 for clip in slope)
        directions.extend(slope[:, 0, 0].tolist())
        plain = draw(step, clips=clips).inputs.astype(int)
        assert same(draw(step, clips=clips, augmentation=AugmentationConfig(flip=False)), draw(step, clips=clips))
        assert (plain[..., 0, -1, 0] > plain[..., 0, 0, 0]).all()
        assert np.array_equal(np.sort(plain, axis=-2), np.sort(frames, axis=-2))
    assert 8 < directions.count(1) < 32


def test_channel_dropout_flattens_whole_channels_of_a_clip_to_their_mean():
    features = np.random.default_rng(0).normal(size=(6, 2, 3, 3, 40)).astype(np.float16)
    flattened = flatten_channels(features, share=0.3, rng=np.random.default_rng(1))
    same_as_before = np.array([np.array_equal(flattened[..., c], features[..., c]) for c in range(40)])
    assert 4 < (~same_as_before).sum() < 22
    for channel in np.flatnonzero(~same_as_before):
        assert len(np.unique(flattened[..., channel])) == 1
        np.testing.assert_allclose(flattened[0, 0, 0, 0, channel], features[..., channel].mean(), atol=1e-2)
    assert flattened.dtype == np.float16


def test_features_are_augmented_only_when_asked_and_as_the_setting_says():
    plain, none = draw(3), draw(3, augmentation=AugmentationConfig(channel_dropout=0.0))
    assert same(plain, none)
    assert not same(plain, draw(3, augmentation=AugmentationConfig(channel_dropout=0.5)))


def test_flip_moves_columns_only():
    frames = np.arange(12).reshape(1, 2, 3, 2)
    flipped = [flip_horizontally(frames, rng=np.random.default_rng(seed)) for seed in range(8)]
    assert {np.array_equal(item, frames) for item in flipped} == {True, False}
    assert any(np.array_equal(item, frames[:, :, ::-1]) for item in flipped)


def test_prefetch_keeps_the_order_and_works_ahead():
    threads = set()

    def slow(step):
        threads.add(threading.current_thread().name)
        return draw(step)

    for fetched, step in zip(prefetch(slow, range(3, 9)), range(3, 9)):
        assert fetched.step == step and same(fetched, draw(step))
    assert all(name.startswith("batches") for name in threads)


def test_prefetch_raises_at_the_step_that_failed_and_ends_its_thread():
    def fails_at_2(step):
        if step == 2:
            raise ValueError("frame is damaged")
        return step

    received = []
    with pytest.raises(ValueError, match="frame is damaged"):
        for step in prefetch(fails_at_2, range(10)):
            received.append(step)
    assert received == [0, 1]
    early = prefetch(fails_at_2, range(10))
    next(early)
    early.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def views(step, *, clips=None, seed=0, **settings):
    return draw_views(
        clips or source(), step, seed=seed, sampling=SAMPLING, batch_size=2, region=1.5, overlap=0.2, **settings
    )


def test_views_are_the_frames_that_the_indices_name_two_rows_a_clip():
    for step in range(10):
        batch = views(step)
        assert batch.inputs.shape == (4, 4, 2, 2, 2, 3) and batch.clips.shape == (2,)
        assert batch.valid.shape == (4, 4) and batch.valid.dtype == np.float32
        for row, clip in enumerate(np.repeat(batch.clips, 2)):
            frames = batch.inputs[row, :, :, 0, 0, 0].astype(int) - 100 * clip
            assert frames[:, 1].tolist() == batch.frame_indices[row].tolist()
            assert (frames[:, 0] == np.maximum(frames[:, 1] - 3, 0)).all()
            assert batch.sequence_lengths[row] == source().lengths[clip]
            assert (batch.valid[row] == 0).any() if clip == 0 else True


def test_views_depend_on_seed_and_step_only_and_differ():
    backwards = {step: views(step) for step in reversed(range(6))}
    assert all(same(views(step), backwards[step]) for step in range(6))
    assert not same(views(0), views(1)) and not same(views(0), views(0, seed=1))
    assert any((batch.frame_indices[0::2] != batch.frame_indices[1::2]).any() for batch in backwards.values())


def test_each_view_is_augmented_by_itself(monkeypatch):
    fake_decoder(monkeypatch)
    clips = FrameClips([Record("a.mp4", 20), Record("b.mp4", 19)])
    pairs = []
    for step in range(20):
        frames = views(step, clips=clips, augmentation=AugmentationConfig()).inputs.astype(int)
        mirrored = frames[..., 0, 0, 0] > frames[..., 0, -1, 0]
        assert (mirrored == mirrored[:, :1, :1]).all()
        pairs.extend(map(tuple, mirrored[:, 0, 0].reshape(2, 2).tolist()))
    assert set(pairs) == {(False, False), (False, True), (True, False), (True, True)}
