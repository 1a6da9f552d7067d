"""Embeddings of whole clips: every frame, the right context, whatever the batch size."""

from __future__ import annotations

import dataclasses
import itertools
import tracemalloc

import numpy as np
import pytest
import simplejpeg
import tensorflow as tf

from tcc import device as device_module
from tcc.config import EMBEDDERS, BackboneConfig, EmbedderConfig
from tcc.dataset import FeatureClips, FrameClips
from tcc.device import open_device
from tcc.embedding import embed_clips
from tcc.errors import DeviceError, SettingsError
from tcc.models import Encoder, build_backbone, build_embedder
from tcc.sequences import ClipSequence, center, load_sequences, save_sequences, write_sequences
from tcc.video import ClipRecord, read_records, stored_records, write_records
from tests.reference import embedding
from tests.tcc.training_samples import SAMPLING, sample_clips, sample_encoder, sampling_of


@pytest.fixture(autouse=True, scope="module")
def device():
    open_device("cpu")


BATCH_SIZES = [1, 7, 8, 16, 55, 200]


class ContextReader:
    """Stands in for the encoder: its embedding is the first value of each context frame."""

    def __init__(self):
        self.frame_shapes, self.window_shapes = [], []

    def frame_part(self, frames, *, dtype):
        self.frame_shapes.append(tuple(frames.shape))
        return frames

    def windows_part(self, windows, *, dtype):
        self.window_shapes.append(tuple(windows.shape))
        return tf.cast(windows[:, :, 0, 0, 0], tf.float32)

    def clip_function(self, *, dtype):
        return lambda vectors: vectors


class CountingClips(FrameClips):
    """Clips of frames that remember which frames were asked for."""

    def __init__(self, records):
        super().__init__(records)
        self.read = []

    def gather(self, clip, indices):
        self.read += [(clip, int(index)) for index in np.ravel(indices)]
        return super().gather(clip, indices)


def frame_records():
    """Three clips of random frames, one shorter than the context reaches."""
    rng = np.random.default_rng(0)
    records = []
    for name, length in (("a", 21), ("b", 1), ("c", 30)):
        frames = [simplejpeg.encode_jpeg(image) for image in rng.integers(0, 256, (length, 32, 32, 3), np.uint8)]
        records.append(ClipRecord(name, frames, np.arange(length) / 10, np.arange(length) % 3))
    return records


def frame_clips():
    """The same, counted."""
    return CountingClips(frame_records())


def image_encoder(kind="conv", convolution="conv3d"):
    """A backbone that is trained, and an embedder on it."""
    backbone = build_backbone(BackboneConfig(name="convnet", seed=1))
    config = EmbedderConfig(
        kind=kind,
        convolution=convolution,
        channels=(6, 6),
        dense=(8,),
        gru_units=(8, 6),
        embedding_size=6,
        transformer_width=8,
        transformer_heads=2,
        standardize=False,
    )
    sampling = sampling_of(kind)
    embedder = build_embedder(config, sampling=sampling, feature_channels=backbone.feature_channels, seed=0)
    return Encoder(backbone, embedder, trained="all"), sampling


@pytest.mark.parametrize("batch_frames", BATCH_SIZES)
def test_every_frame_is_embedded_with_its_context(batch_frames):
    source, reader = sample_clips(), ContextReader()
    clips = embed_clips(source, reader, sampling=SAMPLING, batch_frames=batch_frames)
    size = max(batch_frames, 8)
    assert reader.frame_shapes == [(min(size, 32), 2, 2, 3)]  # traced once: every batch has the same shape
    assert reader.window_shapes == [(size, 2, 2, 2, 3)]
    for index, clip in enumerate(clips):
        values = source.values[index][:, 0, 0, 0].astype(np.float32)
        before = np.maximum(np.arange(len(values)) - SAMPLING.context_stride, 0)
        np.testing.assert_array_equal(clip.values, np.stack([values[before], values], axis=1))
        assert clip.name == f"clip{index}" and clip.values.dtype == np.float32
        np.testing.assert_array_equal(clip.timestamps, source.timestamps[index])
        np.testing.assert_array_equal(clip.labels, source.labels[index])


@pytest.mark.parametrize("num_context_frames, context_stride", [(1, 5), (2, 1), (3, 15)])
def test_context_reaches_back_over_any_number_of_batches(num_context_frames, context_stride):
    sampling = dataclasses.replace(SAMPLING, num_context_frames=num_context_frames, context_stride=context_stride)
    source = sample_clips(num_clips=8)
    clips = embed_clips(source, ContextReader(), sampling=sampling, batch_frames=8)
    offsets = context_stride * np.arange(1 - num_context_frames, 1)
    for index, clip in enumerate(clips):
        values = source.values[index][:, 0, 0, 0].astype(np.float32)
        frames = np.maximum(np.arange(len(values))[:, np.newaxis] + offsets, 0)
        np.testing.assert_array_equal(clip.values, values[frames])


