"""Batches follow from (seed, step) alone."""

from __future__ import annotations

import dataclasses
import gc
import threading

import numpy as np
import pytest
import simplejpeg

from tcc.config import AugmentationConfig, SamplingConfig
from tcc.dataset import Clips, FeatureClips, FrameClips, draw_batch, draw_clips, draw_views, prefetch
from tcc.dataset.augment import change_frames, draw_flip, draw_frame_change
from tcc.errors import SettingsError, ShapeError, ShardError
from tcc.sequences import ClipSequence
from tcc.video import shards

SAMPLING = SamplingConfig(num_frames=4, num_context_frames=2, context_stride=3, random_offset=1)


def clip_that_tells_its_frames(index: int, length: int) -> ClipSequence:
    """Every value of frame t of clip i is 100 i + t."""
    values = np.broadcast_to(100 * index + np.arange(length)[:, None, None, None], (length, 2, 2, 3))
    return ClipSequence(f"clip{index}", np.arange(length) / 10, np.full(length, -1), values.astype(np.float16))


def sequences(lengths=(3, 12, 20, 9, 30)):
    return [clip_that_tells_its_frames(index, length) for index, length in enumerate(lengths)]


def source() -> FeatureClips:
    return FeatureClips(sequences())


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
    """Frame t of JPEG is a ramp from left to right that starts at 10 t."""

    def __init__(self, name, length, *, width=24):
        self.name = name
        self.timestamps = np.arange(length) / 10
        self.frame_labels = np.full(length, -1)
        ramp = np.broadcast_to(np.arange(width)[None, :, None], (16, width, 3))
        self.frames = [
            simplejpeg.encode_jpeg((10 * t + ramp).astype(np.uint8), quality=100, colorsubsampling="444")
            for t in range(length)
        ]


def test_forgotten_labels_are_in_no_batch():
    clips = source()
    clips.labels = [np.zeros_like(one) for one in clips.labels]
    assert (draw(0, clips=clips).labels == 0).all()
    clips.forget_labels()
    assert (draw(0, clips=clips).labels == -1).all()


def frame_clips(**options):
    return FrameClips([Record("a.mp4", 20), Record("b.mp4", 19)], **options)


def count_decoded(monkeypatch):
    """Which frames are decoded from here on."""
    decoded, decode = [], shards.decode_jpeg

    def counting(frame, image, *, number):
        decoded.append(number)
        decode(frame, image, number=number)

    monkeypatch.setattr(shards, "decode_jpeg", counting)
    return decoded


NO_CHANGE = AugmentationConfig(flip=0, brightness=0, contrast=0)


def test_only_frames_that_are_asked_for_are_decoded_and_each_once(monkeypatch):
    decoded = count_decoded(monkeypatch)
    frames = frame_clips().gather(0, np.array([[5, 7], [7, 19]]))
    assert frames.shape == (2, 2, 16, 24, 3) and frames.dtype == np.uint8
    np.testing.assert_allclose(frames[:, :, 8, 0, 0], [[50, 70], [70, 190]], atol=3)
    assert np.array_equal(frames[0, 1], frames[1, 0])
    assert sorted(decoded) == [5, 7, 19]


@pytest.mark.parametrize("threads", [1, 2, 5, None])
def test_the_number_of_threads_does_not_matter(threads):
    settings = AugmentationConfig(crop_min_area=0.5, saturation=0.5, hue=0.1, noise=0.1)
    one = [draw(step, clips=frame_clips(threads=1), augmentation=settings, positive_window=5) for step in range(3)]
    clips = frame_clips(threads=threads)
    assert all(same(draw(step, clips=clips, augmentation=settings, positive_window=5), one[step]) for step in range(3))


def test_threads_end_with_their_clips():
    others, clips = set(threading.enumerate()), frame_clips()
    clips.gather(0, np.arange(20))
    started = set(threading.enumerate()) - others
    assert started and all(thread.name.startswith("frames") for thread in started)
    del clips
    gc.collect()
    for thread in started:
        thread.join(timeout=5)
        assert not thread.is_alive()


FRAME_BYTES = 16 * 24 * 3


