"""Embeddings of whole clips: every frame, the right context, whatever the batch size."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tcc import device as device_module
from tcc.config import EMBEDDERS
from tcc.device import open_device
from tcc.embedding import embed_clips
from tcc.errors import DeviceError
from tests.tcc.training_samples import SAMPLING, sample_clips, sample_encoder, sampling_of


@pytest.fixture(autouse=True, scope="module")
def device():
    open_device("cpu")


class ContextReader:
    """Stands in for the encoder: its embedding is the first value of each context frame."""

    def __init__(self):
        self.shapes = []

    def frame_vectors(self, windows):
        self.shapes.append(tuple(windows.shape))
        return tf.cast(windows[:, :, 0, 0, 0], tf.float32)

    def clip_function(self):
        return lambda vectors: vectors


@pytest.mark.parametrize("batch_frames", [1, 4, 7, 55, 200])
def test_every_frame_is_embedded_with_its_context(batch_frames):
    source, reader = sample_clips(), ContextReader()
    clips = embed_clips(source, reader, sampling=SAMPLING, batch_frames=batch_frames)
    assert reader.shapes == [(batch_frames, 2, 2, 2, 3)]  # traced once: every batch has the same shape
    for index, clip in enumerate(clips):
        values = source.values[index][:, 0, 0, 0].astype(np.float32)
        before = np.maximum(np.arange(len(values)) - SAMPLING.context_stride, 0)
        np.testing.assert_array_equal(clip.values, np.stack([values[before], values], axis=1))
        assert clip.name == f"clip{index}" and clip.values.dtype == np.float32
        np.testing.assert_array_equal(clip.timestamps, source.timestamps[index])
        np.testing.assert_array_equal(clip.labels, source.labels[index])


@pytest.mark.parametrize("kind", EMBEDDERS)
def test_the_batch_size_does_not_matter(kind):
    source, encoder = sample_clips(), sample_encoder(kind=kind)
    sizes = [embed_clips(source, encoder, sampling=sampling_of(kind), batch_frames=size) for size in (1, 7, 128)]
    for clips in zip(*sizes):
        for clip in clips[1:]:
            np.testing.assert_allclose(clip.values, clips[0].values, rtol=1e-5, atol=1e-6)


def test_progress_is_told():
    reports = []
    embed_clips(
        sample_clips(num_clips=2),
        ContextReader(),
        sampling=SAMPLING,
        batch_frames=4,
        progress=lambda *report: reports.append(report),
    )
    assert reports == [(0.4, "4/10 frames"), (0.8, "8/10 frames"), (1.0, "10/10 frames")]


def test_a_device_has_to_be_open(monkeypatch):
    monkeypatch.setattr(device_module, "_opened", {})
    with pytest.raises(DeviceError, match="no device is open"):
        embed_clips(sample_clips(), ContextReader(), sampling=SAMPLING, batch_frames=4)