@pytest.mark.parametrize("kind", EMBEDDERS)
def test_the_batch_size_does_not_matter(kind):
    """But for rounding: how a processor orders the sums of a product may depend on the number of rows."""
    source, encoder = sample_clips(), sample_encoder(kind=kind)
    clips = [embed_clips(source, encoder, sampling=sampling_of(kind), batch_frames=size) for size in BATCH_SIZES]
    for others in clips[1:]:
        for clip, other in zip(clips[0], others):
            np.testing.assert_allclose(clip.values, other.values, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "kind, convolution", [("conv", "conv3d"), ("conv", "late"), ("conv_gru", ""), ("transformer", "")]
)
def test_frames_go_through_a_trained_backbone_once_and_the_result_is_that_of_whole_windows(kind, convolution):
    encoder, sampling = image_encoder(kind, convolution or "late")
    source = frame_clips()
    expected = [embedding.embed_clip(source, clip, encoder, sampling) for clip in range(len(source))]
    for size in (1, 9, 200):
        source.read.clear()
        clips = embed_clips(source, encoder, sampling=sampling, batch_frames=size)
        assert source.read == [(clip, frame) for clip, length in enumerate(source.lengths) for frame in range(length)]
        for clip, values in zip(clips, expected):
            np.testing.assert_allclose(clip.values, values, rtol=1e-5, atol=1e-6)


def test_clips_on_disk_are_embedded_as_those_in_memory(tmp_path):
    encoder, sampling = image_encoder()
    write_records(tmp_path / "a.tfrecord", frame_records())
    of_frames = FrameClips(read_records(tmp_path / "a.tfrecord")), FrameClips(stored_records(tmp_path / "a.tfrecord"))
    clips = [ClipSequence(f"{i}", np.arange(n), np.zeros(n), values_of(n)) for i, n in enumerate((30, 1, 300))]
    save_sequences(tmp_path / "a.npz", clips, phases=[], kind="features")
    stored = load_sequences(tmp_path / "a.npz", in_memory=False)[0]
    of_features = FeatureClips(map(center, clips)), FeatureClips(map(center, stored))
    for both, one in ((of_frames, encoder), (of_features, sample_encoder())):
        held, read = (embed_clips(source, one, sampling=sampling, batch_frames=16) for source in both)
        for clip, other in zip(held, read):
            np.testing.assert_array_equal(clip.values, other.values)


def values_of(length):
    return np.random.default_rng(length).normal(size=(length, 2, 2, 3)).astype(np.float16)


def test_memory_does_not_grow_with_the_features_of_a_clip(tmp_path):
    frame_bytes = 4 * 4 * 64 * 2

    def peak(length):
        part = np.ones((500, 4, 4, 64), np.float16)
        path, options = tmp_path / f"{length}.npz", {"phases": [], "kind": "features", "names": ["a"]}
        timestamps, labels = [np.arange(length) / 10], [np.zeros(length, np.int64)]
        tracemalloc.start()
        write_sequences(path, itertools.repeat(part, length // 500), timestamps=timestamps, labels=labels, **options)
        source = FeatureClips(map(center, load_sequences(path, in_memory=False)[0]))
        embed_clips(source, ContextReader(), sampling=SAMPLING, batch_frames=32)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak(500)
    # 16 bytes of labels and timestamps, a few times over, and 8 of this embedding.
    assert peak(5000) - peak(1000) < 4000 * 0.05 * frame_bytes


@pytest.mark.skipif(tf.__version__.startswith("2.6."), reason="TensorFlow 2.6 has no convolution in bfloat16 on a CPU")
@pytest.mark.parametrize("kind", EMBEDDERS)
def test_bfloat16_is_near_float32_and_stored_as_float32(kind):
    encoder, sampling = image_encoder(kind)
    options = {"sampling": sampling, "batch_frames": 16}
    exact, rounded = (
        embed_clips(frame_clips(), encoder, precision=precision, **options) for precision in ("float32", "bfloat16")
    )
    for one, other in zip(exact, rounded):
        assert other.values.dtype == np.float32
        difference = np.abs(one.values - other.values).max() / np.abs(one.values).max()
        assert 1e-6 < difference < 0.05


def test_a_precision_that_the_device_lacks_is_refused():
    with pytest.raises(SettingsError, match="precision: float16 is for a GPU, a CPU is slower in it; use bfloat16"):
        embed_clips(sample_clips(), ContextReader(), sampling=SAMPLING, batch_frames=4, precision="float16")


def test_progress_is_told():
    reports = []
    embed_clips(
        sample_clips(num_clips=2),
        ContextReader(),
        sampling=SAMPLING,
        batch_frames=8,
        progress=lambda *report: reports.append(report),
    )
    assert reports == [(0.8, "8/10 frames"), (1.0, "10/10 frames")]


def test_a_device_has_to_be_open(monkeypatch):
    monkeypatch.setattr(device_module, "_opened", {})
    with pytest.raises(DeviceError, match="no device is open"):
        embed_clips(sample_clips(), ContextReader(), sampling=SAMPLING, batch_frames=4)