def test_frames_kept_in_memory_are_not_decoded_again(monkeypatch):
    decoded, clips = count_decoded(monkeypatch), frame_clips(memory_bytes=3 * FRAME_BYTES)
    first = clips.gather(0, np.array([[5, 7], [7, 19]]))
    again = clips.gather(0, np.array([19, 5, 8]))
    assert sorted(decoded) == [5, 7, 8, 19]
    assert np.array_equal(again[:2], [first[1, 1], first[0, 0]])
    clips.gather(1, np.array([5]))
    clips.gather(0, np.array([8]))
    assert decoded[4:] == [5, 8]


@pytest.mark.parametrize("memory_frames", [1, 7, 39])
def test_memory_for_frames_changes_no_batch(memory_frames):
    settings = AugmentationConfig(crop_min_area=0.5, saturation=0.5, hue=0.1, noise=0.1)
    clips, plain = frame_clips(memory_bytes=memory_frames * FRAME_BYTES), frame_clips()
    for step in range(8):
        for augmentation in (settings, None, NO_CHANGE):
            both = [draw(step, clips=one, augmentation=augmentation, positive_window=5) for one in (clips, plain)]
            assert same(*both)


def test_a_batch_that_is_written_to_changes_no_frame_in_memory():
    clips = frame_clips(memory_bytes=39 * FRAME_BYTES)
    expected = clips.gather(0, np.arange(20)).copy()
    clips.gather(0, np.arange(20))[...] = 0
    assert np.array_equal(clips.gather(0, np.arange(20)), expected)


def test_a_frame_that_cannot_be_decoded_is_not_kept():
    broken = Record("broken.mp4", 12)
    broken.frames[7] = b"no JPEG"
    clips = FrameClips([broken], memory_bytes=12 * FRAME_BYTES)
    for _ in range(2):
        with pytest.raises(ShardError, match=r"broken\.mp4: frame 7 is no JPEG"):
            clips.gather(0, np.arange(12))


def test_a_frame_that_cannot_be_decoded_is_named_with_its_clip():
    broken, wide = Record("broken.mp4", 12), Record("wide.mp4", 12, width=32)
    broken.frames[7] = b"no JPEG"
    with pytest.raises(ShardError, match=r"broken\.mp4: frame 7 is no JPEG"):
        FrameClips([broken]).gather(0, np.arange(12))
    clips = FrameClips([Record("a.mp4", 12), wide])
    with pytest.raises(ShardError, match=r"wide\.mp4: frame \d has 32x16 pixels, expected 24x16"):
        clips.gather_batch([0, 1], [np.arange(3), np.arange(3)], [None, None])


def test_a_clip_is_mirrored_as_a_whole_and_only_when_augmented():
    clips, directions = frame_clips(), []
    for step in range(20):
        mirrored_only = AugmentationConfig(flip=0.5, brightness=0, contrast=0)
        frames = draw(step, clips=clips, augmentation=mirrored_only).inputs.astype(int)
        slope = np.sign(frames[..., 8, -1, 0] - frames[..., 8, 0, 0])
        assert all(len(set(clip.reshape(-1).tolist())) == 1 for clip in slope)
        directions.extend(slope[:, 0, 0].tolist())
        plain = draw(step, clips=clips).inputs
        assert same(draw(step, clips=clips, augmentation=NO_CHANGE), draw(step, clips=clips))
        for row, clip in enumerate(slope[:, 0, 0]):
            assert np.array_equal(frames[row], plain[row] if clip == 1 else plain[row][..., ::-1, :])
    assert 8 < directions.count(1) < 32


def test_frames_of_a_clip_share_one_change_and_its_positives_too():
    clips, settings = frame_clips(), AugmentationConfig(crop_min_area=0.5, saturation=0.5, hue=0.1, noise=0.1)
    batch, plain = (draw(4, clips=clips, augmentation=a, positive_window=5) for a in (settings, None))
    for row, clip in enumerate(batch.clips.tolist()):
        change = draw_frame_change(settings, seed=0, step=4, clip=clip)
        assert np.array_equal(batch.inputs[row], change_frames(plain.inputs[row], change))


def test_a_clips_change_does_not_depend_on_the_clips_beside_it():
    clips, settings = frame_clips(), AugmentationConfig(noise=0.1)
    both = clips.draw_changes([0, 1], settings, seed=1, step=2)
    assert clips.draw_changes([1], settings, seed=1, step=2) == both[1:] and both[0] != both[1]


def test_features_are_augmented_only_when_asked_and_as_the_setting_says():
    plain, none = draw(3), draw(3, augmentation=AugmentationConfig(channel_dropout=0.0))
    assert same(plain, none)
    assert not same(plain, draw(3, augmentation=AugmentationConfig(channel_dropout=0.5)))


@pytest.mark.parametrize("name", ["crop_min_area", "brightness", "contrast", "saturation", "hue", "noise"])
def test_what_cannot_be_done_to_features_is_refused_unless_it_is_off_or_the_default(name):
    with pytest.raises(SettingsError, match=f"{name}: 0.25 changes frames, and a frozen backbone's features"):
        draw(0, augmentation=AugmentationConfig(**{name: 0.25}))
    draw(0, augmentation=AugmentationConfig(**{name: 1.0 if name == "crop_min_area" else 0.0}))


def test_each_channel_is_dropped_with_the_probability_that_the_setting_says():
    clips = FeatureClips([ClipSequence(f"{i}", np.arange(9), np.zeros(9), np.zeros((9, 1, 1, 200))) for i in range(4)])
    changes = [
        change
        for step in range(10)
        for change in clips.draw_changes([0, 1], AugmentationConfig(channel_dropout=0.3), seed=0, step=step)
    ]
    assert 0.28 < np.mean([change.flattened for change in changes]) < 0.32


def mirrored_source():
    """The features of mirrored frames: of the opposite sign."""
    return [dataclasses.replace(clip, values=-clip.values) for clip in sequences()]


def test_features_are_mirrored_by_the_second_set_a_clip_as_a_whole():
    clips, signs = FeatureClips(sequences(), mirrored_source()), []
    settings = AugmentationConfig(channel_dropout=0.0)
    for step in range(20):
        batch, plain = draw(step, clips=clips, augmentation=settings), draw(step)
        for clip, one, other in zip(batch.clips.tolist(), batch.inputs, plain.inputs):
            flip = draw_flip(settings, seed=0, step=step, clip=clip)
            assert np.array_equal(one, -other if flip else other)
            signs.append(flip)
        assert same(draw(step, clips=clips), plain)
        assert same(draw(step, clips=clips, augmentation=dataclasses.replace(settings, flip=0)), plain)
    assert 8 < sum(signs) < 32


def test_the_second_set_moves_no_other_draw():
    settings = AugmentationConfig(channel_dropout=0.5)
    for step in range(5):
        both, one = (draw(step, clips=FeatureClips(*sets), augmentation=settings) for sets in both_sets())
        assert np.array_equal(abs(both.inputs), abs(one.inputs)) and np.array_equal(both.clips, one.clips)


def both_sets():
    return (sequences(), mirrored_source()), (sequences(),)


def test_a_second_set_of_other_clips_is_refused():
    mirrored = mirrored_source()
    renamed = [dataclasses.replace(mirrored[0], name="another"), *mirrored[1:]]
    for other in (renamed, mirrored[1:], mirrored[::-1], [*mirrored[:-1], clip_that_tells_its_frames(4, 29)]):
        with pytest.raises(
            ShapeError, match="mirrored: must be the same clips in the same order and of the same shapes"
        ):
            FeatureClips(sequences(), other)


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


def test_each_view_is_augmented_by_itself():
    clips, settings = frame_clips(), AugmentationConfig()
    changes = []
    for step in range(20):
        batch, plain = views(step, clips=clips, augmentation=settings), views(step, clips=clips)
        for row, clip in enumerate(np.repeat(batch.clips, 2).tolist()):
            changes.append(draw_frame_change(settings, seed=0, step=step, clip=clip, view=row % 2))
            assert np.array_equal(batch.inputs[row], change_frames(plain.inputs[row], changes[-1]))
    assert len({change.contrast for change in changes}) == 80
    assert {(one.flip, other.flip) for one, other in zip(changes[::2], changes[1::2])} == {
        (False, False), (False, True), (True, False), (True, True)
    }  # fmt: skip


def test_each_view_is_mirrored_by_itself_on_features():
    clips, pairs = FeatureClips(sequences(), mirrored_source()), set()
    for step in range(20):
        batch, plain = views(step, clips=clips, augmentation=AugmentationConfig(channel_dropout=0.0)), views(step)
        same_sign = [np.array_equal(one, other) for one, other in zip(batch.inputs, plain.inputs)]
        assert np.array_equal(abs(batch.inputs), plain.inputs)
        pairs.update(zip(same_sign[::2], same_sign[1::2]))
    assert len(pairs) == 4
